//! Times as people type them: RFC 3339 with any offset, wall time at the site, or how long ago. What needs the site's
//! zone or clock waits for them, so that a usage error is told before the daemon is asked.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Timelike, Utc};
use latchd::domain::At;

use super::text::Site;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Exact(At),
    /// Wall time at the site; without a date, today or (of the past) the last time it was so.
    Wall(Option<NaiveDate>, NaiveTime),
    /// So many seconds ago.
    Ago(u32),
}

/// Which wall time is meant when no date is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Today,
    LastPassed,
}

const FORMS: &str = "2026-11-23T09:30:00+01:00, or at the site 2026-11-23 09:30, 2026-11-23 or 09:30";

/// For `--at`.
pub fn at(text: &str) -> Result<Moment, String> {
    instant(text).ok_or_else(|| format!("not a time; expected {FORMS}"))
}

/// For `--since`, which takes ages too.
pub fn since(text: &str) -> Result<Moment, String> {
    instant(text)
        .or_else(|| age(text).map(Moment::Ago))
        .ok_or_else(|| format!("not a time; expected {FORMS}, or an age such as 90s, 15m, 2h, 3d"))
}

/// For `--for`: a length of time, in seconds.
pub fn seconds(text: &str) -> Result<u32, String> {
    let length = age(text).filter(|&seconds| seconds > 0);
    length.ok_or_else(|| "not a length of time; expected such as 30s, 15m, 2h, 1h30m".to_owned())
}

/// RFC 3339 with any offset.
pub fn exact(text: &str) -> Option<At> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| At::from(t.with_timezone(&Utc)))
}

fn instant(text: &str) -> Option<Moment> {
    if let Some(at) = exact(text) {
        return Some(Moment::Exact(at));
    }
    match text.split_once([' ', 'T']) {
        Some((date, wall)) => Some(Moment::Wall(Some(date.parse().ok()?), time(wall)?)),
        None => match text.parse() {
            Ok(date) => Some(Moment::Wall(Some(date), NaiveTime::MIN)),
            Err(_) => time(text).map(|wall| Moment::Wall(None, wall)),
        },
    }
}

fn time(text: &str) -> Option<NaiveTime> {
    ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

/// Numbers with units, such as `1h30m`, in seconds.
fn age(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut total: u32 = 0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit_on) = rest.split_at_checked(digits)?;
        let mut after = unit_on.chars();
        let unit: u32 = match after.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        rest = after.as_str();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

impl Moment {
    /// The instant, if it takes no knowledge of the site.
    pub fn plain(self) -> Option<At> {
        match self {
            Moment::Exact(at) => Some(at),
            Moment::Wall(..) | Moment::Ago(_) => None,
        }
    }

    /// The instant. Of an hour that comes twice, its first pass; of one that is skipped, the instant after it.
    pub fn resolve(self, site: &Site, meaning: Meaning) -> At {
        let wall = |date, time: NaiveTime| {
            let minute = (time.hour() * 60 + time.minute()) as u16;
            site.zone.start(date, minute).plus_s(i64::from(time.second()))
        };
        match self {
            Moment::Exact(at) => at,
            Moment::Ago(secs) => site.now.plus_s(-i64::from(secs)),
            Moment::Wall(Some(date), time) => wall(date, time),
            Moment::Wall(None, time) => {
                let today = site.zone.date(site.now);
                let at = wall(today, time);
                if meaning == Meaning::LastPassed && at > site.now {
                    return wall(today.checked_sub_days(Days::new(1)).unwrap_or(today), time);
                }
                at
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site {
            zone: "Europe/Oslo".parse().unwrap(),
            now: At::parse("2026-11-23T09:00:00Z").unwrap(),
            doors: Default::default(),
        }
    }

    fn resolved(text: &str, meaning: Meaning) -> String {
        since(text).unwrap().resolve(&site(), meaning).to_string()
    }

    #[test]
    fn people_may_write_any_offset_and_wall_time_at_the_site() {
        for text in [
            "2026-11-23T08:30:00Z",
            "2026-11-23T09:30:00+01:00",
            "2026-11-23T14:00:00+05:30",
            "2026-11-23 09:30",
            "2026-11-23T09:30",
            "2026-11-23 09:30:00",
            "09:30",
            "9:30",
        ] {
            assert_eq!(resolved(text, Meaning::Today), "2026-11-23T08:30:00Z", "{text}");
        }
        assert_eq!(resolved("2026-07-01", Meaning::Today), "2026-06-30T22:00:00Z");
    }

    #[test]
    fn a_time_without_a_date_is_today_or_the_last_that_passed() {
        assert_eq!(resolved("17:00", Meaning::Today), "2026-11-23T16:00:00Z");
        assert_eq!(resolved("17:00", Meaning::LastPassed), "2026-11-22T16:00:00Z");
        assert_eq!(resolved("09:00", Meaning::LastPassed), "2026-11-23T08:00:00Z");
    }

    #[test]
    fn wall_times_are_right_when_the_clocks_change() {
        assert_eq!(resolved("2026-10-25 02:30", Meaning::Today), "2026-10-25T00:30:00Z");
        assert_eq!(resolved("2026-03-29 02:30", Meaning::Today), "2026-03-29T01:00:00Z");
    }

    #[test]
    fn ages_count_back_from_the_daemons_clock() {
        assert_eq!(resolved("90s", Meaning::LastPassed), "2026-11-23T08:58:30Z");
        assert_eq!(resolved("1h30m", Meaning::LastPassed), "2026-11-23T07:30:00Z");
        assert_eq!(resolved("2d", Meaning::LastPassed), "2026-11-21T09:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "x", "2", "h", "2x", "25:00", "2026-13-01", "2026-11-23 9", "-2h", "99999999999h", "2h3"]
        {
            assert!(since(text).is_err(), "{text}");
        }
        assert!(at("2h").is_err(), "an age says nothing about the future");
    }
}
