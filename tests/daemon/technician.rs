//! `latchctl` against the real daemon: what it shows, what it does, and how it ends.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hardware_sim::time;
use serde_json::{Value, json};

use crate::site::people::assert_decided;
use crate::site::records::{card, instant, room, standing};
use crate::site::{LIMIT, Site, eventually, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";

fn with_anna() -> (Site, Value) {
    let site = Site::running();
    let booked = room("g-9", "m-17", "b-5", &["perimeter", "room-4"], (-60, 3600));
    site.put([card("c-81", ANNA, "m-17"), booked.clone(), standing("g-2", "m-2", &["amenities"])]);
    (site, booked)
}

fn find(list: &Value, field: &str, id: &str) -> Value {
    let found = list.as_array().and_then(|list| list.iter().find(|one| one[field] == id));
    found.unwrap_or_else(|| panic!("no {field} {id} in {list:#}")).clone()
}

#[test]
fn status_doors_and_readers_show_the_site_as_it_is() {
    let (site, _) = with_anna();
    site.tap("entrance-in", ANNA);
    assert!(site.board.wait_for_coil(0, true, LIMIT) && site.board.wait_for_coil(0, false, LIMIT));
    eventually_asking("door that is locked again", || {
        (find(&site.ask(&["doors"]), "door", "entrance")["mode"] == "locked").then_some(())
    });
    let status = site.ask(&["status"]);
    assert_eq!((&status["controller"], &status["time_zone"]), (&json!("test-1"), &json!("Europe/Oslo")));
    assert_eq!((&status["sync"]["credentials"], &status["sync"]["grants"]), (&json!(1), &json!(2)));
    assert_eq!(status["sync"]["applied"], site.central().position().applied);
    assert_eq!(status["sync"]["digest"], site.central().digest());
    assert_eq!(status["doors"].as_array().unwrap().len(), 4);
    let entrance = find(&site.ask(&["doors"]), "door", "entrance");
    assert_eq!(
        ["mode", "contact", "alarm", "board"].map(|field| entrance[field].as_str().unwrap().to_owned()),
        ["locked", "closed", "none", "board-1"].map(str::to_owned),
    );
    assert_eq!(entrance["last"]["credential"], "c-81");
    let reader = find(&site.ask(&["readers"]), "reader", "entrance-in");
    assert_eq!((&reader["connected"], &reader["last_reason"]), (&json!(true), &json!("in_window")));
    for verb in
        [&["status"][..], &["doors"], &["readers"], &["credentials"], &["grants"], &["events"], &["sync"]]
    {
        let said = site.ctl(verb);
        assert!(said.code == 0 && !said.out.is_empty() && said.err.is_empty(), "{verb:?}: {said:?}");
        assert!(!said.out.contains('\u{1b}'), "colour, and no terminal: {verb:?}");
    }
}

#[test]
fn credentials_and_grants_are_listed_with_their_windows_as_computed() {
    let (site, booked) = with_anna();
    let credential = find(&site.ask(&["credentials", "--holder", "m-17"]), "id", "c-81");
    assert_eq!((&credential["status"], &credential["holder"]), (&json!("active"), &json!("m-17")));
    assert_eq!(site.ask(&["credentials", "--holder", "nobody"]), json!([]));
    let grants = site.ask(&["grants", "--door", "entrance"]);
    assert_eq!(grants.as_array().unwrap().len(), 1, "{grants:#}");
    let grant = find(&grants, "id", "g-9");
    let half_an_hour = chrono::TimeDelta::minutes(30);
    assert_eq!(instant(&grant["opens_at"]), instant(&booked["starts_at"]) - half_an_hour);
    assert_eq!(instant(&grant["closes_at"]), instant(&booked["ends_at"]) + half_an_hour);
    assert_eq!(
        (&grant["active"], &grant["kind"], &grant["booking"]),
        (&json!(true), &json!("room"), &json!("b-5"))
    );
    let over = grant["closes_at"].as_str().unwrap();
    let active = site.ask(&["grants", "--active", "--at", over]);
    assert_eq!(active.as_array().unwrap().len(), 1, "only the standing one: {active:#}");
    assert_eq!(active[0]["id"], "g-2");
}

#[test]
fn door_access_opens_and_is_recorded_with_who_asked_and_why() {
    let (site, _) = with_anna();
    let (before, mark) = (time::now(), site.central().mark());
    let done = site.ask(&["door", "access", "room-4", "--reason", "parcel for Anna"]);
    assert_eq!(done["door"], "room-4");
    assert!(site.board.wait_for_coil_change(before, 2, true, LIMIT).is_some(), "the door did not open");
    let event = site.at_central(mark, "operator.command");
    assert_eq!(event["seq"], done["seq"]);
    assert!(event["action"].as_str().is_some_and(|action| action.contains("access")), "{event:#}");
    let user =
        String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let uid = rustix::process::getuid().as_raw().to_string();
    let by = event["by"].to_string();
    assert!(by.contains(user.trim()) && by.contains(&uid), "who it was: {event:#}");
    assert!(event.to_string().contains("parcel for Anna"), "why: {event:#}");
    assert!(event.to_string().contains("room-4"), "which door: {event:#}");
    assert!(site.board.wait_for_coil(2, false, LIMIT), "the strike never ends");
    let before = time::now();
    assert_eq!(site.ctl(&["door", "access", "--all"]).code, 0);
    for coil in 0..4 {
        assert!(
            site.board.wait_for_coil_change(before, coil, true, LIMIT).is_some(),
            "door {coil} stayed shut"
        );
    }
}

#[test]
fn a_command_the_board_does_not_confirm_fails_in_a_sentence() {
    let (site, _) = with_anna();
    site.board.go_silent();
    let said = site.ctl(&["door", "access", "entrance"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.starts_with("latchctl: ") && said.err.trim_end().lines().count() == 1, "{said:?}");
    site.board.clear_faults();
    site.wait_until_ready();
    assert_eq!(site.board.coil_history(), [], "it opened after it had said it would not");
}

#[test]
fn events_can_be_chosen_and_followed() {
    let (site, _) = with_anna();
    let follower = site.follow(&["events", "--follow", "--json", "--type", "access"]);
    // It follows once it has shown what is there; a tap before that would be no proof.
    site.tap("entrance-in", ANNA);
    let followed = follower.wait_for("first tap", |event| event["type"] == "access.granted");
    site.decision("room-4-in", "04999999999999");
    let denied = follower.wait_for("refused tap, as it happens", |event| event["type"] == "access.denied");
    assert!(followed["seq"].as_u64() < denied["seq"].as_u64());
    drop(follower);
    // Something of another type at the same door, and something at another one, come after it.
    for door in [2, 1] {
        let before = site.last_seq();
        site.board.press_rex(door, Duration::from_millis(400)).unwrap();
        site.in_journal(before, "request to exit", |event| event["type"] == "rex.pressed");
    }
    let chosen = site.ctl(&["events", "--door", "room-4", "--type", "access.denied", "--json"]).lines();
    assert_eq!(chosen, std::slice::from_ref(&denied));
    let newest = site.ctl(&["events", "--type", "access", "--limit", "1", "--json"]).lines();
    assert_eq!(newest, std::slice::from_ref(&denied));
    let since = site
        .ctl(&["events", "--since", denied["at"].as_str().unwrap(), "--type", "access", "--json"])
        .lines();
    assert_eq!(since, [denied]);
}

#[test]
fn a_flipped_byte_in_the_journal_is_found_by_its_number() {
    let (site, _) = with_anna();
    let event = site.decision("entrance-in", ANNA);
    assert_decided(&event, "access.granted", "in_window");
    for _ in 0..2 {
        site.decision("room-4-in", "04999999999999");
    }
    let whole = site.ctl(&["journal", "verify", "--json"]).json();
    assert_eq!(whole["last"], site.last_seq());
    let segment = journal_file(&site, event["hash"].as_str().unwrap());
    let text = fs::read_to_string(&segment).unwrap();
    assert_eq!(text.matches("\"m-17\"").count(), 1);
    fs::write(&segment, text.replace("\"m-17\"", "\"m-71\"")).unwrap();
    let said = site.ctl(&["journal", "verify"]);
    assert_eq!(said.code, 1, "{said:?}");
    let seq = event["seq"].to_string();
    let named = said.err.split(|c: char| !c.is_ascii_digit()).any(|number| number == seq);
    assert!(named, "event {seq} is not named: {}", said.err);
}

/// The file under the state directory that holds this text.
fn journal_file(site: &Site, text: &str) -> PathBuf {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let mut files = site.bytes_on_disk().into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path);
    files.next().expect("a journal file with the event")
}

#[test]
fn sync_shows_the_place_and_resync_brings_a_snapshot() {
    let (site, _) = with_anna();
    let sync = site.ask(&["sync"]);
    assert_eq!(
        (&sync["connected"], &sync["want"], &sync["stale"]),
        (&json!(true), &json!("nothing"), &json!(false))
    );
    instant(&sync["central_at"]);
    let mark = site.central().mark();
    site.ask(&["sync", "resync"]);
    site.at_central(mark, "sync.snapshot_applied");
    let (mark, before) = (site.central().mark(), site.ask(&["sync"]));
    let waited = site.ask(&["sync", "resync", "--wait"]);
    site.at_central(mark, "sync.snapshot_applied");
    assert_eq!((&waited["want"], &waited["digest"]), (&json!("nothing"), &before["digest"]));
    eventually("agreement with central", || {
        let seen = site.central().last_sync()?;
        (seen.want == "nothing" && seen.digest == site.central().digest()).then_some(())
    });
}

#[test]
fn a_snapshot_that_does_not_come_in_time_is_no_success_and_still_comes_later() {
    let (mut site, _) = with_anna();
    let mark = site.central().mark();
    site.lose_broker();
    let said = site.ctl(&["sync", "resync", "--wait", "--within", "1s"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    let broker = site.ask(&["sync"])["broker"].as_str().unwrap().to_owned();
    let sentence = format!("no snapshot is in force after 1 s: not connected to {broker}");
    assert!(said.err.contains(&sentence), "{}", said.err);
    site.broker.start();
    site.at_central(mark, "sync.snapshot_applied");
}

#[test]
fn it_ends_with_the_status_that_says_what_was_wrong() {
    let (mut site, _) = with_anna();
    for (arguments, code) in [
        (&["doors"][..], 0),
        (&["no-such-verb"], 2),
        (&["explain", "--door", "entrance"], 2),
        (&["door", "access", "cellar"], 5),
        (&["explain", "--door", "cellar", "--uid", ANNA], 5),
        (&["explain", "--door", "entrance", "--credential", "c-404"], 5),
    ] {
        let said = site.ctl(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
    }
    assert!(site.daemon.stop().success());
    let said = site.ctl(&["status"]);
    assert_eq!(said.code, 3, "{said:?}");
    let socket = site.daemon.socket().to_str().unwrap().to_owned();
    assert!(said.err.contains(&socket) && said.err.contains("is latchd running?"), "{}", said.err);
}

/// The contract's examples, asked of the running daemon; those that set a mode, a clock or guests let in can't be.
#[test]
fn the_contracts_examples_are_explained_alike_a_thousand_lines_at_a_time() {
    let files = [
        include_str!("../vectors/room-and-desk.json"),
        include_str!("../vectors/cards.json"),
        include_str!("../vectors/guests.json"),
        include_str!("../vectors/lockdown-and-clock.json"),
        include_str!("../vectors/policy-and-calendar.json"),
    ];
    let site = Site::running();
    let mut asked = 0;
    for file in files {
        let set: Value = serde_json::from_str(file).unwrap();
        for old in site.central().records() {
            site.central().delete(old["type"].as_str().unwrap(), old["id"].as_str().unwrap());
        }
        site.put(set["records"].as_array().unwrap().iter().cloned());
        let plain = |case: &&Value| ["mode", "clock", "let_in"].iter().all(|field| case.get(field).is_none());
        let cases: Vec<&Value> = set["cases"].as_array().unwrap().iter().filter(plain).collect();
        let rounds = 1100 / cases.len() / files.len() + 1;
        let batch: Vec<&Value> = std::iter::repeat_n(&cases, rounds).flatten().copied().collect();
        let lines: String = batch.iter().map(|case| question(case)).collect();
        let said = site.ctl_with_input(&["explain", "--batch", "--json"], &lines);
        let answers = said.lines();
        assert_eq!((said.code, answers.len()), (0, batch.len()), "{}", said.err);
        for (case, answer) in batch.iter().zip(&answers) {
            let mut expected = case["expect"].clone();
            for (field, value) in [("door", &case["door"]), ("at", &case["at"]), ("direction", &json!("in"))]
            {
                expected[field] = value.clone();
            }
            assert_eq!(answer, &expected, "{}", case["name"]);
        }
        asked += batch.len();
    }
    assert!(asked >= 1000, "only {asked}");
    let wrong = site.ctl_with_input(
        &["explain", "--batch", "--json"],
        "{\"door\":\"cellar\",\"uid\":\"04A1B2C3\"}\nno\n",
    );
    let answers = wrong.lines();
    assert_eq!((wrong.code, answers.len()), (1, 2), "{wrong:?}");
    assert!(answers.iter().all(|answer| answer.get("error").is_some()), "{answers:?}");
}

fn question(case: &Value) -> String {
    let line = json!({ "door": case["door"], "uid": case["uid"], "at": case["at"] });
    format!("{line}\n")
}

#[test]
fn the_daemon_answers_several_at_once_while_it_opens_doors() {
    let (site, _) = with_anna();
    let site = &site;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(site.ctl(&["status", "--json"]).code, 0);
                    assert_eq!(site.ctl(&["events", "--json"]).code, 0);
                }
            });
        }
        let before = time::now();
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "in_window");
        let limit = Duration::from_secs(5);
        assert!(site.board.wait_for_coil_change(before, 0, true, limit).is_some(), "the door did not open");
    });
}

#[test]
fn explain_tells_the_whole_story_and_that_of_a_past_event_with_what_has_changed_since() {
    let (site, booked) = with_anna();
    let told = site.ctl(&["explain", "--door", "room-4", "--uid", ANNA]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.starts_with("Yes: this card's room booking b-5 opens The room-4"), "{}", told.out);
    for line in ["ok         2    the card is known: c-81 of m-17", "ok         11   the best of them is g-9"]
    {
        assert!(told.out.contains(line), "no {line:?} in\n{}", told.out);
    }
    let told = site.ctl(&["explain", "--door", "gym", "--credential", "c-81"]);
    assert!(told.out.contains("NO         6    none of the holder's 1 grant covers The gym"), "{}", told.out);
    assert!(told.out.contains("\nTo open: book something that takes in The gym"), "{}", told.out);
    let event = site.decision("room-4-in", ANNA);
    let seq = event["seq"].to_string();
    let told = site.ctl(&["explain", "--event", &seq]);
    assert!(told.out.contains("the same tap would have been decided alike"), "{told:?}");
    site.delete("grant", "g-9");
    let told = site.ctl(&["explain", "--event", &seq]);
    assert!(told.out.contains("would have been decided otherwise (no_grant)"), "{told:?}");
    assert!(told.out.contains("Grant g-9 is gone since"), "{told:?}");
    let json = site.ctl(&["explain", "--event", &seq, "--json"]).json();
    assert_eq!((&json["event"]["seq"], &json["then"]["reason"]), (&event["seq"], &json!("no_grant")));
    assert_eq!(json["now"]["decision"], "denied");
    site.put([booked]);
    let unknown = site.decision("room-4-in", "04999999999999")["seq"].to_string();
    let told = site.ctl(&["explain", "--event", &unknown]);
    assert!(told.out.contains("The card was not known then, and is not now."), "{told:?}");
    for (seq, code, said) in [
        ("0", 5, "there is no event 0"),
        ("999999", 5, "there is no event 999999"),
        ("1", 1, "event 1 is controller.started"),
    ] {
        let told = site.ctl(&["explain", "--event", seq]);
        assert!(told.code == code && told.err.contains(said), "{told:?}");
    }
}

#[test]
fn the_log_is_changed_until_the_next_start_and_who_did_it_is_recorded() {
    let mut site = Site::running();
    assert_eq!(site.ctl(&["log"]).out, "the log is info\n");
    let mark = site.central().mark();
    let said = site.ctl(&["log", "debug"]);
    assert_eq!(
        said.out, "the log is debug now, and was info; after the next start it is info again\n",
        "{said:?}"
    );
    let event = site.at_central(mark, "operator.command");
    assert_eq!((&event["action"], &event["detail"]), (&json!("log"), &json!("info before, debug now")));
    assert_eq!(site.ask(&["log"]), json!({"now": "debug", "at_start": "info"}));
    let said = site.ctl(&["log", "inof"]);
    assert!(said.code == 1 && said.err.contains("\"inof\" is no level"), "{said:?}");
    assert_eq!(site.ask(&["log"])["now"], "debug", "nothing was changed");
    site.daemon.stop();
    site.start_again();
    assert_eq!(site.ask(&["log"])["now"], "info");
}
