//! What a record and the position look like in the cache: postcard, 87 bytes a grant where JSON takes 351.
//!
//! A layout that was in use is kept readable: what changed its shape has its earlier one in [`earlier`], and a cache of
//! an earlier layout is brought to this one at start.

pub mod earlier;

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::domain::{At, DoorMode, Record};

/// The layout's version, kept beside the data. Raise it when any type below, or one it holds, changes its shape, and
/// say in `earlier` how to read the one before.
///
/// | layout | what it changed |
/// | --- | --- |
/// | 1 | the first. `StoredModes` once grew its schedule without a new number: both shapes are read |
/// | 2 | modes always know schedules; from when on commands are taken |
pub const SCHEMA: u32 = 2;

/// A record, and the digest of the JSON it came as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecord {
    pub digest: Digest,
    pub record: Record,
}

/// How far the feed has been applied, and what the records add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// 0: nothing has been synced yet.
    pub epoch: u64,
    pub applied: u64,
    /// Records refused since the last snapshot.
    pub rejected: u64,
    pub credentials: u64,
    pub grants: u64,
    /// Of all records (wire, "sync").
    pub digest: Digest,
}

/// What else outlasts a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Heard {
    /// When central was last heard.
    pub central_at: Option<At>,
}

/// From when on commands are taken: after a loss of what was remembered, none that may have been taken before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CommandsFrom {
    /// Nothing was lost.
    #[default]
    Ever,
    /// Something was, at a time that is not known before the clock is trusted.
    Unknown,
    /// Those issued after this.
    After(At),
}

/// A door's mode with what lies beneath it (`control::modes`), as of the journal entry `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredModes {
    pub seq: u64,
    pub base: DoorMode,
    pub scheduled_until: Option<StoredEnd>,
    /// When the occurrence of the schedule ends that opened it last.
    pub schedule_done: Option<At>,
    pub unlocked_until: Option<StoredEnd>,
    pub held: Option<(DoorMode, Option<StoredEnd>)>,
}

/// When a timed mode ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEnd {
    /// By the wall clock, if it was trusted when the order came.
    pub at: Option<At>,
    pub for_s: u32,
}

/// A stored value that can't be read: of another version, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    #[error("a stored value can't be read: {0}")]
    Value(#[from] postcard::Error),
    #[error("a stored value is followed by {0} bytes that are none of it")]
    Longer(usize),
}

pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoredError> {
    Ok(postcard::to_stdvec(value)?)
}

/// Reads a value that is all of the bytes: one of another shape is not taken for its own beginning.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, StoredError> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(StoredError::Longer(rest.len())),
    }
}
