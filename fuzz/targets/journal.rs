//! libFuzzer's way into `disk::journal`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::disk::journal(bytes));
