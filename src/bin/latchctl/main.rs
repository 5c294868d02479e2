//! `latchctl`, the technician's tool: asks the daemon over its Unix socket and shows the answer to people, or as JSON.
//!
//! ```text
//!  args ──► ask ──► client ──► the socket        text/: reports to lines for people; pure, and tested as such
//!            │        │                          moment: times as people type them
//!            └──► text, output ──► stdout        failure: one sentence and an exit status
//! ```

use std::{
    env,
    io::{IsTerminal, stdout},
    process::ExitCode,
};

use clap::Parser;

mod args;
mod ask;
mod backup;
mod batch;
mod client;
mod completions;
mod diagnose;
mod doctor;
mod failure;
mod help;
mod journal;
mod manual;
mod moment;
mod monitor;
mod output;
mod progress;
mod text;
mod watch;
mod whole;
mod wiring;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let style = text::Style { colour: stdout().is_terminal() && !set("NO_COLOR") && !dumb };
    match ask::run(args, style) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(sentence) = failure.sentence() {
                eprintln!("latchctl: {sentence}");
            }
            ExitCode::from(failure.status())
        }
    }
}
