//! What central sends: one message at the cache at a time, and nothing acknowledged before it is on disk.

use super::*;
use crate::{
    control::{Staged, index::Index},
    domain::{Grant, Record},
};

fn connected() -> Rig {
    let mut rig = Rig::new();
    rig.connect();
    rig.later_ms(10_000).tick();
    rig
}

fn grant(id: &str) -> Grant {
    let hasher = UidHasher::new(&[7; 32]);
    let value = records().into_iter().find(|r| r["id"] == id).unwrap();
    let Record::Grant(grant) = record(&value, &hasher).unwrap() else { unreachable!() };
    grant
}

fn cache(rig: &mut Rig, what: CacheEvent) -> Vec<String> {
    rig.when(Event::Cache(what))
}

#[test]
fn a_message_is_acknowledged_when_the_cache_has_it_and_only_then() {
    let mut rig = connected();
    assert_eq!(rig.changes(1, 3, 11, 12), ["apply to 12: 2 taken, 0 refused"]);
    assert_eq!(rig.tick(), [""; 0]);
    let said = rig.applied(3, 12, Vec::new());
    assert_eq!(said, ["done 1", "sync 3/12 wants nothing", "status 0 of 0"]);
}

#[test]
fn a_change_counts_from_the_moment_it_is_on_disk() {
    let mut rig = connected();
    let gone =
        json!({"epoch": 3, "first": 11, "last": 11, "changes": [{"delete": {"type": "grant", "id": "g-1"}}]});
    rig.feed(1, gone);
    assert_eq!(rig.tap("entrance-in", HOST)[0], "append 2 access.granted");
    rig.applied(3, 11, vec![Replaced { old: Some(Record::Grant(grant("g-1"))), new: None }]);
    assert_eq!(rig.tap("entrance-in", HOST)[0], "append 3 access.denied");
}

#[test]
fn the_next_message_waits_for_the_one_at_the_cache() {
    let mut rig = connected();
    rig.changes(1, 3, 11, 11);
    assert_eq!(rig.changes(2, 3, 12, 12), [""; 0]);
    let said = rig.applied(3, 11, Vec::new());
    assert_eq!(said[..2], ["done 1", "apply to 12: 1 taken, 0 refused"]);
}

#[test]
fn a_message_delivered_again_while_it_is_at_the_cache_is_applied_once() {
    let mut rig = connected();
    rig.changes(1, 3, 11, 11);
    rig.disconnect();
    rig.connect();
    let gone =
        json!({"epoch": 3, "first": 11, "last": 11, "changes": [{"delete": {"type": "grant", "id": "g-1"}}]});
    assert_eq!(rig.deliver(2, true, gone), [""; 0]);
    let said = rig.applied(3, 11, Vec::new());
    assert_eq!(said[..2], ["done 1", "done 2"]);
    assert!(!said.iter().any(|line| line.starts_with("apply")));
}

#[test]
fn a_message_that_waited_is_dropped_with_its_connection() {
    let mut rig = connected();
    rig.changes(1, 3, 11, 11);
    rig.changes(2, 3, 12, 12);
    rig.disconnect();
    assert_eq!(rig.applied(3, 11, Vec::new()), [""; 0]);
    rig.connect();
    assert_eq!(rig.changes(3, 3, 12, 12), ["apply to 12: 1 taken, 0 refused"]);
}

#[test]
fn what_could_not_be_stored_is_not_acknowledged_and_asked_for_again() {
    let mut rig = connected();
    rig.changes(1, 3, 11, 11);
    let said = cache(&mut rig, CacheEvent::Failed { detail: "no space".into() });
    assert_eq!(said, ["undone", "sync 3/10 wants changes"]);
    assert_eq!(rig.changes(2, 3, 11, 11), ["apply to 11: 1 taken, 0 refused"]);
}

#[test]
fn a_gap_is_recorded_once_and_asked_about() {
    let mut rig = connected();
    assert_eq!(rig.changes(1, 3, 13, 13), ["append 2 sync.gap", "done 1", "sync 3/10 wants changes"]);
    assert_eq!(rig.changes(2, 3, 14, 14), ["done 2"]);
    rig.changes(3, 3, 11, 14);
    let said = rig.later_ms(1000).applied(3, 14, Vec::new());
    assert_eq!(said[..2], ["done 3", "sync 3/14 wants nothing"]);
    assert_eq!(rig.changes(4, 3, 16, 16)[0], "append 3 sync.gap", "a new one");
}

#[test]
fn changes_of_a_new_epoch_ask_for_its_snapshot() {
    let mut rig = connected();
    let said = rig.changes(1, 4, 901, 901);
    assert_eq!(said, ["append 2 sync.gap", "done 1", "sync 3/10 wants snapshot"]);
}

fn nothing_new() -> Value {
    json!({"epoch": 3, "first": 10, "last": 10, "changes": [{"delete": {"type": "grant", "id": "g-1"}}]})
}

#[test]
fn a_repeat_is_acknowledged_recorded_and_does_nothing() {
    let mut rig = connected();
    assert_eq!(rig.changes(1, 3, 8, 10), ["append 2 sync.rejected", "done 1"]);
    assert_eq!(rig.changes(2, 3, 9, 11), ["apply to 11: 1 taken, 0 refused"], "only what is new of it");
}

#[test]
fn what_the_broker_delivers_again_by_right_is_no_event() {
    let mut rig = connected();
    assert_eq!(rig.deliver(1, true, nothing_new()), ["done 1"]);
    assert_eq!(rig.deliver(2, false, nothing_new()), ["append 2 sync.rejected", "done 2"]);
}

#[test]
fn a_flood_of_repeats_is_recorded_in_sum() {
    let mut rig = connected();
    let entries: usize = (0..500).map(|n| rig.feed(n, nothing_new()).len() - 1).sum();
    assert_eq!(entries, 10);
    let actions = {
        rig.later_ms(60_000);
        rig.handle(Event::Tick)
    };
    let sum = entries_of(&actions, "sync.rejected");
    assert_eq!(sum.len(), 1);
    assert!(sum[0].starts_with("490 more in 60 s, the last: changes 10 to 10 came again"), "{sum:?}");
    assert_eq!(rig.controller.sync_report().refused.get("repeat"), Some(&500));
}

/// Whoever withholds what is new can still repeat what is old: it must not pass for hearing central.
#[test]
fn only_what_is_new_counts_as_having_heard_central() {
    let heard = |rig: &Rig| rig.controller.sync_report().central_at;
    let mut rig = connected();
    rig.recorded(1);
    rig.ack(JOURNAL, 1);
    let before = heard(&rig);
    rig.later_ms(60_000);
    rig.feed(1, nothing_new());
    rig.ack(JOURNAL, 1);
    rig.changes(2, 2, 11, 11);
    rig.feed(3, json!({"epoch": "three"}));
    rig.changes(4, 3, 12, 12);
    assert_eq!(heard(&rig), before);
    rig.changes(5, 3, 11, 11);
    assert!(heard(&rig) > before);
}

#[test]
fn a_session_the_broker_has_lost_is_asked_about_once() {
    let mut rig = Rig::new();
    let lost = UplinkEvent::Connected { detail: "broker:1883".into(), is_resumed: false };
    let asks =
        |said: Vec<String>| said.into_iter().filter(|line| line.starts_with("sync")).collect::<Vec<_>>();
    assert_eq!(asks(rig.uplink(lost)), ["sync 3/10 wants changes"]);
    let later: Vec<String> = (0..100).flat_map(|_| asks(rig.later_ms(1000).tick())).collect();
    assert_eq!(later, [""; 0]);
    rig.disconnect();
    assert_eq!(asks(rig.connect()), ["sync 3/10 wants nothing"]);
}

#[test]
fn no_changes_at_the_end_of_the_list_answer_a_want_and_beyond_it_make_one() {
    let mut rig = connected();
    let none = |last: u64| json!({"epoch": 3, "first": last + 1, "last": last, "changes": []});
    assert_eq!(rig.feed(1, none(10)), ["done 1"]);
    assert_eq!(rig.feed(2, none(12)), ["append 2 sync.gap", "done 2", "sync 3/10 wants changes"]);
    rig.changes(3, 3, 11, 12);
    rig.applied(3, 12, Vec::new());
    assert_eq!(rig.controller.sync_report().want, "nothing");
}

fn entries_of(actions: &[Action], kind: &str) -> Vec<String> {
    let of_kind = entries(actions).into_iter().filter(|entry| entry["type"] == kind);
    of_kind.map(|entry| entry["detail"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn an_old_epoch_and_what_nobody_understands_are_recorded_and_acknowledged() {
    let mut rig = connected();
    assert_eq!(rig.changes(1, 2, 11, 11), ["append 2 sync.rejected", "done 1"]);
    let said = rig.feed(2, json!({"epoch": "three"}));
    assert_eq!(said, ["append 3 sync.rejected", "done 2"]);
}

#[test]
fn refused_records_are_recorded_and_the_rest_is_applied() {
    let mut rig = connected();
    let put = |value: &str| json!({"put": {"type": value, "id": "x"}});
    let changes = json!([put("parking"), {"delete": {"type": "grant", "id": "g-2"}}, put("grant")]);
    let message = json!({"epoch": 3, "first": 11, "last": 13, "changes": changes});
    let said = rig.feed(1, message);
    assert_eq!(said, ["append 2 sync.rejected", "apply to 13: 1 taken, 2 refused"]);
}

#[test]
fn a_snapshot_takes_the_place_of_everything_with_its_last_part() {
    let mut rig = connected();
    assert_eq!(rig.part(1, "s-77", 1, 2), ["stage s-77 1/2"]);
    let staged = Staged::Part { id: "s-77".into(), part: 1, conflicts: vec!["c-1 lost".into()] };
    assert_eq!(cache(&mut rig, CacheEvent::Staged(staged)), ["append 2 sync.conflict", "done 1"]);
    assert_eq!(rig.tap("entrance-in", HOST)[0], "append 3 access.granted", "the old state is in force");
    assert_eq!(rig.part(2, "s-77", 2, 2), ["stage s-77 2/2"]);
    let position = Position { epoch: 4, applied: 900, digest: digest(), ..Position::default() };
    let (id, index) = ("s-77".into(), Box::new(Index::new(settings().places())));
    let staged = Staged::InForce { id, position, index, conflicts: Vec::new(), removal: Default::default() };
    let said = cache(&mut rig, CacheEvent::Staged(staged));
    assert_eq!(said[..3], ["discard the replaced index", "append 4 sync.snapshot_applied", "done 2"]);
    assert_eq!(said[3], "sync 4/900 wants nothing");
    assert_eq!(rig.tap("entrance-in", HOST)[0], "append 5 access.denied");
    assert_eq!(rig.part(3, "s-77", 2, 2), ["append 6 sync.rejected", "done 3"], "a repeat");
}

#[test]
fn a_part_out_of_order_starts_over_and_is_recorded_once() {
    let mut rig = connected();
    rig.part(1, "s-77", 1, 9);
    cache(&mut rig, CacheEvent::Staged(Staged::Part { id: "s-77".into(), part: 1, conflicts: Vec::new() }));
    let said = rig.part(2, "s-77", 3, 9);
    assert_eq!(said, ["append 2 sync.gap", "done 2", "sync 3/10 wants snapshot"]);
    let rest: Vec<String> = (4..=9).flat_map(|part| rig.part(u64::from(part), "s-77", part, 9)).collect();
    assert_eq!(rest, (4..=9).map(|token| format!("done {token}")).collect::<Vec<_>>());
    assert_eq!(rig.part(10, "s-78", 1, 2), ["stage s-78 1/2"]);
}

#[test]
fn a_part_the_cache_cannot_place_is_acknowledged_and_the_snapshot_asked_for_again() {
    let mut rig = connected();
    rig.part(1, "s-77", 1, 2);
    let said = cache(&mut rig, CacheEvent::Staged(Staged::OutOfOrder { id: "s-77".into() }));
    assert_eq!(said, ["done 1", "sync 3/10 wants snapshot"]);
}

#[test]
fn who_lost_a_uid_to_whom_is_recorded() {
    let mut rig = connected();
    rig.changes(1, 3, 11, 11);
    let position = Position { epoch: 3, applied: 11, ..Position::default() };
    let conflicts = vec!["credential c-1 lost its UID to c-9".to_owned()];
    let event = CacheEvent::Applied(Applied { position, replaced: Vec::new(), conflicts });
    let actions = rig.handle(Event::Cache(event));
    let entry = entries(&actions).remove(0);
    assert_eq!((&entry["type"], &entry["applied"]), (&json!("sync.conflict"), &json!(11)));
    assert_eq!(entry["detail"], "credential c-1 lost its UID to c-9");
}

#[test]
fn sync_is_sent_at_most_once_a_second_however_fast_changes_come() {
    let mut rig = connected();
    let mut sent = 0;
    for n in 0..100 {
        let mut said = rig.later_ms(50).changes(n, 3, 11 + n, 11 + n);
        said.extend(rig.applied(3, 11 + n, Vec::new()));
        sent += said.iter().filter(|line| line.starts_with("sync")).count();
    }
    assert_eq!(sent, 5, "100 changes in 5 s");
    assert_eq!(rig.later_ms(1000).tick()[0], "sync 3/110 wants nothing");
}

/// Grants that are taken out, as the cache says it.
fn gone(ids: &[&str]) -> Vec<Replaced> {
    ids.iter().map(|id| Replaced { old: Some(Record::Grant(grant(id))), new: None }).collect()
}

#[test]
fn more_than_half_of_what_was_open_or_to_come_gone_at_once_is_said() {
    let is_said = |said: &[String]| said.iter().any(|line| line.ends_with("sync.mass_removal"));
    let mut rig = connected();
    assert!(!is_said(&rig.applied(3, 11, gone(&["g-1", "g-2"]))), "two of four");
    assert!(is_said(&rig.applied(3, 12, gone(&["g-3", "g-4"]))), "two of two");
    // Taken out and put again by one message is not gone.
    let mut rig = connected();
    let mut again = gone(&["g-1", "g-2", "g-3"]);
    again.push(Replaced { old: None, new: Some(Record::Grant(grant("g-2"))) });
    assert!(!is_said(&rig.applied(3, 11, again)));
    // Nor is what was over anyway: half past ten, and but for the standing one all are.
    let mut rig = connected();
    rig.later_ms(90 * 60_000).tick();
    assert!(!is_said(&rig.applied(3, 11, gone(&["g-1", "g-2", "g-3"]))));
    assert!(is_said(&rig.applied(3, 12, gone(&["g-4"]))));
}

#[test]
fn a_snapshot_that_was_built_for_the_doors_of_before_a_reload_is_for_those_of_now() {
    let mut rig = connected();
    let mut index = Index::new(settings().places());
    let side =
        json!({"type": "grant", "id": "g-9", "kind": "standing", "holder": "m-slow", "doors": ["side"]});
    for value in [records()[3].clone(), side] {
        index.apply(None, Some(&record(&value, &rig.hasher).unwrap()));
    }
    let mut changed = Box::new(rig.controller.settings.clone());
    changed.doors.remove(0);
    changed.readers.remove(0);
    let (boards, readers) = Default::default();
    let reload = crate::control::Reload::Taken { settings: changed, boards, readers };
    rig.when(Event::Reload(reload));
    let in_force = Staged::InForce {
        id: "s-1".into(),
        position: Position { epoch: 3, applied: 11, ..Position::default() },
        index: Box::new(index),
        conflicts: Vec::new(),
        removal: crate::control::Removal::default(),
    };
    cache(&mut rig, CacheEvent::Staged(in_force));
    assert!(rig.tap("side-in", SLOW)[0].ends_with("access.granted"));
    assert!(rig.tap("vault-in", SLOW)[0].ends_with("access.denied"));
}
