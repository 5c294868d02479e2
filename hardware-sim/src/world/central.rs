//! Central: a numbered list of changes, snapshots of it, commands, and the journal it has been sent. It means well,
//! and has bugs (`misbehave`): gaps, numbers used twice, old lists, records nobody knows, cards with one UID.
//!
//! It keeps what its records added up to at every number, to hold against what the controller claims.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use latchd::{
    domain::Entry,
    wire::{
        command::CommandResult,
        outgoing::{Sync, Want},
    },
};
use serde_json::{Value, json};

use super::{
    books,
    lot::Lot,
    site::{CONTROLLER, DOORS, JOURNAL},
};
use crate::{
    central::digest::Digest,
    naive::{Instant, written},
};

/// What it remembers to have sent, for whoever replays it.
const MOST_SENT: usize = 300;
/// Most changes of its list it can still send one by one.
const MOST_CHANGES: u64 = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Feed,
    Ack,
    Command,
}

/// Something on its way to the controller.
#[derive(Debug)]
pub struct Message {
    pub topic: Topic,
    pub body: Value,
    /// Not central's: nobody has signed it.
    pub forged: bool,
}

/// A command that central gave.
#[derive(Debug, Clone)]
pub struct Issued {
    pub issued_at: Instant,
    pub expires_at: Instant,
    /// Given to be carried out now, and to nobody else.
    pub results: Vec<CommandResult>,
}

#[derive(Debug)]
pub struct Central {
    pub epoch: u64,
    pub number: u64,
    /// In the order in which they were put.
    pub records: Vec<Value>,
    digest: Digest,
    /// The changes of this epoch, by number.
    changes: BTreeMap<u64, Value>,
    snapshots: u64,
    /// What its records added up to, at every place it was at. More than one, where it used a number twice.
    claimed: BTreeMap<(u64, u64), BTreeSet<String>>,
    /// Lists in which it used numbers twice: what a controller holds of one may be a mixture.
    mixed: BTreeSet<u64>,
    /// The last it sent.
    pub sent: VecDeque<Rc<Message>>,
    /// Sent, and not yet with the broker.
    pub outgoing: VecDeque<Rc<Message>>,
    /// What the controller said last, by what central has heard.
    pub last_sync: Option<Sync>,
    /// The events it has stored, and the last.
    pub ledger: BTreeMap<u64, Entry>,
    pub through: u64,
    pub commands: BTreeMap<String, Issued>,
}

impl Central {
    #[must_use]
    pub fn new() -> Self {
        let mut central = Central {
            epoch: 1,
            number: 0,
            records: Vec::new(),
            digest: Digest::default(),
            changes: BTreeMap::new(),
            snapshots: 0,
            claimed: BTreeMap::new(),
            mixed: BTreeSet::new(),
            sent: VecDeque::new(),
            outgoing: VecDeque::new(),
            last_sync: None,
            ledger: BTreeMap::new(),
            through: 0,
            commands: BTreeMap::new(),
        };
        // What a controller is that has never heard of it.
        central.claimed.insert((0, 0), BTreeSet::from([Digest::default().hex()]));
        central.remember();
        central
    }

    fn remember(&mut self) {
        self.claimed.entry((self.epoch, self.number)).or_default().insert(self.digest.hex());
        while self.claimed.len() > 4 * MOST_CHANGES as usize {
            // The first is of nobody's list.
            let oldest = *self.claimed.keys().nth(1).unwrap();
            self.claimed.remove(&oldest);
        }
    }

    /// Whether it was ever at this place.
    #[must_use]
    pub fn was_at(&self, epoch: u64, number: u64) -> bool {
        self.claimed.contains_key(&(epoch, number))
    }

    fn claimed(&self, epoch: u64, number: u64, digest: &str) -> bool {
        self.claimed.get(&(epoch, number)).is_some_and(|digests| digests.contains(digest))
    }

    /// Whether its records may have added up to this there.
    #[must_use]
    pub fn may_claim(&self, epoch: u64, number: u64, digest: &str) -> bool {
        self.mixed.contains(&epoch) || self.claimed(epoch, number, digest)
    }

    fn put_record(&mut self, record: &Value) {
        self.remove_record(record);
        self.digest.toggle(record);
        self.records.push(record.clone());
    }

    fn remove_record(&mut self, of: &Value) {
        let same = |r: &Value| r["type"] == of["type"] && r["id"] == of["id"];
        if let Some(place) = self.records.iter().position(same) {
            let old = self.records.remove(place);
            self.digest.toggle(&old);
        }
    }

    /// One change more on the list; not sent.
    pub fn note_change(&mut self, change: &Value) {
        if let Some(gone) = change.get("delete") {
            self.remove_record(gone);
        } else if change["put"]["kind"] != books::UNKNOWN_KIND {
            self.put_record(&change["put"]);
        }
        self.number += 1;
        self.changes.insert(self.number, change.clone());
        if self.changes.len() as u64 > MOST_CHANGES {
            self.changes.pop_first();
        }
        self.remember();
    }

    /// Changes, as one message.
    pub fn change(&mut self, changes: &[Value]) {
        let first = self.number + 1;
        changes.iter().for_each(|change| self.note_change(change));
        self.send_changes(first, self.number);
    }

    pub fn random_changes(&mut self, lot: &mut Lot, now: Instant) {
        let count = lot.of(1..4);
        let changes: Vec<Value> = (0..count).map(|_| books::change(lot, now)).collect();
        self.change(&changes);
    }

    pub fn put(&mut self, record: &Value) {
        self.change(&[json!({ "put": record })]);
    }

    pub fn delete(&mut self, record: &Value) {
        self.change(&[json!({ "delete": { "type": record["type"], "id": record["id"] } })]);
    }

    /// Takes most grants away: a real revocation, or a great mistake.
    pub fn remove_most(&mut self) {
        let grants: Vec<Value> = self.records.iter().filter(|r| r["type"] == "grant").cloned().collect();
        let gone = grants.iter().skip(1);
        let changes: Vec<Value> =
            gone.map(|r| json!({ "delete": { "type": "grant", "id": r["id"] } })).collect();
        self.change(&changes);
    }

    fn send_changes(&mut self, first: u64, last: u64) {
        let changes: Vec<&Value> = (first..=last).filter_map(|number| self.changes.get(&number)).collect();
        let body = json!({ "controller": CONTROLLER, "epoch": self.epoch, "first": first, "last": last,
                           "changes": changes });
        self.send(Topic::Feed, body);
    }

    /// Everything as it is now, so many records a part.
    pub fn snapshot_of(&mut self, size: usize) {
        self.snapshots += 1;
        let parts: Vec<&[Value]> =
            if self.records.is_empty() { vec![&[]] } else { self.records.chunks(size).collect() };
        let bodies: Vec<Value> = (1..)
            .zip(&parts)
            .map(|(part, records)| {
                json!({ "controller": CONTROLLER, "epoch": self.epoch, "last": self.number, "records": records,
                        "snapshot": { "id": format!("s-{}", self.snapshots), "part": part, "parts": parts.len() } })
            })
            .collect();
        bodies.into_iter().for_each(|body| self.send(Topic::Feed, body));
    }

    pub fn snapshot(&mut self, lot: &mut Lot) {
        let size = lot.of(4..20) as usize;
        self.snapshot_of(size);
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

    /// Restarts, and may have had to begin a new list, of what was in the backup.
    pub fn restart(&mut self, lot: &mut Lot) {
        self.outgoing.clear();
        self.forget_names();
        if lot.one_in(2) {
            self.epoch += 1;
            self.number = lot.of(0..self.number + 2);
            self.changes.clear();
            for _ in 0..lot.below(3).min(self.records.len()) {
                let gone = self.records[0].clone();
                self.remove_record(&gone);
            }
            self.remember();
        }
    }

    fn send(&mut self, topic: Topic, body: Value) {
        self.send_message(Message { topic, body, forged: false });
    }

    pub fn send_message(&mut self, message: Message) {
        let message = Rc::new(message);
        if self.sent.len() >= MOST_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(Rc::clone(&message));
        self.outgoing.push_back(message);
    }

    /// Answers a `sync`, unless an answer is under way.
    pub fn answer(&mut self, sync: &Sync, lot: &mut Lot) {
        self.last_sync = Some(sync.clone());
        if self.outgoing.iter().any(|message| message.topic == Topic::Feed) {
            return;
        }
        if sync.epoch > self.epoch {
            // Restored from a backup of before that list: the next one is to be newer than what is out there.
            self.epoch = sync.epoch + 1;
            self.changes.clear();
            self.remember();
        }
        let differs = !self.claimed(sync.epoch, sync.applied, &sync.digest.to_string())
            || (sync.applied == self.number && sync.digest.to_string() != self.digest.hex());
        if sync.epoch != self.epoch || sync.want == Want::Snapshot || sync.applied > self.number || differs {
            if sync.epoch == self.epoch && sync.applied > self.number {
                self.begin_list();
            }
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
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        let all = (self.epoch, self.number, Want::Nothing, self.digest.hex());
        self.last_sync.as_ref().is_some_and(|s| (s.epoch, s.applied, s.want, s.digest.to_string()) == all)
    }

    /// A bug of central's. Its name.
    pub fn misbehave(&mut self, lot: &mut Lot, now: Instant) -> &'static str {
        match lot.of(0..10) {
            0 => {
                // On the list, and never sent.
                self.note_change(&books::change(lot, now));
                self.random_changes(lot, now);
                "a change is left out"
            }
            1 if self.number > 2 => {
                // A backup of an hour ago, and nobody noticed.
                self.number -= lot.of(1..3);
                self.mixed.insert(self.epoch);
                self.random_changes(lot, now);
                "numbers are used twice"
            }
            2 if self.epoch > 1 => {
                // Whoever is still there follows it.
                self.mixed.insert(self.epoch - 1);
                self.claimed.entry((self.epoch - 1, self.number + 1)).or_default();
                let body = json!({ "controller": CONTROLLER, "epoch": self.epoch - 1, "first": self.number + 1,
                    "last": self.number + 1, "changes": [books::change(lot, now)] });
                self.send(Topic::Feed, body);
                "an old list goes on"
            }
            3 => {
                self.put(&books::unknown_kind(lot));
                "a record nobody knows"
            }
            4 => {
                self.put(&books::conflicting(lot, now));
                "two cards have one UID"
            }
            5 => {
                self.remove_most();
                "most grants are taken away"
            }
            6 => {
                self.send(
                    Topic::Feed,
                    json!({ "controller": "bergen-2", "epoch": 9, "first": 1, "last": 0, "changes": [] }),
                );
                "a message for another controller"
            }
            7 => {
                self.send(
                    Topic::Feed,
                    json!({ "controller": CONTROLLER, "epoch": self.epoch, "changes": 7 }),
                );
                "a message nobody understands"
            }
            8 => {
                let body = json!({ "controller": CONTROLLER, "epoch": self.epoch, "first": self.number + 1,
                    "last": self.number + 1, "changes": [{ "put": books::grant(lot, 0, now) }] });
                self.send_message(Message { topic: Topic::Feed, body, forged: true });
                "a signature is wrong"
            }
            _ => {
                self.begin_list();
                self.snapshot(lot);
                "a new list is begun"
            }
        }
    }

    /// Puts right what its bugs have left: cards with a UID each. Grants as they are.
    pub fn repair(&mut self) {
        let has_own = |r: &Value| {
            let n: Option<u64> = r["id"].as_str().and_then(|id| id.strip_prefix("c-")?.parse().ok());
            r["type"] != "credential" || n.is_some_and(|n| r["uid"] == books::uid(n))
        };
        let wrong: Vec<Value> = self.records.iter().filter(|r| !has_own(r)).cloned().collect();
        for mut card in wrong {
            let n = card["id"].as_str().and_then(|id| id.strip_prefix("c-")?.parse().ok()).unwrap_or(0);
            self.delete(&card);
            card["uid"] = books::uid(n).into();
            self.put(&card);
        }
        // Whoever lost a UID to one of them gets it back.
        self.begin_list();
        self.snapshot_of(7);
    }

    /// Gives a command; the kind of it.
    pub fn command(&mut self, lot: &mut Lot, now: Instant) -> &'static str {
        const ACTIONS: [&str; 10] = [
            "access",
            "access",
            "lock",
            "unlock",
            "block",
            "unblock",
            "lock_down",
            "lock_down_release",
            "lock_open",
            "lock_open_release",
        ];
        let s = chrono::Duration::seconds;
        let (kind, issued_at, life) = match lot.of(0..12) {
            0 => ("late", now - s(400), s(300)),
            1 => ("lives too long", now, s(600)),
            2 => ("of the future", now + s(120), s(200)),
            _ => ("in time", now - s(lot.of(0..5) as i64), s(lot.of(20..300) as i64)),
        };
        let (mut action, mut door) = (lot.pick(&ACTIONS), DOORS[lot.below(DOORS.len())].0);
        match lot.of(0..12) {
            0 => door = "*",
            1 => door = "cellar",
            2 => action = "resync",
            3 => action = "self_destruct",
            _ => {}
        }
        let id = format!("cmd-{}", self.commands.len());
        let mut body = json!({ "controller": CONTROLLER, "id": id, "issued_at": written(issued_at),
            "expires_at": written(issued_at + life), "by": "eva@central", "action": action, "door": door });
        if matches!(action, "unlock" | "lock_open") && lot.one_in(2) {
            body["for_s"] = lot.of(5..90).into();
        }
        let issued = Issued { issued_at, expires_at: issued_at + life, results: Vec::new() };
        self.commands.insert(id, issued);
        let forged = lot.one_in(15);
        self.send_message(Message { topic: Topic::Command, body, forged });
        kind
    }

    /// Stores events, and acknowledges them. Repeats are dropped. What must not come is said: another event under a
    /// number it knows, or a number left out that was not lost.
    pub fn store(&mut self, events: &[Entry], was_lost: impl Fn(u64) -> bool) -> Result<(), String> {
        for event in events {
            match self.ledger.get(&event.seq) {
                Some(stored) if stored == event => {}
                Some(_) => return Err(format!("event {} came again, and is another", event.seq)),
                None => {
                    if let Some(missing) = (self.through + 1..event.seq).find(|seq| !was_lost(*seq)) {
                        return Err(format!("event {} came, and {missing} did not", event.seq));
                    }
                    self.through = self.through.max(event.seq);
                    self.ledger.insert(event.seq, event.clone());
                }
            }
        }
        self.acknowledge(JOURNAL, self.through);
        Ok(())
    }

    pub fn acknowledge(&mut self, journal: &str, through: u64) {
        let body = json!({ "controller": CONTROLLER, "journal": journal, "through": through });
        self.send(Topic::Ack, body);
    }
}

impl Default for Central {
    fn default() -> Self {
        Self::new()
    }
}
