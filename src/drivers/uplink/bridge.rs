//! Between the broker's stream and rumqttc, which can dial nothing but TCP and Unix sockets: it is given a Unix socket,
//! and what comes on one side is said on the other.
//!
//! ```text
//!   broker ══ TCP, TLS ══ Bridge ── Unix socket ── rumqttc
//! ```
//!
//! Every connection goes through it, plain ones too, so that all are dialled, watched and explained alike. It reads on
//! only when what it has read is taken: a broker that pours out is slowed down by the same small buffers as before.
//! And it judges whether the broker is alive by its bytes. rumqttc would by the answer to its ping, which can lie
//! behind more than a keep-alive's worth of other messages.

#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use rumqttc::v5::ConnectionError;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::{sleep_until, timeout},
};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{
    certificates::Loaded,
    transport::{Address, Stream, TransportError, broken, dial},
};
use crate::drivers::clock;

/// Carried at once in one direction, and waiting for rumqttc: little, see `RECEIVE_BUFFER_BYTES` in `transport`.
const PIECE_BYTES: usize = 8 * 1024;
const WAITING_BYTES: usize = 16 * 1024;
/// How long a broken connection may take to say why: a broker's last words are often read after a write has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A socket that waits for rumqttc, before the broker is dialled.
#[derive(Debug)]
pub struct Bridge {
    broker: Address,
    tls: Option<Loaded>,
    name: String,
    listener: UnixListener,
    keep_alive: Duration,
}

impl Bridge {
    pub fn listen(
        broker: Address,
        tls: Option<Loaded>,
        keep_alive: Duration,
    ) -> Result<Bridge, TransportError> {
        let chance = [getrandom::u64(), getrandom::u64()].map(Result::unwrap_or_default);
        // In Linux's abstract space: no file to protect, to clean up, or with a path too long for an address.
        let name = format!("\0latchd-{:016x}{:016x}", chance[0], chance[1]);
        let listener = UnixListener::bind(&name).map_err(TransportError::Local)?;
        Ok(Bridge { broker, tls, name, listener, keep_alive })
    }

    /// What rumqttc is to take for its Unix socket's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Dials the broker. From then on rumqttc can connect; nobody else gets an answer.
    pub async fn open(self) -> Result<Link, TransportError> {
        let dialled = dial(&self.broker, self.tls.map(|loaded| loaded.client)).await?;
        let (silence, told) = watch::channel(silence(self.keep_alive));
        let host = self.broker.host;
        let (listener, stream) = (self.listener, dialled.stream);
        let task = tokio::spawn(async move {
            let local = accept(listener).await.map_err(TransportError::Local)?;
            carry(stream, local, told, &host).await
        });
        Ok(Link { task, silence, keep_alive: self.keep_alive, certificates: dialled.certificates })
    }
}

/// A connection in use. Dropped, it ends.
#[derive(Debug)]
pub struct Link {
    task: JoinHandle<Result<(), TransportError>>,
    silence: watch::Sender<Duration>,
    keep_alive: Duration,
    /// What the broker showed.
    pub certificates: Option<Arc<Vec<CertificateDer<'static>>>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long a broker that is alive can be silent: it answers a ping each keep-alive.
fn silence(keep_alive: Duration) -> Duration {
    keep_alive * 3 / 2
}

impl Link {
    /// Takes up the keep-alive the broker asks for, and answers how often it is to be pinged. A longer one than ours
    /// is not waited for (we may ping more often), and none at all (0) is no reason to believe in a dead link.
    pub fn agree(&mut self, asked_s: Option<u16>) -> Duration {
        let asked = asked_s.filter(|s| *s > 0).map(|s| Duration::from_secs(s.into()));
        let agreed = asked.map_or(self.keep_alive, |asked| asked.min(self.keep_alive));
        self.silence.send_replace(silence(agreed));
        agreed
    }

    /// Why the connection ended, when rumqttc says that it did: what we saw ourselves, unless it knows better.
    pub async fn why(mut self, error: ConnectionError) -> Result<ConnectionError, TransportError> {
        use rumqttc::v5::StateError::{ConnectionAborted, Deserialization, Io};
        let is_word_of_broker = match &error {
            ConnectionError::Io(_) | ConnectionError::Timeout(_) => false,
            ConnectionError::MqttState(state) => {
                !matches!(state, ConnectionAborted | Deserialization(_) | Io(_))
            }
            ConnectionError::ConnectionRefused(_)
            | ConnectionError::NotConnAck(_)
            | ConnectionError::RequestsDone => true,
        };
        if is_word_of_broker {
            return Ok(error);
        }
        match timeout(LAST_WORDS * 2, &mut self.task).await {
            Ok(Ok(Err(seen))) => Err(seen),
            _ => Ok(error),
        }
    }
}

/// Takes the first peer that is this very process, and closes the door.
async fn accept(listener: UnixListener) -> io::Result<UnixStream> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        let (peer, _) = listener.accept().await?;
        if peer.peer_cred()?.pid() == Some(own) {
            set_socket_send_buffer_size(&peer, WAITING_BYTES)?;
            return Ok(peer);
        }
        tracing::warn!("another process tried to take the broker's connection");
    }
}

/// Until one side ends. `Ok`: rumqttc was the one.
async fn carry(
    broker: Box<dyn Stream>,
    local: UnixStream,
    silence: watch::Receiver<Duration>,
    host: &str,
) -> Result<(), TransportError> {
    let (from_broker, to_broker) = split(broker);
    let (from_local, to_local) = local.into_split();
    let down = down(from_broker, to_local, silence.clone());
    let up = up(from_local, to_broker, silence);
    tokio::pin!(down, up);
    let ended = tokio::select! {
        ended = &mut down => match ended {
            Ok(()) => timeout(LAST_WORDS, &mut up).await.unwrap_or(Ok(())),
            Err(end) => Err(end),
        },
        ended = &mut up => match ended {
            Ok(()) => Ok(()),
            Err(error) => timeout(LAST_WORDS, &mut down).await.unwrap_or(Err(error)),
        },
    };
    ended.map_err(|end| end.of(host))
}

/// The reason in a DISCONNECT at the end of these bytes, in the short form without properties (MQTT 5 §3.14.2). rumqttc
/// 0.25.1 waits for the properties that are not there, and never says that one came. What else ends like this is
/// harmless: it only counts where nothing follows.
fn last_word(said: &[u8]) -> Option<u8> {
    match said {
        [.., 0xE0, 1, reason] if *reason >= 0x80 => Some(*reason),
        _ => None,
    }
}

/// MQTT 5 §3.14.2.1, of the reasons a broker gives.
fn meaning(code: u8) -> &'static str {
    match code {
        0x81 | 0x82 => "it did not understand what we sent",
        0x87 => "we are not authorised; look at its access rules",
        0x89 => "it is busy",
        0x8B => "it is shutting down",
        0x8D => "it heard nothing of us in a keep-alive",
        0x93 => "we sent more than it would receive",
        0x95 => "a packet of ours was too large for it",
        0x97 => "we are beyond a quota of its",
        0x98 => "somebody who administers it did so",
        0x9A => "it retains nothing",
        0x9B => "it does not do QoS 1",
        _ => "see MQTT 5, section 3.14.2.1",
    }
}

/// How carrying ended.
enum End {
    Silent(Duration),
    Stuck(Duration),
    /// With the reason it gave last, if any.
    Closed(Option<u8>),
    Broken(io::Error),
}

impl End {
    fn of(self, host: &str) -> TransportError {
        match self {
            End::Silent(after) => TransportError::Silent(after),
            End::Stuck(after) => TransportError::Stuck(after),
            End::Closed(None) => TransportError::Closed,
            End::Closed(Some(0x8E)) => TransportError::TakenOver,
            End::Closed(Some(code)) => TransportError::Disconnected { why: meaning(code), code },
            End::Broken(error) => broken(error, host),
        }
    }
}

/// What the broker says, for rumqttc.
async fn down(
    mut broker: ReadHalf<Box<dyn Stream>>,
    mut local: OwnedWriteHalf,
    mut silence: watch::Receiver<Duration>,
) -> Result<(), End> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut heard = clock::instant();
    let mut reason = None;
    loop {
        let longest = *silence.borrow_and_update();
        let count = tokio::select! {
            read = broker.read(&mut piece) => read.map_err(End::Broken)?,
            () = sleep_until(heard + longest) => return Err(End::Silent(longest)),
            Ok(()) = silence.changed() => continue,
        };
        let said = piece.get(..count).unwrap_or_default();
        if said.is_empty() {
            return Err(End::Closed(reason));
        }
        reason = last_word(said);
        if local.write_all(said).await.is_err() {
            // rumqttc is gone. It has said all it had to.
            return Ok(());
        }
        // Not before: while it waited for rumqttc there was no listening.
        heard = clock::instant();
    }
}

/// What rumqttc says, for the broker.
async fn up(
    mut local: OwnedReadHalf,
    mut broker: WriteHalf<Box<dyn Stream>>,
    silence: watch::Receiver<Duration>,
) -> Result<(), End> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = local.read(&mut piece).await.unwrap_or(0);
        let said = piece.get(..count).unwrap_or_default();
        let longest = *silence.borrow();
        let send = async {
            if said.is_empty() {
                return broker.shutdown().await;
            }
            broker.write_all(said).await?;
            broker.flush().await
        };
        timeout(longest, send).await.map_err(|_| End::Stuck(longest))?.map_err(End::Broken)?;
        if count == 0 {
            return Ok(());
        }
    }
}
