//! The journal in folders of its own: the chain over restarts, damage, retention, and a disk that fails.
//!
//! This file holds the short forms; what the files do, what the thread does and what readers see have a file each.

mod chain;
mod damage;
mod panics;
mod readers;
mod retention;
mod signed;
mod thread;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{
    Config, Journal, JournalError, Opened, checkpoints::Signing, files::segment_path, reader::Reader,
    writer::Writer,
};
use crate::{
    control::{Event, JournalCommand, JournalEvent},
    domain::{At, ControllerId, DoorId, Entry, EntryKind, entry::ClockNote},
    drivers::store::mark::MarkFile,
};

/// A state directory that goes away, and how its journal is set up.
struct Site {
    dir: TempDir,
    max_events: u64,
    keep: Duration,
    segment_bytes: u64,
}

/// Three events of a test fill it.
const SMALL_SEGMENT: u64 = 600;

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keep = Duration::from_secs(90 * 86_400);
        Site { dir, max_events: 5_000_000, keep, segment_bytes: super::SEGMENT_BYTES }
    }

    fn try_open(&self) -> Result<Opened, JournalError> {
        let state_dir = self.dir.path().to_owned();
        let config = Config { state_dir, controller: own(), keep: self.keep, max_events: self.max_events };
        let opened = Opened::open(config, &self.mark().get());
        opened.map(|opened| Opened { segment_bytes: self.segment_bytes, ..opened })
    }

    fn mark(&self) -> MarkFile {
        MarkFile::open(self.dir.path(), &own()).unwrap().0
    }

    fn open(&self) -> Opened {
        self.try_open().unwrap()
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    fn segment(&self, first: u64) -> PathBuf {
        segment_path(&self.journal(), first)
    }

    fn reader(&self) -> Reader {
        Reader::of_state(self.dir.path())
    }

    /// Runs the journal's thread on commands that all wait already, and returns what it reports.
    fn run(&self, commands: Vec<JournalCommand>) -> Vec<JournalEvent> {
        let mark = Arc::new(self.mark());
        let reported = run(self.open(), mark.clone(), commands);
        mark.save().unwrap();
        reported
    }

    /// Appends events with these numbers, each in a write of its own.
    fn append(&self, seqs: impl IntoIterator<Item = u64>) {
        seqs.into_iter().for_each(|seq| _ = self.run(vec![append(seq)]));
    }

    /// Names of what is in the folder, but for signatures.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.journal()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "checkpoints");
        names.sort();
        names
    }

    /// First numbers of the segments.
    fn segments(&self) -> Vec<u64> {
        super::files::segments(&self.journal()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let mut reader = self.reader();
        reader.read(0, u64::MAX, usize::MAX, usize::MAX).iter().map(|l| l.value().unwrap()).collect()
    }
}

fn own() -> ControllerId {
    ControllerId::new("oslo-1").unwrap()
}

fn run(opened: Opened, mark: Arc<MarkFile>, commands: Vec<JournalCommand>) -> Vec<JournalEvent> {
    let (sender, waiting) = sync_channel(commands.len());
    commands.into_iter().for_each(|c| sender.try_send(c).unwrap());
    drop(sender);
    let (events, mut reported) = channel(1000);
    let signing = Signing::new(&opened, &[7; 32]);
    Writer::new(opened, mark, signing).run(&waiting, &events);
    drop(events);
    let reported = std::iter::from_fn(|| reported.blocking_recv()).map(journal_event);
    // That it was signed is looked at by tests of its own.
    reported.filter(|event| !matches!(event, JournalEvent::Checkpoint(_))).collect()
}

fn journal_event(event: Event) -> JournalEvent {
    let Event::Journal(event) = event else { panic!("{event:?} is not the journal's") };
    event
}

/// The last number each report attests; 0 for a failure.
fn attested(events: &[JournalEvent]) -> Vec<u64> {
    let through = |event: &JournalEvent| match event {
        JournalEvent::Recorded(recorded) => recorded.seq(),
        JournalEvent::Failed { .. } | JournalEvent::Lost { .. } | JournalEvent::Checkpoint(_) => 0,
    };
    events.iter().map(through).collect()
}

/// An hour later for each number.
fn entry(seq: u64) -> Entry {
    let at = At::parse("2026-11-01T00:00:00Z").unwrap().plus_s(seq as i64 * 3600);
    Entry { seq, at, clock: None, kind: EntryKind::DoorOpened { door: DoorId::new("entrance").unwrap() } }
}

fn append(seq: u64) -> JournalCommand {
    JournalCommand::Append(entry(seq))
}

/// An entry of a clock that was not to be believed.
fn untrusted(seq: u64, at: &str) -> JournalCommand {
    let (at, clock) = (At::parse(at).unwrap(), Some(ClockNote::Untrusted));
    JournalCommand::Append(Entry { at, clock, ..entry(seq) })
}

fn appends(seqs: impl IntoIterator<Item = u64>) -> Vec<JournalCommand> {
    seqs.into_iter().map(append).collect()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Edits the lines of a segment.
fn edit_lines(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    edit(path, |bytes| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        *bytes = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
    });
}
