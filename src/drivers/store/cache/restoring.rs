//! A backup takes the cache's place: looked at whole before it is staged, and taken up at the next start.
//!
//! What was there is set aside, never deleted. A start that is interrupted between two of these steps goes on with them
//! at the next: the staged file has its place last. Where the first of them can't be made, because the disk is full or
//! can't be written, the backup is not taken up, and what was there is what holds: nobody stands before a door that would
//! not start. The journal stays as it is, and so does the high-water mark: an
//! epoch that is over is not taken again because a backup is of it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use super::{
    CacheError,
    copy::{self, CopyError, End, GoodCopy},
    opening,
};
use crate::{
    drivers::store::{
        aside,
        key::{UID_KEY, write_whole},
    },
    wire::{
        Digest,
        stored::{Position, StoredRecord, decode},
    },
};

/// A backup's key, until the one that it replaces has been set aside.
const NEXT_KEY: &str = "uid.key.restored";

/// Looks at a whole backup: that it is this controller's and undamaged, and that its records are what it says.
pub fn check(path: &Path, controller: &str) -> Result<End, CacheError> {
    let copy = GoodCopy::open(path, controller)?;
    copy.small.read()?;
    let (mut digest, mut credentials, mut grants) = (Digest::default(), 0, 0);
    for pair in copy.records()? {
        let (key, value) = pair?;
        let stored: StoredRecord = decode(&value)?;
        digest = digest.xor(stored.digest);
        credentials += u64::from(key.starts_with(b"c"));
        grants += u64::from(key.starts_with(b"g"));
    }
    let Position { digest: expected, credentials: c, grants: g, .. } = copy.end.position;
    if (digest, credentials, grants) != (expected, c, g) {
        let why = "its records are not those it says it has".into();
        return Err(CopyError::Damaged { path: path.to_owned(), why }.into());
    }
    Ok(copy.end)
}

/// The backup is put out of the way, and what was there holds. What is said of it.
fn given_up(staged: &Path, error: &dyn std::error::Error, ending: &str) -> String {
    let place = match aside::set_aside(staged, ending) {
        Ok(aside) => format!("set aside as {}", aside::name(&aside)),
        Err(_) => "it stays where it is, for the next start".to_owned(),
    };
    format!("a backup was not restored: {error}; {place}")
}

/// What takes space, before anything has changed: the key, if it is another.
fn prepare(dir: &Path, staged: &Path, copy: &GoodCopy) -> io::Result<()> {
    // Of a disk that became read-only nothing can be renamed either.
    OpenOptions::new().write(true).open(staged)?;
    let is_own = |name: &str| fs::read(dir.join(name)).is_ok_and(|own| own == copy.header.uid_key);
    if is_own(UID_KEY) || is_own(NEXT_KEY) {
        Ok(())
    } else {
        write_whole(dir, NEXT_KEY, &copy.header.uid_key)
    }
}

/// Takes up a backup that was staged. What it says: that it was, or why it was not.
pub fn adopt(dir: &Path, controller: &str) -> Result<Option<Result<String, String>>, CacheError> {
    let staged = dir.join(copy::RESTORE_FILE);
    if !staged.exists() {
        return Ok(None);
    }
    let copy = match GoodCopy::open(&staged, controller) {
        Ok(copy) => copy,
        Err(error) => return Ok(Some(Err(given_up(&staged, &error, error.aside().unwrap_or("damaged"))))),
    };
    if let Err(error) = prepare(dir, &staged, &copy) {
        return Ok(Some(Err(given_up(&staged, &error, "not-restored"))));
    }
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |error| CacheError::Restoring { what, path, error }
    };
    let mut kept = Vec::new();
    let (key, next) = (dir.join(UID_KEY), dir.join(NEXT_KEY));
    if fs::read(&next).is_ok_and(|next| next == copy.header.uid_key) {
        if key.exists() {
            kept.push(aside::name(&aside::set_aside(&key, "replaced")?));
        }
        fs::rename(&next, &key).map_err(failed("renaming", &next))?;
    }
    for name in ["cache", copy::FILE] {
        if dir.join(name).exists() {
            kept.push(aside::name(&aside::set_aside(&dir.join(name), "replaced")?));
        }
    }
    let place = dir.join(copy::FILE);
    fs::rename(&staged, &place).map_err(failed("renaming", &staged))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("syncing", dir))?;
    let position = opening::place(&copy.end.position);
    tracing::warn!(epoch = position.0, applied = position.1, "a backup takes the cache's place");
    Ok(Some(Ok(match kept.as_slice() {
        [] => "a backup was restored".to_owned(),
        kept => format!("a backup was restored, and what was is set aside as {}", kept.join(", ")),
    })))
}
