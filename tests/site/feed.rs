//! Messages of the feed as a test writes them when it speaks for central itself, and what the daemon says they came to.

use serde_json::{Value, json};

use super::CONTROLLER;
use super::chain::digest;
use super::line::Line;

pub fn put(record: &Value) -> Value {
    json!({ "put": record })
}

pub fn changes(epoch: u64, first: u64, changes: &[Value]) -> Value {
    let last = first + changes.len() as u64 - 1;
    json!({ "controller": CONTROLLER, "epoch": epoch, "first": first, "last": last, "changes": changes })
}

pub fn part(epoch: u64, last: u64, id: &str, (part, parts): (u64, u64), records: &[Value]) -> Value {
    json!({ "controller": CONTROLLER, "epoch": epoch, "last": last,
            "snapshot": { "id": id, "part": part, "parts": parts }, "records": records })
}

/// Waits until the daemon says that it holds just these records at that place, and wants nothing.
#[track_caller]
pub fn in_step(line: &Line, epoch: u64, applied: u64, records: &[&Value]) -> Value {
    let there =
        |sync: &Value| sync["epoch"] == epoch && sync["applied"] == applied && sync["want"] == "nothing";
    let sync = line.wait_for(0, "sync", there);
    let count = |kind: &str| records.iter().filter(|record| record["type"] == kind).count();
    assert_eq!(sync["records"], json!({ "credentials": count("credential"), "grants": count("grant") }));
    assert_eq!(sync["digest"], digest(records.iter().copied()), "{sync:#}");
    assert_eq!(sync["controller"], CONTROLLER);
    sync
}
