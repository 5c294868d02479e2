//! What the feed is made of: records that are put and deleted by their type and id.

use serde::{Deserialize, Serialize};

use super::{Credential, CredentialId, Grant, GrantId, Policy};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    Credential(Credential),
    Grant(Grant),
    Policy(Policy),
}

/// The types of record there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordType {
    Credential,
    Grant,
    Policy,
}

/// Which record: its type and id. The policy is one, `site`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordKey {
    Credential(CredentialId),
    Grant(GrantId),
    Policy,
}

/// One change of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Replaces the whole record.
    Put(Record),
    /// Deleting what is not there is no error.
    Delete(RecordKey),
}

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Record::Credential(c) => RecordKey::Credential(c.id.clone()),
            Record::Grant(g) => RecordKey::Grant(g.id.clone()),
            Record::Policy(_) => RecordKey::Policy,
        }
    }
}
