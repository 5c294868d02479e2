//! The log: plain lines on standard error, or entries with fields where that is connected to systemd's journal.
//!
//! Doors never wait for it. What is logged goes into a bounded queue, and a thread of its own hands it on; a terminal
//! that is stopped, a pipe nobody reads, or a journal whose disk has died costs lines of the log, which are counted,
//! and no door a moment. How much is logged can be changed while the daemon runs ([`Levels`]).

mod fields;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    io::IsTerminal as _,
    os::fd::AsFd as _,
    panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{Event, Level, Subscriber, subscriber::set_global_default};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    Registry,
    filter::{ParseError, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
};

use self::queue::Queue;

/// Before the names of fields in systemd's journal, so that none is taken for one of its own: `LATCHD_DOOR=entrance`.
const FIELD_PREFIX: &str = "LATCHD";
/// As in `journalctl -t latchd`.
const IDENTIFIER: &str = "latchd";
/// The longest description of levels that is read.
const LONGEST_FILTER: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "the log filter {filter:?} can't be read: {why}; expected a level (error, warn, info, debug, trace), or \
         module=level, several with commas between them"
    )]
    Filter { filter: String, why: String },
    #[error("there is no thread for the log: {0}")]
    Thread(io::Error),
    #[error("the log was begun already")]
    Begun,
}

/// The running log. Dropped, it waits a moment for what is still to be written.
#[derive(Debug)]
pub struct Log {
    levels: Levels,
    _queue: Queue,
}

/// What is logged, to be looked at and changed while the daemon runs.
#[derive(Debug, Clone)]
pub struct Levels {
    filter: reload::Handle<Targets, Registry>,
    /// As it was written at the start, and as it is now.
    texts: Arc<Mutex<Texts>>,
    dropped: queue::Dropped,
}

#[derive(Debug)]
struct Texts {
    first: String,
    now: String,
}

/// Lines for a standard error that systemd's journal reads: it has times of its own, and takes a level from the
/// beginning of a line.
#[derive(Debug)]
struct Prefixed;

/// Begins the log. `journal_stream`: what systemd says standard error is connected to (`JOURNAL_STREAM`).
pub fn start(filter: &str, journal_stream: Option<&str>) -> Result<Log, LogError> {
    let first = read(filter)?;
    let (layer, handle) = reload::Layer::new(first);
    let journal = reads_our_errors(journal_stream).then(journal);
    let queue = Queue::start(io::stderr()).map_err(LogError::Thread)?;
    let levelled = Registry::default().with(layer);
    let lines = tracing_subscriber::fmt::layer().with_writer(queue.sender());
    let began = match &journal {
        Some(Ok(own)) => set_global_default(levelled.with(fields::Fields::new(own.clone(), queue.sender()))),
        Some(Err(_)) => set_global_default(levelled.with(lines.with_ansi(false).event_format(Prefixed))),
        None => set_global_default(levelled.with(lines.with_ansi(io::stderr().is_terminal()))),
    };
    began.map_err(|_| LogError::Begun)?;
    say_panics();
    if let Some(Err(error)) = journal {
        tracing::warn!(%error, "systemd's journal takes no fields; the log is plain lines on standard error");
    }
    let text = filter.to_owned();
    let texts = Arc::new(Mutex::new(Texts { first: text.clone(), now: text }));
    Ok(Log { levels: Levels { filter: handle, texts, dropped: queue.dropped() }, _queue: queue })
}

impl Log {
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }
}

impl Levels {
    /// From now on, until the next start, this much is logged.
    pub fn change(&self, filter: &str) -> Result<(), LogError> {
        let new = read(filter)?;
        let unread =
            |why: reload::Error| LogError::Filter { filter: filter.to_owned(), why: why.to_string() };
        self.filter.reload(new).map_err(unread)?;
        self.texts().now = filter.to_owned();
        Ok(())
    }

    /// What is logged now.
    pub fn now(&self) -> String {
        self.texts().now.clone()
    }

    /// What was asked for at the start, and will be again at the next.
    pub fn at_start(&self) -> String {
        self.texts().first.clone()
    }

    /// Lines that nobody took in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.count()
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A filter as people write it. The library takes any word for a module's name; a level misspelt would be silence.
fn read(filter: &str) -> Result<Targets, LogError> {
    let wrong = |why: String| LogError::Filter { filter: filter.chars().take(80).collect(), why };
    if filter.len() > LONGEST_FILTER {
        return Err(wrong(format!("it is longer than {LONGEST_FILTER} characters")));
    }
    let parts: Vec<&str> = filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(wrong("it is empty".into()));
    }
    let is_level = |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok();
    if let Some(word) = parts.iter().find(|part| !part.contains(['=', ':', '[']) && !is_level(part)) {
        return Err(wrong(format!("{word:?} is no level")));
    }
    parts.join(",").parse().map_err(|error: ParseError| wrong(error.to_string()))
}

/// Whether standard error is the stream to systemd's journal that was promised: it may have been redirected since.
fn reads_our_errors(journal_stream: Option<&str>) -> bool {
    is_connected_to(
        journal_stream,
        rustix::fs::fstat(io::stderr().as_fd()).ok().map(|s| (s.st_dev, s.st_ino)),
    )
}

/// `device:inode`, in decimal.
fn is_connected_to(journal_stream: Option<&str>, file: Option<(u64, u64)>) -> bool {
    let said = journal_stream.and_then(|text| text.split_once(':'));
    let said = said.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    said.is_some() && said == file
}

/// What speaks to systemd's journal; fails where it does not listen.
fn journal() -> io::Result<fields::Entries> {
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::layer()?
        .with_field_prefix(Some(FIELD_PREFIX.into()))
        .with_syslog_identifier(IDENTIFIER.into())
        .with_priority_mappings(priorities);
    Ok(fields::Entries::of(layer))
}

/// A panic is an entry of the log as any other, with its level, wherever that goes.
fn say_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        let why = info.payload_as_str().unwrap_or("of a kind that has no words");
        tracing::error!(thread, at, why, "panicked");
    }));
}

impl<S, N> FormatEvent<S, N> for Prefixed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        Format::default().without_time().with_level(false).format_event(context, writer, event)
    }
}
