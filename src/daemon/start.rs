//! From a configuration to a running site: one short function a subsystem, in the order they need each other.

use std::path::{Path, PathBuf};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::channel,
};

use super::{
    config::Config,
    logging::Levels,
    serve,
    site::{Parts, Site, reading},
    socket::{self, SocketError},
    stores::{self, Stores},
    uplink::{self, Uplink},
    wiring::{self, Boards, Readers, WiringError},
};
use crate::{
    control::Controller,
    drivers::store::{
        barrier,
        cache::{self, CacheError},
        journal::{self, JournalError},
        key::KeyError,
        lock::{LockError, StateLock},
        mark::MarkError,
    },
};

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("can't make the state directory {path}: {error}")]
    StateDir { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Mark(#[from] MarkError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Wiring(#[from] WiringError),
    #[error(
        "the {part} has ended by itself, and can't be begun anew within this process: latchd ends, to be started anew (the \
         log says what it ended of)"
    )]
    Ended { part: &'static str },
    #[error("the system gives no {what}: {error}")]
    System { what: &'static str, error: std::io::Error },
}

impl StartError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> StartError {
        move |error| StartError::System { what, error }
    }
}

/// Events on their way to the controller. Readers and boards send few; a storm of them waits in the drivers.
const EVENTS: usize = 1024;

/// Runs the daemon until SIGTERM or SIGINT. `path`: where the configuration is read again on SIGHUP; `levels`: what of
/// it all is logged.
pub fn run(config: &Config, path: &Path, levels: &Levels) -> Result<(), StartError> {
    let barrier = barrier::install();
    if let Err(error) = &barrier {
        tracing::warn!(%error, "each change costs one more sync");
    }
    std::fs::create_dir_all(&config.state_dir)
        .map_err(|error| StartError::StateDir { path: config.state_dir.clone(), error })?;
    let _lock = StateLock::take(&config.state_dir)?;
    socket::free(&config.socket)?;
    let settings = wiring::settings(config);
    let Stores { hasher, opened, journal_key, mark, keeper, restored } =
        stores::open(config, &settings, barrier.is_ok())?;
    let (controller, first_actions) = Controller::new(settings.clone(), hasher.clone(), restored, reading());
    let runtime = current_thread().map_err(StartError::system("runtime"))?;
    let (events, happening) = channel(EVENTS);
    let journal_id = opened.id.clone();
    let Uplink { commands, settings: link, ends: link_ends } =
        uplink::start(config, hasher, journal_id, events.clone())?;
    let site = runtime.block_on(async {
        let site = Site::new(Parts {
            controller,
            journal: journal::spawn(opened, mark, journal_key, events.clone())?,
            cache: cache::spawn(keeper, events.clone())?,
            uplink: commands,
            boards: Boards::start(config, &events),
            readers: Readers::start(config, &events)?,
            state_dir: config.state_dir.clone(),
            levels: levels.clone(),
            settings,
            events,
        });
        site.begin(first_actions);
        Ok::<_, StartError>(site)
    })?;
    let served = serve::until_told_to_stop(&runtime, config, path, link, &site, happening);
    drop(site);
    // Not to wait for a file that is being read from a disk that stands still.
    runtime.shutdown_background();
    link_ends.wait();
    served?;
    tracing::info!("stopped");
    Ok(())
}

pub(super) fn current_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
