//! Orders to doors, whoever gives them: a technician, central, a timer. And what modes ask of locks.
//!
//! ```text
//!  would_order ─► caller records its own entry ─► order ─► door.mode_changed ─┬─ opens: Waiting ─ on disk ─► held open
//!                                                                            └─ restricts: at once, waits for nothing
//! ```

use std::collections::BTreeMap;

use super::{Asker, Controller, Waiting, Wanted, Who, pulses::Pulse};
use crate::{
    control::{
        door::{Due, HELD_PULSE},
        event::{Note, Recorded, Warrant},
        feedback::Feedback,
        index::DoorNo,
        leaf::Input,
        modes::{self, BY_SCHEDULE, Modes},
    },
    domain::{DoorAction, DoorId, DoorMode, DoorOrder, EntryKind, Now, OrderRefusal, ReaderId},
    wire::stored::StoredModes,
};

/// Who changed a mode, where it was no person.
const BY_TIMER: &str = "timer";
const BY_RESTART: &str = "restart";

impl Controller {
    /// Whether [`Controller::order`] would carry this out now. Changes nothing: who orders records with what outcome.
    pub(super) fn would_order(&self, now: Now, door: DoorNo, order: &DoorOrder) -> Result<(), OrderRefusal> {
        self.next_modes(now, door, order).map(|_| ())
    }

    /// Carries out an order. `seq` is the caller's own entry, made just before, which says who ordered what: for an
    /// `access` it is what warrants the strike. What opens waits for the disk as a tap does; what restricts waits for
    /// nothing. `asker` is answered when the board has confirmed, or at once where it need not.
    pub(super) fn order(
        &mut self,
        now: Now,
        door: DoorNo,
        order: &DoorOrder,
        by: &str,
        seq: u64,
        asker: Option<Who>,
    ) -> Result<(), OrderRefusal> {
        let modes = self.next_modes(now, door, order)?;
        let asker = asker.map(|who| Asker { who, seq });
        match order.action {
            DoorAction::Access => {
                let settings = self.settings.doors.get(usize::from(door.0));
                let hold = settings.map_or_else(Default::default, |d| d.strike);
                self.wait(now, seq, door, Wanted::Passage { hold, reader: None }, asker);
            }
            DoorAction::Lock => {
                // It keeps nobody out who has a card, but is the last word over an order to let somebody in.
                self.overtake(now, door, |reader| reader.is_none());
                self.change_mode(now, door, modes, by, seq, asker);
            }
            DoorAction::Unlock
            | DoorAction::Block
            | DoorAction::Unblock
            | DoorAction::LockDown
            | DoorAction::LockDownRelease
            | DoorAction::LockOpen
            | DoorAction::LockOpenRelease => self.change_mode(now, door, modes, by, seq, asker),
        }
        Ok(())
    }

    fn next_modes(&self, now: Now, door: DoorNo, order: &DoorOrder) -> Result<Modes, OrderRefusal> {
        let door = self.doors.get(usize::from(door.0));
        door.map_or_else(Modes::default, |d| d.modes.without_ended(now)).ordered(now, order)
    }

    fn wait(&mut self, now: Now, seq: u64, door: DoorNo, wanted: Wanted, asker: Option<Asker>) {
        let deadline = now.mono.plus(self.settings.release_wait);
        self.waiting.insert(seq, Waiting { door, wanted, asker, deadline });
    }

    /// `cause` is the entry of what led to it, if it has one: where nothing changes, it is what a lock is switched off by.
    pub(super) fn change_mode(
        &mut self,
        now: Now,
        door: DoorNo,
        modes: Modes,
        by: &str,
        cause: u64,
        asker: Option<Asker>,
    ) {
        let Some(state) = self.door(door) else { return };
        let before = std::mem::replace(&mut state.modes, modes);
        let (from, to) = (before.mode(), modes.mode());
        let changes = (from, before.end()) != (to, modes.end());
        let seq = if changes { self.record_mode(now, door, from, by) } else { cause };
        // Who is let in although it is shut comes after that, and is not overtaken by what changes beneath.
        if changes && matches!(to, DoorMode::LockedDown | DoorMode::Blocked) {
            self.overtake(now, door, |_| true);
        }
        if !to.is_open() {
            return self.lock_now(now, door, seq, asker);
        }
        if changes {
            self.wait(now, seq, door, Wanted::Mode, asker);
        } else {
            self.answer_done(asker);
        }
    }

    /// Who was let in a moment ago, and whose entry is not on disk yet, comes too late: the door stays shut. `which` is
    /// told at which reader it was, if at any.
    fn overtake(&mut self, now: Now, door: DoorNo, which: impl Fn(Option<&ReaderId>) -> bool) {
        let is_passage = |w: &Waiting| {
            w.door == door && matches!(&w.wanted, Wanted::Passage { reader, .. } if which(reader.as_ref()))
        };
        let overtaken: Vec<u64> =
            self.waiting.iter().filter(|(_, w)| is_passage(w)).map(|(seq, _)| *seq).collect();
        for of in overtaken {
            let Some(Waiting { wanted, asker, .. }) = self.waiting.remove(&of) else { continue };
            if let Wanted::Passage { reader: Some(reader), .. } = wanted {
                self.feedback(&reader, Feedback::NotNow);
                let settings = self.settings.doors.get(usize::from(door.0));
                // Only where there is a contact is it said whether somebody went through.
                if let Some(door) = settings.filter(|d| d.contact.is_some()).map(|d| d.id.clone()) {
                    self.record(now, EntryKind::AccessNotTaken { door, of });
                }
            }
            if let Some(Asker { who, .. }) = asker {
                self.answer(who, Err("another order closed the door before it was opened".into()));
            }
        }
    }

    /// The entry of a change that has been made, and, unless it opens, its note.
    fn record_mode(&mut self, now: Now, door: DoorNo, from: DoorMode, by: &str) -> u64 {
        let Some((id, modes)) = self.door_id(door).zip(self.door(door).map(|d| d.modes)) else { return 0 };
        let until = modes.end().map(|end| end.ends_at(now).floor_ms());
        tracing::info!(door = %id, from = from.as_str(), to = modes.mode().as_str(), by, "mode changed");
        let changed = EntryKind::ModeChanged { door: id, from, to: modes.mode(), by: by.to_owned(), until };
        let seq = self.record(now, changed);
        if let Some(state) = self.door(door) {
            state.modes_seq = seq;
        }
        if !modes.mode().is_open() {
            self.note_modes(door);
        }
        seq
    }

    fn note_modes(&mut self, door: DoorNo) {
        let Some((door, state)) = self.door_id(door).zip(self.doors.get(usize::from(door.0))) else { return };
        let modes = state.modes.stored(state.modes_seq);
        self.note(Note::Modes { door, modes });
    }

    pub(super) fn lock_now(&mut self, now: Now, door: DoorNo, seq: u64, asker: Option<Asker>) {
        if !self.door(door).is_some_and(|state| state.is_held_by_fire()) {
            self.leaf(now, door, Input::Bound);
        }
        let switches_off = self.door(door).is_some_and(|state| state.close(now.mono, seq));
        if !switches_off {
            return self.answer_done(asker);
        }
        if let Some(Due::Secure { ticket }) = self.door(door).and_then(|state| state.take_due(now.mono)) {
            self.secure(ticket, door, asker);
        }
    }

    /// A mode's entry is on disk, or could not be waited for: the door is kept open from here on.
    pub(super) fn hold_open(
        &mut self,
        now: Now,
        door: DoorNo,
        seq: u64,
        asker: Option<Asker>,
        warrant: Warrant,
    ) {
        let Some(state) = self.door(door) else { return };
        if state.modes_seq != seq {
            // Another change came meanwhile, and is what holds.
            return self.answer_done(asker);
        }
        state.hold(now.mono, seq, warrant);
        self.leaf(now, door, Input::Freed);
        let Some(state) = self.door(door) else { return };
        let (due, is_open) = (state.take_due(now.mono), state.is_held_by_fire());
        self.note_modes(door);
        if is_open {
            self.answer_done(asker);
            return due.into_iter().for_each(|due| self.drive(door, due, None));
        }
        match (due, asker) {
            (Some(due), asker) => self.drive(door, due, asker),
            (None, Some(Asker { who, .. })) => {
                let said =
                    "the mode is set, but the door's board is not connected: it opens when the board is back";
                self.answer(who, Err(said.into()));
            }
            (None, None) => {}
        }
    }

    pub(super) fn drive(&mut self, door: DoorNo, due: Due, asker: Option<Asker>) {
        match due {
            Due::Pulse { seq, warrant } => {
                self.pulse(seq, Pulse::new(door, None, asker), HELD_PULSE, warrant);
            }
            Due::Secure { ticket } => self.secure(ticket, door, asker),
        }
    }

    /// Pulses that are to be renewed, and locks that are to be switched off again.
    pub(super) fn drive_doors(&mut self, now: Now) {
        for n in 0..self.doors.len() {
            let due = self.doors.get_mut(n).and_then(|door| door.take_due(now.mono));
            if let Some(due) = due {
                self.drive(DoorNo(n as u16), due, None);
            }
        }
    }

    /// Timed modes that are over.
    pub(super) fn end_modes(&mut self, now: Now) {
        for n in 0..self.doors.len() {
            let Some(modes) = self.doors.get(n).map(|door| door.modes) else { continue };
            if modes.end().is_some_and(|end| end.mono <= now.mono) {
                let by = if modes.is_scheduled() { BY_SCHEDULE } else { BY_TIMER };
                self.change_mode(now, DoorNo(n as u16), modes.without_ended(now), by, 0, None);
            }
        }
    }

    /// What modes were before the restart. Boards are not connected yet: nothing is driven by this, and what keeps a
    /// door open goes on when they are.
    pub(super) fn restore_modes(
        &mut self,
        now: Now,
        stored: &BTreeMap<DoorId, StoredModes>,
        on_disk: Option<Recorded>,
    ) {
        for (id, stored) in stored {
            let Some(door) = self.settings.door_no(id) else { continue };
            let warrant = on_disk.filter(|proof| proof.seq() >= stored.seq).map(Warrant::Recorded);
            let mut modes = Modes::restored(stored, now);
            if modes.mode().is_open() && warrant.is_none() {
                modes = Modes::restored(&modes::shut(stored), now);
            }
            let before = Modes::shown(stored);
            if let Some(state) = self.door(door) {
                (state.modes, state.modes_seq) = (modes, stored.seq);
                if let Some(warrant) = warrant.filter(|_| modes.mode().is_open()) {
                    state.hold(now.mono, stored.seq, warrant);
                    self.leaf(now, door, Input::Freed);
                }
            }
            if before != modes.mode() {
                let seq = self.record_mode(now, door, before, BY_RESTART);
                if modes.mode().is_open() {
                    self.wait(now, seq, door, Wanted::Mode, None);
                }
            }
        }
    }
}
