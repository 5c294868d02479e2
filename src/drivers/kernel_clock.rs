//! Whether the kernel says that the wall clock is synchronised: `adjtimex`, which no safe crate reads.
//!
//! The one place with `unsafe` (a test looks): a call that fills a structure of ours and asks for nothing to change.

use crate::wire::metrics::KernelClock;

/// The kernel's own word: neither `TIME_ERROR` nor `STA_UNSYNC`. An answer it refuses to give counts as no.
pub fn synchronised() -> bool {
    let (state, timex) = adjtimex();
    is_synchronised(state, &timex)
}

/// The same with how far off the clock may be, if it answers.
pub fn read() -> Option<KernelClock> {
    let (state, timex) = adjtimex();
    let units_a_second = if timex.status & libc::STA_NANO == 0 { 1e6 } else { 1e9 };
    (state >= 0).then(|| KernelClock {
        synchronised: is_synchronised(state, &timex),
        offset_s: timex.offset as f64 / units_a_second,
        max_error_s: timex.maxerror as f64 / 1e6,
    })
}

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
