//! The journal's disk: quick, slow or failing; and what of it a start finds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use latchd::control::modes::{self, Changed};
use latchd::domain::entry::ClockNote;
use latchd::domain::{DoorId, Entry, EntryKind};
use latchd::wire::stored::{StoredEnd, StoredModes};

use crate::seeds::Lot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Quick,
    Slow,
    Failing,
}

#[derive(Debug)]
pub struct Journal {
    pub disk: Disk,
    pub durable: Vec<Entry>,
    /// Not on disk yet, with when each was appended.
    pub waiting: VecDeque<(Entry, Duration)>,
    pub late: BTreeSet<u64>,
    /// When the sync under way is over, and how many it is of.
    sync: Option<(Duration, usize)>,
}

impl Journal {
    pub fn new() -> Self {
        Journal {
            disk: Disk::Quick,
            durable: Vec::new(),
            waiting: VecDeque::new(),
            late: BTreeSet::new(),
            sync: None,
        }
    }

    pub fn append(&mut self, now: Duration, entry: Entry, lot: &mut Lot) {
        let next = (self.durable.len() + self.waiting.len()) as u64 + 1;
        assert_eq!(entry.seq, next, "a number left out, or used twice");
        self.waiting.push_back((entry, now));
        self.begin(now, lot);
    }

    fn begin(&mut self, now: Duration, lot: &mut Lot) {
        if self.sync.is_none() && !self.waiting.is_empty() {
            let ms = match self.disk {
                Disk::Quick => lot.of(1..8),
                Disk::Slow => lot.of(10..300),
                Disk::Failing => 1000,
            };
            self.sync = Some((now + Duration::from_millis(ms), self.waiting.len()));
        }
    }

    pub fn next_due(&self) -> Option<Duration> {
        self.sync.map(|(due, _)| due)
    }

    /// What has come of the sync that was due: through which entry all is on disk, or that it failed.
    pub fn take_due(&mut self, now: Duration, lot: &mut Lot) -> Option<Result<u64, ()>> {
        let (_, count) = self.sync.take_if(|(due, _)| *due <= now)?;
        let failed = self.disk == Disk::Failing;
        if !failed {
            self.durable.extend(self.waiting.drain(..count).map(|(entry, _)| entry));
        }
        self.begin(now, lot);
        Some(if failed { Err(()) } else { Ok(self.durable.len() as u64) })
    }

    /// The entry of this number, and when it was appended if it is not on disk yet.
    pub fn entry(&self, seq: u64) -> Option<(&Entry, Option<Duration>)> {
        let waiting = self.waiting.iter().find(|(entry, _)| entry.seq == seq);
        let durable = self.durable.get(seq as usize - 1);
        durable.map(|entry| (entry, None)).or(waiting.map(|(entry, at)| (entry, Some(*at))))
    }

    pub fn is_durable(&self, seq: u64) -> bool {
        seq <= self.durable.len() as u64
    }

    /// The power is gone.
    pub fn cut(&mut self) {
        self.waiting.clear();
        self.sync = None;
        self.late.retain(|seq| *seq <= self.durable.len() as u64);
    }

    /// Doors' modes as the entries on disk tell them.
    pub fn modes(&self) -> BTreeMap<DoorId, StoredModes> {
        let mut all: BTreeMap<DoorId, StoredModes> = BTreeMap::new();
        for entry in &self.durable {
            let EntryKind::ModeChanged { door, to, by, until, .. } = &entry.kind else { continue };
            let until = until.map(|until| StoredEnd {
                at: (entry.clock != Some(ClockNote::Untrusted)).then_some(until),
                for_s: until.since(entry.at).as_secs() as u32 + 1,
            });
            let stored = all.entry(door.clone()).or_default();
            *stored = modes::replay(stored, Changed { seq: entry.seq, to: *to, by, until });
        }
        all
    }
}
