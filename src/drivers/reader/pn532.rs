//! A PN532 on a serial line (HSU), such as the common modules behind a USB adapter.
//!
//! ```text
//!   closed ──open──► waking ──SAM, firmware, retries──► looking ──card──► Tap ──► resting ──► releasing ─┐
//!     ▲                │ ▲                               │ ▲  ▲                                          │
//!     │                │ └─── no answer: once more ──────┘ │  └──────────────── every 100 ms ────────────┘
//!     └── back-off ────┴─── still none, line gone ◄────────┘  (while a card lies there)
//! ```
//!
//! It shows no feedback. The chip has pins that could light something (P3, P7), but no common module has a lamp on
//! them, and each change would stop the look for a card: a door that is to answer wants a reader that can.

pub mod chip;
pub mod codec;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::mpsc::Sender,
    task,
    time::{Instant, sleep},
};
use tokio_serial::SerialStream;

use self::chip::{Chip, Fault, Found};
use super::{
    UidOrder,
    line::Line,
    link::{FLAPPING_CAP, Link, STEADY},
    presence::{Presence, Sighting},
};
use crate::{
    control::{Event, Feedback, ReaderEvent},
    domain::{Mono, ReaderId},
    drivers::{backoff::Backoff, clock, seldom::Seldom},
};

/// A card answered this soon after the first look lay there before it; one held up just then is not as quick.
const LAY_THERE: Duration = Duration::from_millis(100);
/// Between looks while something is in the field: several times within [`super::presence::AWAY`], so that a few cards
/// that take turns are not taken for new ones.
const REST: Duration = Duration::from_millis(100);
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Trying to open costs nothing, and a cable put back should serve soon.
const OPEN_RETRY_CAP: Duration = Duration::from_millis(500);
const RETRY_CAP: Duration = Duration::from_millis(2_000);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub reader: ReaderId,
    /// Path of the line; one under `/dev/serial/by-id/` names the adapter whatever order things were plugged in.
    pub port: String,
    /// Bits a second; the chip starts with 115200.
    pub baud: u32,
    pub uid_order: UidOrder,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{port} can't be opened: {source}; is it plugged in, and may latchd use it (group dialout)?")]
    Open { port: String, source: tokio_serial::Error },
    #[error("PN532 on {port}: {source}")]
    Chip { port: String, source: Fault },
    #[error("its driver has failed; report this, with the log")]
    Panicked,
    #[error("the daemon is stopping")]
    Stopping,
}

/// A running reader. Dropping it ends the task.
#[derive(Debug)]
pub struct Handle {
    task: task::JoinHandle<()>,
}

impl Handle {
    /// The bare module has no lamp, which was said at the start.
    pub fn feedback(&self, _: Feedback) {}
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the reader's task in the current runtime.
pub fn spawn(config: Config, events: Sender<Event>) -> Handle {
    tracing::debug!(reader = %config.reader, "a PN532 has no lamp: it shows nothing");
    let line = tokio_serial::new(config.port.as_str(), config.baud);
    // Exclusive by default: a second latchd, or a modem manager, would eat the answers.
    let open = move || SerialStream::open(&line);
    Handle { task: task::spawn(Driver::new(config, events).run(open)) }
}

struct Driver {
    config: Config,
    events: Sender<Event>,
    link: Link,
    /// What the presence counts from.
    started: Instant,
    /// Since when the chip has answered, on the line opened last.
    up_since: Option<Instant>,
    retry: Backoff,
    open_retry: Backoff,
    flapping: Backoff,
    unreadable: Seldom,
    noise: Seldom,
}

impl Driver {
    fn new(config: Config, events: Sender<Event>) -> Self {
        Driver {
            config,
            events,
            link: Link::default(),
            started: clock::instant(),
            up_since: None,
            retry: Backoff::new(RETRY_FIRST, RETRY_CAP),
            flapping: Backoff::new(RETRY_FIRST, FLAPPING_CAP),
            open_retry: Backoff::new(RETRY_FIRST, OPEN_RETRY_CAP),
            unreadable: Seldom::default(),
            noise: Seldom::default(),
        }
    }

    async fn run<L: Line>(mut self, mut open: impl FnMut() -> tokio_serial::Result<L>) {
        loop {
            let error = match open() {
                // What a library panics at must not take the door's reader with it for good.
                Ok(line) => {
                    let session = AssertUnwindSafe(self.session(line)).catch_unwind();
                    session.await.unwrap_or(Error::Panicked)
                }
                Err(source) => Error::Open { port: self.config.port.clone(), source },
            };
            if self.told_of(&error).await.is_err() {
                return;
            }
            let wait = self.wait(&error);
            sleep(wait).await;
        }
    }

    /// Says what is news. Fails when the daemon is stopping.
    async fn told_of(&mut self, error: &Error) -> Result<(), Error> {
        if matches!(error, Error::Stopping) {
            return Err(Error::Stopping);
        }
        if let Some(event) = self.link.lost(|| error.to_string()) {
            self.send(event).await?;
        }
        match error {
            Error::Chip { .. } | Error::Panicked => {
                self.send(ReaderEvent::Restarted { detail: error.to_string() }).await
            }
            // A port that is not there is no chip that fails.
            Error::Open { .. } | Error::Stopping => Ok(()),
        }
    }

    /// How long to wait before the line is opened again.
    fn wait(&mut self, error: &Error) -> Duration {
        match self.up_since.take() {
            Some(since) if clock::instant() - since < STEADY => return self.flapping.wait(),
            Some(_) => self.flapping.reset(),
            None => {}
        }
        match error {
            Error::Open { .. } => self.open_retry.wait(),
            Error::Chip { .. } | Error::Panicked | Error::Stopping => self.retry.wait(),
        }
    }

    /// One opened line, until it fails.
    async fn session<L: Line>(&mut self, line: L) -> Error {
        let mut chip = Chip::over(line);
        let Err(error) = self.serve(&mut chip).await;
        chip.into_port().discard();
        error
    }

    async fn serve<L: Line>(&mut self, chip: &mut Chip<L>) -> Result<Infallible, Error> {
        let mut presence = Presence::default();
        let mut fresh = true;
        loop {
            if fresh {
                self.begin(chip).await?;
            }
            let asked = clock::instant();
            let found = match chip.look().await {
                Ok(found) => found,
                // It may have been reset, and look for ever or not at all: once more from the start tells.
                Err(Fault::Silent(_)) if !fresh => {
                    fresh = true;
                    continue;
                }
                Err(fault) => return Err(self.broken(fault)),
            };
            self.retry.reset();
            let took = clock::instant() - asked;
            let lay_there = std::mem::take(&mut fresh) && took <= LAY_THERE;
            self.act(found, lay_there, &mut presence).await?;
            self.note_noise(chip.take_junk());
            // Also when "nothing" came at once, so that no chip can keep us busy.
            if found != Found::Nothing || took < REST {
                sleep(REST).await;
            }
            // After the rest: somebody stands at the door, and what the chip is to be told can wait for the strike.
            if found != Found::Nothing {
                chip.release().await.map_err(|fault| self.broken(fault))?;
            }
        }
    }

    async fn begin<L: Line>(&mut self, chip: &mut Chip<L>) -> Result<(), Error> {
        let name = chip.begin().await.map_err(|fault| self.broken(fault))?;
        self.open_retry.reset();
        self.up_since.get_or_insert_with(clock::instant);
        let port = &self.config.port;
        match self.link.connected(|| format!("{name} on {port}")) {
            Some(event) => self.send(event).await,
            None => Ok(()),
        }
    }

    fn broken(&self, source: Fault) -> Error {
        Error::Chip { port: self.config.port.clone(), source }
    }

    async fn act(&mut self, found: Found, lay_there: bool, presence: &mut Presence) -> Result<(), Error> {
        let now = Mono(clock::instant() - self.started);
        match found {
            Found::Nothing => Ok(()),
            Found::Card(uid) => {
                let uid = self.config.uid_order.apply(uid);
                if lay_there {
                    presence.lying(now, uid);
                    return Ok(());
                }
                match presence.seen(now, uid) {
                    Sighting::Tap => self.send(ReaderEvent::Tap(uid)).await,
                    Sighting::Lying => Ok(()),
                }
            }
            Found::Unreadable(error) => {
                if presence.seen_nameless(now) == Sighting::Lying || lay_there {
                    return Ok(());
                }
                if let Some(left_out) = self.unreadable.may(now) {
                    tracing::info!(reader = %self.config.reader, %error, left_out, "a card could not be read");
                }
                self.send(ReaderEvent::Unreadable { detail: error.to_string() }).await
            }
        }
    }

    fn note_noise(&mut self, bytes: u64) {
        if bytes > 0
            && let Some(left_out) = self.noise.may(Mono(clock::instant() - self.started))
        {
            tracing::warn!(reader = %self.config.reader, bytes, left_out, "noise on the serial line");
        }
    }

    async fn send(&self, what: ReaderEvent) -> Result<(), Error> {
        let reader = self.config.reader.clone();
        // Fails only when nobody listens any more.
        self.events.send(Event::Reader { reader, what }).await.map_err(|_| Error::Stopping)
    }
}
