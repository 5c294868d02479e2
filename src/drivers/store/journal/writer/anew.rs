//! What becomes of the journal's thread when it panics: it goes on, from what is on disk.
//!
//! Doors need it, so it is no reason to end: what waits is kept, the files are looked at as at a start, and what was written
//! and never said to be is taken as written. An entry that brings it down again and again is given up, so that those
//! behind it are recorded; the chain goes on over it, and the loss is counted as any other.

use std::{any::Any, time::Duration};

use tokio::sync::mpsc::Sender;

use super::{Opened, Receiver, RecvTimeoutError, Writer, report};
use crate::{
    control::{Event, JournalCommand, JournalEvent, Recorded},
    domain::Mono,
    drivers::clock,
};

/// How often an entry may bring the thread down before it is given up.
const TRIES: u32 = 3;
/// How long a second panic in a row makes it wait: what brings it down may pass.
const PAUSE: Duration = Duration::from_secs(1);

/// What the thread was at when it panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Doing {
    #[default]
    Nothing,
    /// So many entries.
    Writing(usize),
    Signing,
}

/// How the thread fares.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub doing: Doing,
    /// The files may not be what they are thought to be.
    pub is_doubtful: bool,
    /// They are another journal now, under which this one can't go on.
    pub is_over: bool,
    /// Signing brought it down: it is done without.
    pub signs_no_more: bool,
    /// Entries up to this one are written one by one.
    alone_through: u64,
    /// The entry that brought it down by itself, and how often.
    suspect: Option<(u64, u32)>,
    /// Entries that were given up, and of which nothing has been said yet.
    pub given_up: u64,
    last_at: Option<Mono>,
}

impl Health {
    /// How many entries may share a write, from this one on.
    pub fn batch(&self, from: u64, most: usize) -> usize {
        if from <= self.alone_through { 1 } else { most }
    }
}

impl Writer {
    /// After a panic. Whether it can go on.
    pub(super) fn begin_anew(
        &mut self,
        why: &(dyn Any + Send),
        commands: &Receiver<JournalCommand>,
        events: &Sender<Event>,
    ) -> bool {
        let doing = std::mem::take(&mut self.health.doing);
        let waiting = self.waiting.len();
        tracing::error!(waiting, ?doing, "the journal's thread panicked; it goes on from what is on disk");
        let detail = format!("it panicked ({}), and goes on from what is on disk", said(why));
        tell(events, Event::Failed { part: "journal", detail });
        self.health.is_doubtful = true;
        let front = self.waiting.front().map_or(0, |entry| entry.seq);
        match doing {
            Doing::Nothing => {}
            Doing::Signing => {
                tracing::error!("the journal is not signed any more, until latchd is started anew");
                self.health.signs_no_more = true;
            }
            Doing::Writing(1) => {
                let tries =
                    self.health.suspect.filter(|(seq, _)| *seq == front).map_or(0, |(_, tries)| tries);
                self.health.suspect = Some((front, tries + 1));
            }
            Doing::Writing(count) => self.health.alone_through = front + count as u64 - 1,
        }
        let is_again = self.health.last_at.is_some_and(|last| clock::mono().since(last) < PAUSE);
        let is_ended = is_again && self.wait(commands);
        self.health.last_at = Some(clock::mono());
        // At a stop it is tried as long as something is to be written.
        !(is_ended && doing == Doing::Nothing)
    }

    /// Takes what comes meanwhile. Whether nothing more can come.
    fn wait(&mut self, commands: &Receiver<JournalCommand>) -> bool {
        let end = clock::mono().plus(PAUSE);
        loop {
            match commands.recv_timeout(end.since(clock::mono())) {
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    /// Looks at the files as at a start, if there is doubt: what is whole of them counts.
    pub(super) fn look_again(&mut self, events: &Sender<Event>) -> std::io::Result<()> {
        if !self.health.is_doubtful {
            return Ok(());
        }
        let found =
            Opened::open(self.files.config.clone(), &self.mark.get()).map_err(std::io::Error::other)?;
        let said = found.torn.clone().unwrap_or_default();
        if found.id != self.files.id {
            tracing::error!(said, journal = found.id, "the journal's files are not those that were written");
            self.health.is_over = true;
            return Err(std::io::Error::other(said));
        }
        if !said.is_empty() {
            tracing::warn!(said, "the journal was looked at again");
        }
        let acknowledged = self.files.acknowledged.min(found.end.seq);
        let before = self.files.end.seq;
        self.files = Opened { acknowledged, segment_bytes: self.files.segment_bytes, ..found };
        self.health.is_doubtful = false;
        let end = self.files.end;
        self.waiting.retain(|entry| entry.seq > end.seq);
        self.late = self.late.split_off(&(end.seq + 1));
        if end.seq > before {
            self.mark.recorded(&self.files.id, end.seq, end.at);
            report(events, JournalEvent::Recorded(Recorded::attest(end.seq)));
        }
        self.give_up();
        Ok(())
    }

    /// Lets go of an entry that brought the thread down too often.
    fn give_up(&mut self) {
        let Some((seq, tries)) = self.health.suspect else { return };
        if tries >= TRIES && self.waiting.front().is_some_and(|entry| entry.seq == seq) {
            self.waiting.pop_front();
            (self.health.suspect, self.health.given_up) = (None, self.health.given_up + 1);
            tracing::error!(
                seq,
                "an event can't be recorded: it brought the journal's thread down each time"
            );
        }
    }
}

fn tell(events: &Sender<Event>, event: Event) {
    if events.blocking_send(event).is_err() {
        tracing::debug!("the journal has nobody to report to");
    }
}

/// What it panicked with, as far as that is words.
fn said(why: &(dyn Any + Send)) -> &str {
    let text = why.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("no reason said")
}
