//! The link's own thread and runtime, and how a changed configuration reaches it.

use std::{
    net::IpAddr,
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{
    mpsc::{Sender, channel},
    watch,
};

use super::{
    config::{Config, Mqtt},
    start::{StartError, current_thread},
};
use crate::{
    control::{Event, UplinkCommand},
    drivers::{
        store::journal::reader::Reader,
        uplink::mqtt::{self, EventSource, Journal},
    },
    wire::{Inbox, UidHasher, jws::Trust},
};

/// Commands on their way to the link: a few for each event recorded.
const COMMANDS: usize = 4096;
/// It says goodbye within a second.
const ENDS_WITHIN: Duration = Duration::from_millis(1500);
/// RFC 8037's own example, which finds its way into configurations. Everybody has its private half.
const EXAMPLE_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// The running link.
#[derive(Debug)]
pub struct Uplink {
    pub commands: Sender<UplinkCommand>,
    pub settings: Settings,
    pub ends: Ends,
}

/// The thread's end.
#[derive(Debug)]
pub struct Ends {
    thread: JoinHandle<()>,
    /// Closed by it.
    ended: mpsc::Receiver<()>,
}

impl Ends {
    /// Waits for it, once the commands' queue is closed, and not for ever: it may hang in a file that it reads.
    pub fn wait(self) {
        match self.ended.recv_timeout(ENDS_WITHIN) {
            Err(RecvTimeoutError::Timeout) => tracing::error!("the link does not end"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if self.thread.join().is_err() {
                    tracing::error!("the link's thread ended in a panic");
                }
            }
        }
    }
}

/// Where the link looks for what it is made with.
#[derive(Debug)]
pub struct Settings {
    hasher: UidHasher,
    config: watch::Sender<mqtt::Config>,
}

impl Settings {
    /// The link takes this up: other keys at once, anything else with a connection of its own.
    pub fn change(&self, config: &Config) {
        warn(&config.mqtt);
        self.config.send_replace(link_config(config, self.hasher.clone()));
    }
}

/// Starts the thread, which ends when `commands` are dropped.
pub fn start(
    config: &Config,
    hasher: UidHasher,
    journal_id: String,
    events: Sender<Event>,
) -> Result<Uplink, StartError> {
    warn(&config.mqtt);
    let sender = watch::Sender::new(link_config(config, hasher.clone()));
    let watched = sender.subscribe();
    let mut reader = Reader::of_state(&config.state_dir);
    let source: EventSource = Box::new(move |from, through, bytes| {
        let count = usize::try_from(through.saturating_sub(from) + 1).unwrap_or(usize::MAX);
        reader.read(from, through, count, bytes).into_iter().map(|line| (line.seq, line.text)).collect()
    });
    let journal = Journal { id: journal_id, source };
    let (commands, waiting) = channel(COMMANDS);
    let (started, outcome) = mpsc::sync_channel(1);
    let (lives, ended) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("uplink".into())
        .spawn(move || {
            let _until_the_end: mpsc::SyncSender<()> = lives;
            match current_thread() {
                Ok(runtime) => {
                    let _heard = started.send(Ok(()));
                    runtime.block_on(mqtt::run(watched, journal, events, waiting));
                    // Not to wait for a name that is being resolved, which can't be called off.
                    runtime.shutdown_background();
                }
                Err(error) => _ = started.send(Err(error)),
            }
        })
        .map_err(StartError::system("thread for the link"))?;
    if let Ok(Err(error)) = outcome.recv() {
        return Err(StartError::system("runtime for the link")(error));
    }
    let ends = Ends { thread, ended };
    Ok(Uplink { commands, settings: Settings { hasher, config: sender }, ends })
}

fn link_config(config: &Config, hasher: UidHasher) -> mqtt::Config {
    let Mqtt { broker, account, session_expiry_s, trust, keep_alive } = &config.mqtt;
    mqtt::Config {
        inbox: Inbox { controller: config.controller.clone(), trust: trust.clone(), hasher },
        broker: broker.address.clone(),
        tls: broker.tls.clone(),
        account: account.clone(),
        keep_alive: *keep_alive,
        session_expiry_s: *session_expiry_s,
    }
}

/// What is allowed and unwise, said at every start.
fn warn(mqtt: &Mqtt) {
    let is_example = |key: &crate::wire::jws::TrustedKey| key.is(EXAMPLE_KEY);
    match &mqtt.trust {
        Trust::Anyone => tracing::warn!(
            "messages from central are not signed (mqtt.allow_unsigned): whoever can write to the broker can open doors"
        ),
        Trust::Keys(keys) => {
            if let Some(key) = keys.iter().find(|key| is_example(key)) {
                let kid = key.kid();
                tracing::warn!(
                    kid,
                    "a trusted key is RFC 8037's example: anybody can sign with it; use central's"
                );
            }
        }
    }
    let host = mqtt.broker.address.host.as_str();
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let has_password = mqtt.account.as_ref().is_some_and(|a| a.password_file.is_some());
    if mqtt.broker.tls.is_none() && !is_here && has_password {
        tracing::warn!(
            host,
            "the broker's password goes over the network in clear; use mqtts:// in mqtt.url"
        );
    }
}
