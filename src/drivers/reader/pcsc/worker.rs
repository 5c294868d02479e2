//! The thread that reads cards: one context after another, and in each the reader's device, as long as it is there.
//!
//! ```text
//!   no context ──establish──► looking for its device ──claimed──► watching the field ──card──► reading its UID
//!       ▲                          ▲        │ device gone               │    ▲                        │
//!       │ any error: the context     └────────┴─────────────────────────────┘    └────── Tap ─────────────┘
//!       └ is dropped, back-off (a context that failed once stays broken, though `is_valid` says otherwise)
//! ```

use std::{
    collections::BTreeSet,
    convert::Infallible,
    ffi::{CStr, CString},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use pcsc::{Context, PNP_NOTIFICATION, ReaderState, Scope, State};
use tokio::sync::mpsc::Sender;

use super::{
    Claims, Config, Error,
    card::{self, CardError},
    display::Display,
    field::{Field, Turn},
    shared::{CurrentContext, Peer, Shared},
};
use crate::{
    control::{Event, ReaderEvent},
    domain::Uid,
    drivers::{
        backoff::Backoff,
        clock,
        reader::{
            link::{FLAPPING_CAP, STEADY},
            presence::{Presence, Sighting},
        },
        seldom::Seldom,
    },
};

/// How long one wait for a change takes at most: also how soon a thread notices that it is to end, should waking it
/// fail.
pub const WAIT: Duration = Duration::from_millis(1_000);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_millis(2_000);

/// How it was with the last device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stay {
    #[default]
    NeverUp,
    /// It went within [`STEADY`].
    Short,
    Long,
}

#[derive(Debug)]
pub struct Worker {
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
    pub fn new(
        config: Config,
        claims: &Claims,
        events: Sender<Event>,
        shared: &Arc<Shared>,
        context: &Arc<CurrentContext>,
        display: &Display,
    ) -> Self {
        Worker {
            config,
            claims: claims.clone(),
            events,
            shared: shared.clone(),
            context: context.clone(),
            display: display.clone(),
            backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
            flapping: Backoff::new(RETRY_FIRST, FLAPPING_CAP),
            stay: Stay::NeverUp,
            unreadable: Seldom::default(),
        }
    }

    /// Until the daemon stops.
    pub fn run(mut self) {
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
