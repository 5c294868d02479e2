//! One seed, from the first day of a house to the last word of central.

use std::{collections::BTreeMap, time::Duration};

use super::{Broken, Counts, Invariant, Planted, World, checks::Most};

/// Steps of a run that has no length.
const STEPS: usize = 70;

/// A run in which every invariant held.
#[derive(Debug, Clone)]
pub struct Ended {
    pub counts: Counts,
    /// How often each invariant was looked at.
    pub looked_at: BTreeMap<Invariant, u64>,
    pub strikes: u64,
    /// How long it lasted, in virtual time.
    pub lasted: Duration,
    pub most: Most,
}

/// Runs one seed: for some 70 steps, or for so many days.
///
/// # Errors
/// An invariant did not hold.
pub fn run(seed: u64, days: Option<u64>, planted: Option<Planted>) -> Result<Ended, Broken> {
    go(World::new(seed, planted), days)
}

/// The same, and everything that happens is printed.
///
/// # Errors
/// An invariant did not hold.
pub fn run_aloud(seed: u64, days: Option<u64>, planted: Option<Planted>) -> Result<Ended, Broken> {
    let mut world = World::new(seed, planted);
    world.tells = true;
    go(world, days)
}

fn go(mut world: World, days: Option<u64>) -> Result<Ended, Broken> {
    world.furnish();
    let began = world.mono;
    match days {
        None => (0..STEPS).for_each(|_| world.go_on()),
        Some(days) => {
            while world.mono < began + Duration::from_secs(days * 86_400) && !world.verdicts.is_broken() {
                world.go_on();
                world.an_hour_or_two();
            }
        }
    }
    world.go_home(began)
}

impl World {
    fn go_on(&mut self) {
        if !self.verdicts.is_broken() {
            self.step();
        }
    }

    /// What a season is made of: members who book, come and go, and now and then a fault that lasts.
    fn an_hour_or_two(&mut self) {
        if !self.lot.one_in(4) {
            self.a_quiet_hour();
        }
        for _ in 0..3 {
            if !self.verdicts.is_broken() {
                self.busy_minutes();
            }
        }
        let time = self.lot.secs(0..7_200);
        self.wait_calmly(time);
    }

    fn go_home(mut self, began: Duration) -> Result<Ended, Broken> {
        if !self.verdicts.is_broken() {
            self.recover();
        }
        if !self.verdicts.is_broken() {
            self.visit();
        }
        let looked_at = self.verdicts.end()?;
        Ok(Ended {
            counts: self.counts,
            looked_at,
            strikes: self.seen.strikes,
            lasted: self.mono - began,
            most: self.seen.most,
        })
    }
}
