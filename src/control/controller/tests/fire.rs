//! The fire alarm: on b-2, it releases the entrance (b-1) and the vault (b-2), and not the side door.

use super::{super::pulses::ticket, *};
use crate::control::index::DoorNo;

const ALARM: u64 = 1 << 7;

/// Both boards are up, and nothing is on.
fn quiet() -> Rig {
    let mut rig = Rig::new();
    rig.board_up("b-1", 0b01);
    rig.board_up("b-2", 0);
    rig
}

fn burning() -> Rig {
    let mut rig = quiet();
    rig.inputs("b-2", ALARM);
    rig
}

#[test]
fn the_alarm_releases_the_doors_so_marked_before_it_is_written() {
    let mut rig = quiet();
    let said = rig.inputs("b-2", ALARM);
    assert_eq!(said, ["pulse b-1/0 10 s #4: fire", "pulse b-2/0 10 s #4: fire", "append 4 fire.raised"]);
    assert_eq!(rig.later_ms(5000).tick(), ["pulse b-1/0 10 s #4: fire", "pulse b-2/0 10 s #4: fire"]);
}

#[test]
fn the_entry_names_the_doors() {
    let mut rig = quiet();
    let what = BoardEvent::Inputs(Inputs(ALARM));
    let actions = rig.handle(Event::Board { board: BoardId::new("b-2").unwrap(), what });
    assert_eq!(entries(&actions)[0]["doors"], json!(["entrance", "vault"]));
}

#[test]
fn it_opens_in_every_mode_and_no_order_locks_a_door_while_it_lasts() {
    for order in ["block", "lock_down", "unlock", "lock_open", "lock"] {
        let mut rig = quiet();
        rig.order(1, "entrance", order);
        rig.recorded(9);
        let said = rig.inputs("b-2", ALARM);
        assert!(
            said.iter().any(|line| line.starts_with("pulse b-1/0 10 s") && line.ends_with(": fire")),
            "{order}: {said:?}"
        );
    }
    let mut rig = burning();
    let said = rig.order(1, "entrance", "lock_down");
    assert!(!said.iter().any(|line| line.starts_with("secure")), "{said:?}");
    assert_eq!(rig.recorded(9), ["answer 1: done by 5"]);
    assert_eq!(rig.door("entrance").mode, crate::domain::DoorMode::LockedDown);
    let renewed = rig.later_ms(5000).tick();
    assert!(renewed.contains(&"pulse b-1/0 10 s #4: fire".to_owned()), "{renewed:?}");
}

#[test]
fn when_it_is_over_doors_return_to_what_their_modes_are_by_then() {
    let mut rig = burning();
    rig.order(1, "entrance", "unlock");
    rig.recorded(6);
    assert_eq!(rig.inputs("b-2", 0), [""; 0], "a moment off is not over");
    let said = rig.later_ms(2000).tick();
    assert_eq!(said, ["append 7 fire.cleared", "secure b-2/0 #7", "pulse b-1/0 10 s #6: recorded 6"]);
    rig.board("b-2", BoardEvent::Secured { ticket: ticket(7, DoorNo(2)) });
    assert_eq!(rig.later_ms(5000).tick(), ["pulse b-1/0 10 s #6: recorded 6"]);
}

#[test]
fn an_order_that_opens_is_done_while_the_alarm_has_the_door_open() {
    let mut rig = burning();
    rig.order(1, "entrance", "unlock");
    assert_eq!(rig.recorded(6), ["note entrance unlocked by 6", "answer 1: done by 5"]);
}

#[test]
fn a_board_that_is_lost_or_comes_back_quiet_releases_nothing() {
    let mut rig = quiet();
    let lost = || BoardEvent::Lost { detail: "no answer".into() };
    assert_eq!(rig.board("b-2", lost()), ["append 4 board.lost"]);
    assert_eq!(rig.board_up("b-2", 0), ["append 5 board.connected"]);
    rig.board("b-2", lost());
    let said = rig.board_up("b-2", ALARM);
    assert!(said.contains(&"append 8 fire.raised".to_owned()), "it burns since: {said:?}");
}

#[test]
fn an_alarm_whose_board_is_lost_lasts_until_it_is_read_as_off() {
    let mut rig = burning();
    rig.board("b-2", BoardEvent::Lost { detail: "no answer".into() });
    assert_eq!(rig.later_ms(5000).tick(), ["pulse b-1/0 10 s #4: fire"], "the other board is there");
    rig.later_ms(60_000).tick();
    rig.board_up("b-2", 0);
    let said = rig.later_ms(2000).tick();
    assert_eq!(said, ["append 7 fire.cleared", "secure b-1/0 #7", "secure b-2/0 #7"]);
}

#[test]
fn a_door_whose_board_comes_back_during_an_alarm_is_released_then() {
    let mut rig = quiet();
    rig.board("b-1", BoardEvent::Lost { detail: "no answer".into() });
    rig.inputs("b-2", ALARM);
    let said = rig.board_up("b-1", 0b01);
    assert_eq!(said, ["append 6 board.connected", "pulse b-1/0 10 s #5: fire"]);
}

#[test]
fn a_door_that_is_opened_in_an_alarm_was_not_forced() {
    let mut rig = burning();
    assert_eq!(rig.inputs("b-1", 0b00), ["append 5 door.opened"]);
    let said = rig.later_ms(40_000).inputs("b-1", 0b01);
    let entries: Vec<&String> = said.iter().filter(|line| line.starts_with("append")).collect();
    assert_eq!(entries, ["append 6 door.closed"], "nor held open");
}

#[test]
fn an_order_that_locks_a_door_in_an_alarm_forbids_nobody_to_open_it() {
    let mut rig = burning();
    rig.order(1, "entrance", "lock_down");
    rig.recorded(9);
    rig.later_ms(60_000).tick();
    assert_eq!(rig.inputs("b-1", 0b00), ["append 7 door.opened"]);
    rig.later_ms(700).tick();
    assert_eq!(json!(rig.door("entrance").alarm), "none");
}

#[test]
fn taps_are_decided_and_recorded_all_the_same() {
    let mut rig = burning();
    assert_eq!(rig.tap("entrance-in", STRANGER), ["append 5 access.denied", "show Denied at entrance-in"]);
    rig.tap("entrance-in", HOST);
    assert_eq!(rig.recorded(6), ["pulse b-1/0 10 s #6: recorded 6"]);
}

#[test]
fn a_pulse_of_one_door_says_nothing_of_another_door_of_the_same_alarm() {
    let mut rig = quiet();
    let what = BoardEvent::Inputs(Inputs(ALARM));
    let actions = rig.handle(Event::Board { board: BoardId::new("b-2").unwrap(), what });
    let tickets: Vec<u64> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Board { command, .. } => Some(command.ticket()),
            Action::Feedback { .. }
            | Action::Journal(_)
            | Action::Cache(_)
            | Action::Uplink(_)
            | Action::Answer { .. }
            | Action::Discard(_) => None,
        })
        .collect();
    assert_eq!((tickets.len(), entry_of(tickets[0])), (2, entry_of(tickets[1])));
    rig.pulsed("b-1", tickets[0]);
    let lock = |rig: &Rig, door: &str| rig.door(door).lock;
    assert_eq!(lock(&rig, "entrance"), crate::domain::LockState::Released);
    assert_ne!(lock(&rig, "vault"), crate::domain::LockState::Released);
    rig.board("b-2", BoardEvent::Failed { ticket: tickets[1], detail: "no echo".into() });
    assert_eq!(lock(&rig, "entrance"), crate::domain::LockState::Released);
    assert!(rig.door("vault").fault.is_some());
}

#[test]
fn only_its_own_board_s_loss_leaves_nobody_to_say_that_it_is_over() {
    for (board, is_over) in [("b-1", true), ("b-2", false)] {
        let mut rig = burning();
        rig.inputs("b-2", 0);
        rig.board(board, BoardEvent::Lost { detail: "gone".into() });
        let said = rig.later_ms(2000).tick();
        assert_eq!(
            said.iter().any(|line| line.ends_with("fire.cleared")),
            is_over,
            "without {board}: {said:?}"
        );
    }
}
