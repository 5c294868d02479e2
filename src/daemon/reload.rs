//! The configuration is read again: at SIGHUP, which `systemctl reload` sends.
//!
//! All of a file or nothing: one with a mistake, or with a change that takes a restart, changes nothing, and why is in
//! the log, in the journal and in `latchctl status`. What changes while doors are in use is `control`'s business
//! ([`crate::control::Reload`]), and of the drivers' handles (`wiring`).

use std::{path::Path, path::PathBuf};

use super::config::{self, Config, ConfigError};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error(
        "{path}: {} changed, which takes a restart (systemctl restart latchd); nothing was changed",
        .keys.join(", ")
    )]
    NeedsRestart { path: PathBuf, keys: Vec<&'static str> },
}

/// As much of it as a journal's entry and a line of a screen should hold; the log has all.
const LONGEST: usize = 500;

/// Reads the file again. What comes back differs from `current` in nothing that takes a restart.
pub fn read(path: &Path, current: &Config) -> Result<Config, ReloadError> {
    let new = config::load(path)?;
    let keys = fixed(current, &new);
    if keys.is_empty() { Ok(new) } else { Err(ReloadError::NeedsRestart { path: path.to_owned(), keys }) }
}

/// What a running controller can't become another of: who it is, and where its state and its socket are.
fn fixed(old: &Config, new: &Config) -> Vec<&'static str> {
    let differs = [
        ("controller.id", old.controller != new.controller),
        ("controller.state_dir", old.state_dir != new.state_dir),
        ("controller.socket", old.socket != new.socket),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

/// In one line, and not too long.
pub fn in_a_line(error: &ReloadError) -> String {
    let text = error.to_string().replace('\n', "; ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::parse;

    const TEXT: &str = "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\nstate_dir = \"/s\"\nsocket = \"/c\"\n\
        [mqtt]\nurl = \"mqtt://b\"\nallow_unsigned = true\n";

    #[test]
    fn what_takes_a_restart_is_named_key_by_key_and_nothing_else_takes_one() {
        let old = parse(TEXT).unwrap();
        let fixed = |from: &str, to: &str| fixed(&old, &parse(&TEXT.replace(from, to)).unwrap());
        assert_eq!(fixed("id = \"a\"", "id = \"b\""), ["controller.id"]);
        assert_eq!(fixed("\"/s\"", "\"/t\""), ["controller.state_dir"]);
        assert_eq!(fixed("\"/c\"", "\"/d\""), ["controller.socket"]);
        let other = "[clock]\nrequire_sync = false\n[journal]\nkeep_s = 3600\n[sync]\nstale_after_s = 60\n\
            [metrics]\nlisten = \"127.0.0.1:9\"\n[mqtt]\nurl = \"mqtt://c\"";
        assert_eq!(fixed("[mqtt]\nurl = \"mqtt://b\"", other), [""; 0]);
        assert_eq!(fixed("UTC", "Europe/Oslo"), [""; 0]);
    }

    #[test]
    fn an_error_is_told_in_one_line_of_some_length() {
        let path = PathBuf::from("/etc/latchd/latchd.toml");
        let problems = parse(&format!("{TEXT}[fire]\n[sync]\nx = 1")).unwrap_err();
        let line = in_a_line(&ConfigError::Problems { path: path.clone(), problems }.into());
        assert!(line.contains("latchd.toml:9:1") && line.contains("; ") && !line.contains('\n'), "{line}");
        let keys = vec!["controller.socket"; 100];
        let line = in_a_line(&ReloadError::NeedsRestart { path, keys });
        assert!(line.chars().count() == LONGEST + 1 && line.ends_with('…'), "{line}");
    }
}
