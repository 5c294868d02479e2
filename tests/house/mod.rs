//! The doors of a house under one seed, in virtual time: the real controller among boards that lose their link or lie,
//! a disk that is slow or fails, power cuts, a clock that jumps, people, orders and a fire alarm.
//!
//! After every step: no strike without its reason in the journal (or a button, or a fire); none twice on one entry;
//! none of another door's; no booking by a clock in doubt; nobody let in where a door is locked down; no entry left out;
//! what restricts a door outlasts a power cut; and the controller comes to rest. When faults stop, every door is what its
//! mode says within a minute and a half, and what is shown of it is true.

mod journal;
mod plant;
mod world;

use std::cell::Cell;
use std::time::Duration;

use crate::asked;
use crate::seeds::for_seeds;
use journal::Disk;
use world::World;

/// As many as CI has time for; `LATCHD_HOUSES=100000` asks for more.
const SEEDS: u64 = 1000;
const STEPS: usize = 120;

impl World {
    /// Something happens, and some time passes.
    fn step(&mut self) {
        let door = self.lot.below(4);
        let board = self.lot.below(2);
        match self.lot.of(0..100) {
            0..25 => {
                let card = self.lot.below(4);
                self.tap(door, card);
            }
            25..40 => self.random_order(door),
            40..48 => {
                let on = self.lot.one_in(2);
                self.press(door, on);
            }
            48..60 => {
                let closed = self.lot.one_in(2);
                self.swing(door, closed);
            }
            60..66 => {
                let on = self.lot.one_in(3);
                self.burn(on);
            }
            66..70 => self.lose(board),
            70..78 => self.connect(board),
            78..81 => self.boards[board].fails = self.lot.one_in(2),
            81..85 => {
                self.journal.disk = [Disk::Quick, Disk::Quick, Disk::Slow, Disk::Failing][self.lot.below(4)];
            }
            85..88 => {
                let off = [0, 0, -3600, 3600, -40 * 365 * 86_400][self.lot.below(5)];
                let synchronised = self.lot.one_in(2);
                self.set_clock(synchronised, off);
            }
            88..90 => self.cut(),
            90..91 => self.lock_down_all(),
            _ => {}
        }
        let most = [1, 30, 250, 6_000, 40_000][self.lot.below(5)];
        let time = Duration::from_millis(self.lot.of(0..most));
        self.later(time);
    }
}

#[test]
fn no_strike_without_a_reason_and_every_door_is_what_its_mode_says_once_faults_stop() {
    let (strikes, cuts) = (Cell::new(0), Cell::new(0));
    let seeds = asked::number("LATCHD_HOUSES").unwrap_or(SEEDS);
    for_seeds(0..seeds, "house", |seed| {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.recover();
        strikes.set(strikes.get() + world.strikes);
        cuts.set(cuts.get() + world.cuts);
    });
    eprintln!("{} strikes were driven, and {} power cuts came between", strikes.get(), cuts.get());
    assert!(strikes.get() > seeds && (seeds < 100 || cuts.get() > 0), "nothing happened");
}
