//! Cards and grants, as people ask about them.

use serde::{Deserialize, Serialize};

use super::cards;
use crate::domain::{At, BookingId, CredentialId, DoorId, GrantId, HolderId, Kind, Status, ZoneId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CredentialReport {
    /// Central's id of the card.
    pub id: CredentialId,
    /// Whose it is.
    pub holder: HolderId,
    /// What it is now.
    pub status: Status,
    /// Before that it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<At>,
    /// From then on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<At>,
    /// What central calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The strike and the door's times are longer for this card.
    pub extended_time: bool,
    /// The first 8 hex digits of the UID's keyed hash, as in events; left out when a later credential has its UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_tag: Option<String>,
    /// The status is the desk's, not central's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk: Option<cards::AtDesk>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantReport {
    /// Central's id of the grant.
    pub id: GrantId,
    /// What it is for.
    pub kind: Kind,
    /// Who has it.
    pub holder: HolderId,
    /// Doors it names; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doors: Vec<DoorId>,
    /// Zones it names; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneId>,
    /// The booking it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<BookingId>,
    /// How many the room holds, the host included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Open at the instant asked about.
    pub active: bool,
    /// The window as computed: of a schedule the occurrence that is open, or the next one. Left out: unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<At>,
    /// The window's end, which is not part of it. Left out: unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<At>,
    /// It never opens (narrowing or notice leave nothing).
    #[serde(default)]
    pub empty: bool,
    /// It opens by a weekly schedule.
    #[serde(default)]
    pub scheduled: bool,
    /// It opens a door that is locked down or blocked.
    pub override_lockdown: bool,
}
