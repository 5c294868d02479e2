//! Caches that can't be used: set aside, never deleted, never believed in part; the copy takes their place.

use std::{fs, path::Path};

use super::*;
use crate::{
    control::{CacheCommand, CacheEvent, Event},
    domain::DoorMode,
    drivers::store::cache::copy,
    wire::stored::{CommandsFrom, StoredModes, earlier::ModesWithoutSchedule, encode},
};

/// What a cache held, and its position.
type State = (Vec<String>, Position);

/// Fills a cache, message by message. Returns every state it has been in, the last one at the end.
pub fn fill(site: &Site) -> Vec<State> {
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

/// A site whose cache was stopped as it should be, so that there is a copy; and what it held.
pub fn copied() -> (Site, State) {
    let site = Site::new();
    let states = fill(&site);
    let (keeper, loaded) = site.start();
    assert!(loaded.recovered.is_empty(), "{:?}", loaded.recovered);
    site.stop(keeper);
    assert_eq!(site.names(), ["cache", "cache.copy"]);
    (site, states.last().unwrap().clone())
}

fn state(loaded: &Loaded) -> State {
    (dump(&loaded.index), loaded.position)
}

fn said(loaded: &Loaded) -> String {
    loaded.recovered.iter().map(|r| format!("{} {}", r.count, r.detail)).collect::<Vec<_>>().join("\n")
}

/// Lets a keeper work until its cache is open, as its thread would; and stops it.
fn open_again(site: &Site, keeper: Keeper) -> Vec<CacheEvent> {
    let (jobs, waiting) = sync_channel(1);
    let (events, mut reported) = channel(1000);
    let thread = std::thread::Builder::new().spawn(move || keeper.run(&waiting, &events)).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = reported.blocking_recv() {
        let Event::Cache(event) = event else { panic!("{event:?}") };
        let is_open = matches!(event, CacheEvent::Opened { .. });
        seen.push(event);
        if is_open {
            break;
        }
    }
    drop(jobs);
    thread.join().unwrap();
    assert!(site.path().exists());
    seen
}

fn cut(path: &Path, to: impl FnOnce(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..to(bytes.len())]).unwrap();
}

type Damage = (&'static str, fn(&Path));

/// Ways in which the cache's files can be lost or damaged, by what is done to the state directory.
const DAMAGES: [Damage; 12] = [
    ("the cache is gone", |state| fs::remove_dir_all(state.join("cache")).unwrap()),
    ("its files are gone", |state| {
        fs::remove_dir_all(state.join("cache")).unwrap();
        fs::create_dir(state.join("cache")).unwrap();
    }),
    ("no database", |state| fs::write(state.join("cache/db"), "").unwrap()),
    ("the database is gone", |state| fs::remove_file(state.join("cache/db")).unwrap()),
    ("garbage in the database", |state| fs::write(state.join("cache/db"), [0xA5; 4096]).unwrap()),
    ("zeros for a database", |state| {
        let len = fs::metadata(state.join("cache/db")).unwrap().len() as usize;
        fs::write(state.join("cache/db"), vec![0; len]).unwrap();
    }),
    ("a database cut in half", |state| cut(&state.join("cache/db"), |len| len / 2)),
    ("a database cut to a quarter", |state| cut(&state.join("cache/db"), |len| len / 4)),
    ("a garbled middle", |state| {
        let mut bytes = fs::read(state.join("cache/db")).unwrap();
        bytes.iter_mut().skip(600).step_by(97).for_each(|b| *b ^= 0x5A);
        fs::write(state.join("cache/db"), bytes).unwrap();
    }),
    ("a garbled configuration", |state| fs::write(state.join("cache/conf"), "?").unwrap()),
    ("a file in the cache's place", |state| {
        fs::remove_dir_all(state.join("cache")).unwrap();
        fs::write(state.join("cache"), "what?").unwrap();
    }),
    ("a newer layout", |state| {
        let db = sled::open(state.join("cache")).unwrap();
        db.open_tree("meta").unwrap().insert("schema", encode(&99u32).unwrap()).unwrap();
        db.flush().unwrap();
    }),
];

#[test]
fn whatever_happens_to_the_cache_its_copy_takes_its_place() {
    for (damaged, damage) in DAMAGES {
        let (site, expected) = copied();
        damage(site.0.path());
        let (keeper, loaded) = site.start();
        assert_eq!(state(&loaded), expected, "{damaged}");
        // sled mends some of it by itself: then nothing was lost, and there is nothing to say.
        let was_mended = loaded.recovered.is_empty();
        assert!(was_mended || said(&loaded).contains("; its copy of 20"), "{damaged}: {}", said(&loaded));
        if !was_mended {
            assert_eq!(loaded.kept.commands_from, CommandsFrom::Unknown, "{damaged}");
            assert_eq!(loaded.recovered[0].count, 2, "{damaged}");
            assert!(loaded.closed.is_some(), "{damaged}: it is to be put back first");
            let events = open_again(&site, keeper);
            let [CacheEvent::Opened { index: None, is_lost: false, recovered, .. }] = &events[..] else {
                panic!("{damaged}: {events:?}")
            };
            assert!(recovered.is_empty(), "{damaged}: it was said at start");
        } else {
            drop(keeper);
        }
        let (_, again) = site.open();
        assert_eq!(state(&again), expected, "{damaged}: put back");
    }
}

#[test]
fn without_a_copy_what_damage_comes_to_is_a_state_it_has_been_in_or_nothing() {
    for (damaged, damage) in DAMAGES {
        let site = Site::new();
        let states = fill(&site);
        damage(site.0.path());
        let (_keeper, loaded) = site.start();
        assert!(states.contains(&state(&loaded)), "{damaged}: {:?}", loaded.position);
        let is_older = state(&loaded) != *states.last().unwrap();
        // What was never marked can't be missed, if sled itself says nothing; central's digest tells.
        if !loaded.recovered.is_empty() {
            assert!(is_older, "{damaged}");
            assert!(
                said(&loaded).contains("; there is no copy of it yet; asking central"),
                "{}",
                said(&loaded)
            );
        }
    }
}

#[test]
fn what_can_not_be_used_is_kept_under_another_name() {
    for (damaged, damage, name) in
        [("zeros", DAMAGES[5].1, "cache.damaged"), ("a newer layout", DAMAGES[11].1, "cache.newer")]
    {
        let (site, _) = copied();
        damage(site.0.path());
        let (keeper, _) = site.start();
        open_again(&site, keeper);
        assert_eq!(site.names(), ["cache", "cache.copy", name], "{damaged}");
    }
}

#[test]
fn a_record_that_silently_went_missing_is_noticed() {
    let (site, expected) = copied();
    raw(&site, |db| db.open_tree("records.1").unwrap().remove("gg-1").unwrap().unwrap());
    let (_keeper, loaded) = site.start();
    assert!(
        said(&loaded).contains("it holds 1 credentials and 0 grants where 1 and 1 were stored"),
        "{}",
        said(&loaded)
    );
    assert_eq!(state(&loaded), expected);
}

#[test]
fn a_cache_that_forgot_what_it_is_is_not_taken_for_a_new_one() {
    let (site, expected) = copied();
    raw(&site, |db| db.open_tree("meta").unwrap().clear().unwrap());
    let (_keeper, loaded) = site.start();
    assert_eq!(state(&loaded), expected);
    let aside = fs::read_dir(site.0.path()).unwrap().map(|e| e.unwrap().path());
    let aside = aside.into_iter().find(|p| p.to_string_lossy().contains("cache.damaged-")).unwrap();
    let aside = sled::open(aside).unwrap();
    assert!(aside.open_tree("records.1").unwrap().contains_key("gg-1").unwrap(), "nothing was deleted");
}

#[test]
fn an_older_whole_state_is_noticed_by_the_mark_and_the_newer_copy_is_used() {
    let (site, expected) = copied();
    // The state directory of before, as a disk image that was put back has it.
    let early = Site::new();
    let (mut database, _) = early.open();
    stage(&mut database, Part { last: 100, ..part("s-0", 1, 1, &[grant("g-0", "m-0")]) }).unwrap();
    drop(database);
    fs::remove_dir_all(site.path()).unwrap();
    fs::rename(early.path(), site.path()).unwrap();
    let (keeper, loaded) = site.start();
    assert_eq!(state(&loaded), expected);
    let said = said(&loaded);
    assert!(
        said.contains("an older one: at change 100 of epoch 4, where change 900 of epoch 4 had been"),
        "{said}"
    );
    open_again(&site, keeper);
    assert_eq!(site.names(), ["cache", "cache.copy", "cache.older"]);
}

#[test]
fn an_older_state_without_a_newer_copy_is_used_and_said() {
    let (site, expected) = copied();
    fs::remove_file(site.0.path().join(copy::FILE)).unwrap();
    let mark = site.mark();
    mark.applied(4, 905);
    mark.save().unwrap();
    let (_keeper, loaded) = site.start();
    assert_eq!(state(&loaded), expected);
    assert!(said(&loaded).ends_with("; there is no copy of it yet; asking central for what is missing"));
    assert_eq!(loaded.kept.commands_from, CommandsFrom::Unknown);
}

#[test]
fn a_copy_that_cannot_be_used_either_is_set_aside_too() {
    let (site, _) = copied();
    fs::write(site.path().join("db"), [0xA5; 4096]).unwrap();
    cut(&site.0.path().join(copy::FILE), |len| len - 1);
    let (_keeper, loaded) = site.start();
    assert_eq!(loaded.position, Position::default());
    let said = said(&loaded);
    assert!(
        said.contains("cache.copy is damaged: it ends too early, set aside as cache.copy.damaged-"),
        "{said}"
    );
    assert_eq!(site.names(), ["cache", "cache.copy.damaged", "cache.damaged"]);
}

#[test]
fn a_copy_of_a_newer_latchd_is_not_written_over() {
    let (site, expected) = copied();
    let path = site.0.path().join(copy::FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[12] = 9;
    fs::write(&path, &bytes).unwrap();
    let (keeper, loaded) = site.start();
    assert_eq!(state(&loaded), expected);
    assert!(
        said(&loaded).contains("is of a newer latchd (layout 9.0, this one reads up to 1.2)"),
        "{}",
        said(&loaded)
    );
    site.stop(keeper);
    assert_eq!(site.names(), ["cache", "cache.copy", "cache.copy.newer"]);
}

#[test]
fn a_cache_hashed_under_another_key_is_set_aside() {
    let (site, _) = copied();
    let other_key = Config { uid_check: UidHasher::new(&[1; 32]).check(), ..site.config("oslo-1") };
    let (_keeper, loaded) = site.try_start(other_key).unwrap();
    assert!(said(&loaded).contains("hashed under another key (uid.key)"), "{}", said(&loaded));
    assert_eq!(loaded.position, Position::default());
    assert_eq!(site.names(), ["cache", "cache.copy.damaged", "cache.damaged"]);
}

#[test]
fn an_older_layout_is_brought_to_this_one() {
    let site = Site::new();
    let states = fill(&site);
    let old = ModesWithoutSchedule {
        seq: 7,
        base: DoorMode::Locked,
        unlocked_until: None,
        held: Some((DoorMode::LockedDown, None)),
    };
    let new = StoredModes { seq: 9, base: DoorMode::Blocked, ..StoredModes::default() };
    raw(&site, |db| {
        db.open_tree("meta").unwrap().insert("schema", encode(&1u32).unwrap()).unwrap();
        let modes = db.open_tree("modes").unwrap();
        modes.insert("entrance", encode(&old).unwrap()).unwrap();
        modes.insert("side", encode(&new).unwrap()).unwrap();
    });
    for _ in 0..2 {
        let (_, loaded) = site.open();
        let held = StoredModes { seq: 7, held: old.held, ..StoredModes::default() };
        let modes: Vec<StoredModes> = loaded.kept.modes.values().copied().collect();
        assert_eq!(modes, [held, new]);
        assert_eq!(state(&loaded), *states.last().unwrap());
    }
    raw(&site, |db| db.open_tree("meta").unwrap().insert("schema", encode(&0u32).unwrap()).unwrap());
    assert!(site.try_open().unwrap_err().to_string().contains("layout 0, which never was"));
}

#[test]
fn notes_that_come_while_the_cache_is_closed_are_kept_when_it_is_open() {
    let (site, _) = copied();
    fs::write(site.path().join("db"), [0xA5; 4096]).unwrap();
    let (mut keeper, loaded) = site.start();
    assert!(loaded.closed.is_some());
    let at = At::parse("2026-11-23T09:00:00Z").unwrap();
    let (booking, holder) = (BookingId::new("b-1").unwrap(), HolderId::new("m-1").unwrap());
    keeper.note_all([Note::LetIn { booking, holder, at, seq: 77 }]);
    open_again(&site, keeper);
    let kept = site.open().1.kept;
    assert_eq!((kept.let_in.contains("b-1", "m-1"), kept.checkpoint), (true, 77));
}

#[test]
fn a_change_that_comes_while_the_cache_is_closed_is_not_said_to_be_kept() {
    let (site, _) = copied();
    fs::remove_dir_all(site.path()).unwrap();
    // Something that can't be a cache, and can't be set aside for long: it is there again.
    let (keeper, _) = site.start();
    fs::create_dir_all(site.path()).unwrap();
    let (jobs, waiting) = sync_channel(4);
    let (events, mut reported) = channel(1000);
    let changes = [put(&grant("g-9", "m-9"))];
    jobs.send(Job::Command(CacheCommand::Apply {
        applied: 901,
        rejected: 0,
        items: items(&changes),
        owners: Default::default(),
    }))
    .unwrap();
    drop(jobs);
    let thread = std::thread::Builder::new().spawn(move || keeper.run(&waiting, &events)).unwrap();
    thread.join().unwrap();
    let first = reported.blocking_recv();
    let Some(Event::Cache(CacheEvent::Failed { detail })) = first else { panic!("{first:?}") };
    assert!(detail.starts_with("the cache is closed: it is being put back"), "{detail}");
}
