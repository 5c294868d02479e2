//! MQTT 5 over rumqttc: a fresh client for every connection, a cursor in the journal instead of a queue.
//!
//! rumqttc loses publishes that were accepted when a session ends; here nothing is accepted that is not also in the
//! journal (events), repeated until answered (`sync`), or said again after every connect (`status`, `door/…`). Its
//! event loop is polled in a task of its own, because a poll that is cancelled can leave a session half made.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rumqttc::{
    Transport,
    v5::{
        AsyncClient, ConnectionError, Event as Happening, EventLoop, Incoming, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnAck, Filter, LastWill, Publish},
        },
    },
};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{
    bridge::{Bridge, Link},
    certificates::Files,
    keeper::{Account, Keeper, LOOK_EVERY, Login, Ready},
    transport::{Address, TransportError},
};
use crate::{
    control::{Event, UplinkCommand, UplinkEvent},
    domain::ControllerId,
    drivers::{backoff::Backoff, clock},
    wire::{
        Inbox,
        feed::{Feed, MessageError},
        outgoing::{Offline, events, to_json},
    },
};

#[derive(Debug, Clone)]
pub struct Config {
    pub controller: ControllerId,
    pub broker: Address,
    /// `None`: a plain connection.
    pub tls: Option<Files>,
    pub account: Option<Account>,
    /// How often the broker is pinged; one that is silent for half as long again is given up.
    pub keep_alive: Duration,
    /// How long the broker keeps what central sends while we are away, in seconds.
    pub session_expiry_s: u32,
    pub journal_id: String,
}

/// Where events come from: those from the first number to the second, about so many bytes at most, each with its
/// number. The daemon puts the journal here.
pub type EventSource = Box<dyn FnMut(u64, u64, usize) -> Vec<(u64, String)> + Send>;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Connection(Box<ConnectionError>),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the broker did not answer within {} s", ANSWER.as_secs())]
    NoAnswer,
    #[error("the broker refused the subscriptions: {0}")]
    Refused(String),
    #[error("the link has more to send than it can hold")]
    Full,
    #[error("the certificates were replaced; connecting with the new ones")]
    Replaced,
    #[error("a change could not be stored; the broker is to deliver it again")]
    Undone,
}

type FeedMessage = Result<Feed, MessageError>;

/// How a served connection ended.
enum Ended {
    Lost(LinkError),
    Stopped,
}

/// From the start of a connection to the broker's answer.
const ANSWER: Duration = Duration::from_secs(10);
/// For the last publishes of a clean stop.
const FAREWELL: Duration = Duration::from_secs(1);
/// Largest message taken. Above a snapshot's part of 500 records by far.
const MAX_INCOMING_BYTES: u32 = 4 << 20;
/// About how large a message with events gets: below the limits hosted brokers set.
const MAX_EVENTS_BYTES: usize = 100 * 1024;
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

/// Serves the link until `commands` is closed.
pub async fn run(
    config: Config,
    inbox: Inbox,
    mut source: EventSource,
    events: Sender<Event>,
    mut commands: Receiver<UplinkCommand>,
) {
    let mut tokens = 0;
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
    let mut said = String::new();
    let mut keeper = Keeper::new(config.tls.clone(), config.account.clone());
    loop {
        let mut session = Session::connect(&config, &inbox, &events, &mut source, &mut tokens, &mut keeper);
        let ended = session.serve(&mut commands).await;
        let was_up = session.up;
        match ended {
            Ended::Stopped => return,
            Ended::Lost(error) => {
                if was_up {
                    backoff.reset();
                }
                let detail = error.to_string();
                if was_up || said != detail {
                    tracing::warn!(detail, "no connection to the broker");
                    say(&events, UplinkEvent::Disconnected { detail: detail.clone() }).await;
                    said = detail;
                }
            }
        }
        drop(session);
        if rest(backoff.wait(), &mut commands).await.is_none() {
            return;
        }
    }
}

/// Waits, letting commands fall that have no connection to go to. `None`: told to stop.
async fn rest(time: Duration, commands: &mut Receiver<UplinkCommand>) -> Option<()> {
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Some(()),
            command = commands.recv() => { command?; }
        }
    }
}

async fn say(events: &Sender<Event>, what: UplinkEvent) {
    if events.send(Event::Uplink(what)).await.is_err() {
        tracing::debug!("the link has nobody to report to");
    }
}

/// One connection.
struct Session<'a> {
    config: &'a Config,
    inbox: &'a Inbox,
    events: &'a Sender<Event>,
    client: AsyncClient,
    packets: Receiver<Result<Incoming, LinkError>>,
    poll: tokio::task::JoinHandle<()>,
    source: &'a mut EventSource,
    /// Messages on `feed` that wait, read already (what was read is taken out when it goes to the controller). The
    /// first one is at the controller, under the number `tokens`.
    feed: VecDeque<(Publish, Option<FeedMessage>)>,
    tokens: &'a mut u64,
    keeper: &'a mut Keeper,
    shown: Shown,
    up: bool,
}

/// The certificates the broker showed, once it has.
type Shown = Arc<OnceLock<Arc<Vec<CertificateDer<'static>>>>>;

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

impl<'a> Session<'a> {
    fn connect(
        config: &'a Config,
        inbox: &'a Inbox,
        events: &'a Sender<Event>,
        source: &'a mut EventSource,
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
        let feed = VecDeque::new();
        Session {
            config,
            inbox,
            events,
            client,
            packets,
            poll,
            source,
            feed,
            tokens,
            keeper,
            shown,
            up: false,
        }
    }

    async fn serve(&mut self, commands: &mut Receiver<UplinkCommand>) -> Ended {
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
                () = &mut patience, if !self.up => Err(LinkError::NoAnswer),
                _ = look.tick() => self.look().await,
            };
            if let Err(error) = step {
                return Ended::Lost(self.cause().unwrap_or(error));
            }
        }
    }

    /// Looks at the certificates: whether they were replaced, and when they end.
    async fn look(&mut self) -> Result<(), LinkError> {
        self.keeper.warn(clock::wall(), clock::mono());
        if let Some(ends) = self.keeper.news() {
            say(self.events, UplinkEvent::Certificates { ends }).await;
        }
        if !self.up || !self.keeper.is_replaced() {
            return Ok(());
        }
        // With a goodbye, so that the broker does not send the will: the next connection is a moment away.
        self.leave().await;
        Err(LinkError::Replaced)
    }

    /// Why the event loop ended, if it did: it takes no requests any more, but the reason waits behind packets.
    fn cause(&mut self) -> Option<LinkError> {
        std::iter::from_fn(|| self.packets.try_recv().ok()).find_map(Result::err)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other packets are the event loop's business")]
    async fn packet(&mut self, packet: Incoming) -> Result<(), LinkError> {
        match packet {
            Incoming::ConnAck(answer) => {
                let filter = |suffix| Filter::new(self.topic(suffix), QoS::AtLeastOnce);
                self.client
                    .try_subscribe_many([filter("feed"), filter("ack")])
                    .map_err(|_| LinkError::Full)?;
                // From here on: what the broker has kept for us comes before its answer to the subscription, and
                // what we publish comes behind the subscription.
                self.up = true;
                let detail = self.config.broker.to_string();
                tracing::info!(broker = detail, "connected");
                let is_resumed = answer.session_present;
                say(self.events, UplinkEvent::Connected { detail, is_resumed }).await;
                self.keeper.met(self.shown.get().cloned());
                self.look().await
            }
            Incoming::SubAck(answer) => {
                use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode::Success;
                match answer.return_codes.iter().find(|c| !matches!(c, Success(_))) {
                    Some(code) => Err(LinkError::Refused(format!("{code:?}"))),
                    None => Ok(()),
                }
            }
            Incoming::Publish(publish) => self.received(publish).await,
            _ => Ok(()),
        }
    }

    async fn received(&mut self, publish: Publish) -> Result<(), LinkError> {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if topic == self.topic("feed") {
            let message = self.inbox.feed(&publish.payload);
            self.feed.push_back((publish, Some(message)));
            if self.feed.len() == 1 {
                self.offer().await;
            }
            return Ok(());
        }
        if topic == self.topic("ack") {
            let message = self.inbox.ack(&publish.payload);
            say(self.events, UplinkEvent::Ack { message }).await;
        }
        self.client.try_ack(&publish).map_err(|_| LinkError::Full)
    }

    /// Hands the first waiting message to the controller.
    async fn offer(&mut self) {
        let first = self.feed.front_mut();
        if let Some((message, again)) = first.and_then(|(p, message)| Some((message.take()?, p.dup))) {
            *self.tokens += 1;
            say(self.events, UplinkEvent::Feed { token: *self.tokens, again, message }).await;
        }
    }

    async fn command(&mut self, command: UplinkCommand) -> Result<(), LinkError> {
        if !self.up {
            return Ok(());
        }
        match command {
            // One that was at the controller when an earlier connection ended is delivered again.
            UplinkCommand::Done { token } if token != *self.tokens => Ok(()),
            UplinkCommand::Done { .. } => {
                if let Some((publish, _)) = self.feed.pop_front() {
                    self.client.try_ack(&publish).map_err(|_| LinkError::Full)?;
                    self.offer().await;
                }
                Ok(())
            }
            UplinkCommand::Undone => Err(LinkError::Undone),
            UplinkCommand::Sync(sync) => self.publish("sync", false, to_json(&sync)),
            UplinkCommand::Status(status) => self.publish("status", true, to_json(&status)),
            UplinkCommand::Door(state) => {
                self.publish(&format!("door/{}", state.door), true, to_json(&state))
            }
            UplinkCommand::SendEvents { from, through } => self.send_events(from, through).await,
        }
    }

    async fn send_events(&mut self, from: u64, through: u64) -> Result<(), LinkError> {
        let lines = (self.source)(from, through, MAX_EVENTS_BYTES);
        let Some(last) = lines.last().map(|(seq, _)| *seq) else {
            tracing::error!(from, through, "the journal does not hold what is to be sent");
            return Ok(());
        };
        let texts = lines.iter().map(|(_, text)| text.as_str());
        self.publish("events", false, events(&self.config.controller, &self.config.journal_id, texts))?;
        say(self.events, UplinkEvent::Sent { through: last }).await;
        Ok(())
    }

    fn publish(&self, suffix: &str, retain: bool, payload: String) -> Result<(), LinkError> {
        self.client
            .try_publish(self.topic(suffix), QoS::AtLeastOnce, retain, payload)
            .map_err(|_| LinkError::Full)
    }

    /// Says goodbye as the will would, and waits a moment for the broker to have it.
    async fn farewell(&mut self) {
        if !self.up {
            return;
        }
        let offline = to_json(&Offline::of(self.config.controller.clone()));
        if self.publish("status", true, offline).is_ok() {
            self.leave().await;
        }
    }

    async fn leave(&mut self) {
        if self.client.try_disconnect().is_err() {
            return;
        }
        let closed = async { while let Some(Ok(_)) = self.packets.recv().await {} };
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::debug!("the broker did not take the farewell in time");
        }
    }

    fn topic(&self, suffix: &str) -> String {
        topic(&self.config.controller, suffix)
    }
}

fn topic(controller: &ControllerId, suffix: &str) -> String {
    format!("latch/v1/{controller}/{suffix}")
}

fn options(config: &Config, socket: &str, login: Option<Login>) -> MqttOptions {
    // A Unix socket has no port.
    let mut options = MqttOptions::new(config.controller.as_str(), socket, 0);
    let will = LastWill::new(
        topic(&config.controller, "status"),
        to_json(&Offline::of(config.controller.clone())),
        QoS::AtLeastOnce,
        true,
        None,
    );
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

async fn poll(
    bridge: Result<Bridge, TransportError>,
    event_loop: EventLoop,
    packets: Sender<Result<Incoming, LinkError>>,
    shown: Shown,
) {
    if let Err(end) = converse(bridge, event_loop, &packets, shown).await {
        // Nobody listens any more when the connection was given up.
        let _heard = packets.send(Err(end)).await;
    }
}

/// Until the connection ends, or nobody takes its packets.
async fn converse(
    bridge: Result<Bridge, TransportError>,
    mut event_loop: EventLoop,
    packets: &Sender<Result<Incoming, LinkError>>,
    shown: Shown,
) -> Result<(), LinkError> {
    let mut link = bridge?.open().await?;
    if let Some(certificates) = link.certificates.take() {
        let _only_once = shown.set(certificates);
    }
    loop {
        // The bridge says when a broker is silent; rumqttc would give up one whose answer to its ping comes late.
        event_loop.state.await_pingresp = false;
        let packet = match event_loop.poll().await {
            Ok(Happening::Incoming(packet)) => packet,
            Ok(Happening::Outgoing(_)) => continue,
            Err(error) => return Err(LinkError::Connection(Box::new(link.why(error).await?))),
        };
        if let Incoming::ConnAck(answer) = &packet {
            agree(&mut link, &mut event_loop, answer);
        }
        if packets.send(Ok(packet)).await.is_err() {
            return Ok(());
        }
    }
}

/// The broker may want to be pinged more often. rumqttc has taken that up, and 0 too, which would be all the time.
fn agree(link: &mut Link, event_loop: &mut EventLoop, answer: &ConnAck) {
    let asked = answer.properties.as_ref().and_then(|p| p.server_keep_alive);
    let agreed = link.agree(asked);
    // It takes nothing below this, but from a broker.
    if agreed >= Duration::from_secs(5) {
        event_loop.options.set_keep_alive(agreed);
    }
}
