//! What outlasts a restart: the feed and the stored events, each in a file of its own beside the session.
//!
//! [`Keeper::settle`] runs after everything the session does and before anybody can take a message from its outbox: what
//! is not on disk is neither sent nor acknowledged. A disk that takes no more silences central, and says so.
//!
//! ```text
//!   FEED                                             EVENTS
//!   {"list":{"controller","epoch","head",…}}         {"journal":…,"event":{…}}   one a line, as received
//!   {"record":{…}}   as of head, one a line
//!   {"past":{…}}     changes up to head, for those who ask
//!   {"n":…,"change":{…}}   what came after: appended
//! ```

use super::feed::{Feed, KeptFeed, LOG_CHANGES_MAX, Position};
use super::ledger::Ledger;
use super::lines::{Found, Lines, LinesError};
use super::session::Session;
use serde_json::{Value, json};
use std::path::Path;

/// Appended changes after which the feed's file is written anew: it stays within a few times what it has to hold.
const APPENDED_MAX: usize = 2 * LOG_CHANGES_MAX;

/// Why central can't go on from a file.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The file itself.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// It is whole, and another controller's.
    #[error("{path} is the feed of controller {found}, not of {controller}; each has a file of its own")]
    OtherController {
        /// The file.
        path: std::path::PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        controller: String,
    },
}

/// A session and the files it is kept in, if it is.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub session: Session,
    feed: Option<FeedFile>,
    events: Option<EventsFile>,
    /// Why nothing is kept any more.
    pub trouble: Option<String>,
}

impl Keeper {
    /// A session that begins with what the files hold; also what was found in them, as sentences.
    pub fn open(
        mut session: Session,
        feed: Option<&Path>,
        events: Option<&Path>,
    ) -> Result<(Keeper, Vec<String>), KeepError> {
        let mut said = Vec::new();
        let feed = feed.map(|path| FeedFile::open(path, &mut session, &mut said)).transpose()?;
        let events = events.map(|path| EventsFile::open(path, &mut session.ledger, &mut said)).transpose()?;
        let mut keeper = Keeper { session, feed, events, trouble: None };
        keeper.settle();
        Ok((keeper, said))
    }

    /// Puts on disk what is new. Afterwards what waits in the outbox may leave.
    pub fn settle(&mut self) {
        let (feed, ledger) = (&self.session.feed, &self.session.ledger);
        let kept = self.feed.as_mut().map_or(Ok(()), |file| file.keep(feed));
        let kept = kept.and_then(|()| self.events.as_mut().map_or(Ok(()), |file| file.keep(ledger)));
        if let Err(error) = kept {
            self.session.fall_silent();
            self.trouble.get_or_insert_with(|| crate::orders::chain(&error));
        }
    }
}

#[derive(Debug)]
struct FeedFile {
    lines: Lines,
    kept: Position,
    appended: usize,
}

impl FeedFile {
    fn open(path: &Path, session: &mut Session, said: &mut Vec<String>) -> Result<FeedFile, KeepError> {
        let (lines, found) = Lines::open(path)?;
        let controller = session.controller().to_owned();
        let list = found.lines.first().and_then(|line| line.get("list")).cloned().unwrap_or_default();
        let theirs = list.get("controller").and_then(Value::as_str).unwrap_or_default();
        if !theirs.is_empty() && theirs != controller {
            let (path, found) = (path.to_owned(), theirs.to_owned());
            return Err(KeepError::OtherController { path, found, controller });
        }
        let nothing = Position { epoch: 0, applied: 0 };
        let mut file = FeedFile { lines, kept: nothing, appended: 0 };
        let name = path.display();
        if found == Found::default() {
            let epoch = session.feed.position().epoch;
            said.push(format!("{name} is new: begins epoch {epoch} with a snapshot"));
            return Ok(file);
        }
        if let Some((feed, appended)) = restored(&controller, &found, &list) {
            (file.kept, file.appended) = (feed.position(), appended);
            let Position { epoch, applied } = file.kept;
            said.push(format!("{name}: goes on in epoch {epoch} at change {applied}{}", cut(&found)));
            session.take_up(feed);
            return Ok(file);
        }
        let aside = file.lines.set_aside()?;
        let known = list.get("epoch").and_then(Value::as_u64).unwrap_or(0);
        if session.feed.position().epoch <= known {
            session.feed.new_epoch_above(known);
        }
        said.push(format!(
            "{name} is damaged{} and not believed (a revocation may be what it lost): a copy is in {}; begins epoch {} \
             with an empty snapshot: hand out cards and bookings again",
            found.damaged_line.map_or(String::new(), |line| format!(" in line {line}")),
            aside.display(),
            session.feed.position().epoch
        ));
        Ok(file)
    }

    fn keep(&mut self, feed: &Feed) -> Result<(), LinesError> {
        let now = feed.position();
        if now == self.kept {
            return Ok(());
        }
        let same_list = now.epoch == self.kept.epoch && self.appended < APPENDED_MAX;
        match feed.changes_after(self.kept.applied).filter(|_| same_list) {
            Some(changes) => {
                let numbered = (self.kept.applied + 1..).zip(changes);
                let lines: Vec<Value> =
                    numbered.map(|(n, change)| json!({ "n": n, "change": change })).collect();
                self.appended += lines.len();
                self.lines.append(lines)?;
            }
            None => {
                self.lines.replace(whole(feed))?;
                self.appended = 0;
            }
        }
        self.kept = now;
        Ok(())
    }
}

/// The file anew: the list as it stands.
fn whole(feed: &Feed) -> impl Iterator<Item = Value> {
    let Position { epoch, applied } = feed.position();
    let (records, past) = (feed.records().count(), feed.log().len());
    let list = json!({ "list": { "controller": feed.controller(), "epoch": epoch, "head": applied,
                                 "records": records, "past": past } });
    let records = feed.records().map(|record| json!({ "record": record }));
    let past = feed.log().map(|change| json!({ "past": change }));
    std::iter::once(list).chain(records).chain(past)
}

/// The feed as the file has it, and how many changes were appended to it; nothing if a line is missing or odd.
fn restored(controller: &str, found: &Found, list: &Value) -> Option<(Feed, usize)> {
    if found.damaged_line.is_some() {
        return None;
    }
    let number = |field: &str| list.get(field).and_then(Value::as_u64);
    let count = |field: &str| number(field).and_then(|count| usize::try_from(count).ok());
    let (epoch, head) = (number("epoch")?, number("head")?);
    let mut lines = found.lines.iter().skip(1);
    let mut take = |count: usize, field: &str| {
        let taken = lines.by_ref().take(count).map(|line| line.get(field).cloned());
        taken.collect::<Option<Vec<Value>>>().filter(|taken| taken.len() == count)
    };
    let (records, past) = (take(count("records")?, "record")?, take(count("past")?, "past")?);
    let changes: Option<Vec<Value>> = (head + 1..)
        .zip(lines)
        .map(|(n, line)| line.get("change").filter(|_| line.get("n") == Some(&json!(n))).cloned())
        .collect();
    let kept = KeptFeed { epoch, head, records, past, changes: changes? };
    let appended = kept.changes.len();
    Some((Feed::restored(controller, kept).ok()?, appended))
}

#[derive(Debug)]
struct EventsFile {
    lines: Lines,
    kept: usize,
}

impl EventsFile {
    fn open(path: &Path, ledger: &mut Ledger, said: &mut Vec<String>) -> Result<EventsFile, KeepError> {
        let (mut lines, found) = Lines::open(path)?;
        for line in &found.lines {
            let journal = line.get("journal").and_then(Value::as_str).unwrap_or_default();
            ledger.restore(journal, line.get("event").cloned().unwrap_or_default());
        }
        let (name, kept) = (path.display(), found.lines.len());
        if let Some(line) = found.damaged_line {
            let aside = lines.set_aside()?;
            said.push(format!(
                "{name} is damaged in line {line}: a copy is in {}; goes on with the {kept} events before it",
                aside.display()
            ));
            lines.replace(found.lines)?;
        } else {
            said.push(format!("{name}: {kept} events are stored{}", cut(&found)));
        }
        Ok(EventsFile { lines, kept })
    }

    fn keep(&mut self, ledger: &Ledger) -> Result<(), LinesError> {
        let new = ledger.entries_from(self.kept);
        self.lines.append(new.map(|(journal, event)| json!({ "journal": journal, "event": event })))?;
        self.kept = ledger.events().len();
        Ok(())
    }
}

fn cut(found: &Found) -> String {
    match found.cut_bytes {
        0 => String::new(),
        bytes => format!(" (a torn last line of {bytes} bytes was cut: nobody had been told of it)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn grant(id: &str) -> Value {
        json!({ "type": "grant", "id": id, "kind": "standing", "holder": "m-1", "zones": ["perimeter"] })
    }

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Files {
            Files { folder: tempfile::tempdir().unwrap() }
        }

        fn feed(&self) -> PathBuf {
            self.folder.path().join("feed.jsonl")
        }

        fn events(&self) -> PathBuf {
            self.folder.path().join("events.jsonl")
        }

        /// As a start does, at an epoch above any that was.
        fn start(&self, epoch: u64) -> (Keeper, String) {
            let session = Session::new("demo-1", epoch);
            let (feed, events) = (self.feed(), self.events());
            let (mut keeper, said) = Keeper::open(session, Some(&feed), Some(&events)).unwrap();
            keeper.session.connected();
            (keeper, said.join("\n"))
        }
    }

    fn put(keeper: &mut Keeper, ids: &[&str]) {
        for id in ids {
            keeper.session.feed.put(grant(id)).unwrap();
            keeper.session.flush();
            keeper.settle();
        }
    }

    #[test]
    fn a_feed_goes_on_where_it_was_in_the_same_epoch() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        put(&mut keeper, &["g-1", "g-2", "g-3"]);
        keeper.session.feed.delete("grant", "g-2");
        keeper.settle();
        let (position, digest) = (keeper.session.feed.position(), keeper.session.feed.digest());
        drop(keeper);
        let (keeper, said) = files.start(100);
        assert_eq!((keeper.session.feed.position(), keeper.session.feed.digest()), (position, digest));
        assert!(keeper.session.feed.messages_after(1).is_some(), "changes are still known by number");
        assert!(said.contains("goes on in epoch 7 at change 4"), "{said}");
    }

    #[test]
    fn a_new_epoch_and_a_long_file_are_written_anew_and_hold_the_same() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        put(&mut keeper, &["g-1", "g-2", "g-1"]);
        keeper.session.new_epoch();
        keeper.settle();
        put(&mut keeper, &["g-4"]);
        for number in 0..APPENDED_MAX + 2 {
            keeper.session.feed.put(grant(&format!("g-{}", number % 9))).unwrap();
            if number % (LOG_CHANGES_MAX / 2) == 0 {
                keeper.settle();
            }
        }
        keeper.settle();
        put(&mut keeper, &["g-5"]);
        let (position, digest) = (keeper.session.feed.position(), keeper.session.feed.digest());
        drop(keeper);
        let lines = fs::read_to_string(files.feed()).unwrap().lines().count();
        assert!(lines < APPENDED_MAX, "{lines} lines");
        let (keeper, _) = files.start(100);
        assert_eq!((keeper.session.feed.position(), keeper.session.feed.digest()), (position, digest));
        assert_eq!(position.epoch, 8);
    }

    #[test]
    fn a_feed_torn_in_mid_write_ends_before_the_torn_change() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        put(&mut keeper, &["g-1", "g-2"]);
        drop(keeper);
        let bytes = fs::read(files.feed()).unwrap();
        fs::write(files.feed(), &bytes[..bytes.len() - 10]).unwrap();
        let (keeper, said) = files.start(100);
        assert_eq!(keeper.session.feed.position(), Position { epoch: 7, applied: 1 });
        assert!(said.contains("a torn last line of"), "{said}");
    }

    #[test]
    fn a_damaged_or_lost_feed_begins_a_higher_epoch_and_is_set_aside() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        put(&mut keeper, &["g-1", "g-2"]);
        drop(keeper);
        let text = fs::read_to_string(files.feed()).unwrap();
        fs::write(files.feed(), text.replacen("g-1", "g-9", 1)).unwrap();
        // A clock that was set back gives a lower epoch; it is still not the one begun.
        let (keeper, said) = files.start(3);
        assert_eq!(keeper.session.feed.position(), Position { epoch: 8, applied: 0 });
        assert!(said.contains("is damaged in line 2"), "{said}");
        assert!(files.folder.path().join("feed.jsonl.damaged-1").exists());
        drop(keeper);
        fs::remove_file(files.feed()).unwrap();
        let (keeper, said) = files.start(100);
        assert_eq!(keeper.session.feed.position().epoch, 100);
        assert!(said.contains("is new"), "{said}");
    }

    #[test]
    fn a_line_missing_in_the_middle_is_damage() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        put(&mut keeper, &["g-1", "g-2", "g-3"]);
        drop(keeper);
        let text = fs::read_to_string(files.feed()).unwrap();
        let without: Vec<&str> =
            text.lines().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| line).collect();
        fs::write(files.feed(), without.join("\n") + "\n").unwrap();
        assert_eq!(files.start(100).0.session.feed.position(), Position { epoch: 100, applied: 0 });
    }

    #[test]
    fn another_controllers_feed_is_refused() {
        let files = Files::new();
        drop(files.start(7));
        let refused = Keeper::open(Session::new("demo-2", 8), Some(&files.feed()), None).unwrap_err();
        assert!(matches!(refused, KeepError::OtherController { .. }), "{refused}");
    }

    fn event(seq: u64) -> Value {
        let mut event =
            json!({ "seq": seq, "type": "door.opened", "prev": super::super::digest::FIRST_PREV });
        event["hash"] = json!(super::super::digest::event_hash(&event));
        event
    }

    fn hear(keeper: &mut Keeper, events: &[Value]) {
        let message = json!({ "controller": "demo-1", "journal": "j-1", "events": events }).to_string();
        keeper.session.received("events", message.as_bytes(), false);
        keeper.settle();
    }

    #[test]
    fn events_are_stored_once_across_restarts_and_acknowledged_again() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        hear(&mut keeper, &[event(1)]);
        drop(keeper);
        let (mut keeper, said) = files.start(7);
        assert!(said.contains("1 events are stored"), "{said}");
        let ack = keeper.session.next_outgoing().unwrap();
        assert!(String::from_utf8(ack.payload).unwrap().contains("\"through\":1"));
        hear(&mut keeper, &[event(1)]);
        assert_eq!((keeper.session.ledger.events().len(), keeper.session.ledger.repeats()), (1, 1));
        drop(keeper);
        assert_eq!(fs::read_to_string(files.events()).unwrap().lines().count(), 1);
    }

    #[test]
    fn events_before_the_damage_are_kept() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        hear(&mut keeper, &[event(1)]);
        hear(&mut keeper, &[event(2)]);
        drop(keeper);
        let text = fs::read_to_string(files.events()).unwrap();
        fs::write(files.events(), text.replace("\"seq\":2", "\"seq\":3")).unwrap();
        let (keeper, said) = files.start(7);
        assert_eq!(keeper.session.ledger.events(), [event(1)]);
        assert!(said.contains("damaged in line 2"), "{said}");
        drop(keeper);
        assert!(files.start(7).1.contains("1 events are stored"));
    }

    #[test]
    fn a_disk_that_takes_no_more_silences_central() {
        let files = Files::new();
        let (mut keeper, _) = files.start(7);
        fs::remove_dir_all(files.folder.path()).unwrap();
        keeper.session.feed.put(grant("g-1")).unwrap();
        keeper.session.new_epoch();
        keeper.settle();
        assert_eq!(keeper.session.next_outgoing(), None);
        assert!(keeper.trouble.unwrap().contains("can't be rewritten"));
        keeper.session.flush();
        assert_eq!(keeper.session.next_outgoing(), None);
    }
}
