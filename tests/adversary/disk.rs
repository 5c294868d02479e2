//! What is on disk: a model of the cache and of the journal. A crash leaves exactly this.

use std::collections::BTreeMap;

use latchd::{
    control::{
        Applied, CacheCommand, CacheEvent, Part, Removal, Replaced, Staged,
        commands_taken::CommandsTaken,
        controller::{JournalEnd, Known, Restored},
        index::Index,
        let_in::LetIn,
    },
    domain::{Change, DoorId, Entry, Record, RecordKey, ZoneId},
    wire::{
        Digest,
        feed::Sealed,
        stored::{Heard, Position},
    },
};

pub const JOURNAL: &str = "6f0e9c1e-1111-4222-8333-444455556666";

type Records = BTreeMap<RecordKey, (Record, Digest)>;

#[derive(Debug, Default)]
pub struct Disk {
    pub position: Position,
    records: Records,
    /// In memory, but of the cache: a crash forgets it.
    staging: Option<Staging>,
    pub journal: Vec<Entry>,
    pub acknowledged: u64,
    /// Messages that changed something: how much a run was about.
    pub applied_messages: u64,
}

#[derive(Debug)]
struct Staging {
    of: Part,
    next: u32,
    position: Position,
    records: Records,
}

impl Disk {
    /// Does what the cache is told, durably; notes are nothing to it.
    pub fn carry_out(
        &mut self,
        command: CacheCommand,
        doors: &[(DoorId, Vec<ZoneId>)],
    ) -> Option<CacheEvent> {
        match command {
            CacheCommand::Apply { applied, rejected, items, .. } => {
                let numbers = items.len() as u64 + rejected;
                assert_eq!(applied, self.position.applied + numbers, "a change twice, or one left out");
                self.position =
                    Position { applied, rejected: self.position.rejected + rejected, ..self.position };
                let replaced = apply(&mut self.records, &mut self.position, &items);
                self.applied_messages += 1;
                Some(CacheEvent::Applied(Applied {
                    position: self.position,
                    replaced,
                    conflicts: Vec::new(),
                }))
            }
            CacheCommand::Stage { part, .. } => Some(CacheEvent::Staged(self.stage(part, doors))),
            // Nobody commands anything here.
            CacheCommand::Remember { .. } | CacheCommand::Note(_) | CacheCommand::Doors(_) => None,
        }
    }

    fn stage(&mut self, part: Part, doors: &[(DoorId, Vec<ZoneId>)]) -> Staged {
        if part.part == 1 {
            let position = Position { epoch: part.epoch, applied: part.last, ..Position::default() };
            self.staging = Some(Staging { of: part.clone(), next: 1, position, records: Records::new() });
        }
        let same = |of: &Part| {
            (&of.id, of.epoch, of.last, of.parts) == (&part.id, part.epoch, part.last, part.parts)
        };
        let Some(staging) = self.staging.as_mut().filter(|s| same(&s.of) && s.next == part.part) else {
            return Staged::OutOfOrder { id: part.id };
        };
        staging.next += 1;
        apply(&mut staging.records, &mut staging.position, &part.items);
        if part.part < part.parts {
            return Staged::Part { id: part.id, part: part.part, conflicts: Vec::new() };
        }
        let Some(Staging { position, records, .. }) = self.staging.take() else {
            unreachable!("just staged")
        };
        (self.position, self.records) = (position, records);
        self.applied_messages += 1;
        let (index, removal) = (Box::new(self.index(doors)), Removal::default());
        Staged::InForce { id: part.id, position, index, conflicts: Vec::new(), removal }
    }

    fn index(&self, doors: &[(DoorId, Vec<ZoneId>)]) -> Index {
        let mut index = Index::new(doors.iter().cloned());
        self.records.values().for_each(|(record, _)| index.apply(None, Some(record)));
        index
    }

    /// What a start finds.
    pub fn restored(&mut self, doors: &[(DoorId, Vec<ZoneId>)]) -> Restored {
        self.staging = None;
        let seq = self.journal.len() as u64;
        let at = self.journal.last().map(|entry| entry.at);
        Restored {
            index: self.index(doors),
            position: self.position,
            let_in: LetIn::default(),
            heard: Heard::default(),
            journal: JournalEnd {
                id: JOURNAL.into(),
                seq,
                acknowledged: self.acknowledged,
                at,
                ..JournalEnd::default()
            },
            modes: BTreeMap::new(),
            commands: CommandsTaken::default(),
            known: Known::default(),
            cards: BTreeMap::new(),
            remarks: Vec::new(),
        }
    }
}

fn apply(records: &mut Records, position: &mut Position, items: &[Sealed]) -> Vec<Replaced> {
    let mut replaced = Vec::new();
    for item in items {
        let (key, new) = match &item.change {
            Change::Put(record) => (record.key(), Some((record.clone(), item.digest))),
            Change::Delete(key) => (key.clone(), None),
        };
        let old = match &new {
            Some(new) => records.insert(key, new.clone()),
            None => records.remove(&key),
        };
        let is_change = old.is_some() || new.is_some();
        for (_, digest) in old.iter().chain(&new) {
            position.digest = position.digest.xor(*digest);
        }
        if is_change {
            replaced.push(Replaced { old: old.map(|(old, _)| old), new: new.map(|(new, _)| new) });
        }
    }
    let count = |is: fn(&Record) -> bool| records.values().filter(|(record, _)| is(record)).count() as u64;
    position.credentials = count(|record| matches!(record, Record::Credential(_)));
    position.grants = count(|record| matches!(record, Record::Grant(_)));
    replaced
}
