//! What doors do, with the real daemon: gone through or not, forced, held open, and the strike that drops behind them.

use std::time::Duration;

use hardware_sim::board::{Cause, Walk};
use hardware_sim::time;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually, pause};

const ANNA: &str = "04A1B2C3D4E5F6";
/// Long enough that only the moving door can have ended it.
const LONG: &str = "strike_s = 20";

fn with_anna(builder: Builder) -> Site {
    let site = builder.edit("strike_s = 1", LONG).running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    site
}

#[test]
fn the_strike_drops_behind_the_door_that_opened_and_the_passage_is_said() {
    let site = with_anna(Builder::new());
    let mark = site.central().mark();
    let before = time::now();
    let granted = site.decision("entrance-in", ANNA);
    assert_decided(&granted, "access.granted", "standing");
    let walk = site.board.walk_through_within(0, LIMIT, Duration::from_secs(1)).unwrap();
    assert_eq!(walk, Walk::Through);
    let off = site.board.wait_for_coil_change(before, 0, false, LIMIT).expect("it drops");
    assert_eq!(off.cause, Cause::Written);
    assert!(off.at.duration_since(before) < Duration::from_secs(10), "only when its time was over");
    let taken = site.at_central(mark, "access.taken");
    assert_eq!((&taken["door"], &taken["of"]), (&"entrance".into(), &granted["seq"]));
    site.at_central(mark, "door.closed");
    let journal = site.journal();
    assert!(!journal.iter().any(|e| e["type"] == "door.forced" || e["type"] == "access.not_taken"));
}

#[test]
fn a_grant_nobody_takes_is_said() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let mark = site.central().mark();
    let granted = site.decision("entrance-in", ANNA);
    let not_taken = site.at_central(mark, "access.not_taken");
    assert_eq!((&not_taken["door"], &not_taken["of"]), (&"entrance".into(), &granted["seq"]));
}

#[test]
fn a_forced_door_is_said_and_one_who_leaves_by_the_button_is_not() {
    let site = Site::running();
    let mark = site.central().mark();
    site.board.press_rex(0, Duration::from_millis(400)).unwrap();
    assert_eq!(site.board.walk_through_within(0, LIMIT, Duration::from_secs(1)).unwrap(), Walk::Through);
    site.at_central_where(mark, "door.closed", |e| e["door"] == "entrance");
    site.board.force_open(1, Duration::from_secs(3)).unwrap();
    let forced = site.at_central(mark, "door.forced");
    assert_eq!(forced["door"], "floor-2");
    eventually("alarm, for central", || {
        site.central().door("floor-2").filter(|door| door["alarm"] == "forced")
    });
    site.at_central_where(mark, "door.closed", |e| e["door"] == "floor-2");
    eventually("end of it", || site.central().door("floor-2").filter(|door| door["alarm"] == "none"));
    let said = site.journal().iter().filter(|e| e["type"] == "door.forced").count();
    assert_eq!(said, 1);
}

#[test]
fn a_propped_door_is_held_open_until_it_shuts_unless_a_mode_keeps_it_open() {
    let rex = "building_hours_only = false";
    let site = Builder::new().edit(rex, &format!("{rex}\nheld_open_s = 2\npre_alarm_s = 1")).running();
    let mark = site.central().mark();
    site.ask(&["door", "access", "entrance"]);
    assert_eq!(site.board.prop_open(0).unwrap(), Walk::Through);
    let held = site.at_central(mark, "door.held_open");
    assert_eq!(held["door"], "entrance");
    eventually("alarm, for central", || {
        site.central().door("entrance").filter(|door| door["alarm"] == "held_open")
    });
    site.board.close(0).unwrap();
    site.at_central(mark, "door.held_open_ended");

    site.ask(&["door", "unlock", "entrance"]);
    assert_eq!(site.board.prop_open(0).unwrap(), Walk::Through);
    pause("longer than held_open_s", Duration::from_secs(3));
    let said = site.journal().iter().filter(|e| e["type"] == "door.held_open").count();
    assert_eq!(said, 1, "a mode keeps it open");
}
