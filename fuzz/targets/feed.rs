//! libFuzzer's way into `central::feed`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::central::feed(bytes));
