//! The configuration is changed while doors are in use: all of it is taken up or nothing, and who stands at a door that
//! did not change notices nothing.

use std::fs;
use std::time::Duration;

use hardware_sim::board::Cause;
use hardware_sim::time;
use serde_json::Value;

use crate::site::broker::free_port;
use crate::site::line::Line;
use crate::site::metrics::{http, scrape};
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
/// As exact as a strike must be.
const TOLERANCE: Duration = Duration::from_millis(200);

/// The text without the table of this kind and id.
fn without(text: &str, table: &str, id: &str) -> String {
    let head = format!("\n[[{table}]]\nid = {id:?}\n");
    let (before, rest) = text.split_once(&head).unwrap_or_else(|| panic!("no {table} {id} in {text}"));
    let after = rest.find("\n[").map_or("", |end| &rest[end..]);
    format!("{before}{after}")
}

impl Site {
    /// Puts this into the file, has it read, and waits for what is said of it.
    #[track_caller]
    fn reload(&mut self, text: &str) -> Value {
        let before = self.last_seq();
        fs::write(self.daemon.config_path(), text).unwrap();
        self.daemon.hang_up();
        self.in_journal(before, "word of the reload", |event| {
            event["type"] == "operator.command" && event["action"] == "reload"
        })
    }

    #[track_caller]
    fn reloaded(&mut self, text: &str) {
        let event = self.reload(text);
        assert_eq!(event["outcome"], "done", "{event:#}");
    }

    fn text(&self) -> String {
        fs::read_to_string(self.daemon.config_path()).unwrap()
    }

    /// What the process holds: threads and open files.
    fn holds(&mut self) -> (usize, usize) {
        let id = self.daemon.id();
        let count = |what: &str| fs::read_dir(format!("/proc/{id}/{what}")).unwrap().count();
        (count("task"), count("fd"))
    }
}

fn with_anna(builder: Builder) -> Site {
    let site = builder.running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

#[test]
fn a_door_and_a_reader_join_while_another_strike_is_driven_and_open_at_once() {
    let strike = Duration::from_secs(4);
    let whole = |site: &Site| site.text();
    let mut site = Builder::new().edit_once("coil = 0, strike_s = 1", "coil = 0, strike_s = 4").prepared();
    let all = whole(&site);
    let fewer = without(&without(&all, "readers", "room-4-in"), "doors", "room-4");
    fs::write(site.daemon.config_path(), &fewer).unwrap();
    site.daemon.start();
    site.wait_until_connected();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is energised");
    let since = site.ask(&["status"])["boards"][0]["since"].clone();
    site.reloaded(&all);
    // Who was there before is as it was: its strike, its board, its reader.
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("and released");
    assert_eq!(off.cause, Cause::FlashEnded);
    let held = off.at.duration_since(on.at);
    assert!(held.abs_diff(strike) <= TOLERANCE, "the strike was held for {held:?}");
    assert_eq!(site.ask(&["status"])["boards"][0]["since"], since, "the board was connected anew");
    site.wait_until_ready();
    let before = time::now();
    assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil_change(before, 2, true, LIMIT).is_some(), "the new door did not open");
    // Its contact is read, too.
    let doors = site.ask(&["status"])["doors"].clone();
    let room = doors.as_array().unwrap().iter().find(|door| door["door"] == "room-4").unwrap();
    assert_eq!((&room["contact"], &room["name"]), (&"closed".into(), &"The room-4".into()));
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
}

#[test]
fn a_changed_strike_time_holds_from_the_next_passage_on() {
    let mut site = with_anna(Builder::new());
    let text = site.text().replace("coil = 0, strike_s = 1", "coil = 0, strike_s = 2");
    site.reloaded(&text);
    let before = time::now();
    site.tap("entrance-in", ANNA);
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is energised");
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).expect("and released");
    let held = off.at.duration_since(on.at);
    assert!(held.abs_diff(Duration::from_secs(2)) <= TOLERANCE, "the strike was held for {held:?}");
}

#[test]
fn a_door_that_is_taken_out_is_locked_first_and_the_broker_forgets_it() {
    let mut site = with_anna(Builder::new());
    let line = Line::open(&site.broker.url());
    line.wait_for(0, "door/room-4", |door| door["mode"] == "locked");
    assert_eq!(site.ctl(&["door", "lock-open", "room-4"]).code, 0);
    assert!(site.board.wait_for_coil(2, true, LIMIT), "it is held open");
    let (mark, text) = (line.mark(), site.text());
    site.reloaded(&without(&without(&text, "readers", "room-4-in"), "doors", "room-4"));
    assert!(site.board.wait_for_coil(2, false, LIMIT), "a strike that nobody minds is left driven");
    line.wait_for(mark, "door/room-4", |body| body.as_str() == Some(""));
    let later = Line::open(&site.broker.url());
    later.wait_for_heard(0, |heard| heard.topic == "door/entrance" && heard.retained);
    assert!(later.heard(0, "door/room-4").is_empty(), "the broker retains it still");
    assert_eq!(site.ctl(&["door", "access", "room-4"]).code, 5);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    // It is back as a door that nobody has opened.
    site.reloaded(&text);
    let door = eventually_asking("door that is back", || {
        let said = site.ctl(&["door", "show", "room-4", "--json"]);
        let door: Value = serde_json::from_str(&said.out).ok()?;
        (door["lock"] == "secure").then_some(door)
    });
    assert_eq!(door["mode"], "locked");
}

#[test]
fn a_board_at_another_address_is_gone_to_and_its_doors_work_there() {
    let mut site = with_anna(Builder::new());
    assert_eq!(site.ctl(&["door", "lock-open", "floor-2"]).code, 0);
    let text = site.text().replace("modbus+tcp://127.0.0.1:", "modbus+tcp://localhost:");
    let before = site.last_seq();
    site.reloaded(&text);
    site.in_journal(before, "the board's loss", |event| event["type"] == "board.lost");
    site.wait_until_connected();
    assert!(site.ask(&["status"])["boards"][0]["url"].as_str().unwrap().contains("localhost"));
    assert!(site.board.wait_for_coil(1, true, LIMIT), "what its mode keeps open is kept open");
    let before = time::now();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil_change(before, 0, true, LIMIT).is_some());
    assert!(site.board.wait_for_clients(1, LIMIT), "the old connection is still there");
}

#[test]
fn a_file_with_a_mistake_changes_nothing_and_is_said_in_the_status_until_a_good_one_is_read() {
    let mut site = with_anna(Builder::new());
    let text = site.text();
    let event = site.reload(&text.replace("coil = 2,", "coil = 0,"));
    assert_eq!(event["outcome"], "refused");
    assert!(event["detail"].as_str().unwrap().contains("latchd.toml:"), "{event:#}");
    let status = site.ask(&["status"]);
    let refused = &status["configuration"]["refused"];
    assert!(refused["error"].as_str().unwrap().contains("coil 0"), "{status:#}");
    let said = site.ctl(&["status"]).out;
    assert!(said.contains("was refused, the one before holds"), "{said}");
    assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil(2, true, LIMIT), "the door is where it was");
    // All at once, so not one good change of a file that has a change too many.
    let moved = text.replace("/state\"", "/elsewhere\"").replace("latchd.sock", "other.sock");
    let event = site.reload(&moved.replace("strike_s = 1", "strike_s = 9"));
    let detail = event["detail"].as_str().unwrap();
    assert!(
        detail.contains("controller.state_dir, controller.socket changed, which takes a restart"),
        "{detail}"
    );
    let before = time::now();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    let on = site.board.wait_for_coil_change(before, 0, true, LIMIT).unwrap();
    let off = site.board.wait_for_coil_change(on.at, 0, false, LIMIT).unwrap();
    assert!(off.at.duration_since(on.at) < Duration::from_secs(2));
    site.reloaded(&text);
    assert_eq!(site.ask(&["status"])["configuration"].get("refused"), None);
}

#[test]
fn metrics_come_move_and_go() {
    let mut site = Site::running();
    let (first, second) = (free_port(), free_port());
    let text = site.text();
    let with = |port: u16| format!("{text}\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    site.reloaded(&with(first));
    scrape(first);
    site.reloaded(&with(second));
    scrape(second);
    let is_gone = |port: u16| http(port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").is_err().then_some(());
    eventually("end of the first endpoint", || is_gone(first));
    site.reloaded(&text);
    eventually("end of the second", || is_gone(second));
}

#[test]
fn a_hundred_reloads_keep_no_thread_and_no_file_and_drop_no_tap() {
    let mut site = with_anna(Builder::new());
    let (all, port) = (site.text(), free_port());
    let fewer = without(&without(&all, "doors", "floor-2"), "readers", "room-4-in");
    let fewer = format!("{fewer}\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let moved = all.replace("modbus+tcp://127.0.0.1:", "modbus+tcp://localhost:");
    site.reloaded(&fewer);
    site.reloaded(&all);
    site.wait_until_ready();
    let (threads, files) = site.holds();
    let since = site.ask(&["sync"])["since"].clone();
    for round in 0..34 {
        site.reloaded(&fewer);
        if round % 4 == 0 {
            // The reader at the entrance was never begun anew.
            let event = site.decision("entrance-in", ANNA);
            assert_decided(&event, "access.granted", "standing");
        }
        site.reloaded(&moved);
        site.reloaded(&all);
    }
    site.wait_until_ready();
    assert_eq!(site.ask(&["sync"])["since"], since, "the link to central was connected anew");
    eventually("end of what was begun for a while", || {
        let (threads_now, files_now) = site.holds();
        // The runtime keeps threads for blocking calls for a while; it has a few, not one a reload.
        (files_now <= files + 2 && threads_now <= threads + 8).then_some(())
    });
    assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
}
