//! The box's own keys, made once on it and readable by the daemon only: the one that UIDs are hashed under, and the one
//! that signs the journal.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::whose::advice;
use crate::wire::uid_hash::KEY_LEN;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("can't {what} the key {path}: {error}{}", advice(error, path))]
    File { what: &'static str, path: PathBuf, error: std::io::Error },
    #[error(
        "the key {path} has {len} bytes, not 32; restore it from a backup, or set it aside together with the cache"
    )]
    Length { path: PathBuf, len: usize },
    #[error("the machine gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// What UIDs are hashed under.
pub const UID_KEY: &str = "uid.key";
/// What the journal is signed with.
pub const JOURNAL_KEY: &str = "journal.key";

/// A key, and what there is to say of where it comes from.
pub type Found = ([u8; KEY_LEN], Option<String>);

/// Reads the UID key, or makes it. The cache is of no use without it; so where it is missing, damaged or another than
/// `copied`, the one that lies in the cache's copy, that is used. The file it takes the place of is set aside.
pub fn uid_key(state_dir: &Path, copied: Option<[u8; KEY_LEN]>) -> Result<Found, KeyError> {
    let path = state_dir.join(UID_KEY);
    let Some(copied) = copied else { return Ok((load(state_dir, UID_KEY)?, None)) };
    let why = match fs::read(&path) {
        Ok(bytes) if bytes == copied => return Ok((copied, None)),
        Ok(_) => "was altered",
        Err(e) if e.kind() == ErrorKind::NotFound => "was gone",
        Err(error) => return Err(KeyError::File { what: "read", path, error }),
    };
    let mut said = format!("{UID_KEY} {why}, and is taken from the cache's copy");
    if path.exists() {
        let aside = super::aside::set_aside(&path, "damaged").map_err(|e| KeyError::File {
            what: "set aside",
            path: path.clone(),
            error: e.error,
        })?;
        said = format!("{said}; what it was is set aside as {}", super::aside::name(&aside));
    }
    write_whole(state_dir, UID_KEY, &copied).map_err(|error| KeyError::File {
        what: "write",
        path,
        error,
    })?;
    Ok((copied, Some(said)))
}

/// Reads the key that signs the journal, or makes it. One that can't be used is set aside: a new one only means that who
/// holds signatures has to be told.
pub fn journal_key(state_dir: &Path) -> Result<Found, KeyError> {
    match load(state_dir, JOURNAL_KEY) {
        Ok(key) => Ok((key, None)),
        Err(KeyError::Length { path, len }) => {
            let aside = super::aside::set_aside(&path, "damaged").map_err(|e| KeyError::File {
                what: "set aside",
                path,
                error: e.error,
            })?;
            let aside = super::aside::name(&aside);
            let said =
                format!("{JOURNAL_KEY} had {len} bytes, not {KEY_LEN}; set aside as {aside}, a new one made");
            Ok((load(state_dir, JOURNAL_KEY)?, Some(said)))
        }
        Err(other) => Err(other),
    }
}

/// Reads a key, or makes it. It is on disk, with its name, before it is used.
fn load(state_dir: &Path, name: &'static str) -> Result<[u8; KEY_LEN], KeyError> {
    let path = state_dir.join(name);
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
            write_whole(state_dir, name, &bytes).map_err(file_error("write"))?;
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
        let made = uid_key(dir.path(), None).unwrap().0;
        assert_ne!(made, [0; KEY_LEN]);
        let again = uid_key(dir.path(), None).unwrap().0;
        assert_eq!(again, made);
        let mode = fs::metadata(dir.path().join("uid.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn a_key_of_another_length_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("uid.key"), [1; 31]).unwrap();
        let error = uid_key(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("uid.key has 31 bytes, not 32; restore it"), "{error}");
        assert_eq!(fs::read(dir.path().join("uid.key")).unwrap(), [1; 31]);
    }

    #[test]
    fn a_key_that_is_gone_or_altered_comes_back_from_the_caches_copy() {
        for (was, why) in
            [(None, "was gone"), (Some(vec![1; 31]), "was altered"), (Some(vec![2; 32]), "was altered")]
        {
            let dir = tempfile::tempdir().unwrap();
            was.iter().for_each(|was| fs::write(dir.path().join(UID_KEY), was).unwrap());
            let (key, said) = uid_key(dir.path(), Some([7; 32])).unwrap();
            assert_eq!(key, [7; 32]);
            assert!(said.unwrap().contains(why));
            assert_eq!(
                fs::read_dir(dir.path()).unwrap().count(),
                1 + usize::from(was.is_some()),
                "nothing is lost"
            );
            assert_eq!(uid_key(dir.path(), Some([7; 32])).unwrap(), ([7; 32], None), "said once");
        }
    }

    #[test]
    fn a_journals_key_that_cannot_be_used_is_set_aside_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(JOURNAL_KEY), "short").unwrap();
        let (key, said) = journal_key(dir.path()).unwrap();
        assert!(
            said.unwrap().starts_with("journal.key had 5 bytes, not 32; set aside as journal.key.damaged-")
        );
        assert_eq!(journal_key(dir.path()).unwrap(), (key, None));
    }
}
