//! The end of a run: pulses that only we would end are ended, and the journal says that it was told to stop.

use super::{Controller, pulses::entry_of};
use crate::{
    control::{event::Note, index::DoorNo},
    domain::{EntryKind, Now},
};

impl Controller {
    /// About to stop. Strikes on boards that time their pulses are left to them.
    pub(super) fn closing(&mut self, now: Now) {
        let seq = self.next_seq;
        for n in 0..self.doors.len() {
            let board = self.settings.doors.get(n).map(|door| &door.board);
            let is_ours =
                |b: &&crate::control::settings::BoardSettings| Some(&b.id) == board && !b.times_pulses;
            if self.settings.boards.iter().any(|board| is_ours(&board)) {
                self.lock_now(now, DoorNo(n as u16), seq, None);
            }
        }
        self.closing_by = Some(seq);
    }

    /// Whether a board has yet to confirm that a strike is off before the daemon may stop.
    pub fn is_closing(&self) -> bool {
        let own = |ticket: &u64| Some(entry_of(*ticket)) == self.closing_by;
        self.pulses.keys().any(own)
    }

    pub(super) fn stopping(&mut self, now: Now) {
        self.note(Note::Heard(self.heard));
        let version = self.settings.version.into();
        let seq = self.record(now, EntryKind::ControllerStopped { version, detail: "told to stop".into() });
        self.note(Note::Checkpoint { seq: self.noted_through(seq) });
    }
}
