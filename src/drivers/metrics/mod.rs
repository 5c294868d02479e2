//! The endpoint Prometheus scrapes: HTTP/1.1 by hand over tokio, as far as one page needs it.
//!
//! ```text
//!   door loop ◄─ Ask ── page.rs ◄──── connection.rs ◄── serve.rs ◄── whoever can reach the address
//!       └── Snapshot ─►   │ + measure.rs: files, memory, kernel clock
//! ```
//!
//! A thread and a runtime of its own: doors give a snapshot now and then, and wait for nothing here. A stranger can
//! reach this, so all of it has a limit: connections, bytes, time, and how often the doors are asked.

mod connection;
mod measure;
mod page;
pub mod request;
mod serve;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf};

use tokio::sync::{mpsc::Sender, oneshot};

pub use serve::run;

use crate::wire::metrics::{Measured, Queue};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where stores keep their files, each under its name.
    pub stores: Vec<(&'static str, PathBuf)>,
}

/// Why there is no endpoint now. It is tried again; doors don't need it.
#[derive(Debug, thiserror::Error)]
#[error(
    "metrics can't be served at {listen}: {error}; is it another program's, or not this box's (metrics.listen)?"
)]
pub struct ListenError {
    listen: SocketAddr,
    error: std::io::Error,
}

/// What the door loop shows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub measured: Measured,
    pub queues: Vec<Queue>,
    /// What was let go of because a queue was full, by what it was.
    pub dropped: Vec<(&'static str, u64)>,
}

/// A request for it. One is under way at a time.
pub type Ask = oneshot::Sender<Snapshot>;

/// Where requests go. Closed, the endpoint ends.
pub type Asks = Sender<Ask>;
