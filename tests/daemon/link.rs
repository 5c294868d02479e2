//! The link as the broker makes it: what it says of us, what it takes, and who else has our name.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::site::chain::assert_chain;
use crate::site::line::Line;
use crate::site::process::Guarded;
use crate::site::records::{card, standing};
use crate::site::{Builder, CONTROLLER, RECONNECT_LIMIT, Site, eventually_asking, eventually_within, pause};

const ANNA: &str = "04A1B2C3D4E5F6";

fn port(site: &Site) -> String {
    site.broker.url().rsplit_once(':').unwrap().1.to_owned()
}

/// What the broker retains of the controller: topic below its own, and body.
fn retained(site: &Site) -> Vec<(String, Value)> {
    let line = Line::open(&site.broker.url());
    line.wait_for(0, "status", |_| true);
    line.all(0).into_iter().filter(|heard| heard.retained).map(|heard| (heard.topic, heard.body)).collect()
}

#[test]
fn who_comes_later_finds_status_and_every_door_after_each_kind_of_end() {
    let mut site = Builder::new().running();
    let online = |site: &Site| {
        let retained = retained(site);
        let doors = retained.iter().filter(|(topic, _)| topic.starts_with("door/")).count();
        assert_eq!(doors, crate::site::DOORS.len(), "{retained:?}");
        let status = retained.into_iter().find(|(topic, _)| topic == "status").expect("a retained status").1;
        status["online"] == true
    };
    let soon = |site: &Site, wanted: bool| {
        eventually_within(RECONNECT_LIMIT, &format!("online = {wanted}"), || {
            (online(site) == wanted).then_some(())
        });
    };
    soon(&site, true);
    site.daemon.kill();
    soon(&site, false);
    site.start_again();
    soon(&site, true);
    site.daemon.stop();
    soon(&site, false);
    site.start_again();
    soon(&site, true);
    // A broker that has forgotten everything.
    site.broker.stop();
    site.broker.start();
    eventually_asking("connection to the broker that is back", || {
        (site.ask(&["sync"])["connected"] == true).then_some(())
    });
    soon(&site, true);
    let status = retained(&site).into_iter().find(|(topic, _)| topic == "status").unwrap().1;
    assert_eq!(status["since"], site.ask(&["sync"])["since"], "it claims no connection but this one");
}

/// A will that comes late, or a stranger with our name: the broker must not go on saying that we are away.
#[test]
fn a_status_that_says_we_are_offline_is_answered() {
    let site = Builder::new().running();
    let line = Line::open(&site.broker.url());
    let mark = line.mark();
    line.say_bytes("status", json!({ "controller": CONTROLLER, "online": false }).to_string(), true);
    line.wait_for(mark, "status", |status| status["online"] == false);
    line.wait_for(mark, "status", |status| status["online"] == true);
}

/// Two clients with one id throw each other out at the broker. Each that comes back at once does it again.
#[test]
fn another_client_with_our_id_is_no_fight_at_full_speed() {
    let site = Builder::new().running();
    let came = |site: &Site| {
        let log = std::fs::read_to_string(site.folder.path().join("mosquitto.log")).unwrap();
        log.lines()
            .filter(|line| {
                line.contains("New client connected") && line.contains(&format!(" as {CONTROLLER} "))
            })
            .count()
    };
    let before = came(&site);
    let mut other = Command::new("mosquitto_sub");
    // It comes back as fast as it can, as a careless program would.
    other.args(["-h", "127.0.0.1", "-p", &port(&site), "-V", "5", "-i", CONTROLLER, "-t", "nothing"]);
    other.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let other = Guarded::spawn(&mut other).expect("mosquitto_sub starts");
    let detail = eventually_asking("word of the other one", || {
        let sync = site.ask(&["sync"]);
        (sync["connected"] == false).then(|| sync["detail"].as_str().unwrap().to_owned())
    });
    assert!(detail.contains("another client connects with this controller's id"), "{detail}");
    pause("a fight would go on", Duration::from_secs(5));
    let times = came(&site) - before;
    assert!(times <= 2, "{times} connections in five seconds");
    other.kill();
    // It comes back by itself, and loses nothing.
    site.central().put_many([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]).unwrap();
    eventually_within(Duration::from_secs(60), "return of the link", || {
        std::thread::park_timeout(Duration::from_millis(200));
        (site.ask(&["sync"])["connected"] == true).then_some(())
    });
    site.central().wait_synced(RECONNECT_LIMIT).unwrap();
}

/// What does not fit is not sent in one piece: the broker would end the connection over it, again and again.
#[test]
fn a_broker_that_takes_small_packets_only_gets_every_event() {
    let mut site = Builder::new().broker("max_packet_size 2000\n").running();
    site.lose_broker();
    for n in 0..12 {
        site.decision("entrance-in", &format!("04A1B2C3D4E5{n:02X}"));
    }
    let last = site.last_seq();
    site.broker.start();
    let all = || (site.central().events().len() as u64 >= last).then_some(());
    eventually_within(RECONNECT_LIMIT, "arrival of every event", all);
    assert_chain(&site.central().events());
    assert_eq!(site.central().violations(), []);
}

/// The broker held changes for us and lost its memory: what `sync` asks for brings them.
#[test]
fn what_a_broker_forgot_with_our_session_is_asked_for() {
    let mut site = Builder::new().without_central().prepared();
    let line = Line::open(&site.broker.url());
    site.daemon.start();
    line.wait_for(0, "sync", |sync| sync["want"] == "snapshot");
    line.say("feed", &crate::site::feed::part(5, 0, "s-empty", (1, 1), &[]));
    crate::site::feed::in_step(&line, 5, 0, &[]);
    site.daemon.stop();
    site.broker.stop();
    site.broker.start();
    line.wait_connected();
    let mark = line.mark();
    site.start_again();
    let first = line.wait_for(mark, "sync", |_| true);
    assert_eq!((&first["want"], &first["applied"]), (&json!("changes"), &json!(0)), "{first}");
    site.daemon.stop();
    let mark = line.mark();
    site.start_again();
    let first = line.wait_for(mark, "sync", |_| true);
    assert_eq!(first["want"], "nothing", "this time the broker has kept its session");
}
