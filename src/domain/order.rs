//! What a door can be told to do, in the wire's words (`action` of a command), and why it may refuse.

use std::fmt;

/// An action of the wire and of `latchctl door`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DoorAction {
    /// Open once, as a tap would.
    Access,
    Lock,
    Unlock,
    Block,
    Unblock,
    LockDown,
    LockDownRelease,
    LockOpen,
    LockOpenRelease,
}

impl DoorAction {
    pub const ALL: [DoorAction; 9] = [
        DoorAction::Access,
        DoorAction::Lock,
        DoorAction::Unlock,
        DoorAction::Block,
        DoorAction::Unblock,
        DoorAction::LockDown,
        DoorAction::LockDownRelease,
        DoorAction::LockOpen,
        DoorAction::LockOpenRelease,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DoorAction::Access => "access",
            DoorAction::Lock => "lock",
            DoorAction::Unlock => "unlock",
            DoorAction::Block => "block",
            DoorAction::Unblock => "unblock",
            DoorAction::LockDown => "lock_down",
            DoorAction::LockDownRelease => "lock_down_release",
            DoorAction::LockOpen => "lock_open",
            DoorAction::LockOpenRelease => "lock_open_release",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        DoorAction::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

impl fmt::Display for DoorAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An action, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorOrder {
    pub action: DoorAction,
    /// After which the door's mode is what it was; `None`: until told otherwise.
    for_s: Option<u32>,
}

impl DoorOrder {
    /// Only `unlock` and `lock_open` take a time, and that one is a second at least.
    pub fn new(action: DoorAction, for_s: Option<u32>) -> Result<Self, OrderRefusal> {
        let takes_time = matches!(action, DoorAction::Unlock | DoorAction::LockOpen);
        match for_s {
            Some(_) if !takes_time => Err(OrderRefusal::ForNotTaken),
            Some(0) => Err(OrderRefusal::ForZero),
            _ => Ok(DoorOrder { action, for_s }),
        }
    }

    pub fn for_s(&self) -> Option<u32> {
        self.for_s
    }
}

/// Why an order was not carried out. As text: the sentence for people, which goes on after the door's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    #[error("it is locked down, and takes nothing but the lockdown's release (lock_down_release)")]
    DoorLockedDown,
    #[error("it is locked open, and takes nothing but the release of that (lock_open_release)")]
    DoorLockedOpen,
    #[error("it is blocked; unblock it first")]
    DoorBlocked,
    #[error("it is not locked down, so there is nothing to release")]
    NotLockedDown,
    #[error("it is not locked open, so there is nothing to release")]
    NotLockedOpen,
    #[error("it is not blocked, so there is nothing to unblock")]
    NotBlocked,
    #[error("only unlock and lock_open take a time (for_s)")]
    ForNotTaken,
    #[error("a time (for_s) is one second at least")]
    ForZero,
}

impl OrderRefusal {
    /// `reason` on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderRefusal::DoorLockedDown => "door_locked_down",
            OrderRefusal::DoorLockedOpen => "door_locked_open",
            OrderRefusal::DoorBlocked => "door_blocked",
            OrderRefusal::NotLockedDown => "not_locked_down",
            OrderRefusal::NotLockedOpen => "not_locked_open",
            OrderRefusal::NotBlocked => "not_blocked",
            OrderRefusal::ForNotTaken => "for_s_not_taken",
            OrderRefusal::ForZero => "for_s_zero",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_read_back_from_its_name_and_nothing_else_is_one() {
        for action in DoorAction::ALL {
            assert_eq!(DoorAction::parse(action.as_str()), Some(action));
            assert_eq!(action.to_string(), action.as_str());
        }
        for name in ["", "Lock", "lock-down", "open", "resync"] {
            assert_eq!(DoorAction::parse(name), None, "{name}");
        }
    }

    #[test]
    fn only_what_opens_and_stays_takes_a_time_and_none_of_no_length() {
        for action in DoorAction::ALL {
            let timed = DoorOrder::new(action, Some(30)).map(|order| order.for_s());
            let expected = match action.as_str() {
                "unlock" | "lock_open" => Ok(Some(30)),
                _ => Err(OrderRefusal::ForNotTaken),
            };
            assert_eq!(timed, expected, "{action}");
            assert_eq!(DoorOrder::new(action, None).map(|order| order.for_s()), Ok(None), "{action}");
        }
        assert_eq!(DoorOrder::new(DoorAction::Unlock, Some(0)), Err(OrderRefusal::ForZero));
    }
}
