//! One connection to the broker: what is said on it, what is heard, and what is acknowledged when.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Incoming, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnAck, Filter, LastWill, PubAck, PubAckReason, Publish, SubAck},
        },
    },
};
use tokio::{
    sync::{
        mpsc::{Receiver, Sender, channel},
        watch,
    },
    time::Instant,
};

use super::{
    bridge::Bridge,
    ended::{Ended, LinkError},
    keeper::{Keeper, LOOK_EVERY, Login, Ready},
    limits::Limits,
    mqtt::{Config, Journal},
    picked::Picked,
    poll::{Shown, poll},
    transport::TransportError,
};
use crate::{
    control::{Event, UplinkCommand, UplinkEvent},
    domain::ControllerId,
    drivers::{clock, seldom::Seldom},
    wire::{
        feed::{Feed, MessageError},
        outgoing::{Offline, events, to_json},
    },
};

type FeedMessage = Result<Feed, MessageError>;

/// From the start of a connection to the broker's answer.
pub const ANSWER: Duration = Duration::from_secs(10);
/// For the last publishes of a clean stop.
const FAREWELL: Duration = Duration::from_secs(1);
/// Largest message taken. Above a snapshot's part of 500 records by far.
const MAX_INCOMING_BYTES: u32 = 4 << 20;
/// Messages central may have under way to us.
const RECEIVE_MAXIMUM: u16 = 32;
/// Packets between the poll task and us. Few, because brokers were seen to send far more than `RECEIVE_MAXIMUM`:
/// what does not fit stays in the socket.
const PACKETS: usize = 8;
/// Messages on `feed` read ahead of the one at the controller, so that reading overlaps with storing.
const READ_AHEAD: usize = 4;
/// Requests waiting for the event loop. It takes one for every ten packets it reads, so while a broker pours out what
/// it has kept, acknowledgements pile up: as many as there are packet ids, at most.
const REQUESTS: usize = (1 << 16) + 512;

pub async fn say(events: &Sender<Event>, what: UplinkEvent) {
    if events.send(Event::Uplink(what)).await.is_err() {
        tracing::debug!("the link has nobody to report to");
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session<'a> {
    config: Config,
    events: &'a Sender<Event>,
    client: AsyncClient,
    packets: Receiver<Result<Incoming, LinkError>>,
    poll: tokio::task::JoinHandle<()>,
    journal: &'a mut Journal,
    /// Messages on `feed` that wait, read already (what was read is taken out when it goes to the controller). The
    /// first one is at the controller, under the number `feed_token`.
    feed: VecDeque<(Publish, Option<FeedMessage>)>,
    feed_token: u64,
    /// Commands at the controller.
    orders: BTreeMap<u64, Publish>,
    /// The last number that was given to a message, ever.
    tokens: &'a mut u64,
    keeper: &'a mut Keeper,
    shown: Shown,
    /// What the broker takes, from its answer.
    limits: Limits,
    refusals: Seldom,
    pub up_since: Option<Instant>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

impl<'a> Session<'a> {
    pub fn connect(
        config: &Config,
        events: &'a Sender<Event>,
        journal: &'a mut Journal,
        tokens: &'a mut u64,
        keeper: &'a mut Keeper,
    ) -> Self {
        let ready = keeper.ready().map_err(TransportError::from);
        let login = ready.as_ref().ok().and_then(|ready| ready.login.clone());
        let listen = |ready: Ready| Bridge::listen(config.broker.clone(), ready.tls, config.keep_alive);
        let bridge = ready.and_then(listen);
        let socket = bridge.as_ref().map_or("", Bridge::name);
        let (client, event_loop) = AsyncClient::new(options(config, socket, login), REQUESTS);
        let (sender, packets) = channel(PACKETS);
        let shown = Shown::default();
        let poll = tokio::spawn(poll(bridge, event_loop, sender, shown.clone()));
        Session {
            config: config.clone(),
            events,
            client,
            packets,
            poll,
            journal,
            feed: VecDeque::new(),
            feed_token: 0,
            orders: BTreeMap::new(),
            tokens,
            keeper,
            shown,
            limits: Limits::of(None),
            refusals: Seldom::default(),
            up_since: None,
        }
    }

    pub async fn serve(
        &mut self,
        commands: &mut Receiver<UplinkCommand>,
        config: &mut watch::Receiver<Config>,
    ) -> Ended {
        let patience = tokio::time::sleep(ANSWER);
        tokio::pin!(patience);
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let step = tokio::select! {
                packet = self.packets.recv(), if self.feed.len() < READ_AHEAD => match packet {
                    Some(Ok(packet)) => self.packet(packet).await,
                    Some(Err(error)) => Err(error),
                    None => Err(LinkError::NoAnswer),
                },
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => {
                        self.farewell().await;
                        return Ended::Stopped;
                    }
                },
                () = &mut patience, if self.up_since.is_none() => Err(LinkError::NoAnswer),
                _ = look.tick() => self.look().await,
                Ok(()) = config.changed() => {
                    let new = config.borrow_and_update().clone();
                    self.reconfigure(new).await
                }
            };
            if let Err(error) = step {
                return Ended::Lost(self.cause().unwrap_or(error));
            }
        }
    }

    /// Other keys are believed from the next message on; anything else takes another connection.
    async fn reconfigure(&mut self, new: Config) -> Result<(), LinkError> {
        self.config.inbox = new.inbox.clone();
        if self.config == new {
            return Ok(());
        }
        self.farewell().await;
        Err(LinkError::Reconfigured)
    }

    /// Looks at the certificates: whether they were replaced, and when they end.
    async fn look(&mut self) -> Result<(), LinkError> {
        self.keeper.warn(clock::wall(), clock::mono());
        if let Some(ends) = self.keeper.news() {
            say(self.events, UplinkEvent::Certificates { ends }).await;
        }
        if self.up_since.is_none() || !self.keeper.is_replaced() {
            return Ok(());
        }
        self.farewell().await;
        Err(LinkError::Replaced)
    }

    /// Why the event loop ended, if it did: it takes no requests any more, but the reason waits behind packets.
    fn cause(&mut self) -> Option<LinkError> {
        std::iter::from_fn(|| self.packets.try_recv().ok()).find_map(Result::err)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other packets are the event loop's business")]
    async fn packet(&mut self, packet: Incoming) -> Result<(), LinkError> {
        match packet {
            Incoming::ConnAck(answer) => self.connected(&answer).await,
            Incoming::SubAck(answer) => subscribed(&answer),
            Incoming::Publish(publish) => self.received(publish).await,
            Incoming::PubAck(answer) => {
                self.acknowledged(&answer);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn connected(&mut self, answer: &ConnAck) -> Result<(), LinkError> {
        let allowed = answer.properties.as_ref();
        self.limits = Limits::of(allowed);
        if allowed.and_then(|p| p.max_qos) == Some(0) {
            return Err(LinkError::NoQos1);
        }
        if !self.limits.retains {
            tracing::warn!("the broker retains nothing: who subscribes later does not see status and doors");
        }
        let filters = TOPICS.map(|topic| {
            let filter = Filter::new(self.topic(topic), QoS::AtLeastOnce);
            // Said while we listen, a retained command would look like any other.
            Filter { preserve_retain: topic == "command", ..filter }
        });
        self.client.try_subscribe_many(filters).map_err(|_| LinkError::Full)?;
        // From here on: what the broker has kept for us comes before its answer to the subscription, and what we
        // publish comes behind the subscription.
        self.up_since = Some(clock::instant());
        let detail = self.config.broker.to_string();
        tracing::info!(broker = detail, resumed = answer.session_present, "connected");
        say(self.events, UplinkEvent::Connected { detail, is_resumed: answer.session_present }).await;
        self.keeper.met(self.shown.get().cloned());
        self.look().await
    }

    /// A broker may take a message and not let it through.
    fn acknowledged(&mut self, answer: &PubAck) {
        use PubAckReason::{NoMatchingSubscribers, Success};
        if !matches!(answer.reason, Success | NoMatchingSubscribers)
            && let Some(left_out) = self.refusals.may(clock::mono())
        {
            let reason = format!("{:?}", answer.reason);
            tracing::warn!(
                reason,
                left_out,
                "the broker refused what was published; look at its access rules"
            );
        }
    }

    async fn received(&mut self, publish: Publish) -> Result<(), LinkError> {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let own = format!("{}/", subtree(&self.config.inbox.controller));
        match topic.strip_prefix(&own) {
            Some("feed") => {
                let message = self.config.inbox.feed(&publish.payload);
                self.feed.push_back((publish, Some(message)));
                if self.feed.len() == 1 {
                    self.offer().await;
                }
                return Ok(());
            }
            Some("command") => {
                let message = self.config.inbox.command(&publish.payload, publish.retain);
                *self.tokens += 1;
                self.orders.insert(*self.tokens, publish);
                say(self.events, UplinkEvent::Command { token: *self.tokens, message }).await;
                return Ok(());
            }
            Some("ack") => {
                let message = self.config.inbox.ack(&publish.payload);
                say(self.events, UplinkEvent::Ack { message }).await;
            }
            Some("status") if is_offline(&publish.payload) => {
                say(self.events, UplinkEvent::SaidOffline).await;
            }
            _ => {}
        }
        self.acknowledge(&publish)
    }

    fn acknowledge(&self, publish: &Publish) -> Result<(), LinkError> {
        self.client.try_ack(publish).map_err(|_| LinkError::Full)
    }

    /// Hands the first waiting message to the controller.
    async fn offer(&mut self) {
        let first = self.feed.front_mut();
        if let Some((message, again)) = first.and_then(|(p, message)| Some((message.take()?, p.dup))) {
            *self.tokens += 1;
            self.feed_token = *self.tokens;
            say(self.events, UplinkEvent::Feed { token: self.feed_token, again, message }).await;
        }
    }

    async fn command(&mut self, command: UplinkCommand) -> Result<(), LinkError> {
        if self.up_since.is_none() {
            return Ok(());
        }
        match command {
            UplinkCommand::Done { token } => self.done(token).await,
            UplinkCommand::Undone => Err(LinkError::Undone),
            UplinkCommand::Sync(sync) => self.publish("sync", false, to_json(&sync)),
            UplinkCommand::Status(status) => self.publish("status", true, to_json(&status)),
            UplinkCommand::Result(result) => self.publish("result", false, to_json(&result)),
            UplinkCommand::Door(state) => {
                self.publish(&format!("door/{}", state.door), true, to_json(&state))
            }
            // Nothing, retained, is how a broker lets go of what it retains.
            UplinkCommand::Gone { door } => self.publish(&format!("door/{door}"), true, String::new()),
            UplinkCommand::SendEvents { from, through } => self.send_events(from, through).await,
        }
    }

    /// What was at the controller is on disk. One that was there when an earlier connection ended is delivered again.
    async fn done(&mut self, token: u64) -> Result<(), LinkError> {
        if let Some(publish) = self.orders.remove(&token) {
            return self.acknowledge(&publish);
        }
        if token != self.feed_token {
            return Ok(());
        }
        if let Some((publish, _)) = self.feed.pop_front() {
            self.acknowledge(&publish)?;
            self.offer().await;
        }
        Ok(())
    }

    async fn send_events(&mut self, from: u64, through: u64) -> Result<(), LinkError> {
        let most = self.limits.events_bytes(&self.topic("events"));
        let Some(Picked { lines, through: looked_at, damaged }) = self.journal.pick(from, through, most)
        else {
            tracing::error!(from, through, "the journal does not hold what is to be sent");
            return Ok(());
        };
        if !damaged.is_empty() {
            say(self.events, UplinkEvent::Unreadable { events: damaged }).await;
        }
        let Some(last) = lines.last().map(|(seq, _)| *seq) else {
            say(self.events, UplinkEvent::Skipped { through: looked_at }).await;
            return Ok(());
        };
        let texts = lines.iter().map(|(_, text)| text.as_str());
        let message = events(&self.config.inbox.controller, &self.journal.id, texts);
        self.publish("events", false, message)?;
        say(self.events, UplinkEvent::Sent { through: last }).await;
        Ok(())
    }

    fn publish(&self, suffix: &str, retain: bool, payload: String) -> Result<(), LinkError> {
        let topic = self.topic(suffix);
        if !self.limits.takes(&topic, &payload) {
            // The broker would end the connection over it.
            let (bytes, most) = (payload.len(), self.limits.packet_bytes);
            tracing::error!(
                suffix,
                bytes,
                most,
                "a message is larger than the broker takes; it was not sent"
            );
            return Ok(());
        }
        let retain = retain && self.limits.retains;
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).map_err(|_| LinkError::Full)
    }

    /// Says goodbye as the will would, and waits a moment for the broker to have it.
    async fn farewell(&mut self) {
        if self.up_since.is_none() {
            return;
        }
        let offline = to_json(&Offline::of(self.config.inbox.controller.clone()));
        let said = self.publish("status", true, offline).is_ok() && self.client.try_disconnect().is_ok();
        if said {
            let closed = async { while let Some(Ok(_)) = self.packets.recv().await {} };
            if tokio::time::timeout(FAREWELL, closed).await.is_err() {
                tracing::debug!("the broker did not take the farewell in time");
            }
        }
    }

    fn topic(&self, suffix: &str) -> String {
        format!("{}/{suffix}", subtree(&self.config.inbox.controller))
    }
}

/// What is listened to; the last one only to hear what is said in our name, which a broker may not allow.
const TOPICS: [&str; 4] = ["feed", "ack", "command", LISTENED_TO];
const LISTENED_TO: &str = "status";

fn subtree(controller: &ControllerId) -> String {
    format!("latch/v1/{controller}")
}

fn subscribed(answer: &SubAck) -> Result<(), LinkError> {
    use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode::Success;
    let refused = TOPICS.iter().zip(&answer.return_codes).find(|(_, code)| !matches!(code, Success(_)));
    match refused {
        Some((&LISTENED_TO, code)) => {
            tracing::warn!(
                ?code,
                "the broker does not let us hear our own status; one said in our name stays"
            );
            Ok(())
        }
        Some((topic, code)) => Err(LinkError::Refused(format!("{topic} ({code:?})"))),
        None => Ok(()),
    }
}

/// A `status` that says we are offline: the will of a connection that ended, or of a stranger who had our id.
fn is_offline(payload: &[u8]) -> bool {
    let status: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    status.is_some_and(|status| status.get("online") == Some(&false.into()))
}

fn options(config: &Config, socket: &str, login: Option<Login>) -> MqttOptions {
    let controller = &config.inbox.controller;
    // A Unix socket has no port.
    let mut options = MqttOptions::new(controller.as_str(), socket, 0);
    let offline = to_json(&Offline::of(controller.clone()));
    let topic = format!("{}/status", subtree(controller));
    let will = LastWill::new(topic, offline, QoS::AtLeastOnce, true, None);
    options
        .set_transport(Transport::unix())
        .set_keep_alive(config.keep_alive)
        .set_clean_start(false)
        .set_last_will(will)
        .set_manual_acks(true)
        .set_connection_timeout(ANSWER.as_secs())
        .set_outgoing_inflight_upper_limit(64);
    options.set_session_expiry_interval(Some(config.session_expiry_s));
    options.set_receive_maximum(Some(RECEIVE_MAXIMUM));
    options.set_max_packet_size(Some(MAX_INCOMING_BYTES));
    if let Some(Login { username, password }) = login {
        options.set_credentials(username, password);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_must_let_us_hear_central_and_need_not_let_us_hear_ourselves() {
        use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode::{NotAuthorized, Success};
        let answer = |return_codes| SubAck { pkid: 1, return_codes, properties: None };
        let ok = Success(QoS::AtLeastOnce);
        assert!(subscribed(&answer(vec![ok; 4])).is_ok());
        assert!(subscribed(&answer(vec![ok, ok, ok, NotAuthorized])).is_ok());
        for n in 0..3 {
            let mut codes = vec![ok; 4];
            codes[n] = NotAuthorized;
            let why = subscribed(&answer(codes)).unwrap_err().to_string();
            assert!(
                why.starts_with(&format!("the broker refused the subscription to {} (", TOPICS[n])),
                "{why}"
            );
        }
    }

    #[test]
    fn only_a_status_that_says_so_is_offline() {
        assert!(is_offline(br#"{"controller":"oslo-1","online":false}"#));
        for other in [r#"{"online":true}"#, "{}", "", "false", r#"{"online":"false"}"#] {
            assert!(!is_offline(other.as_bytes()), "{other}");
        }
    }
}
