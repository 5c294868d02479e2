//! One generation of records: a tree in which one batch changes records and position together.
//!
//! ```text
//!  g<id>  grant       digest, record        m      position
//!  c<id>  credential  digest, record
//!  p      policy      digest, record
//! ```
//!
//! Who has a UID is not kept here: a key that is spread by a hash costs a page of memory for every record of a large
//! snapshot. The index knows it.

use std::collections::BTreeMap;

use sled::{Batch, IVec, Tree};

use super::CacheError;
use crate::{
    control::{Applied, Replaced, index::Owners},
    domain::{Change, Credential, CredentialId, Record, RecordKey},
    wire::{
        Digest,
        feed::Sealed,
        stored::{Position, StoredRecord, decode, encode},
    },
};

const POSITION: &[u8] = b"m";

/// Keys and what they hold from now on; `None`: nothing.
pub type Written = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Whether a record stands under this key.
pub fn is_record(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'c' | b'g' | b'p'))
}

/// The changes of one message, as they will be in the tree.
struct Pending<'a> {
    tree: &'a Tree,
    /// What was in the tree under the keys that were looked up: every key that is written is.
    before: Written,
    written: Written,
    /// Who has the UIDs that are put, as the changes go on.
    owners: Owners,
    position: Position,
    replaced: Vec<Replaced>,
    conflicts: Vec<String>,
}

/// Puts back what a batch changed whose barrier failed: what was said not to be stored must not be there when it is
/// tried again, or it would seem to have been so before.
#[derive(Debug)]
pub struct Undo(Batch);

impl Undo {
    pub fn carry_out(self, tree: &Tree) -> Result<(), CacheError> {
        tree.apply_batch(self.0).map_err(CacheError::sled("written"))
    }
}

fn batch(values: &Written) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in values {
        match value {
            Some(value) => batch.insert(key.as_slice(), value.as_slice()),
            None => batch.remove(key.as_slice()),
        }
    }
    batch
}

/// Puts records of a copy into an empty tree, with their position at the end. Not durable yet.
pub fn put_back(
    tree: &Tree,
    pairs: &[(Vec<u8>, Vec<u8>)],
    position: Option<&Position>,
) -> Result<(), CacheError> {
    let mut batch = Batch::default();
    pairs.iter().for_each(|(key, value)| batch.insert(key.as_slice(), value.as_slice()));
    if let Some(position) = position {
        batch.insert(POSITION, encode(position)?);
    }
    tree.apply_batch(batch).map_err(CacheError::sled("written"))
}

/// Applies changes in order, as one batch with the position they lead to. Not durable yet.
pub fn apply(
    tree: &Tree,
    position: Position,
    items: &[Sealed],
    owners: Owners,
) -> Result<(Applied, Written, Undo), CacheError> {
    let (before, written, replaced, conflicts) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), Vec::new());
    let mut pending = Pending { tree, before, written, owners, position, replaced, conflicts };
    for item in items {
        pending.change(item)?;
    }
    pending.get(POSITION)?;
    pending.written.insert(POSITION.to_vec(), Some(encode(&pending.position)?));
    tree.apply_batch(batch(&pending.written)).map_err(CacheError::sled("written"))?;
    let undo = Undo(batch(&pending.before));
    let Pending { written, position, replaced, conflicts, .. } = pending;
    Ok((Applied { position, replaced, conflicts }, written, undo))
}

pub fn position(tree: &Tree) -> Result<Option<Position>, CacheError> {
    let value = tree.get(POSITION).map_err(CacheError::sled("read"))?;
    Ok(value.map(|v| decode(&v)).transpose()?)
}

/// Every record, in the order of keys. Stops at the first that can't be read.
pub fn all(tree: &Tree) -> impl Iterator<Item = Result<StoredRecord, CacheError>> {
    values(tree).map(read)
}

/// What [`values`] gives, as a record.
pub fn read(value: Result<IVec, CacheError>) -> Result<StoredRecord, CacheError> {
    Ok(decode(&value?)?)
}

/// What is kept of every record, in the order of keys. Stops at the first that can't be read.
pub fn values(tree: &Tree) -> impl Iterator<Item = Result<IVec, CacheError>> {
    let pairs = [b"c".as_slice(), b"g", b"p"].into_iter().flat_map(|prefix| tree.scan_prefix(prefix));
    pairs.map(|pair| Ok(pair.map_err(CacheError::sled("read"))?.1))
}

fn record_key(key: &RecordKey) -> Vec<u8> {
    match key {
        RecordKey::Credential(id) => [b"c", id.as_str().as_bytes()].concat(),
        RecordKey::Grant(id) => [b"g", id.as_str().as_bytes()].concat(),
        RecordKey::Policy => b"p".to_vec(),
    }
}

impl Pending<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, CacheError> {
        if let Some(value) = self.written.get(key) {
            return Ok(value.clone());
        }
        let value = self.tree.get(key).map_err(CacheError::sled("read"))?.map(|v| v.to_vec());
        self.before.insert(key.to_vec(), value.clone());
        Ok(value)
    }

    fn record(&mut self, key: &RecordKey) -> Result<Option<StoredRecord>, CacheError> {
        Ok(self.get(&record_key(key))?.map(|v| decode(&v)).transpose()?)
    }

    fn change(&mut self, item: &Sealed) -> Result<(), CacheError> {
        match &item.change {
            Change::Delete(key) => {
                if let Some(old) = self.record(key)? {
                    self.remove(key, &old);
                    self.replaced.push(Replaced { old: Some(old.record), new: None });
                }
                Ok(())
            }
            Change::Put(record) => self.put(record, item.digest),
        }
    }

    fn put(&mut self, record: &Record, digest: Digest) -> Result<(), CacheError> {
        let key = record.key();
        let old = self.record(&key)?;
        if let Some(old) = &old {
            self.remove(&key, old);
        }
        if let Record::Credential(credential) = record {
            self.claim_uid(credential)?;
        }
        let stored = StoredRecord { digest, record: record.clone() };
        self.written.insert(record_key(&key), Some(encode(&stored)?));
        self.count(record, 1);
        self.position.digest = self.position.digest.xor(digest);
        self.replaced.push(Replaced { old: old.map(|o| o.record), new: Some(stored.record) });
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey, old: &StoredRecord) {
        self.written.insert(record_key(key), None);
        if let Record::Credential(Credential { id, uid: Some(uid), .. }) = &old.record
            && self.owners.get(uid) == Some(id)
        {
            self.owners.remove(uid);
        }
        self.count(&old.record, -1);
        self.position.digest = self.position.digest.xor(old.digest);
    }

    /// The later change wins the UID: whoever has it keeps their id without one.
    fn claim_uid(&mut self, credential: &Credential) -> Result<(), CacheError> {
        let Some(uid) = credential.uid else { return Ok(()) };
        match self.owners.insert(uid, credential.id.clone()) {
            Some(owner) if owner != credential.id => self.take_uid_from(owner, &credential.id),
            _ => Ok(()),
        }
    }

    fn take_uid_from(&mut self, owner: CredentialId, winner: &CredentialId) -> Result<(), CacheError> {
        let key = RecordKey::Credential(owner);
        let Some(stored) = self.record(&key)? else { return Ok(()) };
        let Record::Credential(had) = &stored.record else { return Ok(()) };
        let without = Record::Credential(Credential { uid: None, ..had.clone() });
        let kept = StoredRecord { digest: stored.digest, record: without.clone() };
        self.conflicts.push(format!("credential {} lost its UID to {winner}", had.id));
        self.written.insert(record_key(&key), Some(encode(&kept)?));
        self.replaced.push(Replaced { old: Some(stored.record), new: Some(without) });
        Ok(())
    }

    fn count(&mut self, record: &Record, by: i64) {
        match record {
            Record::Credential(_) => {
                self.position.credentials = self.position.credentials.saturating_add_signed(by);
            }
            Record::Grant(_) => self.position.grants = self.position.grants.saturating_add_signed(by),
            Record::Policy(_) => {}
        }
    }
}
