//! The kernel's word on its clock by way of a file: one process asks and writes it down, another, which may not ask,
//! reads it.
//!
//! The call that says whether the clock is synchronised is the one that sets it (`adjtimex`). A daemon whose sandbox
//! keeps it from every call of that kind hears of it here, from `latchd clock` (`systemd/latchd-clock.service`). What
//! is older than a few seconds counts as no word at all.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{clock, kernel_clock};
use crate::{domain::Mono, wire::metrics::KernelClock};

/// How often it is written down.
pub const EVERY: Duration = Duration::from_secs(1);
/// So often may the writer miss its time before nothing it said counts any more.
const OLD_AFTER: Duration = Duration::from_secs(5);

/// What is in the file. JSON, so that a person can look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Told {
    /// When the kernel was asked, on the clock that counts from the machine's start.
    asked_at_ms: u64,
    synchronised: bool,
    offset_s: f64,
    max_error_s: f64,
}

/// Asks the kernel and writes down what it says, so that a reader sees all of it or what was there before.
///
/// # Errors
/// The kernel does not answer, or the file can't be written.
pub fn tell(file: &Path) -> io::Result<()> {
    let asked_at_ms = millis(clock::mono());
    let KernelClock { synchronised, offset_s, max_error_s } =
        kernel_clock::ask().ok_or_else(|| io::Error::other("the kernel does not say how its clock is"))?;
    let told = Told { asked_at_ms, synchronised, offset_s, max_error_s };
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    fs::write(&beside, serde_json::to_vec(&told)?)?;
    fs::rename(&beside, file)
}

/// What was last told, if that was a moment ago.
pub fn heard(file: &Path) -> Option<KernelClock> {
    fresh(&fs::read(file).ok()?, clock::mono())
}

fn fresh(text: &[u8], now: Mono) -> Option<KernelClock> {
    let Told { asked_at_ms, synchronised, offset_s, max_error_s } = serde_json::from_slice(text).ok()?;
    // Asked later than now was asked before the machine's last start.
    let age_ms = millis(now).checked_sub(asked_at_ms)?;
    (u128::from(age_ms) < OLD_AFTER.as_millis()).then_some(KernelClock {
        synchronised,
        offset_s,
        max_error_s,
    })
}

fn millis(at: Mono) -> u64 {
    u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    #[test]
    fn what_the_kernel_says_is_heard_as_it_says_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        assert_eq!(heard(&file), None);
        tell(&file).unwrap();
        let heard = heard(&file).expect("it was told a moment ago");
        assert_eq!(Some(heard.synchronised), kernel_clock::ask().map(|own| own.synchronised));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn an_old_word_and_one_of_before_the_machines_start_are_none() {
        let text = br#"{"asked_at_ms":10000,"synchronised":true,"offset_s":0.001,"max_error_s":0.5}"#;
        let said = KernelClock { synchronised: true, offset_s: 0.001, max_error_s: 0.5 };
        assert_eq!(fresh(text, at(10_000)), Some(said));
        assert_eq!(fresh(text, at(14_999)), Some(said));
        assert_eq!(fresh(text, at(15_000)), None);
        assert_eq!(fresh(text, at(9_999)), None);
    }

    #[test]
    fn what_is_no_word_of_it_is_none() {
        let whole = br#"{"asked_at_ms":10000,"synchronised":true,"offset_s":0.001,"max_error_s":0.5}"#;
        for text in [&b""[..], b"{}", b"synchronised", b"\xff\xfe", &whole[..40]] {
            assert_eq!(fresh(text, at(10_000)), None);
        }
    }

    #[test]
    fn a_file_that_can_not_be_written_is_said() {
        assert!(tell(Path::new("/proc/nobody/told")).is_err());
    }
}
