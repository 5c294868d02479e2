//! What the controller shows to who watches it from afar (`wire::metrics`), changing nothing.

use std::time::Duration;

use super::Controller;
use crate::{control::clock::Reading, wire::metrics::Measured};

impl Controller {
    pub fn measured(&self, reading: Reading) -> Measured {
        Measured {
            status: self.status_report(reading),
            counts: self.counters.counts().clone(),
            refused: self.refusals.all_counts().collect(),
            unrecorded: (self.next_seq - 1).saturating_sub(self.outbox.recorded_through()),
            heard_ago: self.heard_ago(reading),
        }
    }

    /// By the clock nobody sets, if central was heard in this run; else by a wall clock that is trusted.
    fn heard_ago(&self, reading: Reading) -> Option<Duration> {
        let by_wall = self.heard.central_at.filter(|_| self.clock_said.0.is_trusted());
        let ago = self.heard_at.map(|heard| reading.mono.since(heard));
        ago.or_else(|| by_wall.filter(|at| *at <= reading.wall).map(|at| reading.wall.since(at)))
    }
}
