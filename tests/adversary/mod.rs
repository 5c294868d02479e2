//! The sync path against a broker that is nobody's friend, without a broker: the real controller, an honest central, a
//! model of the disk, and between them whoever holds the seed.
//!
//! ```text
//!   central ──signs──► every message it ever sent ──► the adversary picks: any of them, in any order, any number of
//!      ▲                                                times, late or never; resets sessions; adds garbage
//!      └── syncs and events: late, twice, never ◄── controller ──► model disk (crashes, failures)
//! ```
//!
//! What is signed can't be forged, so a broker's whole power is to choose among what central once said. After every
//! step: what the controller decides from is central's state at the position it names, and no older than before; the
//! digest is the one computed from scratch; nothing is acknowledged that is not on disk. And when the adversary is gone,
//! both sides agree within minutes.
//!
//! A failing seed says how to run it again.

mod attacks;
mod central;
mod disk;
mod flapping;
mod link;
mod world;

use std::{cell::Cell, ops::Range};

use world::World;

/// Random numbers that depend on the seed alone (splitmix64).
#[derive(Debug, Clone)]
pub struct Lot(u64);

impl Lot {
    pub fn new(seed: u64) -> Self {
        Lot(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// At least `range.start`, less than its end.
    pub fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.of(0..end as u64) as usize
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.of(0..n) == 0
    }
}

/// Says which seed was under way, if the test fails.
struct Seed(u64, &'static str);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with: LATCHD_SEED={} cargo test --test it {}", self.0, self.1);
        }
    }
}

/// Runs a test for each seed, or for the one in `LATCHD_SEED`.
fn for_seeds(seeds: Range<u64>, test: &'static str, run: impl Fn(u64)) {
    for seed in crate::asked::number("LATCHD_SEED").map_or(seeds, |seed| seed..seed + 1) {
        let said = Seed(seed, test);
        run(seed);
        drop(said);
    }
}

const SEEDS: u64 = 200;
const STEPS: usize = 500;

#[test]
fn a_broker_that_replays_reorders_withholds_and_resets_undoes_nothing() {
    let (applied, crashes) = (Cell::new(0), Cell::new(0));
    for_seeds(0..SEEDS, "a_broker_that_replays", |seed| {
        let mut world = World::new(seed);
        world.connect(false);
        for _ in 0..STEPS {
            world.adversary_acts();
            world.check();
        }
        world.converge();
        applied.set(applied.get() + world.disk.applied_messages);
        crashes.set(crashes.get() + world.crashes);
    });
    let (applied, crashes) = (applied.get(), crashes.get());
    eprintln!("{applied} messages changed something, and {crashes} crashes came between");
    assert!(applied > 0 && crashes > 0, "the adversary let nothing happen");
}
