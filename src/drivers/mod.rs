//! Everything that touches the world: one folder a port, one file a device, each in the same order (configuration,
//! error, run, tests). A driver knows its own device and the controller's events; no other port.

pub mod backoff;
pub mod clock;
pub mod clock_told;
pub mod door;
pub mod kernel_clock;
pub mod metrics;
pub mod reader;
pub mod seldom;
pub mod store;
pub mod uplink;
