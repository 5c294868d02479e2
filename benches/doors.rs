//! Many doors at one daemon (targets, "doors", "lockdown", "idle", "slow bus").
//!
//! ```text
//!   128 PN532 on ptys ─┐                       ┌─ 12 boards on a serial line at 9600 baud ─┐
//!                      ├─ latchd (64 doors) ───┤                                           ├─ 4 doors each
//!   broker, central ───┘                       └─  4 boards on another one ────────────────┘
//! ```
//!
//! The boards are simulated, on ptys with what bytes take at 9600 baud (8N1) and 2 ms until a board begins to answer.
//! **Input change → seen** is from the change until the `at` of the event it makes, by the one clock that both
//! programs read; the event has milliseconds. **Exchanges before the write**: a button is pressed; of the requests on
//! the line between the poll that tells of it and the write that drives the strike, how many. **Lockdown**: from
//! before central's command to the last of 64 driven coils that falls, all doors having been unlocked before.
//! **Idle**: processor time of the whole process, with nobody at the doors.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[path = "shared/figures.rs"]
mod figures;
#[path = "doors/measures.rs"]
mod measures;
#[path = "doors/report.rs"]
mod report;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/running.rs"]
mod running;
#[path = "doors/site.rs"]
mod site;

use std::time::Duration;

use hardware_sim::board::Place;

use self::{
    measures::{changes, idle, lockdowns, writes},
    report::Figures,
    site::{Line, Plan, Site},
};

const CHANGES: usize = 240;
const PRESSES: usize = 96;
const LOCKDOWNS: usize = 5;
const IDLE: Duration = Duration::from_secs(60);
/// What every write takes, by the target of the slow bus.
const SLOW_WRITE: Duration = Duration::from_millis(20);

fn main() {
    let desk = tempfile::tempdir().unwrap();
    let machine = figures::Machine::look(desk.path());
    let large = large();
    let tcp = small(Place::Tcp(site::ANY_PORT), true);
    let serial = small(Place::Rtu("line".into()), false);
    report::tell(&Figures { large, tcp, serial }, &machine);
}

/// 64 doors, 128 readers, 16 boards on two serial lines.
fn large() -> report::Large {
    let desk = tempfile::tempdir().unwrap();
    let line = |name: &str, boards| Line { place: Place::Rtu(desk.path().join(name)), boards };
    let plan = Plan { lines: vec![line("line-a", 12), line("line-b", 4)], doors_a_board: 4, readers: 128 };
    let mut site = Site::start(plan, desk.path());
    println!("64 doors, 128 readers, 16 boards: ready after {:.1} s", site.ready_after.as_secs_f64());
    let of_12: Vec<usize> = (0..48).collect();
    let of_4: Vec<usize> = (48..64).collect();
    let large = report::Large {
        seen_of_12: changes(&site, &of_12, CHANGES),
        seen_of_4: changes(&site, &of_4, CHANGES / 3),
        writes: writes(&site, &of_12, PRESSES),
        lockdowns: lockdowns(&site, LOCKDOWNS),
        idle: idle(&site, IDLE / 3),
        lost: site.lost(),
        memory_mib: site.daemon.now_mib(),
    };
    site.daemon.stop();
    large
}

/// 8 readers and 4 boards, with 16 doors each for the slow bus.
fn small(place: Place, with_slow_bus: bool) -> report::Small {
    let desk = tempfile::tempdir().unwrap();
    let line = |_| match &place {
        Place::Rtu(name) => Line { place: Place::Rtu(desk.path().join(name)), boards: 4 },
        // A connection each.
        Place::Tcp(_) | Place::RtuTcp(_) => Line { place: place.clone(), boards: 1 },
    };
    let count = if matches!(place, Place::Rtu(_)) { 1 } else { 4 };
    let plan = Plan { lines: (0..count).map(line).collect(), doors_a_board: 16, readers: 8 };
    let mut site = Site::start(plan, desk.path());
    let idle = idle(&site, IDLE);
    let slow_lockdowns = if with_slow_bus {
        site.boards.iter().for_each(|board| board.delay_writes(SLOW_WRITE));
        lockdowns(&site, LOCKDOWNS)
    } else {
        Vec::new()
    };
    site.daemon.stop();
    report::Small { idle, slow_lockdowns }
}
