//! Central's tests over a real broker, the embedded one and mosquitto, against a controller of a hundred lines.

use super::digest::{Digest, FIRST_PREV, event_hash};
use super::{Central, Violation};
use crate::broker::Broker;
use crate::jws::{self, SecretKey, Signer};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A mosquitto of our own on a free port; killed when dropped.
pub(super) struct Mosquitto {
    child: Child,
    pub(super) url: String,
    conf: PathBuf,
}

impl Mosquitto {
    fn start() -> Mosquitto {
        Mosquitto::with("")
    }

    /// With more lines of configuration for its listener.
    pub(super) fn with(more: &str) -> Mosquitto {
        let port = TcpListener::bind(any_port()).unwrap().local_addr().unwrap().port();
        let conf =
            std::env::temp_dir().join(format!("latch-sim-mosquitto-{}-{port}.conf", std::process::id()));
        std::fs::write(
            &conf,
            // As root it would otherwise become another user, who can't read a test's files.
            format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n{more}"),
        )
        .unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("mosquitto is needed for this test: apt-get install mosquitto");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        crate::wait::until(LIMIT, || TcpStream::connect(address).ok()).expect("mosquitto does not answer");
        Mosquitto { child, url: format!("mqtt://{address}"), conf }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.conf);
    }
}

#[derive(Default)]
struct Held {
    epoch: u64,
    applied: u64,
    records: BTreeMap<String, Value>,
    parts: Vec<Value>,
    acked: u64,
    commands: Vec<Value>,
    /// Takes only what this key has signed.
    trusts: Option<String>,
    refused: usize,
}

impl Held {
    fn believed(&mut self, payload: &[u8]) -> Option<Value> {
        let Some(key) = &self.trusts else { return Some(serde_json::from_slice(payload).unwrap()) };
        let token = std::str::from_utf8(payload).unwrap();
        let believed = jws::verified(token, key).map(|payload| serde_json::from_slice(&payload).unwrap());
        self.refused += usize::from(believed.is_none());
        believed
    }

    fn apply(&mut self, message: &Value) {
        if let Some(records) = message.get("records") {
            self.parts.extend(records.as_array().unwrap().iter().cloned());
            if message["snapshot"]["part"] == message["snapshot"]["parts"] {
                let named = |record: Value| (record["id"].as_str().unwrap().to_owned(), record);
                self.records = self.parts.drain(..).map(named).collect();
                self.epoch = message["epoch"].as_u64().unwrap();
                self.applied = message["last"].as_u64().unwrap();
            }
            return;
        }
        if message["epoch"] != self.epoch || message["first"].as_u64().unwrap() != self.applied + 1 {
            return;
        }
        for change in message["changes"].as_array().unwrap() {
            match change.get("put") {
                Some(record) => {
                    self.records.insert(record["id"].as_str().unwrap().to_owned(), record.clone());
                }
                None => drop(self.records.remove(change["delete"]["id"].as_str().unwrap())),
            }
        }
        self.applied = message["last"].as_u64().unwrap();
    }

    fn sync(&self) -> String {
        let mut digest = Digest::default();
        self.records.values().for_each(|record| digest.toggle(record));
        let want = if self.epoch == 0 { "snapshot" } else { "nothing" };
        json!({ "controller": "demo-1", "epoch": self.epoch, "applied": self.applied, "want": want, "rejected": 0,
                "records": { "credentials": 0, "grants": self.records.len() }, "digest": digest.hex() })
        .to_string()
    }
}

/// Just enough of a controller: it applies, says so, and says whatever events it is told to.
struct FakeController {
    client: Client,
    held: Arc<Mutex<Held>>,
}

impl FakeController {
    /// One that believes this key only.
    fn trusting(address: &str, public_key: &str) -> FakeController {
        let controller = FakeController::start(address);
        controller.held.lock().unwrap().trusts = Some(public_key.to_owned());
        controller
    }

    fn start(address: &str) -> FakeController {
        let super::address::Address { host, port, .. } = super::address::Address::of(address).unwrap();
        let mut options = MqttOptions::new("demo-1", host, port);
        options.set_max_packet_size(Some(4 * 1024 * 1024));
        let (client, connection) = Client::new(options, 1_000);
        let held = Arc::new(Mutex::new(Held::default()));
        let (for_thread, speaks) = (Arc::clone(&held), client.clone());
        std::thread::Builder::new().spawn(move || listen(connection, &speaks, &for_thread)).unwrap();
        FakeController { client, held }
    }

    fn say(&self, topic: &str, body: &Value) {
        self.client
            .publish(format!("latch/v1/demo-1/{topic}"), QoS::AtLeastOnce, false, body.to_string())
            .unwrap();
    }

    fn held<T>(&self, look: impl Fn(&Held) -> T) -> T {
        look(&self.held.lock().unwrap())
    }
}

fn listen(mut connection: Connection, client: &Client, held: &Mutex<Held>) {
    let sync = |held: &Held| {
        client.try_publish("latch/v1/demo-1/sync", QoS::AtLeastOnce, false, held.sync()).unwrap();
    };
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let filter = |topic: &str| Filter::new(format!("latch/v1/demo-1/{topic}"), QoS::AtLeastOnce);
                client.try_subscribe_many(["feed", "ack", "command"].map(filter)).unwrap();
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => sync(&held.lock().unwrap()),
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let mut held = held.lock().unwrap();
                let Some(body) = held.believed(&publish.payload) else { continue };
                match &publish.topic[b"latch/v1/demo-1/".len()..] {
                    b"feed" => {
                        held.apply(&body);
                        sync(&held);
                    }
                    b"ack" => held.acked = body["through"].as_u64().unwrap(),
                    _ => held.commands.push(body),
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn grants(from: usize, to: usize) -> impl Iterator<Item = Value> {
    (from..to)
        .map(|n| json!({ "type": "grant", "id": format!("g-{n}"), "kind": "standing", "holder": "m-1" }))
}

fn events(count: u64) -> Value {
    let mut prev = FIRST_PREV.to_owned();
    let event = |seq| {
        let mut event = json!({ "seq": seq, "type": "door.opened", "door": "entrance", "prev": prev });
        prev = event_hash(&event);
        event["hash"] = json!(prev);
        event
    };
    json!({ "controller": "demo-1", "journal": "j-1", "events": (1..=count).map(event).collect::<Vec<_>>() })
}

/// The whole conversation, over any broker.
fn a_controller_is_filled_followed_and_heard(url: &str) {
    let central = Central::start(url, "demo-1").unwrap();
    central.wait_connected(LIMIT).unwrap();
    central.put_many(grants(0, 1_200)).unwrap();
    let controller = FakeController::start(url);
    let seen = central.wait_synced(LIMIT).unwrap();
    assert_eq!((seen.applied, seen.records.grants), (1_200, 1_200));
    central.put_many(grants(1_200, 1_300)).unwrap();
    central.delete("grant", "g-0");
    assert_eq!(central.wait_synced(LIMIT).unwrap().applied, 1_301);
    central.new_epoch();
    assert_eq!(central.wait_synced(LIMIT).unwrap().applied, 1_299);
    let acked = |limit, through| {
        crate::wait::until(limit, || controller.held(|held| held.acked == through).then_some(()))
    };
    controller.say("events", &events(400));
    let last = central.wait_for_event(|event| event["seq"] == 400, LIMIT).unwrap();
    assert_eq!(last["type"], "door.opened");
    acked(LIMIT, 400).expect("the events are acknowledged");
    controller.say("events", &events(402));
    acked(LIMIT, 402).expect("the new events are acknowledged");
    assert_eq!((central.events().len(), central.repeats()), (402, 400));
    assert!(central.publish_raw("command", "{}"));
    crate::wait::until(LIMIT, || controller.held(|held| held.commands.len() == 1).then_some(())).unwrap();
    assert_eq!(central.violations(), []);
}

#[test]
fn a_controller_is_filled_followed_and_heard_over_the_embedded_broker() {
    let broker = Broker::start(any_port()).unwrap();
    a_controller_is_filled_followed_and_heard(&broker.url());
}

#[test]
fn a_controller_is_filled_followed_and_heard_over_mosquitto() {
    let mosquitto = Mosquitto::start();
    a_controller_is_filled_followed_and_heard(&mosquitto.url);
}

#[test]
fn a_broker_that_was_stopped_is_gone_and_can_be_started_again_in_the_same_place() {
    // On an address of its own: another test's listener may take the port as soon as it is free.
    let broker = Broker::start("127.0.0.8:0".parse().unwrap()).unwrap();
    let (address, url) = (broker.address(), broker.url());
    let central = Central::start(&url, "demo-1").unwrap();
    central.wait_connected(LIMIT).unwrap();
    broker.stop();
    assert!(TcpStream::connect(address).is_err());
    crate::wait::until(LIMIT, || (!central.is_connected()).then_some(())).expect("central notices");
    central.put_many(grants(0, 3)).unwrap();
    let _again = Broker::start(address).unwrap();
    central.wait_connected(LIMIT).unwrap();
    let _controller = FakeController::start(&url);
    assert_eq!(central.wait_synced(LIMIT).unwrap().applied, 3);
}

#[test]
fn a_broker_says_when_its_port_is_taken() {
    let taken = TcpListener::bind(any_port()).unwrap();
    let error = Broker::start(taken.local_addr().unwrap()).unwrap_err();
    assert!(error.to_string().contains("can't listen on 127.0.0.1:"), "{error}");
}

#[test]
fn a_central_that_starts_after_the_controller_offers_its_list_by_itself() {
    let mosquitto = Mosquitto::start();
    let controller = FakeController::start(&mosquitto.url);
    let status = json!({ "controller": "demo-1", "online": true, "since": "x", "epoch": 3, "applied": 5 });
    let topic = "latch/v1/demo-1/status";
    controller.client.publish(topic, QoS::AtLeastOnce, true, status.to_string()).unwrap();
    controller.say("events", &events(1));
    let central = Central::start(&mosquitto.url, "demo-1").unwrap();
    central.put_many(grants(0, 2)).unwrap();
    assert_eq!(central.wait_synced(LIMIT).unwrap().records.grants, 2);
}

#[test]
fn a_controller_that_lies_about_its_records_is_found_out() {
    let broker = Broker::start(any_port()).unwrap();
    let central = Central::start(&broker.url(), "demo-1").unwrap();
    central.wait_connected(LIMIT).unwrap();
    let controller = FakeController::start(&broker.url());
    central.put_many(grants(0, 2)).unwrap();
    central.wait_synced(LIMIT).unwrap();
    controller.held.lock().unwrap().records.remove("g-1");
    controller.say("sync", &serde_json::from_str(&controller.held(Held::sync)).unwrap());
    let found = || central.violations().iter().any(|v| matches!(v, Violation::Differs { .. })).then_some(());
    crate::wait::until(LIMIT, found).expect("the difference is noticed");
}

#[test]
fn a_signing_central_is_believed_and_its_key_can_be_changed_while_it_runs() {
    let broker = Broker::start(any_port()).unwrap();
    let (old, new) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let controller = FakeController::trusting(&broker.url(), &old.public_key());
    let central =
        Central::builder(&broker.url(), "demo-1").signer(Signer::new("old", old)).by("anna@central").start();
    let central = central.unwrap();
    central.wait_connected(LIMIT).unwrap();
    central.put_many(grants(0, 2)).unwrap();
    central.snapshot();
    assert_eq!(central.wait_synced(LIMIT).unwrap().applied, 2);
    controller.say("events", &events(1));
    let acked = || controller.held(|held| held.acked == 1).then_some(());
    crate::wait::until(LIMIT, acked).expect("the ack is signed too");
    let id = central.command("unlock", "entrance", Some(60)).unwrap();
    let ordered =
        crate::wait::until(LIMIT, || controller.held(|held| held.commands.first().cloned())).unwrap();
    assert_eq!(
        (&ordered["id"], &ordered["by"], &ordered["for_s"]),
        (&json!(id), &json!("anna@central"), &json!(60))
    );
    controller.say("result", &json!({ "controller": "demo-1", "id": id, "outcome": "done" }));
    assert_eq!(central.wait_for_result(&id, LIMIT).unwrap()["outcome"], "done");
    assert_eq!(controller.held(|held| held.refused), 0);
    central.set_signer(Some(Signer::new("new", new.clone())));
    central.put_many(grants(2, 3)).unwrap();
    crate::wait::until(LIMIT, || controller.held(|held| held.refused == 1).then_some(())).unwrap();
    controller.held.lock().unwrap().trusts = Some(new.public_key());
    central.snapshot();
    assert_eq!(central.wait_synced(LIMIT).unwrap().applied, 3);
}

#[test]
fn a_central_that_is_started_again_goes_on_with_its_list_and_its_events() {
    let mosquitto = Mosquitto::start();
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let builder = Central::builder(&mosquitto.url, "demo-1").feed_file(folder.path().join("feed"));
        let central = builder.events_file(folder.path().join("events")).start().unwrap();
        central.wait_connected(LIMIT).unwrap();
        central
    };
    let central = start();
    let controller = FakeController::start(&mosquitto.url);
    central.put_many(grants(0, 3)).unwrap();
    central.wait_synced(LIMIT).unwrap();
    controller.say("events", &events(2));
    central.wait_for_event(|event| event["seq"] == 2, LIMIT).unwrap();
    let before = central.position();
    drop(central);
    let central = start();
    assert_eq!(central.position(), before);
    central.put_many(grants(3, 4)).unwrap();
    let seen = central.wait_synced(LIMIT).unwrap();
    assert_eq!((seen.epoch, seen.applied), (before.epoch, 4));
    controller.say("events", &events(3));
    central.wait_for_event(|event| event["seq"] == 3, LIMIT).unwrap();
    assert_eq!((central.events().len(), central.repeats()), (3, 2));
    assert_eq!(central.violations(), []);
}

#[test]
fn a_command_that_can_not_be_sent_now_is_not_kept_for_later() {
    let central = Central::start("mqtt://127.0.0.1:1", "demo-1").unwrap();
    let refused = central.command("access", "entrance", None).unwrap_err();
    assert!(refused.to_string().contains("not connected"), "{refused}");
}
