//! What leaves do: told to each door's machine, and what that makes of it recorded, shown and driven.

use std::time::Duration;

use super::Controller;
use crate::{
    control::{
        feedback::Feedback,
        index::DoorNo,
        leaf::{Fact, Input},
        settings::RelockOn,
    },
    domain::{BoardId, EntryKind, Now, ReaderId},
};

impl Controller {
    pub(super) fn leaf(&mut self, now: Now, door: DoorNo, input: Input) {
        let n = usize::from(door.0);
        let (Some(settings), Some(state)) = (self.settings.doors.get(n), self.doors.get_mut(n)) else {
            return;
        };
        for fact in state.leaf.step(now.mono, &settings.leaf, input) {
            self.fact(now, door, fact);
        }
    }

    /// `seq` is the entry of it.
    pub(super) fn leaf_moved(&mut self, now: Now, door: DoorNo, seq: u64, input: Input) {
        if let Some(state) = self.door(door) {
            state.moved_seq = seq;
        }
        self.leaf(now, door, input);
    }

    /// The strike is driven for so long, for a grant of this `seq` if it is one.
    pub(super) fn released(&mut self, now: Now, door: DoorNo, of: Option<u64>, hold: Duration) {
        let settings = self.settings.doors.get(usize::from(door.0));
        let extended = settings.is_some_and(|d| hold > d.strike);
        self.leaf(now, door, Input::Released { of, until: now.mono.plus(hold), extended });
    }

    /// Leaves whose time has come.
    pub(super) fn leaves_due(&mut self, now: Now) {
        for n in 0..self.doors.len() {
            let Some((settings, state)) = self.settings.doors.get(n).zip(self.doors.get(n)) else { continue };
            if state.leaf.deadline(&settings.leaf).is_some_and(|at| at <= now.mono) {
                self.leaf(now, DoorNo(n as u16), Input::Tick);
            }
        }
    }

    pub(super) fn leaves_lost(&mut self, now: Now, board: &BoardId) {
        for n in 0..self.doors.len() {
            let Some(settings) = self.settings.doors.get(n) else { continue };
            let has_contact = settings.contact.as_ref().is_some_and(|c| c.board == *board);
            let has_button = settings.rex.as_ref().is_some_and(|r| r.input.board == *board);
            if has_contact {
                self.leaf(now, DoorNo(n as u16), Input::ContactLost);
            }
            if has_button {
                self.leaf(now, DoorNo(n as u16), Input::ExitReleased);
            }
        }
    }

    fn fact(&mut self, now: Now, door_no: DoorNo, fact: Fact) {
        let Some(door) = self.door_id(door_no) else { return };
        match fact {
            Fact::Forced => {
                tracing::error!(%door, "the door was forced open");
                self.record(now, EntryKind::DoorForced { door });
            }
            Fact::HeldOpen => {
                tracing::warn!(%door, "the door is held open");
                self.record(now, EntryKind::DoorHeldOpen { door });
            }
            Fact::HeldOpenEnded => _ = self.record(now, EntryKind::DoorHeldOpenEnded { door }),
            Fact::PreAlarm => self.warn_at(door_no),
            Fact::Taken { of } => _ = self.record(now, EntryKind::AccessTaken { door, of }),
            Fact::NotTaken { of } => _ = self.record(now, EntryKind::AccessNotTaken { door, of }),
            Fact::WentOpen => self.relock(now, door_no, RelockOn::Open),
            Fact::Shut => self.relock(now, door_no, RelockOn::Close),
            Fact::ButtonStuck => {
                tracing::warn!(%door, "the exit button has been pressed for over a minute; it no longer explains an opening");
                self.note_button(door_no, true);
            }
            Fact::ButtonFreed => {
                tracing::info!(%door, "the exit button is released again");
                self.note_button(door_no, false);
            }
        }
    }

    fn note_button(&mut self, door: DoorNo, stuck: bool) {
        if let Some(state) = self.door(door) {
            state.button_stuck = stuck;
        }
    }

    /// At every reader of the door: those who stand there can shut it.
    fn warn_at(&mut self, door: DoorNo) {
        let Some(door) = self.door_id(door) else { return };
        let at_door = self.settings.readers.iter().filter(|r| r.door == door);
        let readers: Vec<ReaderId> = at_door.map(|r| r.id.clone()).collect();
        for reader in readers {
            self.feedback(&reader, Feedback::StandsOpen);
        }
    }

    fn relock(&mut self, now: Now, door: DoorNo, when: RelockOn) {
        let is_when = self.settings.doors.get(usize::from(door.0)).is_some_and(|d| d.relock_on == when);
        if let Some(state) = self.door(door).filter(|_| is_when) {
            state.relock(now.mono);
        }
    }
}
