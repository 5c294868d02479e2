//! A decision with all that was looked at for it: what `latchctl explain` shows people. As JSON only the decision goes
//! out, as the contract has it ([`ExplainReport`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ClockReport, CredentialReport, GrantReport};
use crate::domain::{At, CredentialId, Direction, DoorId, DoorMode, GrantId, HolderId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainQuery {
    pub door: DoorId,
    /// Either this or `credential`. Hexadecimal, in either case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    #[serde(default)]
    pub direction: Direction,
    /// Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

/// `explain --json` prints this, without `site`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// The door asked about.
    pub door: DoorId,
    /// Of whoever taps there.
    pub direction: Direction,
    /// The instant asked about.
    pub at: At,
    /// `granted` or `denied`.
    pub decision: String,
    /// A word of the rules, such as `in_window`.
    pub reason: String,
    /// The row of the rules' table that decided.
    pub row: u8,
    /// Which card; left out of one that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    /// The grant that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// The window's begin, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<At>,
    /// The window's end, which is not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<At>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub answer: ExplainReport,
    pub looked_at: LookedAt,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookedAt {
    /// Of a card that is not known: the first 8 hex digits of its keyed hash, as in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialReport>,
    pub mode: DoorMode,
    /// The door opens for bookings only while the building is open.
    pub building_hours_only: bool,
    /// After how long without central the door refuses bookings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_stale_s: Option<u64>,
    /// Central was last heard longer ago than that.
    pub stale: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub central_at: Option<At>,
    pub clock: ClockReport,
    /// All of the holder's.
    pub grants: u64,
    /// Those that cover the door: what opens first, then what opens soonest; [`LookedAt::LISTED`] of them.
    pub covering: Vec<CoveringGrant>,
    /// How many more cover it.
    pub more: u64,
    /// When one of them opens next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextWindow>,
    /// Where the desk has to do something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staffed: Option<Hours>,
    /// Where the building's hours are in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub building: Option<Hours>,
}

impl LookedAt {
    pub const LISTED: usize = 20;
}

/// A grant that covers the door, and what it comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoveringGrant {
    #[serde(flatten)]
    pub grant: GrantReport,
    /// `opens`, `not_yet`, `no_longer`, `never_opens`, `clock_untrusted`, `cache_stale`, `door_shut` (it overrides no
    /// lockdown), or the reason of row 10.
    pub finding: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextWindow {
    pub grant: GrantId,
    pub opens_at: At,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<At>,
}

/// Hours of the policy, as seen from an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hours {
    /// The instant lies in them.
    pub within: bool,
    /// The next that begin after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<(At, At)>,
}

/// A decision of the past beside what would be decided by what is known today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastExplanation {
    /// As it stands in the journal.
    pub event: Value,
    /// The same tap then, by today's records; left out where the door or the card is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Explanation>,
    /// The same tap now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Explanation>,
}
