//! What central knows of one controller, and what it answers: the protocol, without a broker.
//!
//! Pure: messages and link changes in, messages to publish out (the outbox). `link.rs` carries them, `mod.rs` gives
//! people and tests a handle. The outbox stays small because a want is not answered while an answer is under way.

use super::feed::{Feed, Position};
use super::ledger::{Ledger, Violation};
use crate::jws::Signer;
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

/// A message that waits, and whether it is central's own word, which is signed as it leaves: so that a key that is changed
/// counts from then on.
#[derive(Debug)]
struct Waiting {
    message: Outgoing,
    own: bool,
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
    outbox: VecDeque<Waiting>,
    /// A snapshot was wanted while the link did not stand yet: a broker may send what it kept before it says that the
    /// subscriptions are in place.
    snapshot_due: bool,
    signer: Option<Signer>,
    /// What it says could not be kept, so it says nothing any more.
    silent: bool,
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
            snapshot_due: false,
            signer: None,
            silent: false,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// Goes on with a feed that was kept.
    pub fn take_up(&mut self, mut feed: Feed) {
        feed.set_run(self.feed.run());
        self.sent = feed.position().applied;
        self.feed = feed;
    }

    /// Signs everything from now on with this key; without one it is plain JSON.
    pub fn set_signer(&mut self, signer: Option<Signer>) {
        self.signer = signer;
    }

    /// Says nothing any more, not even what waits: nothing may leave that would be forgotten in a restart.
    pub fn fall_silent(&mut self) {
        self.silent = true;
        self.outbox.clear();
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
        if std::mem::take(&mut self.snapshot_due) {
            self.send_snapshot();
        }
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

    /// Sends the records in force as a snapshot, now or once the link stands.
    pub fn send_snapshot(&mut self) {
        self.snapshot_due = !self.connected;
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
        self.queue_if_room(topic, payload, false)
    }

    /// Queues a message as central's own word: signed, if central signs. False as for [`Session::queue_raw`].
    pub fn queue_own(&mut self, topic: &str, message: &Value) -> bool {
        self.queue_if_room(topic, message.to_string().into_bytes(), true)
    }

    fn queue_if_room(&mut self, topic: &str, payload: Vec<u8>, own: bool) -> bool {
        let room = self.connected && !self.silent && self.outbox.len() < OUTBOX_RAW_MAX;
        if room {
            let message = Outgoing { topic: topic.to_owned(), payload };
            self.outbox.push_back(Waiting { message, own });
        }
        room
    }

    /// The next message to publish, signed if it is to be.
    pub fn next_outgoing(&mut self) -> Option<Outgoing> {
        let Waiting { message, own } = self.outbox.pop_front()?;
        match &self.signer {
            Some(signer) if own => {
                Some(Outgoing { payload: signer.sign(&message.payload).into_bytes(), ..message })
            }
            Some(_) | None => Some(message),
        }
    }

    /// A message has come in. `retained`: the broker kept it from before, nobody is saying it now.
    pub fn received(&mut self, topic: &str, payload: &[u8], retained: bool) {
        if let Some(door) = topic.strip_prefix("door/").filter(|_| payload.is_empty()) {
            // It is configured no more.
            self.doors.remove(door);
            return;
        }
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
        let number = |field: &str| status.get(field).and_then(Value::as_u64).unwrap_or(0);
        let theirs = Position { epoch: number("epoch"), applied: number("applied") };
        if online && retained && (theirs.epoch != self.feed.position().epoch || self.is_behind(theirs)) {
            self.rise_above(theirs);
            self.send_snapshot();
        } else if online && retained && self.last_sync.is_none() {
            // What we had kept but not sent before we were restarted.
            self.sent = theirs.applied;
            self.flush();
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
        let theirs = Position { epoch: seen.epoch, applied: seen.applied };
        // What else waits (an ack, say) answers nothing.
        let answer_is_under_way = self.outbox.iter().any(|waiting| waiting.message.topic == "feed");
        if !answer_is_under_way {
            if seen.epoch != head.epoch || seen.want == "snapshot" || self.is_behind(theirs) {
                self.rise_above(theirs);
                self.send_snapshot();
            } else if seen.want == "changes" && seen.applied == head.applied {
                self.queue_feed(vec![self.feed.nothing_newer()]);
            } else if seen.want == "changes" || (missed_some && seen.applied < head.applied) {
                self.sent = seen.applied;
                self.flush();
            }
        }
        self.compare(&seen);
        self.last_sync = Some(seen);
    }

    /// Whether the controller has applied changes of our list that we don't know: the list was restored from before them.
    fn is_behind(&self, theirs: Position) -> bool {
        let head = self.feed.position();
        theirs.epoch == head.epoch && theirs.applied > head.applied
    }

    /// A controller rejects a list lower than the one it knows, for instance after our clock was set back, and applies no
    /// number twice, so that one it knows more of is of no more use.
    fn rise_above(&mut self, theirs: Position) {
        if self.feed.position().epoch < theirs.epoch || self.is_behind(theirs) {
            self.feed.new_epoch_above(theirs.epoch);
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
            self.queue("ack", &ack);
        }
    }

    fn queue_feed(&mut self, messages: Vec<Value>) {
        for message in messages {
            self.queue("feed", &message);
        }
    }

    fn queue(&mut self, topic: &str, message: &Value) {
        if !self.silent {
            let message = Outgoing { topic: topic.to_owned(), payload: message.to_string().into_bytes() };
            self.outbox.push_back(Waiting { message, own: true });
        }
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
