//! Instants. Wall time for bookings and monotonic time for doors are two types, so that a strike can't hang on a
//! clock that is set back.

use std::{fmt, num::NonZeroU32, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A UTC instant. As text: RFC 3339 ending in `Z`. In binary forms: seconds and nanoseconds since 1970.
///
/// Kept as such, too: a decision reads, moves and compares a dozen of them, and only a reader needs a calendar date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    secs: i64,
    /// One more than the nanoseconds, so that an `Option<At>` is no larger; those are below a second, but for a leap
    /// second, as in [`DateTime`].
    nanos_and_one: NonZeroU32,
}

const SECOND_NS: u32 = 1_000_000_000;
/// The ends of the calendar.
const FIRST: At = At::of(DateTime::<Utc>::MIN_UTC.timestamp(), 0);
const LAST: At = At::of(DateTime::<Utc>::MAX_UTC.timestamp(), SECOND_NS - 1);

/// Why a text is not an instant of the wire.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not an instant; expected RFC 3339 in UTC, such as 2026-11-23T09:00:00Z")]
pub struct AtError {
    text: String,
}

impl At {
    /// Reads RFC 3339 in UTC with `Z` (wire, "Bodies"). Other offsets are refused: the contract has one form.
    pub fn parse(text: &str) -> Result<Self, AtError> {
        let refused = || AtError { text: text.chars().take(40).collect() };
        if !text.ends_with('Z') {
            return Err(refused());
        }
        DateTime::parse_from_rfc3339(text).map(|t| At::from(t.with_timezone(&Utc))).map_err(|_| refused())
    }

    /// `None` outside the calendar.
    pub fn from_parts(secs: i64, nanos: u32) -> Option<Self> {
        let is_leap = || nanos < 2 * SECOND_NS && secs.rem_euclid(60) == 59;
        let is_within = (FIRST.secs..=LAST.secs).contains(&secs) && (nanos < SECOND_NS || is_leap());
        is_within.then_some(At::of(secs, nanos))
    }

    const fn of(secs: i64, nanos: u32) -> Self {
        At { secs, nanos_and_one: NonZeroU32::MIN.saturating_add(nanos) }
    }

    /// Whole seconds since 1970, rounded down.
    pub fn secs(self) -> i64 {
        self.secs
    }

    /// Nanoseconds within the second.
    pub fn nanos(self) -> u32 {
        self.nanos_and_one.get() - 1
    }

    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.secs, self.nanos()).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Cut to the millisecond: what a journal entry carries.
    pub fn floor_ms(self) -> Self {
        At::of(self.secs, self.nanos() / 1_000_000 * 1_000_000)
    }

    /// This instant moved by whole seconds; stays at the end of the calendar instead of leaving it. A leap second
    /// moves as in [`DateTime`]: as the second before it when forward, as the one after when back.
    pub fn plus_s(self, by: i64) -> Self {
        let (secs, nanos) = match self.nanos().checked_sub(SECOND_NS) {
            Some(nanos) if by > 0 => (self.secs, nanos),
            Some(nanos) if by < 0 => (self.secs + 1, nanos),
            _ => (self.secs, self.nanos()),
        };
        At::of(secs.saturating_add(by), nanos).clamp(FIRST, LAST)
    }

    /// How long after `earlier` this is; zero when it is before it.
    pub fn since(self, earlier: At) -> Duration {
        (self.utc() - earlier.utc()).to_std().unwrap_or(Duration::ZERO)
    }
}

impl From<DateTime<Utc>> for At {
    fn from(t: DateTime<Utc>) -> Self {
        At::of(t.timestamp(), t.timestamp_subsec_nanos())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { (self.secs(), self.nanos()).serialize(s) }
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            At::parse(&text).map_err(D::Error::custom)
        } else {
            let (secs, nanos) = <(i64, u32)>::deserialize(d)?;
            At::from_parts(secs, nanos).ok_or_else(|| D::Error::custom("an instant outside the calendar"))
        }
    }
}

/// Time since the machine started, suspended time included (`CLOCK_BOOTTIME`). Never set, never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub Duration);

impl Mono {
    pub fn plus(self, by: Duration) -> Self {
        Mono(self.0.saturating_add(by))
    }

    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// How far the wall clock may be believed (rules, "The clock").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockTrust {
    /// Synchronised now.
    Trusted,
    /// Was synchronised within the hold-over, and has not jumped since. Trusted for decisions; said in entries.
    Holdover,
    Untrusted,
}

impl ClockTrust {
    pub const ALL: [ClockTrust; 3] = [ClockTrust::Trusted, ClockTrust::Holdover, ClockTrust::Untrusted];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ClockTrust::Trusted => "trusted",
            ClockTrust::Holdover => "holdover",
            ClockTrust::Untrusted => "untrusted",
        }
    }

    pub fn is_trusted(self) -> bool {
        self != ClockTrust::Untrusted
    }
}

/// The one way time enters the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub mono: Mono,
    pub wall: At,
    pub trust: ClockTrust,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_ending_in_z_is_an_instant() {
        for text in ["2026-11-23T09:00:00", "2026-11-23T10:00:00+01:00", "2026-02-30T00:00:00Z", "Z", ""] {
            assert!(At::parse(text).is_err(), "{text}");
        }
        for text in ["2026-11-23T09:00:00Z", "2026-11-23T09:00:00.001Z", "1969-12-31T23:59:59.5Z"] {
            let expected = text.replace(".5Z", ".500Z");
            assert_eq!(At::parse(text).unwrap().to_string(), expected);
        }
    }

    /// The calendar's own arithmetic is the measure, a leap second and the ends of the calendar included.
    #[test]
    fn moving_an_instant_is_what_the_calendar_does() {
        let texts = [
            "2026-11-23T09:00:00.25Z",
            "2016-12-31T23:59:60.5Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
        ];
        for at in texts.map(|t| At::parse(t).unwrap()) {
            for by in [-86_400, -61, -1, 0, 1, 59, 1800, 100_000_000] {
                let expected = at.utc() + chrono::TimeDelta::seconds(by);
                assert_eq!(at.plus_s(by), At::from(expected), "{at} {by}");
                assert_eq!(At::from(expected).utc(), expected);
            }
        }
        let (first, last) = (At::from(DateTime::<Utc>::MIN_UTC), At::from(DateTime::<Utc>::MAX_UTC));
        assert_eq!((first.plus_s(-1), last.plus_s(1)), (first, last));
        assert_eq!((first.plus_s(i64::MIN), last.plus_s(i64::MAX)), (first, last));
        assert_eq!(At::from_parts(last.secs() + 1, 0), None);
        assert_eq!(At::from_parts(0, SECOND_NS), None);
        assert!(At::from_parts(59, 2 * SECOND_NS - 1).is_some(), "within a leap second");
        assert_eq!(At::from_parts(59, 2 * SECOND_NS), None);
    }

    #[test]
    fn only_utc_with_a_z_is_read() {
        for text in [
            "2026-11-23T09:00:00+00:00",
            "2026-11-23T10:00:00+01:00",
            "2026-11-23T09:00:00",
            "2026-11-23T09:00:00z",
            "2026-11-23T09:00Z",
            "2026-11-23Z",
            "2026-02-30T09:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T09:00:61Z",
            "10000-01-01T00:00:00Z",
            "26-11-23T09:00:00Z",
            " 2026-11-23T09:00:00Z",
            "Z",
            "",
        ] {
            assert!(At::parse(text).is_err(), "{text}");
        }
        let error = At::parse("tomorrow").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"tomorrow\" is not an instant; expected RFC 3339 in UTC, such as 2026-11-23T09:00:00Z"
        );
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "2026-11-23T09:00:00Z",
            "2026-11-23T08:31:07.412Z",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            let at = At::parse(text).unwrap();
            assert_eq!((at.to_string(), format!("{at:?}")), (text.to_owned(), text.to_owned()));
            assert_eq!(serde_json::to_string(&at).unwrap(), format!("{text:?}"));
            let stored: At = postcard::from_bytes(&postcard::to_stdvec(&at).unwrap()).unwrap();
            assert_eq!(stored, at);
        }
    }

    #[test]
    fn a_leap_second_is_an_instant_between_its_neighbours() {
        let at = |text| At::parse(text).unwrap();
        let leap = at("2016-12-31T23:59:60Z");
        assert!(at("2016-12-31T23:59:59Z") < leap && leap < at("2017-01-01T00:00:00Z"));
        let stored: At = postcard::from_bytes(&postcard::to_stdvec(&leap).unwrap()).unwrap();
        assert_eq!(stored, leap);
    }

    #[test]
    fn moving_past_the_end_of_the_calendar_stays_at_it() {
        let last = At::parse("9999-12-31T23:59:59Z").unwrap();
        assert!(last.plus_s(i64::MAX) > last && last.plus_s(i64::MAX) == last.plus_s(i64::MAX).plus_s(1));
        assert!(last.plus_s(i64::MIN) < At::parse("0000-01-01T00:00:00Z").unwrap());
        assert_eq!(
            At::parse("2026-11-23T08:31:07.4129Z").unwrap().floor_ms().to_string(),
            "2026-11-23T08:31:07.412Z"
        );
    }

    #[test]
    fn a_stored_instant_outside_the_calendar_is_an_error() {
        let bytes = postcard::to_stdvec(&(i64::MAX, 0u32)).unwrap();
        assert!(postcard::from_bytes::<At>(&bytes).is_err());
    }
}
