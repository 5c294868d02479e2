//! Chance, from a seed and nothing else: the same seed throws the same dice on every machine (splitmix64).

use std::{ops::Range, time::Duration};

/// Random numbers that depend on the seed alone.
#[derive(Debug, Clone)]
pub struct Lot(u64);

impl Lot {
    #[must_use]
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

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn ms(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.of(range))
    }

    pub fn secs(&mut self, range: Range<u64>) -> Duration {
        Duration::from_secs(self.of(range))
    }
}
