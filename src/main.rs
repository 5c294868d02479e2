//! The daemon's command line.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use latchd::daemon::{self, config, logging};

/// Opens doors for those who have booked what is behind them.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/latchd/latchd.toml")]
    config: PathBuf,
    /// What is logged: a level (error, warn, info, debug, trace), or one for each module.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "LATCHD_LOG")]
    log: String,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the configuration, name every mistake, and drive nothing. Exits with 0 or 1.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match arguments.verb {
        Some(Verb::Check) => check(&config, &arguments.config),
        None => run(&config, &arguments),
    }
}

fn check(config: &config::Config, path: &Path) -> ExitCode {
    let file = path.display();
    // What the file names is looked at too, but for devices, which may be unplugged.
    let daemon::Findings { mistakes, unseen, remarks } = daemon::check(config);
    unseen.iter().chain(&remarks).for_each(|sentence| eprintln!("{file}: warning: {sentence}"));
    mistakes.iter().for_each(|sentence| eprintln!("{file}: {sentence}"));
    if !mistakes.is_empty() {
        return ExitCode::FAILURE;
    }
    let config::Config { doors, readers, boards, .. } = config;
    println!("{file}: good: {} doors, {} readers, {} boards", doors.len(), readers.len(), boards.len());
    ExitCode::SUCCESS
}

fn run(config: &config::Config, Arguments { config: path, log: filter, .. }: &Arguments) -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    let journal_stream = std::env::var("JOURNAL_STREAM").ok();
    let log = match logging::start(filter, journal_stream.as_deref()) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("latchd: {error}");
            return ExitCode::from(2);
        }
    };
    let ended = daemon::run(config, path, &log.levels());
    // What was logged first, then why it ended.
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latchd: {error}");
            ExitCode::FAILURE
        }
    }
}
