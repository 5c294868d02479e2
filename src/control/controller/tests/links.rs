//! The link to central: what is said when it comes up, how often, and the journal's way out.

use super::*;

const DOORS: [&str; 3] = [
    "door entrance locked unknown unknown",
    "door side locked unknown unknown",
    "door vault locked unknown unknown",
];

#[test]
fn a_connection_begins_with_status_sync_and_every_door() {
    let mut rig = Rig::new();
    let said = rig.connect();
    assert_eq!(said[..2], ["status 0 of 0", "sync 3/10 wants nothing"]);
    assert_eq!(said[2..], DOORS);
}

#[test]
fn a_door_is_said_when_it_changed_and_all_again_after_a_reconnect() {
    let mut rig = Rig::new();
    rig.connect();
    assert_eq!(rig.tick(), [""; 0]);
    let said = rig.board_up("b-2", 0);
    let changed = ["door side locked unknown closed", "door vault locked secure unknown"];
    assert_eq!(said[1..], changed);
    assert_eq!(rig.inputs("b-2", 0), [""; 0]);
    rig.disconnect();
    assert_eq!(rig.inputs("b-2", 1), ["append 3 door.opened"]);
    let said = rig.connect();
    assert_eq!(said[2..], [DOORS[0], "door side locked unknown open", changed[1]]);
}

#[test]
fn without_a_connection_nothing_is_said() {
    let mut rig = Rig::new();
    assert_eq!(rig.recorded(1), [""; 0]);
    assert_eq!(rig.later_ms(60_000).tick(), [""; 0]);
    assert_eq!(rig.deadline_ms(), None);
}

#[test]
fn status_follows_what_it_tells_of_at_most_every_five_seconds() {
    let mut rig = Rig::new();
    rig.connect();
    assert_eq!(rig.recorded(1), ["send 1 to 1"]);
    assert_eq!(rig.deadline_ms(), Some(5000));
    assert_eq!(rig.later_ms(4999).tick(), [""; 0]);
    assert_eq!(rig.later_ms(1).tick(), ["status 0 of 1"]);
    assert_eq!(rig.later_ms(5000).tick(), [""; 0], "nothing to tell");
}

#[test]
fn events_go_out_once_recorded_one_message_under_way_and_again_after_thirty_seconds() {
    let mut rig = Rig::new();
    rig.connect();
    rig.tap("entrance-in", STRANGER);
    rig.tap("entrance-in", STRANGER);
    assert_eq!(rig.recorded(2), ["send 1 to 2"]);
    assert_eq!(rig.recorded(3), [""; 0], "one message is under way");
    rig.later_ms(5000).tick();
    assert_eq!(rig.deadline_ms(), Some(25_000));
    assert_eq!(rig.later_ms(24_999).tick(), [""; 0]);
    assert_eq!(rig.later_ms(1).tick(), ["send 1 to 3"]);
    assert_eq!(rig.ack(JOURNAL, 3)[..2], ["acknowledged 3", "status 3 of 3"].map(str::to_owned)[..]);
    assert_eq!(rig.later_ms(60_000).tick(), [""; 0]);
}

/// As after a snapshot of the whole machine was put back.
#[test]
fn that_central_has_events_which_are_not_here_is_recorded_once_and_acknowledges_none_of_them() {
    let mut rig = Rig::new();
    rig.connect();
    rig.tap("entrance-in", STRANGER);
    rig.recorded(2);
    rig.ack(JOURNAL, 1);
    let said = rig.ack(JOURNAL, 15).join("\n");
    assert!(said.contains("forked after 1") && said.contains("store.recovered"), "{said}");
    assert!(!said.contains("acknowledged 15"), "{said}");
    assert_eq!(rig.ack(JOURNAL, 16), [""; 0]);
    assert_eq!(rig.ack("another-journal", 99), [""; 0]);
}

#[test]
fn after_a_reconnect_events_go_out_from_the_first_unacknowledged_one() {
    let mut rig = Rig::new();
    rig.connect();
    rig.recorded(1);
    rig.disconnect();
    assert!(rig.connect().contains(&"send 1 to 1".to_owned()));
    assert!(rig.ack(JOURNAL, 1).contains(&"acknowledged 1".to_owned()));
    rig.disconnect();
    assert!(!rig.connect().iter().any(|line| line.starts_with("send")));
}

#[test]
fn a_message_cut_short_by_its_size_goes_on_when_its_part_is_acknowledged() {
    let mut rig = Rig::new();
    rig.connect();
    rig.tap("entrance-in", STRANGER);
    assert_eq!(rig.recorded(2), ["send 1 to 2"]);
    assert_eq!(rig.uplink(UplinkEvent::Sent { through: 1 }), [""; 0]);
    assert_eq!(rig.ack(JOURNAL, 1), ["acknowledged 1", "send 2 to 2"]);
}

#[test]
fn an_acknowledgement_of_another_journal_or_of_what_is_not_recorded_moves_nothing() {
    let mut rig = Rig::new();
    rig.connect();
    rig.recorded(1);
    assert_eq!(rig.ack("another", 1), [""; 0]);
    assert!(!rig.ack(JOURNAL, 2).iter().any(|line| line.starts_with("acknowledged")), "not here");
    let wrong = UplinkEvent::Ack { message: Err(MessageError::NotJson("line 1 column 1".into())) };
    assert_eq!(rig.uplink(wrong), ["append 3 sync.rejected"]);
}

#[test]
fn after_a_restart_the_journal_goes_on_where_it_stood() {
    let journal = JournalEnd { id: JOURNAL.into(), seq: 500, acknowledged: 498, ..JournalEnd::default() };
    let mut rig = Rig::from(Start { journal, ..Start::default() });
    assert_eq!(short(&rig.started), ["append 501 controller.started"]);
    assert!(rig.connect().contains(&"send 499 to 500".to_owned()));
}

#[test]
fn what_the_journal_no_longer_holds_is_passed_over_and_what_is_damaged_is_said_once() {
    let mut rig = Rig::new();
    rig.connect();
    rig.recorded(1);
    assert_eq!(rig.uplink(UplinkEvent::Skipped { through: 1 }), [""; 0]);
    let said = rig.later_ms(60_000).tick();
    assert!(!said.iter().any(|line| line.starts_with("send")), "nothing is left to send: {said:?}");
    let damaged = |events: &[u64]| UplinkEvent::Unreadable { events: events.to_vec() };
    assert_eq!(rig.uplink(damaged(&[1])), ["append 2 store.recovered"]);
    assert_eq!(rig.uplink(damaged(&[1])), [""; 0], "sent again, it is damaged still");
}

#[test]
fn events_that_are_lost_are_recorded_with_their_number() {
    let mut rig = Rig::new();
    let lost = JournalEvent::Lost { count: 7, detail: "the disk failed".into() };
    let actions = rig.handle(Event::Journal(lost));
    let entry = &entries(&actions)[0];
    assert_eq!((&entry["type"], &entry["count"]), (&json!("journal.overwritten"), &json!(7)));
}

#[test]
fn a_broker_that_is_away_is_so_since_it_went_however_often_it_is_tried() {
    let mut rig = Rig::new();
    let since = |rig: &Rig| rig.controller.sync_report().since.map(|at| at.to_string());
    rig.disconnect();
    assert_eq!(since(&rig), None, "it was never there");
    rig.connect();
    rig.later_ms(5000).disconnect();
    rig.later_ms(5000).disconnect();
    assert_eq!(since(&rig).as_deref(), Some("2026-11-23T09:00:05Z"));
}
