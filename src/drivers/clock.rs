//! The only clock reads there are. Everything else is given the time, so that it can be run at any.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]

use std::time::Duration;

use chrono::DateTime;
use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::time::Instant;

use crate::domain::{At, Mono};

/// Time since the machine started, suspended time included (`CLOCK_BOOTTIME`).
pub fn mono() -> Mono {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    Mono(Duration::new(u64::try_from(tv_sec).unwrap_or(0), u32::try_from(tv_nsec).unwrap_or(0)))
}

/// What the box takes for UTC. Whether to believe it is `control`'s question.
pub fn wall() -> At {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
    At::from_parts(tv_sec, u32::try_from(tv_nsec).unwrap_or(0)).unwrap_or(At::from(DateTime::UNIX_EPOCH))
}

/// The runtime's own monotonic time, which its timers run on. A test can stop it; so a driver that waits measures
/// with this, and not with [`mono`].
pub fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let before = mono();
        while mono() == before {}
        assert!(mono() > before);
        assert!(wall() > At::parse("2024-01-01T00:00:00Z").unwrap(), "the box has no clock");
    }

    #[tokio::test(start_paused = true)]
    async fn the_runtimes_time_stands_still_under_test() {
        let before = instant();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(instant() - before, Duration::from_secs(3600));
    }
}
