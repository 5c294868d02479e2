//! What central is told of the controller as a whole: `status`, right after every connect and not too often after that.

use std::time::Duration;

use super::Controller;
use crate::{control::event::UplinkCommand, domain::Now, wire::outgoing::Status};

/// `status` is published again at most this often.
const STATUS_EVERY: Duration = Duration::from_secs(5);

impl Controller {
    pub(super) fn want_status(&mut self, now: Now) {
        let soonest = self.status_sent.map_or(now.mono, |t| t.plus(STATUS_EVERY).max(now.mono));
        self.status_due.get_or_insert(soonest);
    }

    /// It serves no door: whoever looks after the box is told.
    pub(super) fn part_failed(&mut self, now: Now, part: &'static str, detail: String) {
        tracing::error!(part, detail, "a part of the daemon has failed; it is begun anew");
        self.parts.entry(part).or_default().note(now.wall, detail);
    }

    pub(super) fn publish_status(&mut self, now: Now) {
        self.status_due = None;
        self.status_sent = Some(now.mono);
        let position = *self.sync.position();
        self.uplink(UplinkCommand::Status(Status {
            controller: self.settings.controller.clone(),
            online: true,
            since: self.uplink.since.unwrap_or(now.wall).floor_ms(),
            version: self.settings.version,
            epoch: position.epoch,
            applied: position.applied,
            journal: self.journal_id.clone(),
            recorded: self.outbox.recorded_through(),
            acknowledged: self.outbox.acknowledged_through(),
            clock: now.trust.into(),
            store: self.store_state(),
            checkpoint: self.checkpoint.clone(),
        }));
    }
}
