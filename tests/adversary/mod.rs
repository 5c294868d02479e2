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

use std::cell::Cell;

use crate::seeds::for_seeds;
use world::World;

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
