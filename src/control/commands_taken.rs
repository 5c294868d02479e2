//! Which of central's commands have been taken, so that none ever is a second time: by id, until it has expired. And
//! what was answered, because a broker that goes takes what it was just given with it.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    domain::{At, CommandId},
    wire::{command::CommandResult, stored::CommandsFrom},
};

/// Most ids kept. A command lives five minutes at most, so this is more than thirty a second; beyond it none is taken.
const MOST: usize = 10_000;
/// How long after its expiry an id is let go of, in seconds: clocks are corrected.
const MARGIN_S: i64 = 60;
/// How far ahead of our clock central's may be, in seconds: both are synchronised, or held over for a while.
pub const AHEAD_S: i64 = 60;
/// Most answers kept. One that is older than so many others has long arrived.
const MOST_ANSWERS: usize = 64;

/// Whether a command that expires then need no longer be known.
pub fn is_over(expires_at: At, now: At) -> bool {
    expires_at.plus_s(MARGIN_S) < now
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandsTaken {
    /// Until when.
    taken: BTreeMap<CommandId, At>,
    /// Before this, some may have been taken that nobody remembers.
    from: CommandsFrom,
    /// The last ones, in order.
    answered: VecDeque<CommandResult>,
}

impl CommandsTaken {
    pub fn new(taken: impl IntoIterator<Item = (CommandId, At)>, from: CommandsFrom) -> Self {
        CommandsTaken { taken: taken.into_iter().collect(), from, answered: VecDeque::new() }
    }

    /// The clock is trusted now. Returns what is to be kept, if that settles from when on commands are taken.
    pub fn clock_is_trusted(&mut self, now: At) -> Option<CommandsFrom> {
        if self.from != CommandsFrom::Unknown {
            return None;
        }
        self.from = CommandsFrom::After(now.plus_s(AHEAD_S));
        Some(self.from)
    }

    /// Whether one that was issued then may have been taken before what was remembered was lost.
    pub fn may_be_forgotten(&self, issued_at: At) -> bool {
        match self.from {
            CommandsFrom::Ever => false,
            CommandsFrom::Unknown => true,
            CommandsFrom::After(from) => issued_at <= from,
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub fn holds(&self, id: &CommandId) -> bool {
        self.taken.contains_key(id)
    }

    /// Takes one; `false`: there is no room to remember it.
    pub fn take(&mut self, id: &CommandId, expires_at: At, now: At) -> bool {
        self.taken.retain(|_, until| !is_over(*until, now));
        if self.taken.len() >= MOST {
            return false;
        }
        self.taken.insert(id.clone(), expires_at);
        true
    }

    pub fn answered(&mut self, result: CommandResult) {
        if self.answered.len() >= MOST_ANSWERS {
            self.answered.pop_front();
        }
        self.answered.push_back(result);
    }

    /// Answers to commands that have not expired yet: who gave them may wait for one still.
    pub fn fresh_answers(&self, now: At) -> Vec<CommandResult> {
        let is_fresh = |r: &&CommandResult| self.taken.get(&r.id).is_some_and(|until| *until > now);
        self.answered.iter().filter(is_fresh).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> At {
        At::parse("2026-11-23T09:00:00Z").unwrap().plus_s(s)
    }

    fn id(text: &str) -> CommandId {
        CommandId::new(text).unwrap()
    }

    #[test]
    fn an_id_is_known_until_well_after_its_expiry() {
        let mut taken = CommandsTaken::default();
        assert!(taken.take(&id("a"), at(60), at(0)));
        assert!(taken.take(&id("b"), at(200), at(120)) && taken.holds(&id("a")));
        assert!(taken.take(&id("c"), at(200), at(121)) && !taken.holds(&id("a")));
    }

    #[test]
    fn what_cannot_be_remembered_is_not_taken() {
        let mut taken =
            CommandsTaken::new((0..MOST).map(|n| (id(&format!("c-{n}")), at(60))), CommandsFrom::Ever);
        assert!(!taken.take(&id("one-more"), at(60), at(0)));
        assert!(taken.take(&id("one-more"), at(300), at(121)));
    }

    #[test]
    fn after_a_loss_none_is_taken_that_may_have_been_taken_before_it() {
        let mut taken = CommandsTaken::new([], CommandsFrom::Unknown);
        assert!(taken.may_be_forgotten(at(0)) && taken.may_be_forgotten(at(9999)), "no time is known");
        assert_eq!(taken.clock_is_trusted(at(100)), Some(CommandsFrom::After(at(160))));
        assert_eq!(taken.clock_is_trusted(at(200)), None, "that is settled");
        // Central's clock may have been ahead of ours by a minute.
        assert!(taken.may_be_forgotten(at(160)) && !taken.may_be_forgotten(at(161)));
        assert!(!CommandsTaken::default().may_be_forgotten(at(0)));
    }

    fn answer(n: usize) -> CommandResult {
        CommandResult {
            controller: crate::domain::ControllerId::new("oslo-1").unwrap(),
            id: id(&format!("c-{n}")),
            outcome: crate::wire::command::Outcome::Done,
            reason: None,
            refused: Vec::new(),
        }
    }

    #[test]
    fn the_last_answers_are_kept_for_as_long_as_their_commands_live() {
        let mut taken = CommandsTaken::new(
            (0..MOST_ANSWERS + 1).map(|n| (id(&format!("c-{n}")), at(60))),
            CommandsFrom::Ever,
        );
        assert_eq!((taken.len(), taken.is_empty()), (MOST_ANSWERS + 1, false));
        (0..=MOST_ANSWERS).for_each(|n| taken.answered(answer(n)));
        let fresh = taken.fresh_answers(at(59));
        assert_eq!(
            (fresh.len(), fresh.first().map(|r| r.id.as_str())),
            (MOST_ANSWERS, Some("c-1")),
            "the first has gone"
        );
        assert!(taken.fresh_answers(at(60)).is_empty());
        let none = CommandsTaken::default();
        assert_eq!((none.len(), none.is_empty()), (0, true));
    }
}
