//! Cards that the desk has set: kept until the feed says something of them, in the batch that says it.

use super::*;
use crate::{
    domain::{CredentialId, Status},
    wire::desk::StoredCard,
};

fn card(applied: u64) -> StoredCard {
    StoredCard {
        seq: 5,
        status: Status::Suspended,
        holder: HolderId::new("m-1").unwrap(),
        by: "anna (1000)".into(),
        at: At::parse("2026-11-23T08:00:00Z").unwrap(),
        is_override: false,
        epoch: 4,
        applied,
    }
}

fn id(text: &str) -> CredentialId {
    CredentialId::new(text).unwrap()
}

/// A cache with two cards as of 900 of epoch 4, both set by the desk at that place.
fn filled() -> (Site, Database) {
    let site = Site::new();
    let (mut database, _) = site.open();
    let records = [credential("c-1", UIDS[0], "m-1"), credential("c-2", UIDS[1], "m-2")];
    stage(&mut database, part("s-1", 1, 1, &records)).unwrap();
    for name in ["c-1", "c-2"] {
        database.note(&Note::Card { credential: id(name), card: card(900) }).unwrap();
    }
    (site, database)
}

fn kept(site: &Site, database: Database) -> Vec<String> {
    drop(database);
    let (_, loaded) = site.open();
    assert!(loaded.recovered.is_empty());
    loaded.kept.cards.into_keys().map(|id| id.to_string()).collect()
}

#[test]
fn a_card_that_was_set_is_there_after_a_restart_and_is_no_record() {
    let (site, database) = filled();
    drop(database);
    let (_, loaded) = site.open();
    assert_eq!(loaded.kept.cards.get(&id("c-1")), Some(&card(900)));
    assert_eq!((loaded.position.credentials, loaded.index.credentials()), (2, 2));
}

#[test]
fn what_the_feed_says_of_a_card_ends_it_and_what_it_says_of_others_does_not() {
    let (site, mut database) = filled();
    database.apply_alone(901, 0, &items(&[put(&grant("g-1", "m-1"))])).unwrap();
    database.apply_alone(902, 0, &items(&[put(&credential("c-1", UIDS[0], "m-1"))])).unwrap();
    assert_eq!(kept(&site, database), ["c-2"]);
    let (mut database, _) = site.open();
    database.apply_alone(903, 0, &items(&[delete("credential", "c-2")])).unwrap();
    assert_eq!(kept(&site, database), [""; 0]);
}

#[test]
fn a_card_whose_uid_went_to_another_is_still_as_the_desk_set_it() {
    let (site, mut database) = filled();
    database.apply_alone(901, 0, &items(&[put(&credential("c-9", UIDS[0], "m-9"))])).unwrap();
    assert_eq!(kept(&site, database), ["c-1", "c-2"]);
}

#[test]
fn a_snapshot_of_the_same_place_ends_nothing_and_a_later_one_all() {
    let (site, mut database) = filled();
    let one = [credential("c-1", UIDS[0], "m-1")];
    stage(&mut database, part("s-2", 1, 1, &one)).unwrap();
    assert_eq!(kept(&site, database), ["c-1", "c-2"]);
    let (mut database, _) = site.open();
    let later = Part { last: 901, ..part("s-3", 1, 1, &one) };
    stage(&mut database, later).unwrap();
    assert_eq!(kept(&site, database), [""; 0]);
}
