//! The only place of the simulator that reads a clock.
//!
//! Devices are models that take the time as a value, so that their tests need not wait; what drives a model in
//! real time asks here.

use std::time::Instant;

/// The monotonic clock: simulated devices know no wall time, as the real ones don't.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a simulated device has a clock of its own, and this is it")]
pub fn now() -> Instant {
    Instant::now()
}
