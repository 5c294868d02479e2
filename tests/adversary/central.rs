//! An honest central: a numbered list of changes, snapshots of it, and the journal it has been sent. It keeps what its
//! state was at every number, to compare with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use latchd::{
    domain::{ControllerId, Entry},
    wire::{
        UidHasher,
        feed::{Ack, Feed, feed},
        outgoing::{Sync, Want},
    },
};
use serde_json::{Value, json};

use super::disk::JOURNAL;
use crate::seeds::Lot;
use crate::site::chain::digest;

pub const CONTROLLER: &str = "oslo-1";

/// Something central has signed.
#[derive(Debug, Clone)]
pub enum Message {
    Feed(Feed),
    Ack(Ack),
}

/// The state at a number: what an index shows of it, and its digest from scratch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    pub lines: BTreeSet<String>,
    pub digest: String,
}

#[derive(Debug)]
pub struct Central {
    pub epoch: u64,
    pub number: u64,
    records: BTreeMap<String, Value>,
    /// The changes of this epoch, by number.
    changes: BTreeMap<u64, Value>,
    snapshots: u64,
    folds: BTreeMap<(u64, u64), Fold>,
    /// Everything it ever sent.
    pub sent: Vec<Message>,
    /// Sent, and not yet with the broker.
    pub outgoing: VecDeque<Message>,
    /// What the controller said last, by what central has heard.
    pub last_sync: Option<Sync>,
    /// The events it has stored, from the first.
    pub ledger: Vec<Entry>,
    hasher: UidHasher,
}

impl Central {
    pub fn new(hasher: UidHasher) -> Self {
        let mut central = Central {
            epoch: 1,
            number: 0,
            records: BTreeMap::new(),
            changes: BTreeMap::new(),
            snapshots: 0,
            folds: BTreeMap::from([((0, 0), fold(&BTreeMap::new()))]),
            sent: Vec::new(),
            outgoing: VecDeque::new(),
            last_sync: None,
            ledger: Vec::new(),
            hasher,
        };
        central.remember();
        central
    }

    fn remember(&mut self) {
        self.folds.insert((self.epoch, self.number), fold(&self.records));
    }

    /// The state at a position; none if there never was one.
    pub fn fold(&self, epoch: u64, number: u64) -> Option<&Fold> {
        self.folds.get(&(epoch, number))
    }

    /// A few changes, as one message.
    pub fn change(&mut self, lot: &mut Lot) {
        let first = self.number + 1;
        for _ in 0..lot.of(1..4) {
            let change = self.random_change(lot);
            self.number += 1;
            self.changes.insert(self.number, change);
            self.remember();
        }
        self.send_changes(first, self.number);
    }

    fn random_change(&mut self, lot: &mut Lot) -> Value {
        let (n, holder, version) = (lot.of(0..6), lot.of(0..4), self.number);
        let record = if lot.one_in(2) {
            json!({ "type": "grant", "id": format!("g-{n}"), "kind": "standing", "zones": ["perimeter"],
                    "holder": format!("m-{holder}"), "booking": format!("b-{version}") })
        } else {
            let status = ["active", "active", "suspended", "revoked"][lot.below(4)];
            json!({ "type": "credential", "id": format!("c-{n}"), "uid": uid(n), "holder": format!("m-{holder}"),
                    "status": status, "label": format!("v{version}") })
        };
        if lot.one_in(3) {
            self.records.remove(&key(&record));
            json!({ "delete": { "type": record["type"], "id": record["id"] } })
        } else {
            self.records.insert(key(&record), record.clone());
            json!({ "put": record })
        }
    }

    fn send_changes(&mut self, first: u64, last: u64) {
        let from = self.changes.range(first..).take_while(|(number, _)| **number <= last);
        let changes: Vec<&Value> = from.map(|(_, change)| change).collect();
        let message = json!({ "controller": CONTROLLER, "epoch": self.epoch, "first": first, "last": last,
                              "changes": changes });
        self.send_feed(&message);
    }

    /// One change.
    pub fn put(&mut self, record: &Value) {
        self.records.insert(key(record), record.clone());
        self.note_change(json!({ "put": record }));
    }

    pub fn delete(&mut self, record: &Value) {
        self.records.remove(&key(record));
        self.note_change(json!({ "delete": { "type": record["type"], "id": record["id"] } }));
    }

    fn note_change(&mut self, change: Value) {
        self.number += 1;
        self.changes.insert(self.number, change);
        self.remember();
        self.send_changes(self.number, self.number);
    }

    /// Everything as it is now, in some parts.
    pub fn snapshot(&mut self, lot: &mut Lot) {
        let size = lot.of(1..6) as usize;
        self.snapshot_of(size);
    }

    /// Everything as it is now, so many records a part.
    pub fn snapshot_of(&mut self, size: usize) {
        self.snapshots += 1;
        let records: Vec<&Value> = self.records.values().collect();
        let parts: Vec<Vec<&Value>> = match records.chunks(size).map(<[&Value]>::to_vec).collect::<Vec<_>>() {
            none if none.is_empty() => vec![Vec::new()],
            some => some,
        };
        let messages: Vec<Value> = (1..)
            .zip(&parts)
            .map(|(part, records)| {
                json!({ "controller": CONTROLLER, "epoch": self.epoch, "last": self.number, "records": records,
                        "snapshot": { "id": format!("s-{}", self.snapshots), "part": part, "parts": parts.len() } })
            })
            .collect();
        messages.iter().for_each(|message| self.send_feed(message));
    }

    /// It names its snapshots from the first again.
    pub fn forget_names(&mut self) {
        self.snapshots = 0;
    }

    /// The next list, of what there is.
    pub fn begin_list(&mut self) {
        self.epoch += 1;
        self.changes.clear();
        self.remember();
    }

    /// Restarts, and may have had to begin a new list.
    pub fn restart(&mut self, lot: &mut Lot) {
        self.outgoing.clear();
        self.forget_names();
        if lot.one_in(2) {
            self.epoch += 1;
            self.number = lot.of(0..self.number + 2);
            self.changes.clear();
            // What was put back from the backup is not all there was.
            let gone = lot.below(3);
            let gone: Vec<String> = self.records.keys().take(gone).cloned().collect();
            gone.iter().for_each(|key| _ = self.records.remove(key));
            self.remember();
        }
    }

    fn send_feed(&mut self, message: &Value) {
        let own = ControllerId::new(CONTROLLER).expect("an id");
        let read = feed(message.to_string().as_bytes(), &own, &self.hasher).expect("a message");
        self.send(Message::Feed(read));
    }

    fn send(&mut self, message: Message) {
        self.sent.push(message.clone());
        self.outgoing.push_back(message);
    }

    /// Answers a `sync`, unless an answer is under way.
    pub fn answer(&mut self, sync: &Sync, lot: &mut Lot) {
        self.last_sync = Some(sync.clone());
        if self.outgoing.iter().any(|message| matches!(message, Message::Feed(_))) {
            return;
        }
        if sync.epoch != self.epoch || sync.want == Want::Snapshot || sync.applied > self.number {
            self.snapshot(lot);
        } else if sync.want == Want::Changes || sync.applied < self.number {
            self.answer_changes(sync.applied, lot);
        }
    }

    fn answer_changes(&mut self, after: u64, lot: &mut Lot) {
        if self.changes.range(after + 1..).count() as u64 != self.number - after {
            // From before this list: only a snapshot has them.
            return self.snapshot(lot);
        }
        if after == self.number {
            return self.send_changes(after + 1, after);
        }
        let mut first = after + 1;
        while first <= self.number {
            let last = (first + lot.of(0..5)).min(self.number);
            self.send_changes(first, last);
            first = last + 1;
        }
    }

    /// Whether the controller has said that it holds all there is and wants nothing.
    pub fn is_in_step(&self) -> bool {
        let all = (self.epoch, self.number, Want::Nothing);
        self.last_sync.as_ref().is_some_and(|sync| (sync.epoch, sync.applied, sync.want) == all)
    }

    /// Stores events, and acknowledges them. Repeats are dropped; a gap, or another event under a number it knows, is
    /// what must never come.
    pub fn store(&mut self, events: &[Entry]) {
        for event in events {
            let next = self.ledger.len() as u64 + 1;
            assert!(event.seq <= next, "event {} came where {next} should", event.seq);
            match self.ledger.get(event.seq as usize - 1) {
                Some(stored) => assert_eq!(stored, event, "the same number, and another event"),
                None => self.ledger.push(event.clone()),
            }
        }
        self.acknowledge(JOURNAL, self.ledger.len() as u64);
    }

    pub fn acknowledge(&mut self, journal: &str, through: u64) {
        self.send(Message::Ack(Ack { journal: journal.to_owned(), through }));
    }
}

fn key(record: &Value) -> String {
    format!("{}{}", record["type"], record["id"])
}

/// Each card has a number of its own.
pub fn uid(n: u64) -> String {
    format!("0400000000A{n:03}")
}

fn fold(records: &BTreeMap<String, Value>) -> Fold {
    let line = |record: &Value| {
        let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        [text("id"), text("holder"), text("status"), text("label"), text("booking")].join(" ")
    };
    Fold { lines: records.values().map(line).collect(), digest: digest(records.values()) }
}
