//! One daemon a state directory: a second one would fork the journal's chain.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{cache::takes_nothing, whose::advice};

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("can't open the lock {path}: {error}{}", advice(error, path))]
    Open { path: PathBuf, error: std::io::Error },
    #[error("{path} is held by another latchd; two would drive the same doors. Stop the other one first")]
    Held { path: PathBuf },
}

/// Held until it is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let opened = opened.or_else(|error| {
            if !takes_nothing(&error) {
                return Err(error);
            }
            // A disk that takes nothing can be locked all the same: the file if it is there, else its directory.
            File::open(&path).or_else(|_| File::open(state_dir))
        });
        let file = opened.map_err(|error| LockError::Open { path: path.clone(), error })?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| LockError::Held { path })?;
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_is_one_daemons_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let held = StateLock::take(dir.path()).unwrap();
        let error = StateLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with(
            "lock is held by another latchd; two would drive the same doors. Stop the other one first"
        ));
        drop(held);
        assert!(StateLock::take(dir.path()).is_ok());
    }

    #[test]
    fn a_state_directory_that_is_not_there_is_said() {
        let error = StateLock::take(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.starts_with("can't open the lock /nowhere/lock: No such file"), "{error}");
    }
}
