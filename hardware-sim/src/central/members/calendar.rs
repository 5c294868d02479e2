//! A location's hours: weekly intervals by its wall clock, days that are exceptions, and whether a stretch of time lies
//! inside.
//!
//! Pure. The rules of `rules.md` for schedules: `22:00`–`06:00` runs into the next day and belongs to the day it starts
//! on; a wall time the clock jumps over means the first instant after the gap; a repeated hour lies inside both times.

use super::site::Location;
use chrono::{
    DateTime, Datelike as _, Days, MappedLocalTime, NaiveDate, TimeDelta, TimeZone as _, Utc, Weekday,
};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const MINUTES_A_DAY: u32 = 24 * 60;

/// A wall time to the minute; `24:00` ends a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(u32);

impl FromStr for WallTime {
    type Err = String;

    fn from_str(text: &str) -> Result<WallTime, String> {
        let wrong = || format!("{text} is no wall time; expected 07:00, or 24:00 for the end of a day");
        let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5).ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let time = WallTime(hours * 60 + minutes);
        if minutes < 60 && time.0 <= MINUTES_A_DAY { Ok(time) } else { Err(wrong()) }
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<WallTime, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A day of the week, as the wire writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are the days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn of(date: NaiveDate) -> Day {
        match date.weekday() {
            Weekday::Mon => Day::Mon,
            Weekday::Tue => Day::Tue,
            Weekday::Wed => Day::Wed,
            Weekday::Thu => Day::Thu,
            Weekday::Fri => Day::Fri,
            Weekday::Sat => Day::Sat,
            Weekday::Sun => Day::Sun,
        }
    }
}

/// One line of a weekly schedule, as the wire writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The days it starts on.
    pub days: Vec<Day>,
    /// From then.
    pub from: WallTime,
    /// Until then; the same as `from` means the whole calendar day, and an earlier one is on the next day.
    pub to: WallTime,
}

impl Interval {
    /// Monday to Friday, nine to five: the contract's default for staffed hours.
    #[must_use]
    pub fn office_hours() -> Vec<Interval> {
        let days = vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
        vec![Interval { days, from: WallTime(9 * 60), to: WallTime(17 * 60) }]
    }
}

/// A date that is not like its weekday, as the wire writes it; a field left out is as on any such weekday.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Which.
    pub date: NaiveDate,
    /// Why.
    #[serde(default)]
    pub name: String,
    /// Its opening hours; an empty list means closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_hours: Option<Vec<[WallTime; 2]>>,
    /// Its staffed hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staffed_hours: Option<Vec<[WallTime; 2]>>,
}

/// Which of a location's hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hours {
    /// When it is open.
    Opening,
    /// When somebody is at the front desk.
    Staffed,
}

/// From and to, half-open.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

impl Location {
    /// The local date of an instant.
    #[must_use]
    pub fn date(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.time_zone).date_naive()
    }

    /// The instants of a local day.
    #[must_use]
    pub fn day(&self, date: NaiveDate) -> Span {
        (start_of(self.time_zone, date), start_of(self.time_zone, next(date)))
    }

    /// As people here read an instant.
    #[must_use]
    pub fn local(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.time_zone).format("%a %Y-%m-%d %H:%M").to_string()
    }

    /// The spans that start on a day, in order, those that touch made one.
    #[must_use]
    pub fn spans(&self, hours: Hours, date: NaiveDate) -> Vec<Span> {
        let mut spans: Vec<Span> = self
            .wall_times(hours, date)
            .into_iter()
            .map(|(WallTime(from), WallTime(to))| {
                let (from, to) = match to.cmp(&from) {
                    Ordering::Equal => (0, MINUTES_A_DAY),
                    Ordering::Less => (from, to + MINUTES_A_DAY),
                    Ordering::Greater => (from, to),
                };
                let zone = self.time_zone;
                (instant(zone, date, from, Pass::First), instant(zone, date, to, Pass::Last))
            })
            .collect();
        spans.sort();
        joined(spans)
    }

    /// Whether all of `[start, end)` lies inside one stretch of these hours.
    #[must_use]
    pub fn covers(&self, hours: Hours, (start, end): Span) -> bool {
        if hours == Hours::Opening && self.open_24h {
            return true;
        }
        let (first, last) = (self.date(start), self.date(end));
        let days = first.pred_opt().unwrap_or(first).iter_days().take_while(|day| *day <= last);
        let mut spans: Vec<Span> = days.flat_map(|day| self.spans(hours, day)).collect();
        spans.sort();
        joined(spans).iter().any(|(from, to)| *from <= start && end <= *to)
    }

    /// Whether the instant is on a weekday (Monday to Friday) in staffed hours.
    #[must_use]
    pub fn is_staffed_weekday(&self, at: DateTime<Utc>) -> bool {
        let day = Day::of(self.date(at));
        let weekday = day != Day::Sat && day != Day::Sun;
        weekday && self.covers(Hours::Staffed, (at, at + TimeDelta::seconds(1)))
    }

    /// Whether any of its hours begin when a day ends, which the wire does not allow.
    pub(super) fn begins_at_24(&self) -> bool {
        let weekly = self.opening_hours.iter().chain(&self.staffed_hours).map(|interval| interval.from);
        let own = self.exceptions.iter().flat_map(|own| [&own.opening_hours, &own.staffed_hours]);
        let own = own.flatten().flatten().map(|[from, _]| *from);
        weekly.chain(own).any(|from| from.0 == MINUTES_A_DAY)
    }

    fn wall_times(&self, hours: Hours, date: NaiveDate) -> Vec<(WallTime, WallTime)> {
        let exception = self.exceptions.iter().find(|exception| exception.date == date);
        let own = exception.and_then(|exception| match hours {
            Hours::Opening => exception.opening_hours.as_ref(),
            Hours::Staffed => exception.staffed_hours.as_ref(),
        });
        if let Some(own) = own {
            return own.iter().map(|[from, to]| (*from, *to)).collect();
        }
        let weekly = match hours {
            Hours::Opening => &self.opening_hours,
            Hours::Staffed => &self.staffed_hours,
        };
        let of_the_day = weekly.iter().filter(|interval| interval.days.contains(&Day::of(date)));
        of_the_day.map(|interval| (interval.from, interval.to)).collect()
    }
}

/// A wall time that is meant, of those that a repeated hour has two of.
#[derive(Debug, Clone, Copy)]
enum Pass {
    First,
    Last,
}

fn start_of(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    instant(zone, date, 0, Pass::First)
}

/// The instant at so many minutes of wall clock after a day's midnight.
fn instant(zone: Tz, date: NaiveDate, minutes: u32, pass: Pass) -> DateTime<Utc> {
    let wall = date.and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(i64::from(minutes));
    // No zone has ever skipped more than a day.
    for later in 0..=i64::from(MINUTES_A_DAY) {
        match zone.from_local_datetime(&(wall + TimeDelta::minutes(later))) {
            MappedLocalTime::Single(at) => return at.to_utc(),
            MappedLocalTime::Ambiguous(first, last) => {
                return match pass {
                    Pass::First => first.to_utc(),
                    Pass::Last => last.to_utc(),
                };
            }
            MappedLocalTime::None => {}
        }
    }
    wall.and_utc()
}

/// The instant of a wall time as people say it: of a repeated hour the first, of a skipped one none.
#[must_use]
pub fn said(zone: Tz, wall: chrono::NaiveDateTime) -> Option<DateTime<Utc>> {
    zone.from_local_datetime(&wall).earliest().map(|at| at.to_utc())
}

/// The instant of a wall time on a date, such as the end of a day's booking.
#[must_use]
pub fn at_wall_time(zone: Tz, date: NaiveDate, time: WallTime) -> DateTime<Utc> {
    instant(zone, date, time.0, Pass::First)
}

fn next(date: NaiveDate) -> NaiveDate {
    date.checked_add_days(Days::new(1)).unwrap_or(date)
}

fn joined(sorted: Vec<Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for (from, to) in sorted {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            Some(_) | None => joined.push((from, to)),
        }
    }
    joined
}

/// A month of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// The month a date lies in.
    #[must_use]
    pub fn of(date: NaiveDate) -> Month {
        Month { year: date.year(), month: date.month() }
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(self, zone: Tz) -> DateTime<Utc> {
        let (year, month) = if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        start_of(zone, NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(NaiveDate::MAX))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Month, String> {
        let date = format!("{text}-01").parse().map_err(|_| format!("{text} is no month; expected 2026-11"));
        date.map(Month::of)
    }
}
