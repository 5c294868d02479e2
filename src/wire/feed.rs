//! `feed` and `ack`: what central says, read and checked as far as a message can be by itself.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{
    Digest, UidHasher,
    fields::{FieldError, Fields},
    jws::JwsError,
    record,
};
use crate::domain::{Change, ControllerId, Record};

/// Most records or changes in one message. The link's limit of bytes is reached before it by records of usual size;
/// this one keeps a message of empty ones from filling the memory.
pub const MAX_ITEMS: usize = 20_000;

/// A message that is not understood at all, and so changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error(transparent)]
    Jws(#[from] JwsError),
    #[error("not JSON in UTF-8: {0}")]
    NotJson(String),
    #[error("meant for controller {0:?}")]
    OtherController(String),
    #[error("`changes` has {found} entries, `first` and `last` ask for {expected}")]
    Count { found: usize, expected: u64 },
    #[error("{0} entries in one message; at most {MAX_ITEMS} are taken")]
    TooMany(usize),
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// One entry of a message: a change with its digest, or why it was refused.
pub type Item = Result<Sealed, FieldError>;

/// A change and the digest of the record it puts (zero for a delete).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub change: Change,
    pub digest: Digest,
}

impl Sealed {
    /// The record it puts.
    pub fn put(&self) -> Option<&Record> {
        match &self.change {
            Change::Put(record) => Some(record),
            Change::Delete(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    pub epoch: u64,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The changes numbered `first` to `last`, in order; none, with `first` one past `last`, where nothing is newer.
    Changes { first: u64, last: u64, items: Vec<Item> },
    /// One part of everything as it was at `last`.
    Snapshot { id: String, part: u32, parts: u32, last: u64, items: Vec<Item> },
}

/// How far central has stored a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub journal: String,
    pub through: u64,
}

/// Reads a message on `feed`.
pub fn feed(bytes: &[u8], controller: &ControllerId, hasher: &UidHasher) -> Result<Feed, MessageError> {
    let value = json(bytes)?;
    let fields = addressed(&value, controller)?;
    let epoch = fields.number("epoch")?;
    let body = match fields.get("snapshot") {
        Some(snapshot) => snapshot_part(fields, Fields::of(snapshot, "snapshot")?, hasher)?,
        None => changes(fields, hasher)?,
    };
    Ok(Feed { epoch, body })
}

/// Reads a message on `ack`.
pub fn ack(bytes: &[u8], controller: &ControllerId) -> Result<Ack, MessageError> {
    let value = json(bytes)?;
    let fields = addressed(&value, controller)?;
    Ok(Ack { journal: fields.text("journal")?.to_owned(), through: fields.number("through")? })
}

pub(super) fn json(bytes: &[u8]) -> Result<Value, MessageError> {
    serde_json::from_slice(bytes).map_err(|e| {
        // serde_json's own text can quote what it met; its place is enough.
        MessageError::NotJson(format!("line {} column {}", e.line(), e.column()))
    })
}

pub(super) fn addressed<'a>(value: &'a Value, controller: &ControllerId) -> Result<Fields<'a>, MessageError> {
    let fields = Fields::of(value, "message")?;
    match fields.text("controller")? {
        own if own == controller.as_str() => Ok(fields),
        other => Err(MessageError::OtherController(other.chars().take(64).collect())),
    }
}

fn changes(fields: Fields<'_>, hasher: &UidHasher) -> Result<Body, MessageError> {
    let (first, last) = (fields.number("first")?, fields.number("last")?);
    let list = fields.list("changes")?.ok_or(FieldError::Missing("changes"))?;
    // Without any, `first` is one past `last`: that there is nothing newer.
    if first == 0 || last < first - 1 {
        return Err(FieldError::Rule("`first` is 1 or more, and not after `last`").into());
    }
    let expected = last - (first - 1);
    if list.len() as u64 != expected {
        return Err(MessageError::Count { found: list.len(), expected });
    }
    if list.len() > MAX_ITEMS {
        return Err(MessageError::TooMany(list.len()));
    }
    let items = list.iter().map(|entry| change(entry, hasher)).collect();
    Ok(Body::Changes { first, last, items })
}

fn change(entry: &Value, hasher: &UidHasher) -> Item {
    let fields = Fields::of(entry, "change")?;
    match (fields.get("put"), fields.get("delete")) {
        (Some(put), None) => sealed(put, hasher),
        (None, Some(delete)) => {
            Ok(Sealed { change: Change::Delete(record::key(delete)?), digest: Digest::default() })
        }
        _ => Err(FieldError::Rule("a change is either a `put` or a `delete`")),
    }
}

fn sealed(value: &Value, hasher: &UidHasher) -> Item {
    Ok(Sealed { change: Change::Put(record::record(value, hasher)?), digest: Digest::of(value) })
}

fn snapshot_part(fields: Fields<'_>, snapshot: Fields<'_>, hasher: &UidHasher) -> Result<Body, MessageError> {
    let number = |field| {
        u32::try_from(snapshot.number(field)?)
            .map_err(|_| FieldError::Wrong { field, expected: "a number of parts" })
    };
    let (part, parts) = (number("part")?, number("parts")?);
    if part == 0 || part > parts {
        return Err(FieldError::Rule("`part` is not between 1 and `parts`").into());
    }
    let list = fields.list("records")?.ok_or(FieldError::Missing("records"))?;
    if list.len() > MAX_ITEMS {
        return Err(MessageError::TooMany(list.len()));
    }
    Ok(Body::Snapshot {
        id: snapshot.text("id")?.to_owned(),
        part,
        parts,
        last: fields.number("last")?,
        items: list.iter().map(|value| sealed(value, hasher)).collect(),
    })
}
