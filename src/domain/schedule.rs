//! Weekly wall-clock intervals, and when they are in force (rules, "Windows").

use std::cmp::Ordering;

use chrono::{Days, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

use super::{
    At, Window, Zone,
    zone::{DAY_MIN, weekday},
};

/// One wall-clock interval on some weekdays. It belongs to the day it starts on, and runs into the next one when
/// `to_min` is not after `from_min`; both equal mean the whole calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Interval {
    /// Bit 0 is Monday.
    pub days: u8,
    /// Minutes since midnight, 0 to 1439.
    pub from_min: u16,
    /// Minutes since midnight, 0 to 1440.
    pub to_min: u16,
}

/// A weekly schedule. An empty one is never in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Schedule(pub Vec<Interval>);

/// How far from an instant its nearest occurrence is looked for, in days: two weeks and a bit, so that an interval
/// that falls into a gap one week is found the next.
const HORIZON_DAYS: i64 = 16;

impl Interval {
    pub fn on(&self, day: u8) -> bool {
        self.days & (1 << day) != 0
    }

    /// This interval on the date it starts on.
    pub fn span(&self, zone: Zone, date: NaiveDate) -> (At, At) {
        let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
        match self.from_min.cmp(&self.to_min) {
            Ordering::Less => (zone.start(date, self.from_min), zone.end(date, self.to_min)),
            Ordering::Equal => (zone.start(date, 0), zone.end(next, 0)),
            Ordering::Greater => (zone.start(date, self.from_min), zone.end(next, self.to_min)),
        }
    }

    /// The whole day, every day.
    pub const ALWAYS: Interval = Interval { days: 0x7F, from_min: 0, to_min: DAY_MIN };
}

impl Schedule {
    /// The occurrences that start on this date.
    fn on(&self, zone: Zone, date: NaiveDate) -> impl Iterator<Item = (At, At)> + '_ {
        let day = weekday(date);
        self.0.iter().filter(move |i| i.on(day)).map(move |i| i.span(zone, date))
    }

    /// The occurrences that start `offset` days from the day `at` lies in, cut to `bounds`; empty ones left out.
    fn near(&self, zone: Zone, at: At, offset: i64, bounds: Window) -> impl Iterator<Item = Window> + '_ {
        let date = TimeDelta::try_days(offset).and_then(|by| zone.date(at).checked_add_signed(by));
        date.into_iter()
            .flat_map(move |date| self.on(zone, date))
            .map(move |(from, to)| bounds.narrowed(Some(from), Some(to)))
            .filter(|w| !w.is_empty())
    }

    /// The occurrence that contains `now`; of several, the one that closes last.
    pub fn current(&self, zone: Zone, now: At, bounds: Window) -> Option<Window> {
        (-2..=1)
            .flat_map(|offset| self.near(zone, now, offset, bounds))
            .filter(|w| w.contains(now))
            .max_by_key(|w| (w.closes_at, std::cmp::Reverse(w.opens_at)))
    }

    /// The next instant one of its occurrences opens, after `now`.
    pub fn coming(&self, zone: Zone, now: At, bounds: Window) -> Option<At> {
        let from = bounds.opens_at.map_or(now, |o| o.max(now));
        nearest(-2..=HORIZON_DAYS, |offset| {
            self.near(zone, from, offset, bounds).filter_map(|w| w.opens_at).filter(|&o| o > now).min()
        })
        .min()
    }

    /// The last instant one of its occurrences closed, at or before `now`.
    pub fn past(&self, zone: Zone, now: At, bounds: Window) -> Option<At> {
        let until = bounds.closes_at.map_or(now, |c| c.min(now));
        nearest((-HORIZON_DAYS..=1).rev(), |offset| {
            self.near(zone, until, offset, bounds).filter_map(|w| w.closes_at).filter(|&c| c <= now).max()
        })
        .max()
    }
}

/// What `find` finds day by day, until three days after its first find: by then no occurrence can be nearer, however
/// the clocks change.
fn nearest(days: impl Iterator<Item = i64>, find: impl Fn(i64) -> Option<At>) -> impl Iterator<Item = At> {
    let mut days_since_first = None;
    days.map_while(move |offset| {
        let found = find(offset);
        days_since_first = days_since_first.map(|n: u8| n + 1).or(found.map(|_| 0));
        (days_since_first.is_none_or(|n| n <= 3)).then_some(found)
    })
    .flatten()
}
