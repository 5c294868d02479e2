//! A door's leaf: who may open it, whether somebody went through, and what it means that it stands open.
//!
//! ```text
//!             reads open                          for longer than it may bounce:
//!          ┌───────────────► Opening, explained ─────────────────────────────────► Open ──► pre-alarm ──► held open
//!          │ released, a mode,    ▲      │ closed within a bounce: nothing           ▲ │
//!          │ or a request to exit │      ▼                                           │ │ closed: taken is over,
//!  Closed ─┤                   exit    Closed                                        │ ▼ held open ends
//!          │ none of them         │                                                  │ Closed
//!          └───────────────► Opening, unexplained ───────────────────────────────────┘
//!                                 │      nobody asked to leave meanwhile: forced
//!                                 ▼ closed within a bounce: nothing; later than that:
//!                              Shut again ── nobody asked to leave meanwhile: forced ──► Closed
//!
//!  Unknown (no contact, or its board lost) ── first reading ──► Closed or Open, which is no event
//! ```
//!
//! A contact bounces for 50 ms, and a button may be seen half a second after the door it opened: neither is an alarm.
//! Pure: times come in, facts go out. What is recorded, shown and driven of them is the controller's.

use std::time::Duration;

use crate::domain::{DoorAlarm, Mono};

/// How long a contact chatters when a door opens or shuts.
const BOUNCE: Duration = Duration::from_millis(50);
/// How long after the door a button may still explain it.
const LATE_EXIT: Duration = Duration::from_millis(500);
/// The bolt is drawn for somebody whose hand is on the door: how long the leaf may take to follow.
const GRACE: Duration = Duration::from_millis(500);
/// A button held down for longer is stuck, or was made so.
const STUCK: Duration = Duration::from_secs(60);

/// What a door is configured to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRules {
    /// How long after it happened a change of an input may be seen.
    pub seen_within: Duration,
    /// How long it may stand open.
    pub held_open: Duration,
    /// For holders who need longer.
    pub held_open_extended: Duration,
    /// How long before that those at the door are warned; zero: not.
    pub pre_alarm: Duration,
}

impl LeafRules {
    fn bounce(&self) -> Duration {
        BOUNCE + self.seen_within
    }

    fn late_exit(&self) -> Duration {
        LATE_EXIT + self.seen_within
    }

    fn grace(&self) -> Duration {
        GRACE + self.seen_within
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The contact reads open, or closed, and did not before.
    Opened,
    Closed,
    /// Nothing is known of it any more.
    ContactLost,
    /// The strike is driven until then, for a grant of this `seq`, or for one nobody counts.
    Released {
        of: Option<u64>,
        until: Mono,
        extended: bool,
    },
    /// The button is pressed; who pressed it may leave until then.
    ExitPressed {
        until: Mono,
    },
    ExitReleased,
    /// A mode keeps the door open.
    Freed,
    /// And no longer does.
    Bound,
    /// Time has passed.
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    Forced,
    HeldOpen,
    HeldOpenEnded,
    /// It will be held open before long.
    PreAlarm,
    Taken {
        of: u64,
    },
    NotTaken {
        of: u64,
    },
    /// It has opened for somebody who may; no bounce.
    WentOpen,
    /// It has shut behind them.
    Shut,
    ButtonStuck,
    ButtonFreed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Unknown,
    Closed,
    Opening {
        since: Mono,
        explained: bool,
    },
    /// Nobody explained that it was open, for longer than a bounce, since then.
    ShutAgain {
        since: Mono,
    },
    /// `since` is from when its time counts: the opening, or the last who was let in.
    Open {
        since: Mono,
        extended: bool,
        warned: bool,
    },
}

/// A grant nobody has gone through on yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    of: u64,
    until: Mono,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pressed {
    since: Mono,
    stuck: bool,
}

/// Grants that may wait to be taken: those who tap without going in are not all remembered.
const PENDING_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leaf {
    state: State,
    alarm: DoorAlarm,
    /// A mode keeps the door open.
    free: bool,
    /// Until then opening it needs no explanation.
    allowed_until: Option<Mono>,
    /// The last who was let in needs longer.
    extended: bool,
    pending: Vec<Pending>,
    pressed: Option<Pressed>,
}

impl Leaf {
    pub fn alarm(&self) -> DoorAlarm {
        self.alarm
    }

    /// What this input, or the time that has passed, means.
    pub fn step(&mut self, now: Mono, rules: &LeafRules, input: Input) -> Vec<Fact> {
        let mut facts = Vec::new();
        // What explains an opening or takes it back, in time to the last millisecond, goes before the time that ends.
        self.explain(now, rules, input);
        self.pass_time(now, rules, &mut facts);
        match input {
            Input::Opened => self.opened(now),
            Input::Closed => self.closed(&mut facts),
            Input::ContactLost => {
                self.state = State::Unknown;
                self.pending.clear();
            }
            Input::Released { of, until, extended } => {
                self.released(now, rules, of, until, extended, &mut facts)
            }
            Input::ExitPressed { until } => {
                self.pressed = Some(Pressed { since: now, stuck: false });
                self.allow(until.plus(rules.grace()));
                self.restart(now, false);
            }
            Input::ExitReleased => self.exit_released(now, rules, &mut facts),
            Input::Freed => {
                self.free = true;
                self.end_held_open(&mut facts);
            }
            Input::Bound if self.free => {
                self.free = false;
                self.allow(now.plus(rules.grace()));
                self.restart(now, false);
            }
            Input::Bound | Input::Tick => {}
        }
        facts
    }

    fn explain(&mut self, now: Mono, rules: &LeafRules, input: Input) {
        self.state = match (self.state, input) {
            (State::Opening { since, .. }, Input::Closed) if now.since(since) <= rules.bounce() => {
                State::Closed
            }
            (State::Opening { since, .. }, Input::ExitPressed { .. })
                if now.since(since) <= rules.late_exit() =>
            {
                State::Opening { since, explained: true }
            }
            (State::ShutAgain { since }, Input::ExitPressed { .. })
                if now.since(since) <= rules.late_exit() =>
            {
                State::Closed
            }
            (state, _) => state,
        };
    }

    /// What has become true by itself.
    fn pass_time(&mut self, now: Mono, rules: &LeafRules, facts: &mut Vec<Fact>) {
        let passed = |since: Mono, time: Duration| now >= since.plus(time);
        match self.state {
            State::Opening { since, explained: true } if passed(since, rules.bounce()) => {
                self.state = State::Open { since, extended: self.extended, warned: false };
                facts.extend(self.pending.drain(..).map(|p| Fact::Taken { of: p.of }));
                facts.push(Fact::WentOpen);
            }
            State::Opening { since, explained: false } if passed(since, rules.late_exit()) => {
                self.state = State::Open { since, extended: false, warned: false };
                self.alarm = DoorAlarm::Forced;
                facts.push(Fact::Forced);
            }
            State::ShutAgain { since } if passed(since, rules.late_exit()) => {
                self.state = State::Closed;
                facts.push(Fact::Forced);
            }
            State::Unknown
            | State::Closed
            | State::Opening { .. }
            | State::ShutAgain { .. }
            | State::Open { .. } => {}
        }
        self.count_open(now, rules, facts);
        if !matches!(self.state, State::Opening { explained: true, .. }) {
            let over = self.pending.iter().filter(|p| p.until <= now);
            facts.extend(over.map(|p| Fact::NotTaken { of: p.of }));
            self.pending.retain(|p| p.until > now);
        }
        if let Some(pressed) = self.pressed.as_mut().filter(|p| !p.stuck && passed(p.since, STUCK)) {
            pressed.stuck = true;
            facts.push(Fact::ButtonStuck);
        }
    }

    fn count_open(&mut self, now: Mono, rules: &LeafRules, facts: &mut Vec<Fact>) {
        let Some((warn_at, held_at)) = self.open_deadlines(rules) else { return };
        if now >= held_at {
            self.alarm = DoorAlarm::HeldOpen;
            facts.push(Fact::HeldOpen);
        } else if let State::Open { warned, .. } = &mut self.state
            && warn_at.is_some_and(|at| now >= at)
        {
            *warned = true;
            facts.push(Fact::PreAlarm);
        }
    }

    /// When an open door is warned of, if it was not, and when it is held open; while that counts.
    fn open_deadlines(&self, rules: &LeafRules) -> Option<(Option<Mono>, Mono)> {
        let State::Open { since, extended, warned } = self.state else { return None };
        if self.free || self.alarm != DoorAlarm::None {
            return None;
        }
        let held = if extended { rules.held_open_extended } else { rules.held_open };
        let warns = !warned && !rules.pre_alarm.is_zero() && rules.pre_alarm < held;
        Some((warns.then(|| since.plus(held - rules.pre_alarm)), since.plus(held)))
    }

    pub fn deadline(&self, rules: &LeafRules) -> Option<Mono> {
        let opening = match self.state {
            State::Opening { since, explained: true } => Some(since.plus(rules.bounce())),
            State::Opening { since, .. } | State::ShutAgain { since } => Some(since.plus(rules.late_exit())),
            State::Unknown | State::Closed | State::Open { .. } => None,
        };
        let open = self.open_deadlines(rules).map(|(warn_at, held_at)| warn_at.unwrap_or(held_at));
        let pressed = self.pressed.filter(|p| !p.stuck).map(|p| p.since.plus(STUCK));
        // A grant is taken, not over, by a door that is opening.
        let is_opening = matches!(self.state, State::Opening { explained: true, .. });
        let pending = self.pending.iter().filter(|_| !is_opening).map(|p| p.until).min();
        [opening, open, pressed, pending].into_iter().flatten().min()
    }

    fn opened(&mut self, now: Mono) {
        self.state = match self.state {
            State::Unknown => State::Open { since: now, extended: false, warned: false },
            State::Closed => State::Opening { since: now, explained: self.may_open(now) },
            State::ShutAgain { since } => State::Opening { since, explained: false },
            state @ (State::Opening { .. } | State::Open { .. }) => state,
        };
    }

    fn may_open(&self, now: Mono) -> bool {
        let asks = self.pressed.is_some_and(|p| !p.stuck);
        self.free || asks || self.allowed_until.is_some_and(|until| now <= until)
    }

    fn closed(&mut self, facts: &mut Vec<Fact>) {
        match self.state {
            State::Opening { since, .. } | State::ShutAgain { since } => {
                self.state = State::ShutAgain { since }
            }
            State::Unknown | State::Open { .. } => {
                let was_open = matches!(self.state, State::Open { .. });
                self.state = State::Closed;
                self.end_held_open(facts);
                self.alarm = DoorAlarm::None;
                facts.extend(was_open.then_some(Fact::Shut));
            }
            State::Closed => {}
        }
    }

    fn released(
        &mut self,
        now: Mono,
        rules: &LeafRules,
        of: Option<u64>,
        until: Mono,
        extended: bool,
        facts: &mut Vec<Fact>,
    ) {
        let until = until.plus(rules.grace());
        self.allow(until);
        self.extended = extended;
        self.restart(now, extended);
        match (self.state, of) {
            (State::Open { .. }, Some(of)) => facts.push(Fact::Taken { of }),
            (State::Closed | State::Opening { .. } | State::ShutAgain { .. }, Some(of)) => {
                if self.pending.len() == PENDING_MAX {
                    facts.push(Fact::NotTaken { of: self.pending.remove(0).of });
                }
                self.pending.push(Pending { of, until });
            }
            // Without a contact nobody can say.
            (State::Unknown, _) | (_, None) => {}
        }
    }

    fn exit_released(&mut self, now: Mono, rules: &LeafRules, facts: &mut Vec<Fact>) {
        match self.pressed.take() {
            Some(pressed) if pressed.stuck => facts.push(Fact::ButtonFreed),
            Some(_) => self.allow(now.plus(rules.grace())),
            None => {}
        }
    }

    fn allow(&mut self, until: Mono) {
        self.allowed_until = self.allowed_until.max(Some(until));
    }

    /// Somebody else goes through the open door: its time begins again.
    fn restart(&mut self, now: Mono, extended: bool) {
        if let State::Open { .. } = self.state {
            self.state = State::Open { since: now, extended, warned: false };
        }
    }

    fn end_held_open(&mut self, facts: &mut Vec<Fact>) {
        if self.alarm == DoorAlarm::HeldOpen {
            self.alarm = DoorAlarm::None;
            facts.push(Fact::HeldOpenEnded);
        }
    }
}

#[cfg(test)]
mod tests;
