//! The fire alarm: doors so marked are released while it lasts, in whatever mode they are.

use super::Controller;
use crate::{
    control::{fire::Change, index::DoorNo, leaf::Input},
    domain::{At, DoorId, EntryKind, Now},
    wire::control::FireReport,
};

impl Controller {
    /// Waits for nothing, like a request to exit: the strikes first, the entry after them.
    pub(super) fn fire_changed(&mut self, now: Now, change: Change) {
        let doors: Vec<DoorId> = self.marked().filter_map(|door| self.door_id(door)).collect();
        match change {
            Change::Raised => {
                tracing::error!(?doors, "the fire alarm is raised; the doors are released");
                self.fire_since = Some(now.wall);
                let seq = self.next_seq;
                for door in self.marked().collect::<Vec<_>>() {
                    self.release_for_fire(now, door, seq);
                }
                self.record(now, EntryKind::FireRaised { doors });
            }
            Change::Cleared => {
                tracing::warn!(?doors, "the fire alarm is over; the doors return to their modes");
                self.fire_since = None;
                let seq = self.record(now, EntryKind::FireCleared { doors });
                for door in self.marked().collect::<Vec<_>>() {
                    self.return_from_fire(now, door, seq);
                }
            }
        }
    }

    /// An alarm that has been quiet for long enough.
    pub(super) fn end_fire(&mut self, now: Now) {
        if let Some(change) = self.fire.take_due(now.mono) {
            self.fire_changed(now, change);
        }
    }

    pub(super) fn release_for_fire(&mut self, now: Now, door: DoorNo, seq: u64) {
        if let Some(state) = self.door(door) {
            state.fire_raised(now.mono, seq);
        }
        self.leaf(now, door, Input::Freed);
        if let Some(due) = self.door(door).and_then(|state| state.take_due(now.mono)) {
            self.drive(door, due, None);
        }
    }

    pub(super) fn return_from_fire(&mut self, now: Now, door: DoorNo, seq: u64) {
        let stays_open = self.door(door).is_some_and(|state| state.fire_cleared(now.mono));
        if !stays_open {
            self.lock_now(now, door, seq, None);
        }
    }

    pub(super) fn fire_report(&self) -> Option<FireReport> {
        let input = self.settings.fire.as_ref()?;
        Some(FireReport {
            raised: self.fire.is_raised(),
            since: self.fire_since.map(At::floor_ms),
            input: self.fire.level(),
            board: input.board.clone(),
            doors: self.marked().filter_map(|door| self.door_id(door)).collect(),
        })
    }

    fn marked(&self) -> impl Iterator<Item = DoorNo> + use<'_> {
        let doors = self.settings.doors.iter().enumerate();
        doors.filter(|(_, door)| door.release_on_fire).map(|(n, _)| DoorNo(n as u16))
    }
}
