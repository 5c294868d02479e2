//! Whether the kernel says that the wall clock is synchronised: `adjtimex`, which no safe crate reads.
//!
//! The one place with `unsafe` (a test looks): a call that fills a structure of ours and asks for nothing to change.

/// The kernel's own word: neither `TIME_ERROR` nor `STA_UNSYNC`. An answer it refuses to give counts as no.
pub fn synchronised() -> bool {
    // All zeros asks for nothing to be changed (`modes` = 0).
    #[expect(
        unsafe_code,
        reason = "adjtimex has no safe wrapper; zeroed is a valid timex, and it outlives the call"
    )]
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex)
    };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}
