//! What came of a tap: one answer, with one reason and the row of the rules that gave it.

use serde::Serialize;

use super::{At, CredentialId, GrantId, HolderId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Granted,
    Denied,
}

/// Why: the names are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    RandomUid,
    UnknownCredential,
    CredentialNotActivated,
    CredentialSuspended,
    CredentialLost,
    CredentialRevoked,
    CredentialNotYetValid,
    CredentialExpired,
    DoorLockedDown,
    DoorBlocked,
    NoGrant,
    WrongDoor,
    ClockUntrusted,
    CacheStale,
    TooEarly,
    TooLate,
    HostBookingMissing,
    CapacityReached,
    OutsideBuildingHours,
    InWindow,
    Standing,
}

impl Reason {
    /// The row of the table in the rules ("The decision") that gives this reason.
    pub fn row(self) -> u8 {
        match self {
            Reason::RandomUid => 1,
            Reason::UnknownCredential => 2,
            Reason::CredentialNotActivated
            | Reason::CredentialSuspended
            | Reason::CredentialLost
            | Reason::CredentialRevoked => 3,
            Reason::CredentialNotYetValid | Reason::CredentialExpired => 4,
            Reason::DoorLockedDown | Reason::DoorBlocked => 5,
            Reason::NoGrant | Reason::WrongDoor => 6,
            Reason::ClockUntrusted => 7,
            Reason::CacheStale => 8,
            Reason::TooEarly | Reason::TooLate => 9,
            Reason::HostBookingMissing | Reason::CapacityReached | Reason::OutsideBuildingHours => 10,
            Reason::InWindow | Reason::Standing => 11,
        }
    }

    pub fn verdict(self) -> Verdict {
        match self.row() {
            11 => Verdict::Granted,
            _ => Verdict::Denied,
        }
    }
}

/// The answer of `control::decide`. What is not known is `None`, and left out where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub decision: Verdict,
    pub reason: Reason,
    pub row: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<At>,
}

impl Decision {
    pub fn of(reason: Reason) -> Self {
        Decision {
            decision: reason.verdict(),
            reason,
            row: reason.row(),
            credential: None,
            holder: None,
            grant: None,
            opens_at: None,
            closes_at: None,
        }
    }

    pub fn is_granted(&self) -> bool {
        self.decision == Verdict::Granted
    }
}
