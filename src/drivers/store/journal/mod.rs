//! The journal: JSON lines in plain files, hash-chained, on disk before a door opens on them.
//!
//! One thread owns the files. It takes all entries that are waiting, writes them at once and makes them durable with
//! one `fdatasync`, so that entries which come while a sync is under way share the next one. Anyone can read the
//! files with `jq`; readers (the outbox, `latchctl events`) use [`reader::Reader`] and look no further than what is
//! known to be on disk.
//!
//! ```text
//!  state_dir/journal/id                          the journal's UUID
//!                    acknowledged                how far central has stored it
//!                    checkpoints                 signatures under it, the newest last
//!                    00000000000000000001.jsonl  segments, named by their first seq
//!                    00000000000000010342.jsonl
//! ```

mod checkpoints;
mod files;
pub mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc::Sender;

pub use self::files::{Opened, SEGMENT_BYTES};
use super::{mark::MarkFile, whose::advice, worker::Worker};
use crate::{
    control::{Event, JournalCommand},
    domain::ControllerId,
    wire::uid_hash::KEY_LEN,
};

#[derive(Debug, Clone)]
pub struct Config {
    pub state_dir: PathBuf,
    pub controller: ControllerId,
    /// How long acknowledged events are kept.
    pub keep: Duration,
    /// How many events are kept, acknowledged ones first to go.
    pub max_events: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(
        "can't {what} {path}: {error}; events can't be recorded, so the daemon does not start{}",
        advice(error, path)
    )]
    File { what: &'static str, path: PathBuf, error: io::Error },
    #[error(
        "the journal ends at event {end}, {known} had been recorded, and its disk takes nothing, so it can't go on under another id; make {path} writable"
    )]
    Behind { path: PathBuf, end: u64, known: u64 },
    #[error("the journal's id {path} is not a UUID; restore it, or set the whole journal folder aside")]
    Id { path: PathBuf },
    #[error("the machine gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("can't start the journal's thread: {0}")]
    Thread(io::Error),
}

impl JournalError {
    fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_owned();
        move |error| JournalError::File { what, path, error }
    }
}

/// Entries that may wait for the thread. At 500 a second that is 16 s of a standing disk.
const QUEUE: usize = 8192;

/// The running journal.
pub type Journal = Worker<JournalCommand>;

/// Starts the thread on files that were opened. `key`: what it is signed with.
pub fn spawn(
    opened: Opened,
    mark: Arc<MarkFile>,
    key: [u8; KEY_LEN],
    events: Sender<Event>,
) -> Result<Journal, JournalError> {
    let signing = checkpoints::Signing::new(&opened, &key);
    let writer = writer::Writer::new(opened, mark, signing);
    Worker::spawn("journal", QUEUE, move |commands| writer.run(&commands, &events))
        .map_err(JournalError::Thread)
}
