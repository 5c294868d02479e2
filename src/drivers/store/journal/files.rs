//! The journal's folder: its id, its segments, and what is done about a torn tail.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Config, JournalError, checkpoints};
use crate::{
    control::Recorded,
    domain::At,
    drivers::store::{key::write_whole, mark::Mark},
    wire::{
        Digest,
        checkpoint::Checkpoint,
        journal::{Checked, check},
    },
};

/// When a segment is full. Small enough that checking the last one at start takes well under 100 ms.
pub const SEGMENT_BYTES: u64 = 4 << 20;

/// The end of the chain: what the next event links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// The last `seq`; 0 when there is none.
    pub seq: u64,
    pub hash: Digest,
    /// The latest time of an event recorded by a trusted clock.
    pub at: Option<At>,
}

/// A journal whose files were found, or made, and whose end is known to be whole.
#[derive(Debug)]
pub struct Opened {
    pub(super) dir: PathBuf,
    pub(super) config: Config,
    pub(super) file: Option<File>,
    /// Of the last segment.
    pub(super) len: u64,
    /// Something may stand behind `len` that could not be cut off yet.
    pub(super) uncut: bool,
    /// First `seq` of each segment, in order.
    pub(super) segments: Vec<u64>,
    /// When a segment is full.
    pub(super) segment_bytes: u64,
    pub id: String,
    pub end: End,
    pub acknowledged: u64,
    /// The newest signature under it.
    pub checkpoint: Option<Checkpoint>,
    /// The disk takes nothing: what is there is read, and events stay in memory until it does.
    pub(super) is_read_only: bool,
    /// What was cut off the end, if anything: a sentence for the journal itself.
    pub torn: Option<String>,
}

pub(super) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.jsonl"))
}

/// The first `seq` of each segment in the folder, in order.
pub(super) fn segments(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let first = name.to_str().and_then(|n| n.strip_suffix(".jsonl")).filter(|n| n.len() == 20);
        firsts.extend(first.and_then(|n| n.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

impl Opened {
    /// Opens the journal of a state directory, making it where there is none. A torn tail is cut off, and what was
    /// more than a torn line is kept beside it.
    ///
    /// `mark`: what it held before, as far as that was marked. A journal that holds less has lost events, and goes on
    /// under another id: central drops what comes again under the same id and number.
    pub fn open(config: Config, mark: &Mark) -> Result<Self, JournalError> {
        let dir = config.state_dir.join("journal");
        let was_there = dir.join("id").exists();
        fs::create_dir_all(&dir).map_err(JournalError::file("make", &dir))?;
        let id = load_id(&dir)?;
        let segments = segments(&dir).map_err(JournalError::file("list", &dir))?;
        let acknowledged = load_acknowledged(&dir);
        let mut opened = Opened {
            dir,
            config,
            file: None,
            len: 0,
            uncut: false,
            segments,
            segment_bytes: SEGMENT_BYTES,
            id,
            end: End::default(),
            acknowledged,
            checkpoint: None,
            is_read_only: false,
            torn: None,
        };
        if !was_there && !mark.journal.is_empty() {
            let Mark { journal, seq, .. } = mark;
            opened
                .say(format!("journal {journal} is gone, with {seq} events; {} takes its place", opened.id));
        }
        let id = opened.id.clone();
        if let Some(&last) = opened.segments.last() {
            opened.open_last(last)?;
        }
        let marked = if mark.journal == id { mark.seq } else { 0 };
        let signed = checkpoints::kept(&opened.dir).pop().filter(|last| last.journal == id);
        let known = marked.max(opened.acknowledged).max(signed.as_ref().map_or(0, |last| last.seq));
        if known > opened.end.seq && opened.id == id {
            opened.go_on_otherwise(known)?;
        }
        if let Some(after) = mark.forked.filter(|_| mark.journal == id && opened.id == id) {
            opened.go_on_from_fork(after)?;
        }
        opened.acknowledged = opened.acknowledged.min(opened.end.seq);
        if opened.id != id {
            // Else the next start would miss the same events again.
            opened.save_acknowledged().map_err(JournalError::file("write", &opened.dir))?;
        }
        opened.checkpoint = signed.filter(|last| last.journal == opened.id);
        Ok(opened)
    }

    fn say(&mut self, what: String) {
        self.torn = Some(self.torn.take().map_or_else(|| what.clone(), |said| format!("{said}; {what}")));
    }

    /// An end that is whole and not where it was.
    fn go_on_otherwise(&mut self, known: u64) -> Result<(), JournalError> {
        let end = self.end.seq;
        if self.is_read_only {
            return Err(JournalError::Behind { path: self.dir.clone(), end, known });
        }
        self.id = make_id(&self.dir)?;
        self.say(format!(
            "it ends at event {end}, where {known} had been recorded: {} events are missing; the journal goes on as {}",
            known - end,
            self.id
        ));
        Ok(())
    }

    /// Central has other events under the numbers behind `after`, and drops those that are here: they are sent again under
    /// an id that it does not know.
    fn go_on_from_fork(&mut self, after: u64) -> Result<(), JournalError> {
        if self.is_read_only {
            // Said again, and done when its disk takes something.
            return Ok(());
        }
        self.id = make_id(&self.dir)?;
        self.acknowledged = self.acknowledged.min(after);
        self.say(format!(
            "central has other events behind event {after} of it; the journal goes on as {}, and those are sent again",
            self.id
        ));
        Ok(())
    }

    fn open_last(&mut self, first: u64) -> Result<(), JournalError> {
        let path = segment_path(&self.dir, first);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let opened = opened.or_else(|error| {
            if error.kind() != ErrorKind::ReadOnlyFilesystem {
                return Err(error);
            }
            self.is_read_only = true;
            File::open(&path)
        });
        let mut file = opened.map_err(JournalError::file("open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(JournalError::file("read", &path))?;
        let before = self.before(first)?;
        let (end, whole, why) = scan(&bytes, first, before);
        self.end = end;
        self.len = whole as u64;
        if whole < bytes.len() {
            let cut = bytes.get(whole..).unwrap_or_default();
            let why = why.unwrap_or_default();
            let mut said = format!("{} bytes cut off the end after event {}: {why}", cut.len(), end.seq);
            // One torn line was never durable. More than that is somebody's evidence.
            if cut.contains(&b'\n') {
                let aside = free_name(&self.dir, &format!("{first:020}.cut"));
                write_whole(&self.dir, &aside, cut).map_err(JournalError::file("set aside", &path))?;
                // Central may have what was cut, and drops what comes again under the same id and number.
                self.id = make_id(&self.dir)?;
                said = format!("{said}; set aside as {aside}, the journal goes on as {}", self.id);
            }
            if self.is_read_only {
                // Cut when that can be done.
                return Ok(());
            }
            self.say(said);
            file.set_len(self.len).map_err(JournalError::file("cut", &path))?;
            file.sync_all().map_err(JournalError::file("sync", &path))?;
        }
        if self.is_read_only {
            return Ok(());
        }
        // What a daemon that was killed wrote last may have been on its way yet.
        file.sync_data().map_err(JournalError::file("sync", &path))?;
        file.seek(SeekFrom::Start(self.len)).map_err(JournalError::file("seek in", &path))?;
        self.file = Some(file);
        Ok(())
    }

    /// The disk may take something again: the last segment is opened, and cut to what is whole of it.
    pub(super) fn open_for_writing(&mut self) -> std::io::Result<()> {
        let Some(&last) = self.segments.last().filter(|_| self.is_read_only) else { return Ok(()) };
        let file = OpenOptions::new().read(true).write(true).open(segment_path(&self.dir, last))?;
        file.set_len(self.len)?;
        file.sync_all()?;
        (self.file, self.is_read_only) = (Some(file), false);
        Ok(())
    }

    /// That everything found is on disk, if anything was.
    pub fn on_disk(&self) -> Option<Recorded> {
        (self.end.seq > 0).then(|| Recorded::attest(self.end.seq))
    }

    /// What the last segment links to: the end of the one before it, if that is whole.
    fn before(&self, first: u64) -> Result<Before, JournalError> {
        let Some(&earlier) = self.segments.iter().rev().nth(1) else { return Ok(Before::default()) };
        let path = segment_path(&self.dir, earlier);
        let bytes = fs::read(&path).map_err(JournalError::file("read", &path))?;
        let last = bytes.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap_or_default();
        // Where events between the two were never written, the chain goes on over them.
        let checked = check(last, None).ok().filter(|checked| checked.seq < first);
        let checked = checked.map(|checked| Checked { seq: first - 1, ..checked });
        Ok(Before { checked, at: latest_time(&bytes) })
    }

    /// Begins the segment that starts with `seq`. Its name is on disk when this returns.
    pub(super) fn begin_segment(&mut self, seq: u64) -> std::io::Result<()> {
        let path = segment_path(&self.dir, seq);
        // An empty one is left when this was interrupted.
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o640).open(path)?;
        if file.metadata()?.len() > 0 {
            return Err(ErrorKind::AlreadyExists.into());
        }
        File::open(&self.dir)?.sync_all()?;
        self.file = Some(file);
        self.segments.push(seq);
        self.len = 0;
        Ok(())
    }

    /// Writes lines at the end of the last segment and makes them durable; on failure nothing of them stays.
    pub(super) fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Err(ErrorKind::NotFound.into()) };
        if self.uncut {
            file.set_len(self.len)?;
            self.uncut = false;
        }
        file.seek(SeekFrom::Start(self.len))?;
        let written = file.write_all(lines).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What part of it reached the disk is unknown: cut it, so that the chain goes on from what is.
            self.uncut = file.set_len(self.len).is_err();
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Takes back the last `bytes` written, to write them again otherwise.
    pub(super) fn take_back(&mut self, bytes: u64) -> std::io::Result<()> {
        self.len -= bytes;
        self.file.as_ref().map_or(Ok(()), |file| file.set_len(self.len))
    }

    pub(super) fn save_acknowledged(&self) -> std::io::Result<()> {
        // No barrier: an older number after a crash means a few events sent twice, which central drops.
        let temporary = self.dir.join(".acknowledged.new");
        fs::write(&temporary, format!("{}\n", self.acknowledged))?;
        fs::rename(temporary, self.dir.join("acknowledged"))
    }
}

/// What a segment follows.
#[derive(Debug, Default)]
struct Before {
    checked: Option<Checked>,
    /// The latest time of a trusted clock in the segment before.
    at: Option<At>,
}

/// Checks lines one after the other. Returns the end, how many bytes are whole, and why the rest is not.
fn scan(bytes: &[u8], first: u64, before: Before) -> (End, usize, Option<String>) {
    let (mut last, mut whole, mut at) = (before.checked, 0, before.at);
    // Without anything to follow the numbers still go on: none is used twice.
    let end = |last: Option<Checked>, at| match last {
        Some(Checked { seq, hash }) => End { seq, hash, at },
        None => End { seq: first.saturating_sub(1), hash: Digest::default(), at },
    };
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let Some(content) = line.strip_suffix(b"\n") else {
            return (end(last, at), whole, Some("the last line is torn".into()));
        };
        match check(content, last) {
            Ok(checked) => last = Some(checked),
            Err(error) => return (end(last, at), whole, Some(error.to_string())),
        }
        whole += line.len();
        at = at.max(time_of(content));
    }
    (end(last, at), whole, None)
}

/// The time of the last event of a segment whose clock was trusted.
pub(super) fn latest_time(segment: &[u8]) -> Option<At> {
    segment.rsplit(|b| *b == b'\n').find_map(time_of)
}

/// The time of an event whose clock was trusted: one that was not must not count against a right clock later.
fn time_of(line: &[u8]) -> Option<At> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    if value.get("clock").is_some_and(|c| c == "untrusted") {
        return None;
    }
    At::parse(value.get("at")?.as_str()?).ok()
}

fn load_id(dir: &Path) -> Result<String, JournalError> {
    let path = dir.join("id");
    match fs::read_to_string(&path) {
        Ok(text) => match uuid::Uuid::try_parse(text.trim()) {
            Ok(id) => Ok(id.to_string()),
            Err(_) => Err(JournalError::Id { path }),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => make_id(dir),
        Err(e) => Err(JournalError::file("read", &path)(e)),
    }
}

fn make_id(dir: &Path) -> Result<String, JournalError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(JournalError::Random)?;
    let id = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
    write_whole(dir, "id", format!("{id}\n").as_bytes())
        .map_err(JournalError::file("write", &dir.join("id")))?;
    Ok(id)
}

/// This name, or the first like it that nothing has.
fn free_name(dir: &Path, name: &str) -> String {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !dir.join(name).exists()).unwrap_or_else(|| name.to_owned())
}

/// A number that is missing or can't be read counts as 0: everything is sent again, and central drops repeats.
fn load_acknowledged(dir: &Path) -> u64 {
    fs::read_to_string(dir.join("acknowledged")).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
}
