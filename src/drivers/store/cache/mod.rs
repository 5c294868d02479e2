//! The cache in sled: what doors need when nobody answers. One thread owns it.
//!
//! A message of the feed is one batch, with the position it leads to, and is said to be persisted only after a
//! barrier. A snapshot is staged beside what is in force, in a tree of its own, and takes its place by one write.
//!
//! ```text
//!  keeper.rs    the thread: commands in, answers out; closes a cache whose disk fails, and opens it again
//!  opening.rs   what is done about a cache that can't be used
//!  database.rs  sled: records.rs and small.rs are what is in it, migrate.rs what was
//!  copy/        the last good copy beside it
//! ```

pub mod copy;
mod copying;
mod database;
mod keeper;
mod migrate;
mod opening;
mod records;
pub mod restoring;
mod small;
#[cfg(test)]
mod tests;
mod unkept;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::mpsc::Sender;

pub use self::{
    database::{Database, Loaded, Recovered},
    keeper::{Job, Keeper, Progress},
    small::Kept,
};
use super::{aside::AsideError, mark::MarkFile, worker::Worker};
use crate::{
    control::Event,
    domain::{ControllerId, DoorId, UidHash, ZoneId},
    wire::uid_hash::KEY_LEN,
};

#[derive(Clone)]
pub struct Config {
    pub state_dir: PathBuf,
    pub controller: ControllerId,
    /// What a fixed UID hashes to: a cache whose UIDs were hashed under another key would know nobody.
    pub uid_check: UidHash,
    /// That key, for the copy: without it a copy is of no use on another box.
    pub uid_key: [u8; KEY_LEN],
    /// The journal's id: notes count in it.
    pub journal: String,
    /// What is to be said of a backup that takes the cache's place at this start.
    pub restored: Option<String>,
    /// The site's doors: a snapshot's index is built for them.
    pub doors: Vec<(DoorId, Vec<ZoneId>)>,
    /// sled's own flush survives a power cut (`barrier` is in force). Where it does not, each costs one more sync.
    pub flush_is_barrier: bool,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the key.
        f.debug_struct("Config").field("state_dir", &self.state_dir).finish_non_exhaustive()
    }
}

impl Config {
    fn path(&self) -> PathBuf {
        self.state_dir.join("cache")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the cache can't be {what}: {error}")]
    Sled { what: &'static str, error: sled::Error },
    #[error(
        "the cache {path} can't be opened: {error}; it must belong to the user latchd runs as (chown -R latchd {dir}, if that is latchd)",
        dir = path.parent().unwrap_or(path).display()
    )]
    Permission { path: PathBuf, error: io::Error },
    #[error("the cache's file can't be made durable: {0}")]
    Barrier(io::Error),
    #[error(transparent)]
    Aside(#[from] AsideError),
    #[error(
        "the cache is controller {found}'s, this is {own}; point state_dir somewhere else, or set the cache folder aside"
    )]
    OtherController { found: String, own: ControllerId },
    #[error("it has layout {found}, this latchd reads up to {known}: a newer latchd wrote it")]
    Newer { found: u32, known: u32 },
    #[error(transparent)]
    Stored(#[from] crate::wire::stored::StoredError),
    #[error(transparent)]
    Copy(#[from] copy::CopyError),
    #[error("{0}")]
    Damaged(String),
    #[error("the backup can't take the cache's place: {what} {path}: {error}")]
    Restoring { what: &'static str, path: PathBuf, error: io::Error },
    #[error("can't start the cache's thread: {0}")]
    Thread(io::Error),
}

/// What is to be done about a cache that could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The files are there for us, and can't be used; the word goes into their new name.
    SetAside(&'static str),
    /// The disk takes nothing.
    Unwritable,
    /// What a person can put right, and must.
    Refuse,
}

impl CacheError {
    fn sled(what: &'static str) -> impl FnOnce(sled::Error) -> CacheError {
        move |error| CacheError::Sled { what, error }
    }

    fn opened(path: &Path) -> impl FnOnce(sled::Error) -> CacheError {
        let path = path.to_owned();
        move |error| {
            if let sled::Error::Io(error) = &error
                && error.kind() == ErrorKind::PermissionDenied
            {
                return CacheError::Permission { path, error: error.kind().into() };
            }
            CacheError::Sled { what: "opened", error }
        }
    }

    /// Somebody holds the files. sled says so in words only.
    fn is_in_use(&self) -> bool {
        matches!(self, CacheError::Sled { error: sled::Error::Io(io), .. } if io.to_string().contains("acquire lock"))
    }

    fn verdict(&self) -> Verdict {
        match self {
            CacheError::Sled { error: sled::Error::Io(io), .. } => {
                if self.is_in_use() || io.kind() == ErrorKind::PermissionDenied {
                    Verdict::Refuse
                } else if takes_nothing(io) {
                    Verdict::Unwritable
                } else {
                    Verdict::SetAside("damaged")
                }
            }
            CacheError::Newer { .. } => Verdict::SetAside("newer"),
            CacheError::Sled { .. } | CacheError::Stored(_) | CacheError::Damaged(_) => {
                Verdict::SetAside("damaged")
            }
            CacheError::Barrier(_) | CacheError::Copy(_) => Verdict::Unwritable,
            CacheError::Permission { .. }
            | CacheError::Aside(_)
            | CacheError::OtherController { .. }
            | CacheError::Restoring { .. }
            | CacheError::Thread(_) => Verdict::Refuse,
        }
    }
}

/// Of a disk that is full, or can only be read.
pub(in crate::drivers::store) fn takes_nothing(error: &io::Error) -> bool {
    let kinds = [ErrorKind::ReadOnlyFilesystem, ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
    kinds.contains(&error.kind())
}

/// Messages that may wait for the thread; the sync session sends one at a time, the rest are small notes.
const QUEUE: usize = 1024;

/// The running cache.
pub type Cache = Worker<Job>;

pub fn spawn(keeper: Keeper, events: Sender<Event>) -> Result<Cache, CacheError> {
    Worker::spawn("cache", QUEUE, move |jobs| keeper.run(&jobs, &events)).map_err(CacheError::Thread)
}

/// The cache and what it holds; see [`opening`] for what is done where it can't be used.
pub fn open(config: Config, mark: Arc<MarkFile>) -> Result<(Keeper, Loaded), CacheError> {
    Keeper::open(config, mark)
}
