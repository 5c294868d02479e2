//! The cache's disk: a model of what is written, what is behind a barrier, and the copy that stands in for it when its
//! files are damaged. A kill leaves what was written; a power cut what was behind the last barrier, and of the notes
//! since then some, from the first on.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use latchd::{
    control::{
        Applied, CacheCommand, CacheEvent, Note, Part, Removal, Replaced, Staged,
        commands_taken::is_over,
        index::Index,
        let_in::LetIn,
        modes::{self, Modes},
    },
    domain::{At, BookingId, Change, CommandId, Credential, DoorId, HolderId, Record, RecordKey},
    wire::{
        Digest,
        feed::Sealed,
        stored::{CommandsFrom, Heard, Position, StoredModes},
    },
};
use serde_json::Value;

use super::{journal::Disk, lot::Lot, site};
use crate::naive;

/// The last good copy is written after changes, at most this often.
const COPY_EVERY: Duration = Duration::from_secs(180);

type Records = BTreeMap<RecordKey, (Record, Digest)>;

/// One state of the cache.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub position: Position,
    pub records: Records,
    /// The same, folded from the JSON that central sent by the naive rules.
    pub held: Vec<Value>,
    pub let_in: LetIn,
    pub heard: Heard,
    pub modes: BTreeMap<DoorId, StoredModes>,
    /// When the change was made that each of them is as of, among all there ever were.
    pub stamps: BTreeMap<DoorId, u64>,
    pub checkpoint: u64,
    pub commands: BTreeMap<CommandId, At>,
    /// Before this, some may have been taken that nobody remembers.
    pub commands_from: CommandsFrom,
}

/// A snapshot on its way in. In memory, but of the cache.
#[derive(Debug)]
struct Staging {
    of: Part,
    next: u32,
    state: State,
}

#[derive(Debug)]
pub struct Cache {
    pub disk: Disk,
    /// What has been written.
    pub state: State,
    /// What is behind the last barrier, and what was noted since.
    durable: State,
    since: Vec<(Note, Option<u64>)>,
    /// How far it ever was, kept beside it.
    floor: (u64, u64),
    copy: Option<State>,
    copied: Duration,
    staging: Option<Staging>,
    /// A note was not kept: the journal is to tell it again.
    holds_checkpoint: bool,
    /// What it was told, with the JSON of a message, and when the first is done.
    queue: VecDeque<(CacheCommand, Option<Value>)>,
    due: Option<Duration>,
    /// Messages that changed something: how much a run was about.
    pub applied_messages: u64,
}

impl Cache {
    #[must_use]
    pub fn new() -> Self {
        Cache {
            disk: Disk::Quick,
            state: State::default(),
            durable: State::default(),
            since: Vec::new(),
            floor: (0, 0),
            copy: None,
            copied: Duration::ZERO,
            staging: None,
            holds_checkpoint: false,
            queue: VecDeque::new(),
            due: None,
            applied_messages: 0,
        }
    }

    /// How far it is on disk.
    #[must_use]
    pub fn position(&self) -> Position {
        self.durable.position
    }

    /// How far it ever was, whatever became of it.
    #[must_use]
    pub fn floor(&self) -> (u64, u64) {
        self.floor
    }

    /// Whether this command is known to have been taken, on disk.
    #[must_use]
    pub fn has_taken(&self, id: &CommandId) -> bool {
        self.durable.commands.contains_key(id)
    }

    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// `message`: what central sent, if it did; of a note of modes, its stamp.
    pub fn tell(&mut self, now: Duration, command: CacheCommand, message: Option<Value>, lot: &mut Lot) {
        self.queue.push_back((command, message));
        self.begin(now, lot);
    }

    fn begin(&mut self, now: Duration, lot: &mut Lot) {
        if self.due.is_none() && !self.queue.is_empty() {
            let time = match self.disk {
                Disk::Quick => lot.ms(1..10),
                Disk::Slow => lot.ms(50..2_000),
                Disk::Failing => lot.ms(1..100),
            };
            self.due = Some(now + time);
        }
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.due
    }

    /// What is due by now, and what it says of it.
    pub fn take_due(&mut self, now: Duration, lot: &mut Lot) -> Option<Option<CacheEvent>> {
        self.due.take_if(|due| *due <= now)?;
        let (command, message) = self.queue.pop_front()?;
        let said = self.carry_out(command, message.as_ref());
        if self.durable.position.applied > 0 && now >= self.copied + COPY_EVERY {
            (self.copy, self.copied) = (Some(self.durable.clone()), now);
        }
        self.begin(now, lot);
        Some(said)
    }

    fn carry_out(&mut self, command: CacheCommand, message: Option<&Value>) -> Option<CacheEvent> {
        let fails = self.disk == Disk::Failing;
        let detail = || "no space left on device".to_owned();
        match command {
            CacheCommand::Note(note) => {
                self.holds_checkpoint |= fails;
                let note = self.as_it_holds(note);
                if let Some(note) = note.filter(|_| !fails) {
                    let stamp = message.and_then(Value::as_u64);
                    self.state.note(&note, stamp);
                    self.since.push((note, stamp));
                }
                None
            }
            // The house stays as it is.
            CacheCommand::Doors(_) => None,
            CacheCommand::Apply { .. } | CacheCommand::Stage { .. } if fails => {
                Some(CacheEvent::Failed { detail: detail() })
            }
            CacheCommand::Remember { id, .. } if fails => {
                Some(CacheEvent::NotRemembered { id, detail: detail() })
            }
            CacheCommand::Apply { applied, rejected, items, .. } => {
                let replaced = self.state.apply(applied, rejected, &items, message);
                self.barrier();
                self.applied_messages += 1;
                let (position, conflicts) = (self.state.position, conflicts(&replaced));
                Some(CacheEvent::Applied(Applied { position, replaced, conflicts }))
            }
            CacheCommand::Stage { part, at } => {
                let staged = self.stage(part, at, message);
                self.barrier();
                Some(CacheEvent::Staged(staged))
            }
            CacheCommand::Remember { id, expires_at, now } => {
                self.state.commands.retain(|_, until| !is_over(*until, now));
                self.state.commands.insert(id.clone(), expires_at);
                self.barrier();
                Some(CacheEvent::Remembered { id })
            }
        }
    }

    /// A note, without its checkpoint where that must stay.
    fn as_it_holds(&self, note: Note) -> Option<Note> {
        let checkpoint = self.state.checkpoint;
        match note {
            Note::Checkpoint { .. } if self.holds_checkpoint => None,
            Note::LetIn { booking, holder, at, .. } if self.holds_checkpoint => {
                Some(Note::LetIn { booking, holder, at, seq: checkpoint })
            }
            note => Some(note),
        }
    }

    fn barrier(&mut self) {
        let Position { epoch, applied, .. } = self.state.position;
        self.floor = self.floor.max((epoch, applied));
        self.durable = self.state.clone();
        self.since.clear();
    }

    fn stage(&mut self, part: Part, at: At, message: Option<&Value>) -> Staged {
        if part.part == 1 {
            let position = Position { epoch: part.epoch, applied: part.last, ..Position::default() };
            let state = State { position, ..State::default() };
            self.staging = Some(Staging { of: part.clone(), next: 1, state });
        }
        let same = |of: &Part| {
            (&of.id, of.epoch, of.last, of.parts) == (&part.id, part.epoch, part.last, part.parts)
        };
        let Some(staging) = self.staging.as_mut().filter(|s| same(&s.of) && s.next == part.part) else {
            return Staged::OutOfOrder { id: part.id };
        };
        staging.next += 1;
        let replaced = staging.state.put_all(&part.items, message);
        staging.state.position.rejected += part.rejected;
        let conflicts = conflicts(&replaced);
        if part.part < part.parts {
            return Staged::Part { id: part.id, part: part.part, conflicts };
        }
        let Some(Staging { state, .. }) = self.staging.take() else { unreachable!("just staged") };
        let removal = self.state.removal_by(&state, at);
        let State { position, records, held, .. } = state;
        self.state = State { position, records, held, ..self.state.clone() };
        self.applied_messages += 1;
        let index = Box::new(self.state.index());
        Staged::InForce { id: part.id, position, index, conflicts, removal }
    }

    /// The daemon was killed: what was written is there. Or the power is gone: what was behind the last barrier is, and
    /// of the notes since then some.
    pub fn cut(&mut self, power: bool, lot: &mut Lot) {
        if power {
            let kept = lot.below(self.since.len() + 1);
            self.state = self.durable.clone();
            self.since[..kept].iter().for_each(|(note, stamp)| self.state.note(note, *stamp));
        }
        self.barrier();
        (self.staging, self.due) = (None, None);
        self.queue.clear();
    }

    /// Nothing is newer than the journal's last entry: its numbers are used again. Returns what doors were kept open by
    /// that is gone.
    pub fn as_of(&mut self, end: u64) -> BTreeMap<DoorId, StoredModes> {
        self.state.checkpoint = self.state.checkpoint.min(end);
        let mut gone = BTreeMap::new();
        for (door, modes) in self.state.modes.iter_mut().filter(|(_, modes)| modes.seq > end) {
            if Modes::shown(modes).is_open() {
                gone.insert(door.clone(), *modes);
                *modes = modes::shut(modes);
            }
            modes.seq = end;
        }
        gone
    }

    #[must_use]
    pub fn holds_checkpoint(&self) -> bool {
        self.holds_checkpoint
    }

    /// What a start read in the journal is noted, durably, unless the disk is full.
    pub fn catch_up(&mut self, end: u64, let_in: &LetIn, modes: &BTreeMap<DoorId, StoredModes>) {
        self.holds_checkpoint = self.disk == Disk::Failing;
        if !self.holds_checkpoint {
            (self.state.let_in, self.state.modes) = (let_in.clone(), modes.clone());
            self.state.checkpoint = end;
            self.barrier();
        }
    }

    /// Its files can't be read: the last good copy takes their place, or nothing, where there is none.
    pub fn damage(&mut self, lot: &mut Lot) -> &'static str {
        // What damages one may damage the other.
        self.copy = self.copy.take().filter(|_| !lot.one_in(4));
        let said = if self.copy.is_some() { "the last good copy is in force" } else { "it begins empty" };
        self.state = self.copy.clone().unwrap_or_default();
        self.state.commands_from = CommandsFrom::Unknown;
        self.barrier();
        said
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    #[must_use]
    pub fn index(&self) -> Index {
        let mut index = Index::new(site::settings().places());
        self.records.values().for_each(|(record, _)| index.apply(None, Some(record)));
        index
    }

    fn apply(
        &mut self,
        applied: u64,
        rejected: u64,
        items: &[Sealed],
        message: Option<&Value>,
    ) -> Vec<Replaced> {
        let before = self.position.applied;
        let replaced = self.put_all(items, None);
        self.position.applied = applied;
        self.position.rejected += rejected;
        let Some(message) = message else { return replaced };
        // Of the message only what is new.
        let first = message["first"].as_u64().unwrap_or(1);
        let changes = message["changes"].as_array().into_iter().flatten();
        let numbered = (first..).zip(changes).filter(|(number, _)| *number > before && *number <= applied);
        for (_, change) in numbered.filter(|(_, change)| is_taken(change.get("put"))) {
            naive::apply(&mut self.held, change);
        }
        replaced
    }

    fn put_all(&mut self, items: &[Sealed], message: Option<&Value>) -> Vec<Replaced> {
        let mut replaced = Vec::new();
        items.iter().for_each(|item| self.change(item, &mut replaced));
        let count = |is: fn(&Record) -> bool| self.records.values().filter(|(r, _)| is(r)).count() as u64;
        self.position.credentials = count(|record| matches!(record, Record::Credential(_)));
        self.position.grants = count(|record| matches!(record, Record::Grant(_)));
        let records = message.and_then(|message| message["records"].as_array());
        for record in records.into_iter().flatten().filter(|record| is_taken(Some(record))) {
            naive::apply(&mut self.held, &serde_json::json!({ "put": record }));
        }
        replaced
    }

    fn change(&mut self, item: &Sealed, replaced: &mut Vec<Replaced>) {
        let (key, new) = match &item.change {
            Change::Put(record) => (record.key(), Some(record)),
            Change::Delete(key) => (key.clone(), None),
        };
        let old = self.records.remove(&key);
        for digest in old.iter().map(|(_, digest)| *digest).chain(new.map(|_| item.digest)) {
            self.position.digest = self.position.digest.xor(digest);
        }
        if let Some(Record::Credential(credential)) = new {
            replaced.extend(self.take_uid(credential));
        }
        if let Some(new) = new {
            self.records.insert(key, (new.clone(), item.digest));
        }
        if old.is_some() || new.is_some() {
            replaced.push(Replaced { old: old.map(|(old, _)| old), new: new.cloned() });
        }
    }

    /// The later change wins the UID.
    fn take_uid(&mut self, winner: &Credential) -> Option<Replaced> {
        let has = |r: &Record| matches!(r, Record::Credential(c) if c.uid.is_some() && c.uid == winner.uid);
        let (record, _) = self.records.values_mut().find(|(record, _)| has(record))?;
        let old = record.clone();
        if let Record::Credential(loser) = record {
            loser.uid = None;
        }
        Some(Replaced { old: Some(old), new: Some(record.clone()) })
    }

    /// How much of what is open or to come the next state no longer holds.
    fn removal_by(&self, next: &State, at: At) -> Removal {
        let index = next.index();
        let live = |record: &&Record| matches!(record, Record::Grant(grant) if grant.terms().is_live(index.policy(), at));
        let live: Vec<&Record> = self.records.values().map(|(record, _)| record).filter(live).collect();
        let removed = live.iter().filter(|record| !next.records.contains_key(&record.key())).count();
        Removal { live: live.len(), removed }
    }

    fn note(&mut self, note: &Note, stamp: Option<u64>) {
        match note {
            Note::Heard(heard) => self.heard = *heard,
            Note::CommandsFrom(from) => self.commands_from = *from,
            Note::Card { .. } => {}
            Note::Checkpoint { seq } => self.checkpoint = *seq,
            Note::LetIn { booking, holder, at, seq } => {
                self.let_in.add(booking.clone(), holder.clone(), *at);
                self.checkpoint = *seq;
            }
            Note::Modes { door, modes } => {
                self.modes.insert(door.clone(), *modes);
                self.stamps.insert(door.clone(), stamp.unwrap_or(0));
            }
            Note::Forget { booking } => {
                let is_other = |(own, ..): &(&BookingId, &HolderId, At)| *own != booking;
                let kept: Vec<_> = self.let_in.iter().filter(is_other).collect();
                let mut rest = LetIn::default();
                kept.into_iter().for_each(|(b, h, at)| rest.add(b.clone(), h.clone(), at));
                self.let_in = rest;
            }
        }
    }
}

/// Whether a record is one that can be used: central's bugs are of a kind nobody knows.
fn is_taken(record: Option<&Value>) -> bool {
    record.is_none_or(|record| record["kind"] != super::books::UNKNOWN_KIND)
}

fn conflicts(replaced: &[Replaced]) -> Vec<String> {
    let lost = |r: &&Replaced| {
        let had = matches!(&r.old, Some(Record::Credential(c)) if c.uid.is_some());
        let has = matches!(&r.new, Some(Record::Credential(c)) if c.uid.is_some());
        had && r.new.is_some() && !has
    };
    replaced.iter().filter(lost).map(|_| "a credential lost its UID to another".to_owned()).collect()
}
