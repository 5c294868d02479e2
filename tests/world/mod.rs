//! The controller in its world (`hardware_sim::world`): a thousand seeds that are always the same, as many that nobody
//! has seen yet, a season in one of them, and a table of deliberate bugs that are each caught.
//!
//! `LATCHD_WORLDS=100000` runs more fresh ones; `latch-sim world --seed N` runs one again.

mod attacks;
mod bugs;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::LazyLock;

use hardware_sim::world::{Invariant, Plan, Summary, run_many};
use latchd::domain::{DoorMode, Reason};

use crate::asked;

/// As many as CI has time for.
const SEEDS: u64 = 1000;

static FIXED: LazyLock<Summary> = LazyLock::new(|| run_all(0..SEEDS));

fn run_all(seeds: std::ops::Range<u64>) -> Summary {
    run_many(&Plan { seeds, days: None, planted: None, stops_at_first: false }, |_| {})
}

#[track_caller]
fn assert_all_held(summary: &Summary) {
    assert!(summary.broken.is_empty(), "\n{}", summary.complaint(None));
}

#[test]
fn all_that_must_be_so_is_so_after_every_step_of_a_thousand_seeds() {
    assert_all_held(&FIXED);
    for invariant in Invariant::ALL.into_iter().filter(|i| *i != Invariant::NeverPanics) {
        assert!(FIXED.looked_at.contains_key(&invariant), "nobody looked whether {invariant}");
    }
}

#[test]
fn and_of_a_thousand_that_nobody_has_seen_yet() {
    // Small enough to be typed again.
    let from = 1_000_000 + RandomState::new().build_hasher().finish() % 1_000_000_000;
    assert_all_held(&run_all(from..from + asked::number("LATCHD_WORLDS").unwrap_or(SEEDS)));
}

/// Nobody should believe in a world where nothing happens.
#[test]
fn every_kind_of_fault_and_every_reason_of_a_decision_comes_up() {
    let reasons = Reason::ALL.map(|reason| format!("reason: {}", reason.as_str()));
    let modes = DoorMode::ALL.into_iter().filter(|mode| *mode != DoorMode::Accessed);
    let modes = modes.map(|mode| format!("mode: {}", mode.as_str()));
    let faults = FAULTS.into_iter().map(str::to_owned);
    let seldom: Vec<String> =
        reasons.into_iter().chain(modes).chain(faults).filter(|what| FIXED.counts.of(what) < 3).collect();
    assert!(seldom.is_empty(), "too seldom in {SEEDS} seeds:\n{}", seldom.join("\n"));
}

/// What there is for it to go on holding grows with nothing.
#[test]
fn a_season_piles_up_nothing() {
    let plan = Plan { seeds: 7..8, days: Some(75), planted: None, stops_at_first: true };
    let summary = run_many(&plan, |_| {});
    assert!(summary.broken.is_empty(), "\n{}", summary.complaint(plan.days));
    let most = summary.most;
    assert!(summary.lasted.as_secs() > 74 * 86_400 && summary.strikes > 1000, "nothing happened");
    assert!(most.in_controller < 60 && most.commands < 40 && most.at_cache < 100, "{most:?}");
    assert!(most.let_in < 150, "guests of long ago are remembered: {most:?}");
}

const FAULTS: [&str; 63] = [
    "broker: changes the order",
    "broker: loses a message",
    "broker: replays a message",
    "broker: retains a command",
    "cache: a write failed",
    "central: a change is left out",
    "central: a message for another controller",
    "central: a message nobody understands",
    "central: a new list is begun",
    "central: a record nobody knows",
    "central: a signature is wrong",
    "central: an old list goes on",
    "central: commands, in time",
    "central: commands, late",
    "central: commands, lives too long",
    "central: commands, of the future",
    "central: most grants are taken away",
    "central: numbers are used twice",
    "central: restarts",
    "central: two cards have one UID",
    "clock: 1970 at boot",
    "clock: a leap second is inserted",
    "clock: a time server steps the clock forward",
    "clock: a time server steps the clock two years back",
    "clock: somebody sets the clock",
    "clock: the clock is no longer synchronised",
    "clock: the clock is nudged",
    "entry: access.not_taken",
    "entry: clock.untrusted",
    "entry: command.executed",
    "entry: door.forced",
    "entry: door.held_open",
    "entry: guest.arrived",
    "entry: journal.overwritten",
    "entry: sync.conflict",
    "entry: sync.gap",
    "entry: sync.mass_removal",
    "entry: sync.stale",
    "fault: a board is lost",
    "fault: a board is slow",
    "fault: a board reads back what was not asked",
    "fault: a board restarts",
    "fault: a fire alarm",
    "fault: a reader is lost",
    "fault: a reader repeats a frame",
    "fault: the broker forgets the session",
    "fault: the connection is dropped",
    "fault: the disk is full",
    "fault: the disk is slow",
    "fault: the line is down",
    "fault: the machine is suspended",
    "link: a message nobody has signed",
    "link: a retained command",
    "link: delivered again",
    "people: force a door",
    "people: hold a door open",
    "people: press the button",
    "refused: duplicate",
    "restart: killed",
    "restart: power cut",
    "restart: the cache is damaged, it begins empty",
    "restart: the cache is damaged, the last good copy is in force",
    "strike: late",
];
