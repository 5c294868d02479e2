//! The broker gone, the daemon killed: doors still open, and nothing that happened is lost.

use std::time::Duration;

use hardware_sim::time;
use serde_json::{Value, json};

use crate::site::chain::assert_chain;
use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, room, standing};
use crate::site::{Builder, CONTROLLER, LIMIT, RECONNECT_LIMIT, Site, eventually_asking, eventually_within};

const ANNA: &str = "04A1B2C3D4E5F6";
const STRANGER: &str = "04999999999999";

fn with_anna() -> Site {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    site
}

#[test]
fn bookings_survive_a_kill_with_the_broker_down() {
    let mut site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), room("g-1", "m-1", "b-1", &["perimeter"], (-60, 3600))]);
    site.lose_broker();
    site.daemon.kill();
    let start = time::now();
    site.daemon.spawn();
    // What comes now is a tap.
    site.wait_until_empty("entrance-in");
    let chip = site.reader("entrance-in");
    chip.tap(ANNA.parse().unwrap(), Duration::from_millis(300)).unwrap();
    let on = site.board.wait_for_coil_change(start, 0, true, LIMIT).expect("the door opens");
    eprintln!("from start to the first granted tap: {:?}", on.at.duration_since(start));
    let granted = site.in_journal(0, "granted tap", |event| event["type"] == "access.granted");
    assert_eq!(granted["grant"], "g-1");
    let sync = site.ask(&["sync"]);
    assert_eq!((&sync["credentials"], &sync["grants"]), (&json!(1), &json!(1)));
}

#[test]
fn what_happened_offline_arrives_in_order_once_each_with_its_chain_intact() {
    let mut site = with_anna();
    site.lose_broker();
    for round in 0..3 {
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        assert_decided(&site.decision("entrance-in", STRANGER), "access.denied", "unknown_credential");
        if round == 1 {
            site.daemon.kill();
            site.start_again();
        }
    }
    let last_offline = site.last_seq();
    site.broker.start();
    let arrived = || (site.central().events().len() as u64 >= last_offline).then_some(());
    eventually_within(RECONNECT_LIMIT, "arrival of every event", arrived);
    let at_central = site.central().events();
    assert_chain(&at_central);
    assert_eq!(site.journal()[..at_central.len()], at_central, "central has what the journal has");
    let taps = at_central.iter().filter(|e| e["reader"] == "entrance-in" && e["reason"].is_string());
    let reasons: Vec<&str> = taps.map(|e| e["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["standing", "unknown_credential"].repeat(3));
    let starts = at_central.iter().filter(|event| event["type"] == "controller.started").count();
    assert_eq!(starts, 2);
    assert_eq!(site.central().violations(), []);
    let verified = site.ask(&["journal", "verify"]);
    assert!(verified["events"].as_u64() >= Some(last_offline), "{verified:#}");
}

#[test]
fn a_central_that_does_not_acknowledge_gets_it_all_again_and_one_that_does_no_more() {
    let mut site = with_anna();
    let acknowledged = |site: &Site| {
        let status = site.ask(&["status"]);
        (status["journal"]["acknowledged"].as_u64().unwrap(), status["journal"]["recorded"].as_u64().unwrap())
    };
    eventually_asking("acknowledgement of all", || {
        let (acknowledged, recorded) = acknowledged(&site);
        (acknowledged == recorded).then_some(())
    });
    site.central().set_acking(false);
    let mark = site.central().mark();
    for _ in 0..3 {
        site.decision("entrance-in", ANNA);
    }
    let third = site.last_seq();
    site.at_central_where(mark, "access.granted", |_| true);
    let (stored, recorded) = acknowledged(&site);
    assert!(stored < recorded, "nobody acknowledged {recorded}, and yet it is at {stored}");
    let before = site.central().repeats();
    site.broker.stop();
    site.daemon.kill();
    site.broker.start();
    site.start_again();
    let again = || (site.central().repeats() > before).then_some(());
    eventually_within(RECONNECT_LIMIT, "repeat of what was not acknowledged", again);
    let all = || site.central().events().iter().any(|e| e["seq"] == third).then_some(());
    eventually_within(RECONNECT_LIMIT, "arrival of the last tap", all);

    site.central().set_acking(true);
    eventually_asking("acknowledgement of all", || {
        let (acknowledged, recorded) = acknowledged(&site);
        (acknowledged == recorded).then_some(())
    });
    let before = site.central().repeats();
    site.broker.stop();
    site.broker.start();
    let mark = site.central().mark();
    site.wait_until_ready();
    site.central().wait_connected(LIMIT).unwrap();
    site.decision("entrance-in", STRANGER);
    site.at_central(mark, "access.denied");
    assert_eq!(site.central().repeats(), before, "what was acknowledged came again");
    assert_chain(&site.central().events());
    assert_eq!(site.central().violations(), []);
}

/// Each message that is not understood is an event: the cheapest way to a long journal.
#[test]
fn one_message_of_at_most_500_events_is_under_way_at_a_time() {
    const GARBAGE: usize = 700;
    let mut site = Builder::new().without_central().prepared();
    let line = Line::open(&site.broker.url());
    site.daemon.start();
    line.wait_for(0, "events", |_| true);
    for _ in 0..GARBAGE {
        line.say_bytes("feed", "garbage", false);
    }
    let rejected = |site: &Site| {
        site.journal().iter().filter(|event| event["type"] == "sync.rejected").count() >= GARBAGE
    };
    eventually_asking("record of every message refused", || rejected(&site).then_some(()));
    let without = line.heard(0, "events").len();
    assert_eq!(without, 1, "nothing was acknowledged, and {without} messages came");

    site.daemon.kill();
    let mark = line.mark();
    site.start_again();
    let mut stored: Vec<Value> = Vec::new();
    let total = site.last_seq();
    while (stored.len() as u64) < total {
        let wanted = stored.len() as u64 + 1;
        let message =
            eventually_within(RECONNECT_LIMIT, &format!("message that begins with event {wanted}"), || {
                let messages = line.heard(mark, "events");
                messages.into_iter().find(|message| message["events"][0]["seq"] == wanted)
            });
        let events = message["events"].as_array().unwrap();
        assert!(events.len() <= 500, "{} events in one message", events.len());
        assert_eq!(message["controller"], CONTROLLER);
        stored.extend(events.iter().cloned());
        let ahead = line
            .heard(mark, "events")
            .iter()
            .any(|message| message["events"][0]["seq"].as_u64().unwrap() > stored.len() as u64);
        assert!(!ahead, "the next message came before this one was acknowledged");
        line.acknowledge(&json!("00000000-0000-0000-0000-000000000000"), total);
        line.acknowledge(&message["journal"], stored.len() as u64);
    }
    assert_chain(&stored);
}

/// However early the daemon dies: no strike moves that the journal doesn't know of.
#[test]
fn every_opening_stands_in_the_journal_even_if_the_daemon_dies_with_it() {
    let mut site = with_anna();
    for round in 1..=4 {
        assert!(site.board.wait_for_coil(0, false, LIMIT), "the strike never ends");
        let before = time::now();
        site.tap("entrance-in", ANNA);
        site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the door opens");
        site.daemon.kill();
        site.start_again();
        let granted = site.journal().iter().filter(|event| event["type"] == "access.granted").count();
        assert_eq!(granted, round, "an opening is not in the journal");
    }
    assert_chain(&site.journal());
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
}

#[test]
fn a_torn_last_line_of_the_journal_is_cut_and_the_chain_goes_on() {
    let mut site = with_anna();
    let event = site.decision("entrance-in", ANNA);
    let arrived = |site: &Site, seq: &Value| site.central().events().iter().any(|event| event["seq"] == *seq);
    eventually_asking("arrival of the tap", || arrived(&site, &event["seq"]).then_some(()));
    site.daemon.kill();
    let hash = event["hash"].as_str().unwrap().as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(hash.len()).any(|window| window == hash);
    let mut segments = site.bytes_on_disk().into_iter().filter(|(_, bytes)| holds(bytes));
    let (segment, mut bytes) = segments.next().expect("a journal file with the event");
    bytes.extend(br#"{"seq":99,"at":"2026-11-2"#);
    std::fs::write(&segment, bytes).unwrap();
    site.start_again();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    let journal = site.journal();
    assert_chain(&journal);
    let last = journal.last().unwrap()["seq"].clone();
    eventually_asking("arrival of what came after", || arrived(&site, &last).then_some(()));
    assert_chain(&site.central().events());
    assert_eq!(site.central().violations(), []);
}
