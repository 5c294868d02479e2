//! The metrics endpoint's own thread and runtime, and how it gets to see the doors.
//!
//! Its requests come over a queue of one, and are answered between what happens at doors: a look copies what `latchctl
//! status` shows, and some counts. What a scrape takes beyond that, HTTP and text and files, happens on the thread.

use std::{sync::mpsc, thread::JoinHandle};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{
    config::Config,
    site::Site,
    start::{StartError, current_thread},
};
use crate::{
    control::Event,
    drivers::metrics::{self, Ask},
    wire::metrics::Queue,
};

/// The running endpoint.
#[derive(Debug)]
pub struct Endpoint {
    pub asks: Receiver<Ask>,
    pub thread: JoinHandle<()>,
}

/// Starts the thread, which ends when `asks` are dropped. `None`: there is to be no endpoint.
pub fn start(config: &Config) -> Result<Option<Endpoint>, StartError> {
    let Some(listen) = config.metrics else { return Ok(None) };
    if !listen.ip().is_loopback() {
        tracing::warn!(%listen, "whoever reaches this address reads the metrics: who comes through which door, and when");
    }
    let stores = ["cache", "journal"].map(|name| (name, config.state_dir.join(name)));
    let own = metrics::Config { listen, stores: stores.to_vec() };
    let (ask, asks) = channel(1);
    let (started, outcome) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("metrics".into())
        .spawn(move || match current_thread() {
            Ok(runtime) => {
                let _heard = started.send(Ok(()));
                runtime.block_on(metrics::run(own, ask));
                // Not to wait for a disk that stands still.
                runtime.shutdown_background();
            }
            Err(error) => _ = started.send(Err(error)),
        })
        .map_err(StartError::system("thread for the metrics"))?;
    if let Ok(Err(error)) = outcome.recv() {
        return Err(StartError::system("runtime for the metrics")(error));
    }
    Ok(Some(Endpoint { asks, thread }))
}

/// Shows the site to whoever asks, for ever. `events`: how much is on its way to the controller.
pub async fn show(mut asks: Receiver<Ask>, site: Site, events: Sender<Event>) {
    while let Some(ask) = asks.recv().await {
        let mut snapshot = site.snapshot();
        let length = (events.max_capacity() - events.capacity()) as u64;
        let limit = Some(events.max_capacity() as u64);
        snapshot.queues.push(Queue { name: "events", length, limit });
        // Who has given up waiting does not see it.
        let _gone = ask.send(snapshot);
    }
}
