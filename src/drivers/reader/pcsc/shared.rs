//! What a PC/SC reader's thread and its handle both know. The thread may hang in a call for ever (a stopped pcscd
//! blocks even a wait with a time-out), so the handle must be able to tell, and to say so in its stead.

use std::{
    fmt, io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use pcsc::Context;

use crate::{
    control::ReaderEvent,
    domain::Mono,
    drivers::{clock, reader::link::Link},
};

/// Longer in one call than this, and nobody answers. Above [`super::worker::WAIT`], which a wait may take by right.
const HUNG: Duration = Duration::from_millis(3_000);

/// Whom the thread that reads cards waits for, for the words of `Lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Pcscd,
    Card,
}

#[derive(Debug, Default)]
pub struct Shared {
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct State {
    link: Link,
    stop: bool,
    /// The call the thread is in, and since when: its heartbeat.
    call: Option<(Peer, Mono)>,
    /// Since when the thread that shows feedback is in a call.
    panel: Option<Mono>,
    /// That call was given up: until it is over no card is seen either, whatever pcscd says.
    panel_hangs: bool,
}

impl State {
    /// Who has not answered for too long, and has not been given up.
    fn hung(&self, now: Mono) -> Option<&'static str> {
        let is_long = |since: Mono| now.since(since) >= HUNG;
        match (self.call, self.panel) {
            (Some((Peer::Pcscd, since)), _) if is_long(since) => Some("pcscd does not answer"),
            (Some((Peer::Card, since)), _) if is_long(since) => {
                Some("the reader or the card on it does not answer")
            }
            (_, Some(since)) if is_long(since) && !self.panel_hangs => {
                Some("the reader does not answer a command to its lamps")
            }
            _ => None,
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call that may hang. `None`: it was given up meanwhile, or the thread is to end; what it brought is stale.
    pub fn within<T>(&self, peer: Peer, call: impl FnOnce() -> T) -> Option<T> {
        let started = clock::mono();
        self.state().call = Some((peer, started));
        let outcome = call();
        let given_up = self.state().call.take().is_none();
        (!given_up).then_some(outcome)
    }

    /// The same for the thread that shows feedback; what comes late is no worse for it.
    pub fn within_panel<T>(&self, call: impl FnOnce() -> T) -> T {
        let started = clock::mono();
        self.state().panel = Some(started);
        let outcome = call();
        let mut state = self.state();
        (state.panel, state.panel_hangs) = (None, false);
        outcome
    }

    pub fn connected(&self, detail: &str) -> Option<ReaderEvent> {
        let mut state = self.state();
        if state.panel_hangs { None } else { state.link.connected(|| detail.to_owned()) }
    }

    pub fn lost(&self, detail: &str) -> Option<ReaderEvent> {
        self.state().link.lost(|| detail.to_owned())
    }

    pub fn is_stopping(&self) -> bool {
        self.state().stop
    }

    pub fn stop(&self) {
        self.state().stop = true;
        self.stopping.notify_all();
    }

    /// Waits out a back-off. False: the thread is to end.
    pub fn rest(&self, time: Duration) -> bool {
        let (state, _) = self
            .stopping
            .wait_timeout_while(self.state(), time, |state| !state.stop)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stop
    }

    /// Is the thread stuck in a call at `now`?
    pub fn is_hung(&self, now: Mono) -> bool {
        self.state().hung(now).is_some()
    }

    /// Gives the call up, and says so by `say` if that is news: while the lock is held, so that the thread's next
    /// `Connected` can't overtake it.
    pub fn give_up(&self, now: Mono, say: impl FnOnce(ReaderEvent)) {
        let mut state = self.state();
        let Some(detail) = state.hung(now) else { return };
        let is_long = |since: Mono| now.since(since) >= HUNG;
        state.call = state.call.filter(|(_, since)| !is_long(*since));
        state.panel_hangs |= state.panel.is_some_and(is_long);
        if let Some(event) = state.link.lost(|| detail.to_owned()) {
            say(event);
        }
    }
}

/// The context the thread uses now, so that its wait can be cancelled.
#[derive(Default)]
pub struct CurrentContext(Mutex<Option<Context>>);

impl fmt::Debug for CurrentContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurrentContext")
    }
}

impl CurrentContext {
    pub fn set(&self, context: Option<Context>) {
        let before = std::mem::replace(&mut *self.lock(), context);
        // Outside the lock: releasing a context blocks when pcscd is stopped.
        drop(before);
    }

    /// Wakes a thread that waits for a card. On a thread of its own: the call opens a connection to pcscd, and blocks
    /// when that is stopped.
    pub fn cancel(&self) {
        let Some(context) = self.lock().take() else { return };
        let cancel = move || {
            let _: Result<(), pcsc::Error> = context.cancel();
        };
        // Without it the reader's thread ends after its wait, within a second.
        let _: io::Result<thread::JoinHandle<()>> =
            thread::Builder::new().name("pcsc-cancel".to_owned()).spawn(cancel);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Context>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_hangs_is_said_once_and_what_it_brings_later_is_stale() {
        let shared = Shared::default();
        assert!(shared.connected("x").is_some());
        let mut said = Vec::new();
        let brought = shared.within(Peer::Pcscd, || {
            let late = clock::mono().plus(HUNG);
            assert!(!shared.is_hung(clock::mono()));
            assert!(shared.is_hung(late));
            shared.give_up(late, |event| said.push(event));
            shared.give_up(late, |event| said.push(event));
            7
        });
        assert_eq!(brought, None);
        assert_eq!(said, [ReaderEvent::Lost { detail: "pcscd does not answer".into() }]);
        assert_eq!(shared.within(Peer::Card, || 8), Some(8));
    }

    #[test]
    fn between_calls_nothing_is_given_up() {
        let shared = Shared::default();
        shared.within(Peer::Card, || ());
        assert!(!shared.is_hung(clock::mono().plus(HUNG * 100)));
        shared.give_up(clock::mono().plus(HUNG * 100), |event| panic!("{event:?}"));
    }

    #[test]
    fn lamps_that_hang_are_said_once_and_nobody_is_connected_before_they_answer() {
        let shared = Shared::default();
        assert!(shared.connected("x").is_some());
        let mut said = Vec::new();
        shared.within_panel(|| {
            let late = clock::mono().plus(HUNG);
            assert!(!shared.is_hung(clock::mono()));
            assert!(shared.is_hung(late));
            shared.give_up(late, |event| said.push(event));
            assert!(!shared.is_hung(late), "it was given up");
            assert_eq!(shared.within(Peer::Pcscd, || 7), Some(7), "cards can still be asked for");
            assert_eq!(shared.connected("x"), None);
        });
        let detail = "the reader does not answer a command to its lamps".into();
        assert_eq!(said, [ReaderEvent::Lost { detail }]);
        assert!(shared.connected("x").is_some());
    }

    #[test]
    fn a_rest_ends_when_the_thread_is_to() {
        let shared = Shared::default();
        assert!(shared.rest(Duration::from_millis(1)));
        shared.stop();
        assert!(!shared.rest(Duration::from_secs(3600)));
    }
}
