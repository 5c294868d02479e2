//! libFuzzer's way into `boards::modbus_rtu`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls it through C")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchd_fuzz::boards::modbus_rtu(bytes));
