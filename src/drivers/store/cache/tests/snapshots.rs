//! Snapshots: staged beside what is in force, and in its place by one write.

use super::*;

/// A cache with one grant of the feed in force.
fn filled() -> (Site, Database, Loaded) {
    let site = Site::new();
    let (mut database, mut loaded) = site.open();
    let old = [put(&grant("g-old", "m-1")), put(&credential("c-old", UIDS[0], "m-1"))];
    let applied = database.apply_alone(7, 0, &items(&old)).unwrap();
    follow(&mut loaded.index, &applied);
    loaded.position = applied.position;
    (site, database, loaded)
}

fn in_force(staged: Staged) -> (Position, Index) {
    let Staged::InForce { position, index, .. } = staged else { panic!("{staged:?}") };
    (position, *index)
}

#[test]
fn a_snapshot_is_in_force_with_its_last_part_and_not_before() {
    let (site, mut database, loaded) = filled();
    let records = [grant("g-new", "m-2"), credential("c-new", UIDS[1], "m-2")];
    let first = stage(&mut database, part("s-1", 1, 2, &records[..1])).unwrap();
    assert!(matches!(first, Staged::Part { part: 1, .. }));
    drop(database);
    let (mut database, again) = site.open();
    assert_eq!((dump(&again.index), again.position), (dump(&loaded.index), loaded.position), "interrupted");
    stage(&mut database, part("s-1", 1, 2, &records[..1])).unwrap();
    let (position, index) = in_force(stage(&mut database, part("s-1", 2, 2, &records[1..])).unwrap());
    assert_eq!((position.epoch, position.applied, position.digest), (4, 900, digest_of(&records)));
    assert_eq!((position.credentials, position.grants), (1, 1));
    assert_eq!((owner(&index, UIDS[0]), owner(&index, UIDS[1]).as_deref()), (None, Some("c-new")));
    drop(database);
    let (_, again) = site.open();
    assert_eq!((dump(&again.index), again.position), (dump(&index), position));
    assert!(again.recovered.is_empty());
}

#[test]
fn changes_after_a_snapshot_apply_to_it() {
    let (site, mut database, _) = filled();
    let record = grant("g-new", "m-2");
    stage(&mut database, part("s-1", 1, 1, std::slice::from_ref(&record))).unwrap();
    let applied =
        database.apply_alone(901, 0, &items(&[delete("grant", "g-old"), delete("grant", "g-new")])).unwrap();
    assert_eq!(applied.replaced.len(), 1);
    assert_eq!((applied.position.epoch, applied.position.applied), (4, 901));
    drop(database);
    assert_eq!(site.open().1.position.digest, Digest::default());
}

#[test]
fn changes_while_a_snapshot_is_staged_apply_to_what_is_in_force() {
    let (_site, mut database, _) = filled();
    stage(&mut database, part("s-1", 1, 2, &[grant("g-new", "m-2")])).unwrap();
    let applied = database.apply_alone(8, 0, &items(&[delete("grant", "g-old")])).unwrap();
    assert_eq!((applied.position.epoch, applied.position.grants), (0, 0));
    let (position, index) = in_force(stage(&mut database, part("s-1", 2, 2, &[])).unwrap());
    assert_eq!((position.grants, index.grants()), (1, 1));
}

#[test]
fn a_part_that_does_not_follow_is_not_taken() {
    let (_site, mut database, _) = filled();
    let out_of_order = |staged| matches!(staged, Staged::OutOfOrder { .. });
    assert!(out_of_order(stage(&mut database, part("s-1", 2, 3, &[])).unwrap()), "nothing is staged");
    stage(&mut database, part("s-1", 1, 3, &[])).unwrap();
    assert!(out_of_order(stage(&mut database, part("s-1", 3, 3, &[])).unwrap()));
    assert!(out_of_order(stage(&mut database, part("s-2", 2, 3, &[])).unwrap()));
    assert!(matches!(stage(&mut database, part("s-1", 2, 3, &[])).unwrap(), Staged::Part { part: 2, .. }));
}

#[test]
fn a_snapshot_that_starts_over_holds_nothing_of_the_first_try() {
    let (site, mut database, _) = filled();
    stage(&mut database, part("s-1", 1, 2, &[grant("g-1", "m-1")])).unwrap();
    stage(&mut database, part("s-2", 1, 2, &[grant("g-2", "m-1")])).unwrap();
    let (position, _) = in_force(stage(&mut database, part("s-2", 2, 2, &[])).unwrap());
    assert_eq!((position.grants, position.digest), (1, digest_of([&grant("g-2", "m-1")])));
    drop(database);
    assert_eq!(site.open().1.position, position);
}

#[test]
fn an_empty_snapshot_empties_the_cache() {
    let (site, mut database, _) = filled();
    let (position, index) = in_force(stage(&mut database, part("s-1", 1, 1, &[])).unwrap());
    assert_eq!((position.credentials, position.grants, position.digest), (0, 0, Digest::default()));
    assert_eq!((index.credentials(), index.grants(), position.applied), (0, 0, 900));
    drop(database);
    assert_eq!(site.open().1.position, position);
}

#[test]
fn one_uid_twice_in_a_snapshot_goes_to_the_later_record() {
    let (_site, mut database, _) = filled();
    let cards = [credential("c-1", UIDS[2], "m-1"), credential("c-2", UIDS[2], "m-2")];
    stage(&mut database, part("s-1", 1, 2, &cards[..1])).unwrap();
    let staged = stage(&mut database, part("s-1", 2, 2, &cards[1..])).unwrap();
    let Staged::InForce { index, conflicts, .. } = staged else { panic!("{staged:?}") };
    assert_eq!(conflicts, ["credential c-1 lost its UID to c-2"]);
    assert_eq!(owner(&index, UIDS[2]).as_deref(), Some("c-2"));
}

#[test]
fn many_snapshots_leave_one_generation_on_disk() {
    let (site, mut database, _) = filled();
    for n in 0..5 {
        stage(&mut database, part(&format!("s-{n}"), 1, 1, &[grant("g-1", "m-1")])).unwrap();
    }
    drop(database);
    drop(site.open());
    let raw = sled::open(site.path()).unwrap();
    let names: Vec<String> =
        raw.tree_names().iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
    assert_eq!(names.iter().filter(|n| n.starts_with("records.")).collect::<Vec<_>>(), ["records.5"]);
}

/// So many that it is worth opening the cache a second time, with what is in force.
fn large() -> (Site, Database, Position) {
    let site = Site::new();
    let (mut database, _) = site.open();
    let records: Vec<Value> = (0..21_000).map(|n| grant(&format!("g-{n}"), &format!("m-{n}"))).collect();
    let parts = records.chunks(1000);
    let of = parts.len() as u32;
    let last =
        (1..).zip(parts).map(|(n, records)| stage(&mut database, part("s-1", n, of, records)).unwrap());
    let (position, _) = in_force(last.last().unwrap());
    (site, database, position)
}

#[test]
fn a_large_cache_that_is_opened_again_is_the_same_and_takes_the_next_change() {
    let (site, database, position) = large();
    let mut database = database.fresh().unwrap();
    assert_eq!(*database.position(), position);
    let applied = database.apply_alone(901, 0, &items(&[delete("grant", "g-7")])).unwrap();
    assert_eq!((applied.position.grants, applied.replaced.len()), (20_999, 1));
    drop(database);
    let (_, again) = site.open();
    assert_eq!((again.position, again.index.grants()), (applied.position, 20_999));
}

#[test]
fn a_snapshot_on_its_way_in_is_not_lost_to_that() {
    let (_site, mut database, _) = large();
    stage(&mut database, part("s-2", 1, 2, &[grant("g-new", "m-2")])).unwrap();
    let mut database = database.fresh().unwrap();
    let (position, index) = in_force(stage(&mut database, part("s-2", 2, 2, &[])).unwrap());
    assert_eq!((position.grants, index.grants()), (1, 1));
}
