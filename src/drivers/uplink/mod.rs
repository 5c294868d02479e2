//! The link to central: MQTT, on a thread of its own, so that neither a large message nor a slow broker is in a
//! door's way.

pub mod mqtt;
