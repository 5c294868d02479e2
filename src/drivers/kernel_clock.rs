//! Whether the kernel says that the wall clock is synchronised: `adjtimex`, which no safe crate reads.
//!
//! One of two places with `unsafe` (a test looks): a call that fills a structure of ours and asks for nothing to change.

use std::{path::PathBuf, sync::OnceLock};

use super::clock_told;
use crate::wire::metrics::KernelClock;

/// Where the kernel's word is to be read, in a process that may not ask it.
static TOLD: OnceLock<PathBuf> = OnceLock::new();

/// From now on the kernel's word is read from this file, which another process writes ([`clock_told`]).
pub fn hear_from(file: PathBuf) {
    // Said once, at the start; a second file would be a mistake of ours, and the first one counts.
    let _first = TOLD.set(file);
}

/// The kernel's own word: neither `TIME_ERROR` nor `STA_UNSYNC`. An answer it refuses to give counts as no.
pub fn synchronised() -> bool {
    read().is_some_and(|clock| clock.synchronised)
}

/// The same with how far off the clock may be, if there is an answer.
pub fn read() -> Option<KernelClock> {
    match TOLD.get() {
        Some(file) => clock_told::heard(file),
        None => ask(),
    }
}

/// Asks the kernel, whatever was said of a file.
pub fn ask() -> Option<KernelClock> {
    let (state, timex) = adjtimex();
    let units_a_second = if timex.status & libc::STA_NANO == 0 { 1e6 } else { 1e9 };
    (state >= 0).then(|| KernelClock {
        synchronised: is_synchronised(state, &timex),
        offset_s: timex.offset as f64 / units_a_second,
        max_error_s: timex.maxerror as f64 / 1e6,
    })
}

/// A leap second under way (`TIME_INS`, `TIME_DEL`, `TIME_OOP`, `TIME_WAIT`) takes nothing from that.
fn is_synchronised(state: libc::c_int, timex: &libc::timex) -> bool {
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}

fn adjtimex() -> (libc::c_int, libc::timex) {
    // All zeros asks for nothing to be changed (`modes` = 0).
    #[expect(
        unsafe_code,
        reason = "adjtimex has no safe wrapper; zeroed is a valid timex, and it outlives the call"
    )]
    unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(state: libc::c_int, status: libc::c_int) -> bool {
        let (_, timex) = adjtimex();
        is_synchronised(state, &libc::timex { status, ..timex })
    }

    #[test]
    fn a_leap_second_under_way_leaves_the_clock_synchronised() {
        let (ins, del) = (libc::STA_INS | libc::STA_PLL, libc::STA_DEL | libc::STA_PLL);
        assert!(says(libc::TIME_OK, libc::STA_PLL));
        assert!(says(libc::TIME_INS, ins) && says(libc::TIME_OOP, ins) && says(libc::TIME_WAIT, ins));
        assert!(says(libc::TIME_DEL, del) && says(libc::TIME_WAIT, del));
    }

    #[test]
    fn a_kernel_that_says_no_or_says_nothing_is_not_synchronised() {
        assert!(!says(libc::TIME_ERROR, libc::STA_PLL));
        assert!(!says(libc::TIME_OK, libc::STA_UNSYNC));
        assert!(!says(libc::TIME_INS, libc::STA_INS | libc::STA_UNSYNC));
        assert!(!says(-1, 0));
    }
}
