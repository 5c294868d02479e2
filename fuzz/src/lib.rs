//! Hostile input: what each parser that faces a wire, a person or a disk holds to, whatever comes.
//!
//! Each target is a function of bytes that panics where something does not hold. Two things call them:
//!
//! ```text
//!   ./dev fuzz TARGET SECONDS    libFuzzer, guided by coverage, with AddressSanitizer (targets/)
//!   ./dev test                   the kept inputs (seeds/), and random changes of them (tests/kept.rs)
//! ```
//!
//! "No panic" is the least a target asks. Where there is more it asks it: what is printed is read back the same, what
//! verifies was signed, what comes in pieces is what comes at once, and what a channel lets through was said in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target fails by panicking where it stands"
)]

pub mod boards;
pub mod central;
pub mod channel;
pub mod disk;
pub mod operator;
pub mod readers;
pub mod records;
pub mod script;

/// A parser under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Random changes of its kept inputs that every run of the tests makes.
    pub mutations: u32,
}

const fn target(name: &'static str, run: fn(&[u8]), mutations: u32) -> Target {
    Target { name, run, mutations }
}

/// All of them. Each has a folder in seeds/ and a file in targets/.
pub const TARGETS: [Target; 18] = [
    target("feed", central::feed, 3000),
    target("ack", central::ack, 3000),
    target("jws", central::jws, 1500),
    target("command", central::command, 3000),
    target("pn532_frames", readers::pn532_frames, 5000),
    target("pn532_chip", readers::pn532_chip, 2000),
    target("pcsc_answers", readers::pcsc_answers, 5000),
    target("osdp_frames", readers::osdp_frames, 5000),
    target("osdp_cards", readers::osdp_cards, 5000),
    target("osdp_channel", channel::osdp_channel, 1500),
    target("modbus_tcp", boards::modbus_tcp, 3000),
    target("modbus_rtu", boards::modbus_rtu, 3000),
    target("control_request", operator::control_request, 5000),
    target("control_answer", operator::control_answer, 3000),
    target("configuration", operator::configuration, 1500),
    target("metrics_head", operator::metrics_head, 5000),
    target("journal", disk::journal, 300),
    target("cache_records", disk::cache_records, 5000),
];
