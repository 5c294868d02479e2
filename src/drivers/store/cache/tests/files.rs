//! Whose cache it is, notes, and files that are damaged: set aside, never deleted, never believed in part.

use std::{collections::BTreeMap, fs, path::Path};

use super::*;
use crate::{
    domain::DoorMode,
    wire::stored::{StoredEnd, StoredModes, encode},
};

/// What a cache held, and its position.
type State = (Vec<String>, Position);

/// Fills a cache, message by message. Returns every state it has been in, the last one at the end.
fn fill(site: &Site) -> Vec<State> {
    let (mut database, mut loaded) = site.open();
    let mut states = vec![(dump(&loaded.index), loaded.position)];
    for n in 0..20u64 {
        let changes = [
            put(&grant(&format!("g-{n}"), "m-1")),
            put(&credential(&format!("c-{n}"), &format!("04A1B2{n:02X}"), "m-1")),
        ];
        let applied = database.apply_alone(2 * n + 2, 0, &items(&changes)).unwrap();
        follow(&mut loaded.index, &applied);
        states.push((dump(&loaded.index), applied.position));
    }
    let snapshot = part("s-1", 1, 1, &[grant("g-1", "m-1"), credential("c-1", UIDS[0], "m-1")]);
    let Staged::InForce { position, index, .. } = stage(&mut database, snapshot).unwrap() else {
        unreachable!()
    };
    states.push((dump(&index), position));
    states
}

fn raw<T>(site: &Site, change: impl FnOnce(&sled::Db) -> T) -> T {
    let db = sled::open(site.path()).unwrap();
    let done = change(&db);
    db.flush().unwrap();
    done
}

#[test]
fn another_controllers_cache_is_refused_and_left_alone() {
    let site = Site::new();
    fill(&site);
    let error = Database::open(site.config("bergen-1")).unwrap_err().to_string();
    assert!(error.starts_with("the cache is controller oslo-1's, this is bergen-1; "), "{error}");
    assert_eq!(site.names(), ["cache"]);
    assert_eq!(site.open().1.position.applied, 900);
}

#[test]
fn a_layout_of_another_version_is_refused_and_left_alone() {
    let site = Site::new();
    fill(&site);
    raw(&site, |db| db.open_tree("meta").unwrap().insert("schema", encode(&99u32).unwrap()).unwrap());
    let error = site.try_open().unwrap_err().to_string();
    assert!(error.starts_with("the cache has layout 99, this latchd reads 1; "), "{error}");
    assert_eq!(site.names(), ["cache"]);
}

#[test]
fn notes_outlast_a_restart() {
    let site = Site::new();
    let (database, _) = site.open();
    let at = At::parse("2026-11-23T09:00:00.123Z").unwrap();
    let let_in = |booking: &str, holder: &str, seq| Note::LetIn {
        booking: BookingId::new(booking).unwrap(),
        holder: HolderId::new(holder).unwrap(),
        at,
        seq,
    };
    let heard = Heard { central_at: Some(at) };
    for note in [
        let_in("b-1", "m-1", 5),
        let_in("b-1", "m-2", 6),
        let_in("b-11", "m-3", 7),
        Note::Heard(heard),
        Note::Forget { booking: BookingId::new("b-1").unwrap() },
        let_in("b-2", "m-1", 8),
        Note::Checkpoint { seq: 1000 },
    ] {
        database.note(&note).unwrap();
    }
    drop(database);
    let (_, loaded) = site.open();
    let left: Vec<String> = loaded.let_in.iter().map(|(b, h, at)| format!("{b} {h} {at}")).collect();
    assert_eq!(left, ["b-11 m-3 2026-11-23T09:00:00.123Z", "b-2 m-1 2026-11-23T09:00:00.123Z"]);
    assert_eq!((loaded.heard, loaded.checkpoint), (heard, 1000));
}

#[test]
fn doors_modes_outlast_a_restart_and_each_doors_last_counts() {
    let site = Site::new();
    let (database, _) = site.open();
    let (entrance, side) = (DoorId::new("entrance").unwrap(), DoorId::new("side").unwrap());
    let at = At::parse("2026-11-23T09:00:00Z").ok();
    let first = StoredModes { seq: 7, base: DoorMode::Unlocked, ..StoredModes::default() };
    let held = Some((DoorMode::LockedOpen, Some(StoredEnd { at, for_s: 30 })));
    let last = StoredModes { seq: 9, schedule_done: at, held, ..first };
    for (door, modes) in [(&entrance, first), (&side, first), (&entrance, last)] {
        database.note(&Note::Modes { door: door.clone(), modes }).unwrap();
    }
    drop(database);
    assert_eq!(site.open().1.modes, BTreeMap::from([(entrance, last), (side, first)]));
}

#[test]
fn a_guest_let_in_moves_the_checkpoint() {
    let site = Site::new();
    let (database, _) = site.open();
    let (booking, holder) = (BookingId::new("b-1").unwrap(), HolderId::new("m-1").unwrap());
    let at = At::parse("2026-11-23T09:00:00Z").unwrap();
    database.note(&Note::LetIn { booking, holder, at, seq: 77 }).unwrap();
    drop(database);
    assert_eq!(site.open().1.checkpoint, 77);
}

#[test]
fn records_outlast_what_is_noted_and_notes_a_snapshot() {
    let site = Site::new();
    let (mut database, _) = site.open();
    database.note(&Note::Checkpoint { seq: 5 }).unwrap();
    stage(&mut database, part("s-1", 1, 1, &[grant("g-1", "m-1")])).unwrap();
    drop(database);
    let (_, loaded) = site.open();
    assert_eq!((loaded.checkpoint, loaded.position.grants), (5, 1));
}

/// What damaged files may come to: a state the cache has been in, with the position of that (central is told, and sends
/// what came after), or nothing and a snapshot asked for. Never a part.
fn check_whole_or_nothing(site: &Site, states: &[State], damaged: &str) {
    let (_database, loaded) = site.open();
    let state = (dump(&loaded.index), loaded.position);
    assert!(states.contains(&state), "{damaged}: {:?}", loaded.position);
    if let Some(said) = loaded.recovered {
        check_set_aside(site, &said, damaged);
    }
}

/// Damage that shows must be said, and nothing of the cache believed.
fn check_noticed(site: &Site, states: &[State], damaged: &str) {
    let (_database, loaded) = site.open();
    check_set_aside(site, &loaded.recovered.unwrap_or_default(), damaged);
    assert_eq!((dump(&loaded.index), loaded.position), states[0], "{damaged}");
}

fn check_set_aside(site: &Site, said: &str, damaged: &str) {
    assert!(said.ends_with("asking central for a snapshot"), "{damaged}: {said:?}");
    assert!(site.names().contains(&"cache.damaged-1".to_owned()), "{damaged}: {:?}", site.names());
}

#[test]
fn damaged_files_are_set_aside_and_a_snapshot_is_asked_for() {
    for (damaged, file, change) in [
        ("no database", "db", (|path| fs::write(path, "").unwrap()) as fn(&Path)),
        ("garbage in the database", "db", |path| fs::write(path, [0xA5; 4096]).unwrap()),
        ("a database cut in half", "db", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a garbled middle", "db", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes.iter_mut().skip(600).step_by(97).for_each(|b| *b ^= 0x5A);
            fs::write(path, bytes).unwrap();
        }),
        ("a garbled configuration", "conf", |path| fs::write(path, "?").unwrap()),
    ] {
        let site = Site::new();
        let was = fill(&site);
        change(&site.path().join(file));
        check_whole_or_nothing(&site, &was, damaged);
    }
}

#[test]
fn what_was_set_aside_once_stays_beside_a_second_one() {
    let site = Site::new();
    for n in 1..=2 {
        fill(&site);
        raw(&site, |db| db.open_tree("meta").unwrap().clear().unwrap());
        let (_, loaded) = site.open();
        assert!(loaded.recovered.unwrap().contains(&format!("cache.damaged-{n}")));
    }
    assert_eq!(site.names(), ["cache", "cache.damaged-1", "cache.damaged-2"]);
}

#[test]
fn a_record_that_silently_went_missing_is_noticed() {
    let site = Site::new();
    let was = fill(&site);
    raw(&site, |db| db.open_tree("records.1").unwrap().remove("gg-1").unwrap().unwrap());
    check_noticed(&site, &was, "a missing grant");
    assert_eq!(site.open().1.position, Position::default(), "a part is not all");
}

#[test]
fn a_cache_that_forgot_what_it_is_is_not_taken_for_a_new_one() {
    let site = Site::new();
    let was = fill(&site);
    raw(&site, |db| db.open_tree("meta").unwrap().clear().unwrap());
    check_noticed(&site, &was, "empty metadata");
    let aside = sled::open(site.0.path().join("cache.damaged-1")).unwrap();
    assert!(aside.open_tree("records.1").unwrap().contains_key("gg-1").unwrap(), "nothing was deleted");
}

#[test]
fn records_that_silently_went_missing_all_together_are_noticed() {
    let site = Site::new();
    let was = fill(&site);
    raw(&site, |db| db.open_tree("records.1").unwrap().clear().unwrap());
    check_noticed(&site, &was, "no records");
}

#[test]
fn a_cache_hashed_under_another_key_is_set_aside() {
    let site = Site::new();
    fill(&site);
    let other_key = Config { uid_check: UidHasher::new(&[1; 32]).check(), ..site.config("oslo-1") };
    let (_, loaded) = Database::open(other_key).unwrap();
    assert!(loaded.recovered.unwrap().contains("uid.key"));
    assert_eq!(loaded.position, Position::default());
    assert!(site.0.path().join("cache.damaged-1").exists());
}
