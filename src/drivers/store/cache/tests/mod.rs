//! The cache in folders of its own: what changes do, what a restart finds, and what is done about damage.
//!
//! This file holds the short forms; records, snapshots and files have a file each.

mod cards;
mod files;
mod ladder;
mod records;
mod restoring;
mod snapshots;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;

use tokio::sync::mpsc::channel;

use super::{CacheError, Config, Database, Job, Keeper, Loaded};
use crate::{
    control::{Applied, Note, Part, Staged, index::Index},
    domain::{At, BookingId, ControllerId, DoorId, HolderId, Uid},
    drivers::store::mark::MarkFile,
    wire::{
        Digest, UidHasher,
        feed::{Body, Sealed, feed},
        stored::{Heard, Position},
    },
};

const UIDS: [&str; 4] = ["04A1B2C1", "04A1B2C2", "04A1B2C3", "04A1B2C4D5E6F7"];

fn hasher() -> UidHasher {
    UidHasher::new(&[7; 32])
}

/// A state directory that goes away.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        Site(tempfile::tempdir().unwrap())
    }

    fn config(&self, controller: &str) -> Config {
        let controller = ControllerId::new(controller).unwrap();
        let doors = vec![(DoorId::new("entrance").unwrap(), Vec::new())];
        let uid_check = UidHasher::new(&[0; 32]).check();
        Config {
            state_dir: self.0.path().to_owned(),
            controller,
            uid_check,
            uid_key: [0; 32],
            journal: "6f".into(),
            restored: None,
            doors,
            flush_is_barrier: false,
        }
    }

    fn try_open(&self) -> Result<(Database, Loaded), CacheError> {
        Database::open(&self.config("oslo-1"))
    }

    fn mark(&self) -> Arc<MarkFile> {
        Arc::new(MarkFile::open(self.0.path(), &ControllerId::new("oslo-1").unwrap()).unwrap().0)
    }

    /// As the daemon does at start: what can't be used is set aside.
    fn try_start(&self, config: Config) -> Result<(Keeper, Loaded), CacheError> {
        Keeper::open(config, self.mark())
    }

    fn start(&self) -> (Keeper, Loaded) {
        self.try_start(self.config("oslo-1")).unwrap()
    }

    /// Stops as the daemon does, with all that takes: the copy, too.
    fn stop(&self, keeper: Keeper) {
        let (jobs, waiting) = sync_channel(1);
        let (events, _reported) = channel(1000);
        drop::<SyncSender<Job>>(jobs);
        keeper.run(&waiting, &events);
    }

    fn open(&self) -> (Database, Loaded) {
        self.try_open().unwrap()
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// Names of what is in the state directory; of what was set aside without the time.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.map(|name| name.split("-20").next().unwrap_or_default().to_owned()).collect();
        names.retain(|name| name != "ballast" && name != "high-water");
        names.sort();
        names
    }
}

/// What central writes as changes, read.
fn items(changes: &[Value]) -> Vec<Sealed> {
    let message =
        json!({"controller": "oslo-1", "epoch": 1, "first": 1, "last": changes.len(), "changes": changes});
    let own = ControllerId::new("oslo-1").unwrap();
    let read = feed(message.to_string().as_bytes(), &own, &hasher()).unwrap();
    let Body::Changes { items, .. } = read.body else { unreachable!() };
    items.into_iter().map(Result::unwrap).collect()
}

fn put(record: &Value) -> Value {
    json!({ "put": record })
}

fn delete(kind: &str, id: &str) -> Value {
    json!({"delete": {"type": kind, "id": id}})
}

fn credential(id: &str, uid: &str, holder: &str) -> Value {
    json!({"type": "credential", "id": id, "uid": uid, "holder": holder, "status": "active"})
}

fn grant(id: &str, holder: &str) -> Value {
    json!({"type": "grant", "id": id, "kind": "standing", "holder": holder, "doors": ["entrance"]})
}

fn stage(database: &mut Database, part: Part) -> Result<Staged, CacheError> {
    database.stage(part, At::parse("2026-11-23T08:00:00Z").unwrap())
}

fn part(id: &str, part: u32, parts: u32, records: &[Value]) -> Part {
    let changes: Vec<Value> = records.iter().map(put).collect();
    let items = if changes.is_empty() { Vec::new() } else { items(&changes) };
    Part { id: id.into(), part, parts, epoch: 4, last: 900, items, rejected: 0 }
}

/// Everything an index holds, in an order of its own.
fn dump(index: &Index) -> Vec<String> {
    let mut lines: Vec<String> = index
        .holders(0)
        .flat_map(|(_, holder)| {
            let cards = holder.credentials().map(move |c| format!("{} {} {:?}", holder.id(), c.id, c.uid));
            cards.chain(holder.grants().map(move |g| format!("{} {} {:?}", holder.id(), g.id, g.kind)))
        })
        .collect();
    lines.sort();
    lines.push(format!("{:?}", index.policy()));
    lines
}

/// Who has a card, by the index.
fn owner(index: &Index, uid: &str) -> Option<String> {
    index.by_uid(&hasher().hash(&Uid::parse(uid).unwrap())).map(|(_, c)| c.id.to_string())
}

fn follow(index: &mut Index, applied: &Applied) {
    for replaced in &applied.replaced {
        index.apply(replaced.old.as_ref(), replaced.new.as_ref());
    }
}

/// The digest of records as central sums it up.
fn digest_of<'a>(records: impl IntoIterator<Item = &'a Value>) -> Digest {
    records.into_iter().fold(Digest::default(), |sum, record| sum.xor(Digest::of(record)))
}

fn by_id(records: &[Value]) -> BTreeMap<String, Value> {
    records.iter().map(|r| (format!("{} {}", r["type"], r["id"]), r.clone())).collect()
}
