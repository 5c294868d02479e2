//! libFuzzer's way into `readers::osdp_cards`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::readers::osdp_cards(bytes));
