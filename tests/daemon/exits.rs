//! Requests to exit wait for nothing.

use std::time::Duration;

use hardware_sim::time;

use crate::site::{Builder, LIMIT};

/// A press that a controller polling every 100 ms can't miss.
const PRESS: Duration = Duration::from_millis(400);

#[test]
fn a_request_to_exit_drives_the_strike_and_is_recorded_also_with_the_broker_down() {
    let mut site = Builder::new().running();
    let (mark, before) = (site.central().mark(), time::now());
    site.board.press_rex(0, PRESS).unwrap();
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is driven");
    assert_eq!(site.at_central(mark, "rex.pressed")["door"], "entrance");
    site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("and released");

    site.lose_broker();
    let (seq, before) = (site.last_seq(), time::now());
    site.board.press_rex(2, PRESS).unwrap();
    assert!(site.board.wait_for_coil_change(before, 2, true, LIMIT).is_some(), "no strike without a broker");
    site.in_journal(seq, "request to exit", |e| e["type"] == "rex.pressed" && e["door"] == "room-4");
}

#[test]
fn a_button_that_unlocks_nothing_is_only_recorded() {
    let rex = "rex = { board = \"board-1\", input = 5, unlocks = true }";
    let site = Builder::new().edit(rex, &rex.replace("true", "false")).running();
    let mark = site.central().mark();
    site.board.press_rex(2, PRESS).unwrap();
    site.at_central_where(mark, "rex.pressed", |event| event["door"] == "room-4");
    let before = time::now();
    site.board.press_rex(0, PRESS).unwrap();
    assert!(site.board.wait_for_coil_change(before, 0, true, LIMIT).is_some());
    assert!(
        site.board.coil_history().iter().all(|change| change.coil == 0),
        "{:?}",
        site.board.coil_history()
    );
}
