//! What a monitoring system is shown, as plain values; [`page`] writes them in Prometheus' text format.
//!
//! The controller gives [`Measured`], the rest of the process [`Surroundings`]. Labels are ids of the configuration and
//! names of closed sets: how many series there are depends on the site's size alone, and none names a person or a card.

mod families;
#[cfg(test)]
mod tests;
mod text;

use std::{collections::BTreeMap, time::Duration};

pub use families::page;

use super::control::StatusReport;
use crate::domain::{BoardId, ReaderId, Reason};

/// What the controller knows, at one moment.
#[derive(Debug, Clone)]
pub struct Measured {
    pub status: StatusReport,
    pub counts: Counts,
    /// Messages of central's that were refused, by what was wrong with them; every kind there is.
    pub refused: Vec<(&'static str, u64)>,
    /// Entries made, and not known to be on disk yet.
    pub unrecorded: u64,
    /// How long ago central was heard, if that can be known.
    pub heard_ago: Option<Duration>,
}

/// What was counted since the daemon started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    pub decisions: BTreeMap<Reason, u64>,
    /// From a tap that was granted to the release being handed to its board.
    pub tap_release: Histogram,
    /// The same to the board's confirmation that it drives the strike.
    pub tap_strike: Histogram,
    /// Releases that did not wait for the disk any longer.
    pub late_releases: u64,
    /// Times the journal could not be written, and was tried again.
    pub journal_failures: u64,
    /// Changes and commands the cache could not keep.
    pub cache_failures: u64,
    pub broker: LinkCount,
    pub readers: BTreeMap<ReaderId, LinkCount>,
    pub boards: BTreeMap<BoardId, LinkCount>,
    /// Commands a board did not confirm.
    pub board_failures: BTreeMap<BoardId, u64>,
    /// Somethings in a reader's field that could not be read.
    pub unreadable: BTreeMap<ReaderId, u64>,
}

/// How often a link came up and was lost (or could not be made, as often as that is said).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCount {
    pub connections: u64,
    pub losses: u64,
}

/// Upper ends of the histograms' buckets, in milliseconds: from a good disk to a door that is felt to be slow.
const BUCKETS_MS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];

/// Times by how long they took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Not cumulated; the last one has no upper end.
    buckets: [u64; BUCKETS_MS.len() + 1],
    sum: Duration,
}

impl Histogram {
    pub fn observe(&mut self, took: Duration) {
        let fits = |end: &u64| took <= Duration::from_millis(*end);
        let n = BUCKETS_MS.iter().position(fits).unwrap_or(BUCKETS_MS.len());
        if let Some(bucket) = self.buckets.get_mut(n) {
            *bucket = bucket.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(took);
    }
}

/// What only the rest of the process knows. What could not be measured is left out.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub queues: Vec<Queue>,
    /// What was let go of because a queue was full, by what it was.
    pub dropped: Vec<(&'static str, u64)>,
    pub stores: Vec<Store>,
    /// Room left where the stores are.
    pub available_bytes: Option<u64>,
    pub clock: Option<KernelClock>,
    pub resident_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub name: &'static str,
    pub length: u64,
    /// `None`: what fills it is limited elsewhere.
    pub limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    pub name: &'static str,
    pub bytes: u64,
}

/// The kernel's word on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelClock {
    pub synchronised: bool,
    /// What it still has to correct, in seconds.
    pub offset_s: f64,
    /// How far off it may be, in seconds.
    pub max_error_s: f64,
}
