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
    pub const ALL: [DoorMode; 6] = [
        DoorMode::Locked,
        DoorMode::Unlocked,
        DoorMode::Accessed,
        DoorMode::Blocked,
        DoorMode::LockedDown,
        DoorMode::LockedOpen,
    ];

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
        DoorMode::ALL.into_iter().find(|mode| mode.as_str() == name)
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

impl LockState {
    pub const ALL: [LockState; 3] = [LockState::Secure, LockState::Released, LockState::Unknown];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            LockState::Secure => "secure",
            LockState::Released => "released",
            LockState::Unknown => "unknown",
        }
    }
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

impl Contact {
    pub const ALL: [Contact; 3] = [Contact::Open, Contact::Closed, Contact::Unknown];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Contact::Open => "open",
            Contact::Closed => "closed",
            Contact::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoorAlarm {
    #[default]
    None,
    Forced,
    HeldOpen,
}

impl DoorAlarm {
    pub const ALL: [DoorAlarm; 3] = [DoorAlarm::None, DoorAlarm::Forced, DoorAlarm::HeldOpen];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            DoorAlarm::None => "none",
            DoorAlarm::Forced => "forced",
            DoorAlarm::HeldOpen => "held_open",
        }
    }
}

/// Which way a reader's taps lead through its door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    In,
    Out,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_mode_is_read_back_from_its_name_and_nothing_else_is_one() {
        for mode in DoorMode::ALL {
            assert_eq!(DoorMode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(DoorMode::parse("Locked").or(DoorMode::parse("")), None);
    }

    /// A state that is missing in `ALL` would be seen nowhere in the metrics.
    #[test]
    fn all_states_are_listed_under_the_names_of_the_wire() {
        let check = |n: usize, number: usize, name: &str, wire: Value| {
            assert_eq!((n, Value::from(name)), (number, wire));
        };
        DoorMode::ALL.iter().enumerate().for_each(|(n, s)| check(n, *s as usize, s.as_str(), json!(s)));
        LockState::ALL.iter().enumerate().for_each(|(n, s)| check(n, *s as usize, s.as_str(), json!(s)));
        Contact::ALL.iter().enumerate().for_each(|(n, s)| check(n, *s as usize, s.as_str(), json!(s)));
        DoorAlarm::ALL.iter().enumerate().for_each(|(n, s)| check(n, *s as usize, s.as_str(), json!(s)));
        let last = (DoorMode::ALL.last(), LockState::ALL.last(), Contact::ALL.last(), DoorAlarm::ALL.last());
        let expected = (&DoorMode::LockedOpen, &LockState::Unknown, &Contact::Unknown, &DoorAlarm::HeldOpen);
        assert_eq!(last, (Some(expected.0), Some(expected.1), Some(expected.2), Some(expected.3)));
    }
}
