//! How often a reader had to be started over in its present trouble, for those who ask how it is. One restart is
//! nothing; one that goes on for hours is a cable to be changed, even if cards are read in between.

use std::time::Duration;

use crate::domain::At;

/// Without a restart for this long, the trouble is over.
const OVER_AFTER: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Default)]
pub struct Restarts(Option<Trouble>);

/// A row of restarts, none longer than an hour after the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub count: u64,
    /// When the first was.
    pub since: At,
    pub last: At,
    /// Why the last was.
    pub last_error: String,
}

impl Restarts {
    pub fn note(&mut self, now: At, error: String) {
        let (count, since) = self.at(now).map_or((0, now), |trouble| (trouble.count, trouble.since));
        self.0 = Some(Trouble { count: count.saturating_add(1), since, last: now, last_error: error });
    }

    /// The trouble it is in, or lately was.
    pub fn at(&self, now: At) -> Option<&Trouble> {
        self.0.as_ref().filter(|trouble| now.since(trouble.last) < OVER_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> At {
        At::parse(&format!("2026-11-23T{:02}:{:02}:00Z", 8 + minute / 60, minute % 60)).unwrap()
    }

    #[test]
    fn restarts_in_a_row_are_one_trouble_with_its_beginning_and_its_last_reason() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.at(at(0)), None);
        for (minute, error) in [(0, "one"), (59, "two"), (118, "three")] {
            restarts.note(at(minute), error.into());
        }
        let trouble = Trouble { count: 3, since: at(0), last: at(118), last_error: "three".into() };
        assert_eq!(restarts.at(at(177)), Some(&trouble));
    }

    #[test]
    fn an_hour_without_one_ends_it_and_the_next_begins_another() {
        let mut restarts = Restarts::default();
        restarts.note(at(0), "one".into());
        assert_eq!(restarts.at(at(60)), None);
        restarts.note(at(60), "two".into());
        assert_eq!(restarts.at(at(60)).map(|trouble| (trouble.count, trouble.since)), Some((1, at(60))));
    }
}
