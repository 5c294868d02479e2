//! One door: what its lock, contact and button say, and the pulse that is under way.
//!
//! ```text
//!            Pulse sent            echo and read-back agree         read back as off
//!   Secure ────────────► asked ─────────────────────────► Released ─────────────────► Secure
//!                          │ no echo, wrong echo, board lost
//!                          └────────────────────────────► fault (said once, until a pulse works again)
//! ```
//!
//! Inputs are levels: the contact is read, never toggled.

use crate::domain::{At, Contact, CredentialId, DoorAlarm, DoorMode, HolderId, LockState};

#[derive(Debug, Clone, Default)]
pub struct Door {
    /// What it returns to when a passage is over.
    pub mode: DoorMode,
    pub lock: LockState,
    pub contact: Contact,
    pub alarm: DoorAlarm,
    /// What its board does not confirm.
    pub fault: Option<String>,
    rex: Option<bool>,
    /// The last pulse that was asked for and has not ended.
    pulse: Option<u64>,
    pub last: Option<Passed>,
}

/// Who was last let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub at: At,
    pub holder: Option<HolderId>,
    pub credential: Option<CredentialId>,
}

/// What an input's new level means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Opened,
    Closed,
    RexPressed,
}

impl Door {
    /// The mode as people see it: released for one passage is `accessed`.
    pub fn shown_mode(&self) -> DoorMode {
        match (self.mode, self.lock) {
            (DoorMode::Locked, LockState::Released) => DoorMode::Accessed,
            (mode, _) => mode,
        }
    }

    /// The contact's level, `true` for closed. The first one after the board came is where the door is, no event.
    pub fn contact_reads(&mut self, closed: bool) -> Option<Edge> {
        let now = if closed { Contact::Closed } else { Contact::Open };
        let before = std::mem::replace(&mut self.contact, now);
        match (before, now) {
            (Contact::Closed, Contact::Open) => Some(Edge::Opened),
            (Contact::Open, Contact::Closed) => Some(Edge::Closed),
            _ => None,
        }
    }

    /// The button's level. Held down while the board came, it counts when it is pressed again.
    pub fn rex_reads(&mut self, pressed: bool) -> Option<Edge> {
        let before = self.rex.replace(pressed);
        (before == Some(false) && pressed).then_some(Edge::RexPressed)
    }

    pub fn pulse_sent(&mut self, ticket: u64) {
        self.pulse = Some(ticket);
    }

    /// Returns whether a fault has ended.
    pub fn pulsed(&mut self) -> bool {
        self.lock = LockState::Released;
        self.fault.take().is_some()
    }

    /// Returns whether the fault is new.
    pub fn failed(&mut self, detail: &str) -> bool {
        self.lock = LockState::Unknown;
        self.fault.replace(detail.to_owned()).is_none()
    }

    /// The board did not do it: nothing more will be said of this pulse.
    pub fn gave_up(&mut self, ticket: u64) {
        if self.pulse == Some(ticket) {
            self.pulse = None;
        }
    }

    /// A pulse has ended; an earlier one than the last says nothing about the lock.
    pub fn ended(&mut self, ticket: u64) {
        if self.pulse.is_none_or(|last| last == ticket) {
            self.pulse = None;
            self.lock = LockState::Secure;
        }
    }

    pub fn board_connected(&mut self) {
        if self.pulse.is_none() {
            self.lock = LockState::Secure;
        }
    }

    /// Nothing is known any more.
    pub fn board_lost(&mut self) {
        self.lock = LockState::Unknown;
    }

    /// The board its contact is on is lost.
    pub fn contact_lost(&mut self) {
        self.contact = Contact::Unknown;
    }

    pub fn rex_lost(&mut self) {
        self.rex = None;
    }
}
