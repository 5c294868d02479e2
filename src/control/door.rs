//! One door: what its lock, contact and button say, the pulse that is under way, and what its mode has the lock do.
//!
//! ```text
//!            Pulse sent            echo and read-back agree         read back as off
//!   Secure ────────────► asked ─────────────────────────► Released ─────────────────► Secure
//!                          │ no echo, wrong echo, board lost
//!                          └────────────────────────────► fault (said once, until a pulse works again)
//! ```
//!
//! Inputs are levels: the contact is read, never toggled.
//!
//! A board only ever gets pulses it ends by itself, so a mode that keeps the door open is a pulse renewed well before
//! the last one ends; whatever becomes of us, the door locks within that one pulse.
//!
//! ```text
//!            mode opens, entry on disk           renew_at: Pulse again
//!    Rest ──────────────────────────────► Held ◄──────────────────────┐
//!     ▲ ▲                                   │ └───────────────────────┘
//!     │ │ a passage's own pulse             │ mode locks, at once, or when a request to exit is over
//!     │ └─────────────────────── Closing ◄──┘
//!     └───────────────────────────┘ ▲  │ at: Secure (again, until the board confirms)
//!              read back as off     └──┘
//! ```
//!
//! The fire alarm holds a door so marked in the same way, over whatever its mode is; when it is over the mode has it.

use std::time::Duration;

use super::{event::Warrant, leaf::Leaf, modes::Modes};
use crate::domain::{At, Contact, CredentialId, DoorMode, HolderId, LockState, Mono};

/// One pulse of a mode that keeps the door open, and when the next one follows: a daemon that stood still for half of
/// it lets no door fall shut, and one that died leaves none open for longer than it.
pub const HELD_PULSE: Duration = Duration::from_secs(10);
const RENEW_AFTER: Duration = Duration::from_secs(5);
/// After a board refused or failed to drive for a mode, or to switch off.
const TRY_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub struct Door {
    /// What its tickets at a board are made of: its place in the list may change, and this stays.
    pub slot: u16,
    pub modes: Modes,
    /// The journal's entry of the last change of mode; 0: none is known.
    pub modes_seq: u64,
    /// By what its mode keeps it open, if it does.
    by_mode: Option<(u64, Warrant)>,
    /// The entry of the fire alarm that keeps it open.
    by_fire: Option<u64>,
    drive: Drive,
    /// Somebody asked to leave: until then no mode takes the strike away.
    exit_until: Option<Mono>,
    /// Its strike's board is connected.
    board_up: bool,
    pub lock: LockState,
    pub contact: Contact,
    pub leaf: Leaf,
    /// The entry of the last `door.opened` or `door.closed`.
    pub moved_seq: u64,
    /// The button has been pressed for too long.
    pub button_stuck: bool,
    /// What its board does not confirm.
    pub fault: Option<String>,
    rex: Option<bool>,
    /// The last pulse that was asked for and has not ended.
    pulse: Option<u64>,
    /// The last that the board confirmed and has not said the end of: another that failed since says nothing about it.
    running: Option<u64>,
    /// Until then a pulse may run of which nothing is known: of before a restart, or one the board did not confirm.
    strange_until: Option<Mono>,
    pub last: Option<Passed>,
}

/// What the mode has the lock do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Drive {
    /// Pulses of passages end by themselves.
    #[default]
    Rest,
    /// Driven on the warrant of the entry `seq`.
    Held {
        seq: u64,
        warrant: Warrant,
        renew_at: Mono,
    },
    Closing {
        ticket: u64,
        at: Mono,
    },
}

/// What is due at a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Pulse { seq: u64, warrant: Warrant },
    Secure { ticket: u64 },
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
    /// Where it is, at the first reading: no event.
    FoundOpen,
    FoundClosed,
    RexPressed,
    RexReleased,
}

impl Door {
    /// One of which nothing is known yet.
    pub fn new(slot: u16) -> Self {
        Door { slot, ..Door::default() }
    }

    /// What it returns to when a passage is over.
    pub fn mode(&self) -> DoorMode {
        self.modes.mode()
    }

    /// Its mode opens it, on this warrant, from now on.
    pub fn hold(&mut self, now: Mono, seq: u64, warrant: Warrant) {
        self.by_mode = Some((seq, warrant));
        if self.by_fire.is_none() {
            self.drive = Drive::Held { seq, warrant, renew_at: now };
        }
    }

    /// Its mode no longer opens it. Whether there is something to switch off now.
    pub fn close(&mut self, now: Mono, ticket: u64) -> bool {
        self.by_mode = None;
        if self.by_fire.is_some() {
            return false;
        }
        let may_be_driven = self.strange_until.is_some_and(|until| now < until);
        let is_driven = self.last_pulse().is_some() || self.lock == LockState::Released || may_be_driven;
        if self.drive == Drive::Rest && !is_driven {
            return false;
        }
        let at = self.exit_until.map_or(now, |exit| exit.max(now));
        self.drive = Drive::Closing { ticket, at };
        self.board_up && at <= now
    }

    /// The fire alarm opens it, by the entry `seq`, from now on.
    pub fn fire_raised(&mut self, now: Mono, seq: u64) {
        self.by_fire = Some(seq);
        self.drive = Drive::Held { seq, warrant: Warrant::Fire, renew_at: now };
    }

    /// The fire alarm is over. Whether its mode keeps it open; it is to be closed otherwise.
    pub fn fire_cleared(&mut self, now: Mono) -> bool {
        self.by_fire = None;
        if let Some((seq, warrant)) = self.by_mode {
            self.drive = Drive::Held { seq, warrant, renew_at: now };
        }
        self.by_mode.is_some()
    }

    pub fn is_held_by_fire(&self) -> bool {
        self.by_fire.is_some()
    }

    /// Whatever is known of it, the strike may be driven until then.
    pub fn may_be_driven(&mut self, until: Mono) {
        self.strange_until = self.strange_until.max(Some(until));
    }

    /// A pulse for a passage: for how long, so that it cuts no longer one short.
    pub fn passage(&mut self, hold: Duration) -> Duration {
        match self.drive {
            Drive::Held { .. } => hold.max(HELD_PULSE),
            Drive::Rest => hold,
            Drive::Closing { .. } => {
                self.drive = Drive::Rest;
                hold
            }
        }
    }

    /// The leaf has moved as the strike waited for: it is dropped, unless a mode keeps the door open, or it is driven
    /// for somebody who came since.
    pub fn relock(&mut self, now: Mono) {
        let is_driven = self.last_pulse().is_some_and(|pulse| pulse < self.moved_seq);
        if self.drive == Drive::Rest && is_driven {
            self.drive = Drive::Closing { ticket: self.moved_seq, at: now };
        }
    }

    /// Its strike is wired elsewhere from now on, and what is known of it is void. Whether it may be driven as it was
    /// wired. What a mode or the alarm wants goes on as soon as there is a board to do it.
    pub fn rewired(&mut self, now: Mono) -> bool {
        let may_be_driven = self.strange_until.take().is_some_and(|until| now < until);
        let is_driven = self.last_pulse().is_some() || self.lock != LockState::Secure || may_be_driven;
        (self.pulse, self.running) = (None, None);
        match &mut self.drive {
            Drive::Held { renew_at, .. } => *renew_at = now,
            Drive::Closing { .. } => self.drive = Drive::Rest,
            Drive::Rest => {}
        }
        self.board_lost();
        is_driven
    }

    pub fn exit_asked(&mut self, until: Mono) {
        self.exit_until = self.exit_until.max(Some(until));
    }

    pub fn board_is_up(&self) -> bool {
        self.board_up
    }

    /// When something is due: an end of the mode, or at the lock while there is a board to do it.
    pub fn deadline(&self) -> Option<Mono> {
        let at = match self.drive {
            Drive::Rest => None,
            Drive::Held { renew_at: at, .. } | Drive::Closing { at, .. } => Some(at),
        };
        let mode_ends = self.modes.end().map(|end| end.mono);
        at.filter(|_| self.board_up).into_iter().chain(mode_ends).min()
    }

    /// What is due at the lock. It is due again later, unless the board confirms.
    pub fn take_due(&mut self, now: Mono) -> Option<Due> {
        if !self.board_up {
            return None;
        }
        match &mut self.drive {
            Drive::Held { seq, warrant, renew_at } if *renew_at <= now => {
                *renew_at = now.plus(RENEW_AFTER);
                Some(Due::Pulse { seq: *seq, warrant: *warrant })
            }
            Drive::Closing { ticket, at } if *at <= now => {
                *at = now.plus(RENEW_AFTER);
                Some(Due::Secure { ticket: *ticket })
            }
            Drive::Rest | Drive::Held { .. } | Drive::Closing { .. } => None,
        }
    }

    /// The board switched the coil off. `is_to_come` tells of a pulse whether it was asked for after that, and the board
    /// has yet to do it.
    pub fn secured(&mut self, ticket: u64, is_to_come: impl Fn(u64) -> bool) {
        if matches!(self.drive, Drive::Closing { ticket: own, .. } if own == ticket) {
            self.drive = Drive::Rest;
        }
        (self.strange_until, self.running) = (None, None);
        if !self.pulse.is_some_and(is_to_come) {
            self.pulse = None;
            self.lock = LockState::Secure;
        }
    }

    /// What was due at the lock failed, or ended too soon: to be done again.
    fn again(&mut self, ticket: u64, then: Mono) {
        match &mut self.drive {
            Drive::Held { seq: own, renew_at: at, .. } | Drive::Closing { ticket: own, at }
                if *own == ticket =>
            {
                *at = then.min(*at);
            }
            Drive::Rest | Drive::Held { .. } | Drive::Closing { .. } => {}
        }
    }

    /// The mode as people see it: released for one passage is `accessed`.
    pub fn shown_mode(&self) -> DoorMode {
        match (self.mode(), self.lock, self.drive) {
            (DoorMode::Locked, LockState::Released, Drive::Rest) => DoorMode::Accessed,
            (mode, ..) => mode,
        }
    }

    /// The contact's level, `true` for closed. The first one after the board came is where the door is, no event.
    pub fn contact_reads(&mut self, closed: bool) -> Option<Edge> {
        let now = if closed { Contact::Closed } else { Contact::Open };
        let before = std::mem::replace(&mut self.contact, now);
        match (before, now) {
            (Contact::Closed, Contact::Open) => Some(Edge::Opened),
            (Contact::Open, Contact::Closed) => Some(Edge::Closed),
            (Contact::Unknown, Contact::Open) => Some(Edge::FoundOpen),
            (Contact::Unknown, Contact::Closed) => Some(Edge::FoundClosed),
            _ => None,
        }
    }

    /// The button's level. Held down while the board came, it counts when it is pressed again.
    pub fn rex_reads(&mut self, pressed: bool) -> Option<Edge> {
        match (self.rex.replace(pressed), pressed) {
            (Some(false), true) => Some(Edge::RexPressed),
            (Some(true), false) => Some(Edge::RexReleased),
            (None | Some(_), _) => None,
        }
    }

    pub fn pulse_sent(&mut self, ticket: u64) {
        self.pulse = Some(ticket);
    }

    fn last_pulse(&self) -> Option<u64> {
        self.pulse.or(self.running)
    }

    /// Returns whether a fault has ended.
    pub fn pulsed(&mut self, ticket: u64) -> bool {
        self.running = Some(ticket);
        self.lock = LockState::Released;
        self.fault.take().is_some()
    }

    /// Returns whether the fault is new.
    pub fn failed(&mut self, detail: &str) -> bool {
        self.lock = LockState::Unknown;
        self.fault.replace(detail.to_owned()).is_none()
    }

    /// The board did not do it: nothing more will be said of this pulse.
    pub fn gave_up(&mut self, now: Mono, ticket: u64) {
        self.again(ticket, now.plus(TRY_AGAIN));
        if self.pulse == Some(ticket) {
            self.pulse = None;
        }
    }

    /// A pulse has ended; an earlier one than the last says nothing about the lock.
    pub fn ended(&mut self, now: Mono, ticket: u64) {
        if matches!(self.drive, Drive::Held { .. }) {
            self.again(ticket, now);
        }
        self.running.take_if(|running| *running == ticket);
        if self.last_pulse().is_none_or(|last| last == ticket) {
            self.pulse = None;
            self.lock = LockState::Secure;
        }
    }

    pub fn board_connected(&mut self, now: Mono) {
        self.board_up = true;
        if let Drive::Held { renew_at, .. } = &mut self.drive {
            *renew_at = now;
        }
        if self.last_pulse().is_none() {
            self.lock = LockState::Secure;
        }
    }

    /// Nothing is known any more.
    pub fn board_lost(&mut self) {
        self.board_up = false;
        self.lock = LockState::Unknown;
    }

    /// The board its contact is on is lost.
    pub fn contact_lost(&mut self) {
        self.contact = Contact::Unknown;
    }

    pub fn rex_lost(&mut self) {
        self.rex = None;
    }

    /// What a technician must know: what the board does not confirm, or a button that is stuck.
    pub fn trouble(&self) -> Option<String> {
        let stuck =
            || self.button_stuck.then(|| "the exit button has been pressed for over a minute".to_owned());
        self.fault.clone().or_else(stuck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(Duration::from_secs(s))
    }

    /// Locked, with a board, and nothing under way.
    fn door() -> Door {
        let mut door = Door::new(0);
        assert!(!door.board_is_up());
        door.board_connected(at(0));
        assert!(door.board_is_up());
        door
    }

    #[test]
    fn a_strike_that_is_wired_elsewhere_may_be_driven_as_it_was_for_each_of_three_reasons() {
        assert!(!door().rewired(at(50)));
        let mut pulsed = door();
        pulsed.pulse_sent(7);
        assert!(pulsed.rewired(at(50)), "a pulse was sent");
        let mut unknown = door();
        unknown.board_lost();
        assert!(unknown.rewired(at(50)), "nobody knows what the lock does");
        let mut strange = door();
        strange.may_be_driven(at(60));
        assert!(strange.clone().rewired(at(59)), "a pulse of before may run");
        assert!(!strange.rewired(at(60)), "it has ended by now");
    }

    #[test]
    fn a_strange_pulse_is_switched_off_until_it_has_ended_by_itself() {
        let mut strange = door();
        strange.may_be_driven(at(60));
        assert!(strange.clone().close(at(59), 1));
        assert!(!strange.close(at(60), 1));
    }

    #[test]
    fn a_leaf_drops_the_strike_of_a_pulse_from_before_it_moved() {
        for (pulse, due) in [(4, Some(Due::Secure { ticket: 5 })), (6, None)] {
            let mut door = Door { moved_seq: 5, ..door() };
            door.pulse_sent(pulse);
            door.relock(at(1));
            assert_eq!(door.take_due(at(1)), due, "a pulse of {pulse}");
        }
    }

    #[test]
    fn what_became_of_an_older_pulse_changes_nothing_about_when_the_next_is_due() {
        let mut door = door();
        door.hold(at(10), 7, Warrant::Late { seq: 7 });
        assert_eq!(door.take_due(at(10)), Some(Due::Pulse { seq: 7, warrant: Warrant::Late { seq: 7 } }));
        let due = door.deadline();
        door.gave_up(at(10), 3);
        assert_eq!(door.deadline(), due);
        door.gave_up(at(10), 7);
        assert_eq!(door.deadline(), Some(at(11)), "its own is tried again at once");
    }

    #[test]
    fn where_a_contact_is_found_is_no_movement() {
        for (closed, found, moved) in
            [(true, Edge::FoundClosed, Edge::Opened), (false, Edge::FoundOpen, Edge::Closed)]
        {
            let mut door = door();
            assert_eq!(door.contact_reads(closed), Some(found));
            assert_eq!(door.contact_reads(closed), None);
            assert_eq!(door.contact_reads(!closed), Some(moved));
        }
    }
}
