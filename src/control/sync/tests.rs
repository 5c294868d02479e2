//! The sync session by tables: what a message comes to, and when `sync` is sent.

use serde_json::json;

use super::*;
use crate::{
    domain::ControllerId,
    wire::{UidHasher, feed::feed},
};

const EPOCH: u64 = 3;
const APPLIED: u64 = 10;

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

fn position(epoch: u64, applied: u64) -> Position {
    Position { epoch, applied, ..Position::default() }
}

fn session() -> SyncSession {
    SyncSession::new(position(EPOCH, APPLIED), (0, 0))
}

fn read(message: serde_json::Value) -> Feed {
    let own = ControllerId::new("oslo-1").unwrap();
    feed(message.to_string().as_bytes(), &own, &UidHasher::new(&[7; 32])).unwrap()
}

fn changes(epoch: u64, first: u64, last: u64) -> Feed {
    let changes: Vec<_> =
        (first..=last).map(|n| json!({"delete": {"type": "grant", "id": format!("g-{n}")}})).collect();
    read(json!({"controller": "oslo-1", "epoch": epoch, "first": first, "last": last, "changes": changes}))
}

fn part(epoch: u64, last: u64, id: &str, part: u32, parts: u32) -> Feed {
    let snapshot = json!({"id": id, "part": part, "parts": parts});
    read(json!({"controller": "oslo-1", "epoch": epoch, "last": last, "snapshot": snapshot, "records": []}))
}

/// What a message comes to, in short, and what is wanted then.
fn outcome(session: &mut SyncSession, feed: Feed) -> (String, &'static str) {
    let step = match session.receive(at(0), feed) {
        Step::Nothing => "nothing".into(),
        Step::Repeat(_) => "repeat".into(),
        Step::Rejected(_) => "rejected".into(),
        Step::Gap(why) => why,
        Step::Apply { applied, items, .. } => format!("{} to {applied}", items.len()),
        Step::Stage { part, .. } => format!("stage {} {}/{}", part.id, part.part, part.parts),
    };
    (step, session.want().as_str())
}

#[test]
fn what_changes_come_to_follows_from_their_numbers() {
    for (first, last, expected, want) in [
        (1, 10, "repeat", "nothing"),
        (10, 10, "repeat", "nothing"),
        (11, 10, "nothing", "nothing"),
        (8, 7, "repeat", "nothing"),
        (13, 12, "changes 11 to 12 are missing", "changes"),
        (8, 12, "2 to 12", "nothing"),
        (11, 11, "1 to 11", "nothing"),
        (11, 13, "3 to 13", "nothing"),
        (12, 12, "changes 11 to 11 are missing", "changes"),
        (20, 25, "changes 11 to 19 are missing", "changes"),
    ] {
        let got = outcome(&mut session(), changes(EPOCH, first, last));
        assert_eq!(got, (expected.into(), want), "{first} to {last}");
    }
}

#[test]
fn what_changes_come_to_follows_from_their_epoch() {
    for (epoch, expected, want) in [
        (0, "rejected", "nothing"),
        (EPOCH - 1, "rejected", "nothing"),
        (EPOCH, "1 to 11", "nothing"),
        (EPOCH + 1, "changes of epoch 4, whose snapshot has not come", "snapshot"),
    ] {
        assert_eq!(outcome(&mut session(), changes(epoch, 11, 11)), (expected.into(), want), "{epoch}");
    }
}

#[test]
fn a_partly_known_message_is_applied_from_where_it_is_new() {
    let Step::Apply { items, .. } = session().receive(at(0), changes(EPOCH, 9, 12)) else { panic!() };
    let ids: Vec<String> = items.iter().map(|i| format!("{:?}", i.change)).collect();
    assert_eq!(ids, ["Delete(Grant(g-11))", "Delete(Grant(g-12))"]);
}

#[test]
fn a_controller_with_nothing_wants_a_snapshot() {
    let mut new = SyncSession::new(Position::default(), (0, 0));
    assert_eq!(new.want(), Want::Snapshot);
    assert_eq!(outcome(&mut new, changes(1, 1, 1)).1, "snapshot");
    assert_eq!(outcome(&mut new, part(1, 5, "s-1", 1, 1)).0, "stage s-1 1/1");
    new.in_force(at(0), "s-1".into(), position(1, 5));
    assert_eq!(new.want(), Want::Nothing);
}

/// A session that has stored the parts up to this one of `s-1` (3 parts, epoch 4, as of 900).
fn staged(stored: u32) -> SyncSession {
    let mut session = session();
    for n in 1..=stored {
        assert_eq!(outcome(&mut session, part(4, 900, "s-1", n, 3)).0, format!("stage s-1 {n}/3"));
        session.staged(at(0), n);
    }
    session
}

#[test]
fn parts_come_in_order_and_anything_else_starts_over() {
    for (stored, feed, expected, want) in [
        (0, part(4, 900, "s-1", 1, 3), "stage s-1 1/3", "nothing"),
        (0, part(4, 900, "s-1", 2, 3), "part 2 of a snapshot came where part 1 should", "snapshot"),
        (1, part(4, 900, "s-1", 2, 3), "stage s-1 2/3", "nothing"),
        (1, part(4, 900, "s-1", 3, 3), "part 3 of a snapshot came where part 2 should", "snapshot"),
        (2, part(4, 900, "s-1", 2, 3), "repeat", "nothing"),
        (2, part(4, 901, "s-1", 3, 3), "part 3 of a snapshot came where part 1 should", "snapshot"),
        (2, part(4, 900, "s-1", 3, 4), "part 3 of a snapshot came where part 1 should", "snapshot"),
        (2, part(4, 900, "s-1", 1, 3), "stage s-1 1/3", "nothing"),
        (2, part(4, 900, "s-2", 1, 3), "stage s-2 1/3", "nothing"),
        (2, part(4, 900, "s-2", 3, 3), "part 3 of a snapshot came where part 1 should", "snapshot"),
        (2, part(5, 900, "s-1", 3, 3), "part 3 of a snapshot came where part 1 should", "snapshot"),
        (2, part(2, 900, "s-1", 3, 3), "rejected", "nothing"),
    ] {
        let said = format!("{stored} stored, then {feed:?}");
        assert_eq!(outcome(&mut staged(stored), feed), (expected.into(), want), "{said}");
    }
}

#[test]
fn a_snapshot_older_than_what_is_applied_does_not_take_anything_back() {
    assert_eq!(outcome(&mut session(), part(EPOCH, APPLIED - 1, "s-1", 1, 1)).0, "rejected");
    assert_eq!(outcome(&mut session(), part(EPOCH, APPLIED, "s-1", 1, 1)).0, "stage s-1 1/1");
}

#[test]
fn changes_behind_a_snapshot_on_its_way_are_asked_for_when_it_is_in() {
    let mut s = staged(2);
    assert_eq!(outcome(&mut s, changes(4, 901, 903)), ("nothing".into(), "nothing"));
    s.in_force(at(0), "s-1".into(), position(4, 900));
    assert_eq!(s.want(), Want::Changes);
    assert_eq!(outcome(&mut s, changes(4, 901, 903)).0, "3 to 903");
    s.applied(at(0), position(4, 903));
    assert_eq!(s.want(), Want::Nothing);
}

#[test]
fn a_later_list_that_was_heard_of_before_a_snapshot_was_in_is_asked_for_once() {
    let mut s = staged(2);
    let said = "changes of epoch 5, whose snapshot has not come";
    assert_eq!(outcome(&mut s, changes(5, 1, 1)), (said.into(), "snapshot"));
    s.in_force(at(0), "s-1".into(), position(4, 900));
    assert_eq!(s.want(), Want::Snapshot);
    outcome(&mut s, part(4, 900, "s-2", 1, 1));
    s.in_force(at(0), "s-2".into(), position(4, 900));
    assert_eq!(s.want(), Want::Nothing, "central does not know that list");
}

#[test]
fn a_snapshot_that_is_in_force_is_not_staged_again_unless_one_is_wanted() {
    let mut s = staged(2);
    s.in_force(at(0), "s-1".into(), position(4, 900));
    assert_eq!(outcome(&mut s, part(4, 900, "s-1", 1, 3)).0, "repeat");
    s.resync(at(0));
    assert_eq!(outcome(&mut s, part(4, 900, "s-1", 1, 3)).0, "stage s-1 1/3", "central may name it the same");
}

#[test]
fn a_later_snapshot_with_the_name_of_the_one_in_force_is_no_repeat_of_it() {
    let mut s = staged(2);
    s.in_force(at(0), "s-1".into(), position(4, 900));
    assert_eq!(outcome(&mut s, part(4, 901, "s-1", 1, 3)), ("stage s-1 1/3".into(), "nothing"));
    let repeat = outcome(&mut s, part(4, 900, "s-1", 2, 3)).0;
    assert_ne!(repeat, "stage s-1 2/3");
}

#[test]
fn how_far_a_snapshot_has_come_is_what_is_stored_of_it() {
    let mut s = staged(2);
    assert_eq!(s.snapshot_progress(), Some((2, 3)));
    assert_eq!(outcome(&mut s, part(4, 900, "s-1", 3, 3)).0, "stage s-1 3/3");
    assert_eq!(s.snapshot_progress(), Some((2, 3)), "the third is not on disk yet");
    s.in_force(at(0), "s-1".into(), position(4, 900));
    assert_eq!(s.snapshot_progress(), None);
}

#[test]
fn a_change_that_is_applied_ends_no_wish_for_more_than_it() {
    let mut s = session();
    s.resync(at(0));
    s.applied(at(0), position(EPOCH, 11));
    assert_eq!(s.want(), Want::Snapshot);
    let mut s = session();
    assert_eq!(outcome(&mut s, changes(EPOCH, 13, 14)).1, "changes");
    s.applied(at(0), position(EPOCH, 11));
    assert_eq!(s.want(), Want::Changes, "there are 14");
    s.applied(at(0), position(EPOCH, 14));
    assert_eq!(s.want(), Want::Nothing);
}

#[test]
fn what_was_refused_counts_until_a_snapshot_is_in_force() {
    let mut s = staged(2);
    assert_eq!(s.refused(), 0);
    s.action_refused();
    s.action_refused();
    assert_eq!(s.refused(), 2);
    s.in_force(at(0), "s-1".into(), Position { rejected: 1, ..position(4, 900) });
    assert_eq!(s.refused(), 1);
}

#[test]
fn a_part_that_was_not_stored_starts_the_snapshot_over() {
    let mut s = staged(1);
    assert_eq!(outcome(&mut s, part(4, 900, "s-1", 2, 3)).0, "stage s-1 2/3");
    s.failed(at(0));
    assert_eq!(s.want(), Want::Snapshot);
    assert_eq!(s.snapshot_progress(), None);
}

#[test]
fn a_gap_of_a_snapshot_is_said_once_and_the_next_snapshots_again() {
    let mut s = staged(1);
    assert_ne!(outcome(&mut s, part(4, 900, "s-1", 3, 9)).0, "nothing");
    for n in 4..=9 {
        assert_eq!(outcome(&mut s, part(4, 900, "s-1", n, 9)), ("nothing".into(), "snapshot"));
    }
    assert_eq!(outcome(&mut s, part(4, 900, "s-2", 1, 9)).0, "stage s-2 1/9");
    assert_ne!(outcome(&mut s, part(4, 900, "s-2", 3, 9)).0, "nothing");
}

/// When `sync` is sent within the time, in ms, if nothing else happens.
fn sent(session: &mut SyncSession, from_ms: u64, to_ms: u64) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(due) = session.deadline().filter(|due| *due <= at(to_ms)) {
        let now = due.max(at(from_ms));
        assert!(session.take_due(now).is_some(), "due, and not sent");
        times.push(now.0.as_millis() as u64);
    }
    times
}

#[test]
fn an_unanswered_want_is_repeated_after_1_s_doubling_to_60() {
    let mut s = SyncSession::new(Position::default(), (0, 0));
    assert_eq!(s.deadline(), None, "no connection");
    s.connected(at(0), true);
    let times = sent(&mut s, 0, 250_000);
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243].map(|s| s * 1000));
}

#[test]
fn a_new_connection_asks_at_once_and_begins_to_double_again() {
    let mut s = SyncSession::new(Position::default(), (0, 0));
    s.connected(at(0), true);
    sent(&mut s, 0, 20_000);
    s.disconnected();
    assert_eq!(s.deadline(), None);
    s.connected(at(20_000), true);
    assert_eq!(sent(&mut s, 20_000, 28_000), [20_000, 21_000, 23_000, 27_000]);
}

#[test]
fn once_nothing_is_wanted_sync_is_sent_once_and_not_repeated() {
    let mut s = session();
    s.connected(at(0), true);
    assert_eq!(sent(&mut s, 0, 600_000), [0]);
    s.applied(at(600_000), position(EPOCH, 11));
    assert_eq!(sent(&mut s, 600_000, 900_000), [600_000]);
}

#[test]
fn after_applied_messages_sync_waits_for_its_second() {
    let mut s = session();
    s.connected(at(0), true);
    assert_eq!(sent(&mut s, 0, 0), [0]);
    s.applied(at(100), position(EPOCH, 11));
    s.applied(at(900), position(EPOCH, 12));
    assert_eq!(sent(&mut s, 900, 5000), [1000]);
}

#[test]
fn while_parts_come_in_the_snapshot_is_not_asked_for_again() {
    let mut s = SyncSession::new(Position::default(), (0, 0));
    s.connected(at(0), true);
    sent(&mut s, 0, 0);
    let mut now = 500;
    for n in 1..=5 {
        assert!(matches!(s.receive(at(now), part(1, 9, "s-1", n, 9)), Step::Stage { .. }));
        s.staged(at(now), n);
        assert_eq!(sent(&mut s, now, now + 9000), [0; 0], "after part {n}");
        now += 9000;
    }
    assert_eq!(sent(&mut s, now, now + 1000), [now + 1000], "ten seconds without a part");
}

#[test]
fn a_second_gap_does_not_ask_sooner_than_the_repeat() {
    let mut s = session();
    s.connected(at(0), true);
    sent(&mut s, 0, 0);
    s.receive(at(5000), changes(EPOCH, 12, 12));
    assert_eq!(sent(&mut s, 5000, 5000), [5000]);
    for n in 13..40 {
        s.receive(at(5000), changes(EPOCH, n, n));
    }
    assert_eq!(sent(&mut s, 5000, 9000), [6000, 8000]);
}

#[test]
fn changes_wait_while_a_snapshot_of_their_epoch_comes_in_and_are_asked_for_behind_it() {
    let mut s = session();
    s.connected(at(0), true);
    assert!(s.take_due(at(0)).is_some());
    assert!(matches!(s.receive(at(0), part(EPOCH, APPLIED, "s-1", 1, 2)), Step::Stage { .. }));
    s.staged(at(0), 1);
    assert_eq!(s.receive(at(1), changes(EPOCH, 11, 11)), Step::Nothing, "the snapshot would be an old one");
    assert!(matches!(s.receive(at(2), part(EPOCH, APPLIED, "s-1", 2, 2)), Step::Stage { .. }));
    s.in_force(at(3), "s-1".into(), position(EPOCH, APPLIED));
    assert_eq!(s.want(), Want::Changes);
    assert!(matches!(s.receive(at(4), changes(EPOCH, 11, 11)), Step::Apply { .. }));
}

#[test]
fn a_snapshot_of_which_no_more_comes_holds_no_change_back() {
    let mut s = session();
    s.connected(at(0), true);
    assert!(s.take_due(at(0)).is_some());
    assert!(matches!(s.receive(at(0), part(EPOCH, APPLIED, "s-1", 1, 2)), Step::Stage { .. }));
    assert_eq!(s.receive(at(1), changes(EPOCH, 11, 11)), Step::Nothing);
    let patience = PART_PATIENCE.as_millis() as u64;
    assert_eq!(s.deadline(), Some(at(patience)));
    assert_eq!(s.take_due(at(patience)), Some(Want::Changes), "asked for when patience ends");
    assert!(matches!(s.receive(at(patience + 1), changes(EPOCH, 11, 11)), Step::Apply { .. }));
}

/// Else central would take it for one that still waits, for as long as nothing changes.
#[test]
fn a_controller_that_hears_that_nothing_is_newer_says_that_it_wants_nothing() {
    let mut s = session();
    s.connected(at(0), false);
    assert_eq!(s.take_due(at(0)), Some(Want::Changes));
    assert_eq!(s.deadline(), None, "asked once");
    assert_eq!(s.receive(at(100), changes(EPOCH, APPLIED + 1, APPLIED)), Step::Nothing);
    assert_eq!(s.deadline(), Some(at(1000)));
    assert_eq!(s.take_due(at(1000)), Some(Want::Nothing));
    // Said once more by whoever, it is no news.
    assert_eq!(s.receive(at(2000), changes(EPOCH, APPLIED + 1, APPLIED)), Step::Nothing);
    assert_eq!(s.deadline(), None);
}
