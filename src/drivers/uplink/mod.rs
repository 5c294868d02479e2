//! The link to central: MQTT, on a thread of its own, so that neither a large message nor a slow broker is in a
//! door's way.

pub mod bridge;
pub mod certificates;
mod ended;
pub mod expiry;
pub mod keeper;
mod limits;
pub mod mqtt;
mod picked;
mod poll;
mod session;
pub mod tls;
pub mod transport;
