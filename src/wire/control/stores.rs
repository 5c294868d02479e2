//! What is said of the stores: how they are, whether the journal is whole, backups.

use serde::{Deserialize, Serialize};

use crate::{domain::At, wire::checkpoint::Checkpoint};

/// The cache, as the daemon uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreReport {
    /// `good`, or `failing`: it can't be used, doors go on from memory, and nothing that central changes is kept or
    /// acknowledged.
    pub state: String,
    /// Since when, if that was since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    /// Why it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Default for StoreReport {
    fn default() -> Self {
        StoreReport { state: "good".into(), since: None, detail: None }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyQuery {
    /// Signatures that somebody kept elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<Checkpoint>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Its UUID.
    pub journal: String,
    /// How many are kept.
    pub events: u64,
    /// The first `seq` that is kept; left out of an empty journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The last `seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// The last event's hash: note it elsewhere, and a rewritten journal is noticed.
    pub hash: String,
    /// Events that were never written because the disk failed for too long; the chain goes on over them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lost: u64,
    /// Signatures that the chain agrees with, those kept beside it and those that were given.
    #[serde(default, skip_serializing_if = "is_none")]
    pub checkpoints: u64,
    /// How many of those that were given.
    #[serde(default, skip_serializing_if = "is_none")]
    pub against: u64,
    /// Given ones under events that are no longer kept, which nothing can be said of.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_kept: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A backup is being written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupBegun {
    /// Records written.
    pub done: u64,
    pub of: u64,
}

/// A piece of a file, in base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub data: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupDone {
    /// Whose store it is.
    pub controller: String,
    /// The file's size.
    pub bytes: u64,
    /// Of the feed.
    pub epoch: u64,
    /// The last change that is in it.
    pub applied: u64,
    /// How many are in it.
    pub credentials: u64,
    /// How many are in it.
    pub grants: u64,
    /// When it was made.
    pub at: At,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreChunk {
    /// In base64.
    pub data: String,
    /// Nothing comes after it.
    #[serde(default)]
    pub last: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreDone {
    /// Bytes taken in so far.
    pub bytes: u64,
    /// Said when it was the last piece, it is whole and ours, and the daemon starts again to go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupDone>,
}
