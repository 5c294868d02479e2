//! A site for tests: the real daemon as a process among real peers, arranged in a directory of its own and gone with
//! the test, so that any number of them can run beside each other.
//!
//! ```text
//!   PN532 on a pty ─┐                                ┌─ door board (hardware_sim::board, its own Modbus codec)
//!   OSDP on a pty ──┤                                │
//!   card in pcscd ──┤─ latchd, the built binary ─────┤─ mosquitto ── central (hardware_sim::central), or Line
//!                   └──────────────┬─────────────────┘
//!                               latchctl
//! ```
//!
//! Everything that is said at the broker is witnessed: a message against the contract fails the test that caused it.
//! Nothing here sleeps: everything waits for a condition, with a limit.

pub mod broker;
pub mod build;
pub mod certificates;
pub mod chain;
pub mod ctl;
pub mod daemon;
pub mod feed;
pub mod line;
pub mod metrics;
pub mod people;
pub mod process;
pub mod proxy;
pub mod records;
pub mod terminal;
pub mod witness;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hardware_sim::board::Board;
use hardware_sim::central::Central;
use hardware_sim::osdp::Osdp;
use hardware_sim::pcscd::PrivatePcscd;
use hardware_sim::pn532::Pn532;
use serde_json::Value;
use tempfile::TempDir;

use broker::Broker;
pub use build::{Builder, DOORS, Wire, signer};
use daemon::Daemon;
use witness::Witness;

/// The controller's id in every test.
pub const CONTROLLER: &str = "test-1";

/// Long beside anything that should happen, on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Longer than any back-off: for links that come back by themselves.
pub const RECONNECT_LIMIT: Duration = Duration::from_secs(45);

/// How often a condition that costs a process is looked at.
const ASK_EVERY: Duration = Duration::from_millis(40);

/// Asks until there is an answer; a test that gets none fails, naming what it waited for.
#[track_caller]
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    eventually_within(LIMIT, what, condition)
}

/// The same with another limit.
#[track_caller]
pub fn eventually_within<T>(limit: Duration, what: &str, condition: impl FnMut() -> Option<T>) -> T {
    match hardware_sim::wait::until(limit, condition) {
        Some(found) => found,
        None => panic!("within {limit:?} there was no {what}"),
    }
}

/// The same for a condition that asks `latchctl`, which is not asked all the time: two cores are everybody's.
#[track_caller]
pub fn eventually_asking<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    eventually_within(RECONNECT_LIMIT, what, || {
        let found = condition();
        if found.is_none() {
            std::thread::park_timeout(ASK_EVERY);
        }
        found
    })
}

/// Lets so much time pass, because what is under test counts it by itself (`why` says what): a card that is away, a
/// timer that must not fire. Never to wait for something that can be seen.
pub fn pause(why: &str, length: Duration) {
    let start = hardware_sim::time::now();
    let over = || (start.elapsed() >= length).then_some(());
    assert!(hardware_sim::wait::until(length * 2 + LIMIT, over).is_some(), "{why}");
}

/// One controller's world. Dropped, it ends; after a failure it prints the end of the daemon's log first.
#[derive(Debug)]
pub struct Site {
    // In this order they are dropped: the daemon before what it is connected to.
    pub daemon: Daemon,
    pub central: Option<Central>,
    /// Hears everything that is said at the broker, and holds it against the contract.
    pub witness: Witness,
    pub broker: Broker,
    pub board: Board,
    /// Those beside it on its line.
    pub others: Vec<Board>,
    pub pn532: Vec<(String, Pn532)>,
    /// The line that all OSDP readers are on.
    pub osdp: Option<Osdp>,
    pub pcscd: Option<PrivatePcscd>,
    /// Where the daemon comes to the broker by TLS.
    pub tls: Option<certificates::Tls>,
    people: people::Hands,
    pub folder: TempDir,
}

impl Site {
    /// A site with everything running and in step, and nothing booked.
    #[track_caller]
    pub fn running() -> Site {
        Builder::new().running()
    }

    /// Where central and the daemon meet.
    pub fn central(&self) -> &Central {
        self.central.as_ref().expect("this test has no central")
    }

    /// The certificates of a site that was built with them.
    pub fn tls(&self) -> &certificates::Tls {
        self.tls.as_ref().expect("this site is not secure")
    }

    /// Puts records at central and waits until the daemon has them.
    #[track_caller]
    pub fn put(&self, records: impl IntoIterator<Item = Value>) {
        self.central().put_many(records).expect("records with a type and an id");
        self.in_step();
    }

    /// Puts a record at central that is wrong on purpose, and so not held against it; waits for nothing.
    #[track_caller]
    pub fn put_wrong(&self, record: Value) {
        self.witness.waive(record.clone());
        self.central().put(record).expect("a record with a type and an id");
    }

    /// Deletes a record at central and waits until the daemon has done so too.
    #[track_caller]
    pub fn delete(&self, kind: &str, id: &str) {
        self.central().delete(kind, id);
        self.in_step();
    }

    #[track_caller]
    fn in_step(&self) {
        if let Err(error) = self.central().wait_synced(RECONNECT_LIMIT) {
            panic!("{error}");
        }
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Everything under the state directory, and the daemon's log: what a thief of the box can read.
    pub fn bytes_on_disk(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.state_dir()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the state directory").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    found.push((path, bytes));
                }
            }
        }
        found.push((self.daemon.log_path().to_owned(), fs::read(self.daemon.log_path()).unwrap_or_default()));
        found
    }

    /// Waits for an event at central, stored after `mark`.
    #[track_caller]
    pub fn at_central(&self, mark: usize, kind: &str) -> Value {
        self.at_central_where(mark, kind, |_| true)
    }

    /// The same for one that satisfies a condition.
    #[track_caller]
    pub fn at_central_where(&self, mark: usize, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.central().wait_for_event_after(
            mark,
            |event| event["type"] == kind && wanted(event),
            RECONNECT_LIMIT,
        );
        found.unwrap_or_else(|| {
            let since = self.central().events().split_off(mark);
            panic!("central never got the {kind}; since the mark it has {since:#?}")
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of latchd's log ({CONTROLLER}) ---\n{}---", self.daemon.log_tail(60));
            return;
        }
        let faults = self.witness.take_faults();
        assert!(faults.is_empty(), "said against docs/asyncapi.yaml:\n{}", faults.join("\n"));
        let is_in_touch = self.central.as_ref().is_some_and(|central| central.last_sync().is_some());
        assert!(
            !is_in_touch || self.witness.heard() > 0,
            "central heard the daemon, and the witness did not"
        );
    }
}
