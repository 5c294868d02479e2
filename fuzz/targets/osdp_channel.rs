//! libFuzzer's way into `channel::osdp_channel`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::channel::osdp_channel(bytes));
