//! Central's commands, through the real broker, to the strike and back: once, in time, and never twice.

use std::time::Duration;

use chrono::TimeDelta;
use hardware_sim::central::bookings::instant_text;
use hardware_sim::time;
use hardware_sim::wait::wall_now;
use serde_json::{Value, json};

use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, CONTROLLER, LIMIT, RECONNECT_LIMIT, Site, eventually_asking, signer};

const ANNA: &str = "04A1B2C3D4E5F6";

/// A command whose time is from and to so many seconds from now.
fn command(id: &str, action: &str, door: &str, (from_s, to_s): (i64, i64)) -> Value {
    let at = |s| instant_text(wall_now() + TimeDelta::seconds(s));
    json!({ "controller": CONTROLLER, "id": id, "issued_at": at(from_s), "expires_at": at(to_s),
            "by": "anna@central", "action": action, "door": door })
}

/// A site where the test gives the commands, signed as central does.
fn site() -> (Site, Line) {
    let site = Builder::new().running();
    let line = Line::open(&site.broker.url());
    (site, line)
}

fn give(line: &Line, command: &Value, retain: bool) {
    line.say_bytes("command", signer().sign(command.to_string().as_bytes()), retain);
}

#[track_caller]
fn answer(line: &Line, mark: usize, id: &str) -> (String, Option<String>) {
    let result = line.wait_for(mark, "result", |result| result["id"] == id);
    assert_eq!(result["controller"], CONTROLLER);
    (result["outcome"].as_str().unwrap().to_owned(), result["reason"].as_str().map(str::to_owned))
}

fn done() -> (String, Option<String>) {
    ("done".into(), None)
}

fn refused(reason: &str) -> (String, Option<String>) {
    ("refused".into(), Some(reason.into()))
}

fn events(site: &Site, kind: &str, id: &str) -> Vec<Value> {
    site.journal().into_iter().filter(|event| event["type"] == kind && event["id"] == id).collect()
}

#[test]
fn access_opens_the_door_and_says_so() {
    let site = Builder::new().running();
    let before = time::now();
    let id = site.central().command("access", "entrance", None).unwrap();
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike");
    let result = site.central().wait_for_result(&id, LIMIT).expect("an answer");
    assert_eq!(result, json!({ "controller": CONTROLLER, "id": id, "outcome": "done" }));
    let executed = events(&site, "command.executed", &id);
    assert_eq!(executed.len(), 1);
    assert_eq!(executed[0]["door"], "entrance");
    assert!(site.board.wait_for_coil(0, false, LIMIT), "the pulse ends by itself");
    eprintln!("from the order to the strike: {:?}", on.at.duration_since(before));
    site.at_central_where(0, "command.executed", |event| event["id"] == json!(id));
}

#[test]
fn every_action_of_the_table_does_what_it_says_at_one_door_and_at_all() {
    let site = Builder::new().running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let mode = |door: &str| site.ask(&["door", "show", door])["mode"].as_str().unwrap().to_owned();
    let order = |action: &str, door: &str, for_s| {
        let id = site.central().command(action, door, for_s).unwrap();
        let result = site.central().wait_for_result(&id, LIMIT).expect("an answer");
        (result["outcome"].as_str().unwrap().to_owned(), result["reason"].as_str().map(str::to_owned))
    };
    for (action, then) in [
        ("unlock", "unlocked"),
        ("lock", "locked"),
        ("block", "blocked"),
        ("unblock", "locked"),
        ("lock_down", "locked_down"),
        ("lock_down_release", "locked"),
        ("lock_open", "locked_open"),
        ("lock_open_release", "locked"),
    ] {
        assert_eq!(order(action, "entrance", None), done(), "{action}");
        assert_eq!((mode("entrance").as_str(), mode("room-4").as_str()), (then, "locked"), "{action}");
    }
    assert_eq!(order("lock_down", "*", None), done());
    assert!(["entrance", "floor-2", "room-4", "gym"].into_iter().all(|door| mode(door) == "locked_down"));
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "door_locked_down");
    assert_eq!(order("access", "entrance", None), refused("door_locked_down"));
    assert_eq!(order("lock_down_release", "entrance", None), done());
    assert_eq!(order("unlock", "*", Some(2)).1.as_deref(), Some("partly"));
    eventually_asking("end of a timed unlock", || (mode("entrance") == "locked").then_some(()));
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    let door = site.central().door("room-4").unwrap();
    assert_eq!(door["mode"], "locked_down");
    assert_eq!(order("resync", "*", None), done());
    site.at_central(0, "sync.snapshot_applied");
}

#[test]
fn a_command_out_of_its_time_or_place_is_refused_recorded_and_answered() {
    let (site, line) = site();
    let cases = [
        ("late", command("late", "access", "entrance", (-200, -1)), "expired"),
        ("long", command("long", "access", "entrance", (-1, 300)), "expires_too_late"),
        ("early", command("early", "access", "entrance", (120, 180)), "not_yet_issued"),
        ("nowhere", command("nowhere", "access", "attic", (0, 60)), "unknown_door"),
        ("strange", command("strange", "explode", "entrance", (0, 60)), "unknown_action"),
    ];
    for (id, message, reason) in cases {
        let mark = line.mark();
        give(&line, &message, false);
        assert_eq!(answer(&line, mark, id), refused(reason));
        // What refuses changes nothing, and is answered without waiting for the disk.
        let rejected = eventually_asking("entry of the refusal", || {
            Some(events(&site, "command.rejected", id)).filter(|found| !found.is_empty())
        });
        assert_eq!(rejected.len(), 1, "{id}");
        assert_eq!(rejected[0]["reason"], reason);
    }
    assert!(!site.board.wait_for_coil(0, true, Duration::ZERO));
    assert!(site.ask(&["sync"])["refused"]["command"] == 5);
}

/// Delivered by the broker as it likes: while it is listened to, and to who comes later.
#[test]
fn a_retained_command_is_never_carried_out() {
    let (mut site, line) = site();
    let mark = line.mark();
    give(&line, &command("kept", "access", "entrance", (0, 200)), true);
    assert_eq!(answer(&line, mark, "kept"), refused("retained"));
    let mark = line.mark();
    site.daemon.stop();
    site.start_again();
    assert_eq!(answer(&line, mark, "kept"), refused("retained"));
    assert!(!site.board.wait_for_coil(0, true, Duration::ZERO));
    assert_eq!(events(&site, "command.executed", "kept"), [] as [Value; 0]);
    line.say_bytes("command", "", true);
}

#[test]
fn a_command_is_carried_out_once_however_often_it_comes_and_whatever_dies_between() {
    let (mut site, line) = site();
    let message = command("once", "access", "entrance", (0, 250));
    let before = time::now();
    let mark = line.mark();
    for _ in 0..5 {
        give(&line, &message, false);
    }
    line.wait_for(mark, "result", |result| result["id"] == "once" && result["outcome"] == "done");
    site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike");
    for _ in 0..2 {
        assert!(site.board.wait_for_coil(0, false, LIMIT));
        let (before, mark) = (time::now(), line.mark());
        site.daemon.kill();
        site.start_again();
        give(&line, &message, false);
        assert_eq!(answer(&line, mark, "once"), refused("duplicate"));
        assert!(site.board.wait_for_coil_change(before, 0, true, Duration::ZERO).is_none());
    }
    assert_eq!(events(&site, "command.executed", "once").len(), 1);
}

/// The daemon dies at any moment between the broker's delivery and the strike: each command is done at most once, and
/// what was done stands in the journal.
#[test]
fn commands_under_a_hail_of_kills_are_each_done_at_most_once() {
    const ROUNDS: usize = 8;
    let (mut site, line) = site();
    for round in 0..ROUNDS {
        let id = format!("cmd-{round}");
        give(&line, &command(&id, "resync", "*", (0, 250)), false);
        // Somewhere between nothing and all of it.
        crate::site::pause("a moment to die in", Duration::from_millis((round as u64 * 7) % 23));
        site.daemon.kill();
        site.daemon.start();
    }
    site.wait_until_ready();
    let mark = line.mark();
    give(&line, &command("last", "resync", "*", (0, 250)), false);
    assert_eq!(answer(&line, mark, "last"), done());
    let counts: Vec<usize> =
        (0..ROUNDS).map(|round| events(&site, "command.executed", &format!("cmd-{round}")).len()).collect();
    eprintln!("carried out before the kill, or after it: {counts:?}");
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
}

#[test]
fn a_lockdown_that_waited_at_the_broker_is_taken_when_the_link_is_back_if_it_still_holds() {
    let (mut site, line) = site();
    site.daemon.stop();
    give(&line, &command("kept", "lock_down", "*", (0, 250)), false);
    give(&line, &command("gone", "unlock", "entrance", (-250, 1)), false);
    let mark = line.mark();
    crate::site::pause("the second one's time runs out", Duration::from_secs(2));
    site.start_again();
    assert_eq!(answer(&line, mark, "kept"), done());
    assert_eq!(answer(&line, mark, "gone"), refused("expired"));
    let shown = line
        .wait_for_heard(mark, |heard| heard.topic == "door/room-4" && heard.body["mode"] == "locked_down");
    assert!(!shown.retained, "it is said, not remembered");
    let _limit = RECONNECT_LIMIT;
}
