//! A technician at the door, with a card and a screwdriver: what readers see, and whether the wires are where the
//! configuration says.

use std::fs;
use std::time::Duration;

use hardware_sim::board::Walk;
use serde_json::{Value, json};

use crate::site::records::{card, standing};
use crate::site::terminal::Terminal;
use crate::site::{Builder, LIMIT, Site, eventually};

const ANNA: &str = "04A1B2C3D4E5F6";
/// Bytes that turn up nowhere by chance.
const UNKNOWN: &str = "04C5B6A7D8E9FA";

/// Waits for so many entries of an action, and gives the last of them.
#[track_caller]
fn commanded(site: &Site, action: &str, count: usize) -> Value {
    eventually("entry of what was commanded", || {
        let is_it = |event: &Value| event["type"] == "operator.command" && event["action"] == action;
        let found: Vec<Value> = site.journal().into_iter().filter(is_it).collect();
        (found.len() >= count).then(|| found.last().cloned()).flatten()
    })
}

fn steps(lines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines.iter().map(|line| (text(&line["step"]), text(&line["result"]))).collect()
}

#[test]
fn a_technician_sees_the_uid_of_each_tap_and_nobody_else_does() {
    let mut site = Site::running();
    // The second one is at central the wrong way round.
    site.put([
        card("c-81", ANNA, "m-17"),
        card("c-82", "FAE9D8A7B6C504", "m-18"),
        standing("g-1", "m-17", &["perimeter"]),
    ]);
    let follower = site.follow(&["reader", "watch", "--json"]);
    follower.wait_for("the reader's state", |news| news["what"] == "reader" && news["reader"] == "room-4-in");
    site.tap("entrance-in", ANNA);
    let tap = follower.wait_for("tap", |news| news["what"] == "tap");
    assert_eq!(
        (&tap["uid"], &tap["reversed"], &tap["length"]),
        (&json!(ANNA), &json!("F6E5D4C3B2A104"), &json!(7))
    );
    assert_eq!((&tap["credential"], &tap["decision"]), (&json!("c-81"), &json!("granted")));
    let entry = site.in_journal(0, "tap", |event| event["type"] == "access.granted");
    assert_eq!((&tap["seq"], &tap["reason"]), (&entry["seq"], &entry["reason"]));
    site.wait_until_empty("entrance-in");
    site.tap("entrance-in", UNKNOWN);
    let tap = follower.wait_for("unknown card", |news| news["uid"] == UNKNOWN);
    assert_eq!((&tap["decision"], &tap["reversed_credential"]), (&json!("denied"), &json!("c-82")));
    assert_eq!(tap.get("credential"), None);

    let watched = commanded(&site, "reader_watch", 1);
    assert_eq!(watched["outcome"], "done");
    drop(follower);
    let said = site.ctl(&["reader", "watch", "cellar-in"]);
    assert_eq!((said.code, said.err.contains("there is no reader cellar-in")), (5, true), "{said:?}");
    assert!(site.daemon.stop().success());
    for (path, bytes) in site.bytes_on_disk() {
        let text = String::from_utf8_lossy(&bytes).to_uppercase();
        for uid in [ANNA, UNKNOWN, "F6E5D4C3B2A104", "FAE9D8A7B6C504"] {
            assert!(!text.contains(uid), "{uid} stands in {}", path.display());
        }
    }
}

#[test]
fn watching_one_reader_shows_its_taps_only_and_that_it_is_lost() {
    let site = Site::running();
    let follower = site.follow(&["reader", "watch", "entrance-in", "--count", "1"]);
    commanded(&site, "reader_watch", 1);
    site.decision("room-4-in", UNKNOWN);
    site.reader("entrance-in").unplug();
    eventually("loss of the reader", || {
        let lost = site.journal().into_iter().find(|event| event["type"] == "reader.lost");
        lost.filter(|event| event["reader"] == "entrance-in")
    });
    site.reader("entrance-in").plug_in().unwrap();
    site.wait_until_ready();
    site.tap("entrance-in", ANNA);
    let showed = |what: &str, text: &str| {
        eventually(what, || follower.lines().iter().position(|line| line.contains(text)))
    };
    let (lost, tapped) = (showed("that it was lost", "is lost"), showed("the tap", ANNA));
    showed("whose it is", "no credential has this UID");
    assert!(lost < tapped && !follower.lines().concat().contains(UNKNOWN), "{:#?}", follower.lines());
}

/// Opens a door as soon as its strike is driven, and shuts it again when the test has seen that.
fn open_and_shut(site: &Site, door: usize, contact: u16) {
    eventually("door that opens", || site.board.prop_open(door).ok().filter(|walk| *walk == Walk::Through));
    assert!(site.board.wait_for_input(contact, false, LIMIT));
    eventually("the door, seen open", || (site.ask(&["doors"])[door]["contact"] == "open").then_some(()));
    site.board.close(door).unwrap();
}

#[test]
fn a_door_that_is_wired_right_passes_every_step_and_there_is_a_report() {
    let site = Site::running();
    let report = site.folder.path().join("entrance.md");
    let path = report.to_str().unwrap();
    let said = std::thread::scope(|scope| {
        let testing = scope.spawn(|| {
            site.ctl(&["door", "test", "entrance", "--yes", "--timeout", "15s", "--json", "--report", path])
        });
        // Once for the strike itself, and once to be opened.
        commanded(&site, "access", 2);
        open_and_shut(&site, 0, 0);
        site.in_journal(0, "shut door", |event| event["type"] == "door.closed");
        site.board.press_rex(0, Duration::from_secs(1)).unwrap();
        testing.join().expect("latchctl")
    });
    assert_eq!(said.code, 0, "{said:?}");
    let expected =
        ["strike", "contact_shut", "contact_opens", "contact_shuts", "rex_pressed", "rex_released"];
    assert_eq!(steps(&said.lines()), expected.map(|step| (step.to_owned(), "passed".to_owned())));
    let test = commanded(&site, "door_test", 1);
    let accesses = commanded(&site, "access", 2);
    assert_eq!((&test["door"], &accesses["reason"]), (&json!("entrance"), &json!("wiring test")));
    let text = fs::read_to_string(&report).unwrap();
    assert!(text.starts_with("# Wiring test of door entrance\n"), "{text}");
    assert!(text.contains("| Result | passed |") && text.contains(test["by"].as_str().unwrap()), "{text}");
}

#[test]
fn contacts_the_wrong_way_round_and_on_another_input_fail_and_are_told_apart() {
    // The entrance's is turned round; room 4's is looked for where nothing is wired.
    let site = Builder::new()
        .edit(
            "contact = { board = \"board-1\", input = 0 }",
            "contact = { board = \"board-1\", input = 0, invert = true }",
        )
        .edit("contact = { board = \"board-1\", input = 4 }", "contact = { board = \"board-1\", input = 9 }")
        .running();
    let test = |door: &str, number: usize, contact: u16| {
        std::thread::scope(|scope| {
            let testing =
                scope.spawn(|| site.ctl(&["door", "test", door, "--yes", "--timeout", "4s", "--json"]));
            let before = site.journal().iter().filter(|event| event["action"] == "access").count();
            commanded(&site, "access", before + 2);
            eventually("door that opens", || {
                site.board.prop_open(number).ok().filter(|walk| *walk == Walk::Through)
            });
            assert!(site.board.wait_for_input(contact, false, LIMIT));
            let said = testing.join().expect("latchctl");
            site.board.close(number).unwrap();
            assert_eq!(said.code, 1, "{said:?}");
            assert!(said.err.contains("steps did not pass"), "{said:?}");
            said.lines().into_iter().find(|line| line["step"] == "contact_opens").expect("the step")
        })
    };
    let inverted = test("entrance", 0, 0);
    assert_eq!(inverted["result"], "failed");
    assert!(inverted["detail"].as_str().unwrap().contains("set invert = false"), "{inverted}");
    let elsewhere = test("room-4", 2, 4);
    assert_eq!(elsewhere["result"], "failed");
    let detail = elsewhere["detail"].as_str().unwrap();
    assert!(detail.contains("input 9 did not change, but input 4 of board-1"), "{detail}");
}

#[test]
fn a_lockdown_ends_a_test_under_way_and_none_begins_in_it() {
    let site = Site::running();
    let said = std::thread::scope(|scope| {
        let testing =
            scope.spawn(|| site.ctl(&["board", "test", "board-1", "--yes", "--timeout", "30s", "--json"]));
        // Each of four strikes, then the first contact's.
        commanded(&site, "access", 5);
        site.ask(&["door", "lock-down", "entrance"]);
        testing.join().expect("latchctl")
    });
    assert_eq!(said.code, 1, "{said:?}");
    let lines = said.lines();
    assert_eq!(
        steps(&lines)[..4],
        std::array::from_fn::<_, 4, _>(|_| ("strike".to_owned(), "passed".to_owned()))
    );
    let rest = &lines[4..];
    assert!(rest.iter().all(|line| line["result"] == "not_done"), "{rest:#?}");
    assert!(rest[0]["detail"].as_str().unwrap().contains("locked down"), "{rest:#?}");
    let refused = site.ctl(&["door", "test", "entrance", "--yes"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("no wiring test: entrance is locked down"), "{refused:?}");
    assert_eq!(commanded(&site, "door_test", 1)["outcome"], "refused");
    assert_eq!(site.ctl(&["door", "test", "cellar", "--yes"]).code, 5);
    let asking = site.ctl(&["door", "test", "floor-2"]);
    assert_eq!(asking.code, 2, "there is no terminal to ask at: {asking:?}");
}

#[test]
fn at_a_terminal_a_technician_is_walked_through_may_repeat_skip_and_end() {
    let site = Site::running();
    let socket = site.daemon.socket().to_str().unwrap().to_owned();
    let latchctl = env!("CARGO_BIN_EXE_latchctl");
    let command = [latchctl, "--socket", &socket, "door", "test", "entrance", "--timeout", "2s"];
    let terminal = Terminal::open(site.folder.path(), (100, 40), &[], &command);
    terminal.wait_for("what will be done", |screen| screen.contains("Enter begins, q ends:"));
    assert!(!site.journal().iter().any(|event| event["action"] == "access"), "nothing is driven yet");
    terminal.press(&["Enter"]);
    terminal.wait_for("the first step", |screen| screen.contains("Enter drives it:"));
    terminal.press(&["Enter"]);
    terminal.wait_for("the question", |screen| screen.contains("Did the lock release?"));
    commanded(&site, "access", 1);
    terminal.press(&["r", "Enter"]);
    terminal.wait_for("the step again", |screen| screen.matches("Enter drives it:").count() == 2);
    terminal.press(&["Enter"]);
    commanded(&site, "access", 2);
    terminal.wait_for("the question again", |screen| screen.matches("Did the lock release?").count() == 2);
    terminal.press(&["y", "Enter"]);
    terminal.wait_for("the next step", |screen| screen.contains("Enter when it is done:"));
    // An input that has nothing to do with it is shown all the same.
    site.board.press_rex(1, Duration::from_millis(300)).unwrap();
    terminal.wait_for("the change", |screen| screen.contains("(the exit button of floor-2) went on"));
    terminal.press(&["Enter"]);
    terminal.wait_for("that it is shut", |screen| screen.contains("passed: input 0 reads shut"));
    terminal.wait_for("the next one", |screen| screen.contains("Enter drives the strike:"));
    terminal.press(&["s", "Enter"]);
    terminal.wait_for("that it was skipped", |screen| screen.contains("skipped: skipped by the technician"));
    // Nobody shuts the door.
    terminal
        .wait_for("what is wrong", |screen| screen.contains("r repeats the step, Enter goes on, q ends:"));
    terminal.press(&["q", "Enter"]);
    assert_eq!(terminal.ended(), 1);
    let screen = terminal.everything();
    assert!(screen.contains("no feedback: input 0 did not change within"), "{screen}");
    assert!(screen.contains("6 steps: 2 passed, 1 failed, 1 skipped, 2 not done"), "{screen}");
}
