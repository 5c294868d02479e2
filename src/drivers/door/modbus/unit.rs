//! One board on its line: what is known of it, and what is asked of it in which order.
//!
//! ```text
//!            ask what can't be mistaken for a late answer, read the world
//!   down ───────────────────────────────────────────────────────────────► up: told, polled, looked at
//!    ▲ ▲                    (nothing is driven)                            │
//!    │ └─ back-off ─┐                                                      │
//!    └──────────────┴── silence, or an answer that does not fit ◄──────────┘
//! ```
//!
//! On RTU an answer carries no number. A board answers in the order it was asked, so after a question that went
//! unanswered it is asked with the other function first: once that is answered, nothing older is under way. If that
//! goes unanswered too, the next is asked after a second at least: questions that might be taken for each other are
//! two seconds apart, and what comes meanwhile is thrown away.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Config, Pulse,
    ask::{Ask, Layout},
    exchange::{Exchange, Fault, Wire},
    pulses::Pulses,
};
use crate::{
    control::{BoardEvent, Inputs},
    drivers::{backoff::Backoff, clock, seldom::Seldom},
};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_millis(2_000);
/// How long a board is waited for that was lost, on a line of others' (a good one answers within 20 ms).
const PROBE: Duration = Duration::from_millis(50);
/// On RTU, from a board's second question in a row without an answer to the next: nobody answers so late.
const LATE_MAX: Duration = Duration::from_millis(1_000);
/// Between attempts to switch off a coil that does not drop.
const SWITCH_OFF_RETRY: Duration = Duration::from_millis(500);
/// The same where nobody else will: the time a strike may be late by is 200 ms.
const SWITCH_OFF_RETRY_HOST: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Untried,
    Up,
    Down,
}

pub struct Unit {
    pub config: Config,
    pub link: Link,
    /// Outlives the connection: what ran when the link was lost is looked at when it is back.
    pub pulses: Pulses,
    pub poll_at: Instant,
    /// While it is down.
    pub probe_at: Instant,
    /// On the connection there is.
    pub has_failed: bool,
    /// Since a board that is down was last asked.
    pub had_its_turn: bool,
    inputs: Inputs,
    /// Its inputs are to be said though they may be as they were.
    is_to_be_said: bool,
    backoff: Backoff,
    /// The function of a question whose answer may still come.
    doubt: Option<u8>,
    stuck: Seldom,
}

impl Unit {
    pub fn new(config: Config) -> Self {
        let now = clock::instant();
        Unit {
            config,
            link: Link::Untried,
            pulses: Pulses::default(),
            poll_at: now,
            probe_at: now,
            has_failed: false,
            had_its_turn: false,
            inputs: Inputs::default(),
            is_to_be_said: false,
            backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
            doubt: None,
            stuck: Seldom::default(),
        }
    }

    /// It is asked other things from now on. Its inputs are read at once, and said whatever they are.
    pub fn change(&mut self, config: Config) {
        self.config = config;
        self.is_to_be_said = true;
        self.poll_at = clock::instant();
    }

    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    pub fn ends_pulses_itself(&self) -> bool {
        matches!(self.config.pulse, Pulse::Flash { .. })
    }

    /// A new connection. On RTU what was asked before may be answered on it all the same.
    pub fn dialled(&mut self, is_rtu: bool) {
        self.has_failed = false;
        if !is_rtu {
            self.probe_at = clock::instant();
        }
    }

    /// An answer of it may still come.
    pub fn doubted(&mut self, fault: &Fault) {
        self.doubt = Some(fault.ask().function());
    }

    /// It did not answer as it should. Whether that is news.
    pub fn failed(&mut self, is_rtu: bool) -> bool {
        self.has_failed = true;
        let least = if is_rtu && !self.is_up() { LATE_MAX } else { Duration::ZERO };
        self.probe_at = clock::instant() + self.backoff.wait().max(least);
        std::mem::replace(&mut self.link, Link::Down) != Link::Down
    }

    pub async fn ask<T: Wire>(&self, wire: &mut Exchange<T>, ask: Ask) -> Result<u64, Fault> {
        self.ask_within(wire, ask, self.config.timeout).await
    }

    async fn ask_within<T: Wire>(
        &self,
        wire: &mut Exchange<T>,
        ask: Ask,
        within: Duration,
    ) -> Result<u64, Fault> {
        let Config { coil_base, input_base, pulse, .. } = self.config;
        let flash_base = match pulse {
            Pulse::Flash { base } => Some(base),
            Pulse::Host => None,
        };
        wire.ask(self.config.unit, &Layout { coil_base, input_base, flash_base }, ask, within).await
    }

    fn all_inputs(&self) -> Ask {
        Ask::Inputs { count: self.config.inputs.clamp(1, super::INPUTS_MAX) }
    }

    fn all_coils(&self) -> Ask {
        Ask::Coils { first: 0, last: self.config.coils.saturating_sub(1) }
    }

    /// What is asked again and again. A board without inputs in use may not know the function for them.
    fn poll_ask(&self) -> Ask {
        if self.config.inputs == 0 { self.all_coils() } else { self.all_inputs() }
    }

    /// Reads the world. It is up once that worked: a board that hangs still accepts connections.
    pub async fn connect<T: Wire>(&mut self, wire: &mut Exchange<T>) -> Result<Inputs, Fault> {
        let (poll, coils, inputs) = (self.poll_ask(), self.all_coils(), self.all_inputs());
        let reads_coils = !self.ends_pulses_itself();
        let mut questions = Vec::new();
        if wire.is_rtu() && self.doubt == Some(poll.function()) {
            questions.push(if poll == coils { inputs } else { coils });
        }
        questions.push(poll);
        if reads_coils && !questions.contains(&coils) {
            questions.push(coils);
        }
        let is_probe = wire.is_rtu() && self.link == Link::Down;
        let within = if is_probe { self.config.timeout.min(PROBE) } else { self.config.timeout };
        let (mut levels, mut driven) = (0, 0);
        for ask in questions {
            match self.ask_within(wire, ask, within).await {
                Ok(bits) if ask == coils => driven = bits,
                Ok(bits) => levels = bits,
                // Refused is answered, too.
                Err(fault) if !fault.is_in_doubt() && ask != poll && !(ask == coils && reads_coils) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.doubt = None;
        self.link = Link::Up;
        self.has_failed = false;
        if reads_coils {
            self.take_back(driven);
        }
        self.inputs = Inputs(if self.config.inputs == 0 { 0 } else { levels });
        self.is_to_be_said = false;
        self.poll_at = clock::instant() + self.config.poll;
        self.had_its_turn = true;
        Ok(self.inputs)
    }

    /// Coils found driven that nothing of ours drives: a daemon before us died meanwhile. They are looked at at once.
    fn take_back(&mut self, driven: u64) {
        let now = clock::instant();
        let found = (0..self.config.coils).filter(|coil| driven >> (coil & 63) & 1 == 1);
        for coil in found.filter(|coil| !self.pulses.accounts_for(*coil)).collect::<Vec<_>>() {
            tracing::warn!(
                board = %self.config.board, coil,
                "a coil was found driven that nothing drives; it is switched off"
            );
            self.pulses.doubted(coil, now);
        }
    }

    /// Reads the inputs; says them if they changed.
    pub async fn poll<T: Wire>(&mut self, wire: &mut Exchange<T>) -> Result<Option<Inputs>, Fault> {
        let ask = self.poll_ask();
        let bits = match self.ask(wire, ask).await {
            // A serial line has its noise: once more, before it counts.
            Err(Fault::Damaged { .. } | Fault::Cut { .. }) if wire.is_rtu() => self.ask(wire, ask).await?,
            first => first?,
        };
        let now = if self.config.inputs == 0 { Inputs(0) } else { Inputs(bits) };
        self.poll_at = clock::instant() + self.config.poll;
        self.had_its_turn = true;
        // Not on connecting: a link that fails with its first command each time must not be tried in haste.
        self.backoff.reset();
        let is_news = std::mem::replace(&mut self.inputs, now) != now;
        Ok((std::mem::take(&mut self.is_to_be_said) || is_news).then_some(now))
    }

    /// When coils are to be switched off that nobody else will.
    pub fn end_at(&self) -> Option<Instant> {
        self.pulses.next().filter(|_| self.is_up() && !self.ends_pulses_itself())
    }

    /// When it is to be seen that the board has ended a pulse.
    pub fn look_at(&self) -> Option<Instant> {
        self.pulses.next().filter(|_| self.is_up() && self.ends_pulses_itself())
    }

    /// Sees to it that the pulses that are due have ended: by the board itself, or else by us. What comes back is to
    /// be said even where a fault came between.
    pub async fn end_due<T: Wire>(&mut self, wire: &mut Exchange<T>) -> (Vec<BoardEvent>, Result<(), Fault>) {
        let due = self.pulses.due(clock::instant());
        let mut events = Vec::new();
        let outcome = self.end(wire, &due, &mut events).await;
        let outcome = match outcome {
            Err(fault) if fault.is_in_doubt() => Err(fault),
            refused => {
                let left: Vec<u8> = due.into_iter().filter(|coil| self.pulses.accounts_for(*coil)).collect();
                self.postpone(&left, refused.err().as_ref());
                Ok(())
            }
        };
        (events, outcome)
    }

    async fn end<T: Wire>(
        &mut self,
        wire: &mut Exchange<T>,
        due: &[u8],
        events: &mut Vec<BoardEvent>,
    ) -> Result<(), Fault> {
        let mut left = due.to_vec();
        if self.ends_pulses_itself() {
            left = self.still_driven(wire, &left).await?;
            self.over(due, &left, true, events);
            if left.is_empty() {
                return Ok(());
            }
            tracing::error!(board = %self.config.board, coils = ?left, "pulses did not end in time; switched off");
        }
        for (first, last) in self.runs(&left) {
            self.ask(wire, Ask::Write { first, last, on: false }).await?;
        }
        let stuck = self.still_driven(wire, &left).await?;
        self.over(&left, &stuck, !self.ends_pulses_itself(), events);
        Ok(())
    }

    /// Those of the coils that are driven.
    pub async fn still_driven<T: Wire>(
        &self,
        wire: &mut Exchange<T>,
        coils: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let (Some(&first), Some(&last)) = (coils.iter().min(), coils.iter().max()) else {
            return Ok(Vec::new());
        };
        let driven = self.ask(wire, Ask::Coils { first, last }).await?;
        let is_driven = |coil: &u8| driven >> (coil.saturating_sub(first) & 63) & 1 == 1;
        Ok(coils.iter().copied().filter(is_driven).collect())
    }

    /// Those of the coils that are not driven any more: whom to tell, and whether it was as it should be.
    fn over(&mut self, coils: &[u8], driven: &[u8], as_it_should: bool, events: &mut Vec<BoardEvent>) {
        for coil in coils.iter().filter(|coil| !driven.contains(coil)) {
            if let Some(over) = self.pulses.ended(*coil) {
                let by_board = as_it_should && !over.was_late;
                events.push(BoardEvent::Ended { ticket: over.ticket, by_board });
            }
        }
    }

    fn postpone(&mut self, coils: &[u8], fault: Option<&Fault>) {
        for coil in coils {
            self.pulses.postpone(*coil, clock::instant() + self.switch_off_retry());
        }
        if !coils.is_empty()
            && let Some(left_out) = self.stuck.may(clock::mono())
        {
            let fault = fault.map(tracing::field::display);
            tracing::error!(
                board = %self.config.board, ?coils, fault, left_out,
                "a pulse has not ended, and the coil can't be switched off; check the board"
            );
        }
    }

    pub fn switch_off_retry(&self) -> Duration {
        if self.ends_pulses_itself() { SWITCH_OFF_RETRY } else { SWITCH_OFF_RETRY_HOST }
    }

    /// Coils as runs that one write can cover without touching another: where the board takes function 15.
    pub fn runs(&self, coils: &[u8]) -> Vec<(u8, u8)> {
        let mut coils = coils.to_vec();
        coils.sort_unstable();
        let mut runs: Vec<(u8, u8)> = Vec::new();
        for coil in coils {
            match runs.last_mut() {
                Some((_, last)) if self.config.write_many && *last + 1 == coil => *last = coil,
                _ => runs.push((coil, coil)),
            }
        }
        runs
    }
}
