//! A central that does nothing by itself: it hears everything a controller says and sends what a test tells it, in
//! the order and as wrong as the test wants.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hardware_sim::watched::Watched;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::witness::said_by_a_test;
use super::{CONTROLLER, RECONNECT_LIMIT};

/// Packets of the size a snapshot's part may have.
const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// How long before connecting again.
const RETRY: Duration = Duration::from_millis(50);

/// A message of the controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Below `latch/v1/{controller}/`.
    pub topic: String,
    pub body: Value,
    /// The broker kept it from before.
    pub retained: bool,
}

#[derive(Debug, Default)]
struct State {
    heard: Vec<Heard>,
    connected: bool,
    outbox: VecDeque<(String, Vec<u8>, bool)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Watched<State>,
    outgoing: Notify,
    ending: AtomicBool,
}

/// One connection to the broker, kept up until dropped.
#[derive(Debug)]
pub struct Line {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Connects, and waits until its subscription stands.
    #[track_caller]
    pub fn open(url: &str) -> Line {
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a URL with a port");
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let kept = Arc::clone(&shared);
        let run = move || runtime.block_on(keep_up(port, &kept));
        let thread = std::thread::Builder::new().name("line".into()).spawn(run).expect("a thread");
        let line = Line { shared, thread: Some(thread) };
        line.wait_connected();
        line
    }

    #[track_caller]
    pub fn wait_connected(&self) {
        let stands = self.shared.state.wait(RECONNECT_LIMIT, |state| state.connected.then_some(()));
        stands.expect("no connection to the broker");
    }

    /// Publishes under the controller's topics.
    pub fn say(&self, topic: &str, body: &Value) {
        self.say_bytes(topic, body.to_string(), false);
    }

    pub fn say_bytes(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        let payload = payload.into();
        self.shared.state.change(|state| state.outbox.push_back((topic.to_owned(), payload, retain)));
        self.shared.outgoing.notify_one();
    }

    /// Acknowledges events.
    pub fn acknowledge(&self, journal: &Value, through: u64) {
        self.say("ack", &json!({ "controller": CONTROLLER, "journal": journal, "through": through }));
    }

    /// How much has been heard: to wait for what comes after.
    pub fn mark(&self) -> usize {
        self.shared.state.look(|state| state.heard.len())
    }

    /// Everything heard after a mark.
    pub fn all(&self, mark: usize) -> Vec<Heard> {
        self.shared.state.look(|state| state.heard.iter().skip(mark).cloned().collect())
    }

    /// Everything heard on a topic after a mark.
    pub fn heard(&self, mark: usize, topic: &str) -> Vec<Value> {
        self.shared.state.look(|state| {
            let news = state.heard.iter().skip(mark).filter(|heard| heard.topic == topic);
            news.map(|heard| heard.body.clone()).collect()
        })
    }

    /// Waits for a message on a topic after a mark.
    #[track_caller]
    pub fn wait_for(&self, mark: usize, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_heard(mark, |heard| heard.topic == topic && wanted(&heard.body)).body
    }

    #[track_caller]
    pub fn wait_for_heard(&self, mark: usize, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let find = |state: &State| state.heard.iter().skip(mark).find(|heard| wanted(heard)).cloned();
        self.shared.state.wait(RECONNECT_LIMIT, find).unwrap_or_else(|| {
            let heard = self.shared.state.look(|state| state.heard.split_at(mark).1.to_vec());
            panic!("the controller never said it; since the mark it said {heard:#?}")
        })
    }

    /// Every event the controller has sent after a mark, repeats and all, in the order they came.
    pub fn events(&self, mark: usize) -> Vec<Value> {
        let messages = self.heard(mark, "events");
        messages.iter().flat_map(|message| message["events"].as_array().expect("a list").clone()).collect()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.outgoing.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn keep_up(port: u16, shared: &Shared) {
    let mut number = 0;
    while !shared.ending.load(Ordering::SeqCst) {
        number += 1;
        connect(port, number, shared).await;
        shared.state.change(|state| state.connected = false);
        tokio::time::sleep(RETRY).await;
    }
}

/// One connection, until it fails or the line is dropped.
async fn connect(port: u16, number: u32, shared: &Shared) {
    let id = format!("line-{}-{port}-{number}", std::process::id());
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(true).set_max_packet_size(Some(PACKET_BYTES_MAX));
    let (client, mut event_loop) = AsyncClient::new(options, 1000);
    let prefix = format!("latch/v1/{CONTROLLER}/");
    loop {
        let event = tokio::select! {
            event = event_loop.poll() => event,
            () = shared.outgoing.notified() => {
                if shared.ending.load(Ordering::SeqCst) {
                    return;
                }
                send(&client, &prefix, shared);
                continue;
            }
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let topics = ["sync", "events", "status", "door/+", "result"];
                let filter = |topic: &str| Filter::new(format!("{prefix}{topic}"), QoS::AtLeastOnce);
                client.try_subscribe_many(topics.map(filter)).expect("room for a subscription");
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                shared.state.change(|state| state.connected = true);
                send(&client, &prefix, shared);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let Some(topic) = topic.strip_prefix(&prefix) else { continue };
                // What is not JSON is kept as a text, and no test finds its field in it.
                let body = serde_json::from_slice(&publish.payload)
                    .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&publish.payload)));
                let heard = Heard { topic: topic.to_owned(), body, retained: publish.retain };
                shared.state.change(|state| state.heard.push(heard));
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn send(client: &AsyncClient, prefix: &str, shared: &Shared) {
    shared.state.change(|state| {
        if !state.connected {
            return;
        }
        while let Some((topic, payload, retain)) = state.outbox.pop_front() {
            let (topic, mark) = (format!("{prefix}{topic}"), said_by_a_test());
            let sent = client.try_publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, mark);
            sent.expect("room for a message");
        }
    });
}
