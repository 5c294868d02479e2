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

/// When the clock was last known to be right, and what it showed: what a restart of the daemon goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synchronised {
    pub at: Mono,
    /// Wall less boot time, in ms.
    pub offset_ms: i64,
}

impl Synchronised {
    /// What a reading says of it, if it does.
    pub fn by(reading: Reading) -> Option<Self> {
        reading.synchronised.then(|| Synchronised { at: reading.mono, offset_ms: offset_ms(reading) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSettings {
    pub require_sync: bool,
    pub holdover: Duration,
}

/// The wall clock may be this much earlier than the latest recorded instant.
const BACK_S: i64 = 5;
/// Wall time that is this far from where boot time says it should be has jumped. A leap second is none, and neither is
/// what a resume from suspend costs in precision.
const JUMP_MS: i64 = 2_000;
/// 2026-01-01: no clock that shows an earlier time than this program's is right, whoever vouches for it, and whatever a
/// new journal knows nothing of.
const WRITTEN_S: i64 = 1_767_225_600;

#[derive(Debug, Clone)]
pub struct ClockWatch {
    settings: ClockSettings,
    /// The latest instant recorded while the clock was trusted.
    high_water: Option<At>,
    synchronised_at: Option<Mono>,
    /// Wall less boot time, in ms, when the clock was last known to be right: what it is held over by. The two only
    /// drift apart when wall time is set, however little at a time. Where nobody ever synchronises it, as it was at the
    /// start.
    offset_ms: Option<i64>,
}

impl ClockWatch {
    /// `high_water`: the latest instant in the journal.
    pub fn new(settings: ClockSettings, high_water: Option<At>) -> Self {
        ClockWatch { settings, high_water, synchronised_at: None, offset_ms: None }
    }

    /// What the daemon before saw of the clock since the machine was started. Not where nobody has to synchronise it:
    /// there a restart is how a clock that was set is believed again.
    #[must_use]
    pub fn going_on_from(mut self, earlier: Option<Synchronised>) -> Self {
        if let Some(Synchronised { at, offset_ms }) = earlier.filter(|_| self.settings.require_sync) {
            (self.synchronised_at, self.offset_ms) = (Some(at), Some(offset_ms));
        }
        self
    }

    /// Other settings, after a reload. What was seen of the clock still counts.
    pub fn change(&mut self, settings: ClockSettings) {
        self.settings = settings;
    }

    /// The moment, with how far it may be believed, and why.
    pub fn judge(&mut self, reading: Reading) -> (Now, &'static str) {
        if reading.synchronised {
            self.synchronised_at = Some(reading.mono);
            self.offset_ms = Some(offset_ms(reading));
        }
        let offset = *self.offset_ms.get_or_insert(offset_ms(reading));
        let has_jumped = (offset_ms(reading) - offset).abs() > JUMP_MS;
        let (trust, why) = self.trust(reading, has_jumped);
        (Now { mono: reading.mono, wall: reading.wall, trust }, why)
    }

    /// Something was recorded at this instant.
    pub fn note_recorded(&mut self, now: &Now) {
        if now.trust.is_trusted() {
            self.high_water = self.high_water.max(Some(now.wall));
        }
    }

    fn trust(&self, reading: Reading, has_jumped: bool) -> (ClockTrust, &'static str) {
        if self.high_water.is_some_and(|high| reading.wall < high.plus_s(-BACK_S)) {
            return (ClockTrust::Untrusted, "it is earlier than the latest recorded event");
        }
        if reading.wall.secs() < WRITTEN_S {
            return (ClockTrust::Untrusted, "it is earlier than this program was written");
        }
        if reading.synchronised {
            return (ClockTrust::Trusted, "synchronised");
        }
        if has_jumped {
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

/// How far wall time is ahead of boot time.
fn offset_ms(reading: Reading) -> i64 {
    let wall_ms = reading.wall.secs() * 1000 + i64::from(reading.wall.nanos() / 1_000_000);
    wall_ms - reading.mono.0.as_millis() as i64
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

    /// What one daemon saw, and another that is started later in the same run of the machine.
    fn restarted(require_sync: bool, seen: Reading) -> ClockWatch {
        watch(require_sync, None).going_on_from(Synchronised::by(seen))
    }

    #[test]
    fn the_hold_over_goes_on_across_a_restart_of_the_daemon_and_ends_when_it_would_have() {
        let seen = reading(100, "2026-11-01T00:00:00Z", true);
        let mut w = restarted(true, seen);
        assert_eq!(trust(&mut w, reading(100 + DAY, "2026-11-02T00:00:00Z", false)), ClockTrust::Holdover);
        assert_eq!(
            trust(&mut w, reading(101 + 7 * DAY, "2026-11-08T00:00:01Z", false)),
            ClockTrust::Untrusted
        );
        let mut w = restarted(true, reading(100, "2026-11-01T00:00:00Z", false));
        assert_eq!(trust(&mut w, reading(200, "2026-11-01T00:01:40Z", false)), ClockTrust::Untrusted);
    }

    #[test]
    fn a_jump_while_the_daemon_was_away_is_one() {
        let seen = reading(100, "2026-11-01T00:00:00Z", true);
        let mut w = restarted(true, seen);
        assert_eq!(trust(&mut w, reading(200, "2026-11-01T02:01:40Z", false)), ClockTrust::Untrusted);
        assert_eq!(trust(&mut w, reading(300, "2026-11-01T00:03:20Z", false)), ClockTrust::Holdover);
        // Where nobody synchronises it, it was set by hand, and the restart says that this is right.
        let mut w = restarted(false, seen);
        assert_eq!(trust(&mut w, reading(200, "2026-11-01T02:01:40Z", false)), ClockTrust::Trusted);
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

    #[test]
    fn steps_that_are_each_too_small_to_be_a_jump_are_one_together() {
        let mut w = watch(true, None);
        trust(&mut w, reading(0, "2026-11-01T00:00:00Z", true));
        assert_eq!(trust(&mut w, reading(10, "2026-11-01T00:00:11Z", false)), ClockTrust::Holdover);
        assert_eq!(trust(&mut w, reading(20, "2026-11-01T00:00:22Z", false)), ClockTrust::Holdover);
        assert_eq!(trust(&mut w, reading(30, "2026-11-01T00:00:33Z", false)), ClockTrust::Untrusted);
        assert_eq!(trust(&mut w, reading(40, "2026-11-01T00:00:41Z", false)), ClockTrust::Holdover);
    }

    #[test]
    fn a_board_that_boots_in_1970_is_trusted_when_it_knows_the_time_and_not_before() {
        for require_sync in [true, false] {
            // The journal is new: it knows no better.
            let mut w = watch(require_sync, None);
            assert_eq!(trust(&mut w, reading(5, "1970-01-01T00:00:05Z", false)), ClockTrust::Untrusted);
            // A time server that knows no better either.
            assert_eq!(trust(&mut w, reading(6, "2001-01-01T00:00:06Z", true)), ClockTrust::Untrusted);
            assert_eq!(trust(&mut w, reading(9, "2026-11-01T00:00:00Z", true)), ClockTrust::Trusted);
            assert_eq!(trust(&mut w, reading(19, "2026-11-01T00:00:10Z", false)), ClockTrust::Holdover);
        }
    }

    #[test]
    fn a_time_server_that_steps_two_years_back_is_not_believed_until_it_is_right_again() {
        let mut w = watch(true, None);
        let (now, _) = w.judge(reading(0, "2028-11-01T00:00:00Z", true));
        w.note_recorded(&now);
        assert_eq!(trust(&mut w, reading(10, "2026-11-01T00:00:10Z", true)), ClockTrust::Untrusted);
        assert_eq!(trust(&mut w, reading(20, "2028-11-01T00:00:20Z", true)), ClockTrust::Trusted);
    }

    /// Boot time goes on while the machine sleeps, and wall time with it.
    #[test]
    fn sleep_counts_towards_the_hold_over_and_is_no_jump() {
        let mut w = watch(true, None);
        trust(&mut w, reading(0, "2026-11-01T00:00:00Z", true));
        assert_eq!(trust(&mut w, reading(6 * DAY, "2026-11-07T00:00:01Z", false)), ClockTrust::Holdover);
        assert_eq!(trust(&mut w, reading(8 * DAY, "2026-11-09T00:00:00Z", false)), ClockTrust::Untrusted);
    }

    #[test]
    fn a_leap_second_is_no_jump_and_a_second_that_comes_twice_no_step_back() {
        let mut w = watch(true, None);
        let (now, _) = w.judge(reading(0, "2026-12-31T23:59:59Z", true));
        w.note_recorded(&now);
        // The kernel shows 23:59:59 once more (TIME_OOP), with and without a time server that still answers.
        assert_eq!(trust(&mut w, reading(1, "2026-12-31T23:59:59Z", true)), ClockTrust::Trusted);
        let mut w = watch(true, None);
        let (now, _) = w.judge(reading(0, "2026-12-31T23:59:59Z", true));
        w.note_recorded(&now);
        assert_eq!(trust(&mut w, reading(1, "2026-12-31T23:59:59Z", false)), ClockTrust::Holdover);
        assert_eq!(trust(&mut w, reading(2, "2027-01-01T00:00:00Z", false)), ClockTrust::Holdover);
    }

    #[test]
    fn other_settings_count_from_now_on_with_what_was_seen_of_the_clock() {
        let mut w = watch(true, None);
        trust(&mut w, reading(0, "2026-11-01T00:00:00Z", true));
        w.change(ClockSettings { require_sync: true, holdover: Duration::from_secs(DAY) });
        assert_eq!(trust(&mut w, reading(DAY, "2026-11-02T00:00:00Z", false)), ClockTrust::Holdover);
        assert_eq!(trust(&mut w, reading(DAY + 1, "2026-11-02T00:00:01Z", false)), ClockTrust::Untrusted);
        w.change(ClockSettings { require_sync: false, holdover: Duration::from_secs(DAY) });
        assert_eq!(trust(&mut w, reading(DAY + 2, "2026-11-02T00:00:02Z", false)), ClockTrust::Trusted);
    }

    #[test]
    fn the_year_this_was_written_in_is_the_first_that_is_believed() {
        let mut w = watch(true, None);
        assert_eq!(trust(&mut w, reading(0, "2025-12-31T23:59:59Z", true)), ClockTrust::Untrusted);
        assert_eq!(trust(&mut w, reading(1, "2026-01-01T00:00:00Z", true)), ClockTrust::Trusted);
    }
}
