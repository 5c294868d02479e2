//! The door board: nothing is driven that should not be, and what can't be driven is said.

use std::time::Duration;

use hardware_sim::board::Cause;
use hardware_sim::time;
use serde_json::Value;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{LIMIT, Site, eventually, pause};

const ANNA: &str = "04A1B2C3D4E5F6";

fn with_anna() -> Site {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

/// Waits until the daemon has asked the board some more.
#[track_caller]
fn polled_on(site: &Site) {
    let from = site.board.frames();
    eventually("poll of the board", || (site.board.frames() > from + 5).then_some(()));
}

#[track_caller]
fn tap_opens(site: &Site) {
    // A pulse that still runs would only be made longer.
    assert!(site.board.wait_for_coil(0, false, LIMIT), "the strike never ends");
    let before = time::now();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil_change(before, 0, true, LIMIT).is_some(), "the door did not open");
}

#[track_caller]
fn lock_fault(site: &Site, after: u64) -> Value {
    site.in_journal(after, "lock fault", |e| e["type"] == "door.lock_fault" && e["door"] == "entrance")
}

#[test]
fn starting_stopping_and_reconnecting_drive_nothing() {
    let mut site = with_anna();
    polled_on(&site);
    assert!(site.daemon.stop().success());
    // A card that lies there when the daemon comes is nobody who just came.
    site.reader("entrance-in").put_card(ANNA.parse().unwrap()).unwrap();
    site.daemon.start();
    site.wait_until_connected();
    polled_on(&site);
    site.daemon.kill();
    site.daemon.start();
    site.wait_until_connected();
    polled_on(&site);
    site.board.drop_connections().unwrap();
    polled_on(&site);
    site.broker.stop();
    site.broker.start();
    site.wait_until_connected();
    polled_on(&site);
    assert_eq!(site.board.coil_history(), []);
    let tapped = site.journal().iter().any(|e| e["type"] == "access.granted");
    assert!(!tapped, "the card that lay there was taken for a tap");
    site.reader("entrance-in").remove_card();
    pause("the card is away", Duration::from_secs(1));
    tap_opens(&site);
}

#[test]
fn a_strike_ends_by_itself_when_the_daemon_dies() {
    let mut site = with_anna();
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the door opens");
    site.daemon.kill();
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("the strike ends");
    assert_eq!(off.cause, Cause::FlashEnded);
    assert!(off.at.duration_since(on.at) <= Duration::from_millis(1200));
}

#[test]
fn a_board_that_is_gone_is_said_and_does_not_open_late_when_it_is_back() {
    let site = with_anna();
    let mark = site.central().mark();
    site.board.stop().unwrap();
    site.at_central_where(mark, "board.lost", |e| e["board"] == "board-1");
    let before = site.last_seq();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    lock_fault(&site, before);
    let mark = site.central().mark();
    site.board.restart().unwrap();
    site.at_central_where(mark, "board.connected", |e| e["board"] == "board-1");
    polled_on(&site);
    assert_eq!(site.board.coil_history(), [], "a strike came late");
    tap_opens(&site);
    site.in_journal(before, "end of the lock fault", |e| {
        e["type"] == "door.lock_fault_ended" && e["door"] == "entrance"
    });
}

#[test]
fn a_board_that_hangs_is_said_and_does_not_open_late_when_it_answers_again() {
    let site = with_anna();
    site.board.go_silent();
    let before = site.last_seq();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    lock_fault(&site, before);
    site.board.clear_faults();
    site.wait_until_ready();
    polled_on(&site);
    assert_eq!(site.board.coil_history(), [], "a strike came late");
    tap_opens(&site);
}

#[test]
fn a_board_that_echoes_another_coil_is_not_believed() {
    let site = with_anna();
    let before = site.last_seq();
    site.board.wrong_echo_once();
    site.decision("entrance-in", ANNA);
    lock_fault(&site, before);
    site.wait_until_ready();
    tap_opens(&site);
}

#[test]
fn a_board_that_only_pretends_is_found_out_by_reading_back() {
    let site = with_anna();
    let before = site.last_seq();
    site.board.lie_about_writes();
    site.decision("entrance-in", ANNA);
    lock_fault(&site, before);
    assert_eq!(site.board.coil_history(), []);
    site.board.clear_faults();
    site.wait_until_ready();
    tap_opens(&site);
}

#[test]
fn a_board_that_refuses_is_said_and_shown() {
    let site = with_anna();
    let before = site.last_seq();
    site.board.refuse_with_exception(4);
    site.decision("entrance-in", ANNA);
    let fault = lock_fault(&site, before);
    assert!(fault["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{fault:#}");
    let doors = site.ask(&["doors"]);
    let entrance = doors.as_array().unwrap().iter().find(|door| door["door"] == "entrance").unwrap();
    assert!(entrance["fault"].is_string(), "{entrance:#}");
    site.board.clear_faults();
    site.wait_until_ready();
    tap_opens(&site);
}
