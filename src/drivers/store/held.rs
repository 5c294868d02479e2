//! When the kernel last said that the clock is synchronised, and what it showed: kept beside the high-water mark, so that a
//! daemon that is started anew holds it over as the one before would have.
//!
//! It counts as long as the machine runs. After a boot, boot time begins anew, and nothing tells what became of the wall
//! clock meanwhile.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::{
    control::clock::{Reading, Synchronised},
    domain::Mono,
    drivers::{clock, kernel_clock},
};

/// The kernel's name for this run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What is kept is written again when it is older than this, in seconds: the hold-over counts from it, so it is that much
/// shorter at most, of days.
const REFRESH_S: u64 = 3600;
/// A clock that was put right by more than this is written at once.
const PUT_RIGHT_MS: i64 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    boot: String,
    /// Boot time then.
    at_s: u64,
    /// How far wall time was ahead of it.
    offset_ms: i64,
}

impl Held {
    /// What the clocks say now, if the kernel says that they are synchronised.
    pub fn now() -> Option<Held> {
        let (mono, wall, synchronised) = (clock::mono(), clock::wall(), kernel_clock::synchronised());
        Held::of(boot()?, Reading { mono, wall, synchronised })
    }

    pub fn of(boot: String, reading: Reading) -> Option<Held> {
        let Synchronised { at, offset_ms } = Synchronised::by(reading)?;
        Some(Held { boot, at_s: at.0.as_secs(), offset_ms })
    }

    /// Whether it is worth a write, where `kept` is on disk.
    pub fn is_news(&self, kept: Option<&Held>) -> bool {
        kept.is_none_or(|kept| {
            kept.boot != self.boot
                || self.at_s.saturating_sub(kept.at_s) >= REFRESH_S
                || self.offset_ms.abs_diff(kept.offset_ms) > PUT_RIGHT_MS.unsigned_abs()
        })
    }

    /// For the controller, if it is of this run of the machine.
    pub fn of_this_run(&self) -> Option<Synchronised> {
        self.of_run(&boot()?, clock::mono())
    }

    fn of_run(&self, boot: &str, now: Mono) -> Option<Synchronised> {
        let at = Mono(std::time::Duration::from_secs(self.at_s));
        (self.boot == boot && at <= now).then_some(Synchronised { at, offset_ms: self.offset_ms })
    }
}

fn boot() -> Option<String> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::At;

    fn at(mono_s: u64, wall: &str, synchronised: bool) -> Option<Held> {
        let (mono, wall) = (Mono(Duration::from_secs(mono_s)), At::parse(wall).unwrap());
        Held::of("run-1".into(), Reading { mono, wall, synchronised })
    }

    #[test]
    fn a_clock_that_is_not_synchronised_is_nothing_to_hold_over() {
        assert_eq!(at(10, "2026-11-23T00:00:10Z", false), None);
    }

    #[test]
    fn what_is_kept_counts_in_this_run_of_the_machine_and_in_no_other() {
        let held = at(10, "2026-11-23T00:00:10Z", true).unwrap();
        let now = Mono(Duration::from_secs(4000));
        assert_eq!(held.of_run("run-1", now).unwrap().at, Mono(Duration::from_secs(10)));
        assert_eq!(held.of_run("run-2", now), None, "booted since");
        assert_eq!(held.of_run("run-1", Mono(Duration::from_secs(9))), None, "from the future");
        assert!(boot().is_some_and(|boot| boot.len() == 36), "this machine has no name for its run");
    }

    #[test]
    fn it_is_written_each_hour_and_when_the_clock_was_put_right() {
        let kept = at(10, "2026-11-23T00:00:10Z", true);
        let is_news = |held: Option<Held>| held.unwrap().is_news(kept.as_ref());
        assert!(at(10, "2026-11-23T00:00:10Z", true).unwrap().is_news(None));
        assert!(!is_news(at(3609, "2026-11-23T01:00:09Z", true)));
        assert!(is_news(at(3610, "2026-11-23T01:00:10Z", true)));
        assert!(is_news(at(20, "2026-11-23T00:00:20.200Z", true)));
        let rebooted = Held { boot: "run-2".into(), ..kept.clone().unwrap() };
        assert!(is_news(Some(rebooted)));
    }
}
