//! The daemon: configuration, start, the one loop, the control socket. Wiring, no rules.

pub mod arguments;
mod changes;
mod check;
pub mod clock;
pub mod config;
pub mod logging;
mod metrics;
mod reload;
mod serve;
mod site;
pub mod socket;
mod start;
mod stores;
mod systemd;
mod uplink;
mod watch;
mod wiring;

pub use check::{Findings, check};
pub use start::{StartError, run};
