//! Bytes to values and back: what comes over MQTT, the control socket and a line of readers, and what lies on disk.
//! No I/O.

pub mod canonical;
pub mod checkpoint;
pub mod command;
pub mod control;
pub mod desk;
pub mod feed;
pub mod fields;
pub mod inbox;
pub mod journal;
pub mod jws;
pub mod metrics;
pub mod osdp;
pub mod outgoing;
pub mod record;
pub mod stored;
pub mod uid_hash;

pub use canonical::Digest;
pub use inbox::Inbox;
pub use uid_hash::UidHasher;
