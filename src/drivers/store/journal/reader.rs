//! Reads the journal's files: for the outbox, for `latchctl`, for checking.
//!
//! A line's number is the segment's first `seq` plus its place, because the chain has no gaps; so an event is found
//! without reading what is before its segment. A reader remembers where it stopped, as a place in the file and nothing
//! of what stood behind it: lines that are not durable yet may be taken back and written otherwise.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    checkpoints,
    files::{segment_path, segments},
};
use crate::{
    domain::{At, ControllerId},
    wire::{
        Digest,
        checkpoint::{Checkpoint, CheckpointError},
        journal::{ChainError, Checked, check},
    },
};

/// An event as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub seq: u64,
    pub text: String,
}

impl Line {
    pub fn value(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }

    pub fn at(&self) -> Option<At> {
        At::parse(self.value()?.get("at")?.as_str()?).ok()
    }
}

/// What checking the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    pub events: u64,
    pub first: Option<u64>,
    pub last: Option<Checked>,
    /// Events that were never written; the chain goes on over them.
    pub lost: u64,
    /// Signatures that the chain was found to agree with.
    pub signed: u64,
    /// Signatures that were given, under events that are no longer kept or never were.
    pub not_kept: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("event {seq} in {}, line {line}, is wrong: {error}", path.display())]
    Chain { seq: u64, path: PathBuf, line: u64, error: ChainError },
    #[error("can't read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{} events are missing: the segment after event {after} begins with {found}", found.saturating_sub(after + 1))]
    Missing { after: u64, found: u64 },
    #[error("the journal ends at event {found}, {expected} had been recorded: the end was cut off")]
    Short { found: u64, expected: u64 },
    #[error(
        "event {} is not the one that was signed at {}: the journal was written anew, from some event before it on",
        .0.seq, .0.at
    )]
    Rewritten(Box<Checkpoint>),
    #[error(
        "event {} was signed at {} in journal {}, and is not the one that stands here: journal {own} took its place, which is right only where store.recovered says so",
        .signed.seq, .signed.at, .signed.journal
    )]
    OtherJournal { signed: Box<Checkpoint>, own: String },
    #[error(
        "event {} was signed at {}, and the journal ends at event {end}: its end was cut off, or it was written anew",
        .signed.seq, .signed.at
    )]
    Ended { signed: Box<Checkpoint>, end: u64 },
    #[error("a checkpoint of event {seq} can't be believed: {error}")]
    Checkpoint { seq: u64, error: CheckpointError },
    #[error("a checkpoint of event {seq} is controller {found}'s")]
    OtherController { seq: u64, found: ControllerId },
}

#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    open: Option<Place>,
}

#[derive(Debug)]
struct Place {
    segment: u64,
    next: u64,
    /// Where the line of `next` begins.
    offset: u64,
    file: BufReader<File>,
}

impl Place {
    /// Forgets what was read ahead.
    fn refreshed(mut self) -> Option<Self> {
        self.file.seek(SeekFrom::Start(self.offset)).ok()?;
        Some(self)
    }
}

impl Reader {
    /// Of a journal's folder.
    pub fn new(dir: &Path) -> Self {
        Reader { dir: dir.to_owned(), open: None }
    }

    /// Of a state directory.
    pub fn of_state(state_dir: &Path) -> Self {
        Reader::new(&state_dir.join("journal"))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first event kept.
    pub fn first(&self) -> Option<u64> {
        segments(&self.dir).ok()?.first().copied()
    }

    pub fn event(&mut self, seq: u64) -> Option<Line> {
        self.read(seq, seq, 1, usize::MAX).into_iter().next()
    }

    /// Events from `from` to `through` (both included), at most `count` and about `bytes`, at least one if there is
    /// one. What the retention has removed is skipped. `through` must be durable: what comes behind it may change.
    pub fn read(&mut self, from: u64, through: u64, count: usize, bytes: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut size = 0;
        self.open = self.open.take().filter(|place| place.next == from).and_then(Place::refreshed);
        let mut next = if self.open.is_some() { from } else { from.max(self.first().unwrap_or(u64::MAX)) };
        while next <= through && lines.len() < count && (lines.is_empty() || size < bytes) {
            let Some(line) = self.line(next) else {
                // What was never written, or has gone meanwhile, is passed over.
                match self.segment_behind(next) {
                    Some(first) => next = first,
                    None => break,
                }
                continue;
            };
            size += line.text.len();
            next = line.seq + 1;
            lines.push(line);
        }
        lines
    }

    /// The first segment that begins behind this event.
    fn segment_behind(&self, seq: u64) -> Option<u64> {
        segments(&self.dir).ok()?.into_iter().find(|first| *first > seq)
    }

    fn line(&mut self, seq: u64) -> Option<Line> {
        if self.open.as_ref().is_none_or(|place| place.next != seq) {
            self.open = self.seek(seq);
        }
        loop {
            let place = self.open.as_mut()?;
            let mut bytes = Vec::new();
            match place.file.read_until(b'\n', &mut bytes) {
                Ok(n) if bytes.pop_if(|last| *last == b'\n').is_some() => {
                    place.next += 1;
                    place.offset += n as u64;
                    // A damaged line is one line all the same.
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    return Some(Line { seq, text });
                }
                // The end of this segment: the event is in the next one, or not there yet.
                Ok(_) | Err(_) => {
                    let in_its_own = place.segment == seq;
                    self.open = self.seek(seq).filter(|p| p.segment == seq && !in_its_own);
                    self.open.as_ref()?;
                }
            }
        }
    }

    /// Opens the segment that holds `seq`, in front of it.
    fn seek(&self, seq: u64) -> Option<Place> {
        let segment = segments(&self.dir).ok()?.into_iter().rfind(|first| *first <= seq)?;
        let mut file = BufReader::new(File::open(segment_path(&self.dir, segment)).ok()?);
        let mut offset = 0;
        for _ in segment..seq {
            offset += file.skip_until(b'\n').ok()? as u64;
        }
        Some(Place { segment, next: seq, offset, file })
    }

    /// Checks the chain from the first event kept to `through`, which had been recorded.
    pub fn verify(&self, through: u64) -> Result<Verified, VerifyError> {
        self.verify_against(through, &BTreeMap::new())
    }

    /// The same, and that the events with these numbers have these hashes.
    fn verify_against(
        &self,
        through: u64,
        signed: &BTreeMap<u64, Vec<Checkpoint>>,
    ) -> Result<Verified, VerifyError> {
        let list =
            segments(&self.dir).map_err(|error| VerifyError::Read { path: self.dir.clone(), error })?;
        let mut done = Verified { first: list.first().copied(), ..Verified::default() };
        for segment in list {
            let before = done.last.map_or(0, |last| last.seq);
            let missing = VerifyError::Missing { after: before, found: segment };
            if done.last.is_some() && segment <= before {
                return Err(missing);
            }
            done.lost += done.last.map_or(0, |last| segment - last.seq - 1);
            done.last = done.last.map(|last| Checked { seq: segment - 1, ..last });
            match self.verify_segment(segment, (through, signed), &mut done) {
                // Whoever wrote it did not know the end of what is there before it: the rest was there.
                Err(VerifyError::Chain { seq, error: ChainError::Prev, .. })
                    if seq == segment && before > 0 && segment > before + 1 =>
                {
                    return Err(missing);
                }
                other => other?,
            }
        }
        let found = done.last.map_or(0, |c| c.seq);
        if found < through {
            return Err(VerifyError::Short { found, expected: through });
        }
        Ok(done)
    }

    /// Checks the chain against signatures: those kept beside it, and those that somebody kept elsewhere. Of events
    /// that are no longer kept none can be compared.
    pub fn verify_signed(
        &self,
        through: u64,
        (journal, controller): (&str, &ControllerId),
        against: Vec<Checkpoint>,
    ) -> Result<Verified, VerifyError> {
        for checkpoint in &against {
            let seq = checkpoint.seq;
            checkpoint.verify().map_err(|error| VerifyError::Checkpoint { seq, error })?;
            if checkpoint.controller != *controller {
                return Err(VerifyError::OtherController { seq, found: checkpoint.controller.clone() });
            }
        }
        // Those behind `through` were made since.
        let beside =
            checkpoints::kept(&self.dir).into_iter().filter(|c| c.journal == journal && c.seq <= through);
        let given = against.clone();
        let mut signed: BTreeMap<u64, Vec<Checkpoint>> = BTreeMap::new();
        for checkpoint in beside.chain(against) {
            signed.entry(checkpoint.seq).or_default().push(checkpoint);
        }
        let other = |checkpoint: Box<Checkpoint>| match checkpoint.journal == journal {
            true => VerifyError::Rewritten(checkpoint),
            false => VerifyError::OtherJournal { signed: checkpoint, own: journal.to_owned() },
        };
        let mut done = self.verify_against(through, &signed).map_err(|error| {
            if let VerifyError::Rewritten(checkpoint) = error { other(checkpoint) } else { error }
        })?;
        let end = done.last.map_or(0, |last| last.seq);
        let first = done.first.unwrap_or(u64::MAX);
        done.not_kept = given.iter().filter(|c| c.seq < first && c.seq <= end).count() as u64;
        match signed.split_off(&(end + 1)).into_values().flatten().next() {
            Some(signed) => Err(VerifyError::Ended { signed: Box::new(signed), end }),
            None => Ok(done),
        }
    }

    fn verify_segment(
        &self,
        segment: u64,
        (through, signed): (u64, &BTreeMap<u64, Vec<Checkpoint>>),
        done: &mut Verified,
    ) -> Result<(), VerifyError> {
        let path = segment_path(&self.dir, segment);
        let read = |error| VerifyError::Read { path: path.clone(), error };
        let mut file = BufReader::new(File::open(&path).map_err(read)?);
        let mut line = Vec::new();
        for number in 1.. {
            let seq = segment + number - 1;
            line.clear();
            if seq > through + 1 || file.read_until(b'\n', &mut line).map_err(read)? == 0 {
                return Ok(());
            }
            let wrong = |error| VerifyError::Chain { seq, path: path.clone(), line: number, error };
            if seq > through {
                // It may have come since, or be on its way: then it is the next one, or has no end yet.
                let Some(content) = line.strip_suffix(b"\n") else { return Ok(()) };
                return check(content, done.last).map(|_| ()).map_err(wrong);
            }
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            let checked = check(content, done.last).map_err(wrong)?;
            if checked.seq != seq {
                return Err(wrong(ChainError::Number { found: checked.seq, expected: seq }));
            }
            let first_ever = done.last.is_none() && seq == 1;
            if first_ever
                && crate::wire::journal::check_alone(content).is_ok_and(|(_, prev)| prev != Digest::default())
            {
                return Err(wrong(ChainError::Prev));
            }
            for checkpoint in signed.get(&seq).into_iter().flatten() {
                if checkpoint.hash != checked.hash {
                    return Err(VerifyError::Rewritten(Box::new(checkpoint.clone())));
                }
                done.signed += 1;
            }
            done.last = Some(checked);
            done.events += 1;
        }
        Ok(())
    }
}
