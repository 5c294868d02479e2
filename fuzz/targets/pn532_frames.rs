//! libFuzzer's way into `readers::pn532_frames`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::readers::pn532_frames(bytes));
