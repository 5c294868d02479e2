//! What the controller says on MQTT: `sync`, `status`, `door/{door}` and `events`.

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::{Digest, checkpoint::Checkpoint, stored::Position};
use crate::domain::{At, ClockTrust, Contact, ControllerId, DoorAlarm, DoorId, DoorMode, LockState};

/// What the controller wants of central on `feed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    Nothing,
    /// Everything after `applied`.
    Changes,
    Snapshot,
}

impl Want {
    pub fn as_str(self) -> &'static str {
        match self {
            Want::Nothing => "nothing",
            Want::Changes => "changes",
            Want::Snapshot => "snapshot",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sync {
    pub controller: ControllerId,
    pub epoch: u64,
    pub applied: u64,
    pub want: Want,
    pub rejected: u64,
    pub records: Records,
    #[serde(serialize_with = "as_hex")]
    pub digest: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Records {
    pub credentials: u64,
    pub grants: u64,
}

impl Sync {
    pub fn of(controller: ControllerId, position: &Position, want: Want) -> Self {
        Sync {
            controller,
            epoch: position.epoch,
            applied: position.applied,
            want,
            rejected: position.rejected,
            records: Records { credentials: position.credentials, grants: position.grants },
            digest: position.digest,
        }
    }
}

fn as_hex<S: serde::Serializer>(digest: &Digest, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(digest)
}

/// `status` while online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    pub controller: ControllerId,
    pub online: bool,
    /// Since when this connection stands.
    pub since: At,
    pub version: &'static str,
    pub epoch: u64,
    pub applied: u64,
    pub journal: String,
    pub recorded: u64,
    pub acknowledged: u64,
    pub clock: Clock,
    /// `good`, or `failing`: nothing that central changes can be kept.
    pub store: &'static str,
    /// The newest signature under the journal: who holds it notices one that was rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}

/// The clock as the wire names it; hold-over counts as trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    Trusted,
    Untrusted,
}

impl From<ClockTrust> for Clock {
    fn from(trust: ClockTrust) -> Self {
        if trust.is_trusted() { Clock::Trusted } else { Clock::Untrusted }
    }
}

/// `status` as the will says it, and a clean stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offline {
    pub controller: ControllerId,
    pub online: bool,
}

impl Offline {
    pub fn of(controller: ControllerId) -> Self {
        Offline { controller, online: false }
    }
}

/// `door/{door}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoorState {
    pub controller: ControllerId,
    pub door: DoorId,
    pub mode: DoorMode,
    pub lock: LockState,
    pub contact: Contact,
    pub alarm: DoorAlarm,
    pub at: At,
}

/// Most events in one message.
pub const MAX_EVENTS: usize = 500;

/// One message on `events`, of lines as they stand in the journal.
pub fn events<'a>(
    controller: &ControllerId,
    journal: &str,
    lines: impl IntoIterator<Item = &'a str>,
) -> String {
    let lines: Vec<&str> = lines.into_iter().collect();
    format!(r#"{{"controller":"{controller}","journal":"{journal}","events":[{}]}}"#, lines.join(","))
}

/// A message as JSON. These types always have one.
pub fn to_json<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).unwrap_or_default()
}
