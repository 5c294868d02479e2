//! What state a door is in, in ONVIF's words (Door Control Service, DoorMode, DoorAlarmState).

use serde::{Deserialize, Serialize};

/// How a door treats those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoorMode {
    #[default]
    Locked,
    /// Unlocked until told otherwise.
    Unlocked,
    /// Momentarily released for one passage.
    Accessed,
    /// No access, but for those who override a lockdown.
    Blocked,
    LockedDown,
    LockedOpen,
}

impl DoorMode {
    /// Whether its lock is kept from locking.
    pub fn is_open(self) -> bool {
        matches!(self, DoorMode::Unlocked | DoorMode::LockedOpen)
    }

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            DoorMode::Locked => "locked",
            DoorMode::Unlocked => "unlocked",
            DoorMode::Accessed => "accessed",
            DoorMode::Blocked => "blocked",
            DoorMode::LockedDown => "locked_down",
            DoorMode::LockedOpen => "locked_open",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            DoorMode::Locked,
            DoorMode::Unlocked,
            DoorMode::Accessed,
            DoorMode::Blocked,
            DoorMode::LockedDown,
            DoorMode::LockedOpen,
        ];
        all.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What the lock does, as far as the board confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    Secure,
    Released,
    #[default]
    Unknown,
}

/// What the door contact says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    Open,
    Closed,
    #[default]
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoorAlarm {
    #[default]
    None,
    Forced,
    HeldOpen,
}

/// Which way a reader's taps lead through its door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    In,
    Out,
}
