//! The last good copy: all that the cache holds, in one checksummed file beside it, for when the cache can't be read.
//!
//! It is written from time to time while changes go on being applied, a slice of records at a time. What changes
//! meanwhile is written behind them, so that the whole is as of one position; until it is whole it has another name.
//! `latchctl backup` is such a file, so it holds the key that UIDs are hashed under, and is as secret as that.
//!
//! ```text
//!  "latchd copy\n"  layout u32   who and when (Header)   SHA-256 of all before   these can be read by themselves
//!  (record: key, value)*  (amended: key, value?)*  (small: tree, key, value)*   End
//!  SHA-256 of all before
//! ```
//!
//! Each part is a length (u32, little-endian) and that many bytes of postcard.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::{
    read::{GoodCopy, header},
    write::Writing,
};
use crate::{
    domain::{At, UidHash},
    wire::{
        stored::{Position, SCHEMA, StoredError},
        uid_hash::KEY_LEN,
    },
};

/// The good copy's name in the state directory.
pub const FILE: &str = "cache.copy";
/// A backup that is to take the cache's place at the next start.
pub const RESTORE_FILE: &str = "restore.copy";

const MAGIC: &[u8; 12] = b"latchd copy\n";
/// The layout of the file; that of what is in it is the cache's own (`SCHEMA`).
const LAYOUT: u32 = 1;
/// Longest part. A record is read from a message of at most a mebibyte.
const MAX_PART: usize = 2 << 20;
const SUM_LEN: usize = 32;

/// Whose copy it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub controller: String,
    /// The cache's layout.
    pub schema: u32,
    pub uid_check: UidHash,
    pub uid_key: [u8; KEY_LEN],
    /// The journal that the checkpoint counts in.
    pub journal: String,
    pub begun_at: At,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the key.
        write!(f, "Header of {} as of {}", self.controller, self.begun_at)
    }
}

/// What it must add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub position: Position,
    pub at: At,
}

#[derive(Debug, Serialize, Deserialize)]
enum PartOf<'a> {
    Record(&'a [u8], &'a [u8]),
    Amended(&'a [u8], Option<&'a [u8]>),
    Small(&'a str, &'a [u8], &'a [u8]),
    End(End),
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("can't {what} {path}: {error}")]
    File { what: &'static str, path: PathBuf, error: io::Error },
    #[error("{path} is no copy of a latchd's store")]
    NoCopy { path: PathBuf },
    #[error("{path} is damaged: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error("{path} is of a newer latchd (layout {found}, this one reads up to {known}); use a newer latchd")]
    Newer { path: PathBuf, found: String, known: String },
    #[error("{path} is controller {found}'s, this is {own}")]
    OtherController { path: PathBuf, found: String, own: String },
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("the cache can't be read while it is copied: {0}")]
    Source(sled::Error),
}

impl CopyError {
    /// There is none.
    pub fn is_missing(&self) -> bool {
        matches!(self, CopyError::File { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// It is there and nobody's fault that it can't be used: to be set aside, under this word.
    pub fn aside(&self) -> Option<&'static str> {
        match self {
            CopyError::NoCopy { .. } | CopyError::Damaged { .. } | CopyError::Stored(_) => Some("damaged"),
            CopyError::Newer { .. } => Some("newer"),
            CopyError::OtherController { .. } => Some("foreign"),
            CopyError::File { .. } | CopyError::Source(_) => None,
        }
    }
}

/// Both layouts, as they are said.
fn layout(file: u32, schema: u32) -> String {
    format!("{file}.{schema}")
}

fn known() -> String {
    layout(LAYOUT, SCHEMA)
}
