//! Memory that is free is given back to the kernel: after a large cache was read, glibc would keep what that took.
//!
//! One of two places with `unsafe` (a test looks): a call that takes a number and touches nothing that is in use.

/// Gives back what is free, wherever in the heap it lies. Takes milliseconds; for after something large.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim has no safe wrapper; it asks for nothing but free pages")]
    unsafe {
        libc::malloc_trim(0);
    }
}
