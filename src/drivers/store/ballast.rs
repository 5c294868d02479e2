//! Space that is held for a bad day: on a full disk the cache can't even be opened again, so a file that is of no use to
//! anybody makes room for it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The file's name in the state directory.
pub const FILE: &str = "ballast";
/// sled wants room for a few of its segments of 512 KiB.
pub const BYTES: u64 = 8 << 20;
/// It is laid down only where so much is free beside it.
const BESIDE: u64 = 4 * BYTES;

#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    pub fn new(dir: &Path) -> Self {
        Ballast { path: dir.join(FILE) }
    }

    /// Lays it down, if it is not there and there is room. Returns whether it is there.
    pub fn lay_down(&self) -> bool {
        if self.path.metadata().is_ok_and(|found| found.len() >= BYTES) {
            return true;
        }
        if free(&self.path).is_none_or(|free| free < BYTES + BESIDE) {
            return false;
        }
        let laid = self.lay();
        if let Err(error) = &laid {
            tracing::warn!(%error, path = %self.path.display(), "no space can be held for a full disk");
            let _gone = fs::remove_file(&self.path);
        }
        laid.is_ok()
    }

    fn lay(&self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.path)?;
        fallocate(&file, FallocateFlags::empty(), 0, BYTES)?;
        file.sync_all()
    }

    /// Gives the space back, if nothing else is free. Returns whether there was any to give.
    pub fn drop_if_full(&self) -> bool {
        if free(&self.path).is_none_or(|free| free >= BYTES / 2) {
            return false;
        }
        let dropped = fs::remove_file(&self.path).is_ok();
        if dropped {
            tracing::warn!(path = %self.path.display(), "the disk is full; space that was held for this is given back");
            // Else the file system may count it as used a while longer.
            let dir = self.path.parent().map(File::open);
            let _synced = dir.map(|dir| dir.and_then(|dir| dir.sync_all()));
        }
        dropped
    }
}

/// Bytes that a user without privileges can still write where this file is.
pub fn free(path: &Path) -> Option<u64> {
    let dir = path.parent()?;
    let found = statvfs(dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_held_once_and_not_given_back_while_there_is_some() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path());
        assert!(
            ballast.lay_down() && ballast.lay_down(),
            "this disk has {:?} bytes free",
            free(&ballast.path)
        );
        assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().len(), BYTES);
        assert!(!ballast.drop_if_full());
        assert!(dir.path().join(FILE).exists());
    }
}
