//! The cache's thread: commands in, answers out. What it answers is what the disk holds.
//!
//! ```text
//!            an error of the disk, or of sled
//!   Open ─────────────────────────────────────► Closed   nothing is kept, and nothing acknowledged; doors go on from
//!     ▲    opened, looked at again from the start  │      memory. Tried again after 1 s, doubling, up to 60 s
//!     └────────────────────────────────────────────┘
//! ```
//!
//! A handle of sled's that met a full disk is of no use any more, so each failure closes it. What is found on opening
//! is compared with what the controller goes by: newer, it takes its place; older, a snapshot must come.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::{mpsc::Sender, oneshot, watch};

use super::{
    CacheError, Config, Database, Loaded, Recovered,
    copying::Copying,
    opening::{self, Found, place},
    small::Kept,
    unkept::Unkept,
};
use crate::{
    control::{CacheCommand, CacheEvent, Event, Note, Staged, index::Index},
    domain::Mono,
    drivers::{
        clock,
        store::{ballast::Ballast, mark::MarkFile},
    },
    wire::stored::{CommandsFrom, Position},
};

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Job {
    Command(CacheCommand),
    /// Write the good copy now; `done` hears its size, or why not.
    Copy {
        progress: watch::Sender<Progress>,
        done: oneshot::Sender<Result<u64, String>>,
    },
}

/// Records copied, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub of: u64,
}

/// How long after a failure the cache is opened again, at first and at most.
const FIRST_TRY: Duration = Duration::from_secs(1);
const LAST_TRY: Duration = Duration::from_secs(60);
/// How often it is tried to hold space for a full disk.
const BALLAST_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Keeper {
    config: Config,
    mark: Arc<MarkFile>,
    store: Store,
    /// How far the controller goes by.
    position: Position,
    /// What is on disk is older than that: only a whole snapshot makes them one again.
    is_lost: bool,
    /// Everything was read or written at once: what sled keeps of that is to be let go of.
    is_worn: bool,
    unkept: Unkept,
    copying: Copying,
    ballast: Ballast,
    ballast_next: Option<Mono>,
}

#[derive(Debug)]
enum Store {
    Open(Box<Database>),
    Closed(Closed),
}

#[derive(Debug)]
struct Closed {
    why: String,
    since: Mono,
    next: Mono,
    wait: Duration,
    /// It is only to be filled from the copy, which was said at start.
    is_rebuilt: bool,
}

impl Closed {
    fn new(why: String, wait: Duration, is_rebuilt: bool) -> Self {
        let now = clock::mono();
        Closed { why, since: now, next: now.plus(wait), wait: FIRST_TRY, is_rebuilt }
    }
}

impl Keeper {
    /// Opens the cache, or what is to be used instead. What it holds is for the controller.
    pub(super) fn open(config: Config, mark: Arc<MarkFile>) -> Result<(Self, Loaded), CacheError> {
        let ballast = Ballast::new(&config.state_dir);
        let foreign_copy = opening::look_at_copy(&config);
        let mut found = opening::look(&config, &mark.get())?;
        if matches!(found, Found::Unwritable(_)) && ballast.drop_if_full() {
            found = opening::look(&config, &mark.get())?;
        }
        let (store, mut loaded) = begin(&config, found)?;
        loaded.recovered.extend(foreign_copy);
        let position = loaded.position;
        mark.applied(position.epoch, position.applied);
        let copying = Copying::new(&config, position);
        let (is_lost, is_worn, unkept) = (false, true, Unkept::default());
        let ballast_next = Some(clock::mono());
        let keeper = Keeper {
            config,
            mark,
            store,
            position,
            is_lost,
            is_worn,
            unkept,
            copying,
            ballast,
            ballast_next,
        };
        Ok((keeper, loaded))
    }

    /// Keeps what the journal told beyond the cache's notes, before anything else is noted.
    pub fn note_all(&mut self, notes: impl IntoIterator<Item = Note>) {
        let mut any = false;
        for note in notes {
            any = true;
            if let Store::Open(database) = &self.store
                && database.note(&note).is_ok()
            {
                continue;
            }
            self.unkept.push(note);
        }
        if any
            && let Store::Open(database) = &self.store
            && let Err(error) = database.flush()
        {
            tracing::warn!(%error, "notes from the journal are not on disk yet");
        }
    }

    pub(super) fn run(mut self, jobs: &Receiver<Job>, events: &Sender<Event>) {
        loop {
            let job = match self.patience() {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => jobs.recv_timeout(wait),
            };
            match job {
                Ok(Job::Command(command)) => self.command(command, events),
                Ok(Job::Copy { progress, done }) => self.copying.ask(progress, done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.do_what_is_due(events);
        }
        self.end();
    }

    /// How long there is nothing to do of itself.
    fn patience(&self) -> Option<Duration> {
        if self.is_worn {
            return Some(Duration::ZERO);
        }
        let (own, ballast) = match &self.store {
            Store::Open(_) => (self.copying.due(), self.ballast_next),
            Store::Closed(closed) => (Some(closed.next), None),
        };
        let due = [own, Some(self.mark.due()), ballast].into_iter().flatten().min()?;
        Some(due.since(clock::mono()))
    }

    fn do_what_is_due(&mut self, events: &Sender<Event>) {
        let now = clock::mono();
        if matches!(&self.store, Store::Closed(closed) if closed.next <= now) {
            self.reopen(events);
        }
        if self.mark.due() <= now {
            self.save_mark();
        }
        match &self.store {
            Store::Open(database) => self.is_worn |= self.copying.go_on(&self.config, database, now),
            Store::Closed(closed) => self.copying.refuse(&closed.why),
        }
        if std::mem::take(&mut self.is_worn) {
            self.refresh(events);
        }
        if self.ballast_next.is_some_and(|next| next <= now) && matches!(self.store, Store::Open(_)) {
            let is_there = self.ballast.lay_down();
            self.ballast_next = (!is_there).then(|| now.plus(BALLAST_EVERY));
        }
    }

    /// All of it has been read: what sled keeps of that is let go of.
    fn refresh(&mut self, events: &Sender<Event>) {
        let closed = Store::Closed(Closed::new("it is being opened again".into(), FIRST_TRY, false));
        let Store::Open(database) = std::mem::replace(&mut self.store, closed) else { return };
        match database.fresh() {
            Ok(database) => self.store = Store::Open(Box::new(database)),
            Err(error) => _ = self.failed(Failure::New(error), events),
        }
    }

    fn command(&mut self, command: CacheCommand, events: &Sender<Event>) {
        let answer = match command {
            CacheCommand::Note(note) => return self.note(note, events),
            CacheCommand::Doors(doors) => {
                if let Store::Open(database) = &mut self.store {
                    database.set_doors(doors.clone());
                }
                self.config.doors = doors;
                return;
            }
            CacheCommand::Remember { id, expires_at, now } => {
                match self.with(|database| database.remember(&id, expires_at, now)) {
                    Ok(()) => CacheEvent::Remembered { id },
                    Err(failure) => {
                        let detail = self.failed(failure, events);
                        CacheEvent::NotRemembered { id, detail }
                    }
                }
            }
            CacheCommand::Apply { .. } if self.is_lost => {
                let detail =
                    "what is on disk is older than what is in force; a snapshot must come first".into();
                CacheEvent::Failed { detail }
            }
            CacheCommand::Apply { applied, rejected, items, owners } => {
                match self.with(|database| database.apply(applied, rejected, &items, owners)) {
                    Ok((applied, written)) => {
                        self.copying.amend(written);
                        self.came_to(applied.position);
                        CacheEvent::Applied(applied)
                    }
                    Err(failure) => CacheEvent::Failed { detail: self.failed(failure, events) },
                }
            }
            CacheCommand::Stage { part, at } => match self.with(|database| database.stage(part, at)) {
                Ok(staged) => {
                    if let Staged::InForce { position, .. } = &staged {
                        self.is_lost = false;
                        self.is_worn = true;
                        self.copying.start_over();
                        self.came_to(*position);
                    }
                    CacheEvent::Staged(staged)
                }
                Err(failure) => CacheEvent::Failed { detail: self.failed(failure, events) },
            },
        };
        say(events, answer);
    }

    fn note(&mut self, note: Note, events: &Sender<Event>) {
        if !self.unkept.lets_pass(&note) {
            return;
        }
        if !matches!(note, Note::Heard(_) | Note::Checkpoint { .. }) {
            self.copying.changed();
        }
        if let Err(failure) = self.with(|database| database.note(&note)) {
            self.unkept.push(note);
            self.failed(failure, events);
        }
    }

    /// It is on disk this far; the mark goes before what is said of it.
    fn came_to(&mut self, position: Position) {
        self.position = position;
        self.copying.changed();
        if self.mark.applied(position.epoch, position.applied) {
            self.save_mark();
        }
    }

    fn save_mark(&self) {
        if let Err(error) = self.mark.save() {
            tracing::warn!(%error, "the high-water mark was not saved");
        }
    }

    /// Does something with the database, if it is open. A panic inside sled is a failure like any other.
    fn with<T>(&mut self, what: impl FnOnce(&mut Database) -> Result<T, CacheError>) -> Result<T, Failure> {
        match &mut self.store {
            Store::Open(database) => {
                let done = catch_unwind(AssertUnwindSafe(|| what(database)));
                done.unwrap_or_else(|_| Err(CacheError::Damaged("sled gave up".into()))).map_err(Failure::New)
            }
            Store::Closed(closed) => Err(Failure::Known(closed.why.clone())),
        }
    }

    /// A failure closes the cache. Returns it as a sentence.
    fn failed(&mut self, failure: Failure, events: &Sender<Event>) -> String {
        let why = match failure {
            Failure::Known(why) => return format!("the cache is closed: {why}"),
            Failure::New(error) => error.to_string(),
        };
        tracing::error!(why, "the cache is closed, and will be opened again");
        self.close(Closed::new(why.clone(), FIRST_TRY, false));
        say(events, CacheEvent::Closed { detail: why.clone() });
        why
    }

    fn close(&mut self, closed: Closed) {
        self.copying.start_over();
        let store = std::mem::replace(&mut self.store, Store::Closed(closed));
        // sled may have more to say about its end.
        if catch_unwind(AssertUnwindSafe(|| drop(store))).is_err() {
            tracing::warn!("sled gave up while it was closed");
        }
    }

    fn reopen(&mut self, events: &Sender<Event>) {
        self.ballast.drop_if_full();
        let opened = catch_unwind(AssertUnwindSafe(|| opened_again(&self.config, &self.mark)));
        let opened = opened.unwrap_or_else(|_| Err(CacheError::Damaged("sled gave up on its files".into())));
        let opened = opened.and_then(|(database, loaded)| {
            self.unkept.write(&database)?;
            database.flush()?;
            Ok((database, loaded))
        });
        let Store::Closed(closed) = &mut self.store else { return };
        match opened {
            Ok((database, loaded)) => {
                let said =
                    Said { why: closed.why.clone(), since: closed.since, is_rebuilt: closed.is_rebuilt };
                self.ballast_next = Some(clock::mono());
                self.is_worn = true;
                let event = self.compare(said, &database, loaded);
                self.store = Store::Open(database);
                say(events, event);
            }
            Err(error) => {
                let why = error.to_string();
                closed.next = clock::mono().plus(closed.wait);
                closed.wait = (closed.wait * 2).min(LAST_TRY);
                if closed.why != why {
                    tracing::error!(why, "the cache can't be opened yet");
                    closed.why.clone_from(&why);
                    say(events, CacheEvent::Closed { detail: why });
                }
            }
        }
    }

    /// What was found on opening, against what the controller goes by.
    fn compare(&mut self, said: Said, database: &Database, loaded: Loaded) -> CacheEvent {
        let found = *database.position();
        let mut recovered = if said.is_rebuilt { Vec::new() } else { loaded.recovered };
        let is_same = found == self.position;
        let is_newer = place(&found) > place(&self.position);
        self.is_lost = !is_same && !is_newer;
        if !said.is_rebuilt {
            let s = clock::mono().since(said.since).as_secs();
            let count = found.credentials + found.grants;
            let detail = format!("cache: open again after {s} s; nothing was kept meanwhile ({})", said.why);
            recovered.push(Recovered { count, detail });
        }
        let index = is_newer.then(|| {
            self.position = found;
            Box::new(loaded.index)
        });
        opened_event(found, index, self.is_lost, recovered)
    }

    /// The thread is to end: what is not on disk goes there.
    fn end(mut self) {
        if let Store::Open(database) = &self.store {
            self.copying.finish_in_time(&self.config, database);
            if let Err(error) = database.flush() {
                tracing::error!(%error, "the cache was not flushed");
            }
        }
        self.save_mark();
    }
}

struct Said {
    why: String,
    since: Mono,
    is_rebuilt: bool,
}

/// Why something was not done with the database.
enum Failure {
    /// It is closed, and this is why.
    Known(String),
    New(CacheError),
}

/// What to begin with at start.
fn begin(config: &Config, found: Found) -> Result<(Store, Loaded), CacheError> {
    Ok(match found {
        Found::Good(database, loaded) => (Store::Open(database), *loaded),
        Found::Copy { copy, recovered, .. } => {
            let loaded = opening::from_copy(config, &copy)?;
            let why = "it is being put back from its copy".to_owned();
            let store = Store::Closed(Closed::new(why.clone(), Duration::ZERO, true));
            (store, Loaded { recovered, closed: Some(why), ..loaded })
        }
        Found::Nothing(recovered) => {
            let (database, mut loaded) = Database::open(config)?;
            database.doubt_commands()?;
            loaded.kept.commands_from = CommandsFrom::Unknown;
            (Store::Open(Box::new(database)), Loaded { recovered, ..loaded })
        }
        Found::Unwritable(error) => {
            tracing::error!(%error, "the cache can't be written; doors go on from memory");
            let (copy, said) = opening::usable_copy(config)?;
            let loaded = match &copy {
                Some(copy) => opening::from_copy(config, copy)?,
                None => nothing(config),
            };
            let from = copy.map_or_else(
                || format!("{said}: no card opens"),
                |copy| format!("; doors go by its copy of {}", copy.end.at.floor_ms()),
            );
            let why = format!("{error}{from}");
            let store = Store::Closed(Closed::new(why.clone(), FIRST_TRY, false));
            (store, Loaded { closed: Some(why), ..loaded })
        }
    })
}

fn nothing(config: &Config) -> Loaded {
    Loaded {
        index: Index::new(config.doors.iter().cloned()),
        position: Position::default(),
        kept: Kept { commands_from: CommandsFrom::Unknown, ..Kept::default() },
        recovered: Vec::new(),
        closed: None,
    }
}

/// Opens the cache, filled from its copy where it was lost.
fn opened_again(config: &Config, mark: &MarkFile) -> Result<(Box<Database>, Loaded), CacheError> {
    match opening::look(config, &mark.get())? {
        Found::Good(database, loaded) => Ok((database, *loaded)),
        Found::Copy { copy, empty, recovered } => {
            let mut database = match empty {
                Some(empty) => empty,
                None => Box::new(Database::open(config)?.0),
            };
            database.fill(&copy)?;
            let loaded = database.load()?;
            Ok((database, Loaded { recovered, ..loaded }))
        }
        Found::Nothing(recovered) => {
            let (database, loaded) = Database::open(config)?;
            database.doubt_commands()?;
            Ok((Box::new(database), Loaded { recovered, ..loaded }))
        }
        Found::Unwritable(error) => Err(error),
    }
}

fn opened_event(
    position: Position,
    index: Option<Box<Index>>,
    is_lost: bool,
    recovered: Vec<Recovered>,
) -> CacheEvent {
    let recovered = recovered.into_iter().map(|Recovered { count, detail }| (count, detail)).collect();
    CacheEvent::Opened { position, index, is_lost, recovered }
}

/// The controller is there as long as the daemon is; without it nobody waits for an answer.
fn say(events: &Sender<Event>, event: CacheEvent) {
    if events.blocking_send(Event::Cache(event)).is_err() {
        tracing::debug!("the cache has nobody to answer to");
    }
}
