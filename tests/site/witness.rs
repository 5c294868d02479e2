//! A witness at the broker: it hears every message on `latch/v1/#` from before the daemon starts, and holds each
//! against the contract as a document (`crate::contract`). A site that ends well asks it whether anything was wrong.
//!
//! What a test says itself, often wrong on purpose, carries a mark (`said_by_a_test`) and is not held against anybody:
//! say such messages with [`super::line::Line`], or
//! give the mark along. A wrong record goes through central with `Site::put_wrong`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hardware_sim::watched::Watched;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::RECONNECT_LIMIT;
use crate::contract::{Said, channel};

/// The user property of MQTT 5 that marks what a test says itself. The daemon looks at none.
const MARK: (&str, &str) = ("latchd-test", "said by the test");
/// Packets of the size a snapshot's part may have.
const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// How long before connecting again: shorter than any back-off of the daemon, so that its first words are heard.
const RETRY: Duration = Duration::from_millis(20);
/// How long the broker has to hand over what it took before the end. One that a test has stopped does not answer.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Faults kept, and how much of a message each shows.
const FAULTS_MAX: usize = 10;
const SHOWN_CHARS_MAX: usize = 1500;

/// Marks a message as a test's own.
pub fn said_by_a_test() -> PublishProperties {
    let (name, value) = MARK;
    PublishProperties { user_properties: vec![(name.to_owned(), value.to_owned())], ..Default::default() }
}

/// The same for `mosquitto_pub`.
pub const MARK_OF_MOSQUITTO_PUB: [&str; 5] = ["-D", "publish", "user-property", MARK.0, MARK.1];

#[derive(Debug, Default)]
struct State {
    connected: bool,
    /// Messages of the controller, on this connection and all in all.
    heard_here: u64,
    heard: u64,
    /// How often it heard itself: everything the broker took before has come, too.
    echoes: u64,
    faults: Vec<String>,
    /// Records that a test put wrong on purpose.
    waived: Vec<Value>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Watched<State>,
    /// It is asked to speak to itself, or to end.
    asked: Notify,
    ending: AtomicBool,
}

/// One connection to the broker, kept up until dropped.
#[derive(Debug)]
pub struct Witness {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Begins to listen. It does not wait for the broker.
    pub fn start(url: &str) -> Witness {
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a URL with a port");
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let kept = Arc::clone(&shared);
        let run = move || runtime.block_on(keep_up(port, &kept));
        let thread = std::thread::Builder::new().name("witness".into()).spawn(run).expect("a thread");
        Witness { shared, thread: Some(thread) }
    }

    /// Waits until its subscription stands.
    #[track_caller]
    pub fn wait_connected(&self) {
        let stands = self.shared.state.wait(RECONNECT_LIMIT, |state| state.connected.then_some(()));
        stands.expect("the witness has no connection to the broker");
    }

    /// Waits until it hears the controller: where the daemon is connected, there is a `status` at least.
    #[track_caller]
    pub fn wait_until_it_hears(&self) {
        let hears = self.shared.state.wait(RECONNECT_LIMIT, |state| (state.heard_here > 0).then_some(()));
        hears.expect("the daemon is connected, and the witness hears nothing of it");
    }

    /// Lets a record pass that a test puts wrong on purpose.
    pub fn waive(&self, record: Value) {
        self.shared.state.change(|state| state.waived.push(record));
    }

    /// How many messages of the controller it has heard.
    pub fn heard(&self) -> u64 {
        self.shared.state.look(|state| state.heard)
    }

    /// Everything that was against the contract and not taken yet, once all that the broker has now has come.
    pub fn take_faults(&self) -> Vec<String> {
        let before = self.shared.state.look(|state| state.connected.then_some(state.echoes));
        if let Some(before) = before {
            self.shared.asked.notify_one();
            let last_words = |state: &State| (state.echoes > before || !state.connected).then_some(());
            let _ = self.shared.state.wait(LAST_WORDS, last_words);
        }
        self.shared.state.change(|state| std::mem::take(&mut state.faults))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.asked.notify_one();
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
        shared.state.change(|state| {
            state.connected = false;
            state.heard_here = 0;
        });
        tokio::time::sleep(RETRY).await;
    }
}

/// One connection, until it fails or the witness is dropped.
async fn connect(port: u16, number: u32, shared: &Shared) {
    let id = format!("witness-{}-{port}-{number}", std::process::id());
    let own = format!("witness/{id}");
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(true).set_max_packet_size(Some(PACKET_BYTES_MAX));
    let (client, mut event_loop) = AsyncClient::new(options, 100);
    loop {
        let event = tokio::select! {
            event = event_loop.poll() => event,
            () = shared.asked.notified() => {
                if shared.ending.load(Ordering::SeqCst) {
                    return;
                }
                client.try_publish(&own, QoS::ExactlyOnce, false, "").expect("room for a message");
                continue;
            }
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                // At the senders' own quality, and with their own word on whether to retain.
                let filter =
                    |topic: &str| Filter { preserve_retain: true, ..Filter::new(topic, QoS::ExactlyOnce) };
                let all = [filter("latch/v1/#"), filter(&own)];
                client.try_subscribe_many(all).expect("room for a subscription");
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => shared.state.change(|state| state.connected = true),
            Ok(Event::Incoming(Packet::Publish(publish))) if publish.topic == own => {
                shared.state.change(|state| state.echoes += 1);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => take(&publish, shared),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn take(publish: &Publish, shared: &Shared) {
    let marks = publish.properties.iter().flat_map(|properties| &properties.user_properties);
    if marks.into_iter().any(|(name, value)| (name.as_str(), value.as_str()) == MARK) {
        return;
    }
    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
    let waived = shared.state.look(|state| state.waived.clone());
    let message =
        Message { topic: &topic, payload: &publish.payload, qos: publish.qos as u64, retain: publish.retain };
    let judged = message.judge(&waived);
    shared.state.change(|state| {
        if judged.said != Some(Said::ByCentral) {
            state.heard_here += 1;
            state.heard += 1;
        }
        if !judged.faults.is_empty() && state.faults.len() < FAULTS_MAX {
            state.faults.push(format!("{topic}: {}\n  {}", judged.faults.join("\n  "), judged.shown));
        }
    });
}

/// A message as it came.
struct Message<'a> {
    topic: &'a str,
    payload: &'a [u8],
    qos: u64,
    retain: bool,
}

#[derive(Debug, Default)]
struct Judged {
    said: Option<Said>,
    faults: Vec<String>,
    /// As much of the message as a person needs, without UIDs.
    shown: String,
}

impl Message<'_> {
    fn judge(&self, waived: &[Value]) -> Judged {
        let fault = |fault: &str| Judged { faults: vec![fault.to_owned()], ..Judged::default() };
        let below = self.topic.strip_prefix("latch/v1/").and_then(|topic| topic.split_once('/'));
        let Some((controller, below)) = below else { return fault("no topic of a controller's") };
        let Some(channel) = channel(below) else { return fault("the document has no such channel") };
        // A door that is no more leaves nothing with the broker.
        if below.starts_with("door/") && self.payload.is_empty() && (self.qos, self.retain) == (1, true) {
            return Judged { said: Some(channel.said), ..Judged::default() };
        }
        let body = match read(self.payload, channel.said) {
            Ok(body) => body,
            Err(why) => return Judged { said: Some(channel.said), ..fault(&why) },
        };
        let body = without(body, waived);
        let mut faults = channel.faults(&body);
        if body["controller"] != controller {
            faults.push("/controller: not the one of its topic".to_owned());
        }
        if let Some(door) = below.strip_prefix("door/").filter(|door| body["door"] != *door) {
            faults.push(format!("/door: not {door}, as its topic says"));
        }
        if (self.qos, self.retain) != (channel.qos, channel.retained) {
            faults.push(format!("sent with QoS {}, retain {}", self.qos, self.retain));
        }
        let shown = if faults.is_empty() { String::new() } else { shown(&body, &faults) };
        Judged { said: Some(channel.said), faults, shown }
    }
}

/// A body: bare JSON or, from central, the payload of a JWS.
fn read(payload: &[u8], said: Said) -> Result<Value, String> {
    let no_json =
        |error: serde_json::Error| format!("not JSON: line {} column {}", error.line(), error.column());
    let parts: Vec<&[u8]> = payload.split(|byte| *byte == b'.').collect();
    match parts.as_slice() {
        [_, body, _] if said == Said::ByCentral && payload.first() != Some(&b'{') => {
            let body = BASE64URL_NOPAD
                .decode(body)
                .map_err(|error| format!("a JWS whose payload is no base64url: {error}"))?;
            serde_json::from_slice(&body).map_err(no_json)
        }
        _ => serde_json::from_slice(payload).map_err(no_json),
    }
}

/// The body with other things where waived records were: the rest of it is held to the contract all the same.
fn without(mut body: Value, waived: &[Value]) -> Value {
    if waived.is_empty() {
        return body;
    }
    if let Some(changes) = body.get_mut("changes").and_then(Value::as_array_mut) {
        let is_waived = |change: &Value| change.get("put").is_some_and(|put| waived.contains(put));
        for change in changes.iter_mut().filter(|change| is_waived(change)) {
            *change = json!({ "delete": { "type": "grant", "id": "waived" } });
        }
    }
    if let Some(records) = body.get_mut("records").and_then(Value::as_array_mut) {
        records.retain(|record| !waived.contains(record));
    }
    body
}

/// The part of the message that the first fault is about, UIDs left out.
fn shown(body: &Value, faults: &[String]) -> String {
    let place = faults.first().and_then(|fault| fault.split(':').next()).unwrap_or_default();
    // `/events/17/reason` is about event 17: of five hundred, that one is worth a look.
    let entry: String = place.split('/').take(3).collect::<Vec<_>>().join("/");
    let part = body.pointer(&entry).filter(|part| part.is_object()).unwrap_or(body);
    let mut part = part.clone();
    leave_out_uids(&mut part);
    part.to_string().chars().take(SHOWN_CHARS_MAX).collect()
}

fn leave_out_uids(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| {
            if name == "uid" { *value = Value::from("…") } else { leave_out_uids(value) }
        }),
        Value::Array(items) => items.iter_mut().for_each(leave_out_uids),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Line;
    use super::super::records::{card, with};
    use super::super::{CONTROLLER, Site, eventually};
    use super::*;

    fn judge(topic: &str, body: &[u8], (qos, retain): (u64, bool)) -> Judged {
        Message { topic, payload: body, qos, retain }.judge(&[])
    }

    fn online(retain: bool) -> Judged {
        judge("latch/v1/a-1/status", br#"{"controller":"a-1","online":false}"#, (1, retain))
    }

    #[test]
    fn a_message_is_held_against_its_topic_and_how_it_was_sent() {
        assert_eq!(online(true).faults, Vec::<String>::new());
        assert_eq!(online(false).faults, ["sent with QoS 1, retain false"]);
        let body = br#"{"controller":"a-1","online":false}"#;
        for (topic, retain) in [
            ("latch/v1/b-1/status", true),
            ("latch/v1/a-1/state", true),
            ("latch/v1/a-1/status/x", true),
            ("latch/v2/a-1/status", true),
            ("latch/v1/a-1/sync", false),
        ] {
            assert!(!judge(topic, body, (1, retain)).faults.is_empty(), "{topic}");
        }
        assert_eq!(judge("latch/v1/a-1/status", b"{", (1, true)).faults, ["not JSON: line 1 column 1"]);
    }

    #[test]
    fn central_may_sign_and_the_payload_is_what_counts() {
        let jws = |payload: &str| {
            format!("eyJhbGciOiJFZERTQSJ9.{}.c2lnbmF0dXJl", BASE64URL_NOPAD.encode(payload.as_bytes()))
        };
        let ack = r#"{"controller":"a-1","journal":"6f0c2d4e-8a51-4b7e-9c3d-2f1e0a9b8c7d","through":5}"#;
        let faults = |topic: &str, body: String| judge(topic, body.as_bytes(), (1, false)).faults;
        assert_eq!(faults("latch/v1/a-1/ack", jws(ack)), Vec::<String>::new());
        assert_eq!(faults("latch/v1/a-1/ack", ack.replace("6f0c2d4e-", "6f0c2d4e-.")).len(), 1);
        assert_eq!(faults("latch/v1/a-1/ack", jws(&ack.replace('5', "-5"))).len(), 2, "journal and through");
        assert_eq!(faults("latch/v1/a-1/ack", jws(ack).replace('.', "..")).len(), 1);
        assert_eq!(faults("latch/v1/a-1/result", jws(ack)), ["not JSON: line 1 column 1"]);
    }

    #[test]
    fn a_waived_record_is_passed_over_and_its_neighbours_are_not() {
        let (wrong, other) = (json!({ "type": "lift", "id": "l-1" }), json!({ "type": "lift", "id": "l-2" }));
        let changes =
            json!({ "controller": "a-1", "epoch": 1, "first": 1, "last": 1, "changes": [{ "put": wrong }] });
        let part = json!({ "controller": "a-1", "epoch": 1, "last": 1, "records": [wrong],
                           "snapshot": { "id": "s", "part": 1, "parts": 1 } });
        for body in [changes, part] {
            let faults = |waived: &[Value]| {
                let payload = body.to_string();
                let message = Message {
                    topic: "latch/v1/a-1/feed",
                    payload: payload.as_bytes(),
                    qos: 1,
                    retain: false,
                };
                message.judge(waived).faults.len()
            };
            assert_eq!((faults(std::slice::from_ref(&wrong)), faults(std::slice::from_ref(&other))), (0, 1));
        }
    }

    #[test]
    fn what_is_shown_of_a_message_is_the_entry_and_no_uid() {
        let events = json!({ "controller": "a-1", "journal": "j", "events": [{ "seq": 1 }, { "seq": 2, "uid": "04A1B2C3" }] });
        assert_eq!(shown(&events, &["/events/1/at: missing".to_owned()]), r#"{"seq":2,"uid":"…"}"#);
        assert!(!shown(&events, &["/journal: what?".to_owned()]).contains("04A1"));
    }

    #[test]
    fn a_wrong_message_at_the_broker_is_found_unless_a_test_said_it() {
        let site = Site::running();
        let line = Line::open(&site.broker.url());
        line.say_bytes("feed", "a test's own", false);
        site.put_wrong(with(card("c-1", "04A1B2C3", "m-1"), "status", "sleepy"));
        site.in_journal(0, "the test's own refused", |event| event["type"] == "sync.rejected");
        let refused = || site.central().last_sync().filter(|sync| sync.rejected == 1);
        eventually("word that the record was refused", refused);
        assert_eq!(site.witness.take_faults(), Vec::<String>::new());
        for (topic, body) in [
            ("feed", json!({ "controller": CONTROLLER, "epoch": 1 })),
            ("events", json!({ "controller": CONTROLLER, "journal": "j", "events": [] })),
            ("nonsense", json!({})),
        ] {
            assert!(site.central().publish_raw(topic, body.to_string()));
            let found = eventually("fault", || site.witness.take_faults().into_iter().next());
            assert!(found.starts_with(&format!("latch/v1/{CONTROLLER}/{topic}: ")), "{found}");
        }
    }
}
