//! The simulated site: everything a controller is wired to, so that everything runs on a desk.
//!
//! It shares no code with the daemon: its codecs are its own, so that a mistake made twice is seen.

pub mod board;
pub mod broker;
pub mod card;
pub mod central;
pub mod demo;
pub mod disk;
pub mod fleet;
pub mod jws;
pub mod naive;
pub mod orders;
pub mod osdp;
pub mod pcscd;
pub mod pn532;
pub mod pty;
pub mod reader;
pub mod record;
pub mod time;
pub mod uid;
pub mod until_told;
pub mod wait;
pub mod watched;
pub mod world;
