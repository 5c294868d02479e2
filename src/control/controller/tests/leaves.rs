//! What leaves do, through the controller: what is recorded, shown, published and driven of it.

use super::*;

/// Input 0 of b-1 is the entrance's contact, input 1 its button.
const CLOSED: u64 = 0b01;
const OPEN: u64 = 0b00;

/// The entrance, released for the host by entry 3.
fn released() -> Rig {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig.tap("entrance-in", HOST);
    rig.recorded(3);
    rig.pulsed("b-1", 3);
    rig
}

#[test]
fn who_goes_through_is_said_and_the_strike_dropped_behind_the_moving_door() {
    let mut rig = released();
    assert_eq!(rig.later_ms(1000).inputs("b-1", OPEN), ["append 4 door.opened"]);
    assert_eq!(rig.deadline_ms(), Some(250));
    let entry = entries(&rig.later_ms(250).handle(Event::Tick)).remove(0);
    assert_eq!(
        entry,
        json!({"seq": 5, "at": "2026-11-23T09:00:01.250Z", "type": "access.taken", "door": "entrance", "of": 3})
    );
    assert_eq!(rig.board("b-1", BoardEvent::Secured { ticket: 4 }), [""; 0]);
    assert_eq!(json!(rig.door("entrance").lock), "secure");
    assert_eq!(rig.later_ms(2000).inputs("b-1", CLOSED), ["append 6 door.closed"]);
    assert_eq!(rig.later_ms(60_000).tick(), [""; 0]);
}

#[test]
fn the_strike_is_dropped_when_it_is_said_to_be() {
    for (when, on_open, on_close) in
        [(RelockOn::Open, true, false), (RelockOn::Close, false, true), (RelockOn::Timer, false, false)]
    {
        let mut rig = released();
        rig.controller.settings.doors[0].relock_on = when;
        rig.later_ms(1000).inputs("b-1", OPEN);
        let opened = rig.later_ms(250).tick();
        assert_eq!(opened.contains(&"secure b-1/0 #4".to_owned()), on_open, "{when:?}: {opened:?}");
        let closed = rig.later_ms(1000).inputs("b-1", CLOSED);
        assert_eq!(closed.iter().any(|s| s.starts_with("secure b-1/0")), on_close, "{when:?}: {closed:?}");
    }
}

#[test]
fn a_strike_that_is_driven_for_the_next_one_or_by_a_mode_is_not_dropped_behind_the_last() {
    let mut rig = released();
    rig.later_ms(1000).inputs("b-1", OPEN);
    rig.tap("side-in", HOST);
    rig.tap("entrance-in", HOST);
    rig.recorded(6);
    let opened = rig.later_ms(250).tick();
    assert!(!opened.iter().any(|said| said.starts_with("secure")), "{opened:?}");
    let mut rig = released();
    rig.order(1, "entrance", "unlock");
    rig.recorded(5);
    rig.pulsed("b-1", 5);
    rig.later_ms(1000).inputs("b-1", OPEN);
    let opened = rig.later_ms(250).tick();
    assert_eq!(opened, ["append 7 access.taken"]);
}

#[test]
fn nobody_who_goes_through_is_said_too() {
    let mut rig = released();
    assert_eq!(rig.deadline_ms(), Some(5700));
    assert_eq!(rig.later_ms(5700).tick(), ["append 4 access.not_taken"]);
}

#[test]
fn an_operators_access_is_no_grant_that_somebody_takes() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig.access(1, "entrance");
    rig.recorded(3);
    rig.inputs("b-1", OPEN);
    assert_eq!(rig.later_ms(250).tick(), ["secure b-1/0 #4"]);
}

#[test]
fn a_forced_door_is_an_alarm_until_it_is_shut() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig.connect();
    rig.inputs("b-1", OPEN);
    assert_eq!(json!(rig.door("entrance").alarm), "none", "a button may explain it yet");
    let said = rig.later_ms(700).tick();
    assert_eq!(said[0], "append 4 door.forced");
    assert_eq!(json!(rig.door("entrance").alarm), "forced");
    rig.later_ms(1000).inputs("b-1", CLOSED);
    assert_eq!(json!(rig.door("entrance").alarm), "none");
}

#[test]
fn a_door_that_was_unlocked_and_is_locked_again_is_forced_by_who_opens_it() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    for (number, order) in [(1, "unlock"), (2, "lock")] {
        rig.order(number, "entrance", order);
        rig.recorded(9);
    }
    rig.later_ms(60_000).inputs("b-1", OPEN);
    rig.later_ms(700).tick();
    assert_eq!(json!(rig.door("entrance").alarm), "forced");
}

#[test]
fn a_door_that_stands_open_is_warned_of_at_its_readers_and_then_held_open() {
    let mut rig = released();
    rig.inputs("b-1", OPEN);
    rig.later_ms(250).tick();
    rig.board("b-1", BoardEvent::Secured { ticket: 4 });
    assert_eq!(rig.later_ms(19_750).tick(), ["show StandsOpen at entrance-in"]);
    assert_eq!(rig.later_ms(10_000).tick(), ["append 6 door.held_open"]);
    assert_eq!(json!(rig.door("entrance").alarm), "held_open");
    assert_eq!(rig.inputs("b-1", CLOSED), ["append 7 door.closed", "append 8 door.held_open_ended"]);
}

#[test]
fn a_button_that_only_shunts_explains_the_opening_too() {
    let mut rig = Rig::new();
    rig.board_up("b-2", 0b00);
    rig.inputs("b-2", 0b01);
    assert_eq!(rig.later_ms(400).inputs("b-2", 0b11), ["append 4 rex.pressed"], "late, and in time");
    assert_eq!(rig.later_ms(5000).tick(), [""; 0]);
    assert_eq!(json!(rig.door("side").alarm), "none");
}

#[test]
fn a_stuck_button_is_shown_until_it_is_released() {
    let mut rig = Rig::new();
    rig.board_up("b-2", 0b00);
    rig.inputs("b-2", 0b10);
    assert_eq!(rig.later_ms(60_000).tick(), [""; 0]);
    let fault = rig.door("side").fault.unwrap();
    assert!(fault.starts_with("the exit button"), "{fault}");
    rig.inputs("b-2", 0b00);
    assert_eq!(rig.door("side").fault, None);
}

#[test]
fn who_needs_longer_may_hold_the_door_for_longer() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig.tap("entrance-in", SLOW);
    rig.recorded(3);
    rig.pulsed("b-1", 3);
    rig.inputs("b-1", OPEN);
    rig.later_ms(250).tick();
    assert!(!rig.later_ms(79_000).tick().contains(&"append 6 door.held_open".to_owned()));
    assert_eq!(json!(rig.door("entrance").alarm), "none");
    rig.later_ms(10_750).tick();
    assert_eq!(json!(rig.door("entrance").alarm), "held_open");
}

#[test]
fn a_lost_board_ends_what_its_own_inputs_said_and_nothing_else() {
    let lost = || BoardEvent::Lost { detail: "gone".into() };
    for (board, expected) in [("b-2", "held_open"), ("b-1", "none")] {
        let mut rig = released();
        rig.board_up("b-2", 0b00);
        rig.inputs("b-1", OPEN);
        rig.later_ms(250).tick();
        rig.board(board, lost());
        rig.later_ms(30_000).tick();
        assert_eq!(json!(rig.door("entrance").alarm), expected, "without {board}");
    }
    for (board, is_stuck) in [("b-1", true), ("b-2", false)] {
        let mut rig = Rig::new();
        rig.board_up("b-1", CLOSED);
        rig.board_up("b-2", 0b00);
        rig.inputs("b-2", 0b10);
        rig.board(board, lost());
        rig.later_ms(60_000).tick();
        assert_eq!(rig.door("side").fault.is_some(), is_stuck, "without {board}");
    }
}
