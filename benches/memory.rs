//! What the daemon weighs (targets, "memory" and "small site"): at rest, while it reads its cache at a start, and while a
//! snapshot comes in, first into an empty cache and then in place of as many records.
//!
//! `VmRSS` and `VmHWM`. At rest is five seconds after the last thing that happened. Snapshots come over a real broker.
//!
//! `-- starts` leaves the snapshots out.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[allow(dead_code, clippy::panic, reason = "the tests that share it use more of it, and fail by panicking")]
#[path = "../tests/site/broker.rs"]
mod broker;
#[allow(dead_code, reason = "the bench that shares it asks for more")]
#[path = "sync/central.rs"]
mod central;
mod daemon {
    pub use super::large::CONTROLLER;
}
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/figures.rs"]
mod figures;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/large.rs"]
mod large;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/people.rs"]
mod people;
#[allow(dead_code, reason = "the tests that share it use more of it")]
#[path = "../tests/site/process.rs"]
mod process;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/running.rs"]
mod running;
mod taps {
    pub use super::large::now;
}

use std::{fs, path::Path, thread, time::Duration};

use serde_json::json;

use self::{
    broker::Broker,
    central::Central,
    figures::{Machine, Row, Target, print_table, save},
    large::{CONTROLLER, Place, now, rest},
    people::{Ids, Site},
    running::Daemon,
};

const MIB_MOST: f64 = 128.0;
const REST: Duration = Duration::from_secs(5);
const PART: usize = 500;
/// Of a snapshot of everything. What takes longer is a defect.
const WITHIN: Duration = Duration::from_secs(600);

/// Waits for a condition; what takes longer is a defect.
fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    let found = hardware_sim::wait::until(WITHIN, condition);
    assert!(found.is_some(), "no {what}");
    found.unwrap()
}

fn row(what: String, most: Option<f64>, measured: f64) -> Row {
    Row { what, target: most.map(Target::AtMost), measured, unit: "MiB" }
}

/// At rest after a start, and at most while starting.
fn started(what: &str, site: Site, most: Option<f64>, disk: &Path, desk: &Path) -> Vec<Row> {
    let name = what.replace([' ', ','], "");
    let place = Place { state: disk.join(&name), desk: desk.join(&name), devices: large::DOOR.into() };
    fs::create_dir_all(&place.desk).unwrap();
    large::fill(&place.state, site);
    // As for the start: the first one tidies up behind whoever wrote the cache.
    let mut daemon = place.launch();
    place.first_decision(&mut daemon);
    daemon.kill();
    let mut daemon = place.launch();
    place.first_decision(&mut daemon);
    // Two seconds later it copies what it has read: that is the last thing that happens by itself.
    eventually("copy", || place.state.join("cache.copy").exists().then_some(()));
    rest(REST);
    let rows = vec![
        row(format!("at rest, {what}"), most, daemon.now_mib()),
        row(format!("at most while starting, {what}"), most.map(|m| m * 2.0), daemon.peak_mib()),
    ];
    fs::remove_dir_all(&place.state).unwrap();
    rows
}

struct Synced {
    daemon: Daemon,
    central: Central,
    place: Place,
}

impl Synced {
    /// A daemon that has nothing, and a central it has asked.
    fn begin(disk: &Path, desk: &Path) -> (Self, Broker) {
        let mut broker = Broker::prepare(desk);
        // Central is quicker than a daemon that has each part on disk before the next one.
        broker.edit("persistence false", "persistence false\nmax_queued_messages 0");
        broker.start();
        let central = Central::connect(&broker.url());
        let place = Place { state: disk.join("synced"), desk: desk.to_owned(), devices: large::DOOR.into() };
        let daemon = Daemon::run(&place.config(&broker.url()), desk);
        central.wait_asked(WITHIN);
        (Synced { daemon, central, place }, broker)
    }

    /// A snapshot of everything: its peak, and then at rest.
    fn snapshot(&mut self, last: u64, texts: &[String]) -> (f64, f64) {
        self.daemon.forget_peak();
        let begin = now();
        let parts = texts.len().div_ceil(PART);
        for (n, records) in (1..).zip(texts.chunks(PART)) {
            let message = format!(
                r#"{{"controller":"{CONTROLLER}","epoch":1,"last":{last},"snapshot":{{"id":"s-{last}","part":{n},"parts":{parts}}},"records":[{}]}}"#,
                records.join(",")
            );
            self.central.publish("feed", message);
        }
        while self.place.applied() < last {
            assert!(begin.elapsed() < WITHIN, "the snapshot is not applied");
            thread::park_timeout(Duration::from_millis(50));
        }
        eprintln!("snapshot {last}: {:.0} records/s", texts.len() as f64 / begin.elapsed().as_secs_f64());
        let peak = self.daemon.peak_mib();
        rest(REST);
        (peak, self.daemon.now_mib())
    }
}

fn synced(site: Site, disk: &Path, desk: &Path) -> Vec<Row> {
    let texts: Vec<String> = site.texts().collect();
    let (mut synced, _broker) = Synced::begin(disk, desk);
    let empty = synced.daemon.now_mib();
    let first = synced.snapshot(1, &texts);
    let second = synced.snapshot(2, &texts);
    synced.daemon.stop();
    vec![
        row("at rest, nothing in the cache".into(), None, empty),
        row("at most while 1,300,000 records come in".into(), Some(2.0 * MIB_MOST), first.0),
        row("at rest after that".into(), Some(MIB_MOST), first.1),
        row("at most while they replace as many".into(), Some(2.0 * MIB_MOST), second.0),
        row("at rest after that".into(), Some(MIB_MOST), second.1),
    ]
}

fn main() {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let machine = Machine::look(disk.path());
    let short = |grants| Site { grants, ids: Ids::Short };
    let (disk, desk) = (disk.path(), desk.path());
    let mut rows = Vec::new();
    rows.extend(started("1,000 grants", short(1000), Some(10.0), disk, desk));
    rows.extend(started("10,000 grants", short(10_000), None, disk, desk));
    rows.extend(started("100,000 grants", short(100_000), Some(16.0), disk, desk));
    rows.extend(started("1,000,000 grants", short(1_000_000), Some(MIB_MOST), disk, desk));
    let uuids = Site { grants: 1_000_000, ids: Ids::Uuid };
    rows.extend(started("the same, UUID ids", uuids, Some(MIB_MOST), disk, desk));
    if !std::env::args().any(|word| word == "starts") {
        rows.extend(synced(short(1_000_000), disk, desk));
    }
    print_table(&rows);
    println!("\nthree tenths as many cards as grants; at rest: {} s after the last thing", REST.as_secs());
    machine.print();
    save("memory", &rows, &machine, json!({}));
}
