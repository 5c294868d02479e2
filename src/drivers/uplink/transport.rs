//! From an address to a stream of bytes: names resolved, addresses tried, TLS shaken hands on, each within a limit and
//! each failure a sentence of its own.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig,
        pki_types::{CertificateDer, ServerName},
    },
};

use super::{certificates::FileError, tls::TlsError};
use crate::drivers::clock;

/// The broker's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IPv4 or IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Address { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Why there is no connection to the broker, or no more.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("can't resolve {host}: {error}; is the name in mqtt.url right, and does DNS work here?")]
    Resolve { host: String, error: io::Error },
    #[error("can't resolve {host}: no answer within {} s; does DNS work here?", CONNECT.as_secs())]
    ResolveTimeout { host: String },
    #[error("can't connect to {address}: {error}")]
    Connect { address: SocketAddr, error: io::Error },
    #[error("can't connect to {address}: no answer within {} s", .after.as_secs_f32().round())]
    ConnectTimeout { address: SocketAddr, after: Duration },
    #[error(transparent)]
    Tls(TlsError),
    #[error("the broker did not finish the TLS handshake within {} s", HANDSHAKE.as_secs())]
    HandshakeTimeout,
    #[error("the broker hung up in the TLS handshake: {0}; is that its TLS port?")]
    Handshake(io::Error),
    #[error("the broker has been silent for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("the broker has taken nothing for {} s", .0.as_secs_f32())]
    Stuck(Duration),
    #[error("the broker closed the connection")]
    Closed,
    #[error("the broker closed the connection: {why} (reason {code:#04x})")]
    Disconnected { code: u8, why: &'static str },
    /// Another client came under our id.
    #[error("the broker gave the connection to another client")]
    TakenOver,
    #[error("the connection to the broker broke: {0}")]
    Broken(io::Error),
    #[error("can't make the socket to the MQTT client: {0}")]
    Local(io::Error),
}

impl TransportError {
    /// The other end hung up without a word. Where we were talking just then, its hanging up is a reset.
    pub fn is_closed_by_broker(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        let is_reset =
            |error: &io::Error| matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset);
        matches!(self, TransportError::Closed)
            || matches!(self, TransportError::Broken(error) if is_reset(error))
    }
}

/// For resolving and connecting, and again for the handshake: together less than the link waits for a broker's answer,
/// so that the reason is said and not only the wait.
const CONNECT: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(4);
/// The socket's receive buffer. rumqttc sends one acknowledgement for every read, and a read takes up to ten messages
/// if they are there: with little room they come one by one, and acknowledgements keep pace.
const RECEIVE_BUFFER_BYTES: u32 = 32 * 1024;

/// Both kinds of stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream to the broker, and the certificates it showed, its own first.
#[expect(missing_debug_implementations, reason = "a stream shows nothing")]
pub struct Dialled {
    pub stream: Box<dyn Stream>,
    pub certificates: Option<Arc<Vec<CertificateDer<'static>>>>,
}

/// Connects to the broker, with TLS if there is a configuration for it.
pub async fn dial(broker: &Address, tls: Option<Arc<ClientConfig>>) -> Result<Dialled, TransportError> {
    let tcp = connect(broker).await?;
    let Some(tls) = tls else { return Ok(Dialled { stream: Box::new(tcp), certificates: None }) };
    let name = ServerName::try_from(broker.host.clone()).map_err(|_| TransportError::Resolve {
        host: broker.host.clone(),
        error: io::Error::other("not a name a certificate can be for"),
    })?;
    let shake = TlsConnector::from(tls).connect(name, tcp);
    let stream = timeout(HANDSHAKE, shake).await.map_err(|_| TransportError::HandshakeTimeout)?;
    let stream = stream.map_err(|error| match TlsError::within(&error, &broker.host) {
        Some(error) => TransportError::Tls(error),
        None => TransportError::Handshake(error),
    })?;
    let shown = stream.get_ref().1.peer_certificates();
    let certificates = shown.map(|chain| Arc::new(chain.iter().map(|c| c.clone().into_owned()).collect()));
    Ok(Dialled { stream: Box::new(stream), certificates })
}

/// Tries every address of the name, each with its share of the time that is left.
async fn connect(broker: &Address) -> Result<TcpStream, TransportError> {
    let host = broker.host.as_str();
    let end = clock::instant() + CONNECT;
    let found = timeout(CONNECT, lookup_host((host, broker.port))).await;
    let found = found.map_err(|_| TransportError::ResolveTimeout { host: host.to_owned() })?;
    let unresolved = |error| TransportError::Resolve { host: host.to_owned(), error };
    let addresses: Vec<SocketAddr> = found.map_err(unresolved)?.collect();
    let mut last = unresolved(io::Error::other("the name has no address"));
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(clock::instant()) / left;
        last = match timeout(share, connect_to(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => TransportError::Connect { address: *address, error },
            Err(_) => TransportError::ConnectTimeout { address: *address, after: share },
        };
    }
    Err(last)
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    // Before connecting, because the window is agreed on then.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// What an error of a stream in use means.
pub fn broken(error: io::Error, host: &str) -> TransportError {
    match TlsError::within(&error, host) {
        Some(error) => TransportError::Tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => TransportError::Closed,
        None => TransportError::Broken(error),
    }
}
