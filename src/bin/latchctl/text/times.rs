//! Instants and spans as people at the site say them.

use std::time::Duration;

use chrono::Datelike;
use latchd::domain::{At, Zone};

use super::Site;

/// The zone's abbreviation at this instant, such as `CET`.
pub fn abbreviation(zone: Zone, at: At) -> String {
    zone.show(at).rsplit(' ').next().unwrap_or_default().to_owned()
}

/// Wall time, with seconds only where there are some: `09:30`.
fn time(zone: Zone, at: At) -> String {
    let time = zone.show_time(at);
    time.strip_suffix(":00").map(str::to_owned).unwrap_or(time)
}

/// A date as one is said: `Mon 23 Nov`, with the year when it is another one.
fn date(zone: Zone, at: At, now: At) -> String {
    let (date, today) = (zone.date(at), zone.date(now));
    let form = if date.year() == today.year() { "%a %-d %b" } else { "%a %-d %b %Y" };
    date.format(form).to_string()
}

/// The zone's abbreviation, where `at` and `now` are on different sides of a clock change.
fn other_zone(zone: Zone, at: At, now: At) -> String {
    let own = abbreviation(zone, at);
    if own == abbreviation(zone, now) { String::new() } else { format!(" {own}") }
}

/// As short as is clear beside `now`: `09:30` today, else `Mon 23 Nov 09:30`.
pub fn brief(zone: Zone, at: At, now: At) -> String {
    let other = other_zone(zone, at, now);
    if zone.date(at) == zone.date(now) {
        format!("{}{other}", time(zone, at))
    } else {
        format!("{} {}{other}", date(zone, at, now), time(zone, at))
    }
}

/// In a sentence: `at 09:30` where today is meant, else `at 09:30 on Mon 23 Nov`.
pub fn spoken(zone: Zone, at: At, now: At) -> String {
    if zone.date(at) == zone.date(now) {
        format!("at {}{}", time(zone, at), other_zone(zone, at, now))
    } else {
        dated(zone, at, now)
    }
}

/// In a sentence, with its date: `at 09:30 on Mon 23 Nov`.
pub fn dated(zone: Zone, at: At, now: At) -> String {
    format!("at {}{} on {}", time(zone, at), other_zone(zone, at, now), date(zone, at, now))
}

/// The two largest units that matter: `3 h 12 min`.
pub fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (large, small) = match secs {
        0..60 => return format!("{secs} s"),
        60..3600 => ((secs / 60, "min"), (0, "")),
        3600..86_400 => ((secs / 3600, "h"), (secs % 3600 / 60, "min")),
        _ => ((secs / 86_400, "d"), (secs % 86_400 / 3600, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

impl Site {
    pub fn brief(&self, at: At) -> String {
        brief(self.zone, at, self.now)
    }

    /// In a sentence, with its date.
    pub fn dated(&self, at: At) -> String {
        dated(self.zone, at, self.now)
    }

    pub fn ago(&self, at: At) -> String {
        format!("{} ago", span(self.now.since(at)))
    }

    /// A column's heading that says which time it shows.
    pub fn heading(&self, title: &str) -> String {
        format!("{title} ({})", abbreviation(self.zone, self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(at: &str, now: &str) -> (String, String) {
        let zone: Zone = "Europe/Oslo".parse().unwrap();
        let (at, now) = (At::parse(at).unwrap(), At::parse(now).unwrap());
        (brief(zone, at, now), spoken(zone, at, now))
    }

    fn said(brief: &str, spoken: &str) -> (String, String) {
        (brief.into(), spoken.into())
    }

    #[test]
    fn an_instant_is_said_as_shortly_as_is_clear() {
        let now = "2026-11-23T07:00:00Z";
        assert_eq!(both("2026-11-23T08:30:00Z", now), said("09:30", "at 09:30"));
        assert_eq!(both("2026-11-23T08:30:07.4Z", now), said("09:30:07", "at 09:30:07"));
        assert_eq!(both("2026-11-24T08:30:00Z", now), said("Tue 24 Nov 09:30", "at 09:30 on Tue 24 Nov"));
        assert_eq!(
            both("2027-01-04T08:30:00Z", now),
            said("Mon 4 Jan 2027 09:30", "at 09:30 on Mon 4 Jan 2027")
        );
    }

    #[test]
    fn the_zone_is_said_where_the_clocks_changed_between() {
        assert_eq!(
            both("2026-07-01T07:30:00Z", "2026-11-23T07:00:00Z"),
            said("Wed 1 Jul 09:30 CEST", "at 09:30 CEST on Wed 1 Jul")
        );
        let first_pass = both("2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z");
        let second_pass = both("2026-10-25T01:30:00Z", "2026-10-25T05:00:00Z");
        assert_eq!(first_pass, said("02:30 CEST", "at 02:30 CEST"));
        assert_eq!(second_pass, said("02:30", "at 02:30"));
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let span = |secs| span(Duration::from_secs(secs));
        assert_eq!(span(0), "0 s");
        assert_eq!(span(90), "1 min");
        assert_eq!(span(3600), "1 h");
        assert_eq!(span(11_520), "3 h 12 min");
        assert_eq!(span(90_000), "1 d 1 h");
    }
}
