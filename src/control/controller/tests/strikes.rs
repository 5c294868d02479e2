//! Strikes, contacts, buttons and boards.

use super::{super::pulses::ticket, *};
use crate::control::{index::DoorNo, settings::RelockOn};

/// Input 0 of b-1 is the entrance's contact, input 1 its button.
const CLOSED: u64 = 0b01;
const OPEN: u64 = 0b00;
const PRESSED: u64 = 0b11;

fn contact(rig: &Rig, door: &str) -> Value {
    json!(rig.door(door).contact)
}

fn lock(rig: &Rig, door: &str) -> Value {
    json!(rig.door(door).lock)
}

/// A tap at the entrance, through to the board. Returns the ticket.
fn opened(rig: &mut Rig) -> u64 {
    rig.tap("entrance-in", HOST);
    let seq = rig.controller.next_seq - 1;
    rig.recorded(seq);
    seq
}

#[test]
fn who_asks_to_leave_waits_for_nothing() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    assert_eq!(rig.inputs("b-1", PRESSED), ["pulse b-1/0 5 s #3: rex", "append 3 rex.pressed"]);
    assert_eq!(rig.inputs("b-1", PRESSED), [""; 0], "held down is one request");
    assert_eq!(rig.inputs("b-1", CLOSED), [""; 0]);
    assert_eq!(rig.inputs("b-1", PRESSED), ["pulse b-1/0 5 s #4: rex", "append 4 rex.pressed"]);
}

#[test]
fn a_button_that_does_not_unlock_is_only_recorded() {
    let mut rig = Rig::new();
    rig.board_up("b-2", 0b00);
    assert_eq!(rig.inputs("b-2", 0b10), ["append 3 rex.pressed"]);
}

#[test]
fn a_button_held_down_when_the_board_comes_counts_when_it_is_pressed_again() {
    let mut rig = Rig::new();
    assert_eq!(rig.board_up("b-1", PRESSED), ["append 2 board.connected"]);
    rig.inputs("b-1", CLOSED);
    assert_eq!(rig.inputs("b-1", PRESSED).len(), 2);
    rig.board("b-1", BoardEvent::Lost { detail: "gone".into() });
    assert_eq!(rig.board_up("b-1", PRESSED), ["append 5 board.connected"], "nobody saw it released");
}

#[test]
fn the_button_goes_before_the_door_that_moves_with_it() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let said = rig.inputs("b-1", 0b10);
    assert_eq!(said, ["pulse b-1/0 5 s #3: rex", "append 3 rex.pressed", "append 4 door.opened"]);
}

#[test]
fn a_contact_is_a_level_and_its_first_reading_is_no_event() {
    let mut rig = Rig::new();
    assert_eq!(contact(&rig, "entrance"), "unknown");
    assert_eq!(rig.board_up("b-1", OPEN), ["append 2 board.connected"]);
    assert_eq!(contact(&rig, "entrance"), "open");
    assert_eq!(rig.inputs("b-1", CLOSED), ["append 3 door.closed"]);
    assert_eq!(rig.inputs("b-1", CLOSED), [""; 0]);
    assert_eq!(rig.inputs("b-1", OPEN), ["append 4 door.opened"]);
}

#[test]
fn a_lost_board_knows_nothing_and_coming_back_is_no_event_of_the_door() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    assert_eq!((lock(&rig, "entrance"), contact(&rig, "entrance")), (json!("secure"), json!("closed")));
    assert_eq!(rig.board("b-1", BoardEvent::Lost { detail: "gone".into() }), ["append 3 board.lost"]);
    assert_eq!((lock(&rig, "entrance"), contact(&rig, "entrance")), (json!("unknown"), json!("unknown")));
    assert_eq!(rig.board_up("b-1", OPEN), ["append 4 board.connected"]);
    assert_eq!(contact(&rig, "entrance"), "open");
}

#[test]
fn a_doors_lock_and_inputs_may_be_on_different_boards() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 0);
    assert_eq!((lock(&rig, "side"), contact(&rig, "side")), (json!("secure"), json!("unknown")));
    rig.board_up("b-2", 0b00);
    assert_eq!(contact(&rig, "side"), "closed", "inverted");
    assert_eq!(rig.inputs("b-2", 0b01), ["append 4 door.opened"]);
    assert_eq!(rig.inputs("b-1", CLOSED), ["append 5 door.closed"], "the entrance's, not the side door's");
    rig.board("b-1", BoardEvent::Lost { detail: "gone".into() });
    assert_eq!((lock(&rig, "side"), contact(&rig, "side")), (json!("unknown"), json!("open")));
    rig.board_up("b-1", CLOSED);
    rig.board("b-2", BoardEvent::Lost { detail: "gone".into() });
    assert_eq!((lock(&rig, "side"), contact(&rig, "side")), (json!("secure"), json!("unknown")));
}

#[test]
fn a_board_that_does_not_confirm_is_said_once_and_its_end_once() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let failed = |ticket| BoardEvent::Failed { ticket, detail: "wrong echo".into() };
    let ticket = opened(&mut rig);
    assert_eq!(rig.board("b-1", failed(ticket)), ["show Fault at entrance-in", "append 4 door.lock_fault"]);
    assert_eq!(rig.door("entrance").fault.as_deref(), Some("wrong echo"));
    let ticket = opened(&mut rig);
    assert_eq!(rig.board("b-1", failed(ticket)), ["show Fault at entrance-in"], "it has been said");
    let ticket = opened(&mut rig);
    let ended = ["show Granted at entrance-in", "append 7 door.lock_fault_ended"];
    assert_eq!(rig.pulsed("b-1", ticket), ended);
    let ticket = opened(&mut rig);
    assert_eq!(rig.pulsed("b-1", ticket), ["show Granted at entrance-in"]);
    assert_eq!(rig.door("entrance").fault, None);
}

#[test]
fn a_pulse_the_board_did_not_end_is_a_fault() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let ticket = opened(&mut rig);
    rig.pulsed("b-1", ticket);
    let ended = BoardEvent::Ended { ticket, by_board: false };
    assert_eq!(rig.board("b-1", ended), ["append 4 door.lock_fault"]);
}

#[test]
fn a_door_is_accessed_from_the_confirmation_to_the_end_of_the_last_pulse() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let mode = |rig: &Rig| json!(rig.door("entrance").mode);
    let first = opened(&mut rig);
    assert_eq!(mode(&rig), "locked", "asked is not yet released");
    rig.pulsed("b-1", first);
    assert_eq!((mode(&rig), lock(&rig, "entrance")), (json!("accessed"), json!("released")));
    let second = opened(&mut rig);
    rig.pulsed("b-1", second);
    rig.board("b-1", BoardEvent::Ended { ticket: first, by_board: true });
    assert_eq!(lock(&rig, "entrance"), "released", "the second still runs");
    rig.board("b-1", BoardEvent::Ended { ticket: second, by_board: true });
    assert_eq!((mode(&rig), lock(&rig, "entrance")), (json!("locked"), json!("secure")));
}

#[test]
fn a_pulse_superseded_by_a_later_one_leaves_nothing_behind() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    // The board's driver says only of the last pulse on a coil that it has ended.
    let tickets: Vec<u64> = (0..100).map(|_| opened(&mut rig)).collect();
    tickets.iter().for_each(|ticket| _ = rig.pulsed("b-1", *ticket));
    rig.tap("side-in", HOST);
    let other = rig.controller.next_seq - 1;
    rig.recorded(other);
    rig.board("b-1", BoardEvent::Ended { ticket: tickets[99], by_board: true });
    assert_eq!(rig.controller.pulses.keys().map(|ticket| entry_of(*ticket)).collect::<Vec<_>>(), [other]);
}

/// The leaf moves while the next one's entry is on its way to the disk: the strike is dropped for the last by a later
/// number, and driven for the next by an earlier one.
#[test]
fn who_waits_for_the_disk_while_the_strike_is_dropped_behind_the_last_is_let_in_and_told() {
    let mut rig = Rig::new();
    rig.controller.settings.doors[0].relock_on = RelockOn::Close;
    rig.board_up("b-1", CLOSED);
    let last = opened(&mut rig);
    rig.pulsed("b-1", last);
    rig.later_ms(500).inputs("b-1", OPEN);
    rig.later_ms(500).tick();
    rig.tap("entrance-in", HOST);
    let next = rig.controller.next_seq - 1;
    let said = rig.inputs("b-1", CLOSED);
    let dropped = next + 1;
    assert_eq!(said, [format!("append {dropped} door.closed"), format!("secure b-1/0 #{dropped}")]);
    assert_eq!(rig.recorded(dropped), [format!("pulse b-1/0 5 s #{next}: recorded {dropped}")]);
    rig.board("b-1", BoardEvent::Secured { ticket: dropped });
    assert_eq!(rig.pulsed("b-1", next), ["show Granted at entrance-in"]);
    assert_eq!(lock(&rig, "entrance"), "released");
    rig.board("b-1", BoardEvent::Ended { ticket: next, by_board: true });
    assert_eq!((lock(&rig, "entrance"), rig.controller.pulses.len()), (json!("secure"), 0));
}

#[test]
fn the_end_of_a_pulse_that_was_asked_for_again_says_nothing_about_what_waits_for_the_board() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig.order(1, "entrance", "unlock");
    rig.recorded(4);
    rig.pulsed("b-1", 4);
    rig.tap("entrance-in", HOST);
    // The machine slept: the mode's pulse is asked for again, and has ended, before anything else is heard.
    rig.later_ms(60_000).tick();
    let renewed = rig.board("b-1", BoardEvent::Ended { ticket: 4, by_board: true });
    assert_eq!(renewed, ["pulse b-1/0 10 s #4: recorded 4"]);
    assert_eq!(rig.pulsed("b-1", 5), ["show Granted at entrance-in"]);
    assert_eq!(lock(&rig, "entrance"), "released");
}

#[test]
fn a_failed_pulse_does_not_leave_the_lock_unknown_for_ever() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let ticket = opened(&mut rig);
    rig.board("b-1", BoardEvent::Failed { ticket, detail: "no answer".into() });
    assert_eq!(lock(&rig, "entrance"), "unknown");
    rig.board("b-1", BoardEvent::Lost { detail: "no answer".into() });
    rig.board_up("b-1", CLOSED);
    assert_eq!(lock(&rig, "entrance"), "secure");
}

#[test]
fn a_failed_pulse_does_not_hide_the_end_of_the_one_before_it() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let first = opened(&mut rig);
    rig.pulsed("b-1", first);
    let second = opened(&mut rig);
    rig.board("b-1", BoardEvent::Failed { ticket: second, detail: "busy".into() });
    rig.board("b-1", BoardEvent::Ended { ticket: first, by_board: true });
    assert_eq!(lock(&rig, "entrance"), "secure");
}

#[test]
fn a_pulse_that_outlasts_the_loss_of_its_board_is_not_forgotten_for_one_that_failed_meanwhile() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    let first = opened(&mut rig);
    rig.pulsed("b-1", first);
    rig.board("b-1", BoardEvent::Lost { detail: "no answer".into() });
    let second = opened(&mut rig);
    rig.board("b-1", BoardEvent::Failed { ticket: second, detail: "not connected".into() });
    rig.board_up("b-1", CLOSED);
    assert_eq!(lock(&rig, "entrance"), "unknown", "it may be driven still");
    rig.board("b-1", BoardEvent::Ended { ticket: first, by_board: true });
    assert_eq!(lock(&rig, "entrance"), "secure");
}

#[test]
fn what_a_board_says_of_a_pulse_nobody_asked_for_changes_nothing() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    assert_eq!(rig.pulsed("b-1", 77), [""; 0]);
    assert_eq!(rig.board("b-1", BoardEvent::Failed { ticket: 77, detail: "?".into() }), [""; 0]);
    assert_eq!(rig.board("b-1", BoardEvent::Ended { ticket: 77, by_board: true }), [""; 0]);
    assert_eq!(lock(&rig, "entrance"), "secure");
}

#[test]
fn before_it_stops_it_ends_strikes_that_their_board_would_not() {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig.board_up("b-2", 0);
    rig.tap("entrance-in", HOST);
    rig.tap("vault-in", SLOW);
    rig.recorded(5);
    let said = rig.when(Event::Closing);
    let driven: Vec<&String> = said.iter().filter(|line| line.starts_with("secure")).collect();
    assert_eq!(driven, ["secure b-2/0 #6"], "the entrance's board times its pulse");
    assert!(rig.controller.is_closing());
    rig.board("b-2", BoardEvent::Secured { ticket: ticket(6, DoorNo(2)) });
    assert!(!rig.controller.is_closing());
}

#[test]
fn no_pulse_lasts_longer_than_is_reckoned_with() {
    let rig = Rig::new();
    let now = rig.controller.now(rig.reading());
    let until = rig.controller.longest_pulse(now, crate::control::index::DoorNo(0));
    assert_eq!(
        until.since(now.mono),
        Duration::from_millis(15_500),
        "for who needs longer, and a little more"
    );
}
