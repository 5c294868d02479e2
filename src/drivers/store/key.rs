//! The key that UIDs are hashed under: made once on the box, readable by the daemon only.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::wire::uid_hash::KEY_LEN;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("can't {what} the UID key {path}: {error}")]
    File { what: &'static str, path: PathBuf, error: std::io::Error },
    #[error(
        "the UID key {path} has {len} bytes, not 32; restore it from a backup, or remove it together with the cache"
    )]
    Length { path: PathBuf, len: usize },
    #[error("the machine gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Reads the key, or makes it. It is on disk, with its name, before it is used.
pub fn load(state_dir: &Path) -> Result<[u8; KEY_LEN], KeyError> {
    let path = state_dir.join("uid.key");
    let file_error = |what| {
        let path = path.clone();
        move |error| KeyError::File { what, path, error }
    };
    match File::open(&path) {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(file_error("read"))?;
            let len = bytes.len();
            bytes.try_into().map_err(|_| KeyError::Length { path: path.clone(), len })
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let mut bytes = [0; KEY_LEN];
            getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
            write_whole(state_dir, "uid.key", &bytes).map_err(file_error("write"))?;
            Ok(bytes)
        }
        Err(e) => Err(file_error("read")(e)),
    }
}

/// Writes a small file so that after a crash it is there whole or not at all.
pub fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = dir.join(format!(".{name}.new"));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let made = load(dir.path()).unwrap();
        assert_ne!(made, [0; KEY_LEN]);
        let again = load(dir.path()).unwrap();
        assert_eq!(again, made);
        let mode = fs::metadata(dir.path().join("uid.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn a_key_of_another_length_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("uid.key"), [1; 31]).unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("uid.key has 31 bytes, not 32; restore it"), "{error}");
        assert_eq!(fs::read(dir.path().join("uid.key")).unwrap(), [1; 31]);
    }
}
