//! A PN532 reader chip on a serial line (a pty), for a driver that must not know the difference: framing, waking,
//! configuration and waiting for a card as in UM0701-02, with its own codec.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! use hardware_sim::pn532::Pn532;
//! let reader = Pn532::start(Path::new("reader"))?; // the daemon opens ./reader
//! reader.wait_until_listing(Duration::from_secs(5));
//! reader.tap("04A1B2C3D4E5F6".parse()?, Duration::from_millis(300))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chip;
mod frame;
mod line;
mod target;
pub mod verb;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use crate::pty::PtyError;
pub use chip::Seen;
pub use target::{NotTypeA, Target};

use crate::record::Entry;
use crate::time;
use crate::uid::CardUid;
use crate::watched::Watched;
use line::Line;

/// How long one try for a card takes the real chip, roughly.
const TRY_TAKES: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum Pn532Error {
    #[error(transparent)]
    Pty(#[from] PtyError),
    #[error("cannot start the reader's thread")]
    Thread(#[source] io::Error),
}

/// A running reader. It and its path end when dropped.
#[derive(Debug)]
pub struct Pn532 {
    path: PathBuf,
    line: Arc<Watched<Line>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Pn532 {
    /// Plugs the reader in, at `path`.
    pub fn start(path: &Path) -> Result<Self, Pn532Error> {
        Self::start_with(path, TRY_TAKES)
    }

    /// The same, where one of MxRtyPassiveActivation's tries takes `try_takes`.
    pub fn start_with(path: &Path, try_takes: Duration) -> Result<Self, Pn532Error> {
        let line = Arc::new(Watched::new(Line::new(try_takes)));
        line.change(|line| line.plug(time::now(), path))?;
        let (wake, woken) = UnixStream::pair().map_err(Pn532Error::Thread)?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(Pn532Error::Thread)?;
        }
        let driven = Arc::clone(&line);
        let thread = std::thread::Builder::new()
            .name("sim-pn532".into())
            .spawn(move || line::drive(&driven, &woken))
            .map_err(Pn532Error::Thread)?;
        Ok(Self { path: path.into(), line, wake, thread: Some(thread) })
    }

    /// What a configuration names as `port`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lays a card on the reader, in place of one that lies there.
    pub fn put_card(&self, uid: CardUid) -> Result<(), NotTypeA> {
        self.put_target(Target::new(uid)?);
        Ok(())
    }

    /// The same with a card of another make.
    pub fn put_target(&self, card: Target) {
        self.act(|line, now| line.say(now, |chip| chip.put(now, card, None)));
    }

    pub fn remove_card(&self) {
        self.act(|line, now| line.chip.remove(now));
    }

    /// Holds a card to the reader for so long; returns at once.
    pub fn tap(&self, uid: CardUid, hold: Duration) -> Result<(), NotTypeA> {
        let card = Target::new(uid)?;
        self.act(|line, now| line.say(now, |chip| chip.put(now, card, Some(now + hold))));
        Ok(())
    }

    /// Pulls the plug: the path is gone, and an open descriptor hangs up.
    pub fn unplug(&self) {
        self.act(Line::unplug);
    }

    /// Plugs it in again: the same path, another device, a chip fresh from power-up.
    pub fn plug_in(&self) -> Result<(), PtyError> {
        self.act(|line, now| line.plug(now, &self.path))
    }

    /// Bytes on the line that no frame asked for; at most a few kilobytes fit.
    pub fn noise(&self, bytes: &[u8]) {
        self.act(|line, now| line.say(now, |_| bytes.to_vec()));
    }

    /// Sends a byte a millisecond rather than whole frames.
    pub fn split_frames(&self, split: bool) {
        self.act(|line, _| line.split = split);
    }

    /// Spoils the checksum of the next answer; a NACK gets it right.
    pub fn nonsense_once(&self) {
        self.act(|line, _| line.chip.nonsense_once = true);
    }

    /// Deaf and dumb, but plugged in; `false` ends it as it was before.
    pub fn hang(&self, hung: bool) {
        self.act(|line, _| line.chip.hung = hung);
    }

    /// Waits until the host waits for a card.
    #[must_use]
    pub fn wait_until_listing(&self, limit: Duration) -> bool {
        self.line.wait(limit, |line| line.chip.is_listing().then_some(())).is_some()
    }

    /// Waits for this to be seen from line `number` of the record on; the number after it.
    #[must_use]
    pub fn wait_for(&self, number: u64, seen: Seen, limit: Duration) -> Option<u64> {
        self.line.wait(limit, |line| {
            let mut entries = line.chip.record.iter().filter(|entry| entry.number >= number);
            entries.find(|entry| entry.what == seen).map(|entry| entry.number + 1)
        })
    }

    /// Everything from line `number` on, or, if there is nothing yet, what comes within `limit`.
    #[must_use]
    pub fn seen_since(&self, number: u64, limit: Duration) -> Vec<Entry<Seen>> {
        let some =
            |line: &Line| (line.chip.record.next_number() > number).then(|| line.chip.record.since(number));
        self.line.wait(limit, some).unwrap_or_default()
    }

    /// Acts now, and has the thread look at its deadlines again.
    fn act<R>(&self, act: impl FnOnce(&mut Line, Instant) -> R) -> R {
        let result = self.line.change(|line| act(line, time::now()));
        // A full pipe has woken it already.
        let _ = (&self.wake).write(&[0]);
        result
    }
}

impl Drop for Pn532 {
    fn drop(&mut self) {
        self.act(|line, now| {
            line.unplug(now);
            line.ending = true;
        });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
