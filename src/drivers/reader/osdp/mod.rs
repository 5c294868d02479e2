//! OSDP 2.2 readers on an RS-485 line: the control panel's end.
//!
//! ```text
//!            ┌────────────── line: one port, one task ───────────────┐
//!   tty ◄──► │ exchange: a command, its answer within 200 ms         │ ──► Tap, Connected, Lost, Tamper
//!            │    ▲                                                  │
//!            │ turn: whoever is due ── peripheral 1: away │ live     │ ◄── feedback: light and sound
//!            │                         peripheral 2: away │ live     │
//!            └───────────────────────────────────────────────────────┘
//! ```
//!
//! Readers with different addresses share a port. Each is asked every 50 ms, one exchange at a time; one that does not
//! answer is tried seldom, so that it does not slow the others. A reader with a key is spoken to in the secure channel
//! only, from its identity to its cards: nothing it says in clear text is ever taken for a card.

mod exchange;
mod identity;
pub mod key_file;
mod line;
mod peripheral;
mod signals;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use tokio::{
    sync::mpsc::{Sender, channel},
    task,
};
use tokio_serial::SerialStream;

use self::{exchange::Fault, key_file::KeyFileError, line::Driver};
use super::UidOrder;
use crate::{
    control::{Event, Feedback},
    domain::ReaderId,
    wire::osdp::Refusal,
};

/// Bits a second that the standard knows (§5.1).
pub const BAUDS: [u32; 6] = [9_600, 19_200, 38_400, 57_600, 115_200, 230_400];
/// 127 is for all at once, and nobody's.
pub const LAST_ADDRESS: u8 = 126;
/// Feedback that may wait for a line. More is thrown away: a light that comes late tells nobody anything.
const FEEDBACK: usize = 64;

/// One port and who is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Path of the line; one under `/dev/serial/by-id/` names the adapter whatever order things were plugged in.
    pub port: String,
    pub baud: u32,
    /// Each with an address of its own.
    pub peripherals: Vec<Peripheral>,
}

/// One reader on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peripheral {
    pub reader: ReaderId,
    /// 0 to [`LAST_ADDRESS`].
    pub address: u8,
    /// Its own key. Without one it is spoken to in clear text.
    pub key_file: Option<PathBuf>,
    pub uid_order: UidOrder,
}

/// Why a whole line is no use at the moment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{port} can't be opened: {source}; is it plugged in, and may latchd use it (group dialout)?")]
    Open { port: String, source: tokio_serial::Error },
    #[error("OSDP on {port}: {source}")]
    Line { port: String, source: Fault },
    #[error("its driver has failed; report this, with the log")]
    Panicked,
}

/// What is wrong with one address, while the line is well.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(
        "no answer in time; is it powered, wired (A to A, B to B), at {0} baud, and set to this address?"
    )]
    Silent(u32),
    #[error("it says nothing but that it is busy")]
    Busy,
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("it refuses {0}")]
    Nak(&'static str),
    #[error("its answer to {0} makes no sense")]
    Nonsense(&'static str),
    #[error("{0}")]
    Key(#[from] KeyFileError),
    #[error("no randomness for the handshake yet: {0}")]
    Chance(getrandom::Error),
}

/// A running reader. With the last one of a line, the line's task ends.
#[derive(Debug)]
pub struct Handle {
    reader: ReaderId,
    /// Which of the line's readers it is.
    number: usize,
    feedback: Sender<(usize, Feedback)>,
    _line: Arc<Running>,
}

#[derive(Debug)]
struct Running(task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Handle {
    /// Shown as soon as the line is free; not at all by a reader that is lost.
    pub fn feedback(&self, feedback: Feedback) {
        if self.feedback.try_send((self.number, feedback)).is_err() {
            tracing::debug!(reader = %self.reader, ?feedback, "the line has no time for more feedback");
        }
    }
}

/// Starts the line's task in the current runtime. One handle for each reader, in their order.
pub fn spawn(config: Config, events: Sender<Event>) -> Vec<Handle> {
    let line = tokio_serial::new(config.port.as_str(), config.baud);
    // Exclusive by default: a second latchd, or a modem manager, would eat the answers.
    spawn_over(config, events, move || SerialStream::open(&line))
}

fn spawn_over<L: super::line::Line + 'static>(
    config: Config,
    events: Sender<Event>,
    open: impl FnMut() -> tokio_serial::Result<L> + Send + 'static,
) -> Vec<Handle> {
    let (feedback, shown) = channel(FEEDBACK);
    let readers: Vec<ReaderId> = config.peripherals.iter().map(|p| p.reader.clone()).collect();
    let running = Arc::new(Running(task::spawn(Driver::new(config, events).run(open, shown))));
    let handle =
        |(number, reader)| Handle { reader, number, feedback: feedback.clone(), _line: Arc::clone(&running) };
    readers.into_iter().enumerate().map(handle).collect()
}
