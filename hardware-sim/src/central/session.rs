//! What central knows of one controller, and what it answers: the protocol, without a broker.
//!
//! Pure: messages and link changes in, messages to publish out (the outbox). `link.rs` carries them, `mod.rs` gives
//! people and tests a handle. The outbox stays small because a want is not answered while an answer is under way.

use super::feed::{Feed, Position};
use super::ledger::{Ledger, Violation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Violations kept; a controller gone mad must not fill the memory of who watches it.
const VIOLATIONS_MAX: usize = 1_000;
/// Messages of others (`publish_raw`) that may wait for the link.
pub const OUTBOX_RAW_MAX: usize = 10_000;

/// What a controller said in `sync`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SyncSeen {
    /// The list it knows; 0 if it knows none.
    pub epoch: u64,
    /// How far it has applied it.
    pub applied: u64,
    /// `nothing`, `changes` or `snapshot`.
    pub want: String,
    /// Records it refused, all in all.
    pub rejected: u64,
    /// How many records it holds.
    pub records: RecordsSeen,
    /// The digest of its records.
    pub digest: String,
}

/// The counts in `sync`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RecordsSeen {
    /// Records of type `credential`.
    pub credentials: u64,
    /// Records of type `grant`.
    pub grants: u64,
}

/// A message to publish, below the controller's own topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// `feed`, `ack`, `command`.
    pub topic: String,
    /// The body.
    pub payload: Vec<u8>,
}

/// Central's side of one controller.
#[derive(Debug)]
pub struct Session {
    controller: String,
    /// The records and their changes.
    pub feed: Feed,
    /// The events stored.
    pub ledger: Ledger,
    pub(super) last_sync: Option<SyncSeen>,
    pub(super) status: Option<Value>,
    pub(super) doors: BTreeMap<String, Value>,
    pub(super) results: Vec<Value>,
    pub(super) violations: Vec<Violation>,
    acking: bool,
    connected: bool,
    /// The newest change handed to the link; after a reconnect, the newest known to have arrived.
    sent: u64,
    /// The controller has just come online: its next `sync` shows what got lost while it was away.
    came_back: bool,
    outbox: VecDeque<Outgoing>,
}

impl Session {
    /// A session that has heard nothing yet.
    #[must_use]
    pub fn new(controller: &str, epoch: u64) -> Session {
        Session {
            controller: controller.to_owned(),
            feed: Feed::new(controller, epoch),
            ledger: Ledger::default(),
            last_sync: None,
            status: None,
            doors: BTreeMap::new(),
            results: Vec::new(),
            violations: Vec::new(),
            acking: true,
            connected: false,
            sent: 0,
            came_back: false,
            outbox: VecDeque::new(),
        }
    }

    /// Whether the link to the broker stands and its subscriptions are in place.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The link stands. What it may have lost before is sent again; who is at another list will be heard asking.
    pub fn connected(&mut self) {
        self.connected = true;
        self.outbox.clear();
        let head = self.feed.position();
        self.sent = match &self.last_sync {
            Some(seen) if seen.epoch == head.epoch => seen.applied.min(head.applied),
            Some(_) | None => head.applied,
        };
        self.acknowledge_all();
        self.flush();
    }

    /// The link is gone, with whatever was under way on it.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.outbox.clear();
    }

    /// Queues the changes not yet sent. While the link is down nothing is queued: the feed itself is the queue.
    pub fn flush(&mut self) {
        if !self.connected {
            return;
        }
        match self.feed.messages_after(self.sent) {
            Some(messages) => self.queue_feed(messages),
            None => self.send_snapshot(),
        }
        self.sent = self.feed.position().applied;
    }

    /// Sends the records in force as a snapshot.
    pub fn send_snapshot(&mut self) {
        if self.connected {
            let messages = self.feed.snapshot_messages();
            self.queue_feed(messages);
            self.sent = self.feed.position().applied;
        }
    }

    /// Starts a new list and tells the controller with a snapshot.
    pub fn new_epoch(&mut self) -> Position {
        let position = self.feed.new_epoch();
        self.send_snapshot();
        position
    }

    /// Whether stored events are acknowledged; turning it on acknowledges what has been stored meanwhile.
    pub fn set_acking(&mut self, acking: bool) {
        self.acking = acking;
        self.acknowledge_all();
    }

    /// Queues a message as it is. False if the link is down or too much waits already.
    pub fn queue_raw(&mut self, topic: &str, payload: Vec<u8>) -> bool {
        let room = self.connected && self.outbox.len() < OUTBOX_RAW_MAX;
        if room {
            self.outbox.push_back(Outgoing { topic: topic.to_owned(), payload });
        }
        room
    }

    /// The next message to publish.
    pub fn next_outgoing(&mut self) -> Option<Outgoing> {
        self.outbox.pop_front()
    }

    /// A message has come in. `retained`: the broker kept it from before, nobody is saying it now.
    pub fn received(&mut self, topic: &str, payload: &[u8], retained: bool) {
        if payload.is_empty() && retained {
            return;
        }
        let message: Value = match serde_json::from_slice(payload) {
            Ok(message) => message,
            Err(error) => return self.not_understood(topic, &error.to_string()),
        };
        if message.get("controller").and_then(Value::as_str) != Some(&self.controller) {
            return self.not_understood(topic, "its `controller` is not the one of its topic");
        }
        match topic {
            "sync" => self.received_sync(&message),
            "events" => self.received_events(&message),
            "status" => self.received_status(message, retained),
            "result" => self.results.push(message),
            other => match other.strip_prefix("door/") {
                Some(door) => {
                    self.doors.insert(door.to_owned(), message);
                }
                None => self.not_understood(topic, "central does not know this topic"),
            },
        }
    }

    fn received_events(&mut self, message: &Value) {
        let taken = self.ledger.take(message);
        for violation in taken.violations {
            self.note(violation);
        }
        if let Some((journal, through)) = taken.through {
            self.acknowledge(&journal, through);
        }
    }

    fn received_status(&mut self, status: Value, retained: bool) {
        let online = status.get("online").and_then(Value::as_bool) == Some(true);
        let since = |status: &Value| status.get("since").cloned();
        if online && self.status.as_ref().and_then(since) != since(&status) {
            self.came_back = true;
        }
        // It was online before we were, so we have missed it asking: at another list it would ask again only after
        // up to a minute.
        let epoch = status.get("epoch").and_then(Value::as_u64).unwrap_or(0);
        if online && retained && epoch != self.feed.position().epoch {
            self.rise_above(epoch);
            self.send_snapshot();
        }
        self.status = Some(status);
    }

    fn received_sync(&mut self, message: &Value) {
        let seen: SyncSeen = match serde_json::from_value(message.clone()) {
            Ok(seen) => seen,
            Err(error) => return self.not_understood("sync", &error.to_string()),
        };
        let stalled = self.last_sync.as_ref().is_some_and(|last| last.applied == seen.applied);
        let missed_some = stalled || std::mem::take(&mut self.came_back);
        let head = self.feed.position();
        if self.outbox.is_empty() {
            if seen.epoch != head.epoch || seen.want == "snapshot" || seen.applied > head.applied {
                self.rise_above(seen.epoch);
                self.send_snapshot();
            } else if seen.want == "changes" || (missed_some && seen.applied < head.applied) {
                self.sent = seen.applied;
                self.flush();
            }
        }
        self.compare(&seen);
        self.last_sync = Some(seen);
    }

    /// A controller rejects a list lower than the one it knows, for instance after our clock was set back.
    fn rise_above(&mut self, their_epoch: u64) {
        if self.feed.position().epoch < their_epoch {
            self.feed.new_epoch_above(their_epoch);
        }
    }

    /// Whether this `sync` says that the controller holds what central holds now.
    #[must_use]
    pub fn is_in_step(&self, seen: &SyncSeen) -> bool {
        let head = self.feed.position();
        let same_place = seen.epoch == head.epoch && seen.applied == head.applied && seen.want == "nothing";
        same_place && (seen.rejected > 0 || seen.digest == self.feed.digest())
    }

    /// With both sides at the same change and nothing refused, both hold the same records, or one is wrong.
    fn compare(&mut self, seen: &SyncSeen) {
        let head = self.feed.position();
        if seen.epoch != head.epoch
            || seen.applied != head.applied
            || seen.rejected > 0
            || seen.want != "nothing"
        {
            return;
        }
        let counts = self.feed.counts();
        let pairs = [
            ("digest", seen.digest.clone(), self.feed.digest()),
            ("number of credentials", seen.records.credentials.to_string(), counts.credentials.to_string()),
            ("number of grants", seen.records.grants.to_string(), counts.grants.to_string()),
        ];
        for (what, theirs, ours) in pairs {
            if theirs != ours {
                self.note(Violation::Differs { applied: head.applied, what, theirs, ours });
            }
        }
    }

    fn acknowledge_all(&mut self) {
        let all: Vec<(String, u64)> =
            self.ledger.through().map(|(journal, through)| (journal.to_owned(), through)).collect();
        for (journal, through) in all {
            self.acknowledge(&journal, through);
        }
    }

    fn acknowledge(&mut self, journal: &str, through: u64) {
        if self.acking && self.connected && through > 0 {
            let ack = json!({ "controller": self.controller, "journal": journal, "through": through });
            self.outbox
                .push_back(Outgoing { topic: "ack".to_owned(), payload: ack.to_string().into_bytes() });
        }
    }

    fn queue_feed(&mut self, messages: Vec<Value>) {
        let outgoing =
            |message: Value| Outgoing { topic: "feed".to_owned(), payload: message.to_string().into_bytes() };
        self.outbox.extend(messages.into_iter().map(outgoing));
    }

    fn not_understood(&mut self, topic: &str, why: &str) {
        self.note(Violation::NotUnderstood { topic: topic.to_owned(), why: why.to_owned() });
    }

    fn note(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }
}
