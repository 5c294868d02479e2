//! libFuzzer's way into `readers::pcsc_answers`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::readers::pcsc_answers(bytes));
