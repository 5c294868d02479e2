//! A booking opens a door: from a card in a reader's field to the strike, and to central.

use std::time::Duration;

use chrono::TimeDelta;
use hardware_sim::board::{Cause, Walk};
use hardware_sim::time;
use hardware_sim::wait::wall_now;
use serde_json::{Value, json};

use crate::site::chain::assert_chain;
use crate::site::people::assert_decided;
use crate::site::records::{card, instant, room, standing, with, written};
use crate::site::{Builder, LIMIT, Site, eventually, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const BO: &str = "04000000000B0B";
/// What the configuration says of every door.
const STRIKE: Duration = Duration::from_secs(1);
/// As exact as a strike must be.
const TOLERANCE: Duration = Duration::from_millis(200);

#[test]
fn a_tap_in_the_window_opens_the_door_for_its_strike_time_and_central_hears_of_it() {
    let site = Site::running();
    let booked = room("g-9", "m-17", "b-5", &["perimeter", "room-4"], (-60, 3600));
    site.put([card("c-81", ANNA, "m-17"), booked.clone()]);
    let (before, mark) = (time::now(), site.central().mark());
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is energised");
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("and released");
    assert_eq!((on.cause, off.cause), (Cause::FlashStarted, Cause::FlashEnded));
    let held = off.at.duration_since(on.at);
    assert!(held.abs_diff(STRIKE) <= TOLERANCE, "the strike was held for {held:?}");

    let event = site.at_central(mark, "access.granted");
    let expected = json!({ "door": "entrance", "reader": "entrance-in", "direction": "in", "credential": "c-81",
                           "holder": "m-17", "grant": "g-9", "reason": "in_window" });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&event[field], value, "{field} of {event:#}");
    }
    let margin = TimeDelta::minutes(30);
    assert_eq!(instant(&event["opens_at"]), instant(&booked["starts_at"]) - margin);
    assert_eq!(instant(&event["closes_at"]), instant(&booked["ends_at"]) + margin);
    assert_eq!(event.get("uid_tag"), None, "a known card is named by its credential: {event:#}");
    assert_eq!(site.board.coil_history().len(), 2, "this door and nothing else was driven");
}

#[test]
fn walking_through_is_seen_and_said_in_order() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let mark = site.central().mark();
    site.tap("entrance-in", ANNA);
    let walk = site.board.walk_through_within(0, LIMIT, Duration::from_millis(400)).unwrap();
    assert_eq!(walk, Walk::Through);
    let granted = site.at_central(mark, "access.granted");
    let opened = site.at_central(mark, "door.opened");
    let closed = site.at_central(mark, "door.closed");
    assert_eq!(granted["reason"], "standing");
    assert!(opened["door"] == "entrance" && closed["door"] == "entrance");
    let order = [&granted, &opened, &closed].map(|event| event["seq"].as_u64().unwrap());
    assert!(order.is_sorted(), "{order:?}");
    eventually("door that is closed, for central", || {
        site.central().door("entrance").filter(|door| door["contact"] == "closed")
    });
}

#[test]
fn a_refused_tap_drives_nothing_and_says_why() {
    let site = Site::running();
    site.put([
        card("c-1", ANNA, "m-1"),
        card("c-2", BO, "m-2"),
        standing("g-1", "m-1", &["community-floor"]),
        standing("g-2", "somebody-else", &["perimeter"]),
    ]);
    let wrong_door = site.decision("entrance-in", ANNA);
    assert_decided(&wrong_door, "access.denied", "wrong_door");
    assert_eq!((&wrong_door["credential"], &wrong_door["holder"]), (&json!("c-1"), &json!("m-1")));
    assert_decided(&site.decision("room-4-in", BO), "access.denied", "no_grant");
    let unknown = site.decision("entrance-in", "04DEADBEEF0001");
    assert_decided(&unknown, "access.denied", "unknown_credential");
    let tag = unknown["uid_tag"].as_str().unwrap();
    assert!(tag.len() == 8 && tag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{unknown:#}");
    assert_decided(&site.decision("entrance-in", "08C0FFEE"), "access.denied", "random_uid");
    assert_eq!(site.board.coil_history(), []);
}

/// One tap after another across the opening instant: each is decided by its own instant, to the second.
#[test]
fn a_tap_before_the_opening_instant_is_too_early_and_after_it_opens() {
    let site = Site::running();
    // The margin of a room is half an hour: this one opens in a few seconds.
    let booked = room("g-1", "m-1", "b-1", &["perimeter"], (1800 + 5, 7200));
    let opens_at = instant(&booked["starts_at"]) - TimeDelta::minutes(30);
    site.put([card("c-1", ANNA, "m-1"), booked]);
    let mut early = 0;
    loop {
        let event = site.decision("entrance-in", ANNA);
        let at = instant(&event["at"]);
        if at >= opens_at {
            assert_decided(&event, "access.granted", "in_window");
            break;
        }
        assert_decided(&event, "access.denied", "too_early");
        assert_eq!(instant(&event["opens_at"]), opens_at);
        early += 1;
    }
    assert!(early > 0, "no tap came before the opening instant");
    let granted = site.board.wait_for_coil(0, true, LIMIT);
    assert!(granted && site.board.coil_history().len() == 1, "{:?}", site.board.coil_history());
    assert!(wall_now() >= opens_at);
}

#[test]
fn explain_is_exact_to_the_second_at_both_ends_of_the_window() {
    let site = Site::running();
    let booked = room("g-1", "m-1", "b-1", &["perimeter"], (86_400, 90_000));
    let opens_at = instant(&booked["starts_at"]) - TimeDelta::minutes(30);
    let closes_at = instant(&booked["ends_at"]) + TimeDelta::minutes(30);
    site.put([card("c-1", ANNA, "m-1"), booked]);
    let at = |at, by: [&str; 2]| {
        let at = written(at);
        site.ask(&["explain", "--door", "entrance", by[0], by[1], "--at", &at])
    };
    let second = TimeDelta::seconds(1);
    for by in [["--uid", ANNA], ["--credential", "c-1"]] {
        let early = at(opens_at - second, by);
        assert_eq!(
            early,
            json!({ "door": "entrance", "direction": "in", "at": written(opens_at - second), "decision": "denied",
                    "reason": "too_early", "row": 9, "credential": "c-1", "holder": "m-1",
                    "opens_at": written(opens_at) })
        );
        for inside in [opens_at, closes_at - second] {
            let granted = at(inside, by);
            assert_eq!(
                granted,
                json!({ "door": "entrance", "direction": "in", "at": written(inside), "decision": "granted",
                        "reason": "in_window", "row": 11, "credential": "c-1", "holder": "m-1", "grant": "g-1",
                        "opens_at": written(opens_at), "closes_at": written(closes_at) })
            );
        }
        let late = at(closes_at, by);
        assert_eq!((&late["reason"], &late["row"]), (&json!("too_late"), &json!(9)), "{late:#}");
        assert_eq!(late["closes_at"], written(closes_at));
    }
    assert_eq!(site.board.coil_history(), [], "explaining opens nothing");
}

#[test]
fn building_hours_hold_for_the_doors_marked_so() {
    let site = Builder::new().pn532("gym").running();
    let closed = json!({ "type": "policy", "id": "site",
                         "opening_hours": [{ "days": ["mon"], "from": "00:00", "to": "00:01" }],
                         "exceptions": [] });
    let booked = room("g-1", "m-1", "b-1", &["perimeter", "amenities"], (-60, 3600));
    site.put([card("c-1", ANNA, "m-1"), booked, closed]);
    assert_decided(&site.decision("gym-in", ANNA), "access.denied", "outside_building_hours");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "in_window");
    let open = json!({ "type": "policy", "id": "site",
                       "opening_hours": [{ "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                                           "from": "00:00", "to": "24:00" }] });
    site.put([open]);
    assert_decided(&site.decision("gym-in", ANNA), "access.granted", "in_window");
}

#[test]
fn a_policy_and_narrowing_move_the_window() {
    let site = Site::running();
    let margins =
        json!({ "type": "policy", "id": "site", "room": { "opens_before_s": 0, "closes_after_s": 0 } });
    let soon = room("g-1", "m-1", "b-1", &["perimeter"], (600, 3600));
    site.put([card("c-1", ANNA, "m-1"), soon.clone()]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "in_window");
    site.put([margins]);
    let early = site.decision("entrance-in", ANNA);
    assert_decided(&early, "access.denied", "too_early");
    assert_eq!(early["opens_at"], soon["starts_at"]);
    let over =
        with(room("g-1", "m-1", "b-1", &["perimeter"], (-600, 3600)), "not_after", written(wall_now()));
    site.put([over.clone()]);
    let late = site.decision("entrance-in", ANNA);
    assert_decided(&late, "access.denied", "too_late");
    assert_eq!(late["closes_at"], over["not_after"]);
    assert_eq!(late.get("grant").unwrap_or(&Value::Null), &Value::Null, "no grant let anyone in: {late:#}");
}

#[test]
fn a_holder_who_needs_longer_gets_the_doors_longer_time() {
    let lock = "coil = 0, strike_s = 1";
    let site = Builder::new().edit(lock, &format!("{lock}, extended_s = 2")).running();
    let slow = with(card("c-1", ANNA, "m-1"), "extended_time", true);
    site.put([slow, standing("g-1", "m-1", &["perimeter"])]);
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is energised");
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("and released");
    let held = off.at.duration_since(on.at);
    assert!(held.abs_diff(2 * STRIKE) <= TOLERANCE, "the strike was held for {held:?}");
}

#[test]
fn a_reader_says_which_way_it_guards_and_may_answer_the_other_way_round() {
    let out = "direction = \"out\"\nuid_order = \"reversed\"";
    let site = Builder::new().edit_once("direction = \"in\"", out).running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "unknown_credential");
    let event = site.decision("entrance-in", "F6E5D4C3B2A104");
    assert_decided(&event, "access.granted", "standing");
    assert_eq!(event["direction"], "out");
    let question = ["explain", "--door", "entrance", "--uid", ANNA, "--direction", "out"];
    assert_eq!(site.ask(&question)["direction"], "out");
}

#[test]
fn taps_at_two_doors_at_once_are_each_decided_and_recorded_once() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), card("c-2", BO, "m-2")]);
    site.put([standing("g-1", "m-1", &["perimeter"]), standing("g-2", "m-2", &["rooms"])]);
    let each = [("entrance-in", ANNA), ("room-4-in", BO)];
    std::thread::scope(|scope| {
        for (reader, uid) in each {
            let site = &site;
            scope.spawn(move || (0..5).for_each(|_| site.tap(reader, uid)));
        }
    });
    let granted = |reader: &str| {
        let journal = site.journal();
        journal.iter().filter(|event| event["type"] == "access.granted" && event["reader"] == reader).count()
    };
    eventually_asking("grant for every tap", || {
        each.iter().all(|(reader, _)| granted(reader) >= 5).then_some(())
    });
    assert_eq!(each.map(|(reader, _)| granted(reader)), [5, 5]);
    assert_chain(&site.journal());
}
