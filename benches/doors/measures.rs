//! What is done at the doors, and what is read off their lines.

use std::{thread, time::Duration};

use chrono::{DateTime, Utc};
use hardware_sim::wait::{self, wall_now};
use serde_json::Value;

use super::site::{Site, WITHIN, now};

/// Between two changes: this, and more by lot, up to two rounds of 12 boards, so that none keeps step with the polls.
const BETWEEN: Duration = Duration::from_millis(120);
const MORE_MS: usize = 500;
/// How long a door that is broken open stands open, and a button is held.
const OPEN_FOR: Duration = Duration::from_millis(1_500);
const HOLD: Duration = Duration::from_millis(700);
const READ_INPUTS: u8 = 0x02;
const WRITE_COIL: u8 = 0x05;

/// Numbers by lot, the same each time.
struct Lot(u64);

impl Lot {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn pause(&mut self) {
        let more = u64::try_from(self.next(MORE_MS)).unwrap();
        pause(BETWEEN + Duration::from_millis(more));
    }
}

fn pause(time: Duration) {
    let until = now() + time;
    while let Some(left) = until.checked_duration_since(now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// Doors opened one after the other: nanoseconds from the contact's change to the event's time.
pub fn changes(site: &Site, doors: &[usize], count: usize) -> Vec<u64> {
    let mut lot = Lot(1);
    let one = |n: usize| {
        lot.pause();
        // One that has been shut for long: each comes once in a round.
        let door = doors[n * 7 % doors.len()];
        let (board, own) = site.door(door);
        let mark = site.central.mark();
        let changed = wall_now();
        board.force_open(own, OPEN_FOR).unwrap();
        let id = format!("door-{door}");
        let opened = |event: &Value| event["type"] == "door.opened" && event["door"] == id.as_str();
        let event = site.central.wait_for_event_after(mark, opened, WITHIN).unwrap();
        let at: DateTime<Utc> = event["at"].as_str().unwrap().parse().unwrap();
        // The event's time has whole milliseconds, rounded down: half of one is added.
        u64::try_from((at - changed).num_nanoseconds().unwrap() + 500_000).unwrap_or(0)
    };
    (0..count).map(one).collect()
}

/// Buttons pressed one after the other.
#[derive(Default)]
pub struct Writes {
    /// Nanoseconds from the press to the strike.
    pub took: Vec<u64>,
    /// Requests between the poll that told of the press and the write.
    pub between: Vec<usize>,
}

pub fn writes(site: &Site, doors: &[usize], count: usize) -> Writes {
    let (mut lot, mut writes) = (Lot(2), Writes::default());
    for n in 0..count {
        lot.pause();
        let (board, own) = site.door(doors[n * 5 % doors.len()]);
        let coil = u16::try_from(own).unwrap();
        assert!(board.wait_for_coil(coil, false, WITHIN), "a strike stays driven");
        let from = board.asked_since(0).last().map_or(0, |entry| entry.number + 1);
        let pressed = now();
        board.press_rex(own, HOLD).unwrap();
        let driven = board.wait_for_coil_change(pressed, coil, true, WITHIN).unwrap();
        writes.took.push(u64::try_from((driven.at - pressed).as_nanos()).unwrap());
        let asked: Vec<_> = board.asked_since(from).into_iter().map(|entry| entry.what).collect();
        let is = |function| {
            move |asked: &hardware_sim::board::Asked| asked.unit == board.unit() && asked.function == function
        };
        let write = asked.iter().position(is(WRITE_COIL)).unwrap();
        let told = asked[..write].iter().rposition(is(READ_INPUTS)).unwrap();
        writes.between.push(write - told - 1);
    }
    writes
}

/// All doors unlocked, then locked down.
pub struct Lockdown {
    /// From before the command to the last coil that fell.
    pub took: Duration,
    /// Writes it took.
    pub writes: usize,
}

pub fn lockdowns(site: &Site, count: usize) -> Vec<Lockdown> {
    (0..count).map(|_| lockdown(site)).collect()
}

fn lockdown(site: &Site) -> Lockdown {
    site.tell_all("unlock");
    assert!(wait::until(WITHIN, || site.all(true).then_some(())).is_some(), "not all doors are unlocked");
    // Half way to where their pulses are renewed.
    pause(Duration::from_millis(1_500));
    let lines = || {
        site.boards
            .iter()
            .flat_map(|board| board.asked_since(0).last().map(|entry| (board.url(), entry.number)))
    };
    let marks: std::collections::BTreeMap<String, u64> = lines().collect();
    let (mark, begin) = (site.central.mark(), now());
    site.central.command("lock_down", "*", None).unwrap();
    let fell = wait::until(WITHIN, || site.all(false).then_some(()));
    assert!(fell.is_some(), "not all doors are locked down");
    let last = site.boards.iter().flat_map(|board| board.coil_history()).filter(|change| !change.on);
    let took = last.map(|change| change.at).max().unwrap().saturating_duration_since(begin);
    site.wait_executed(mark, "lock_down");
    let mut seen = std::collections::BTreeSet::new();
    let firsts = site.boards.iter().filter(|board| seen.insert(board.url()));
    let asked = firsts.flat_map(|board| board.asked_since(marks[&board.url()] + 1));
    let writes = asked.filter(|entry| matches!(entry.what.function, 0x05 | 0x0F)).count();
    site.tell_all("lock_down_release");
    site.tell_all("lock");
    Lockdown { took, writes }
}

/// Nobody is there: processor time over this, in per cent of a core.
pub fn idle(site: &Site, over: Duration) -> f64 {
    // What was done before has been written down and sent.
    pause(Duration::from_secs(3));
    let (cpu, begin) = (site.daemon.cpu(), now());
    pause(over);
    (site.daemon.cpu() - cpu).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0
}
