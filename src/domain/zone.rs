//! A site's time zone: from wall time to instants, right on the days the clocks change.

use std::{fmt, str::FromStr};

use chrono::{Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::At;

/// An IANA time zone, such as `Europe/Oslo`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone(chrono_tz::Tz);

/// Why a text names no zone.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an IANA time zone; expected a name such as Europe/Oslo or UTC")]
pub struct ZoneError(String);

/// Minutes in a day: the wall time `24:00`.
pub const DAY_MIN: u16 = 24 * 60;

/// No zone is farther from UTC.
const FARTHEST_S: i64 = 15 * 3600;

impl Zone {
    pub const UTC: Zone = Zone(chrono_tz::UTC);

    /// The calendar date on the site's wall at this instant.
    pub fn date(self, at: At) -> NaiveDate {
        at.utc().with_timezone(&self.0).date_naive()
    }

    /// The instant an interval that starts at this wall time starts: the first pass of a repeated hour, and the
    /// first instant after a gap for a time that does not exist.
    pub fn start(self, date: NaiveDate, minute: u16) -> At {
        self.resolve(date, minute, |early, _| early)
    }

    /// The instant an interval that ends at this wall time ends: the second pass of a repeated hour, and the first
    /// instant after a gap for a time that does not exist.
    pub fn end(self, date: NaiveDate, minute: u16) -> At {
        self.resolve(date, minute, |_, late| late)
    }

    /// As people at the site read it: `Mon 2026-11-23 09:30 CET`.
    pub fn show(self, at: At) -> String {
        at.utc().with_timezone(&self.0).format("%a %Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// Local wall time without the date: `09:30:07`.
    pub fn show_time(self, at: At) -> String {
        at.utc().with_timezone(&self.0).format("%H:%M:%S").to_string()
    }

    fn resolve(self, date: NaiveDate, minute: u16, pick: impl Fn(At, At) -> At) -> At {
        let midnight = date.and_hms_opt(0, 0, 0).unwrap_or(NaiveDateTime::MIN);
        let wall =
            midnight.checked_add_signed(TimeDelta::minutes(i64::from(minute))).unwrap_or(NaiveDateTime::MAX);
        match self.0.from_local_datetime(&wall) {
            MappedLocalTime::Single(t) => At::from(t.with_timezone(&Utc)),
            MappedLocalTime::Ambiguous(a, b) => {
                let (a, b) = (At::from(a.with_timezone(&Utc)), At::from(b.with_timezone(&Utc)));
                pick(a.min(b), a.max(b))
            }
            MappedLocalTime::None => self.after_gap(wall),
        }
    }

    /// The first instant at which the wall shows `wall` or later, for a wall time the clock jumps over. Clocks jump on
    /// whole seconds, so a bisection finds it.
    fn after_gap(self, wall: NaiveDateTime) -> At {
        let reached = |secs: i64| {
            chrono::DateTime::from_timestamp(secs, 0).is_none_or(|t| {
                let offset = self.0.offset_from_utc_datetime(&t.naive_utc()).fix().local_minus_utc();
                t.naive_utc() + TimeDelta::seconds(i64::from(offset)) >= wall
            })
        };
        let middle = wall.and_utc().timestamp();
        let (mut before, mut after) = (middle.saturating_sub(FARTHEST_S), middle.saturating_add(FARTHEST_S));
        while after - before > 1 {
            let half = before + (after - before) / 2;
            if reached(half) { after = half } else { before = half }
        }
        At::from_parts(after, 0).unwrap_or_else(|| At::from(wall.and_utc()))
    }
}

/// Monday is 0.
pub fn weekday(date: NaiveDate) -> u8 {
    date.weekday().num_days_from_monday() as u8
}

impl FromStr for Zone {
    type Err = ZoneError;
    fn from_str(name: &str) -> Result<Self, ZoneError> {
        name.parse().map(Zone).map_err(|_| ZoneError(name.chars().take(64).collect()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &str, date: &str, minute: u16) -> (String, String) {
        let (zone, date): (Zone, NaiveDate) = (zone.parse().unwrap(), date.parse().unwrap());
        (zone.start(date, minute).to_string(), zone.end(date, minute).to_string())
    }

    fn both(text: &str) -> (String, String) {
        (text.into(), text.into())
    }

    #[test]
    fn a_missing_wall_time_is_the_first_instant_after_the_gap() {
        assert_eq!(at("Europe/Oslo", "2026-03-29", 150), both("2026-03-29T01:00:00Z"));
        assert_eq!(at("Europe/Oslo", "2026-03-29", 120), both("2026-03-29T01:00:00Z"));
        assert_eq!(at("Europe/Oslo", "2026-03-29", 180), both("2026-03-29T01:00:00Z"));
        assert_eq!(at("Australia/Lord_Howe", "2026-10-04", 135), both("2026-10-03T15:30:00Z"));
        // midnight itself is missing
        assert_eq!(at("America/Santiago", "2026-09-06", 0), both("2026-09-06T04:00:00Z"));
        // a whole day is missing
        assert_eq!(at("Pacific/Apia", "2011-12-30", 720), both("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn a_repeated_wall_time_starts_on_its_first_pass_and_ends_on_its_second() {
        let twice = ("2026-10-25T00:30:00Z".into(), "2026-10-25T01:30:00Z".into());
        assert_eq!(at("Europe/Oslo", "2026-10-25", 150), twice);
    }

    #[test]
    fn a_zone_is_shown_by_its_name() {
        let zone: Zone = "Pacific/Apia".parse().unwrap();
        assert_eq!((zone.to_string(), format!("{zone:?}")), ("Pacific/Apia".into(), "Pacific/Apia".into()));
    }

    #[test]
    fn twenty_four_hundred_is_the_next_midnight() {
        assert_eq!(at("Europe/Oslo", "2026-11-23", DAY_MIN), both("2026-11-23T23:00:00Z"));
    }
}
