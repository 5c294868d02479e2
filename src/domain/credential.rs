//! A card, whose it is, and whether it counts (rules, "Cards").

use serde::{Deserialize, Serialize};

use super::{At, CredentialId, HolderId};

/// Where a card is in its life. Only `Active` opens doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Handed out, not yet activated at the desk.
    Issued,
    Active,
    Suspended,
    Lost,
    Revoked,
}

impl Status {
    pub const ALL: [Status; 5] =
        [Status::Issued, Status::Active, Status::Suspended, Status::Lost, Status::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Issued => "issued",
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Lost => "lost",
            Status::Revoked => "revoked",
        }
    }
}

/// A credential without its UID: that is known only as its [`UidHash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub id: CredentialId,
    /// `None` when a later credential took the UID.
    pub uid: Option<UidHash>,
    pub holder: HolderId,
    pub status: Status,
    /// First instant it counts.
    pub valid_from: Option<At>,
    /// First instant it no longer counts.
    pub valid_until: Option<At>,
    pub label: Option<String>,
    /// The holder needs the door's longer times (ONVIF "extended time").
    pub extended_time: bool,
}

/// A UID's keyed hash (HMAC-SHA-256, first 128 bits; the key never leaves the box). What is kept instead of the UID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UidHash(pub [u8; 16]);

impl UidHash {
    /// The first 8 hex digits: enough to tell one unknown card from another, too little to find it.
    pub fn tag(&self) -> String {
        self.0.iter().take(4).map(|b| format!("{b:02x}")).collect()
    }
}

impl std::fmt::Debug for UidHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UidHash({}…)", self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log is no place for what a card could be found by.
    #[test]
    fn no_more_of_a_uid_is_shown_than_its_tag() {
        let hash = UidHash([0xAB; 16]);
        assert_eq!((hash.tag(), format!("{hash:?}")), ("abababab".into(), "UidHash(abababab…)".into()));
    }
}
