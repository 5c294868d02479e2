//! The cache in sled: what doors need when nobody answers. One thread owns it.
//!
//! A message of the feed is one batch, with the position it leads to, and is said to be persisted only after a
//! barrier. A snapshot is staged beside what is in force, in a tree of its own, and takes its place by one write.

mod database;
mod records;
#[cfg(test)]
mod tests;

use std::{io::ErrorKind, path::PathBuf, sync::mpsc::Receiver};

use tokio::sync::mpsc::Sender;

pub use self::database::{Database, Loaded};
use super::worker::Worker;
use crate::{
    control::{CacheCommand, CacheEvent, Event},
    domain::{ControllerId, DoorId, UidHash, ZoneId},
};

#[derive(Debug, Clone)]
pub struct Config {
    pub state_dir: PathBuf,
    pub controller: ControllerId,
    /// What a fixed UID hashes to: a cache whose UIDs were hashed under another key would know nobody.
    pub uid_check: UidHash,
    /// The site's doors: a snapshot's index is built for them.
    pub doors: Vec<(DoorId, Vec<ZoneId>)>,
    /// sled's own flush survives a power cut (`barrier` is in force). Where it does not, each costs one more sync.
    pub flush_is_barrier: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the cache can't be {what}: {error}")]
    Sled { what: &'static str, error: sled::Error },
    #[error("the cache's file can't be made durable: {0}")]
    Barrier(std::io::Error),
    #[error("the cache can't be set aside as {path}: {error}")]
    SetAside { path: PathBuf, error: std::io::Error },
    #[error(
        "the cache is controller {found}'s, this is {own}; point state_dir somewhere else, or remove the cache folder"
    )]
    OtherController { found: String, own: ControllerId },
    #[error(
        "the cache has layout {found}, this latchd reads {known}; use a newer latchd, or remove the cache folder"
    )]
    Schema { found: u32, known: u32 },
    #[error(transparent)]
    Stored(#[from] crate::wire::stored::StoredError),
    #[error("{0}")]
    Damaged(String),
    #[error("can't start the cache's thread: {0}")]
    Thread(std::io::Error),
}

impl CacheError {
    fn sled(what: &'static str) -> impl FnOnce(sled::Error) -> CacheError {
        move |error| CacheError::Sled { what, error }
    }

    /// Somebody holds the files. sled says so in words only.
    fn is_in_use(&self) -> bool {
        matches!(self, CacheError::Sled { error: sled::Error::Io(io), .. } if io.to_string().contains("acquire lock"))
    }

    /// The files are there for us, and can't be read: to be set aside. What a person can put right is not.
    fn is_damage(&self) -> bool {
        match self {
            CacheError::Sled { error: sled::Error::Io(io), .. } => {
                let kinds =
                    [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::StorageFull];
                !self.is_in_use() && !kinds.contains(&io.kind())
            }
            CacheError::Sled { .. } | CacheError::Stored(_) | CacheError::Damaged(_) => true,
            CacheError::Barrier(_)
            | CacheError::SetAside { .. }
            | CacheError::OtherController { .. }
            | CacheError::Schema { .. }
            | CacheError::Thread(_) => false,
        }
    }
}

/// Messages that may wait for the thread; the sync session sends one at a time, the rest are small notes.
const QUEUE: usize = 1024;

/// The running cache.
pub type Cache = Worker<CacheCommand>;

pub fn spawn(database: Database, events: Sender<Event>) -> Result<Cache, CacheError> {
    Worker::spawn("cache", QUEUE, move |commands| run(database, commands, &events))
        .map_err(CacheError::Thread)
}

fn run(mut database: Database, commands: Receiver<CacheCommand>, events: &Sender<Event>) {
    for command in commands {
        let answer = match command {
            CacheCommand::Apply { applied, rejected, items, owners } => {
                match database.apply(applied, rejected, &items, owners) {
                    Ok(applied) => Some(CacheEvent::Applied(applied)),
                    Err(error) => Some(CacheEvent::Failed { detail: error.to_string() }),
                }
            }
            CacheCommand::Stage { part, at } => match database.stage(part, at) {
                Ok(staged) => Some(CacheEvent::Staged(staged)),
                Err(error) => Some(CacheEvent::Failed { detail: error.to_string() }),
            },
            CacheCommand::Remember { id, expires_at, now } => {
                Some(match database.remember(&id, expires_at, now) {
                    Ok(()) => CacheEvent::Remembered { id },
                    Err(error) => CacheEvent::NotRemembered { id, detail: error.to_string() },
                })
            }
            CacheCommand::Doors(doors) => {
                database.set_doors(doors);
                None
            }
            CacheCommand::Note(note) => {
                if let Err(error) = database.note(&note) {
                    tracing::warn!(%error, "a note was not kept");
                }
                None
            }
        };
        if let Some(answer) = answer
            && events.blocking_send(Event::Cache(answer)).is_err()
        {
            return;
        }
    }
    if let Err(error) = database.flush() {
        tracing::error!(%error, "the cache was not flushed");
    }
}
