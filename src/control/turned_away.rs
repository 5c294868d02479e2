//! Who was turned away at the control socket: recorded one by one for as long as that is no flood, and then in sum.
//!
//! Each user has a few entries a minute, so that nobody on the box can fill the journal, or hide another's attempt
//! behind their own.

use std::{collections::BTreeMap, time::Duration};

use crate::domain::{Mono, entry::OperatorCommand};

/// Entries of one user's in one [`PERIOD`].
const RECORDED: u32 = 5;
const PERIOD: Duration = Duration::from_secs(60);
/// Users told apart at a time; those beyond share one count.
const USERS: usize = 64;

/// One user's minute.
#[derive(Debug, Clone)]
struct Minute {
    since: Mono,
    recorded: u32,
    /// Beyond them, and the last.
    untold: Option<(u64, OperatorCommand)>,
}

/// By uid; `None` is everybody beyond [`USERS`].
#[derive(Debug, Clone, Default)]
pub struct TurnedAway(BTreeMap<Option<u32>, Minute>);

impl TurnedAway {
    /// What is to be recorded now, if anything.
    pub fn note(&mut self, now: Mono, uid: u32, refused: OperatorCommand) -> Option<OperatorCommand> {
        self.0.retain(|_, minute| minute.untold.is_some() || now.since(minute.since) < PERIOD);
        let is_known = self.0.contains_key(&Some(uid)) || self.0.len() < USERS;
        let fresh = Minute { since: now, recorded: 0, untold: None };
        let minute = self.0.entry(is_known.then_some(uid)).or_insert(fresh);
        if minute.recorded < RECORDED {
            minute.recorded += 1;
            return Some(refused);
        }
        let count = minute.untold.as_ref().map_or(0, |(count, _)| *count);
        minute.untold = Some((count + 1, refused));
        None
    }

    /// Sums that are due to be recorded.
    pub fn take_due(&mut self, now: Mono) -> Vec<OperatorCommand> {
        let due = |minute: &Minute| minute.untold.is_some() && now.since(minute.since) >= PERIOD;
        let over: Vec<Option<u32>> = self.0.iter().filter(|(_, m)| due(m)).map(|(uid, _)| *uid).collect();
        over.into_iter()
            .filter_map(|uid| {
                let minute = self.0.remove(&uid)?;
                let (count, last) = minute.untold?;
                let span = now.since(minute.since).as_secs();
                let said = last.detail.as_deref().unwrap_or_default();
                let detail = Some(format!("{count} more were refused in {span} s, the last: {said}"));
                Some(OperatorCommand { detail, ..last })
            })
            .collect()
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.0.values().filter(|m| m.untold.is_some()).map(|m| m.since.plus(PERIOD)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(Duration::from_secs(s))
    }

    fn tried(away: &mut TurnedAway, s: u64, uid: u32, count: usize) -> usize {
        let refused = |n: usize| OperatorCommand::refused("bo (1001)", "access", format!("no. {n}"));
        (0..count).filter(|n| away.note(at(s), uid, refused(*n)).is_some()).count()
    }

    #[test]
    fn a_flood_is_a_few_entries_and_a_sum_a_minute() {
        let mut away = TurnedAway::default();
        assert_eq!(tried(&mut away, 10, 1001, 4), 4);
        assert_eq!(away.deadline(), None);
        assert_eq!(tried(&mut away, 20, 1001, 100), 1);
        assert_eq!(away.deadline(), Some(at(70)));
        assert!(away.take_due(at(69)).is_empty());
        let sums = away.take_due(at(70));
        let [sum] = sums.as_slice() else { panic!("{sums:?}") };
        assert_eq!(sum.detail.as_deref(), Some("99 more were refused in 60 s, the last: no. 99"));
        assert_eq!((sum.action.as_str(), sum.outcome), ("access", "refused"));
        assert_eq!(tried(&mut away, 70, 1001, 6), 5);
    }

    #[test]
    fn a_minute_is_over_after_sixty_seconds() {
        let mut away = TurnedAway::default();
        tried(&mut away, 0, 1001, RECORDED as usize);
        assert_eq!(tried(&mut away.clone(), 59, 1001, 1), 0);
        assert_eq!(tried(&mut away, 60, 1001, 1), 1);
    }

    #[test]
    fn one_users_flood_hides_nobody_elses_attempt() {
        let mut away = TurnedAway::default();
        tried(&mut away, 0, 1001, 1000);
        assert_eq!(tried(&mut away, 1, 1002, 1), 1);
    }

    #[test]
    fn more_users_than_a_box_has_take_no_more_room() {
        let mut away = TurnedAway::default();
        let recorded: usize = (0..10_000).map(|uid| tried(&mut away, 0, uid, 2)).sum();
        assert_eq!(recorded, USERS * 2 + RECORDED as usize);
        assert_eq!(away.0.len(), USERS + 1);
        assert_eq!(away.take_due(at(60)).len(), 1);
        assert_eq!(tried(&mut away, 61, 20_000, 1), 1);
        assert_eq!(away.0.len(), 1, "whose minute is over is forgotten");
    }
}
