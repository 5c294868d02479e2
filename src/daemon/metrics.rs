//! The metrics endpoint's own thread and runtime, how it gets to see the doors, and that there is one whatever happens
//! to it.
//!
//! Its requests come over a queue of one, and are answered between what happens at doors: a look copies what `latchctl
//! status` shows, and some counts. What a scrape takes beyond that, HTTP and text and files, happens on the thread.

use std::{io, sync::mpsc, thread::JoinHandle, time::Duration};

use tokio::{
    sync::{
        mpsc::{Receiver, channel},
        watch,
    },
    time::sleep,
};

use super::{config::Config, site::Site, start::current_thread};
use crate::drivers::{
    backoff::Backoff,
    metrics::{self, Ask},
};

/// Before a thread that has failed is started again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The endpoint that is to be, if there is to be one.
pub fn wanted(config: &Config) -> Option<metrics::Config> {
    let listen = config.metrics?;
    let stores = ["cache", "journal"].map(|name| (name, config.state_dir.join(name)));
    Some(metrics::Config { listen, stores: stores.to_vec() })
}

/// Keeps the endpoint that is wanted, and starts it again when it fails, for ever.
pub async fn keep(mut wanted: watch::Receiver<Option<metrics::Config>>, site: Site) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let own = wanted.borrow_and_update().clone();
        let Some(own) = own else {
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let trouble = tokio::select! {
            trouble = serve(own, &site) => trouble,
            changed = wanted.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        site.failed("metrics", trouble);
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Serves until the thread ends, which it does not by itself. What it ended of.
async fn serve(own: metrics::Config, site: &Site) -> String {
    if !own.listen.ip().is_loopback() {
        let listen = own.listen;
        tracing::warn!(%listen, "whoever reaches this address reads the metrics: who comes through which door, and when");
    }
    match start(own) {
        Ok((asks, thread)) => {
            show(asks, site).await;
            // It has let go of its end of the queue, and ends.
            match thread.join() {
                Ok(()) => "its thread has ended".into(),
                Err(_) => "its thread ended in a panic".into(),
            }
        }
        Err(error) => format!("there is no thread for it: {error}"),
    }
}

/// Starts the thread, which ends when `asks` are dropped.
fn start(own: metrics::Config) -> io::Result<(Receiver<Ask>, JoinHandle<()>)> {
    let (ask, asks) = channel(1);
    let (started, outcome) = mpsc::sync_channel(1);
    let thread =
        std::thread::Builder::new().name("metrics".into()).spawn(move || match current_thread() {
            Ok(runtime) => {
                let _heard = started.send(Ok(()));
                runtime.block_on(metrics::run(own, ask));
                // Not to wait for a disk that stands still.
                runtime.shutdown_background();
            }
            Err(error) => _ = started.send(Err(error)),
        })?;
    match outcome.recv() {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok((asks, thread)),
    }
}

/// Shows the site to whoever asks.
async fn show(mut asks: Receiver<Ask>, site: &Site) {
    while let Some(ask) = asks.recv().await {
        // Who has given up waiting does not see it.
        let _gone = ask.send(site.snapshot());
    }
}
