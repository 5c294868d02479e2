//! When the good copy is written, and its writing: a slice at a time between the cache's other work.

use std::{path::PathBuf, time::Duration};

use tokio::sync::{oneshot, watch};

use super::{
    Config, Database, Progress,
    copy::{self, End, Header, Writing},
    records::Written,
};
use crate::{
    domain::Mono,
    drivers::{clock, store::ballast},
    wire::stored::{Position, SCHEMA},
};

/// Records in a slice: a few milliseconds.
const SLICE: usize = 250;
/// A change is copied after this, if there is no copy yet.
const FIRST_AFTER: Duration = Duration::from_secs(2);
/// How long lies between two copies at least …
const EVERY: Duration = Duration::from_secs(300);
/// … and longer for a large one: so many bytes a second are written on average at most.
const BYTES_A_SECOND: u64 = 64 << 10;
/// About what a record takes in a copy.
const RECORD_BYTES: u64 = 120;
/// How long a clean stop may take for it.
const AT_STOP: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Copying {
    path: PathBuf,
    /// Something has changed since the last one was begun.
    has_changed: bool,
    /// When the next may be begun.
    next: Mono,
    under_way: Option<UnderWay>,
    asked: Vec<Asked>,
}

/// Who waits for one: they see it come, and hear its size or why there is none.
type Asked = (watch::Sender<Progress>, oneshot::Sender<Result<u64, String>>);

#[derive(Debug)]
struct UnderWay {
    writing: Writing,
    progress: Progress,
}

impl Copying {
    pub fn new(config: &Config, position: Position) -> Self {
        let path = config.state_dir.join(copy::FILE);
        let wait = path.metadata().map_or(FIRST_AFTER, |_| EVERY);
        let (next, has_changed) = (clock::mono().plus(wait), position.epoch > 0);
        Copying { path, has_changed, next, under_way: None, asked: Vec::new() }
    }

    /// Something that belongs into the copy is otherwise than before.
    pub fn changed(&mut self) {
        self.has_changed = true;
    }

    /// The same, with what it is: a copy under way gets it, too.
    pub fn amend(&mut self, written: Written) {
        let too_many = self.under_way.as_mut().is_some_and(|under_way| !under_way.writing.amend(written));
        if too_many {
            self.start_over();
        }
    }

    /// Gives up what is under way: the records are others now.
    pub fn start_over(&mut self) {
        if self.under_way.take().is_some() {
            self.has_changed = true;
        }
    }

    /// Somebody wants one now.
    pub fn ask(&mut self, progress: watch::Sender<Progress>, done: oneshot::Sender<Result<u64, String>>) {
        self.asked.push((progress, done));
    }

    /// There can be none now.
    pub fn refuse(&mut self, why: &str) {
        self.answer(&Err(format!("the cache is closed: {why}")));
    }

    pub fn due(&self) -> Option<Mono> {
        if self.under_way.is_some() || !self.asked.is_empty() {
            return Some(Mono::default());
        }
        self.has_changed.then_some(self.next)
    }

    /// Does the next slice, or begins one that is due. Whether one has come to its end: everything was read for it.
    pub fn go_on(&mut self, config: &Config, database: &Database, now: Mono) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        let position = *database.position();
        if position.epoch == 0 {
            self.has_changed = false;
            self.answer(&Err("nothing has been synced yet, so there is nothing to copy".into()));
            return false;
        }
        self.step(config, database, now).unwrap_or_else(|error| {
            tracing::warn!(%error, "the cache was not copied");
            self.under_way = None;
            (self.has_changed, self.next) = (true, now.plus(EVERY));
            self.answer(&Err(error));
            true
        })
    }

    fn step(&mut self, config: &Config, database: &Database, now: Mono) -> Result<bool, String> {
        let position = *database.position();
        let under_way = match &mut self.under_way {
            Some(under_way) => under_way,
            none => none.insert(begin(config, &self.path, &position)?),
        };
        let (tree, _) = database.records();
        let more = under_way.writing.slice(tree, SLICE).map_err(|e| e.to_string())?;
        under_way.progress.done = (under_way.progress.done + SLICE as u64).min(under_way.progress.of);
        self.asked.iter().for_each(|(progress, _)| _ = progress.send_replace(under_way.progress));
        if more {
            return Ok(false);
        }
        let Some(UnderWay { writing, .. }) = self.under_way.take() else { return Ok(false) };
        self.has_changed = false;
        let small = database.small().map_err(|e| e.to_string())?;
        let end = End { position, at: clock::wall().floor_ms() };
        let bytes = writing.finish(&small, &end).map_err(|e| e.to_string())?;
        self.next = now.plus(EVERY.max(Duration::from_secs(bytes / BYTES_A_SECOND)));
        tracing::debug!(bytes, applied = position.applied, "the cache was copied");
        self.answer(&Ok(bytes));
        Ok(true)
    }

    /// At a clean stop: the copy of a site that is not large is as new as the cache.
    pub fn finish_in_time(&mut self, config: &Config, database: &Database) {
        let end = clock::mono().plus(AT_STOP);
        self.next = Mono::default();
        while self.due().is_some() && clock::mono() < end {
            self.go_on(config, database, clock::mono());
            if self.next > end {
                break;
            }
        }
    }

    fn answer(&mut self, outcome: &Result<u64, String>) {
        for (_, done) in self.asked.drain(..) {
            // Who asked may have gone.
            let _gone = done.send(outcome.clone());
        }
    }
}

/// A copy must not be what fills the disk.
fn begin(config: &Config, path: &std::path::Path, position: &Position) -> Result<UnderWay, String> {
    let of = position.credentials + position.grants;
    let needed = of.saturating_mul(RECORD_BYTES) + 2 * ballast::BYTES;
    if let Some(free) = ballast::free(path).filter(|free| *free < needed) {
        return Err(format!("it would take some {} KiB, and {} are free", needed >> 10, free >> 10));
    }
    let header = Header {
        controller: config.controller.as_str().to_owned(),
        schema: SCHEMA,
        uid_check: config.uid_check,
        uid_key: config.uid_key,
        journal: config.journal.clone(),
        begun_at: clock::wall().floor_ms(),
    };
    let writing = Writing::begin(&config.state_dir, copy::FILE, &header).map_err(|e| e.to_string())?;
    Ok(UnderWay { writing, progress: Progress { done: 0, of } })
}
