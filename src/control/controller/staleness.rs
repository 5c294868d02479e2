//! How long ago central was heard: what doors may refuse bookings for, and people are warned of.

use std::time::Duration;

use super::Controller;
use crate::{
    control::event::Note,
    domain::{EntryKind, Now},
};

/// When central was heard is noted at most this often, in seconds of wall time.
const NOTE_HEARD_EVERY_S: u64 = 60;
/// What was noted about hearing central may be this much later than now, in seconds: clocks are corrected.
const HEARD_AHEAD_S: i64 = 5;

impl Controller {
    /// In this run by the clock nobody sets. Before it, what was noted counts, unless it lies in the future: a wall
    /// clock that once ran ahead must not keep a door fresh for years.
    pub(super) fn is_stale(&self, now: Now, after: Duration) -> bool {
        match (self.heard_at, self.heard.central_at) {
            (Some(heard), _) => now.mono.since(heard) > after,
            (None, Some(at)) => at > now.wall.plus_s(HEARD_AHEAD_S) || now.wall.since(at) > after,
            (None, None) => true,
        }
    }

    pub(super) fn note_staleness(&mut self, now: Now) {
        if !now.trust.is_trusted() {
            return;
        }
        let stale = self.is_stale(now, self.settings.stale_after);
        if std::mem::replace(&mut self.stale, stale) == stale {
            return;
        }
        let kind = if stale {
            EntryKind::SyncStale(self.sync_note("central was not heard for longer than sync.stale_after_s"))
        } else {
            EntryKind::SyncFresh(self.sync_note("central was heard again"))
        };
        self.record(now, kind);
    }

    /// Central said something that was meant for us.
    pub(super) fn heard_central(&mut self, now: Now) {
        self.heard_at = Some(now.mono);
        if !now.trust.is_trusted() {
            return;
        }
        self.heard.central_at = Some(now.wall);
        if self.heard_noted.is_none_or(|at| now.wall.since(at).as_secs() >= NOTE_HEARD_EVERY_S) {
            self.heard_noted = Some(now.wall);
            self.note(Note::Heard(self.heard));
        }
    }
}
