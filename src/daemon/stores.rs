//! The stores at start: opened in the order they need each other, and what the journal tells beyond the cache's notes.
//!
//! ```text
//!  mark ─► UID key (or the one in the cache's copy) ─► journal ─► cache (or its copy) ─► the journal's later entries
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{config::Config, start::StartError};
use crate::{
    control::{
        Note,
        commands_taken::CommandsTaken,
        controller::{JournalEnd, Known, Restored},
        desk,
        let_in::LetIn,
        modes::{self, Changed, Modes},
        settings::Settings,
    },
    domain::{At, BookingId, DoorId, DoorMode, EntryKind, HolderId},
    drivers::store::{
        cache::{self, Keeper, Kept, Loaded, Recovered, copy, restoring},
        journal::{self, Opened, reader::Reader},
        key,
        mark::MarkFile,
    },
    wire::{
        UidHasher,
        desk::StoredCard,
        stored::{StoredEnd, StoredModes},
        uid_hash::KEY_LEN,
    },
};

/// The open stores, and what they hold.
#[derive(Debug)]
pub struct Stores {
    pub hasher: UidHasher,
    pub opened: Opened,
    pub journal_key: [u8; KEY_LEN],
    pub mark: Arc<MarkFile>,
    pub keeper: Keeper,
    pub restored: Restored,
}

/// Opens what is in the state directory, which is locked.
pub fn open(config: &Config, settings: &Settings, flush_is_barrier: bool) -> Result<Stores, StartError> {
    let (mark, mark_said) = MarkFile::open(&config.state_dir, &config.controller)?;
    let adopted = restoring::adopt(&config.state_dir, config.controller.as_str())?;
    let (restored_from, not_restored) = match adopted {
        Some(Ok(said)) => (Some(said), None),
        Some(Err(said)) => (None, Some(said)),
        None => (None, None),
    };
    let copied = copy::header(&config.state_dir.join(copy::FILE)).ok();
    let copied = copied.filter(|header| header.controller == config.controller.as_str());
    let (uid_key, key_said) = key::uid_key(&config.state_dir, copied.map(|header| header.uid_key))?;
    let (journal_key, journal_key_said) = key::journal_key(&config.state_dir)?;
    let hasher = UidHasher::new(&uid_key);
    let opened = open_journal(config, &mark)?;
    let mark = Arc::new(mark);
    let cache = cache::Config {
        state_dir: config.state_dir.clone(),
        controller: config.controller.clone(),
        uid_check: hasher.check(),
        uid_key,
        journal: opened.id.clone(),
        restored: restored_from,
        doors: settings.places(),
        flush_is_barrier,
    };
    let (mut keeper, mut loaded) = cache::open(cache, mark.clone())?;
    let ahead = as_of(opened.end.seq, &mut loaded.kept);
    let place = (loaded.position.epoch, loaded.position.applied);
    let notes = replayed(config, &opened, &mut loaded.kept, place);
    keeper.note_all(ahead.into_iter().chain(notes));
    let mut remarks: Vec<EntryKind> = Vec::new();
    for Recovered { count, detail } in std::mem::take(&mut loaded.recovered) {
        remarks.push(EntryKind::StoreRecovered { count, detail });
    }
    remarks.extend(opened.torn.iter().map(|d| remark(&format!("journal: {d}"))));
    remarks.extend([mark_said, not_restored, key_said, journal_key_said].iter().flatten().map(|d| remark(d)));
    let restored = restored(&opened, &mark, loaded, remarks);
    Ok(Stores { hasher, opened, journal_key, mark, keeper, restored })
}

fn open_journal(config: &Config, mark: &MarkFile) -> Result<Opened, StartError> {
    let own = journal::Config {
        state_dir: config.state_dir.clone(),
        controller: config.controller.clone(),
        keep: config.keep,
        max_events: config.max_events,
    };
    Ok(Opened::open(own, &mark.get())?)
}

fn remark(detail: &str) -> EntryKind {
    EntryKind::StoreRecovered { count: 1, detail: detail.to_owned() }
}

fn restored(opened: &Opened, mark: &MarkFile, loaded: Loaded, remarks: Vec<EntryKind>) -> Restored {
    let Loaded { index, position, kept, closed, .. } = loaded;
    let Kept { let_in, heard, modes, commands, commands_from, cards, .. } = kept;
    let journal = JournalEnd {
        id: opened.id.clone(),
        seq: opened.end.seq,
        acknowledged: opened.acknowledged,
        at: opened.end.at,
        checkpoint: opened.checkpoint.clone(),
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
    let mark = mark.get();
    let synchronised = mark.clock.and_then(|held| held.of_this_run());
    let known = Known { floor: (mark.epoch, mark.applied), latest: mark.latest, closed, synchronised };
    let commands = CommandsTaken::new(commands, commands_from);
    Restored { index, position, let_in, heard, journal, modes, commands, known, cards, remarks }
}

/// A power cut may take the journal's last entries, and leave notes that were made of them. Their numbers are used again,
/// by entries that must not count as older: nothing is newer than the journal's last entry. Returns what is to be noted
/// anew. A door that was kept open on an entry that is gone is not any longer; that it was is left to be recorded.
fn as_of(end: u64, kept: &mut Kept) -> Vec<Note> {
    let mut notes = Vec::new();
    for (door, modes) in kept.modes.iter_mut().filter(|(_, modes)| modes.seq > end) {
        let is_open = Modes::shown(modes).is_open();
        let noted = StoredModes { seq: end, ..if is_open { modes::shut(modes) } else { *modes } };
        if !is_open {
            *modes = noted;
        }
        notes.push(Note::Modes { door: door.clone(), modes: noted });
    }
    for (credential, card) in kept.cards.iter_mut().filter(|(_, card)| card.seq > end) {
        card.seq = end;
        notes.push(Note::Card { credential: credential.clone(), card: card.clone() });
    }
    if kept.checkpoint > end {
        kept.checkpoint = end;
        notes.push(Note::Checkpoint { seq: end });
    }
    notes
}

/// What happened after the cache's last note stands in the journal: guests let in, changes of doors' modes, and cards at
/// the desk. What of it is news to the cache is returned, to be noted there: later notes go on from later entries.
fn replayed(config: &Config, opened: &Opened, kept: &mut Kept, place: (u64, u64)) -> Vec<Note> {
    let mut reader = Reader::of_state(&config.state_dir);
    let (mut notes, mut doors, mut cards) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    replay(&mut reader, kept.checkpoint, opened.end.seq, |event| {
        notes.extend(replay_guest(event, &mut kept.let_in));
        if let Some(door) = replay_mode(event, &mut kept.modes) {
            doors.insert(door);
        }
        if let Some(told) = StoredCard::told(event) {
            cards.extend(desk::replay(&mut kept.cards, told, place));
        }
    });
    let cards = cards.into_iter().filter_map(|credential| {
        let card = kept.cards.get(&credential)?.clone();
        Some(Note::Card { credential, card })
    });
    let modes = doors.into_iter().filter_map(|door| {
        let modes = *kept.modes.get(&door)?;
        Some(Note::Modes { door, modes })
    });
    // A guest's note moves the checkpoint, so it comes behind all that it may move it over.
    modes.chain(cards).chain(notes).collect()
}

fn replay(reader: &mut Reader, after: u64, through: u64, mut each: impl FnMut(&Value)) {
    const SLICE: usize = 1000;
    const TYPES: [&str; 4] = [
        "\"guest.arrived\"",
        "\"door.mode_changed\"",
        "\"credential.activated\"",
        "\"credential.suspended\"",
    ];
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

/// Returns the note that was missing.
fn replay_guest(event: &Value, let_in: &mut LetIn) -> Option<Note> {
    if text(event, "type") != "guest.arrived" {
        return None;
    }
    let booking = BookingId::new(text(event, "booking")).ok()?;
    let holder = HolderId::new(text(event, "holder")).ok()?;
    let at = At::parse(text(event, "at")).ok()?;
    let seq = event.get("seq").and_then(Value::as_u64)?;
    let_in.add(booking.clone(), holder.clone(), at);
    Some(Note::LetIn { booking, holder, at, seq })
}

/// Returns the door, if that is news of it.
fn replay_mode(event: &Value, modes: &mut BTreeMap<DoorId, StoredModes>) -> Option<DoorId> {
    let door = DoorId::new(text(event, "door")).ok()?;
    let (to, seq) = (DoorMode::parse(text(event, "to"))?, event.get("seq").and_then(Value::as_u64)?);
    if text(event, "type") != "door.mode_changed" {
        return None;
    }
    let stored = modes.entry(door.clone()).or_default();
    if seq <= stored.seq {
        return None;
    }
    let timed = At::parse(text(event, "until")).ok().map(|until| {
        // An instant of a clock in doubt is none: such a mode ends with the restart.
        let at = (text(event, "clock") != "untrusted").then_some(until);
        let for_s =
            At::parse(text(event, "at")).map_or(0, |from| until.since(from).as_secs().saturating_add(1));
        StoredEnd { at, for_s: u32::try_from(for_s).unwrap_or(u32::MAX) }
    });
    *stored = modes::replay(stored, Changed { seq, to, by: text(event, "by"), until: timed });
    Some(door)
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

    /// Its numbers are used again: entries of the next run must not count as older than it.
    #[test]
    fn a_note_of_an_entry_that_a_power_cut_took_counts_as_of_the_last_that_is_left() {
        let door = DoorId::new("entrance").unwrap();
        let noted = StoredModes { seq: 105, base: DoorMode::Blocked, ..StoredModes::default() };
        let mut kept =
            Kept { modes: BTreeMap::from([(door.clone(), noted)]), checkpoint: 105, ..Kept::default() };
        let modes = StoredModes { seq: 99, ..noted };
        let notes = [Note::Modes { door: door.clone(), modes }, Note::Checkpoint { seq: 99 }];
        assert_eq!(as_of(99, &mut kept), notes);
        assert!(replay_mode(&changed(100, "locked_down", &json!({})), &mut kept.modes).is_some());
        assert_eq!(kept.modes[&door].held, Some((DoorMode::LockedDown, None)));
        assert_eq!(as_of(100, &mut kept), [], "what is behind stays as it was");
    }

    /// The controller finds that its entry is not on disk, and records that the door is locked.
    #[test]
    fn a_door_that_was_open_on_an_entry_that_is_gone_is_not_noted_to_be() {
        let door = DoorId::new("entrance").unwrap();
        let open = StoredModes { seq: 105, base: DoorMode::Unlocked, ..StoredModes::default() };
        let mut kept = Kept { modes: BTreeMap::from([(door.clone(), open)]), ..Kept::default() };
        let locked = StoredModes { seq: 99, ..StoredModes::default() };
        assert_eq!(as_of(99, &mut kept), [Note::Modes { door: door.clone(), modes: locked }]);
        assert_eq!(kept.modes[&door], open);
    }
}
