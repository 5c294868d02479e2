//! Whose cache it is, and notes.

use std::collections::BTreeMap;

use super::*;
use crate::{
    domain::DoorMode,
    wire::stored::{StoredEnd, StoredModes},
};

#[test]
fn another_controllers_cache_is_refused_and_left_alone() {
    let site = Site::new();
    ladder::fill(&site);
    let error = site.try_start(site.config("bergen-1")).unwrap_err().to_string();
    assert!(error.starts_with("the cache is controller oslo-1's, this is bergen-1; "), "{error}");
    assert_eq!(site.names(), ["cache"]);
    assert_eq!(site.open().1.position.applied, 900);
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
    let left: Vec<String> = loaded.kept.let_in.iter().map(|(b, h, at)| format!("{b} {h} {at}")).collect();
    assert_eq!(left, ["b-11 m-3 2026-11-23T09:00:00.123Z", "b-2 m-1 2026-11-23T09:00:00.123Z"]);
    assert_eq!((loaded.kept.heard, loaded.kept.checkpoint), (heard, 1000));
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
    assert_eq!(site.open().1.kept.modes, BTreeMap::from([(entrance, last), (side, first)]));
}

#[test]
fn a_guest_let_in_moves_the_checkpoint() {
    let site = Site::new();
    let (database, _) = site.open();
    let (booking, holder) = (BookingId::new("b-1").unwrap(), HolderId::new("m-1").unwrap());
    let at = At::parse("2026-11-23T09:00:00Z").unwrap();
    database.note(&Note::LetIn { booking, holder, at, seq: 77 }).unwrap();
    drop(database);
    assert_eq!(site.open().1.kept.checkpoint, 77);
}

#[test]
fn records_outlast_what_is_noted_and_notes_a_snapshot() {
    let site = Site::new();
    let (mut database, _) = site.open();
    database.note(&Note::Checkpoint { seq: 5 }).unwrap();
    stage(&mut database, part("s-1", 1, 1, &[grant("g-1", "m-1")])).unwrap();
    drop(database);
    let (_, loaded) = site.open();
    assert_eq!((loaded.kept.checkpoint, loaded.position.grants), (5, 1));
}
