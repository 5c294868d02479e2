//! Runs that depend on a seed alone: random numbers, and which seeds are run.

use std::ops::Range;

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
pub fn for_seeds(seeds: Range<u64>, test: &'static str, run: impl Fn(u64)) {
    for seed in crate::asked::number("LATCHD_SEED").map_or(seeds, |seed| seed..seed + 1) {
        let said = Seed(seed, test);
        run(seed);
        drop(said);
    }
}
