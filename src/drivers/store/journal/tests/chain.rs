//! The chain: from the first event on, over restarts and segments.

use super::*;
use crate::wire::{Digest, journal::check};

#[test]
fn a_new_journal_has_an_id_and_no_events() {
    let site = Site::new();
    let opened = site.open();
    assert_eq!((opened.end.seq, opened.end.at, opened.acknowledged), (0, None, 0));
    assert!(uuid::Uuid::try_parse(&opened.id).is_ok());
    assert_eq!(opened.torn, None);
    assert_eq!(site.open().id, opened.id, "and keeps it");
    assert_eq!(site.names(), ["id"]);
    assert_eq!(site.reader().verify(0).unwrap().events, 0);
}

#[test]
fn an_appended_event_is_attested_and_stands_in_the_file_as_on_the_wire() {
    let site = Site::new();
    assert_eq!(attested(&site.run(vec![append(1)])), [1]);
    let text = fs::read_to_string(site.segment(1)).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let zeros = "0".repeat(64);
    assert_eq!(
        (&value["seq"], &value["type"], &value["at"], &value["door"], &value["prev"]),
        (&1.into(), &"door.opened".into(), &"2026-11-01T01:00:00Z".into(), &"entrance".into(), &zeros.into())
    );
    assert!(text.ends_with("}\n"));
}

#[test]
fn the_hash_is_that_of_the_canonical_event_without_it() {
    let site = Site::new();
    site.append(1..=1);
    let text = fs::read_to_string(site.segment(1)).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let hash = value.as_object_mut().unwrap().remove("hash").unwrap();
    // serde_json's map is sorted and this event has neither floats nor escapes: its plain form is the canonical one.
    assert_eq!(hash, Digest::of_bytes(value.to_string().as_bytes()).to_string());
}

#[test]
fn a_restart_continues_the_chain() {
    let site = Site::new();
    site.run(appends(1..=3));
    let opened = site.open();
    assert_eq!(opened.end.seq, 3);
    assert_eq!(opened.end.at, Some(entry(3).at));
    site.run(appends(4..=5));
    let verified = site.reader().verify(5).unwrap();
    assert_eq!((verified.events, verified.first, verified.last.unwrap().seq), (5, Some(1), 5));
    assert_eq!(site.names(), ["00000000000000000001.jsonl", "id"]);
}

#[test]
fn a_full_segment_is_followed_by_one_named_by_its_first_event() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=8);
    assert_eq!(site.segments(), [1, 4, 7]);
    assert_eq!(site.reader().verify(8).unwrap().events, 8);
    let last = |first| fs::read_to_string(site.segment(first)).unwrap().lines().last().unwrap().to_owned();
    let next = fs::read_to_string(site.segment(4)).unwrap().lines().next().unwrap().to_owned();
    let before = check(last(1).as_bytes(), None).unwrap();
    assert_eq!(check(next.as_bytes(), Some(before)).unwrap().seq, 4);
}

#[test]
fn a_restart_between_two_segments_continues_the_chain() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=6);
    // The next segment was begun, and nothing written to it.
    fs::write(site.segment(7), "").unwrap();
    let opened = site.open();
    assert_eq!((opened.end.seq, opened.end.at), (6, Some(entry(6).at)), "what the clock may not go behind");
    site.append(7..=7);
    assert_eq!(site.segments(), [1, 4, 7]);
    assert_eq!(site.reader().verify(7).unwrap().events, 7);
}

#[test]
fn the_latest_time_is_that_of_a_clock_that_was_trusted() {
    let site = Site::new();
    site.run(vec![append(1), untrusted(2, "2036-01-01T00:00:00Z")]);
    assert_eq!(site.open().end.at, Some(entry(1).at));
}

#[test]
fn how_far_central_has_acknowledged_outlasts_a_restart() {
    let site = Site::new();
    let mut commands = appends(1..=3);
    commands.push(JournalCommand::Acknowledged { through: 2 });
    site.run(commands);
    site.run(vec![JournalCommand::Acknowledged { through: 2 }]);
    assert_eq!(site.open().acknowledged, 2);
    fs::write(site.journal().join("acknowledged"), "garbage").unwrap();
    assert_eq!(site.open().acknowledged, 0, "sent again, and dropped there");
}

#[test]
fn a_journal_whose_id_is_damaged_is_not_given_another() {
    let site = Site::new();
    site.append(1..=1);
    fs::write(site.journal().join("id"), "not a uuid").unwrap();
    let error = site.try_open().unwrap_err().to_string();
    assert!(error.contains("journal/id is not a UUID; restore it"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_says_so() {
    let site = Site::new();
    fs::write(site.journal(), "a file").unwrap();
    let error = site.try_open().unwrap_err().to_string();
    assert!(error.starts_with("can't make "), "{error}");
    assert!(error.ends_with("events can't be recorded, so the daemon does not start"), "{error}");
}
