//! What is said while a technician stands at the door with a card or a screwdriver: taps as readers see them, inputs as
//! boards read them.
//!
//! The one place where a UID goes over the socket in clear, and only to whoever may commission readers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{
    At, BoardId, ControllerId, CredentialId, Direction, DoorId, DoorMode, GrantId, HolderId, ReaderId, Zone,
};

/// An item of `reader_watch`: first how each reader is, then what happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ReaderNews {
    /// How it is now; again each time it comes or goes.
    Reader {
        at: At,
        reader: ReaderId,
        door: DoorId,
        direction: Direction,
        driver: String,
        connected: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Tap(CardSeen),
    /// Something was in the field and was no card that can be read.
    Unreadable {
        at: At,
        reader: ReaderId,
        detail: String,
    },
    /// So many things happened faster than they could be told.
    Missed {
        count: u64,
    },
}

/// A tap, with the card's UID.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CardSeen {
    /// When.
    pub at: At,
    /// Where.
    pub reader: ReaderId,
    /// The door that reader stands at.
    pub door: DoorId,
    /// Of whoever taps there.
    pub direction: Direction,
    /// In the order of bytes that the reader's `uid_order` settles, in upper-case hexadecimal.
    pub uid: String,
    /// The other way round.
    pub reversed: String,
    /// In bytes.
    pub length: u8,
    /// The card makes up a new one for each tap: it identifies nobody.
    pub random: bool,
    /// `granted` or `denied`: what became of it.
    pub decision: String,
    /// A word of the rules, such as `in_window`.
    pub reason: String,
    /// Which card; left out of one that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    /// The grant that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// Whose it would be the other way round; left out when it is somebody's as it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed_credential: Option<CredentialId>,
    /// The journal entry of the decision.
    pub seq: u64,
}

impl fmt::Debug for CardSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CardSeen { seq, reader, length, .. } = self;
        write!(f, "CardSeen(entry {seq}, at {reader}, {length} bytes)")
    }
}

/// What is to be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOf {
    Board(BoardId),
    Door(DoorId),
}

/// An item of `wiring_test`: first the plan, then what changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum WiringNews {
    Plan(WiringReport),
    /// Inputs that one reading of the board showed changed, all of them.
    Inputs {
        at: At,
        board: BoardId,
        changes: Vec<InputChange>,
    },
    /// The board was lost, or is back.
    Board {
        at: At,
        board: BoardId,
        connected: bool,
        detail: String,
    },
    /// The test may not go on.
    Stop {
        at: At,
        why: String,
    },
    /// So many things happened faster than they could be told.
    Missed {
        count: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputChange {
    pub input: u8,
    pub on: bool,
}

/// How what is tested is wired, as configured, and what its inputs read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WiringReport {
    pub controller: ControllerId,
    pub version: String,
    pub time_zone: Zone,
    pub now: At,
    /// Who tests, and the journal entry that says so.
    pub by: String,
    pub seq: u64,
    /// Those that are watched.
    pub boards: Vec<WiringBoard>,
    /// Those that are tested.
    pub doors: Vec<WiringDoor>,
    /// What every input of these boards is for, of other doors too.
    pub inputs: Vec<InputUse>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WiringBoard {
    pub board: BoardId,
    pub url: String,
    pub connected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The inputs that are on now.
    pub on: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WiringDoor {
    pub door: DoorId,
    pub name: String,
    pub mode: DoorMode,
    pub board: BoardId,
    pub coil: u8,
    pub strike_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<WiringInput>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rex: Option<WiringInput>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WiringInput {
    pub board: BoardId,
    pub input: u8,
    pub invert: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputUse {
    pub board: BoardId,
    pub input: u8,
    pub role: InputRole,
    /// Left out of the fire alarm's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRole {
    Contact,
    Rex,
    Fire,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_card_that_was_seen_is_told_to_the_technician_and_not_to_a_log() {
        let value = json!({"what": "tap", "at": "2026-11-23T08:00:00Z", "reader": "entrance-in", "door": "entrance",
            "direction": "in", "uid": "04A1B2C3", "reversed": "C3B2A104", "length": 4, "random": false,
            "decision": "denied", "reason": "unknown_credential", "reversed_credential": "c-81", "seq": 12});
        let news: ReaderNews = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&news).unwrap(), value);
        let logged = format!("{news:?}");
        assert!(!logged.contains("04A1B2C3") && !logged.contains("C3B2A104"), "{logged}");
        assert!(logged.contains("entry 12") && logged.contains("4 bytes"), "{logged}");
    }

    #[test]
    fn what_a_board_reads_at_once_is_told_at_once() {
        let value = json!({"what": "inputs", "at": "2026-11-23T08:00:00Z", "board": "board-1",
            "changes": [{"input": 0, "on": false}, {"input": 3, "on": true}]});
        let news: WiringNews = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&news).unwrap(), value);
        let of = |test: TestOf| serde_json::to_value(test).unwrap();
        assert_eq!(of(TestOf::Door("entrance".parse().unwrap())), json!({"door": "entrance"}));
    }
}
