//! The feed as central keeps it: the records in force, the numbered changes that led there, and their messages.
//!
//! Pure: no broker, no clock. What leaves here is what `wire.md` calls a `feed` message, ready to be published.

use super::digest::Digest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// At most so many changes or records a message: it is applied as one transaction at the other end.
pub const BATCH_RECORDS_MAX: usize = 500;
/// At most so many bytes of changes a message, well under the packet limits of brokers with careful defaults.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Changes kept for controllers that ask for what they missed; who is further behind gets a snapshot.
pub const LOG_CHANGES_MAX: usize = 50_000;

/// Why a record was not taken into the feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// It can't be numbered: nothing could delete or replace it.
    #[error("record has no {field}: every record is an object with the texts `type` and `id`")]
    Unnamed {
        /// `type` or `id`.
        field: &'static str,
    },
    /// The file it is kept in does not take it, so that nobody is told of it either.
    #[error("{why}; the change is not sent")]
    NotKept {
        /// Which file, and what the system says.
        why: String,
    },
}

/// Where a list of changes stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Names the list.
    pub epoch: u64,
    /// The number of the last change in it.
    pub applied: u64,
}

/// How many records of each kind that `sync` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records of type `credential`.
    pub credentials: u64,
    /// Records of type `grant`.
    pub grants: u64,
}

/// Central's side of the feed for one controller.
#[derive(Debug)]
pub struct Feed {
    controller: String,
    epoch: u64,
    /// The number of the newest change.
    head: u64,
    /// The newest changes; the last one has the number `head`.
    log: VecDeque<Value>,
    records: BTreeMap<(String, String), Value>,
    digest: Digest,
    /// Tells this run's snapshots from those of a run before it, of the same list.
    run: u32,
    snapshots_made: u64,
}

/// A feed as it was kept in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptFeed {
    /// Names the list.
    pub epoch: u64,
    /// The number of the newest change that `records` has in it.
    pub head: u64,
    /// The records in force at `head`.
    pub records: Vec<Value>,
    /// The newest changes up to `head`, for controllers that ask for them.
    pub past: Vec<Value>,
    /// The changes after `head`.
    pub changes: Vec<Value>,
}

impl Feed {
    /// An empty list with this epoch.
    #[must_use]
    pub fn new(controller: &str, epoch: u64) -> Feed {
        Feed {
            controller: controller.to_owned(),
            epoch,
            head: 0,
            log: VecDeque::new(),
            records: BTreeMap::new(),
            digest: Digest::default(),
            run: 0,
            snapshots_made: 0,
        }
    }

    /// A list that was kept, at the place where it was.
    ///
    /// # Errors
    /// A record without type or id.
    pub fn restored(controller: &str, kept: KeptFeed) -> Result<Feed, FeedError> {
        let mut feed = Feed::new(controller, kept.epoch);
        for record in kept.records {
            feed.put(record)?;
        }
        (feed.head, feed.log) = (kept.head, kept.past.into());
        for change in kept.changes {
            let text = |field| change.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            match change.get("put") {
                Some(record) => feed.put(record.clone())?,
                None => feed.delete(&text("/delete/type"), &text("/delete/id")),
            };
        }
        Ok(feed)
    }

    /// Whose it is.
    #[must_use]
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// As [`Feed::set_run`] was told.
    #[must_use]
    pub fn run(&self) -> u32 {
        self.run
    }

    /// A number no other run has, for the names of snapshots.
    pub fn set_run(&mut self, run: u32) {
        self.run = run;
    }

    /// Takes a record in, in place of the one with its type and id, and gives the change's number.
    ///
    /// # Errors
    /// A record without type or id.
    pub fn put(&mut self, record: Value) -> Result<u64, FeedError> {
        let key = key_of(&record)?;
        self.digest.toggle(&record);
        if let Some(replaced) = self.records.insert(key, record.clone()) {
            self.digest.toggle(&replaced);
        }
        Ok(self.push(json!({ "put": record })))
    }

    /// Removes a record; removing what is not there is a change like any other.
    pub fn delete(&mut self, record_type: &str, id: &str) -> u64 {
        if let Some(removed) = self.records.remove(&(record_type.to_owned(), id.to_owned())) {
            self.digest.toggle(&removed);
        }
        self.push(json!({ "delete": { "type": record_type, "id": id } }))
    }

    /// Begins a new list with the records in force, numbered as if each had just been put.
    pub fn new_epoch(&mut self) -> Position {
        self.new_epoch_above(self.epoch)
    }

    /// As [`Feed::new_epoch`], with an epoch above this one: a list must be above every one the controller knows.
    pub fn new_epoch_above(&mut self, epoch: u64) -> Position {
        self.epoch = epoch + 1;
        self.head = self.records.len() as u64;
        self.log.clear();
        self.position()
    }

    fn push(&mut self, change: Value) -> u64 {
        self.head += 1;
        self.log.push_back(change);
        if self.log.len() > LOG_CHANGES_MAX {
            self.log.pop_front();
        }
        self.head
    }

    /// The newest change's place.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, applied: self.head }
    }

    /// What the controller's digest must be once it has applied everything.
    #[must_use]
    pub fn digest(&self) -> String {
        self.digest.hex()
    }

    /// Records by the kinds `sync` counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of_type = |wanted: &str| self.records.keys().filter(|(kind, _)| kind == wanted).count() as u64;
        Counts { credentials: of_type("credential"), grants: of_type("grant") }
    }

    /// The record in force of that type and id.
    #[must_use]
    pub fn record(&self, record_type: &str, id: &str) -> Option<&Value> {
        self.records.get(&(record_type.to_owned(), id.to_owned()))
    }

    /// All records in force.
    pub fn records(&self) -> impl Iterator<Item = &Value> {
        self.records.values()
    }

    /// The changes after this number, oldest first; nothing if they are no longer (or were never) kept.
    #[must_use]
    pub fn changes_after(&self, applied: u64) -> Option<impl Iterator<Item = &Value>> {
        let before_log = self.head - self.log.len() as u64;
        let skip = usize::try_from(applied.checked_sub(before_log)?).ok()?;
        (skip <= self.log.len()).then(|| self.log.iter().skip(skip))
    }

    /// All changes that are kept, oldest first.
    pub fn log(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.log.iter()
    }

    /// The message that says there is nothing newer: a run of changes that begins after the newest and has none.
    #[must_use]
    pub fn nothing_newer(&self) -> Value {
        json!({ "controller": self.controller, "epoch": self.epoch, "first": self.head + 1, "last": self.head,
                "changes": [] })
    }

    /// The messages that carry every change after `applied`; nothing if they are no longer (or were never) kept, so
    /// that only a snapshot helps.
    #[must_use]
    pub fn messages_after(&self, applied: u64) -> Option<Vec<Value>> {
        let mut first = applied + 1;
        let mut messages = Vec::new();
        for changes in batches(self.changes_after(applied)?) {
            let last = first + changes.len() as u64 - 1;
            messages.push(json!({ "controller": self.controller, "epoch": self.epoch,
                                  "first": first, "last": last, "changes": changes }));
            first = last + 1;
        }
        Some(messages)
    }

    /// The messages of a snapshot of the records in force; one part even when there are none.
    pub fn snapshot_messages(&mut self) -> Vec<Value> {
        self.snapshots_made += 1;
        let id = format!("s-{}-{:x}-{}", self.epoch, self.run, self.snapshots_made);
        let mut batches = batches(self.records.values());
        if batches.is_empty() {
            batches.push(Vec::new());
        }
        let parts = batches.len();
        let message = |(at, records): (usize, Vec<Value>)| {
            json!({ "controller": self.controller, "epoch": self.epoch, "last": self.head,
                    "snapshot": { "id": id, "part": at + 1, "parts": parts }, "records": records })
        };
        batches.into_iter().enumerate().map(message).collect()
    }
}

fn key_of(record: &Value) -> Result<(String, String), FeedError> {
    let text = |field: &'static str| {
        record.get(field).and_then(Value::as_str).map(str::to_owned).ok_or(FeedError::Unnamed { field })
    };
    Ok((text("type")?, text("id")?))
}

/// Cuts a run of entries by both limits; an entry larger than the byte limit goes alone.
fn batches<'a>(entries: impl Iterator<Item = &'a Value>) -> Vec<Vec<Value>> {
    let mut done: Vec<Vec<Value>> = Vec::new();
    let mut current: Vec<Value> = Vec::new();
    let mut current_bytes = 0;
    for entry in entries {
        let bytes = entry.to_string().len();
        let full = current.len() == BATCH_RECORDS_MAX || current_bytes + bytes > BATCH_BYTES_MAX;
        if full && !current.is_empty() {
            done.push(std::mem::take(&mut current));
            current_bytes = 0;
        }
        current_bytes += bytes;
        current.push(entry.clone());
    }
    if !current.is_empty() {
        done.push(current);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(number: usize) -> Value {
        json!({ "type": "grant", "id": format!("g-{number:05}"), "kind": "standing", "holder": "m-1" })
    }

    fn filled(records: usize) -> Feed {
        let mut feed = Feed::new("demo-1", 7);
        for number in 0..records {
            feed.put(grant(number)).unwrap();
        }
        feed
    }

    #[test]
    fn changes_are_numbered_without_a_hole_across_batches() {
        let messages = filled(1_203).messages_after(0).unwrap();
        let spans: Vec<(u64, u64, usize)> = messages
            .iter()
            .map(|m| {
                (
                    m["first"].as_u64().unwrap(),
                    m["last"].as_u64().unwrap(),
                    m["changes"].as_array().unwrap().len(),
                )
            })
            .collect();
        assert_eq!(spans, [(1, 500, 500), (501, 1000, 500), (1001, 1203, 203)]);
    }

    #[test]
    fn a_controller_that_missed_the_last_two_gets_just_these() {
        let messages = filled(10).messages_after(8).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["first"], 9);
        assert_eq!(messages[0]["changes"][1]["put"]["id"], "g-00009");
    }

    #[test]
    fn a_controller_ahead_of_the_list_can_only_be_given_a_snapshot() {
        assert_eq!(filled(3).messages_after(3), Some(vec![]));
        assert_eq!(filled(3).messages_after(4), None);
    }

    #[test]
    fn what_fell_out_of_the_log_can_only_be_had_by_snapshot() {
        let mut feed = filled(LOG_CHANGES_MAX + 5);
        assert_eq!(feed.messages_after(4), None);
        assert!(feed.messages_after(5).is_some());
        assert_eq!(feed.snapshot_messages().len(), (LOG_CHANGES_MAX + 5).div_ceil(BATCH_RECORDS_MAX));
    }

    #[test]
    fn a_snapshot_of_nothing_is_one_empty_part() {
        let parts = Feed::new("demo-1", 7).snapshot_messages();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0]["snapshot"]["parts"], 1);
        assert_eq!(parts[0]["last"], 0);
        assert_eq!(parts[0]["records"], json!([]));
    }

    #[test]
    fn every_snapshot_has_an_id_of_its_own_and_counts_its_parts() {
        let mut feed = filled(501);
        let (one, other) = (feed.snapshot_messages(), feed.snapshot_messages());
        assert_ne!(one[0]["snapshot"]["id"], other[0]["snapshot"]["id"]);
        assert_eq!(one[1]["snapshot"], json!({ "id": one[0]["snapshot"]["id"], "part": 2, "parts": 2 }));
    }

    #[test]
    fn large_records_are_cut_by_bytes_before_the_count_is_reached() {
        let mut feed = Feed::new("demo-1", 7);
        for number in 0..10 {
            let mut record = grant(number);
            record["label"] = json!("x".repeat(BATCH_BYTES_MAX / 3));
            feed.put(record).unwrap();
        }
        assert_eq!(feed.messages_after(0).unwrap().len(), 5);
    }

    #[test]
    fn a_put_replaces_and_a_delete_removes_and_the_digest_follows() {
        let mut feed = filled(2);
        let before = feed.digest();
        feed.put(json!({ "type": "grant", "id": "g-00001", "kind": "room", "holder": "m-2" })).unwrap();
        assert_ne!(feed.digest(), before);
        feed.put(grant(1)).unwrap();
        assert_eq!(feed.digest(), before);
        feed.delete("grant", "g-00001");
        feed.delete("grant", "never-there");
        assert_eq!(feed.digest(), filled(1).digest());
        assert_eq!(feed.position().applied, 6);
        assert_eq!(feed.counts(), Counts { credentials: 0, grants: 1 });
    }

    #[test]
    fn a_new_epoch_starts_with_what_is_in_force() {
        let mut feed = filled(2);
        feed.delete("grant", "g-00000");
        assert_eq!(feed.new_epoch(), Position { epoch: 8, applied: 1 });
        assert_eq!(feed.messages_after(0), None);
        feed.put(grant(3)).unwrap();
        assert_eq!(feed.messages_after(1).unwrap()[0]["first"], 2);
    }

    #[test]
    fn a_restored_feed_is_the_one_that_was_kept() {
        let mut feed = filled(5);
        feed.delete("grant", "g-00001");
        let kept = KeptFeed {
            epoch: 7,
            head: 4,
            records: (0..4).map(grant).collect(),
            past: (2..4).map(|number| json!({ "put": grant(number) })).collect(),
            changes: vec![
                json!({ "put": grant(4) }),
                json!({ "delete": { "type": "grant", "id": "g-00001" } }),
            ],
        };
        let restored = Feed::restored("demo-1", kept).unwrap();
        assert_eq!(restored.position(), feed.position());
        assert_eq!(restored.digest(), feed.digest());
        assert_eq!(restored.messages_after(2), feed.messages_after(2));
        assert_eq!(restored.messages_after(1), None);
    }

    #[test]
    fn a_controller_at_the_head_can_be_told_that_there_is_nothing_newer() {
        let message = filled(3).nothing_newer();
        assert_eq!((&message["first"], &message["last"]), (&json!(4), &json!(3)));
        assert_eq!(message["changes"], json!([]));
    }

    #[test]
    fn snapshots_of_two_runs_of_one_list_have_different_ids() {
        let (mut before, mut after) = (filled(1), filled(1));
        after.set_run(9);
        assert_ne!(
            before.snapshot_messages()[0]["snapshot"]["id"],
            after.snapshot_messages()[0]["snapshot"]["id"]
        );
    }

    #[test]
    fn a_record_without_an_id_is_refused_by_name() {
        let error = Feed::new("demo-1", 7).put(json!({ "type": "grant" })).unwrap_err();
        assert_eq!(error, FeedError::Unnamed { field: "id" });
    }
}
