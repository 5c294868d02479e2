//! What outlasts a restart: the cache in sled, the journal in plain files, and the key that hides UIDs.

pub mod aside;
pub mod ballast;
pub mod barrier;
pub mod cache;
pub mod heap;
pub mod held;
pub mod journal;
pub mod key;
pub mod lock;
pub mod mark;
pub mod whose;
pub mod worker;
