//! libFuzzer's way into `operator::control_answer`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::operator::control_answer(bytes));
