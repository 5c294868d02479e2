//! Trying the wiring, and watching readers: recorded first, and not while nobody should be let in or kept out by it.

use super::*;
use crate::wire::control::{InputRole, TestOf};

fn door(id: &str) -> TestOf {
    TestOf::Door(id.parse().unwrap())
}

fn board(id: &str) -> TestOf {
    TestOf::Board(id.parse().unwrap())
}

fn asks(rig: &mut Rig, request: OperatorRequest) -> (Vec<String>, Vec<Value>) {
    let actions = rig.handle(Event::Operator(OperatorEvent { token: 9, by: "anna (1000)".into(), request }));
    (short(&actions), entries(&actions))
}

#[test]
fn a_test_is_recorded_before_it_is_answered_and_drives_nothing_by_itself() {
    let mut rig = Rig::new();
    let (said, entries) = asks(&mut rig, OperatorRequest::Test { of: door("entrance") });
    assert_eq!(said, ["append 2 operator.command"]);
    assert_eq!(
        entries[0],
        json!({"seq": 2, "at": START, "type": "operator.command", "by": "anna (1000)", "action": "door_test",
            "outcome": "done", "door": "entrance"})
    );
    assert_eq!(rig.recorded(2), ["answer 9: done by 2"]);
    let (_, entries) = asks(&mut rig, OperatorRequest::Test { of: board("b-1") });
    assert_eq!((&entries[0]["action"], &entries[0]["detail"]), (&json!("board_test"), &json!("board b-1")));
}

#[test]
fn who_watches_a_reader_is_recorded_before_they_see_a_card() {
    let mut rig = Rig::new();
    let (said, entries) = asks(&mut rig, OperatorRequest::Watch { reader: Some("side-in".parse().unwrap()) });
    assert_eq!(said, ["append 2 operator.command"]);
    assert_eq!(
        entries[0],
        json!({"seq": 2, "at": START, "type": "operator.command", "by": "anna (1000)", "action": "reader_watch",
            "outcome": "done", "door": "side", "detail": "reader side-in"})
    );
    assert_eq!(rig.recorded(2), ["answer 9: done by 2"]);
}

#[test]
fn nothing_is_tried_in_a_lockdown_and_that_somebody_wanted_to_is_recorded() {
    let mut rig = Rig::new();
    rig.order(1, "side", "lock_down");
    for of in [door("side"), board("b-1")] {
        let (said, entries) = asks(&mut rig, OperatorRequest::Test { of });
        assert_eq!(entries[0]["outcome"], "refused", "{said:?}");
        assert!(said[1].starts_with("answer 9: side is locked down"), "{said:?}");
    }
    // Those are not locked down.
    assert!(rig.controller.may_test(&door("entrance")).is_ok());
    assert!(rig.controller.may_test(&board("b-2")).is_ok());
    rig.order(1, "side", "lock_down_release");
    assert!(rig.controller.may_test(&board("b-1")).is_ok());
}

#[test]
fn nothing_is_tried_while_the_fire_alarm_is_raised() {
    let mut rig = Rig::new();
    rig.board_up("b-2", 1 << 7);
    let (said, entries) = asks(&mut rig, OperatorRequest::Test { of: door("entrance") });
    assert_eq!((&entries[0]["outcome"], &entries[0]["door"]), (&json!("refused"), &json!("entrance")));
    assert!(said[1].starts_with("answer 9: the fire alarm is raised"), "{said:?}");
}

#[test]
fn what_is_not_there_is_said_and_not_recorded() {
    let mut rig = Rig::new();
    let (said, _) = asks(&mut rig, OperatorRequest::Test { of: door("cellar") });
    assert_eq!(said, ["answer 9: there is no door cellar; `latchctl doors` lists them"]);
    assert!(rig.controller.may_test(&board("b-9")).unwrap_err().is_unknown());
}

#[test]
fn the_plan_names_coils_inputs_and_what_the_inputs_read() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 0b01);
    rig.controller.settings.boards[1].url = "modbus+tcp://y".into();
    let reading = rig.reading();
    let plan = rig.controller.wiring_report(reading, &door("side"), "anna (1000)", 7);
    // Its strike is on one board, its contact and button on the other.
    let boards: Vec<(&str, bool)> = plan.boards.iter().map(|b| (b.board.as_str(), b.connected)).collect();
    assert_eq!(boards, [("b-1", true), ("b-2", false)]);
    assert_eq!(plan.boards[0].on, [0]);
    let urls: Vec<&str> = plan.boards.iter().map(|b| b.url.as_str()).collect();
    assert_eq!(urls, ["modbus+tcp://x", "modbus+tcp://y"]);
    let side = &plan.doors[0];
    assert_eq!((side.board.as_str(), side.coil, side.strike_ms), ("b-1", 1, 5000));
    assert!(side.contact.as_ref().is_some_and(|c| c.board.as_str() == "b-2" && c.input == 0 && c.invert));
    assert_eq!((plan.doors.len(), plan.seq), (1, 7));
    // What belongs to others is known too, and so is the fire alarm.
    let roles: Vec<(u8, InputRole, Option<&str>)> =
        plan.inputs.iter().map(|i| (i.input, i.role, i.door.as_ref().map(|d| d.as_str()))).collect();
    assert!(roles.contains(&(0, InputRole::Contact, Some("entrance"))), "{roles:?}");
    assert!(roles.contains(&(7, InputRole::Fire, None)), "{roles:?}");
    let of_board = rig.controller.wiring_report(reading, &board("b-1"), "anna (1000)", 7);
    let doors: Vec<&str> = of_board.doors.iter().map(|d| d.door.as_str()).collect();
    assert_eq!(doors, ["entrance", "side"]);
}
