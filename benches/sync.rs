//! What comes from central: how soon it counts, how fast a snapshot is applied, and whether doors notice (targets,
//! "change → effective", "snapshot", "tap during a full resync").
//!
//! ```text
//!   central (here) ──publish──► mosquitto ──deliver──► latchd ──► disk ──► the index ──► a decision
//!        │                          └─────deliver────► witness (here): "the broker has delivered it"
//!        └── asks `explain` over the control socket, again and again, until the answer is another one
//! ```
//!
//! **Change → effective.** One record a message, on top of 250,000 records, at times that keep no step with anything. The
//! end is the *arrival of the answer* to the first `explain` that decides by the change, so the way there and back over
//! the socket is in the figure; so is the load of asking without pause, on the very thread that decides. The beginning is
//! when a witness, a second subscriber of the same broker, has the message. As the broker may serve the witness later
//! than the daemon, the time from before the publish is given too: it holds the broker's own time and is never too
//! short. Both are held to the target.
//!
//! **Snapshot.** From before the publish of the first part until the daemon says on its socket that the last change of
//! the snapshot is applied, which it says with the new records in force and on disk. It replaces as many records.
//!
//! **Tap during a resync.** The taps of `./dev bench tap`, with no resync and with one after the other, by turns.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[path = "sync/asking.rs"]
mod asking;
#[path = "tap/board.rs"]
mod board;
#[allow(dead_code, clippy::panic, reason = "the tests that share it use more of it, and fail by panicking")]
#[path = "../tests/site/broker.rs"]
mod broker;
#[path = "sync/central.rs"]
mod central;
#[path = "shared/daemon.rs"]
mod daemon;
#[path = "shared/figures.rs"]
mod figures;
#[allow(dead_code, reason = "the tests that share it use more of it")]
#[path = "../tests/site/process.rs"]
mod process;
#[path = "sync/records.rs"]
mod records;
#[path = "sync/report.rs"]
mod report;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/running.rs"]
mod running;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "tap/taps.rs"]
mod taps;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use hardware_sim::pn532::Pn532;

use self::{
    asking::Socket,
    board::Board,
    broker::Broker,
    central::Central,
    daemon::{COIL, Daemon, WITHIN},
    records::{Records, change},
    report::{Latencies, Round, Seen},
    taps::{Hand, now},
};

const RECORDS: usize = 250_000;
const PART: usize = 500;
const SNAPSHOTS: usize = 5;
const CHANGE_ROUNDS: usize = 5;
const CHANGES_A_ROUND: usize = 200;
const TAP_ROUNDS: usize = 7;
const TAPS_A_ROUND: usize = 100;
/// Before a change: this, and up to as much again by lot.
const BETWEEN_CHANGES: Duration = Duration::from_millis(20);

struct Bench {
    daemon: Daemon,
    central: Central,
    socket: Socket,
    records: Records,
    board: Board,
    reader: Pn532,
    hand: Hand,
    /// The number of the last change.
    last: u64,
}

impl Bench {
    /// A snapshot of everything, in place of what was: records a second, and the daemon's largest size meanwhile.
    fn snapshot(&mut self) -> (f64, f64) {
        self.last += 1;
        let parts = self.records.snapshot(self.last, PART);
        self.daemon.forget_peak();
        let begin = now();
        parts.into_iter().for_each(|part| self.central.publish("feed", part));
        self.applied();
        let rate = RECORDS as f64 / begin.elapsed().as_secs_f64();
        (rate, self.daemon.peak_mib())
    }

    /// Waits until the daemon has all that was sent.
    fn applied(&mut self) {
        let begin = now();
        while self.socket.applied() < self.last {
            assert!(begin.elapsed() < WITHIN * 6, "the snapshot is not applied");
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn changes(&mut self) -> Latencies {
        let mut seen = Latencies::default();
        for _ in 0..CHANGES_A_ROUND {
            self.hand.pause_for(BETWEEN_CHANGES, BETWEEN_CHANGES);
            self.last += 1;
            let is_granted = !self.socket.is_granted();
            let message = change(self.last, is_granted);
            let published = now();
            self.central.publish("feed", message);
            let effective = self.until_granted(is_granted);
            let delivered = self.central.delivered(self.last, WITHIN);
            seen.add(effective.saturating_duration_since(delivered), effective - published);
        }
        seen
    }

    fn until_granted(&mut self, is_granted: bool) -> Instant {
        let begin = now();
        loop {
            let answer = self.socket.is_granted();
            let at = now();
            if answer == is_granted {
                return at;
            }
            assert!(at - begin < WITHIN, "the change never counts");
        }
    }

    fn taps(&mut self) -> Vec<u64> {
        (0..TAPS_A_ROUND).map(|_| self.hand.tap(&self.reader, &self.board, COIL, || ())).collect()
    }

    /// The same taps while one snapshot after the other comes in; how many came in whole.
    fn taps_during_resyncs(&mut self) -> (Vec<u64>, usize) {
        let Bench { central, socket, records, board, reader, hand, last, .. } = self;
        let (over, mut snapshots) = (AtomicBool::new(false), 0);
        let taps = thread::scope(|scope| {
            let (over, snapshots) = (&over, &mut snapshots);
            let resync = scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    *last += 1;
                    records.snapshot(*last, PART).into_iter().for_each(|part| central.publish("feed", part));
                    while socket.applied() < *last {
                        thread::park_timeout(Duration::from_millis(50));
                    }
                    *snapshots += 1;
                }
            });
            let taps = (0..TAPS_A_ROUND).map(|_| hand.tap(reader, board, COIL, || ())).collect();
            over.store(true, Ordering::Relaxed);
            resync.join().unwrap();
            taps
        });
        (taps, snapshots)
    }

    fn tap_round(&mut self, number: usize) -> Round {
        let quiet_first = number.is_multiple_of(2).then(|| self.taps());
        let (busy, snapshots) = self.taps_during_resyncs();
        eprintln!("tap round {number}: {snapshots} snapshots came in");
        Round::of(quiet_first.unwrap_or_else(|| self.taps()), busy)
    }
}

/// Waits for a condition; what takes longer is a defect.
fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    let found = hardware_sim::wait::until(WITHIN, condition);
    assert!(found.is_some(), "no {what}");
    found.unwrap()
}

fn main() {
    // On the disk that the build is on, as for the tap; sockets and the broker's files on the desk.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let records = Records::new(RECORDS);
    let mut broker = Broker::prepare(desk.path());
    broker.start();
    let central = Central::connect(&broker.url());
    let board = Board::start();
    let reader = Pn532::start(&desk.path().join("reader")).unwrap();
    let state = disk.path().join("state");
    let daemon = Daemon::start(&state, desk.path(), &broker.url(), board.address(), reader.path());
    let socket = Socket::connect(&desk.path().join("latchd.sock"));
    central.wait_asked(WITHIN);
    let machine = figures::Machine::look(disk.path());
    let mut bench = Bench { daemon, central, socket, records, board, reader, hand: Hand::new(), last: 0 };

    let parts = Parts::asked_for();
    let first = bench.snapshot();
    eprintln!("into an empty cache: {:.0} records/s, peak {:.0} MiB", first.0, first.1);
    let mut seen = Seen { first, at_rest: bench.daemon.now_mib(), ..Seen::default() };
    if parts.snapshots {
        seen.snapshots = (0..SNAPSHOTS).map(|_| bench.snapshot()).collect();
    }
    if parts.changes {
        seen.changes = (0..CHANGE_ROUNDS).map(|_| bench.changes()).collect();
    }
    if parts.taps {
        seen.taps = (0..TAP_ROUNDS).map(|number| bench.tap_round(number)).collect();
    }
    bench.daemon.stop();
    report::tell(&seen, &machine);
}

/// Which targets to measure: `./dev bench sync -- taps`, say. All, unless some are named.
struct Parts {
    snapshots: bool,
    changes: bool,
    taps: bool,
}

impl Parts {
    fn asked_for() -> Self {
        // cargo adds options of its own.
        let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
        let is_asked = |part: &str| named.is_empty() || named.iter().any(|word| word == part);
        Parts { snapshots: is_asked("snapshots"), changes: is_asked("changes"), taps: is_asked("taps") }
    }
}
