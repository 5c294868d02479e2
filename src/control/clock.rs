//! Whether the wall clock may be believed (rules, "The clock"). A door that trusts a wrong clock opens at the wrong
//! time.
//!
//! ```text
//!                      synchronised                    hold-over over, or it jumped
//!   Untrusted ────────────────────────► Trusted ──────► Holdover ─────────────────► Untrusted
//!       ▲                                  ▲ synchronised │
//!       └── earlier than what was recorded ┴──────────────┘
//! ```

use std::time::Duration;

use crate::domain::{At, ClockTrust, Mono, Now};

/// What the machine's clocks say, read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub mono: Mono,
    pub wall: At,
    /// The kernel says the wall clock is synchronised.
    pub synchronised: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSettings {
    pub require_sync: bool,
    pub holdover: Duration,
}

/// The wall clock may be this much earlier than the latest recorded instant.
const BACK_S: i64 = 5;
/// A change of wall against boot time between two readings that is a jump, not a correction.
const JUMP_MS: i64 = 2_000;

#[derive(Debug, Clone)]
pub struct ClockWatch {
    settings: ClockSettings,
    /// The latest instant recorded while the clock was trusted.
    high_water: Option<At>,
    synchronised_at: Option<Mono>,
    /// Wall less monotonic time at the last reading, in ms.
    offset_ms: Option<i64>,
    /// What the jumps since the clock was last known to be right add up to, in ms.
    jumped_ms: i64,
}

impl ClockWatch {
    /// `high_water`: the latest instant in the journal.
    pub fn new(settings: ClockSettings, high_water: Option<At>) -> Self {
        ClockWatch { settings, high_water, synchronised_at: None, offset_ms: None, jumped_ms: 0 }
    }

    /// Other settings, after a reload. What was seen of the clock still counts.
    pub fn change(&mut self, settings: ClockSettings) {
        self.settings = settings;
    }

    /// The moment, with how far it may be believed, and why.
    pub fn judge(&mut self, reading: Reading) -> (Now, &'static str) {
        self.note_jump(reading);
        if reading.synchronised {
            self.synchronised_at = Some(reading.mono);
            self.jumped_ms = 0;
        }
        let (trust, why) = self.trust(reading);
        (Now { mono: reading.mono, wall: reading.wall, trust }, why)
    }

    /// Something was recorded at this instant.
    pub fn note_recorded(&mut self, now: &Now) {
        if now.trust.is_trusted() {
            self.high_water = self.high_water.max(Some(now.wall));
        }
    }

    fn note_jump(&mut self, reading: Reading) {
        let wall_ms = reading.wall.secs() * 1000 + i64::from(reading.wall.nanos() / 1_000_000);
        let offset = wall_ms - reading.mono.0.as_millis() as i64;
        let change = offset - self.offset_ms.replace(offset).unwrap_or(offset);
        if change.abs() > JUMP_MS {
            self.jumped_ms += change;
        }
    }

    fn trust(&self, reading: Reading) -> (ClockTrust, &'static str) {
        if self.high_water.is_some_and(|high| reading.wall < high.plus_s(-BACK_S)) {
            return (ClockTrust::Untrusted, "it is earlier than the latest recorded event");
        }
        if reading.synchronised {
            return (ClockTrust::Trusted, "synchronised");
        }
        if self.jumped_ms.abs() > JUMP_MS {
            return (ClockTrust::Untrusted, "it jumped, and is not synchronised");
        }
        match self.synchronised_at {
            Some(then) if reading.mono.since(then) <= self.settings.holdover => {
                (ClockTrust::Holdover, "synchronised within the hold-over")
            }
            _ if !self.settings.require_sync => {
                (ClockTrust::Trusted, "not synchronised, which clock.require_sync = false allows")
            }
            Some(_) => (ClockTrust::Untrusted, "not synchronised for longer than clock.holdover_s"),
            None => (ClockTrust::Untrusted, "not synchronised since start"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn reading(mono_s: u64, wall: &str, synchronised: bool) -> Reading {
        Reading { mono: Mono(Duration::from_secs(mono_s)), wall: At::parse(wall).unwrap(), synchronised }
    }

    fn watch(require_sync: bool, high_water: Option<&str>) -> ClockWatch {
        let settings = ClockSettings { require_sync, holdover: Duration::from_secs(7 * DAY) };
        ClockWatch::new(settings, high_water.map(|t| At::parse(t).unwrap()))
    }

    fn trust(watch: &mut ClockWatch, r: Reading) -> ClockTrust {
        watch.judge(r).0.trust
    }

    #[test]
    fn a_clock_that_was_never_synchronised_is_not_trusted() {
        let mut w = watch(true, None);
        assert_eq!(trust(&mut w, reading(1, "2026-11-23T00:00:00Z", false)), ClockTrust::Untrusted);
        assert_eq!(trust(&mut w, reading(2, "2026-11-23T00:00:01Z", true)), ClockTrust::Trusted);
    }

    #[test]
    fn a_synchronised_clock_is_held_over_for_seven_days_and_no_longer() {
        let mut w = watch(true, None);
        assert_eq!(trust(&mut w, reading(0, "2026-11-01T00:00:00Z", true)), ClockTrust::Trusted);
        assert_eq!(trust(&mut w, reading(7 * DAY, "2026-11-08T00:00:00Z", false)), ClockTrust::Holdover);
        assert_eq!(trust(&mut w, reading(7 * DAY + 1, "2026-11-08T00:00:01Z", false)), ClockTrust::Untrusted);
    }

    #[test]
    fn a_jump_ends_the_hold_over_until_the_clock_is_right_again() {
        let mut w = watch(true, None);
        trust(&mut w, reading(0, "2026-11-01T00:00:00Z", true));
        assert_eq!(trust(&mut w, reading(10, "2026-11-01T01:00:10Z", false)), ClockTrust::Untrusted);
        assert_eq!(trust(&mut w, reading(20, "2026-11-01T00:00:20Z", false)), ClockTrust::Holdover);
        trust(&mut w, reading(30, "2026-11-01T01:00:30Z", false));
        assert_eq!(trust(&mut w, reading(40, "2026-11-01T01:00:40Z", true)), ClockTrust::Trusted);
        assert_eq!(trust(&mut w, reading(50, "2026-11-01T01:00:50Z", false)), ClockTrust::Holdover);
    }

    #[test]
    fn a_site_without_network_time_is_trusted_until_its_clock_jumps_or_goes_back() {
        let mut w = watch(false, Some("2026-11-23T00:00:00Z"));
        assert_eq!(trust(&mut w, reading(0, "1970-01-01T00:00:10Z", false)), ClockTrust::Untrusted);
        let mut w = watch(false, Some("2026-11-23T00:00:00Z"));
        assert_eq!(trust(&mut w, reading(0, "2026-11-22T23:59:55Z", false)), ClockTrust::Trusted);
        assert_eq!(trust(&mut w, reading(1, "2026-11-23T23:59:56Z", false)), ClockTrust::Untrusted);
    }

    #[test]
    fn a_synchronised_clock_earlier_than_the_journal_is_not_trusted() {
        let mut w = watch(true, Some("2026-11-23T00:00:00Z"));
        assert_eq!(trust(&mut w, reading(0, "2026-11-22T23:59:54Z", true)), ClockTrust::Untrusted);
    }
}
