//! The journal's chain (wire, "events and ack"): each event holds the hash before it, and its own.

use serde_json::Value;

use super::{Digest, canonical::canonical};
use crate::domain::Entry;

/// An entry as it stands in the journal and on the wire: one JSON object with `prev` and `hash`, without a newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub line: String,
    pub hash: Digest,
}

/// Why a line does not continue a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("`{0}` is missing or not what it should be")]
    Field(&'static str),
    #[error("its number is {found}, {expected} should follow: {}", if found > expected { "events are missing" } else { "it is there twice, or was inserted" })]
    Number { found: u64, expected: u64 },
    #[error(
        "`prev` is not the hash of the event before: that one was altered, or one was removed or inserted"
    )]
    Prev,
    #[error("`hash` is not the hash of its content: it was altered")]
    Hash,
    #[error(
        "it is not in its canonical form (RFC 8785): bytes were altered that a JSON library does not see"
    )]
    Form,
}

/// Chains an entry to what came before. `late` marks one whose door could not wait for the disk.
pub fn link(entry: &Entry, late: bool, prev: Digest) -> Link {
    let mut value = serde_json::to_value(entry).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        if late {
            object.insert("late".into(), true.into());
        }
        object.insert("prev".into(), prev.to_string().into());
    }
    // Brought into canonical form once, with a hash of zeros where the hash will stand: what is hashed is the text
    // around it. (`prev` comes behind it, so a comma does; and no text within the object has bare quotes.)
    let blank = format!("\"hash\":\"{}\",", Digest::default());
    if let Some(object) = value.as_object_mut() {
        object.insert("hash".into(), Digest::default().to_string().into());
    }
    let line = String::from_utf8(canonical(&value)).unwrap_or_default();
    let (before, behind) = line.split_once(&blank).unwrap_or((&line, ""));
    let hash = Digest::of_bytes(format!("{before}{behind}").as_bytes());
    Link { line: format!("{before}\"hash\":\"{hash}\",{behind}"), hash }
}

/// A line that continues a chain: its number and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    pub seq: u64,
    pub hash: Digest,
}

/// Checks one line by itself: its hash is that of its content, and its bytes are those [`link`] writes. Without the
/// second, a key could be there twice, and another reader take the other value. Returns what it claims came before,
/// too.
pub fn check_alone(line: &[u8]) -> Result<(Checked, Digest), ChainError> {
    let mut value: Value = serde_json::from_slice(line).map_err(|_| ChainError::NotAnObject)?;
    let object = value.as_object_mut().ok_or(ChainError::NotAnObject)?;
    let digest = |v: Option<&Value>| v.and_then(Value::as_str).and_then(Digest::parse);
    let hash = digest(object.get("hash")).ok_or(ChainError::Field("hash"))?;
    let prev = digest(object.get("prev")).ok_or(ChainError::Field("prev"))?;
    let seq = object.get("seq").and_then(Value::as_u64).ok_or(ChainError::Field("seq"))?;
    let own = object.remove("hash").unwrap_or_default();
    if Digest::of(&value) != hash {
        return Err(ChainError::Hash);
    }
    if let Some(object) = value.as_object_mut() {
        object.insert("hash".into(), own);
    }
    if canonical(&value) != line {
        return Err(ChainError::Form);
    }
    Ok((Checked { seq, hash }, prev))
}

/// Checks that a line follows `before` (`None`: it is the first one kept, and may have any number).
pub fn check(line: &[u8], before: Option<Checked>) -> Result<Checked, ChainError> {
    let (own, prev) = check_alone(line)?;
    let Some(before) = before else { return Ok(own) };
    if own.seq != before.seq + 1 {
        return Err(ChainError::Number { found: own.seq, expected: before.seq + 1 });
    }
    if prev != before.hash {
        return Err(ChainError::Prev);
    }
    Ok(own)
}
