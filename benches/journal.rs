//! The journal (targets, "journal", "slow disk", "recording before release").
//!
//! **Events a second, and how soon.** The controller and the journal's own thread in this process, without readers and
//! boards: what taps wait for between the reader's driver and the command to the board. Doors tap at times that keep no
//! step with anything, so many a second; or each as soon as its last one was let in. With the disk as it is, and with one
//! whose every `fdatasync` takes 5 ms, or 50 (`slow.c`, preloaded into a process of its own: there is no hook in the
//! daemon).
//!
//! **Bytes.** `/proc/PID/io` of the real daemon while cards are tapped one after the other, so that each event has a sync
//! of its own: the most there can be.
//!
//! **Five million events.** Written here as the journal writes them, all acknowledged; then what a start costs, and
//! what `latchctl` takes to find and to check them.
//!
//! `-- taps`, `-- bytes`, `-- history`: only that.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[path = "tap/board.rs"]
mod board;
#[path = "journal/bytes.rs"]
mod bytes;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/figures.rs"]
mod figures;
#[path = "journal/history.rs"]
mod history;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/large.rs"]
mod large;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/people.rs"]
mod people;
#[path = "journal/rig.rs"]
mod rig;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/running.rs"]
mod running;
#[path = "journal/slow.rs"]
mod slow;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "tap/taps.rs"]
mod taps;

use serde_json::json;

use self::{
    figures::{Machine, Row, Target, print_table, save},
    slow::{SlowDisk, taps_on},
};

fn least(what: &str, least: f64, measured: f64, unit: &'static str) -> Row {
    Row { what: what.into(), target: Some(Target::AtLeast(least)), measured, unit }
}

fn most(what: &str, most: f64, measured: f64, unit: &'static str) -> Row {
    Row { what: what.into(), target: Some(Target::AtMost(most)), measured, unit }
}

fn tap_rows(disk: &std::path::Path) -> Vec<Row> {
    let slow = SlowDisk::build(disk);
    let (own, slow_most) = (taps_on(disk, None, "64 most"), taps_on(disk, Some((&slow, 5)), "8 most"));
    let (offered, steady) =
        (taps_on(disk, Some((&slow, 5)), "8 1200"), taps_on(disk, Some((&slow, 5)), "8 200"));
    let stuck = taps_on(disk, Some((&slow, 50)), "8 100");
    vec![
        least("64 doors, each at once again: durable events", 500.0, own.rate, "/s"),
        Row::seen("the same: events a sync", own.events_a_sync, ""),
        least("sync 5 ms, 8 doors, 1200 taps/s: recorded", 1000.0, offered.rate, "/s"),
        Row::seen("the same: tap → may be released, p99", offered.p99_ms, "ms"),
        Row::seen("sync 5 ms, 8 doors, each at once again", slow_most.rate, "/s"),
        Row::seen("sync 5 ms, 8 doors, 200 taps/s, p50", steady.p50_ms, "ms"),
        most("the same, p99", 12.0, steady.p99_ms, "ms"),
        most("the same: late", 0.0, steady.late, ""),
        most("sync 50 ms, 100 taps/s: longest wait", 25.0, stuck.longest_ms, "ms"),
        most("the same: released late and not said so", 0.0, stuck.unsaid, ""),
        Row::seen("the same: late, of a hundred", stuck.late, "%"),
    ]
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = words.iter().position(|word| word == "--taps") {
        return slow::run(&words[at + 1..]);
    }
    let named = |part: &str| words.iter().all(|w| w.starts_with('-')) || words.iter().any(|w| w == part);
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let machine = Machine::look(disk.path());
    let mut rows = Vec::new();
    if named("taps") {
        rows.extend(tap_rows(disk.path()));
    }
    if named("bytes") {
        rows.extend(bytes::rows(disk.path(), desk.path()));
    }
    if named("history") {
        rows.extend(history::rows(disk.path(), desk.path()));
    }
    print_table(&rows);
    println!();
    machine.print();
    save("journal", &rows, &machine, json!({}));
}
