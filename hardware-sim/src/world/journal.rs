//! The journal's disk: quick, slow, failing or full; what of it a start finds; and which numbers a disk that failed
//! for too long has cost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use latchd::control::modes::{self, Changed};
use latchd::domain::entry::ClockNote;
use latchd::domain::{At, DoorId, Entry, EntryKind};
use latchd::wire::stored::{StoredEnd, StoredModes};

use super::lot::Lot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Quick,
    Slow,
    Failing,
}

/// Entries kept in memory while the disk fails. The daemon keeps 100,000; with so few the loss is seen within minutes.
const KEPT: usize = 40;
/// A number in so many that central may not have been noted to have, after a power cut.
const NOTED_LATE: u64 = 5;

/// What became of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// All is on disk through this one; so many before it were dropped, and are said to be lost.
    Through(u64, u64),
    Failed,
}

#[derive(Debug)]
pub struct Journal {
    pub disk: Disk,
    /// On disk, in order.
    durable: Vec<Entry>,
    /// Not on disk yet, with when each was appended.
    waiting: VecDeque<(Entry, Duration)>,
    pub late: BTreeSet<u64>,
    /// Never written, because nothing more could be kept.
    dropped: BTreeMap<u64, Entry>,
    /// When the sync under way is over, and how many it is of.
    sync: Option<(Duration, usize)>,
    /// As far as central has said it has them.
    pub acknowledged: u64,
    /// The last number that was appended.
    last: u64,
}

impl Journal {
    #[must_use]
    pub fn new() -> Self {
        Journal {
            disk: Disk::Quick,
            durable: Vec::new(),
            waiting: VecDeque::new(),
            late: BTreeSet::new(),
            dropped: BTreeMap::new(),
            sync: None,
            acknowledged: 0,
            last: 0,
        }
    }

    /// The last number that was appended.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    #[must_use]
    pub fn on_disk(&self) -> u64 {
        self.durable.last().map_or(0, |entry| entry.seq)
    }

    #[must_use]
    pub fn durable(&self) -> &[Entry] {
        &self.durable
    }

    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn append(&mut self, now: Duration, entry: Entry, lot: &mut Lot) {
        self.last = entry.seq;
        if self.waiting.len() >= KEPT && self.disk == Disk::Failing {
            self.dropped.insert(entry.seq, entry);
            return;
        }
        self.waiting.push_back((entry, now));
        self.begin(now, lot);
    }

    fn begin(&mut self, now: Duration, lot: &mut Lot) {
        if self.sync.is_some() || self.waiting.is_empty() {
            return;
        }
        let time = match self.disk {
            Disk::Quick => lot.ms(1..8),
            Disk::Slow => lot.ms(10..300),
            Disk::Failing => Duration::from_secs(1),
        };
        // One write is of numbers that follow each other.
        let first = self.waiting.front().map_or(0, |(entry, _)| entry.seq);
        let numbered = self.waiting.iter().zip(first..);
        self.sync = Some((now + time, numbered.take_while(|((entry, _), seq)| entry.seq == *seq).count()));
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.sync.map(|(due, _)| due)
    }

    /// What has come of the sync that was due.
    pub fn take_due(&mut self, now: Duration, lot: &mut Lot) -> Option<Synced> {
        let (_, count) = self.sync.take_if(|(due, _)| *due <= now)?;
        if self.disk == Disk::Failing {
            self.begin(now, lot);
            return Some(Synced::Failed);
        }
        let before = self.on_disk();
        let first = self.waiting.front().map_or(before + 1, |(entry, _)| entry.seq);
        self.durable.extend(self.waiting.drain(..count).map(|(entry, _)| entry));
        self.begin(now, lot);
        Some(Synced::Through(self.on_disk(), first.saturating_sub(before + 1)))
    }

    /// The entry of this number, and when it was appended if it is not on disk yet.
    #[must_use]
    pub fn entry(&self, seq: u64) -> Option<(&Entry, Option<Duration>)> {
        if let Ok(place) = self.durable.binary_search_by_key(&seq, |entry| entry.seq) {
            return Some((&self.durable[place], None));
        }
        let waiting = self.waiting.iter().find(|(entry, _)| entry.seq == seq);
        let waiting = waiting.map(|(entry, at)| (entry, Some(*at)));
        waiting.or_else(|| self.dropped.get(&seq).map(|entry| (entry, None)))
    }

    /// Whether this one was never written.
    #[must_use]
    pub fn was_dropped(&self, seq: u64) -> bool {
        self.dropped.contains_key(&seq)
    }

    #[must_use]
    pub fn is_durable(&self, seq: u64) -> bool {
        seq <= self.on_disk()
    }

    /// What a message to central is made of: those on disk from here on.
    #[must_use]
    pub fn pick(&self, from: u64, through: u64) -> &[Entry] {
        let start = self.durable.partition_point(|entry| entry.seq < from);
        let end = self.durable.partition_point(|entry| entry.seq <= through);
        &self.durable[start..end]
    }

    /// The daemon was killed, or the power is gone: of what was not synced some may be there all the same, from the
    /// first on.
    pub fn cut(&mut self, lot: &mut Lot) {
        let is_quick = self.disk != Disk::Failing;
        let written = self.sync.take().map_or(0, |(_, count)| count).min(self.waiting.len());
        let kept = if is_quick { lot.below(written + 1) } else { 0 };
        self.durable.extend(self.waiting.drain(..kept).map(|(entry, _)| entry));
        self.waiting.clear();
        self.last = self.on_disk();
        self.late.retain(|seq| *seq <= self.last);
        self.dropped.retain(|seq, _| *seq <= self.last);
        self.acknowledged -= lot.of(0..self.acknowledged + 1).min(NOTED_LATE);
    }

    /// The latest instant of a trusted clock in it.
    #[must_use]
    pub fn latest(&self) -> Option<At> {
        let trusted = self.durable.iter().filter(|entry| entry.clock != Some(ClockNote::Untrusted));
        trusted.map(|entry| entry.at).max()
    }

    /// Doors' modes as the entries after this one change them.
    pub fn replay_modes(&self, after: u64, all: &mut BTreeMap<DoorId, StoredModes>) {
        for entry in self.pick(after + 1, u64::MAX) {
            let EntryKind::ModeChanged { door, to, by, until, .. } = &entry.kind else { continue };
            let until = until.map(|until| StoredEnd {
                at: (entry.clock != Some(ClockNote::Untrusted)).then_some(until),
                for_s: u32::try_from(until.since(entry.at).as_secs() + 1).unwrap_or(u32::MAX),
            });
            let stored = all.entry(door.clone()).or_default();
            if entry.seq > stored.seq {
                *stored = modes::replay(stored, Changed { seq: entry.seq, to: *to, by, until });
            }
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}
