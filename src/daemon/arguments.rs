//! The daemon's command line. It stands in the library because `latchctl man` and `latchctl completions` tell of it too.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Where the configuration is, unless it is said.
pub const CONFIG: &str = "/etc/latchd/latchd.toml";

const EXAMPLES: &str = "\
Examples:
  latchd check
  latchd --config /etc/latchd/latchd.toml --log latchd=debug";

const CHECK: &str = "\
Example:
  latchd check --config ./new.toml && cp ./new.toml /etc/latchd/latchd.toml";

const SCHEMA: &str = "\
Example, for an editor with Even Better TOML (taplo):
  latchd schema > latchd.schema.json
  sed -i '1i #:schema ./latchd.schema.json' latchd.toml";

/// Opens doors for those who have booked what is behind them.
///
/// Without a verb it is the daemon: it runs in the foreground until SIGTERM or SIGINT, and says so to systemd when it
/// is ready. SIGHUP has it read its configuration again. `latchctl` shows what it does, and commands it.
#[derive(Debug, Parser)]
#[command(name = "latchd", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// What is logged: a level (error, warn, info, debug, trace), or one for each module
    #[arg(long, value_name = "FILTER", default_value = "info", env = "LATCHD_LOG")]
    pub log: String,
    /// Where `latchd clock` writes down what the kernel says of its clock, for a daemon that may not ask it
    #[arg(long, value_name = "FILE", env = "LATCHD_CLOCK_FILE", hide = true)]
    pub clock_file: Option<PathBuf>,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Checks the configuration, names every mistake, and drives nothing. Exits with 0 or 1
    #[command(after_help = CHECK)]
    Check,
    /// Prints the JSON Schema of the configuration, for editors that complete and check TOML by one
    #[command(after_help = SCHEMA)]
    Schema,
    /// Writes down what the kernel says of its clock, once a second; for latchd-clock.service
    #[command(hide = true)]
    Clock {
        /// Where to
        file: PathBuf,
    },
}
