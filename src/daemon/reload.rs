//! SIGHUP: the configuration is read again, and what can change under a running site is changed.
//!
//! All of a file or nothing: one with a mistake, or with a change that takes a restart, changes nothing and is said.
//! No door notices; the link takes up what is its own.

use std::path::Path;

use super::config::{self, Config, ConfigError};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error(
        "{} changed, which takes a restart (systemctl restart latchd); nothing was changed",
        .0.join(", ")
    )]
    NeedsRestart(Vec<&'static str>),
}

/// Reads the file again. What comes back differs from `current` in nothing that takes a restart.
pub fn read(path: &Path, current: &Config) -> Result<Config, ReloadError> {
    let new = config::load(path)?;
    let fixed = current.fixed_differences(&new);
    if fixed.is_empty() { Ok(new) } else { Err(ReloadError::NeedsRestart(fixed)) }
}
