//! The link as the broker makes it: what it says of us, what it takes, and who else has our name.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::site::chain::assert_chain;
use crate::site::line::Line;
use crate::site::process::Guarded;
use crate::site::records::{card, standing};
use crate::site::{
    Builder, CONTROLLER, DOORS, RECONNECT_LIMIT, Site, eventually, eventually_asking, eventually_within,
    pause,
};

const ANNA: &str = "04A1B2C3D4E5F6";

fn port(site: &Site) -> String {
    site.broker.url().rsplit_once(':').unwrap().1.to_owned()
}

/// What the broker retains of the controller: topic below its own, and body.
fn retained(site: &Site) -> Vec<(String, Value)> {
    let line = Line::open(&site.broker.url());
    let all = || {
        let retained: Vec<_> = line.all(0).into_iter().filter(|heard| heard.retained).collect();
        let doors = retained.iter().filter(|heard| heard.topic.starts_with("door/")).count();
        let is_whole = doors == DOORS.len() && retained.iter().any(|heard| heard.topic == "status");
        is_whole.then_some(retained)
    };
    eventually("status and every door", all).into_iter().map(|heard| (heard.topic, heard.body)).collect()
}

#[test]
fn who_comes_later_finds_status_and_every_door_after_each_kind_of_end() {
    let mut site = Builder::new().running();
    let online = |site: &Site| {
        retained(site).into_iter().find(|(topic, _)| topic == "status").unwrap().1["online"] == true
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

/// Two clients with one id throw each other out at the broker, and each that comes back at once does it again.
/// mosquitto 2.0 tells neither why.
#[test]
fn another_client_with_our_id_is_no_fight_at_full_speed() {
    let site = Builder::new().running();
    let entered = format!(" as {CONTROLLER} ");
    let came = |site: &Site| {
        let log = site.broker.log();
        let new = log.lines().filter(|line| line.contains("New client connected"));
        new.filter(|line| line.contains(&entered)).count()
    };
    let before = came(&site);
    let mut other = Command::new("mosquitto_sub");
    // It comes back by itself after a second, as a careless program would.
    other.args(["-h", "127.0.0.1", "-p", &port(&site), "-V", "5", "-i", CONTROLLER, "-t", "nothing"]);
    other.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let other = Guarded::spawn(&mut other).expect("mosquitto_sub starts");
    eventually_asking("word of the other one", || {
        let detail = site.ask(&["sync"])["detail"].as_str()?.to_owned();
        detail.contains("is there another client with this controller's id?").then_some(())
    });
    pause("a fight would go on", Duration::from_secs(5));
    let times = came(&site) - before;
    assert!(times <= 16, "{times} connections of two clients in some ten seconds");
    other.kill();
    // It comes back by itself, and loses nothing.
    site.central().put_many([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]).unwrap();
    eventually_asking("return of the link", || (site.ask(&["sync"])["connected"] == true).then_some(()));
    site.central().wait_synced(RECONNECT_LIMIT).unwrap();
}

/// The last answer of a broker that then closes the connection.
const HANG_UP: &[u8] = &[];

/// A broker by hand: on every connection it answers what it is asked with these, one after the other, and hangs up
/// where that is one of them. How often it was come to is counted.
fn broker(says: &'static [&'static [u8]]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    let serve = move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::AcqRel);
            let mut asked = [0; 4096];
            for answer in says.iter().filter(|answer| **answer != HANG_UP) {
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(answer);
            }
            if says.last() == Some(&HANG_UP) {
                let _ = stream.shutdown(Shutdown::Write);
            }
            kept.push(stream);
        }
    };
    std::thread::Builder::new().name("broker by hand".into()).spawn(serve).unwrap();
    (port, came)
}

/// A site whose daemon goes to that broker.
fn going_to(port: u16) -> Site {
    let mut site = Builder::bare().without_central().nothing_up();
    let path = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&site.broker.url(), &format!("mqtt://127.0.0.1:{port}"))).unwrap();
    site.daemon.start();
    site
}

#[track_caller]
fn says(site: &Site, word: &str) {
    eventually_asking(word, || site.ask(&["sync"])["detail"].as_str()?.contains(word).then_some(()));
}

/// DISCONNECT with 0x8E, session taken over, with properties and, as most brokers write it, without.
#[test]
fn a_broker_that_says_our_session_was_taken_over_is_left_alone_for_a_while() {
    const LONG: &[&[u8]] = &[&[0x20, 3, 0, 0, 0], &[0xE0, 2, 0x8E, 0]];
    const SHORT: &[&[u8]] = &[&[0x20, 3, 0, 0, 0], &[0xE0, 1, 0x8E], HANG_UP];
    for answers in [LONG, SHORT] {
        let (port, came) = broker(answers);
        let site = going_to(port);
        says(&site, "another client connects with this controller's id and takes its connection over");
        pause("it has its truce", Duration::from_secs(5));
        assert_eq!(came.load(Ordering::Acquire), 1);
    }
}

#[test]
fn what_a_broker_says_when_it_closes_is_said() {
    const SHUTTING_DOWN: &[&[u8]] = &[&[0x20, 3, 0, 0, 0], &[0xE0, 1, 0x8B], HANG_UP];
    let (port, _) = broker(SHUTTING_DOWN);
    says(&going_to(port), "the broker closed the connection: it is shutting down (reason 0x8b)");
}

#[test]
fn a_broker_that_accepts_and_says_nothing_is_given_up_and_tried_again() {
    let (port, came) = broker(&[]);
    let site = going_to(port);
    says(&site, "the broker did not answer within 10 s");
    eventually("another try", || (came.load(Ordering::Acquire) > 1).then_some(()));
}

#[test]
fn a_broker_without_qos_1_or_without_a_place_for_us_is_said_so() {
    // CONNACK with "maximum QoS" 0; CONNACK with 0x87, not authorised.
    const QOS_0_ONLY: &[&[u8]] = &[&[0x20, 5, 0, 0, 2, 0x24, 0]];
    const NOT_AUTHORISED: &[&[u8]] = &[&[0x20, 3, 0, 0x87, 0]];
    for (answers, word) in [(QOS_0_ONLY, "does not do QoS 1"), (NOT_AUTHORISED, "NotAuthorized")] {
        let (port, _) = broker(answers);
        says(&going_to(port), word);
    }
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
