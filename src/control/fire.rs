//! The fire input: raised by its level, and never by its absence.
//!
//! ```text
//!            on                                off for QUIET
//!   clear ───────► raised (doors are released) ───────────────► clear (doors return to their modes)
//!     ▲              │  ▲                                          ▲
//!     └── first ──── │ ─┴── first reading: on                      │
//!         reading    │                                             │
//!         off        └─ its board is lost: nobody has said that it is over; it lasts until the input is read as off
//! ```
//!
//! It stands beside the wiring that releases the doors by itself, and can fail where that must not.

use std::time::Duration;

use crate::domain::Mono;

/// How long the input must be off before the alarm counts as over: a panel that chatters locks no door in between.
pub const QUIET: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Raised,
    Cleared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fire {
    level: Option<bool>,
    raised: bool,
    /// Since when it has been off, while it is raised still.
    off_since: Option<Mono>,
}

impl Fire {
    pub fn is_raised(&self) -> bool {
        self.raised
    }

    /// What the input was read as last, unless its board is lost.
    pub fn level(&self) -> Option<bool> {
        self.level
    }

    /// The input's level.
    pub fn reads(&mut self, now: Mono, on: bool) -> Option<Change> {
        self.level = Some(on);
        if on {
            self.off_since = None;
            return (!std::mem::replace(&mut self.raised, true)).then_some(Change::Raised);
        }
        if self.raised {
            self.off_since.get_or_insert(now);
        }
        None
    }

    /// The board it is on is lost.
    pub fn lost(&mut self) {
        self.level = None;
        self.off_since = None;
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.off_since.map(|since| since.plus(QUIET))
    }

    /// Whether it is over now.
    pub fn take_due(&mut self, now: Mono) -> Option<Change> {
        self.deadline().filter(|&at| at <= now)?;
        *self = Fire { level: self.level, ..Fire::default() };
        Some(Change::Cleared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    #[test]
    fn it_is_raised_at_once_and_once() {
        let mut fire = Fire::default();
        assert_eq!(fire.reads(at(0), false), None);
        assert_eq!(fire.reads(at(100), true), Some(Change::Raised));
        assert_eq!(fire.reads(at(200), true), None);
        assert!(fire.is_raised());
        assert_eq!((fire.deadline(), fire.level()), (None, Some(true)));
    }

    #[test]
    fn an_alarm_that_was_there_before_us_counts() {
        assert_eq!(Fire::default().reads(at(0), true), Some(Change::Raised));
    }

    #[test]
    fn it_is_over_when_the_input_has_been_off_for_a_while() {
        let mut fire = Fire::default();
        fire.reads(at(0), true);
        assert_eq!(fire.reads(at(1000), false), None);
        assert_eq!(fire.reads(at(1500), false), None);
        assert_eq!(fire.deadline(), Some(at(3000)));
        assert_eq!(fire.take_due(at(2999)), None);
        assert_eq!(fire.take_due(at(3000)), Some(Change::Cleared));
        assert_eq!((fire.is_raised(), fire.level()), (false, Some(false)));
        assert_eq!((fire.deadline(), fire.take_due(at(9000))), (None, None));
    }

    #[test]
    fn a_panel_that_chatters_raises_it_once() {
        let mut fire = Fire::default();
        let changes =
            (0..50).filter_map(|n| fire.reads(at(n * 1500), n % 2 == 0).or(fire.take_due(at(n * 1500))));
        assert_eq!(changes.collect::<Vec<_>>(), [Change::Raised]);
    }

    #[test]
    fn a_lost_board_neither_raises_nor_ends_it() {
        let mut fire = Fire::default();
        fire.reads(at(0), false);
        fire.lost();
        assert!(!fire.is_raised());
        fire.reads(at(0), true);
        fire.reads(at(100), false);
        fire.lost();
        assert_eq!((fire.is_raised(), fire.deadline(), fire.level()), (true, None, None));
        assert_eq!(fire.take_due(at(100_000)), None);
        assert_eq!(fire.reads(at(200_000), false), None);
        assert_eq!(fire.take_due(at(202_000)), Some(Change::Cleared));
    }
}
