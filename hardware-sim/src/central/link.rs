//! The link to the broker: a thread that keeps one MQTT 5 connection up, for ever, and carries messages both ways.
//!
//! Each connection has a fresh client and event loop: rumqttc loses accepted publishes when it resumes one, and has no
//! back-off of its own. The event loop is polled in a task of its own that is never cancelled half-way through connecting.

use super::address::Address;
use super::session::Session;
use super::tls::{Bridge, TlsError, TlsFiles};
use super::{Shared, lock};
use rumqttc::Transport;
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
    pub address: Address,
    pub tls: Option<TlsFiles>,
    pub credentials: Option<(String, String)>,
    pub controller: String,
    pub client_id: String,
}

impl Target {
    fn topic(&self, below: &str) -> String {
        format!("latch/v1/{}/{below}", self.controller)
    }

    fn options(&self, bridge: Option<&Bridge>) -> MqttOptions {
        let mut options = match bridge {
            // A Unix socket has no port.
            Some(bridge) => MqttOptions::new(&self.client_id, bridge.socket().to_string_lossy(), 0),
            None => MqttOptions::new(&self.client_id, &self.address.host, self.address.port),
        };
        if bridge.is_some() {
            options.set_transport(Transport::Unix);
        }
        if let Some((user, password)) = &self.credentials {
            options.set_credentials(user, password);
        }
        options.set_clean_start(true).set_keep_alive(KEEP_ALIVE).set_max_packet_size(Some(PACKET_BYTES_MAX));
        options
    }
}

/// Runs until central is dropped.
pub(super) async fn run(target: Target, shared: Arc<Shared>) {
    let mut delay = RETRY_FIRST;
    while !shared.is_stopping() {
        match connection(&target, &shared).await {
            Ok(ended) => {
                if ended.stood {
                    delay = RETRY_FIRST;
                }
                ended.why.into_iter().for_each(|why| shared.not_connected(why));
            }
            Err(error) => shared.not_connected(crate::orders::chain(&error)),
        }
        shared.with(Session::disconnected);
        tokio::time::sleep(with_jitter(delay)).await;
        delay = (delay * 2).min(RETRY_MAX);
    }
}

/// How a connection ended.
#[derive(Debug, Default)]
struct Ended {
    /// It stood for a while.
    stood: bool,
    why: Option<String>,
}

/// One connection, from its beginning to its end. What TLS has to say of it comes before what MQTT has.
async fn connection(target: &Target, shared: &Arc<Shared>) -> Result<Ended, TlsError> {
    let bridge = target.tls.as_ref().map(|files| Bridge::open(files, &target.address)).transpose()?;
    let (client, event_loop) = AsyncClient::new(target.options(bridge.as_ref()), PUBLISHES_AT_ONCE);
    let poll = tokio::spawn(poll(event_loop, client.clone(), target.clone(), Arc::clone(shared)));
    let send = tokio::spawn(send(client, target.clone(), Arc::clone(shared)));
    let ended = tokio::select! {
        ended = poll => ended.unwrap_or_default(),
        () = shared.stopped() => Ended::default(),
    };
    send.abort();
    bridge.and_then(|bridge| bridge.why()).map_or(Ok(ended), Err)
}

/// Polls until the connection fails.
async fn poll(mut event_loop: EventLoop, client: AsyncClient, target: Target, shared: Arc<Shared>) -> Ended {
    let mut stood = false;
    let ended = |stood, why: &dyn std::fmt::Display| Ended { stood, why: Some(why.to_string()) };
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let filter = |below: &str| Filter::new(target.topic(below), QoS::AtLeastOnce);
                let filters = ["events", "sync", "status", "door/+", "result"].map(filter);
                if client.try_subscribe_many(filters).is_err() {
                    return ended(stood, &"it does not take subscriptions");
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                stood = true;
                let Address { host, port, tls } = &target.address;
                tracing::info!(broker = %host, port, tls, "central is connected");
                shared.is_connected();
                shared.with(Session::connected);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => received(&publish, &target, &shared),
            Ok(Event::Incoming(Packet::Disconnect(_))) => return ended(stood, &"the broker hung up"),
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "central's connection failed");
                return ended(stood, &error);
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
