//! What the controller shows to who watches it from afar.

use super::{super::pulses::ticket, *};
use crate::{
    control::index::DoorNo,
    domain::Reason,
    wire::metrics::{Counts, Histogram, LinkCount},
};

fn counts(rig: &Rig) -> Counts {
    rig.controller.measured(read(rig.mono, rig.wall_off_s, rig.synchronised)).counts
}

fn took(times_ms: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    times_ms.iter().for_each(|ms| histogram.observe(Duration::from_millis(*ms)));
    histogram
}

fn reader_says(rig: &mut Rig, what: ReaderEvent) {
    rig.when(Event::Reader { reader: ReaderId::new("entrance-in").unwrap(), what });
}

#[test]
fn a_tap_is_counted_by_its_answer_and_timed_to_its_release_and_its_strike() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.tap("entrance-in", HOST);
    let seq = rig.controller.next_seq - 1;
    rig.later_ms(4).recorded(seq);
    rig.later_ms(26).pulsed("b-1", seq);
    rig.tap("entrance-in", STRANGER);
    rig.tap("entrance-in", STRANGER);
    let counts = counts(&rig);
    assert_eq!(counts.decisions, BTreeMap::from([(Reason::InWindow, 1), (Reason::UnknownCredential, 2)]));
    assert_eq!((counts.tap_release, counts.tap_strike), (took(&[4]), took(&[30])));
    assert_eq!(counts.late_releases, 0);
}

#[test]
fn each_door_s_strike_is_timed_not_the_first_one_s_alone() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.tap("side-in", HOST);
    let seq = rig.controller.next_seq - 1;
    rig.recorded(seq);
    rig.later_ms(30).pulsed("b-1", ticket(seq, DoorNo(1)));
    assert_eq!(counts(&rig).tap_strike, took(&[30]));
}

#[test]
fn a_door_that_did_not_wait_for_the_disk_is_counted_late() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.tap("entrance-in", HOST);
    rig.later_ms(20).tick();
    let counts = counts(&rig);
    assert_eq!((counts.late_releases, counts.tap_release), (1, took(&[20])));
}

#[test]
fn who_asks_to_leave_is_no_tap_and_a_strike_that_failed_is_no_time() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 0b01);
    rig.inputs("b-1", 0b11);
    let seq = rig.controller.next_seq - 1;
    rig.later_ms(5).pulsed("b-1", seq);
    rig.tap("entrance-in", HOST);
    let seq = rig.controller.next_seq - 1;
    rig.recorded(seq);
    rig.board("b-1", BoardEvent::Failed { ticket: seq, detail: "no echo".into() });
    let counts = counts(&rig);
    assert_eq!((counts.tap_release, counts.tap_strike), (took(&[0]), took(&[])));
    assert_eq!(counts.board_failures, BTreeMap::from([(BoardId::new("b-1").unwrap(), 1)]));
}

#[test]
fn links_are_counted_each_time_they_come_and_go() {
    let mut rig = Rig::new();
    reader_says(&mut rig, ReaderEvent::Lost { detail: "no such file".into() });
    reader_says(&mut rig, ReaderEvent::Connected { detail: "PN532".into() });
    reader_says(&mut rig, ReaderEvent::Unreadable { detail: "torn away".into() });
    rig.board_up("b-2", 0);
    rig.board("b-2", BoardEvent::Lost { detail: "gone".into() });
    rig.board_up("b-2", 0);
    rig.connect();
    rig.disconnect();
    let counts = counts(&rig);
    let (reader, board) = (ReaderId::new("entrance-in").unwrap(), BoardId::new("b-2").unwrap());
    assert_eq!(counts.readers, BTreeMap::from([(reader.clone(), LinkCount { connections: 1, losses: 1 })]));
    assert_eq!(counts.unreadable, BTreeMap::from([(reader, 1)]));
    assert_eq!(counts.boards, BTreeMap::from([(board, LinkCount { connections: 2, losses: 1 })]));
    assert_eq!(counts.broker, LinkCount { connections: 1, losses: 1 });
}

#[test]
fn stores_that_fail_are_counted_and_what_is_not_on_disk_is_seen() {
    let mut rig = Rig::new();
    rig.when(Event::Journal(JournalEvent::Failed { detail: "no space".into() }));
    rig.when(Event::Cache(CacheEvent::Failed { detail: "no space".into() }));
    let counts = counts(&rig);
    assert_eq!((counts.journal_failures, counts.cache_failures), (1, 1));
    let measured = |rig: &Rig| rig.controller.measured(read(rig.mono, rig.wall_off_s, rig.synchronised));
    assert_eq!(measured(&rig).unrecorded, rig.controller.next_seq - 1);
    rig.recorded(1);
    assert_eq!(measured(&rig).unrecorded, rig.controller.next_seq - 2);
}

#[test]
fn central_was_heard_as_long_ago_as_can_be_known() {
    let ago = |rig: &Rig| {
        rig.controller
            .measured(read(rig.mono, rig.wall_off_s, rig.synchronised))
            .heard_ago
            .map(|ago| ago.as_secs())
    };
    let mut rig = Rig::new();
    assert_eq!(ago(rig.later_ms(7000)), Some(7), "by what was noted before");
    rig.connect();
    rig.changes(1, 3, 11, 11);
    rig.wall_off_s = 3600;
    assert_eq!(ago(rig.later_ms(2000)), Some(2), "by the clock nobody sets");
    let rig = Rig::from(Start { synchronised: false, ..Start::default() });
    assert_eq!(ago(&rig), None, "a clock in doubt does not tell");
    let rig = Rig::from(Start { heard: Heard { central_at: None }, ..Start::default() });
    assert_eq!(ago(&rig), None);
}
