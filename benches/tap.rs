//! What the daemon adds between a card and a strike (targets, "tap → strike").
//!
//! From the instant the simulated reader writes the frame with the card's UID to its line, until the instant the board
//! has the whole frame that drives the strike; both are read from one clock, in this process. The floor is the least
//! any program could do that records before it releases: read the same frame, append a line as long as the event's to
//! a file on the same disk, `fdatasync` it, write the same frame to the same board.
//!
//! ```text
//!   reader (pty) ──frame──► latchd, or the floor ──line──► disk      reader: hardware_sim, which writes a card's frame
//!        ▲                          └───────pulse───────► board              in the caller's thread: no hop of its own
//!        └──────────── this process: one clock ◄─────────────┘       board: our own, a blocking thread, for the same
//! ```
//!
//! Both take turns, a few taps each, so that a disk or a neighbour that is slow for a while is so for both; who begins
//! changes from round to round. The broker is there and central acknowledges, as on any day.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[path = "tap/board.rs"]
mod board;
#[allow(dead_code, reason = "the sync bench asks for more")]
#[path = "shared/daemon.rs"]
mod daemon;
#[path = "shared/figures.rs"]
mod figures;
#[path = "tap/floor.rs"]
mod floor;
#[path = "tap/report.rs"]
mod report;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/running.rs"]
mod running;
#[path = "tap/site.rs"]
mod site;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "tap/taps.rs"]
mod taps;

use std::{fs, path::Path};

use self::{board::Board, floor::Floor, report::Round, site::Site, taps::Hand};

const ROUNDS: usize = 7;
const TAPS_A_ROUND: usize = 100;
/// Before the other one's turn: two to three seconds.
const TAPS_A_TURN: usize = 20;

/// Who is being tapped at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Floor,
    Daemon,
}

struct Bench {
    site: Site,
    floor: Floor,
    board: Board,
    hand: Hand,
}

impl Bench {
    /// Nanoseconds from card to strike, of so many taps.
    fn taps(&mut self, whose: Whose, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.tap(whose)).collect()
    }

    fn tap(&mut self, whose: Whose) -> u64 {
        let Bench { site, floor, board, hand } = self;
        match whose {
            Whose::Floor => hand.tap(floor.reader(), board, Floor::COIL, || floor.look_again()),
            Whose::Daemon => hand.tap(site.reader(), board, daemon::COIL, || ()),
        }
    }

    fn round(&mut self, number: usize) -> Round {
        let order = if number.is_multiple_of(2) {
            [Whose::Floor, Whose::Daemon]
        } else {
            [Whose::Daemon, Whose::Floor]
        };
        let (mut floor, mut daemon) = (Vec::new(), Vec::new());
        for _ in 0..TAPS_A_ROUND / TAPS_A_TURN {
            for whose in order {
                let taps = self.taps(whose, TAPS_A_TURN);
                if whose == Whose::Floor { floor.extend(taps) } else { daemon.extend(taps) }
            }
        }
        Round::of(floor, daemon)
    }
}

fn main() {
    // On the disk that the build is on: the system's temporary folder may be in memory. It, on the other hand, has a
    // path short enough for a socket.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let board = Board::start();
    let site = Site::start(&disk.path().join("state"), desk.path(), board.address());
    let mut hand = Hand::new();
    for _ in 0..TAPS_A_TURN {
        hand.tap(site.reader(), &board, daemon::COIL, || ());
    }
    let event_bytes = site.granted_event_bytes();
    let floor = Floor::start(&disk.path().join("floor"), desk.path(), board.address(), event_bytes);
    let mut bench = Bench { site, floor, board, hand };
    bench.taps(Whose::Floor, TAPS_A_TURN);
    let before = figures::Machine::look(disk.path());
    let rounds: Vec<Round> = (0..ROUNDS).map(|number| bench.round(number)).collect();
    let expected = TAPS_A_TURN + ROUNDS * TAPS_A_ROUND;
    let recorded = bench.site.stop(expected);
    report::tell(&rounds, &before, event_bytes, recorded.late);
}

/// All events of a journal, in order.
fn journal_of(state: &Path) -> Vec<String> {
    let files = fs::read_dir(state.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e == "jsonl")).collect();
    segments.sort();
    let lines = |file| fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    segments.iter().flat_map(lines).collect()
}
