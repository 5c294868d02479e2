//! Doors, readers and boards, as people ask about them.

use serde::{Deserialize, Serialize};

use crate::domain::{
    At, BoardId, Contact, CredentialId, Direction, DoorAlarm, DoorId, DoorMode, HolderId, LockState,
    ReaderId, ZoneId,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoorReport {
    /// Its id.
    pub door: DoorId,
    /// What people call it.
    pub name: String,
    /// Those it lies in.
    pub zones: Vec<ZoneId>,
    /// The one its strike is on.
    pub board: BoardId,
    /// ONVIF's DoorMode.
    pub mode: DoorMode,
    /// What the lock does, as far as the board confirms it.
    pub lock: LockState,
    /// What the contact reads; `unknown` where there is none, or its board is lost.
    pub contact: Contact,
    /// ONVIF's DoorAlarm.
    pub alarm: DoorAlarm,
    /// What its board does not confirm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Who was last let in, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastPassage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastPassage {
    /// When.
    pub at: At,
    /// Who; left out of a technician's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    /// By which card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReaderReport {
    /// Its id.
    pub reader: ReaderId,
    /// The door it stands at.
    pub door: DoorId,
    /// Of whoever taps there.
    pub direction: Direction,
    /// `pn532`, `pcsc` or `osdp`.
    pub driver: String,
    /// It answers.
    pub connected: bool,
    /// Since when it does, or does not; left out where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    /// Which device, or why it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When the last card was held to it, since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tap: Option<At>,
    /// What became of the last tap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<String>,
    /// It is spoken to in clear text, though it could do better: who has the cable can say any card.
    #[serde(default)]
    pub insecure: bool,
    /// It says that it was opened or taken off the wall.
    #[serde(default)]
    pub tamper: bool,
    /// What else it says is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Left out when it was not started over within the last hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<RestartsReport>,
}

/// How often a reader that keeps failing was started over: a row of restarts, none an hour after the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartsReport {
    /// How many there were.
    pub count: u64,
    /// When the first was.
    pub since: At,
    /// When the last was.
    pub last: At,
    /// Why the last was.
    pub last_error: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardReport {
    /// Its id.
    pub board: BoardId,
    /// Where it is, as configured.
    pub url: String,
    /// It answers.
    pub connected: bool,
    /// Since when it does, or does not; left out where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    /// Which device, or why it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
