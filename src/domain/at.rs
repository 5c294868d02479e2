//! Instants. Wall time for bookings and monotonic time for doors are two types, so that a strike can't hang on a
//! clock that is set back.

use std::{fmt, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A UTC instant. As text: RFC 3339 ending in `Z`. In binary forms: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(DateTime<Utc>);

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
        DateTime::parse_from_rfc3339(text).map(|t| At(t.with_timezone(&Utc))).map_err(|_| refused())
    }

    pub fn from_parts(secs: i64, nanos: u32) -> Option<Self> {
        DateTime::from_timestamp(secs, nanos).map(At)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn secs(self) -> i64 {
        self.0.timestamp()
    }

    /// Nanoseconds within the second.
    pub fn nanos(self) -> u32 {
        self.0.timestamp_subsec_nanos()
    }

    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Cut to the millisecond: what a journal entry carries.
    pub fn floor_ms(self) -> Self {
        At::from_parts(self.secs(), self.nanos() / 1_000_000 * 1_000_000).unwrap_or(self)
    }

    /// This instant moved by whole seconds; stays at the end of the calendar instead of leaving it.
    pub fn plus_s(self, secs: i64) -> Self {
        let end = if secs < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        At(TimeDelta::try_seconds(secs).and_then(|d| self.0.checked_add_signed(d)).unwrap_or(end))
    }

    /// How long after `earlier` this is; zero when it is before it.
    pub fn since(self, earlier: At) -> Duration {
        (self.0 - earlier.0).to_std().unwrap_or(Duration::ZERO)
    }
}

impl From<DateTime<Utc>> for At {
    fn from(t: DateTime<Utc>) -> Self {
        At(t)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
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
            assert_eq!(at.to_string(), text);
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
