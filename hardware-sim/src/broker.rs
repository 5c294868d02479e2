//! The embedded MQTT 5 broker of the demo: rumqttd, in memory, on a loopback port, that can be stopped for real.
//!
//! It stands alone because rumqttd's own `Broker::start` neither ends nor says when its port is taken. So its router and
//! server are run here on a runtime of our own: the port is known to be ours before it says so, and dropping the runtime
//! closes the listener and every connection, as a broker that goes away does. What stays behind is rumqttd's router
//! thread, parked for good: one for each start.

use rumqttd::protocol::v5::V5;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A packet larger than this is refused, as by a broker with sane settings; feed messages stay far below it.
pub const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Clients at once: a controller, a central, and people looking on.
const CONNECTIONS_MAX: usize = 64;
/// How long stopping may wait for a task that is in the middle of something.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// How long the listener may take to answer after it was started.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The port can't be had.
    #[error("broker can't listen on {listen}; choose another port, or 0 for any free one")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// rumqttd ended while starting.
    #[error("broker on {listen} ended while starting: {detail}")]
    Ended {
        /// The address asked for.
        listen: SocketAddr,
        /// What rumqttd said.
        detail: String,
    },
    /// No thread or no runtime for it.
    #[error("broker on {listen} could not be started")]
    Start {
        /// The address asked for.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// A running broker; dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    listen: SocketAddr,
    /// Dropped to end the thread's runtime.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker; with port 0 on a free one. When it returns, clients can connect.
    ///
    /// # Errors
    /// The port is taken, or the system has no more threads.
    pub fn start(listen: SocketAddr) -> Result<Broker, BrokerError> {
        Broker::start_for(listen, CONNECTIONS_MAX)
    }

    /// The same for so many clients at once.
    ///
    /// # Errors
    /// As there.
    pub fn start_for(listen: SocketAddr, connections: usize) -> Result<Broker, BrokerError> {
        let listen = free_address(listen)?;
        let failed = |source| BrokerError::Start { listen, source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let (ended_tx, ended) = mpsc::channel();
        let serve = move || {
            runtime.block_on(serve(listen, connections, stopped, ended_tx));
            runtime.shutdown_timeout(STOP_WITHIN);
        };
        let thread = thread::Builder::new().name("sim-broker".to_owned()).spawn(serve).map_err(failed)?;
        // From here on dropping the broker, on any way out, ends the thread.
        let broker = Broker { listen, stop: Some(stop), thread: Some(thread) };
        wait_until_listening(listen, &ended)?;
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The same as a client's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.listen)
    }

    /// Closes the listener and every connection. What was retained or queued is gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has said so on standard error, and is gone all the same.
            let _ = thread.join();
        }
    }
}

async fn serve(
    listen: SocketAddr,
    connections: usize,
    stopped: oneshot::Receiver<()>,
    ended: mpsc::Sender<String>,
) {
    let router = Router::new(0, router_config(connections)).spawn();
    let mut server = Server::new(server_settings(listen), router, V5);
    tokio::select! {
        result = server.start(LinkType::Remote) => {
            let detail = result.err().map_or_else(|| "no reason given".to_owned(), |error| error.to_string());
            tracing::error!(%listen, detail, "the embedded broker ended by itself");
            // Nobody listens for this once the start has been answered.
            let _ = ended.send(detail);
        }
        // An error here is the sender dropped: that is the sign to stop.
        _ = stopped => {}
    }
}

/// Checks that the port is free before rumqttd is let at it, and turns port 0 into one that is.
fn free_address(listen: SocketAddr) -> Result<SocketAddr, BrokerError> {
    let failed = |source| BrokerError::Listen { listen, source };
    let probe = std::net::TcpListener::bind(listen).map_err(failed)?;
    probe.local_addr().map_err(failed)
}

fn wait_until_listening(listen: SocketAddr, ended: &mpsc::Receiver<String>) -> Result<(), BrokerError> {
    crate::wait::until(READY_WITHIN, || {
        if let Ok(detail) = ended.try_recv() {
            return Some(Err(BrokerError::Ended { listen, detail }));
        }
        TcpStream::connect_timeout(&listen, READY_WITHIN).ok().map(|_| Ok(()))
    })
    .unwrap_or_else(|| Err(BrokerError::Ended { listen, detail: "it does not answer".to_owned() }))
}

fn router_config(max_connections: usize) -> RouterConfig {
    RouterConfig {
        max_connections,
        max_outgoing_packet_count: 200,
        max_segment_size: 8 * 1024 * 1024,
        max_segment_count: 8,
        ..RouterConfig::default()
    }
}

fn server_settings(listen: SocketAddr) -> ServerSettings {
    ServerSettings {
        name: "sim".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: PACKET_BYTES_MAX,
            max_inflight_count: 200,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    }
}
