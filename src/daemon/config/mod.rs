//! The configuration file: read, checked, and turned into what each subsystem is told.
//!
//! Every mistake is found and named at once, with its place, before anything is driven.

mod board;
mod broker;
mod operators;
mod read;
mod schema;
mod sections;
mod table;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use self::board::Board;
pub use self::broker::Broker;
pub use self::operators::Operators;
pub use self::schema::schema;
pub use self::sections::{Door, Input, Lock, Reader, ReaderDriver, Rex};
use crate::{
    domain::{ControllerId, Zone},
    drivers::uplink::keeper::Account,
    wire::jws::Trust,
};

/// A configuration that was found good.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub controller: ControllerId,
    pub zone: Zone,
    pub state_dir: PathBuf,
    pub socket: PathBuf,
    pub mqtt: Mqtt,
    pub require_sync: bool,
    pub holdover: Duration,
    pub keep: Duration,
    pub max_events: u64,
    pub release_wait: Duration,
    pub stale_after: Duration,
    /// Where Prometheus finds its metrics, if it is to.
    pub metrics: Option<SocketAddr>,
    pub boards: Vec<Board>,
    pub doors: Vec<Door>,
    pub readers: Vec<Reader>,
    /// The fire alarm's input.
    pub fire: Option<Input>,
    /// Who may do what at the control socket.
    pub operators: Operators,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    pub broker: Broker,
    pub account: Option<Account>,
    pub session_expiry_s: u32,
    /// Whose messages are believed to be central's.
    pub trust: Trust,
    pub keep_alive: Duration,
}

/// One mistake, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// 1 is the first.
    pub line: usize,
    pub column: usize,
    /// As in TOML: `doors[2].lock.coil`.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    /// In the order of the file.
    Problems {
        path: PathBuf,
        problems: Vec<Problem>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, error } => {
                write!(f, "can't read the configuration {}: {error}", path.display())
            }
            ConfigError::Problems { path, problems } => {
                for p in problems {
                    let Problem { line, column, key, message } = p;
                    let colon = if key.is_empty() { "" } else { ": " };
                    writeln!(f, "{}:{line}:{column}: {key}{colon}{message}", path.display())?;
                }
                let what = if problems.len() == 1 { "mistake" } else { "mistakes" };
                write!(f, "{}: {} {what}, nothing was started", path.display(), problems.len())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks a configuration file.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
    parse(&text).map_err(|problems| ConfigError::Problems { path: path.to_owned(), problems })
}

/// Checks a configuration's text.
pub fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    read::config(text)
}
