//! Readers behind pcscd (crate `pcsc`): one thread and one context a reader, because every call of PC/SC may block.
//!
//! ```text
//!   no context ──establish──► looking for its device ──claimed──► watching the field ──card──► reading its UID
//!       ▲                          ▲        │ device gone               │    ▲                        │
//!       │ any error: the context     └────────┴─────────────────────────────┘    └────── Tap ─────────────┘
//!       └ is dropped, back-off (a context that failed once stays broken, though `is_valid` says otherwise)
//! ```
//!
//! Three look after each other: the thread reads cards (this file), another shows feedback (`display`), and a task
//! (`watch_over`) says `Lost` when either hangs in a call.

mod card;
mod claims;
mod display;
mod field;
mod panel;
mod shared;

use std::{
    collections::BTreeSet,
    convert::Infallible,
    ffi::{CStr, CString},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use pcsc::{Context, PNP_NOTIFICATION, ReaderState, Scope, State};
use tokio::{
    sync::mpsc::Sender,
    task,
    time::{MissedTickBehavior, interval},
};

use self::{
    card::CardError,
    display::Display,
    field::{Field, Turn},
    shared::{CurrentContext, Peer, Shared},
};
use super::{
    UidOrder,
    link::{FLAPPING_CAP, STEADY},
    presence::{Presence, Sighting},
};
use crate::{
    control::{Event, Feedback, ReaderEvent},
    domain::{ReaderId, Uid},
    drivers::{backoff::Backoff, clock, seldom::Seldom},
};

pub use claims::Claims;

/// How long one wait for a change takes at most: also how soon a thread notices that it is to end, should waking it
/// fail.
const WAIT: Duration = Duration::from_millis(1_000);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_millis(2_000);
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
    let worker = Worker {
        config,
        claims: claims.clone(),
        events: events.clone(),
        shared: shared.clone(),
        context: context.clone(),
        display: display.clone(),
        backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
        flapping: Backoff::new(RETRY_FIRST, FLAPPING_CAP),
        stay: Stay::NeverUp,
        unreadable: Seldom::default(),
    };
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

/// How it was with the last device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stay {
    #[default]
    NeverUp,
    /// It went within [`STEADY`].
    Short,
    Long,
}

struct Worker {
    config: Config,
    claims: Claims,
    events: Sender<Event>,
    shared: Arc<Shared>,
    context: Arc<CurrentContext>,
    display: Display,
    backoff: Backoff,
    /// For a device, or a pcscd, that keeps going as soon as it has come.
    flapping: Backoff,
    stay: Stay,
    unreadable: Seldom,
}

impl Worker {
    fn run(mut self) {
        // The first device of the first context may have been there for days: then whatever comes is a tap.
        let mut steady = true;
        loop {
            // What a library panics at must not take the door's reader with it for good.
            let session = catch_unwind(AssertUnwindSafe(|| self.session(steady)));
            let Err(error) = session.unwrap_or(Err(Error::Panicked));
            self.context.set(None);
            steady = false;
            match error {
                Error::Stopping => return,
                Error::Service { .. } | Error::GivenUp | Error::Thread { .. } | Error::Panicked => {
                    let detail = error.to_string();
                    let said = self.lost(&detail).and_then(|()| self.send(ReaderEvent::Restarted { detail }));
                    if said.is_err() || !self.rest() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits before it is tried again. False: the thread is to end.
    fn rest(&mut self) -> bool {
        let backoff = match std::mem::take(&mut self.stay) {
            Stay::Short => &mut self.flapping,
            Stay::NeverUp | Stay::Long => &mut self.backoff,
        };
        self.shared.rest(backoff.wait())
    }

    /// One context, from its establishing to its first error.
    fn session(&mut self, mut steady: bool) -> Result<Infallible, Error> {
        let context = self.call("connecting to it", || Context::establish(Scope::System))?;
        self.context.set(Some(context.clone()));
        loop {
            let devices = self.devices(&context)?;
            match self.claims.device_of(&self.config.reader, &devices) {
                Some(device) => {
                    let field = if steady { Field::steady() } else { Field::returned(clock::mono()) };
                    self.watch(&context, &device, field)?;
                    // A device that pcscd has and can't reach would have us turn round at full speed.
                    if self.stay != Stay::Long && !self.rest() {
                        return Err(Error::Stopping);
                    }
                }
                None => {
                    self.lost(&self.nobody(&devices))?;
                    self.await_devices(&context, devices.len())?;
                }
            }
            steady = false;
        }
    }

    fn devices(&self, context: &Context) -> Result<BTreeSet<String>, Error> {
        let names = self.call("listing readers", || context.list_readers_owned())?;
        Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn nobody(&self, devices: &BTreeSet<String>) -> String {
        let there = if devices.is_empty() {
            "pcscd has none".to_owned()
        } else {
            format!("pcscd has {}", devices.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        format!("no free PC/SC reader is named {:?}; {there}", self.config.name)
    }

    /// Until a reader is plugged in or pulled out.
    fn await_devices(&self, context: &Context, known: usize) -> Result<(), Error> {
        // pcscd compares the high word with its own number of readers.
        let known = State::from_bits_retain((known << 16).try_into().unwrap_or_default());
        let mut states = [ReaderState::new(PNP_NOTIFICATION(), known)];
        self.wait(context, &mut states)
    }

    /// Until the device is gone.
    fn watch(&mut self, context: &Context, device: &str, field: Field) -> Result<(), Error> {
        self.stay = Stay::NeverUp;
        self.display.plugged_in(device);
        let began = clock::mono();
        let outcome = self.watch_field(context, device, field);
        self.display.unplugged();
        if self.stay == Stay::Short && clock::mono().since(began) >= STEADY {
            self.stay = Stay::Long;
            self.flapping.reset();
        }
        outcome
    }

    fn watch_field(&mut self, context: &Context, device: &str, mut field: Field) -> Result<(), Error> {
        let Ok(name) = CString::new(device) else { return Ok(()) };
        let mut states = [ReaderState::new(name.clone(), State::UNAWARE)];
        let mut presence = Presence::default();
        loop {
            match self.wait(context, &mut states) {
                Err(Error::Service { source: pcsc::Error::UnknownReader, .. }) => break,
                other => other?,
            }
            let [state] = &mut states;
            if state.event_state().intersects(State::UNKNOWN | State::UNAVAILABLE | State::IGNORE) {
                break;
            }
            state.sync_current_state();
            self.backoff.reset();
            self.stay = Stay::Short;
            if let Some(event) = self.shared.connected(device) {
                self.send(event)?;
            }
            let present = state.event_state().contains(State::PRESENT);
            let turn = field.look(clock::mono(), present, state.event_count());
            self.act(context, &name, turn, &mut presence)?;
        }
        self.lost(&format!("{device} was unplugged"))
    }

    fn act(
        &mut self,
        context: &Context,
        name: &CStr,
        turn: Turn,
        presence: &mut Presence,
    ) -> Result<(), Error> {
        match turn {
            Turn::Nothing => Ok(()),
            Turn::Emptied => {
                presence.removed(clock::mono());
                Ok(())
            }
            Turn::Found => self.read(context, name, |worker, answer| {
                match answer {
                    Ok(uid) => presence.lying(clock::mono(), uid),
                    Err(error) => {
                        tracing::debug!(reader = %worker.config.reader, %error, "what lies there is unreadable")
                    }
                }
                Ok(())
            }),
            Turn::Arrived { swapped } => {
                if swapped {
                    presence.removed(clock::mono());
                }
                self.read(context, name, |worker, answer| worker.tapped(answer, presence))
            }
        }
    }

    fn tapped(&mut self, answer: Result<Uid, CardError>, presence: &mut Presence) -> Result<(), Error> {
        match answer {
            Ok(uid) => match presence.seen(clock::mono(), uid) {
                Sighting::Tap => self.send(ReaderEvent::Tap(uid)),
                Sighting::Lying => Ok(()),
            },
            Err(error) => {
                if let Some(left_out) = self.unreadable.may(clock::mono()) {
                    tracing::info!(reader = %self.config.reader, %error, left_out, "a card could not be read");
                }
                self.send(ReaderEvent::Unreadable { detail: error.to_string() })
            }
        }
    }

    /// Reads the card and acts on the answer, before the card is let go.
    fn read(
        &mut self,
        context: &Context,
        name: &CStr,
        act: impl FnOnce(&mut Worker, Result<Uid, CardError>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.display.make_way();
        let shared = self.shared.clone();
        let order = self.config.uid_order;
        let answer = shared.within(Peer::Card, || card::read(context, name));
        let (answer, open) = answer.ok_or(Error::GivenUp)?;
        if let Err(CardError::Link(source)) = answer {
            return Err(Error::Service { doing: "reading a card", source });
        }
        let done = act(self, answer.map(|uid| order.apply(uid)));
        shared.within(Peer::Card, || card::close(open)).ok_or(Error::GivenUp)?;
        done
    }

    /// Waits for a change, or for [`WAIT`]; then says what is.
    fn wait(&self, context: &Context, states: &mut [ReaderState]) -> Result<(), Error> {
        loop {
            match self.call("waiting for a card", || context.get_status_change(WAIT, states)) {
                Err(Error::Service { source: pcsc::Error::Timeout, .. }) => return Ok(()),
                Err(Error::Service { source: pcsc::Error::Cancelled, .. }) => {}
                other => return other,
            }
        }
    }

    fn call<T>(
        &self,
        doing: &'static str,
        call: impl FnOnce() -> Result<T, pcsc::Error>,
    ) -> Result<T, Error> {
        if self.shared.is_stopping() {
            return Err(Error::Stopping);
        }
        let outcome = self.shared.within(Peer::Pcscd, call).ok_or(Error::GivenUp)?;
        outcome.map_err(|source| Error::Service { doing, source })
    }

    fn lost(&self, detail: &str) -> Result<(), Error> {
        match self.shared.lost(detail) {
            Some(event) => self.send(event),
            None => Ok(()),
        }
    }

    fn send(&self, what: ReaderEvent) -> Result<(), Error> {
        let reader = self.config.reader.clone();
        // Fails only when nobody listens any more.
        self.events.blocking_send(Event::Reader { reader, what }).map_err(|_| Error::Stopping)
    }
}
