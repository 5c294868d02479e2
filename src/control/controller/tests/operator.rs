//! What a technician asks for: recorded first, answered when it is true.

use super::*;

#[test]
fn an_operators_access_is_recorded_then_driven_and_answered_when_the_board_confirmed() {
    let mut rig = Rig::new();
    assert_eq!(rig.access(9, "entrance"), ["append 2 operator.command"]);
    assert_eq!(rig.recorded(2), ["pulse b-1/0 5 s #2: recorded 2"]);
    assert_eq!(rig.pulsed("b-1", 2), ["answer 9: done by 2"]);
}

#[test]
fn the_entry_says_who_asked_for_what_and_why() {
    let mut rig = Rig::new();
    let request = OperatorRequest::Door {
        door: "side".parse().unwrap(),
        order: DoorOrder::new(DoorAction::Access, None).unwrap(),
        reason: Some("delivery".into()),
    };
    let event = OperatorEvent { token: 1, by: "anna (1000)".into(), request };
    let entry = entries(&rig.handle(Event::Operator(event))).remove(0);
    assert_eq!(
        entry,
        json!({"seq": 2, "at": START, "type": "operator.command", "by": "anna (1000)", "action": "access",
            "outcome": "done", "door": "side", "reason": "delivery"})
    );
}

#[test]
fn an_operators_access_waits_no_longer_for_the_disk_than_a_tap() {
    let mut rig = Rig::new();
    rig.access(9, "entrance");
    assert_eq!(rig.later_ms(20).tick(), ["mark late 2", "pulse b-1/0 5 s #2: late 2"]);
}

#[test]
fn a_door_that_could_not_be_driven_is_no_success() {
    let mut rig = Rig::new();
    rig.access(9, "entrance");
    rig.recorded(2);
    let said = rig.board("b-1", BoardEvent::Failed { ticket: 2, detail: "no answer".into() });
    assert_eq!(said, ["answer 9: the door could not be driven: no answer", "append 3 door.lock_fault"]);
}

#[test]
fn a_door_that_is_not_there_is_answered_at_once() {
    let mut rig = Rig::new();
    assert_eq!(rig.access(9, "cellar"), ["answer 9: there is no door cellar"]);
}

#[test]
fn a_door_that_is_closed_to_all_is_not_opened_and_the_attempt_is_recorded() {
    for (order, why) in [
        ("block", "it is blocked; unblock it first"),
        ("lock_down", "it is locked down, and takes nothing but the lockdown's release (lock_down_release)"),
        ("lock_open", "it is locked open, and takes nothing but the release of that (lock_open_release)"),
    ] {
        let mut rig = Rig::new();
        rig.order(8, "entrance", order);
        let said = rig.access(9, "entrance");
        let answer = format!("answer 9: entrance: access was refused: {why}");
        assert_eq!(said, ["append 4 operator.command".to_owned(), answer]);
        rig.recorded(4);
        let pulses = rig.controller.pulses.keys().filter(|&&ticket| ticket == 4).count();
        assert_eq!(pulses, 0);
    }
}

#[test]
fn a_resync_is_recorded_and_asks_for_a_snapshot() {
    let mut rig = Rig::new();
    rig.connect();
    let event = OperatorEvent { token: 4, by: "anna (1000)".into(), request: OperatorRequest::Resync };
    let said = rig.when(Event::Operator(event));
    assert_eq!(said, ["append 2 operator.command", "answer 4: done by 2", "sync 3/10 wants snapshot"]);
}

#[test]
fn stopping_says_so_and_releases_nothing() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    let said = rig.when(Event::Stopping);
    assert_eq!(said, ["note heard", "append 3 controller.stopped", "note checkpoint 3"]);
}

#[test]
fn what_was_done_beside_the_controller_is_recorded_with_what_it_was() {
    let mut rig = Rig::new();
    let request = OperatorRequest::Beside { action: "backup".into(), detail: "12 records".into() };
    let actions = rig.handle(Event::Operator(OperatorEvent { token: 1, by: "anna (1000)".into(), request }));
    let expected = json!({"seq": 2, "at": START, "type": "operator.command", "by": "anna (1000)", "action": "backup",
        "outcome": "done", "detail": "12 records"});
    assert_eq!(entries(&actions), [expected]);
}

#[test]
fn who_is_turned_away_over_and_over_is_answered_each_time_and_recorded_in_sum() {
    let mut rig = Rig::new();
    let mut away = || {
        let (action, detail) = ("access".into(), "takes a technician".into());
        let request = OperatorRequest::TurnedAway { uid: 1001, action, door: None, detail };
        rig.when(Event::Operator(OperatorEvent { token: 7, by: "bo (1001)".into(), request }))
    };
    for seq in 2..=6 {
        assert_eq!(away(), [format!("append {seq} operator.command"), format!("answer 7: done by {seq}")]);
    }
    assert_eq!(away(), ["answer 7: done by 6"], "by the last there is");
    assert_eq!(rig.deadline_ms(), Some(60_000));
    assert_eq!(rig.later_ms(60_000).tick(), ["append 7 operator.command"]);
}
