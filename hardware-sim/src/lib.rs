//! The simulated site: everything a controller is wired to, so that everything runs on a desk.
//!
//! It shares no code with the daemon: its codecs are its own, so that a mistake made twice is seen.

pub mod broker;
pub mod central;
pub mod time;
pub mod wait;
