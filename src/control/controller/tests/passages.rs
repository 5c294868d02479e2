//! A tap: decided, appended, and only then a door.

use super::*;

#[test]
fn a_granted_tap_is_appended_and_drives_nothing_until_its_entry_is_on_disk() {
    let mut rig = Rig::new();
    assert_eq!(short(&rig.started), ["append 1 controller.started"]);
    assert_eq!(rig.tap("entrance-in", HOST), ["append 2 access.granted"]);
    assert_eq!(rig.recorded(1), [""; 0], "an entry before it is no proof");
    assert_eq!(rig.recorded(2), ["pulse b-1/0 5 s #2: recorded 2"]);
    assert_eq!(rig.recorded(2), [""; 0], "one entry, one pulse");
}

#[test]
fn one_sync_of_the_disk_releases_every_door_that_waited_for_it() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    rig.tap("side-in", HOST);
    let released = rig.recorded(7);
    assert_eq!(released, ["pulse b-1/0 5 s #2: recorded 7", "pulse b-1/1 5 s #3: recorded 7"]);
}

#[test]
fn a_disk_that_is_too_slow_lets_the_door_open_exactly_at_the_deadline_and_the_entry_says_late() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    assert_eq!(rig.deadline_ms(), Some(20));
    assert_eq!(rig.later_ms(19).tick(), [""; 0]);
    assert_eq!(rig.later_ms(1).tick(), ["mark late 2", "pulse b-1/0 5 s #2: late 2"]);
    assert_eq!(rig.deadline_ms(), None);
    assert_eq!(rig.recorded(2), [""; 0], "it has been driven");
}

#[test]
fn an_entry_that_is_on_disk_at_the_deadline_is_not_late() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    rig.later_ms(20);
    assert_eq!(rig.recorded(2), ["pulse b-1/0 5 s #2: recorded 2"]);
}

#[test]
fn a_failing_disk_keeps_nobody_out_and_is_reported() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    let failed = Event::Journal(JournalEvent::Failed { detail: "no space".into() });
    assert_eq!(rig.when(failed), [""; 0]);
    let reading = read(rig.mono, 0, true);
    assert_eq!(rig.controller.status_report(reading).journal.fault.as_deref(), Some("no space"));
    assert_eq!(rig.later_ms(20).tick(), ["mark late 2", "pulse b-1/0 5 s #2: late 2"]);
    rig.recorded(2);
    assert_eq!(rig.controller.status_report(reading).journal.fault, None);
}

#[test]
fn a_denied_tap_drives_nothing_and_shows_why() {
    let mut rig = Rig::new();
    let said = rig.tap("entrance-in", STRANGER);
    assert_eq!(said, ["append 2 access.denied", "show Denied at entrance-in"]);
    assert_eq!(rig.recorded(2), [""; 0]);
    assert_eq!(rig.deadline_ms(), None);
}

#[test]
fn a_right_card_at_the_wrong_time_is_told_so() {
    let mut rig = Rig::new();
    let said = rig.later_ms(5_400_000).tap("entrance-in", HOST);
    assert_eq!(said, ["append 2 access.denied", "show WrongTime at entrance-in"]);
    assert_eq!(rig.recorded(2), [""; 0]);
    assert_eq!(rig.deadline_ms(), None);
}

#[test]
fn an_unknown_card_is_recorded_by_its_tag_and_never_by_its_uid() {
    let mut rig = Rig::new();
    let tap = ReaderEvent::Tap(Uid::parse(STRANGER).unwrap());
    let actions = rig.handle(Event::Reader { reader: ReaderId::new("entrance-in").unwrap(), what: tap });
    let entry = entries(&actions).remove(0);
    let tag = rig.hasher.hash(&Uid::parse(STRANGER).unwrap()).tag();
    assert_eq!((&entry["uid_tag"], tag.len()), (&json!(tag), 8));
    assert_eq!(entry["reason"], "unknown_credential");
    assert!(!format!("{actions:?}{entry}").contains(STRANGER));
}

#[test]
fn a_holder_who_needs_longer_gets_the_doors_longer_time() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", SLOW);
    assert_eq!(rig.recorded(2), ["pulse b-1/0 15 s #2: recorded 2"]);
}

#[test]
fn the_member_sees_green_when_the_board_has_confirmed_and_not_before() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    rig.recorded(2);
    assert_eq!(rig.pulsed("b-1", 2), ["show Granted at entrance-in"]);
    assert_eq!(rig.pulsed("b-1", 2), [""; 0]);
}

#[test]
fn a_guest_arrives_once_and_comes_and_goes() {
    let mut rig = Rig::new();
    let first = rig.tap("entrance-in", GUEST);
    let arrived = ["append 2 access.granted", "append 3 guest.arrived", "note m-guest let in on b-5 by 3"];
    assert_eq!(first, arrived);
    assert_eq!(rig.tap("entrance-in", GUEST), ["append 4 access.granted"]);
}

#[test]
fn the_room_is_full_when_its_capacity_has_been_let_in_and_a_restart_does_not_empty_it() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", GUEST);
    let refused = ["append 4 access.denied", "show Denied at entrance-in"];
    assert_eq!(rig.tap("entrance-in", OTHER_GUEST), refused);
    let mut restarted = Rig::from(Start { let_in: rig.controller.let_in.clone(), ..Start::default() });
    assert_eq!(restarted.tap("entrance-in", OTHER_GUEST).last().unwrap(), "show Denied at entrance-in");
    assert_eq!(restarted.tap("entrance-in", GUEST), ["append 3 access.granted"]);
}

#[test]
fn guests_of_bookings_long_gone_are_forgotten_at_start_and_those_of_bookings_to_come_are_not() {
    let mut let_in = LetIn::default();
    let (holder, long_ago) = ("m-guest".parse().unwrap(), At::parse("2026-01-01T00:00:00Z").unwrap());
    let_in.add("b-gone".parse().unwrap(), crate::domain::HolderId::clone(&holder), long_ago);
    let_in.add("b-5".parse().unwrap(), holder, long_ago);
    let rig = Rig::from(Start { let_in, ..Start::default() });
    assert_eq!(short(&rig.started), ["append 1 controller.started", "forget b-gone"]);
}

#[test]
fn what_readers_say_about_themselves_is_recorded_and_a_torn_card_only_shown() {
    let mut rig = Rig::new();
    let says = |what| Event::Reader { reader: ReaderId::new("side-in").unwrap(), what };
    let connected = says(ReaderEvent::Connected { detail: "PN532".into() });
    assert_eq!(rig.when(connected), ["append 2 reader.connected"]);
    assert!(rig.controller.reader_reports(rig.reading())[1].connected);
    let torn = says(ReaderEvent::Unreadable { detail: "torn away".into() });
    assert_eq!(rig.when(torn), ["show Fault at side-in"]);
    let tamper =
        |is_tampered| says(ReaderEvent::Tamper { is_tampered, detail: "begin: it was opened".into() });
    assert_eq!(rig.when(tamper(true)), ["append 3 reader.tamper"]);
    assert!(rig.controller.reader_reports(rig.reading())[1].tamper);
    assert_eq!(rig.when(says(ReaderEvent::Power { is_failing: true })), [""; 0]);
    assert_eq!(
        rig.controller.reader_reports(rig.reading())[1].fault.as_deref(),
        Some("its power supply fails")
    );
    assert_eq!(rig.when(tamper(false)), ["append 4 reader.tamper"]);
    assert!(!rig.controller.reader_reports(rig.reading())[1].tamper);
    let lost = says(ReaderEvent::Lost { detail: "unplugged".into() });
    assert_eq!(rig.when(lost), ["append 5 reader.lost"]);
    assert!(!rig.controller.reader_reports(rig.reading())[1].connected);
    assert_eq!(rig.tap("elsewhere", HOST), [""; 0], "a reader nobody configured opens nothing");
}

#[test]
fn a_reader_that_keeps_failing_is_counted_and_fills_no_journal() {
    let mut rig = Rig::new();
    let says = |what| Event::Reader { reader: ReaderId::new("side-in").unwrap(), what };
    assert_eq!(rig.when(says(ReaderEvent::Lost { detail: "silent".into() })), ["append 2 reader.lost"]);
    for _ in 0..3 {
        assert_eq!(rig.when(says(ReaderEvent::Restarted { detail: "silent".into() })), [""; 0]);
    }
    let restarts = rig.controller.reader_reports(rig.reading())[1].restarts.clone().unwrap();
    assert_eq!((restarts.count, restarts.last_error.as_str()), (3, "silent"));
    assert_eq!(restarts.since, rig.reading().wall.floor_ms());
    rig.later_ms(3_600_000);
    assert_eq!(rig.controller.reader_reports(rig.reading())[1].restarts, None);
}
