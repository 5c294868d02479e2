//! What must be so after every step, each by a name, and the first that was not.
//!
//! A broken one ends the run with its name, its moment and what was seen: nothing here panics, so that a planted bug
//! can be held against the invariant that is there to catch it.

use std::{collections::BTreeMap, fmt, time::Duration};

/// What must be so, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    Warranted,
    RecordedFirst,
    EndsInTime,
    ExitsWait,
    FireReleases,
    StartDrives,
    LockIsAsSaid,
    NoGap,
    RightChain,
    OneEntryADecision,
    DecidedByTheRules,
    TrustsNoWrongClock,
    IndexIsTheFold,
    NeverGoesBack,
    OnDiskFirst,
    WithinLimits,
    CommandOnce,
    CommandInTime,
    RestrictionOutlasts,
    Answered,
    ComesToRest,
    NothingLost,
    Converges,
    DoorsFollow,
    NeverPanics,
}

impl Invariant {
    pub const ALL: [Invariant; 25] = [
        Invariant::Warranted,
        Invariant::RecordedFirst,
        Invariant::EndsInTime,
        Invariant::ExitsWait,
        Invariant::FireReleases,
        Invariant::StartDrives,
        Invariant::LockIsAsSaid,
        Invariant::NoGap,
        Invariant::RightChain,
        Invariant::OneEntryADecision,
        Invariant::DecidedByTheRules,
        Invariant::TrustsNoWrongClock,
        Invariant::IndexIsTheFold,
        Invariant::NeverGoesBack,
        Invariant::OnDiskFirst,
        Invariant::WithinLimits,
        Invariant::CommandOnce,
        Invariant::CommandInTime,
        Invariant::RestrictionOutlasts,
        Invariant::Answered,
        Invariant::ComesToRest,
        Invariant::NothingLost,
        Invariant::Converges,
        Invariant::DoorsFollow,
        Invariant::NeverPanics,
    ];

    /// As a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Invariant::Warranted => "no strike is driven without a reason that is this door's",
            Invariant::RecordedFirst => "no door is released before its entry is on disk, or marked as late",
            Invariant::EndsInTime => "every release ends in its time, to 200 ms",
            Invariant::ExitsWait => "a request to exit waits for nothing",
            Invariant::FireReleases => "a fire alarm releases the doors so marked, at once",
            Invariant::StartDrives => "a start drives no strike",
            Invariant::LockIsAsSaid => "no lock is said to be secure while its strike is driven",
            Invariant::NoGap => "the journal has no gap, and no number twice",
            Invariant::RightChain => "each entry at central continues the chain of the one before",
            Invariant::OneEntryADecision => "a decision has one entry, no more and no less",
            Invariant::DecidedByTheRules => "a decision is the one the rules give, read a second time",
            Invariant::TrustsNoWrongClock => "the clock is believed when the rules say so, and not otherwise",
            Invariant::IndexIsTheFold => "what is decided from is the fold of the changes that were applied",
            Invariant::NeverGoesBack => "the feed's position never goes back, and is one central was at",
            Invariant::OnDiskFirst => "nothing is acknowledged, claimed or sent before it is on disk",
            Invariant::WithinLimits => "queues and what is remembered stay within their limits",
            Invariant::CommandOnce => "a command is carried out at most once, ever",
            Invariant::CommandInTime => "a command is carried out in its time, by a clock that is trusted",
            Invariant::RestrictionOutlasts => "what restricts a door, and who was let in, outlasts a restart",
            Invariant::Answered => "whoever asks is answered, once",
            Invariant::ComesToRest => "the controller comes to rest",
            Invariant::NothingLost => "what was recorded reaches central, as it was recorded",
            Invariant::Converges => "once faults stop, both sides agree and the outbox drains",
            Invariant::DoorsFollow => "once faults stop, every door does what central's last word asks",
            Invariant::NeverPanics => "the controller never panics",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{invariant:?}: {invariant}; at {} s: {detail}", at.as_secs_f64())]
pub struct Broken {
    pub invariant: Invariant,
    /// In virtual time, since the machine started.
    pub at: Duration,
    pub detail: String,
}

/// What has been looked at in a run, and what was wrong first.
#[derive(Debug, Default)]
pub struct Verdicts {
    pub now: Duration,
    broken: Option<Broken>,
    looked_at: BTreeMap<Invariant, u64>,
}

impl Verdicts {
    /// Looks whether it holds. `detail` is asked for only if not.
    pub fn demand(&mut self, invariant: Invariant, holds: bool, detail: impl FnOnce() -> String) {
        *self.looked_at.entry(invariant).or_default() += 1;
        if !holds && self.broken.is_none() {
            self.broken = Some(Broken { invariant, at: self.now, detail: detail() });
        }
    }

    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The first that did not hold.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// How often each was looked at, or the first that did not hold.
    ///
    /// # Errors
    /// One did not hold.
    pub fn end(self) -> Result<BTreeMap<Invariant, u64>, Broken> {
        self.broken.map_or(Ok(self.looked_at), Err)
    }
}
