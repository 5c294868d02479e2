//! Boards that share a line, serial and over TCP: what goes wrong with one or with all of them, and pulses that the
//! daemon ends.

use std::time::Duration;

use hardware_sim::board::{Board, Cause};
use hardware_sim::time;
use serde_json::Value;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, Wire, eventually};

const ANNA: &str = "04A1B2C3D4E5F6";
/// Of every strike here, and by how much it may be longer.
const STRIKE: Duration = Duration::from_secs(1);
const TOLERANCE: Duration = Duration::from_millis(200);
/// The coils of the first door, which is on board 1, and of room 4, which is on board 3 of three.
const ENTRANCE: u16 = 0;
const ROOM_4: u16 = 2;

fn with_anna(builder: Builder) -> Site {
    let site = builder.running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

fn on(wire: Wire) -> Site {
    with_anna(Builder::new().boards(wire, 3))
}

/// Three boards: this is the one with so many before it.
fn board(site: &Site, number: usize) -> &Board {
    if number == 1 { &site.board } else { &site.others[number - 2] }
}

#[track_caller]
fn tap_opens(site: &Site, reader: &str, number: usize, coil: u16) -> Duration {
    let board = board(site, number);
    // A pulse that still runs would only be made longer.
    assert!(board.wait_for_coil(coil, false, LIMIT), "the strike never ends");
    let before = time::now();
    assert_decided(&site.decision(reader, ANNA), "access.granted", "standing");
    let on = board.wait_for_coil_change(before, coil, true, LIMIT).expect("the door opens");
    let off = board.wait_for_coil_change(on.at, coil, false, LIMIT).expect("the strike ends");
    off.at.duration_since(on.at)
}

#[track_caller]
fn of_board(site: &Site, mark: usize, kind: &str, number: usize) -> Value {
    let id = format!("board-{number}");
    site.at_central_where(mark, kind, |event| event["board"] == id.as_str())
}

/// Nobody on it is driven, and all of it has been asked some more.
#[track_caller]
fn nothing_moves(site: &Site) {
    for number in 1..=3 {
        let board = board(site, number);
        let from = board.frames();
        eventually("more polls", || (board.frames() > from + 5).then_some(()));
        assert_eq!(board.coil_history(), [], "board {number} was driven");
    }
}

fn three_boards_work(site: &Site) {
    for (reader, number, coil) in [("entrance-in", 1, ENTRANCE), ("room-4-in", 3, ROOM_4)] {
        let driven = tap_opens(site, reader, number, coil);
        assert!(driven.abs_diff(STRIKE) <= TOLERANCE, "{driven:?}");
    }
    let history = site.board.coil_history();
    assert_eq!(history.last().map(|change| change.cause), Some(Cause::FlashEnded));
    let (mark, before) = (site.central().mark(), time::now());
    // The second door's button.
    site.others[0].press_rex(1, Duration::from_millis(500)).unwrap();
    assert!(site.others[0].wait_for_coil_change(before, 1, true, LIMIT).is_some(), "nobody gets out");
    site.others[0].walk_through(1, Duration::from_millis(600)).unwrap();
    for kind in ["rex.pressed", "door.opened", "door.closed"] {
        site.at_central_where(mark, kind, |event| event["door"] == "floor-2");
    }
}

#[test]
fn three_boards_on_a_serial_line_work() {
    let site = on(Wire::Rtu);
    three_boards_work(&site);
    let status = site.ask(&["status"]);
    let detail = status["boards"][2]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("9600 baud 8N1, unit 3"), "{status:#}");
}

#[test]
fn three_boards_behind_rtu_over_tcp_work() {
    three_boards_work(&on(Wire::RtuTcp));
}

#[test]
fn three_boards_behind_one_modbus_tcp_gateway_work_over_one_connection() {
    let site = on(Wire::Tcp);
    three_boards_work(&site);
    assert_eq!(site.board.clients(), 1);
}

#[test]
fn a_serial_cable_that_is_pulled_is_said_of_all_its_boards_and_opens_nothing_late_when_it_is_back() {
    let site = on(Wire::Rtu);
    let (mark, before) = (site.central().mark(), site.last_seq());
    site.board.stop().unwrap();
    for number in 1..=3 {
        let lost = of_board(&site, mark, "board.lost", number);
        assert!(lost["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{lost:#}");
    }
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    site.in_journal(before, "lock fault", |e| e["type"] == "door.lock_fault" && e["door"] == "entrance");
    let mark = site.central().mark();
    site.board.restart().unwrap();
    for number in 1..=3 {
        of_board(&site, mark, "board.connected", number);
    }
    nothing_moves(&site);
    tap_opens(&site, "entrance-in", 1, ENTRANCE);
}

#[test]
fn a_mute_board_on_a_serial_line_is_lost_alone_and_found_again() {
    let site = on(Wire::Rtu);
    let mark = site.central().mark();
    site.others[0].go_silent();
    of_board(&site, mark, "board.lost", 2);
    tap_opens(&site, "entrance-in", 1, ENTRANCE);
    tap_opens(&site, "room-4-in", 3, ROOM_4);
    let said = site.central().events().split_off(mark);
    let lost: Vec<&Value> = said.iter().filter(|event| event["type"] == "board.lost").collect();
    assert_eq!(lost.len(), 1, "{lost:#?}");
    let mark = site.central().mark();
    site.others[0].clear_faults();
    of_board(&site, mark, "board.connected", 2);
}

#[test]
fn boards_whose_answers_are_swapped_are_not_believed_and_the_third_goes_on() {
    let site = on(Wire::Rtu);
    let (mark, before) = (site.central().mark(), site.last_seq());
    site.board.answer_as(2);
    site.others[0].answer_as(1);
    for number in 1..=2 {
        of_board(&site, mark, "board.lost", number);
    }
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    site.in_journal(before, "lock fault", |e| e["type"] == "door.lock_fault" && e["door"] == "entrance");
    nothing_moves(&site);
    tap_opens(&site, "room-4-in", 3, ROOM_4);
    let mark = site.central().mark();
    site.board.clear_faults();
    site.others[0].clear_faults();
    for number in 1..=2 {
        of_board(&site, mark, "board.connected", number);
    }
    tap_opens(&site, "entrance-in", 1, ENTRANCE);
}

#[test]
fn a_late_echo_on_a_serial_line_is_no_success_and_a_short_answer_none_either() {
    let site = on(Wire::Rtu);
    for spoil in [|board: &Board| board.late(Duration::from_millis(400)), Board::cut_answers_short] {
        let (mark, before) = (site.central().mark(), site.last_seq());
        spoil(&site.board);
        of_board(&site, mark, "board.lost", 1);
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        site.in_journal(before, "lock fault", |e| e["type"] == "door.lock_fault" && e["door"] == "entrance");
        let mark = site.central().mark();
        site.board.clear_faults();
        of_board(&site, mark, "board.connected", 1);
        tap_opens(&site, "entrance-in", 1, ENTRANCE);
    }
}

#[test]
fn a_pulse_the_daemon_ends_is_as_long_as_one_of_the_boards_and_a_mode_is_driven_on() {
    let site = with_anna(Builder::new().boards(Wire::Rtu, 3).plain(Duration::from_secs(3)));
    let driven = tap_opens(&site, "entrance-in", 1, ENTRANCE);
    assert!(driven.abs_diff(STRIKE) <= TOLERANCE, "{driven:?}");
    let causes: Vec<Cause> = site.board.coil_history().iter().map(|change| change.cause).collect();
    assert_eq!(causes, [Cause::Written; 2]);
    let before = time::now();
    site.ask(&["door", "unlock", "entrance", "--for", "12s"]);
    let on = site.board.wait_for_coil_change(before, ENTRANCE, true, LIMIT).expect("it is driven");
    let off = site.board.wait_for_coil_change(on.at, ENTRANCE, false, LIMIT).expect("it ends");
    let held = off.at.duration_since(on.at);
    assert!(held.abs_diff(Duration::from_secs(12)) <= TOLERANCE, "{held:?}");
    assert!(site.board.coil_history().iter().all(|change| change.cause == Cause::Written));
    let log = site.daemon.log_tail(1000);
    assert!(log.contains("the daemon ends its pulses") && log.contains("board-3"), "{log}");
}

#[test]
fn a_pulse_whose_daemon_is_killed_ends_by_the_boards_watchdog() {
    let mut site =
        with_anna(Builder::new().plain(Duration::from_secs(2)).edit_once("strike_s = 1", "strike_s = 8"));
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, ENTRANCE, true, LIMIT).expect("the door opens");
    site.daemon.kill();
    let killed = time::now();
    let off = site.board.wait_for_coil_change(on.at, ENTRANCE, false, LIMIT).expect("the strike ends");
    assert_eq!(off.cause, Cause::Watchdog);
    assert!(off.at.duration_since(killed) <= Duration::from_secs(2) + TOLERANCE);
}

#[test]
fn a_coil_that_a_killed_daemon_left_driven_is_switched_off_by_the_next_one_and_nothing_else_is_driven() {
    // A watchdog that takes its time: the daemon is back before it.
    let mut site =
        with_anna(Builder::new().plain(Duration::from_secs(60)).edit_once("strike_s = 1", "strike_s = 60"));
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, ENTRANCE, true, LIMIT).expect("the door opens");
    site.daemon.kill();
    assert_eq!(site.board.coil(ENTRANCE), Some(true));
    site.daemon.start();
    let off = site.board.wait_for_coil_change(on.at, ENTRANCE, false, LIMIT).expect("it is switched off");
    assert_eq!(off.cause, Cause::Written);
    site.wait_until_ready();
    assert_eq!(site.board.coil_history().len(), 2);
}

#[test]
fn a_check_says_which_boards_pulses_the_daemon_ends() {
    let site = Builder::new().plain(Duration::from_secs(2)).prepared();
    let said = site.daemon.refuses(&["check"]);
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(0), "{errors}");
    assert!(
        errors.contains("warning: board board-1: pulse = \"host\": the daemon ends its pulses"),
        "{errors}"
    );
}

#[test]
fn a_daemon_that_is_told_to_stop_ends_what_only_it_would_end() {
    let mut site =
        with_anna(Builder::new().plain(Duration::from_secs(60)).edit_once("strike_s = 1", "strike_s = 60"));
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, ENTRANCE, true, LIMIT).expect("the door opens");
    assert_eq!(site.daemon.stop().code(), Some(0));
    let off = site.board.wait_for_coil_change(on.at, ENTRANCE, false, LIMIT).expect("it is switched off");
    assert_eq!(off.cause, Cause::Written);
}
