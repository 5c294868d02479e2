//! Cards at the desk over the control socket: what is asked, and what became of it.

use serde::{Deserialize, Serialize};

use crate::domain::{At, CredentialId, HolderId, ReaderId, Status};

/// Activates a card: by its id, with it on a reader, or both, where the one must be the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivateQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// The next card held to this one is meant. An item [`AwaitsCard`] comes first, and says that it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReaderId>,
    /// How long a card is waited for; default [`ActivateQuery::WITHIN_S`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_s: Option<u32>,
    /// Outside staffed hours too. Takes an administrator.
    #[serde(default, rename = "override")]
    pub overrides: bool,
    /// Kept in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ActivateQuery {
    pub const WITHIN_S: u32 = 30;
    /// Longest time a reader is kept from its door.
    pub const LONGEST_WITHIN_S: u32 = 300;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspendQuery {
    pub credential: CredentialId,
    /// Kept in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The next card at this reader is waited for, and opens no door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AwaitsCard {
    pub waiting: ReaderId,
    pub within_s: u32,
}

/// It is done, and on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardDone {
    /// Which card.
    pub credential: CredentialId,
    /// Whose it is.
    pub holder: HolderId,
    /// What it is now.
    pub status: Status,
    /// `done`.
    pub outcome: String,
    /// Who did it, with their uid.
    pub by: String,
    /// Outside staffed hours, by an administrator.
    #[serde(rename = "override")]
    pub is_override: bool,
    /// The journal entry.
    pub seq: u64,
    /// Before that it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<At>,
    /// From then on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<At>,
}

/// That a card's status is the desk's, until central says something of the card again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtDesk {
    /// Who did it, with their uid.
    pub by: String,
    /// When.
    pub at: At,
    /// Outside staffed hours, by an administrator.
    #[serde(rename = "override")]
    pub is_override: bool,
    /// Its entry in the journal.
    pub seq: u64,
    /// What central says meanwhile; left out while central's record is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub central: Option<Status>,
}
