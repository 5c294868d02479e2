//! What came of a tap: one answer, with one reason and the row of the rules that gave it.

use serde::Serialize;

use super::{At, CredentialId, GrantId, HolderId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Granted,
    Denied,
}

impl Verdict {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Granted => "granted",
            Verdict::Denied => "denied",
        }
    }
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
    pub const ALL: [Reason; 21] = [
        Reason::RandomUid,
        Reason::UnknownCredential,
        Reason::CredentialNotActivated,
        Reason::CredentialSuspended,
        Reason::CredentialLost,
        Reason::CredentialRevoked,
        Reason::CredentialNotYetValid,
        Reason::CredentialExpired,
        Reason::DoorLockedDown,
        Reason::DoorBlocked,
        Reason::NoGrant,
        Reason::WrongDoor,
        Reason::ClockUntrusted,
        Reason::CacheStale,
        Reason::TooEarly,
        Reason::TooLate,
        Reason::HostBookingMissing,
        Reason::CapacityReached,
        Reason::OutsideBuildingHours,
        Reason::InWindow,
        Reason::Standing,
    ];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::RandomUid => "random_uid",
            Reason::UnknownCredential => "unknown_credential",
            Reason::CredentialNotActivated => "credential_not_activated",
            Reason::CredentialSuspended => "credential_suspended",
            Reason::CredentialLost => "credential_lost",
            Reason::CredentialRevoked => "credential_revoked",
            Reason::CredentialNotYetValid => "credential_not_yet_valid",
            Reason::CredentialExpired => "credential_expired",
            Reason::DoorLockedDown => "door_locked_down",
            Reason::DoorBlocked => "door_blocked",
            Reason::NoGrant => "no_grant",
            Reason::WrongDoor => "wrong_door",
            Reason::ClockUntrusted => "clock_untrusted",
            Reason::CacheStale => "cache_stale",
            Reason::TooEarly => "too_early",
            Reason::TooLate => "too_late",
            Reason::HostBookingMissing => "host_booking_missing",
            Reason::CapacityReached => "capacity_reached",
            Reason::OutsideBuildingHours => "outside_building_hours",
            Reason::InWindow => "in_window",
            Reason::Standing => "standing",
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_names_of_the_wire_and_the_list_of_them_is_whole() {
        let wire = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.as_str(), wire(serde_json::json!(reason)));
            assert_eq!(reason as usize, n);
        }
        assert_eq!(Reason::ALL.last(), Some(&Reason::Standing), "the last there is");
        for verdict in [Verdict::Granted, Verdict::Denied] {
            assert_eq!(verdict.as_str(), wire(serde_json::json!(verdict)));
        }
    }
}
