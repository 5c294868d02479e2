//! The journal's thread: batches, one sync each, late marks, retention.

mod anew;

use std::{
    collections::{BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::mpsc::Sender;

use self::anew::{Doing, Health};
use super::{
    checkpoints::Signing,
    files::{End, Opened, latest_time, segment_path},
};
use crate::{
    control::{Event, JournalCommand, JournalEvent, Recorded},
    domain::{Entry, entry::ClockNote},
    drivers::{clock, store::mark::MarkFile},
    wire::journal::link,
};

/// Most entries in one write and sync.
const BATCH: usize = 512;
/// How long after a failed write the next try comes, and how long it is quiet before acknowledgements are noted.
const RETRY: Duration = Duration::from_secs(1);
/// How many events central may have acknowledged before that is noted in the middle of work.
const SAVE_EVERY: u64 = 1000;
/// Entries kept in memory while the disk fails; past it the newest are dropped, which is recorded; the chain goes on over the gap.
const KEPT: usize = 100_000;

pub(super) struct Writer {
    files: Opened,
    waiting: VecDeque<Entry>,
    late: BTreeSet<u64>,
    failed: bool,
    acknowledged_saved: u64,
    is_unsaved_said: bool,
    /// Events that went before central had them, and of which nothing has been said yet.
    overwritten: u64,
    mark: Arc<MarkFile>,
    signing: Signing,
    /// Somebody wants a signature now.
    is_asked_to_sign: bool,
    health: Health,
    /// For tests of what becomes of it when it panics: called in front of each write, and behind it.
    #[cfg(test)]
    pub(super) trap: Option<Trap>,
}

/// What is called with the first and last number of a write, and whether it has been done.
#[cfg(test)]
pub(super) type Trap = Box<dyn FnMut(u64, u64, bool) + Send>;

impl Writer {
    pub(super) fn new(files: Opened, mark: Arc<MarkFile>, signing: Signing) -> Self {
        if files.end.seq > 0 {
            mark.recorded(&files.id, files.end.seq, files.end.at);
        }
        let acknowledged_saved = files.acknowledged;
        Writer {
            files,
            waiting: VecDeque::new(),
            late: BTreeSet::new(),
            failed: false,
            acknowledged_saved,
            is_unsaved_said: false,
            overwritten: 0,
            mark,
            signing,
            is_asked_to_sign: false,
            health: Health::default(),
            #[cfg(test)]
            trap: None,
        }
    }

    /// Until nothing more can come, or the files are another journal's.
    pub(super) fn run(mut self, commands: &Receiver<JournalCommand>, events: &Sender<Event>) {
        while let Err(why) = catch_unwind(AssertUnwindSafe(|| self.work(commands, events))) {
            if !self.begin_anew(&*why, commands, events) {
                return;
            }
        }
    }

    fn work(&mut self, commands: &Receiver<JournalCommand>, events: &Sender<Event>) {
        loop {
            let received = match self.patience() {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => commands.recv_timeout(wait),
            };
            let is_quiet = received.is_err();
            let ended = match received {
                Ok(command) => {
                    self.take(command);
                    self.drain(commands);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            while !self.waiting.is_empty() {
                let before = self.waiting.len();
                self.write_batch(commands, events);
                if self.waiting.len() >= before {
                    break;
                }
            }
            // Between taps, not behind each: that is three calls of the file system a tap.
            let behind = self.files.acknowledged.saturating_sub(self.acknowledged_saved);
            if is_quiet || behind >= SAVE_EVERY {
                self.save_acknowledged();
            }
            self.sign(ended, events);
            if ended || self.health.is_over {
                return;
            }
        }
    }

    /// How long there is nothing to do of itself.
    fn patience(&self) -> Option<Duration> {
        if !self.waiting.is_empty() || self.is_unsaved() {
            return Some(RETRY);
        }
        if self.health.signs_no_more {
            return None;
        }
        // Between taps, not behind one: a signature takes some time, too.
        self.signing.due(&self.files.end).map(|due| due.since(clock::mono()).max(RETRY))
    }

    /// Signs the end, when that is due; at a stop there is no later.
    fn sign(&mut self, ended: bool, events: &Sender<Event>) {
        if self.health.signs_no_more {
            return;
        }
        self.health.doing = Doing::Signing;
        let is_due = self.signing.due(&self.files.end).is_some_and(|due| due <= clock::mono() || ended);
        let is_asked = std::mem::take(&mut self.is_asked_to_sign);
        if (is_due && self.waiting.is_empty()) || is_asked {
            let made = self.signing.sign(&self.files.id, &self.files.end);
            made.into_iter().for_each(|made| report(events, JournalEvent::Checkpoint(made)));
        }
        self.health.doing = Doing::Nothing;
    }

    fn drain(&mut self, commands: &Receiver<JournalCommand>) {
        for command in commands.try_iter().take(BATCH) {
            self.take(command);
        }
    }

    fn take(&mut self, command: JournalCommand) {
        match command {
            JournalCommand::Append(entry) if self.waiting.len() < KEPT => self.waiting.push_back(entry),
            JournalCommand::Append(entry) => {
                tracing::error!(seq = entry.seq, "an event was dropped: the disk fails")
            }
            // One that is on disk by now was not late by much, and is not written again.
            JournalCommand::MarkLate { seq } if seq <= self.files.end.seq => {}
            JournalCommand::MarkLate { seq } => _ = self.late.insert(seq),
            JournalCommand::Forked { after } => self.mark.forked(&self.files.id, after),
            JournalCommand::Keep { keep, max_events } => {
                (self.files.config.keep, self.files.config.max_events) = (keep, max_events);
            }
            JournalCommand::Sign => self.is_asked_to_sign = true,
            JournalCommand::Acknowledged { through } => {
                self.files.acknowledged = self.files.acknowledged.max(through.min(self.files.end.seq));
            }
        }
    }

    /// Writes what is waiting, up to a batch; on failure it all stays waiting.
    fn write_batch(&mut self, commands: &Receiver<JournalCommand>, events: &Sender<Event>) {
        if let Err(error) = self.look_again(events) {
            return self.could_not_write(&error, events);
        }
        let (missing, count) = self.next_run();
        if count == 0 {
            return;
        }
        self.health.doing = Doing::Writing(count);
        let mut written = self.try_write(missing, count, commands);
        while written.as_ref().is_err_and(is_full) && self.make_room() {
            written = self.try_write(missing, count, commands);
        }
        self.health.doing = Doing::Nothing;
        match written {
            Ok(end) => {
                self.files.end = end;
                self.mark.recorded(&self.files.id, end.seq, end.at);
                self.waiting.drain(..count);
                self.late = self.late.split_off(&(end.seq + 1));
                if std::mem::take(&mut self.failed) {
                    tracing::info!("the journal can be written again");
                }
                report(events, JournalEvent::Recorded(Recorded::attest(end.seq)));
                self.say_lost(missing, end.seq + 1 - count as u64, events);
            }
            Err(error) => self.could_not_write(&error, events),
        }
    }

    fn could_not_write(&mut self, error: &std::io::Error, events: &Sender<Event>) {
        if !std::mem::replace(&mut self.failed, true) {
            tracing::error!(%error, "the journal can't be written; events are kept in memory");
        }
        report(events, JournalEvent::Failed { detail: error.to_string() });
    }

    /// Events that were dropped before the first of a batch, or that went before central had them.
    fn say_lost(&mut self, missing: u64, first: u64, events: &Sender<Event>) {
        if missing > 0 {
            let why = match std::mem::take(&mut self.health.given_up) {
                0 => "the disk failed for too long",
                _ => "they brought the journal's thread down, or the disk failed for too long",
            };
            let detail = format!("{why}: those before event {first} were never written");
            report(events, JournalEvent::Lost { count: missing, detail });
        }
        let count = std::mem::take(&mut self.overwritten);
        if count > 0 {
            let detail =
                "the oldest events went before central had them: journal.max_events is reached".into();
            report(events, JournalEvent::Lost { count, detail });
        }
    }

    /// What is written next: how many events are missing before it, and how many follow each other.
    fn next_run(&self) -> (u64, usize) {
        let Some(first) = self.waiting.front().map(|entry| entry.seq) else { return (0, 0) };
        let numbered = self.waiting.iter().take(self.health.batch(first, BATCH)).zip(first..);
        let count = numbered.take_while(|(entry, seq)| entry.seq == *seq).count();
        (first.saturating_sub(self.files.end.seq + 1), count)
    }

    /// On a full disk the oldest segment goes, if central has all of it.
    fn make_room(&mut self) -> bool {
        let [oldest, next, ..] = self.files.segments.as_slice() else { return false };
        let (oldest, is_stored) = (*oldest, next.saturating_sub(1) <= self.files.acknowledged);
        is_stored && self.remove(oldest)
    }

    /// Removes the oldest segment.
    fn remove(&mut self, oldest: u64) -> bool {
        let path = segment_path(&self.files.dir, oldest);
        match std::fs::remove_file(&path) {
            Ok(()) => tracing::info!(first = oldest, "an old journal segment was removed"),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "can't remove an old segment");
                return false;
            }
        }
        self.files.segments.retain(|first| *first != oldest);
        true
    }

    /// `missing`: so many before these were dropped. A segment's lines are numbered by their places, so that takes a
    /// new one.
    fn try_write(
        &mut self,
        missing: u64,
        count: usize,
        commands: &Receiver<JournalCommand>,
    ) -> std::io::Result<End> {
        self.files.open_for_writing()?;
        let is_begun = self.files.segments.last() == self.waiting.front().map(|entry| &entry.seq);
        let must_begin = missing > 0 && !is_begun;
        if self.files.file.is_none() || self.files.len >= self.files.segment_bytes || must_begin {
            self.roll()?;
        }
        let (lines, end) = self.linked(count);
        self.spring(&end, count, false);
        self.files.write(lines.as_bytes())?;
        self.spring(&end, count, true);
        // A door of this batch may have been released while the disk was busy: then its entry says so.
        self.drain(commands);
        let is_late = |e: &Entry| self.late.contains(&e.seq);
        if !self.waiting.iter().take(count).any(|e| is_late(e) && !said_late(&lines, e)) {
            return Ok(end);
        }
        let (again, end) = self.linked(count);
        self.files.take_back(lines.len() as u64)?;
        self.files.write(again.as_bytes())?;
        Ok(end)
    }

    #[cfg(test)]
    fn spring(&mut self, end: &End, count: usize, is_written: bool) {
        if let Some(trap) = &mut self.trap {
            trap(end.seq + 1 - count as u64, end.seq, is_written);
        }
    }

    #[cfg(not(test))]
    fn spring(&self, _: &End, _: usize, _: bool) {}

    /// The first `count` waiting entries, chained to what is on disk.
    fn linked(&self, count: usize) -> (String, End) {
        let (mut lines, mut end) = (String::new(), self.files.end);
        for entry in self.waiting.iter().take(count) {
            let linked = link(entry, self.late.contains(&entry.seq), end.hash);
            lines.push_str(&linked.line);
            lines.push('\n');
            let trusted = Some(entry.at).filter(|_| entry.clock != Some(ClockNote::Untrusted));
            end = End { seq: entry.seq, hash: linked.hash, at: end.at.max(trusted) };
        }
        (lines, end)
    }

    /// Begins a new segment, and lets the oldest go where they may.
    fn roll(&mut self) -> std::io::Result<()> {
        let Some(first) = self.waiting.front().map(|e| e.seq) else { return Ok(()) };
        self.files.begin_segment(first)?;
        while let Some((oldest, unstored)) = self.oldest_to_go() {
            if !self.remove(oldest) {
                break;
            }
            self.overwritten += unstored;
        }
        Ok(())
    }

    /// The oldest segment, if it is one too many, or too old and central has all of it; and how many events of it
    /// central has not stored. Where there are too many, those it has go first because they are the oldest.
    fn oldest_to_go(&self) -> Option<(u64, u64)> {
        let [oldest, next, _, ..] = self.files.segments.as_slice() else { return None };
        let last = next.saturating_sub(1);
        let unstored = last.saturating_sub(self.files.acknowledged.max(oldest.saturating_sub(1)));
        let too_many = self.files.end.seq.saturating_sub(last) >= self.files.config.max_events;
        (too_many || (unstored == 0 && self.oldest_is_too_old())).then_some((*oldest, unstored))
    }

    /// By times of a trusted clock alone: one that ran ahead, or began in 1970, must not make events go.
    fn oldest_is_too_old(&self) -> bool {
        let Some(&oldest) = self.files.segments.first() else { return false };
        let bytes = std::fs::read(segment_path(&self.files.dir, oldest)).unwrap_or_default();
        match (latest_time(&bytes), self.files.end.at) {
            (Some(then), Some(now)) => now.since(then) > self.files.config.keep,
            _ => false,
        }
    }

    fn is_unsaved(&self) -> bool {
        self.files.acknowledged != self.acknowledged_saved
    }

    fn save_acknowledged(&mut self) {
        if !self.is_unsaved() {
            return;
        }
        match self.files.save_acknowledged() {
            Ok(()) => (self.acknowledged_saved, self.is_unsaved_said) = (self.files.acknowledged, false),
            // Once, not each second for as long as the disk fails.
            Err(error) => {
                if !std::mem::replace(&mut self.is_unsaved_said, true) {
                    tracing::warn!(%error, "can't note how far central has acknowledged; tried again each second");
                }
            }
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn said_late(lines: &str, entry: &Entry) -> bool {
    let seq = format!("\"seq\":{},", entry.seq);
    lines.lines().any(|l| l.contains(&seq) && l.contains("\"late\":true"))
}

/// The controller is there as long as the daemon is; without it nobody waits for an answer.
fn report(events: &Sender<Event>, what: JournalEvent) {
    if events.blocking_send(Event::Journal(what)).is_err() {
        tracing::debug!("the journal has nobody to report to");
    }
}
