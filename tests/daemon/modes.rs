//! A door's modes with the real daemon: what holds a door open, what ends it, and what a restart keeps.

use std::time::Duration;

use hardware_sim::board::Cause;
use hardware_sim::time;
use serde_json::{Value, json};

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually_asking, pause};

const ANNA: &str = "04A1B2C3D4E5F6";
/// What a mode drives at a time, and when it does so anew; and as exact as a pulse must be.
const HELD_PULSE: Duration = Duration::from_secs(10);
const TOLERANCE: Duration = Duration::from_millis(200);
/// The first door's button.
const REX: u16 = 1;

fn with_anna() -> Site {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    site
}

fn entrance(site: &Site) -> Value {
    site.ask(&["door", "show", "entrance"])
}

#[track_caller]
fn ordered(site: &Site, verb: &[&str]) -> Value {
    let done = site.ask(&[&["door"], verb, &["entrance"]].concat());
    assert_eq!((&done["door"], &done["outcome"]), (&json!("entrance"), &json!("done")));
    done
}

#[track_caller]
fn shows(site: &Site, mode: &str) {
    eventually_asking(mode, || (entrance(site)["mode"] == mode).then_some(()));
}

#[test]
fn an_unlocked_door_stays_open_beyond_one_pulse_and_locking_ends_it_at_once() {
    let site = with_anna();
    let (before, mark) = (time::now(), site.central().mark());
    let done = ordered(&site, &["unlock"]);
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("it is driven");
    assert_eq!(on.cause, Cause::FlashStarted, "by a pulse the board ends by itself");
    let command = site.at_central(mark, "operator.command");
    assert_eq!((&command["seq"], &command["action"]), (&done["seq"], &json!("unlock")));
    let changed = site.at_central(mark, "door.mode_changed");
    let said = ["door", "from", "to"].map(|field| changed[field].as_str().unwrap().to_owned());
    assert_eq!(said, ["entrance", "locked", "unlocked"]);
    assert_eq!((&changed["by"], changed.get("until")), (&command["by"], None));
    pause("one pulse, and what it takes to be sure of the next", HELD_PULSE + Duration::from_secs(2));
    assert_eq!(site.board.coil_history().len(), 1, "it fell: {:?}", site.board.coil_history());
    assert_eq!(
        (&entrance(&site)["mode"], &entrance(&site)["lock"]),
        (&json!("unlocked"), &json!("released"))
    );

    let before = time::now();
    ordered(&site, &["lock"]);
    let off = site.board.wait_for_coil_change(before, 0, false, LIMIT).expect("it is switched off");
    assert_eq!(off.cause, Cause::Written);
    assert_eq!((&entrance(&site)["mode"], &entrance(&site)["lock"]), (&json!("locked"), &json!("secure")));
}

#[test]
fn a_killed_daemon_leaves_no_door_open_and_its_restart_opens_it_again() {
    let mut site = with_anna();
    ordered(&site, &["unlock"]);
    assert!(site.board.wait_for_coil(0, true, LIMIT));
    site.daemon.kill();
    let killed = time::now();
    let off = site.board.wait_for_coil_change(killed, 0, false, LIMIT).expect("it ends by itself");
    assert_eq!(off.cause, Cause::FlashEnded);
    assert!(off.at.duration_since(killed) <= HELD_PULSE + TOLERANCE);
    let back = time::now();
    site.start_again();
    assert!(site.board.wait_for_coil_change(back, 0, true, LIMIT).is_some(), "the mode was forgotten");
    shows(&site, "unlocked");
    let restarts = site.journal().iter().filter(|e| e["type"] == "door.mode_changed").count();
    assert_eq!(restarts, 1, "nothing has changed");
}

#[test]
fn a_restriction_outlasts_a_kill_too() {
    let mut site = with_anna();
    ordered(&site, &["lock-down"]);
    site.daemon.kill();
    site.start_again();
    assert_eq!(entrance(&site)["mode"], "locked_down");
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "door_locked_down");
}

#[test]
fn a_timed_unlock_ends() {
    let site = with_anna();
    let mark = site.central().mark();
    ordered(&site, &["unlock", "--for", "2s"]);
    let on = site.board.coil_history().last().copied().expect("it is driven");
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("it ends");
    let held = off.at.duration_since(on.at);
    assert!(held.abs_diff(Duration::from_secs(2)) <= TOLERANCE, "{held:?}");
    let ended = site.at_central_where(mark, "door.mode_changed", |e| e["to"] == "locked");
    assert_eq!((&ended["from"], &ended["by"]), (&json!("unlocked"), &json!("timer")));
}

#[test]
fn a_timed_unlock_that_ends_while_nobody_runs_is_over_at_the_restart() {
    let mut site = with_anna();
    ordered(&site, &["unlock", "--for", "1s"]);
    site.daemon.kill();
    let killed = time::now();
    assert!(site.board.wait_for_coil_change(killed, 0, false, LIMIT).is_some());
    let driven = site.board.coil_history().len();
    site.start_again();
    assert_eq!(entrance(&site)["mode"], "locked");
    assert_eq!(site.board.coil_history().len(), driven, "it was opened again");
    let last = site.journal().into_iter().rfind(|e| e["type"] == "door.mode_changed").unwrap();
    assert_eq!((&last["to"], &last["by"]), (&json!("locked"), &json!("restart")));
}

#[test]
fn a_locked_down_door_refuses_taps_and_orders_and_still_lets_people_out() {
    let site = with_anna();
    ordered(&site, &["lock-down"]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "door_locked_down");
    for verb in ["access", "unlock", "lock", "block", "lock-down", "lock-open-release"] {
        let said = site.ctl(&["door", verb, "entrance"]);
        assert_eq!(said.code, 1, "{verb}: {said:?}");
        assert!(said.err.contains("it is locked down"), "{said:?}");
    }
    assert_eq!(site.board.coil_history(), [], "it was opened");
    let before = time::now();
    site.board.press_rex(usize::from(REX / 2), Duration::from_millis(400)).unwrap();
    assert!(site.board.wait_for_coil_change(before, 0, true, LIMIT).is_some(), "nobody gets out");
    ordered(&site, &["lock-down-release"]);
    shows(&site, "locked");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_lost_board_is_not_driven_and_the_mode_goes_on_when_it_is_back() {
    let site = with_anna();
    ordered(&site, &["lock-open"]);
    site.board.lose_power().unwrap();
    site.in_journal(0, "board lost", |e| e["type"] == "board.lost");
    let back = time::now();
    site.board.restart().unwrap();
    assert!(site.board.wait_for_coil_change(back, 0, true, LIMIT).is_some(), "the mode does not go on");
    assert_eq!(entrance(&site)["mode"], "locked_open");
}

#[test]
fn every_door_at_once_and_no_such_door() {
    let site = with_anna();
    let said = site.ask(&["door", "lock-down", "--all", "--reason", "drill"]);
    let doors: Vec<&Value> = said.as_array().unwrap().iter().collect();
    assert!(doors.len() == 4 && doors.iter().all(|d| d["outcome"] == "done" && d["action"] == "lock_down"));
    assert!(site.ask(&["doors"]).as_array().unwrap().iter().all(|d| d["mode"] == "locked_down"));
    let again = site.ctl(&["door", "lock-down", "--all"]);
    assert_eq!((again.code, again.out.lines().count()), (1, 4), "{again:?}");
    assert_eq!(site.ctl(&["door", "lock-down-release", "--all"]).code, 0);
    assert_eq!(site.ctl(&["door", "lock", "cellar"]).code, 5);
    assert_eq!(site.ctl(&["door", "show", "cellar"]).code, 5);
    assert_eq!(site.ctl(&["door", "block", "entrance", "--for", "30s"]).code, 2);
    let reasons = site.journal().iter().filter(|e| e["reason"] == "drill").count();
    assert_eq!(reasons, 4);
}

#[test]
fn a_door_is_unlocked_by_its_schedule_until_somebody_locks_it() {
    let marked = "building_hours_only = false";
    let days = r#"["mon", "tue", "wed", "thu", "fri", "sat", "sun"]"#;
    let schedule = format!("unlock_schedule = [{{ days = {days}, from = \"00:00\", to = \"00:00\" }}]");
    let site = Builder::new().edit_once(marked, &format!("{marked}\n{schedule}")).running();
    shows(&site, "unlocked");
    assert!(site.board.wait_for_coil(0, true, LIMIT), "it is held open");
    let changed = site.at_central(0, "door.mode_changed");
    assert_eq!(
        (&changed["door"], &changed["by"], &changed["to"]),
        (&json!("entrance"), &json!("schedule"), &json!("unlocked"))
    );
    assert!(changed["until"].is_string(), "with its end: {changed}");
    ordered(&site, &["lock"]);
    assert!(site.board.wait_for_coil(0, false, LIMIT), "it is locked");
    pause("schedules are looked at every second", Duration::from_secs(3));
    assert_eq!(entrance(&site)["mode"], "locked", "nobody is overruled");
    assert_eq!(site.board.coil(2), Some(false), "the other doors have none");
}
