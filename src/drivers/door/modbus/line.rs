//! The one task that talks on a line, for all the boards that share it.
//!
//! ```text
//!   closed ──dial──► open: of what is due, the first of
//!     ▲                1. coils to switch off that no board switches off by itself
//!     │                2. a command; one poll may go ahead of it, if none has yet
//!     │ back-off       3. a pulse that a board should have ended: look
//!     │                4. a board that is down, once all others have had their turn
//!     │                5. the inputs that were read the longest ago
//!     └── the line breaks, or no board on it answers
//! ```
//!
//! So a command waits for one exchange of polling at most, and a mute board takes one time-out a back-off.

use std::{io, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Address, Config, Ended, Error, batch,
    exchange::{Exchange, Fault, Wire},
    inbox::{Inbox, Stopping, Waiting},
    unit::{Link, Unit},
};
use crate::{
    control::BoardEvent,
    drivers::{backoff::Backoff, clock},
};

/// With nothing to do at all, which never lasts: there is always a poll to come.
const IDLE: Duration = Duration::from_secs(1);

pub struct Line {
    pub address: Address,
    pub units: Vec<Unit>,
    pub inbox: Inbox,
    /// Its boards, as they are to be from now on.
    pub changes: watch::Receiver<Vec<Config>>,
    pub backoff: Backoff,
    /// When the line was last busy with anything but commands.
    pub busy_at: Option<Instant>,
    /// What is being carried out: for which board, and under what number.
    pub in_hand: Vec<(usize, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    End(usize),
    CarryOut,
    Poll(usize),
    Probe(usize),
    Rest(Instant),
}

impl From<Stopping> for Error {
    fn from(Stopping: Stopping) -> Self {
        Error::Stopping
    }
}

impl Line {
    pub async fn run<T, F, C>(mut self, mut dial: C, after: Ended)
    where
        T: Wire,
        F: Future<Output = io::Result<T>> + Send,
        C: FnMut() -> F + Send,
    {
        if self.inbox.during(after).await.is_err() {
            return;
        }
        loop {
            // What a library panics at must not take the doors' boards with it for good.
            let connection = AssertUnwindSafe(self.connection(&mut dial)).catch_unwind();
            let Err(error) = connection.await.unwrap_or(Err(Error::Panicked));
            if matches!(error, Error::Stopping) || self.lost(&error).await.is_err() {
                return;
            }
            let wait = self.backoff.wait();
            if self.inbox.during(sleep(wait)).await.is_err() {
                return;
            }
        }
    }

    /// One connection, until it is in doubt.
    async fn connection<T, F, C>(&mut self, dial: &mut C) -> Result<std::convert::Infallible, Error>
    where
        T: Wire,
        F: Future<Output = io::Result<T>> + Send,
        C: FnMut() -> F + Send,
    {
        self.take_up_changes();
        let within = self.units.iter().map(|unit| unit.config.timeout).max().unwrap_or_default();
        let dialled = self.inbox.during(timeout(within, dial())).await?;
        let wire = dialled
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Connect { address: self.address.to_string(), source })?;
        let mut wire = Exchange::over(wire, self.address.framing(), self.address.pace());
        self.units.iter_mut().for_each(|unit| unit.dialled(wire.is_rtu()));
        loop {
            self.inbox.gather().await?;
            self.take_up_changes();
            match self.next(clock::instant()) {
                Step::End(n) => self.end(n, &mut wire).await?,
                Step::CarryOut => self.carry_out(&mut wire).await?,
                Step::Poll(n) => self.poll(n, &mut wire).await?,
                Step::Probe(n) => self.probe(n, &mut wire).await?,
                Step::Rest(until) => self.inbox.rest(until).await?,
            }
        }
    }

    fn next(&self, now: Instant) -> Step {
        let due = |at: Option<Instant>| at.filter(|at| *at <= now);
        let first = |at: &dyn Fn(&Unit) -> Option<Instant>| {
            let times = self.units.iter().enumerate().filter_map(|(n, unit)| Some((due(at(unit))?, n)));
            times.min().map(|(_, n)| n)
        };
        if let Some(n) = first(&Unit::end_at) {
            return Step::End(n);
        }
        let poll = first(&|unit| Some(unit.poll_at).filter(|_| unit.is_up()));
        if let Some(waiting) = self.inbox.waiting.front() {
            return poll.filter(|_| self.may_go_ahead(waiting)).map_or(Step::CarryOut, Step::Poll);
        }
        if let Some(n) = first(&Unit::look_at) {
            return Step::End(n);
        }
        let everybody_had_a_turn = self.units.iter().all(|unit| unit.had_its_turn || !unit.is_up());
        let probe = first(&|unit| Some(unit.probe_at).filter(|_| !unit.is_up()));
        if let Some(n) = probe.filter(|_| everybody_had_a_turn) {
            return Step::Probe(n);
        }
        poll.map_or_else(|| Step::Rest(self.rest_until(now)), Step::Poll)
    }

    /// Whether no poll has gone ahead of this command yet.
    fn may_go_ahead(&self, waiting: &Waiting) -> bool {
        self.busy_at.is_none_or(|busy| busy <= waiting.asked_at)
    }

    fn rest_until(&self, now: Instant) -> Instant {
        let of = |unit: &Unit| {
            let own = if unit.is_up() { unit.poll_at } else { unit.probe_at };
            [unit.end_at(), unit.look_at(), Some(own)].into_iter().flatten().min()
        };
        // A board that is down and due waits for the others' turns.
        let later = self.units.iter().filter_map(of).filter(|at| *at > now).min();
        later.unwrap_or(now + IDLE)
    }

    async fn end<T: Wire>(&mut self, n: usize, wire: &mut Exchange<T>) -> Result<(), Error> {
        let Some(unit) = self.units.get_mut(n) else { return Ok(()) };
        let (events, outcome) = self.inbox.have_out(unit.end_due(wire)).await?;
        // A command that came meanwhile has waited for an exchange already.
        self.busy_at = Some(clock::instant());
        self.say(n, events).await?;
        match outcome {
            Ok(()) => Ok(()),
            Err(fault) => self.failed(n, fault).await,
        }
    }

    async fn carry_out<T: Wire>(&mut self, wire: &mut Exchange<T>) -> Result<(), Error> {
        let Some((n, commands)) = self.inbox.batch() else { return Ok(()) };
        let Some(unit) = self.units.get_mut(n) else { return Ok(()) };
        self.in_hand = commands.iter().map(|waiting| (n, waiting.command.ticket())).collect();
        let outcome = self.inbox.have_out(batch::carry_out(unit, wire, commands)).await?;
        self.in_hand.clear();
        self.say(n, outcome.events).await?;
        match outcome.fault {
            None => Ok(()),
            Some(fault) => self.failed(n, fault).await,
        }
    }

    async fn poll<T: Wire>(&mut self, n: usize, wire: &mut Exchange<T>) -> Result<(), Error> {
        let Some(unit) = self.units.get_mut(n) else { return Ok(()) };
        let polled = self.inbox.have_out(unit.poll(wire)).await?;
        self.busy_at = Some(clock::instant());
        match polled {
            // What was asked before its inputs became others says nothing of them: it is asked again.
            Ok(_) if self.changes.has_changed().unwrap_or(false) => Ok(()),
            Ok(changed) => {
                self.backoff.reset();
                self.say(n, changed.map(BoardEvent::Inputs)).await
            }
            Err(fault) => self.failed(n, fault).await,
        }
    }

    async fn probe<T: Wire>(&mut self, n: usize, wire: &mut Exchange<T>) -> Result<(), Error> {
        let Some(unit) = self.units.get_mut(n) else { return Ok(()) };
        let found = self.inbox.have_out(unit.connect(wire)).await?;
        self.busy_at = Some(clock::instant());
        match found {
            Ok(inputs) => {
                let detail = format!("{}, unit {}", self.address.kind(), unit.config.unit);
                self.inbox.open(n);
                self.say(n, [BoardEvent::Connected { detail, inputs }]).await
            }
            Err(fault) => self.failed(n, fault).await,
        }
    }

    /// The board is down. The line is given up if that is why, or if nobody on it answers.
    async fn failed(&mut self, n: usize, fault: Fault) -> Result<(), Error> {
        // The others have waited for it: not again before each has had its turn.
        self.units.iter_mut().for_each(|unit| unit.had_its_turn = false);
        let Some(unit) = self.units.get_mut(n) else { return Ok(()) };
        let is_of_line = fault.is_of_line();
        unit.doubted(&fault);
        let was_up = !is_of_line && unit.failed(self.address.is_rtu());
        let error = Error::Exchange { address: self.address.to_string(), source: fault };
        if was_up {
            self.inbox.shut(n).await?;
            self.say(n, [BoardEvent::Lost { detail: error.to_string() }]).await?;
        }
        if is_of_line || self.units.iter().all(|unit| unit.has_failed) { Err(error) } else { Ok(()) }
    }

    /// All boards that were there are not any more.
    async fn lost(&mut self, error: &Error) -> Result<(), Error> {
        // Where the driver failed in the middle of it, nobody has said what became of it.
        for (n, ticket) in std::mem::take(&mut self.in_hand) {
            self.say(n, [BoardEvent::Failed { ticket, detail: error.to_string() }]).await?;
        }
        for n in 0..self.units.len() {
            self.inbox.shut(n).await?;
            let Some(unit) = self.units.get_mut(n) else { continue };
            if std::mem::replace(&mut unit.link, Link::Down) != Link::Down {
                self.say(n, [BoardEvent::Lost { detail: error.to_string() }]).await?;
            }
        }
        Ok(())
    }

    async fn say(&self, n: usize, events: impl IntoIterator<Item = BoardEvent>) -> Result<(), Error> {
        for event in events {
            self.inbox.say(n, event).await?;
        }
        Ok(())
    }
}
