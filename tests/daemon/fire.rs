//! The fire alarm with the real daemon and a board: doors so marked are released while it lasts.

use std::time::Duration;

use hardware_sim::time;
use serde_json::json;

use crate::site::{Builder, DOORS, LIMIT, Site, eventually, pause};

/// With the first input that no door uses.
fn with_alarm() -> (Site, u16) {
    let alarm = 2 * DOORS.len() as u16;
    let fire = format!("[fire]\ninput = {{ board = \"board-1\", input = {alarm} }}\n\n[[doors]]");
    let marked = "building_hours_only = false";
    let site = Builder::new()
        .edit_once(marked, &format!("{marked}\nrelease_on_fire = true"))
        .edit_once("[[doors]]", &fire)
        .running();
    (site, alarm)
}

#[test]
fn doors_so_marked_are_released_while_it_lasts_in_any_mode_and_return_to_it() {
    let (site, alarm) = with_alarm();
    let mark = site.central().mark();
    site.ask(&["door", "lock-down", "entrance"]);
    let before = time::now();
    site.board.set_input(alarm, true).unwrap();
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the entrance is released");
    assert!(on.at.duration_since(before) < Duration::from_millis(400), "seen and done within 400 ms");
    assert_eq!(site.at_central(mark, "fire.raised")["doors"], json!(["entrance"]));
    let status = site.ask(&["status"]);
    assert_eq!((&status["fire"]["raised"], &status["fire"]["input"]), (&json!(true), &json!(true)));
    let shown = site.ctl(&["status"]).out;
    assert!(shown.contains("FIRE ALARM since"), "{shown}");
    pause("more than one pulse", Duration::from_secs(11));
    assert_eq!(site.board.coil(0), Some(true), "it is renewed");
    assert_eq!(site.board.coil(1), Some(false), "floor-2 is not marked");

    site.board.set_input(alarm, false).unwrap();
    assert!(site.board.wait_for_coil(0, false, LIMIT), "it is locked again");
    assert_eq!(site.at_central(mark, "fire.cleared")["doors"], json!(["entrance"]));
    assert_eq!(site.ask(&["door", "show", "entrance"])["mode"], "locked_down");
}

#[test]
fn a_lost_board_raises_no_alarm_and_an_alarm_outlasts_a_restart() {
    let (mut site, alarm) = with_alarm();
    site.board.stop().unwrap();
    eventually("loss of the board", || {
        (site.ask(&["status"])["boards"][0]["connected"] == false).then_some(())
    });
    assert_eq!(
        site.ask(&["status"])["fire"],
        json!({"raised": false, "board": "board-1", "doors": ["entrance"]})
    );
    site.board.restart().unwrap();
    eventually("return of the board", || (site.ask(&["status"])["fire"]["input"] == false).then_some(()));
    assert_eq!(site.board.coil_history(), [], "nothing was released");

    site.daemon.kill();
    site.board.set_input(alarm, true).unwrap();
    site.start_again();
    assert!(site.board.wait_for_coil(0, true, LIMIT), "it is released as soon as the daemon is back");
}
