//! Central as this bench needs it: publishes what it is given, acknowledges events as on any day, and listens to its own
//! feed on a second connection, to know when the broker delivers.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use hardware_sim::watched::Watched;
use rumqttc::v5::{
    Client, Connection, Event, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Packet, Publish},
    },
};
use serde_json::{Value, json};

use super::{daemon::CONTROLLER, taps::now};

/// Parts of 500 records have about 150 KB.
const PACKET_BYTES_MAX: u32 = 4 << 20;
/// All parts of a snapshot may wait for the broker.
const REQUESTS: usize = 1024;

pub struct Central {
    client: Client,
    /// A `sync` came that wants a snapshot.
    asked: Arc<Watched<bool>>,
    /// The number of the change that was delivered last, and when.
    delivered: Arc<Watched<Option<(u64, Instant)>>>,
}

impl Central {
    pub fn connect(url: &str) -> Self {
        let (client, connection) = client(url, "central");
        let asked = Arc::new(Watched::new(false));
        let (own, told) = (client.clone(), Arc::clone(&asked));
        listen("central", &client, connection, &["sync", "events"], move |message| {
            hear(&own, &told, message)
        });
        let delivered = Arc::new(Watched::new(None));
        let (witness, connection) = client_of(url);
        let noted = Arc::clone(&delivered);
        listen("witness", &witness, connection, &["feed"], move |message| note(&noted, message));
        Central { client, asked, delivered }
    }

    pub fn publish(&self, below: &str, payload: String) {
        self.client.publish(topic(below), QoS::AtLeastOnce, false, payload).unwrap();
    }

    /// Waits until the daemon has asked for a snapshot.
    pub fn wait_asked(&self, within: Duration) {
        self.asked.wait(within, |asked| asked.then_some(())).unwrap();
    }

    /// When the broker delivered the change of that number.
    pub fn delivered(&self, number: u64, within: Duration) -> Instant {
        self.delivered
            .wait(within, |last| last.filter(|(delivered, _)| *delivered >= number).map(|(_, at)| at))
            .unwrap()
    }
}

fn client_of(url: &str) -> (Client, Connection) {
    client(url, "witness")
}

fn client(url: &str, id: &str) -> (Client, Connection) {
    let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap();
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(true).set_max_packet_size(Some(PACKET_BYTES_MAX));
    Client::new(options, REQUESTS)
}

fn topic(below: &str) -> String {
    format!("latch/v1/{CONTROLLER}/{below}")
}

/// Subscribes, waits until that stands, and hands every message to `hear` from then on.
fn listen(
    name: &str,
    client: &Client,
    mut connection: Connection,
    topics: &[&str],
    mut hear: impl FnMut(&Publish) + Send + 'static,
) {
    topics.iter().for_each(|below| client.subscribe(topic(below), QoS::AtLeastOnce).unwrap());
    let (stands, told) = mpsc::channel();
    let mut missing = topics.len();
    let run = move || {
        for event in connection.iter() {
            // The broker goes when the bench is over.
            let Ok(event) = event else { return };
            match event {
                Event::Incoming(Packet::Publish(message)) => hear(&message),
                Event::Incoming(Packet::SubAck(_)) => {
                    missing -= 1;
                    if missing == 0 {
                        stands.send(()).unwrap();
                    }
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    };
    thread::Builder::new().name(name.into()).spawn(run).unwrap();
    told.recv().unwrap();
}

fn hear(client: &Client, asked: &Watched<bool>, message: &Publish) {
    let body: Value = serde_json::from_slice(&message.payload).unwrap();
    if body["want"] == "snapshot" {
        asked.change(|asked| *asked = true);
    }
    if let Some(last) = body["events"].as_array().and_then(|events| events.last()) {
        let ack = json!({ "controller": CONTROLLER, "journal": body["journal"], "through": last["seq"] });
        client.publish(topic("ack"), QoS::AtLeastOnce, false, ack.to_string()).unwrap();
    }
}

/// A change is a short message; a snapshot's parts only cost the witness the reading.
fn note(delivered: &Watched<Option<(u64, Instant)>>, message: &Publish) {
    let at = now();
    if message.payload.len() < 1000 {
        let body: Value = serde_json::from_slice(&message.payload).unwrap();
        let number = body["last"].as_u64().unwrap();
        delivered.change(|last| *last = Some((number, at)));
    }
}
