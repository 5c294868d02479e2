//! The daemon: reads its command line (`daemon/arguments`) and does what it says.

use std::{io::Write as _, path::Path, process::ExitCode};

use clap::Parser as _;
use latchd::{
    daemon::{
        self,
        arguments::{Arguments, Verb},
        config, logging,
    },
    drivers::kernel_clock,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Verb::Schema) = arguments.verb {
        return print_schema();
    }
    // It knows of no configuration.
    if let Some(Verb::Clock { file }) = &arguments.verb {
        return tell_the_clock(file);
    }
    let config = match config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match arguments.verb {
        Some(Verb::Check) => check(&config, &arguments.config),
        Some(Verb::Schema | Verb::Clock { .. }) | None => run(&config, &arguments),
    }
}

fn print_schema() -> ExitCode {
    let written = writeln!(std::io::stdout(), "{:#}", config::schema());
    // Who reads no further has seen enough.
    let is_good = written.is_ok_and(|()| std::io::stdout().flush().is_ok());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell_the_clock(file: &Path) -> ExitCode {
    match daemon::clock::tell(file) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("latchd: {error}");
            ExitCode::FAILURE
        }
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

fn run(
    config: &config::Config,
    Arguments { config: path, log: filter, clock_file, .. }: &Arguments,
) -> ExitCode {
    if let Some(file) = clock_file {
        kernel_clock::hear_from(file.clone());
    }
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
