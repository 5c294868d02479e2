//! The link to the broker: a thread that keeps one MQTT 5 connection up, for ever, and carries messages both ways.
//!
//! Each connection has a fresh client and event loop: rumqttc loses accepted publishes when it resumes one, and has no
//! back-off of its own. The event loop is polled in a task of its own that is never cancelled half-way through connecting.

use super::session::Session;
use super::{Shared, lock};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::sync::Arc;
use std::time::Duration;

/// Incoming packets up to this size are taken; rumqttc's default of 10 KB would loop on the first full batch of events.
const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Publishes handed to rumqttc at once; the rest waits in the session's outbox.
const PUBLISHES_AT_ONCE: usize = 20;
/// Delay before the second attempt; it doubles from there. Short, for the broker is next door.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// Delay it ends at: before controllers that back off as they should.
const RETRY_MAX: Duration = Duration::from_millis(300);
/// How often a dead link is asked for life.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Where to connect, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub host: String,
    pub port: u16,
    pub controller: String,
    pub client_id: String,
}

impl Target {
    fn topic(&self, below: &str) -> String {
        format!("latch/v1/{}/{below}", self.controller)
    }
}

/// Runs until central is dropped.
pub(super) async fn run(target: Target, shared: Arc<Shared>) {
    let mut delay = RETRY_FIRST;
    while !shared.is_stopping() {
        let mut options = MqttOptions::new(&target.client_id, &target.host, target.port);
        options.set_clean_start(true).set_keep_alive(KEEP_ALIVE).set_max_packet_size(Some(PACKET_BYTES_MAX));
        let (client, event_loop) = AsyncClient::new(options, PUBLISHES_AT_ONCE);
        let poll = tokio::spawn(poll(event_loop, client.clone(), target.clone(), Arc::clone(&shared)));
        let send = tokio::spawn(send(client, target.clone(), Arc::clone(&shared)));
        let stopped = shared.stopped();
        tokio::select! {
            ended = poll => if matches!(ended, Ok(true)) { delay = RETRY_FIRST },
            () = stopped => {}
        }
        send.abort();
        shared.with(Session::disconnected);
        tokio::time::sleep(with_jitter(delay)).await;
        delay = (delay * 2).min(RETRY_MAX);
    }
}

/// Polls until the connection fails; whether it ever stood.
async fn poll(mut event_loop: EventLoop, client: AsyncClient, target: Target, shared: Arc<Shared>) -> bool {
    let mut stood = false;
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let filter = |below: &str| Filter::new(target.topic(below), QoS::AtLeastOnce);
                let filters = ["events", "sync", "status", "door/+", "result"].map(filter);
                if client.try_subscribe_many(filters).is_err() {
                    return stood;
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                stood = true;
                tracing::info!(broker = %target.host, port = target.port, "central is connected");
                shared.with(Session::connected);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => received(&publish, &target, &shared),
            Ok(Event::Incoming(Packet::Disconnect(_))) => return stood,
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "central's connection failed");
                return stood;
            }
        }
    }
}

fn received(publish: &Publish, target: &Target, shared: &Shared) {
    let topic = String::from_utf8_lossy(&publish.topic);
    if let Some(below) = topic.strip_prefix(&target.topic("")) {
        shared.with(|session| session.received(below, &publish.payload, publish.retain));
    }
}

/// Hands the outbox to the client, message by message, as the client takes them.
async fn send(client: AsyncClient, target: Target, shared: Arc<Shared>) {
    loop {
        let outgoing = lock(&shared.keeper).session.next_outgoing();
        match outgoing {
            Some(message) => {
                let topic = target.topic(&message.topic);
                if client.publish(topic, QoS::AtLeastOnce, false, message.payload).await.is_err() {
                    return;
                }
            }
            None => shared.outgoing.notified().await,
        }
    }
}

/// Between half the delay and all of it, so that many centrals don't come back in step.
fn with_jitter(delay: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(0);
    delay / 2 + (delay / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
}
