//! The machine's clock, right or wrong, and whether the rules say that it is to be believed ("The clock"), judged a
//! second time from their text.

use std::time::Duration;

use latchd::{
    control::clock::Reading,
    domain::{At, ClockTrust, Mono},
};

use super::{lot::Lot, site};

/// Where runs begin: an ordinary Monday, the nights on which the clocks change, the end of a year, a leap day.
const STARTS: [&str; 6] = [
    "2026-11-23T09:00:00Z",
    "2026-10-25T00:00:00Z",
    "2027-03-28T00:00:00Z",
    "2026-12-31T22:30:00Z",
    "2028-02-28T22:30:00Z",
    "2026-11-23T09:00:00Z",
];
const YEAR_S: i64 = 365 * 86_400;
/// The machine has run for this long when the daemon starts.
pub const BOOTED: Duration = Duration::from_secs(1000);

/// What a machine shows.
#[derive(Debug)]
pub struct MachineClock {
    /// The instant at which the run's time was zero.
    zero_ms: i64,
    /// How much later than it is, in ms.
    pub off_ms: i64,
    /// The kernel says that it is synchronised.
    pub synchronised: bool,
}

impl MachineClock {
    #[must_use]
    pub fn new(lot: &mut Lot) -> Self {
        let start = At::parse(lot.pick(&STARTS)).unwrap();
        let zero_ms = (start.secs() - BOOTED.as_secs() as i64) * 1000;
        MachineClock { zero_ms, off_ms: 0, synchronised: true }
    }

    #[must_use]
    pub fn wall(&self, mono: Duration) -> At {
        at(self.zero_ms + self.off_ms + mono.as_millis() as i64)
    }

    /// What time it really is.
    #[must_use]
    pub fn truth(&self, mono: Duration) -> At {
        at(self.zero_ms + mono.as_millis() as i64)
    }

    #[must_use]
    pub fn reading(&self, mono: Duration) -> Reading {
        Reading { mono: Mono(mono), wall: self.wall(mono), synchronised: self.synchronised }
    }

    /// Something happens to it; what.
    pub fn go_wrong(&mut self, lot: &mut Lot) -> &'static str {
        match lot.of(0..12) {
            0..3 => {
                self.synchronised = false;
                "the clock is no longer synchronised"
            }
            3 => {
                (self.synchronised, self.off_ms) =
                    (false, self.off_ms + lot.pick(&[-3_600_000, 3_600_000, 90_000]));
                "somebody sets the clock"
            }
            4 => {
                self.off_ms -= 2 * YEAR_S * 1000;
                "a time server steps the clock two years back"
            }
            5 => {
                self.off_ms += 1_800_000;
                "a time server steps the clock forward"
            }
            6 => {
                // A second is there twice: the kernel says TIME_OOP, and goes on being synchronised.
                self.off_ms -= 1000;
                "a leap second is inserted"
            }
            7 => {
                self.off_ms += lot.pick(&[-1_500, 1_500]);
                "the clock is nudged"
            }
            _ => {
                (self.synchronised, self.off_ms) = (true, 0);
                "the clock is right"
            }
        }
    }

    /// The machine starts without a battery: its time is that of long ago, until somebody tells it.
    pub fn boot_in_1970(&mut self, mono: Duration) {
        self.synchronised = false;
        self.off_ms = -(self.zero_ms + mono.as_millis() as i64);
    }
}

fn at(ms: i64) -> At {
    At::from_parts(ms.div_euclid(1000), ms.rem_euclid(1000) as u32 * 1_000_000).unwrap()
}

fn ms(at: At) -> i64 {
    at.secs() * 1000 + i64::from(at.nanos() / 1_000_000)
}

/// The rules' own question, asked of every reading the controller is given.
#[derive(Debug, Default)]
pub struct Doubt {
    /// The latest instant recorded while the clock was trusted.
    latest: Option<At>,
    /// When the kernel last said that it is synchronised, and how far wall time was ahead of boot time then.
    right: Option<(Duration, i64)>,
}

/// The clock may be earlier than what was recorded by this.
const BACK_S: i64 = 5;
/// No right clock shows an earlier time than the program's.
const WRITTEN: &str = "2026-01-01T00:00:00Z";
/// What is more than this is a jump.
const JUMP_MS: i64 = 2_000;

impl Doubt {
    /// A daemon that starts knows what its journal holds, and nothing else.
    #[must_use]
    pub fn at_start(latest: Option<At>) -> Self {
        Doubt { latest, right: None }
    }

    pub fn judge(&mut self, reading: &Reading) -> ClockTrust {
        let ahead_ms = ms(reading.wall) - reading.mono.0.as_millis() as i64;
        if reading.synchronised {
            self.right = Some((reading.mono.0, ahead_ms));
        }
        let is_back = self.latest.is_some_and(|latest| reading.wall < latest.plus_s(-BACK_S))
            || reading.wall < At::parse(WRITTEN).unwrap();
        let is_held = self.right.is_some_and(|(then, was_ahead_ms)| {
            let has_jumped = (ahead_ms - was_ahead_ms).abs() > JUMP_MS;
            !has_jumped && reading.mono.0 - then <= site::HOLDOVER
        });
        match (is_back, reading.synchronised, is_held) {
            (true, ..) | (false, false, false) => ClockTrust::Untrusted,
            (false, true, _) => ClockTrust::Trusted,
            (false, false, true) => ClockTrust::Holdover,
        }
    }

    /// Something was recorded at this instant, by a clock that is trusted.
    pub fn recorded(&mut self, at: At) {
        self.latest = self.latest.max(Some(at));
    }

    #[must_use]
    pub fn latest(&self) -> Option<At> {
        self.latest
    }
}
