//! How long to wait before trying again: one rule for every link, so that none gives up and none hammers.
//!
//! The step doubles from the first to the cap. Each wait is drawn from the upper half of its step, so that a hundred
//! controllers that lost the same broker don't come back at the same instant. There is no last try.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    step: Duration,
    chance: u64,
}

impl Backoff {
    /// Jitter from the system's randomness.
    pub fn new(first: Duration, cap: Duration) -> Self {
        // Without randomness (a kernel that has none yet) the waits are merely the same as another box's.
        Backoff::seeded(first, cap, getrandom::u64().unwrap_or(0))
    }

    /// Jitter from a seed: the same waits each time.
    pub fn seeded(first: Duration, cap: Duration, seed: u64) -> Self {
        Backoff { first, cap, step: first.min(cap), chance: seed }
    }

    /// The next wait: at least half its step, at most the whole.
    pub fn wait(&mut self) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.cap);
        let half = step / 2;
        half + half.mul_f64(self.draw())
    }

    /// It worked: the next failure starts from the first step again.
    pub fn reset(&mut self) {
        self.step = self.first.min(self.cap);
    }

    /// SplitMix64, as a number in 0..1: good enough to spread waits, and three lines.
    fn draw(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(2);

    #[test]
    fn steps_double_up_to_the_cap_and_each_wait_is_in_the_upper_half_of_its_step() {
        for seed in 0..200 {
            let mut backoff = Backoff::seeded(FIRST, CAP, seed);
            for step_ms in [100, 200, 400, 800, 1600, 2000, 2000, 2000] {
                let step = Duration::from_millis(step_ms);
                let wait = backoff.wait();
                assert!(wait >= step / 2 && wait <= step, "seed {seed}: {wait:?} in a step of {step:?}");
            }
        }
    }

    #[test]
    fn after_a_success_it_starts_again_from_the_first_step() {
        let mut backoff = Backoff::seeded(FIRST, CAP, 7);
        (0..10).for_each(|_| assert!(backoff.wait() > Duration::ZERO));
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn two_boxes_do_not_wait_alike() {
        let (mut one, mut other) = (Backoff::new(FIRST, CAP), Backoff::new(FIRST, CAP));
        assert!((0..20).any(|_| one.wait() != other.wait()));
    }

    #[test]
    fn a_cap_below_the_first_step_holds() {
        assert!(Backoff::seeded(CAP, FIRST, 1).wait() <= FIRST);
    }
}
