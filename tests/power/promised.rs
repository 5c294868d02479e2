//! What the daemon has acknowledged by some moment, to anybody: what must be there whenever power is gone after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::site::{DOORS, Site};

/// A door's mode, as the technician who ordered it knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// What `latchctl` said was done.
    pub confirmed: String,
    /// Another order is under way: it may have been done or not.
    pub under_way: bool,
    /// How many were begun: two that undo each other leave the same mode.
    pub orders: u64,
}

/// What those who do things know, and the site can't be asked.
#[derive(Debug, Default)]
pub struct Known {
    pub gym: Mutex<Ordered>,
    /// Central's last command that was answered as done.
    pub command: Mutex<Option<Value>>,
    /// Central's digest at each place of its list.
    pub digests: Mutex<BTreeMap<u64, String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Promised {
    epoch: u64,
    applied: u64,
    digests: BTreeMap<u64, String>,
    /// Events that central has, by their numbers: their hashes.
    events: BTreeMap<u64, String>,
    /// Bookings whose guest central knows to have arrived.
    arrived: BTreeSet<String>,
    /// The last command that was answered as done.
    command: Option<Value>,
    /// How often each strike was driven.
    strikes: BTreeMap<String, u64>,
    gym: Ordered,
}

impl Promised {
    /// What is acknowledged now. To be asked before the moment that is cut at.
    pub fn by_now(site: &Site, known: &Known) -> Promised {
        let gym = known.gym.lock().expect("nobody panics with it").clone();
        let central = site.central();
        let sync = central.last_sync().unwrap_or_default();
        let (mut events, mut arrived) = (BTreeMap::new(), BTreeSet::new());
        for event in central.events() {
            let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            events.insert(event["seq"].as_u64().expect("a number"), text("hash"));
            if event["type"] == "guest.arrived" {
                arrived.insert(text("booking"));
            }
        }
        let mut strikes = BTreeMap::new();
        for change in site.board.coil_history() {
            if change.on {
                *strikes.entry(DOORS[usize::from(change.coil)].0.to_owned()).or_default() += 1;
            }
        }
        let digests = known.digests.lock().expect("nobody panics with it").clone();
        Promised {
            epoch: sync.epoch,
            applied: sync.applied,
            digests,
            events,
            arrived,
            command: known.command.lock().expect("nobody panics with it").clone(),
            strikes,
            gym,
        }
    }

    /// The order at the gym that was begun or ended while the moment was taken.
    pub fn also(&mut self, known: &Known) {
        let now = known.gym.lock().expect("nobody panics with it").clone();
        self.gym.under_way |= now != self.gym;
    }

    /// How much this is.
    pub fn summary(&self) -> String {
        format!(
            "change {}, {} events, {} guests, {} strikes",
            self.applied,
            self.events.len(),
            self.arrived.len(),
            self.strikes.values().sum::<u64>()
        )
    }

    pub fn command(&self) -> Option<&Value> {
        self.command.as_ref()
    }

    pub fn bookings(&self) -> impl Iterator<Item = &str> {
        self.arrived.iter().map(String::as_str)
    }

    /// What of it the daemon's `sync` breaks.
    pub fn broken_by_sync(&self, sync: &Value) -> Vec<String> {
        let mut broken = Vec::new();
        let (epoch, applied) = (sync["epoch"].as_u64().unwrap_or(0), sync["applied"].as_u64().unwrap_or(0));
        if epoch != self.epoch || applied < self.applied {
            broken.push(format!(
                "change {} of list {} was acknowledged, and it is at {applied} of {epoch}",
                self.applied, self.epoch
            ));
        }
        if let Some(digest) = self.digests.get(&applied).filter(|digest| sync["digest"] != **digest) {
            broken.push(format!("at change {applied} its digest is {}, not {digest}", sync["digest"]));
        }
        broken
    }

    /// What of it the daemon's journal breaks. `last`: the newest event before the daemon began again.
    pub fn broken_by_journal(&self, journal: &[Value]) -> Vec<String> {
        let mut broken = Vec::new();
        let mut there: BTreeMap<u64, &str> = BTreeMap::new();
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for event in journal {
            there.insert(event["seq"].as_u64().unwrap_or(0), event["hash"].as_str().unwrap_or_default());
            if let Some(door) = event["door"].as_str().filter(|_| opens(event)) {
                *reasons.entry(door).or_default() += 1;
            }
            let detail = event["detail"].as_str().unwrap_or_default();
            if event["type"] == "store.recovered" && detail.contains("set aside") {
                broken.push(format!("its stores were damaged: {detail}"));
            }
        }
        for (seq, hash) in &self.events {
            match there.get(seq) {
                None => broken.push(format!("central has event {seq}, and it is gone")),
                Some(own) if own != hash => broken.push(format!("event {seq} is another than central has")),
                Some(_) => {}
            }
        }
        broken.truncate(8);
        for (door, driven) in &self.strikes {
            let recorded = reasons.get(door.as_str()).copied().unwrap_or(0);
            if recorded < *driven {
                broken.push(format!("{door} was opened {driven} times, {recorded} of them are recorded"));
            }
        }
        broken
    }

    /// What of it a door's mode breaks.
    pub fn broken_by_gym(&self, mode: &Value) -> Option<String> {
        let is_kept = self.gym.under_way || self.gym.confirmed.is_empty() || *mode == *self.gym.confirmed;
        (!is_kept).then(|| format!("the gym was ordered to be {}, and is {mode}", self.gym.confirmed))
    }
}

/// Whether an event is a reason for a strike.
fn opens(event: &Value) -> bool {
    let is_access = event["action"] == "access";
    match event["type"].as_str() {
        Some("access.granted") => true,
        Some("operator.command" | "command.executed") => is_access,
        _ => false,
    }
}
