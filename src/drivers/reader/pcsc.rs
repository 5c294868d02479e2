//! Readers behind pcscd (crate `pcsc`): threads and contexts of their own for each reader, because every call of PC/SC
//! may block. Three look after one another:
//!
//! ```text
//!   worker ── a thread: finds the device, watches its field, reads cards ──► Connected, Lost, Tap
//!      │ plugged in, a card comes
//!      ▼
//!   display ── a thread where the device has lamps: shows feedback
//!
//!   watch_over ── a task, which waits for nothing ──► Lost when either thread hangs in a call
//! ```

pub mod card;
mod claims;
mod display;
mod field;
mod panel;
mod shared;
mod worker;

use std::{io, sync::Arc, thread, time::Duration};

use tokio::{
    sync::mpsc::Sender,
    task,
    time::{MissedTickBehavior, interval},
};

use self::{
    display::Display,
    shared::{CurrentContext, Shared},
    worker::Worker,
};
use super::UidOrder;
use crate::{
    control::{Event, Feedback},
    domain::ReaderId,
    drivers::clock,
};

pub use claims::Claims;

/// How often the handle looks whether its thread hangs.
const WATCH: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub reader: ReaderId,
    /// Name of the device, as `pcsc_scan` shows it; may use `*`, as in a shell.
    pub name: String,
    pub uid_order: UidOrder,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reader {reader}: its thread could not be started: {source}")]
    Thread { reader: ReaderId, source: io::Error },
    #[error("pcscd does not serve: {doing}: {source}; is it running (systemctl status pcscd.socket)?")]
    Service { doing: &'static str, source: pcsc::Error },
    /// The watchdog gave the call up, and has said so.
    #[error("pcscd did not answer in time")]
    GivenUp,
    #[error("its driver has failed; report this, with the log")]
    Panicked,
    #[error("the daemon is stopping")]
    Stopping,
}

/// A running reader. Dropping it ends the thread.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    context: Arc<CurrentContext>,
    display: Display,
    watchdog: task::JoinHandle<()>,
}

impl Handle {
    /// Waits for nothing: what the device is told, it is told by another thread.
    pub fn feedback(&self, feedback: Feedback) {
        self.display.show(feedback);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.watchdog.abort();
        self.shared.stop();
        self.display.stop();
        self.context.cancel();
    }
}

/// Starts a reader's thread, and its watchdog in the current runtime. `claims` is one for all PC/SC readers, and was
/// made of all of them.
pub fn spawn(config: Config, claims: &Claims, events: Sender<Event>) -> Result<Handle, Error> {
    let reader = config.reader.clone();
    let shared = Arc::new(Shared::default());
    let context = Arc::new(CurrentContext::default());
    let display = Display::new(reader.clone(), shared.clone());
    let worker = Worker::new(config, claims, events.clone(), &shared, &context, &display);
    let thread = thread::Builder::new()
        .name(format!("pcsc-{reader}").chars().take(15).collect())
        .spawn(move || worker.run())
        .map_err(|source| Error::Thread { reader: reader.clone(), source })?;
    let watchdog = task::spawn(watch_over(reader, shared.clone(), events, thread));
    Ok(Handle { shared, context, display, watchdog })
}

/// Says `Lost` for a thread that can't, because it hangs in a call.
async fn watch_over(
    reader: ReaderId,
    shared: Arc<Shared>,
    events: Sender<Event>,
    thread: thread::JoinHandle<()>,
) {
    let mut ticks = interval(WATCH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ended = thread.is_finished();
        if !ended && !shared.is_hung(clock::mono()) {
            continue;
        }
        let Ok(room) = events.reserve().await else { return };
        let say = |what| room.send(Event::Reader { reader: reader.clone(), what });
        if !ended {
            shared.give_up(clock::mono(), say);
            continue;
        }
        if !shared.is_stopping() {
            tracing::error!(%reader, "the reader's thread has ended by itself; restart latchd, and report this");
            if let Some(event) = shared.lost("its driver has failed") {
                say(event);
            }
        }
        return;
    }
}
