//! From a configuration to a running site: one short function a subsystem, in the order they need each other.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::channel,
};

use super::{
    config::Config,
    logging::Levels,
    serve,
    site::{Parts, Site, reading},
    socket::SocketError,
    uplink::{self, Uplink},
    wiring::{self, Boards, Readers, WiringError},
};
use crate::{
    control::{
        Controller,
        commands_taken::CommandsTaken,
        controller::{JournalEnd, Restored},
        let_in::LetIn,
        modes::{self, Changed},
        settings::Settings,
    },
    domain::{At, BookingId, DoorId, DoorMode, EntryKind, HolderId},
    drivers::store::{
        barrier,
        cache::{self, CacheError, Database, Loaded},
        journal::{self, JournalError, Opened, reader::Reader},
        key::{self, KeyError},
        lock::{LockError, StateLock},
    },
    wire::{
        UidHasher,
        stored::{StoredEnd, StoredModes},
    },
};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("can't make the state directory {path}: {error}")]
    StateDir { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Wiring(#[from] WiringError),
    #[error("the system gives no {what}: {error}")]
    System { what: &'static str, error: std::io::Error },
}

impl StartError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> StartError {
        move |error| StartError::System { what, error }
    }
}

/// Events on their way to the controller. Readers and boards send few; a storm of them waits in the drivers.
const EVENTS: usize = 1024;

/// Runs the daemon until SIGTERM or SIGINT. `path`: where the configuration is read again on SIGHUP; `levels`: what of
/// it all is logged.
pub fn run(config: &Config, path: &Path, levels: &Levels) -> Result<(), StartError> {
    let barrier = barrier::install();
    if let Err(error) = &barrier {
        tracing::warn!(%error, "each change costs one more sync");
    }
    std::fs::create_dir_all(&config.state_dir)
        .map_err(|error| StartError::StateDir { path: config.state_dir.clone(), error })?;
    let _lock = StateLock::take(&config.state_dir)?;
    let hasher = UidHasher::new(&key::load(&config.state_dir)?);
    let settings = wiring::settings(config);
    let opened = open_journal(config)?;
    let (database, restored) = restore(config, &settings, &hasher, &opened, barrier.is_ok())?;
    let (controller, first_actions) = Controller::new(settings.clone(), hasher.clone(), restored, reading());
    let runtime = current_thread().map_err(StartError::system("runtime"))?;
    let (events, happening) = channel(EVENTS);
    let journal_id = opened.id.clone();
    let Uplink { commands, settings: link, ends: link_ends } =
        uplink::start(config, hasher, journal_id, events.clone())?;
    let site = runtime.block_on(async {
        let site = Site::new(Parts {
            controller,
            journal: journal::spawn(opened, events.clone())?,
            cache: cache::spawn(database, events.clone())?,
            uplink: commands,
            boards: Boards::start(config, &events),
            readers: Readers::start(config, &events)?,
            state_dir: config.state_dir.clone(),
            levels: levels.clone(),
            settings,
            events,
        });
        site.begin(first_actions);
        Ok::<_, StartError>(site)
    })?;
    serve::until_told_to_stop(&runtime, config, path, link, &site, happening)?;
    drop(site);
    // Not to wait for a file that is being read from a disk that stands still.
    runtime.shutdown_background();
    link_ends.wait();
    tracing::info!("stopped");
    Ok(())
}

pub(super) fn current_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn open_journal(config: &Config) -> Result<Opened, StartError> {
    Ok(Opened::open(journal::Config {
        state_dir: config.state_dir.clone(),
        keep: config.keep,
        max_events: config.max_events,
    })?)
}

/// What the stores hold, and what the journal tells beyond it.
fn restore(
    config: &Config,
    settings: &Settings,
    hasher: &UidHasher,
    opened: &Opened,
    flush_is_barrier: bool,
) -> Result<(Database, Restored), StartError> {
    let (database, loaded) = Database::open(cache::Config {
        state_dir: config.state_dir.clone(),
        controller: config.controller.clone(),
        uid_check: hasher.check(),
        doors: settings.places(),
        flush_is_barrier,
    })?;
    let Loaded { index, position, mut let_in, heard, mut modes, checkpoint, commands, recovered } = loaded;
    let mut reader = Reader::of_state(&config.state_dir);
    replay(&mut reader, checkpoint, opened.end.seq, |event| {
        replay_guest(event, &mut let_in);
        replay_mode(event, &mut modes);
    });
    let remarks = recovered.iter().map(|d| remark(&format!("cache: {d}")));
    let torn = opened.torn.iter().map(|d| remark(&format!("journal: {d}")));
    let journal = JournalEnd {
        id: opened.id.clone(),
        seq: opened.end.seq,
        acknowledged: opened.acknowledged,
        at: opened.end.at,
        on_disk: opened.on_disk(),
    };
    tracing::info!(
        credentials = index.credentials(),
        grants = index.grants(),
        epoch = position.epoch,
        applied = position.applied,
        events = journal.seq,
        "restored"
    );
    let commands = CommandsTaken::new(commands);
    let remarks = remarks.chain(torn).collect();
    Ok((database, Restored { index, position, let_in, heard, journal, modes, commands, remarks }))
}

fn remark(detail: &str) -> EntryKind {
    EntryKind::StoreRecovered { count: 1, detail: detail.to_owned() }
}

/// What happened after the cache's last note stands in the journal: guests let in, and changes of doors' modes.
fn replay(reader: &mut Reader, after: u64, through: u64, mut each: impl FnMut(&Value)) {
    const SLICE: usize = 1000;
    const TYPES: [&str; 2] = ["\"guest.arrived\"", "\"door.mode_changed\""];
    let mut from = after + 1;
    loop {
        let lines = reader.read(from, through, SLICE, usize::MAX);
        let Some(last) = lines.last().map(|l| l.seq) else { return };
        let told = lines.iter().filter(|l| TYPES.iter().any(|kind| l.text.contains(kind)));
        told.filter_map(|line| line.value()).for_each(|event| each(&event));
        from = last + 1;
    }
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn replay_guest(event: &Value, let_in: &mut LetIn) {
    if text(event, "type") != "guest.arrived" {
        return;
    }
    let ids = (
        BookingId::new(text(event, "booking")),
        HolderId::new(text(event, "holder")),
        At::parse(text(event, "at")),
    );
    if let (Ok(booking), Ok(holder), Ok(at)) = ids {
        let_in.add(booking, holder, at);
    }
}

fn replay_mode(event: &Value, modes: &mut BTreeMap<DoorId, StoredModes>) {
    let (door, to) = (DoorId::new(text(event, "door")), DoorMode::parse(text(event, "to")));
    let (Ok(door), Some(to), Some(seq)) = (door, to, event.get("seq").and_then(Value::as_u64)) else {
        return;
    };
    if text(event, "type") != "door.mode_changed" {
        return;
    }
    let stored = modes.entry(door).or_default();
    if seq <= stored.seq {
        return;
    }
    let timed = At::parse(text(event, "until")).ok().map(|until| {
        // An instant of a clock in doubt is none: such a mode ends with the restart.
        let at = (text(event, "clock") != "untrusted").then_some(until);
        let for_s =
            At::parse(text(event, "at")).map_or(0, |from| until.since(from).as_secs().saturating_add(1));
        StoredEnd { at, for_s: u32::try_from(for_s).unwrap_or(u32::MAX) }
    });
    *stored = modes::replay(stored, Changed { seq, to, by: text(event, "by"), until: timed });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(seq: u64, to: &str, more: &Value) -> Value {
        let mut event = json!({"seq": seq, "at": "2026-11-23T09:00:00.500Z", "type": "door.mode_changed",
            "door": "entrance", "from": "locked", "to": to, "by": "anna (1000)"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    #[test]
    fn what_the_journal_says_after_the_caches_note_counts_and_what_it_said_before_does_not() {
        let door = DoorId::new("entrance").unwrap();
        let noted = StoredModes { seq: 7, base: DoorMode::Blocked, ..StoredModes::default() };
        let mut modes = BTreeMap::from([(door.clone(), noted)]);
        replay_mode(&changed(7, "unlocked", &json!({})), &mut modes);
        assert_eq!(modes[&door], noted);
        replay_mode(&changed(8, "unlocked", &json!({"until": "2026-11-23T09:00:30.500Z"})), &mut modes);
        let until = StoredEnd { at: At::parse("2026-11-23T09:00:30.500Z").ok(), for_s: 31 };
        assert_eq!(modes[&door], StoredModes { seq: 8, unlocked_until: Some(until), ..noted });
        replay_mode(&changed(9, "locked_down", &json!({})), &mut modes);
        let held = Some((DoorMode::LockedDown, None));
        assert_eq!(modes[&door], StoredModes { seq: 9, unlocked_until: Some(until), held, ..noted });
    }

    #[test]
    fn an_end_by_a_clock_in_doubt_is_none() {
        let door = DoorId::new("entrance").unwrap();
        let mut modes = BTreeMap::new();
        let doubtful = json!({"until": "2026-11-23T09:00:30Z", "clock": "untrusted"});
        replay_mode(&changed(8, "unlocked", &doubtful), &mut modes);
        assert_eq!(modes[&door].unlocked_until.unwrap().at, None);
        let other = json!({"seq": 9, "type": "door.opened", "door": "entrance", "to": "unlocked"});
        replay_mode(&other, &mut modes);
        assert_eq!(modes[&door].seq, 8);
    }
}
