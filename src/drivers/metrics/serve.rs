//! Listening, for ever: an address that can't be had is tried again, and of too many connections the oldest goes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use super::{Asks, Config, ListenError, connection, measure::Measure, page::Pages};
use crate::drivers::{backoff::Backoff, clock, seldom::Seldom};

/// Connections at a time. Who holds all of them open without asking loses the oldest to the next one that comes.
const CONNECTIONS: usize = 16;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(60);
/// After a failed `accept`: it fails where file descriptors have run out.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until nobody takes `asks` any more.
pub async fn run(config: Config, asks: Asks) {
    let config = Arc::new(config);
    let measure = Measure::new(config.clone());
    let pages = Arc::new(Pages::new(asks.clone(), measure));
    tokio::select! {
        () = asks.closed() => {}
        () = serve(&config, &pages) => {}
    }
}

async fn serve(config: &Config, pages: &Arc<Pages>) {
    let listener = listen(config).await;
    tracing::info!(listen = %config.listen, "metrics are served");
    let mut connections = Connections::default();
    let mut complaints = Seldom::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = pages.clone();
                let is_crowded = connections.add(async move { connection::serve(stream, &pages).await });
                if is_crowded && let Some(left_out) = complaints.may(clock::mono()) {
                    tracing::warn!(
                        limit = CONNECTIONS,
                        left_out,
                        "too many connections for metrics; the oldest was closed"
                    );
                }
            }
            Err(error) => {
                if let Some(left_out) = complaints.may(clock::mono()) {
                    tracing::warn!(%error, left_out, "a connection for metrics failed");
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// The doors have been served long before: whoever has the port may take their time.
async fn listen(config: &Config) -> TcpListener {
    let listen = config.listen;
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_CAP);
    let mut is_said = false;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => return listener,
            Err(error) => {
                let error = ListenError { listen, error };
                if is_said {
                    tracing::debug!(%error, "still no metrics");
                } else {
                    tracing::warn!(%error, "no metrics; doors work, and it is tried again");
                }
                is_said = true;
            }
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

/// The connections there are, oldest first.
#[derive(Debug, Default)]
struct Connections {
    running: JoinSet<()>,
    order: VecDeque<AbortHandle>,
}

impl Connections {
    /// Takes one up. Whether another had to go for it.
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) -> bool {
        while self.running.try_join_next().is_some() {}
        self.order.retain(|one| !one.is_finished());
        let crowded = if self.order.len() >= CONNECTIONS { self.order.pop_front() } else { None };
        if let Some(oldest) = &crowded {
            oldest.abort();
        }
        self.order.push_back(self.running.spawn(connection));
        crowded.is_some()
    }
}
