//! Whether the building is open, and whether its desk is staffed: weekly hours, with the calendar's exceptions on top.

use chrono::{Days, NaiveDate};

use super::{
    At, Interval, Policy, Schedule, Zone,
    policy::{Exception, NaiveDateKey},
    zone::weekday,
};

/// Where no policy says otherwise: Monday to Friday, 09:00 to 17:00.
const STAFFED: Interval = Interval { days: 0b1_1111, from_min: 9 * 60, to_min: 17 * 60 };
/// How far ahead staffed hours are looked for, in days: a desk that is not staffed for a year is not staffed.
const AHEAD_DAYS: u64 = 366;

impl Policy {
    /// Whether the desk is staffed at `now` (rules, "Cards").
    pub fn is_staffed(&self, zone: Zone, now: At) -> bool {
        self.in_hours(&self.staffed_weekly(), |e| e.staffed_hours.as_deref(), zone, now)
    }

    /// When the desk is staffed next, after `now`: from when, and until when.
    pub fn next_staffed(&self, zone: Zone, now: At) -> Option<(At, At)> {
        self.next_of(&self.staffed_weekly(), |e| e.staffed_hours.as_deref(), zone, now)
    }

    /// When the building opens next, after `now`: from when, and until when.
    pub fn next_open(&self, zone: Zone, now: At) -> Option<(At, At)> {
        let weekly = self.opening_hours.clone().unwrap_or_else(|| Schedule(vec![Interval::ALWAYS]));
        self.next_of(&weekly, |e| e.opening_hours.as_deref(), zone, now)
    }

    fn next_of(
        &self,
        weekly: &Schedule,
        exception: impl Fn(&Exception) -> Option<&[(u16, u16)]>,
        zone: Zone,
        now: At,
    ) -> Option<(At, At)> {
        let today = zone.date(now);
        (0..=AHEAD_DAYS).filter_map(|ahead| today.checked_add_days(Days::new(ahead))).find_map(|date| {
            let spans = self.spans_on(weekly, &exception, zone, date);
            spans.into_iter().filter(|(from, to)| *from > now && from < to).min()
        })
    }

    fn staffed_weekly(&self) -> Schedule {
        self.staffed_hours.clone().unwrap_or_else(|| Schedule(vec![STAFFED]))
    }

    /// What begins on this date.
    fn spans_on(
        &self,
        weekly: &Schedule,
        exception: impl Fn(&Exception) -> Option<&[(u16, u16)]>,
        zone: Zone,
        date: NaiveDate,
    ) -> Vec<(At, At)> {
        let day = weekday(date);
        let exceptional = self.exceptions.get(&NaiveDateKey::from(date)).and_then(&exception);
        match exceptional {
            Some(spans) => spans
                .iter()
                .map(|&(from_min, to_min)| exceptional_interval(from_min, to_min).span(zone, date))
                .collect(),
            None => weekly.0.iter().filter(|i| i.on(day)).map(|i| i.span(zone, date)).collect(),
        }
    }

    /// Whether `now` lies in the opening hours. An exception replaces the intervals that start on its date; what
    /// runs on from the evening before is the evening before's.
    pub fn is_open(&self, zone: Zone, now: At) -> bool {
        if self.opening_hours.is_none() && self.exceptions.values().all(|e| e.opening_hours.is_none()) {
            return true;
        }
        let always = Schedule(vec![Interval::ALWAYS]);
        let weekly = self.opening_hours.as_ref().unwrap_or(&always);
        self.in_hours(weekly, |e| e.opening_hours.as_deref(), zone, now)
    }

    fn in_hours(
        &self,
        weekly: &Schedule,
        exception: impl Fn(&Exception) -> Option<&[(u16, u16)]>,
        zone: Zone,
        now: At,
    ) -> bool {
        let today = zone.date(now);
        // A wall clock moves by at most a day at once (Pacific/Apia, 2011): two days back covers what runs on.
        (0..=2).filter_map(|back| today.checked_sub_days(Days::new(back))).any(|date| {
            let day = weekday(date);
            let holds = |i: Interval| {
                let (from, to) = i.span(zone, date);
                from <= now && now < to
            };
            match self.exceptions.get(&NaiveDateKey::from(date)).and_then(&exception) {
                Some(spans) => {
                    spans.iter().any(|&(from_min, to_min)| holds(exceptional_interval(from_min, to_min)))
                }
                None => weekly.0.iter().any(|&i| i.on(day) && holds(i)),
            }
        })
    }
}

/// An exception's, on whatever date that is.
fn exceptional_interval(from_min: u16, to_min: u16) -> Interval {
    Interval { from_min, to_min, ..Interval::ALWAYS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> At {
        At::parse(text).unwrap()
    }

    fn oslo() -> Zone {
        "Europe/Oslo".parse().unwrap()
    }

    fn next(policy: &Policy, now: &str) -> Option<String> {
        policy.next_staffed(oslo(), at(now)).map(|(from, to)| format!("{from} to {to}"))
    }

    #[test]
    fn without_a_policy_the_desk_is_staffed_on_weekdays_from_nine_to_five() {
        let policy = Policy::default();
        let staffed = |now: &str| policy.is_staffed(oslo(), at(now));
        // Monday 23 November 2026; Oslo is an hour ahead of UTC.
        assert!(!staffed("2026-11-23T07:59:59Z") && staffed("2026-11-23T08:00:00Z"));
        assert!(staffed("2026-11-23T15:59:59Z") && !staffed("2026-11-23T16:00:00Z"));
        assert!(!staffed("2026-11-22T10:00:00Z"), "a Sunday");
        let monday = Some("2026-11-23T08:00:00Z to 2026-11-23T16:00:00Z".to_owned());
        assert_eq!(next(&policy, "2026-11-20T16:00:00Z"), monday, "over the weekend");
        assert_eq!(next(&policy, "2026-11-23T07:59:59Z"), monday);
        let tuesday = Some("2026-11-24T08:00:00Z to 2026-11-24T16:00:00Z".to_owned());
        assert_eq!(next(&policy, "2026-11-23T08:00:00Z"), tuesday, "the coming one, not the one that is on");
    }

    #[test]
    fn the_calendar_says_otherwise_and_a_desk_that_is_never_staffed_has_no_next() {
        let eve: NaiveDate = "2026-12-24".parse().unwrap();
        let holiday: NaiveDate = "2026-12-25".parse().unwrap();
        let saturday: NaiveDate = "2026-12-26".parse().unwrap();
        let hours =
            |spans: &[(u16, u16)]| Exception { staffed_hours: Some(spans.to_vec()), ..Exception::default() };
        let mut policy = Policy::default();
        policy.exceptions.insert(eve.into(), hours(&[(540, 720)]));
        policy.exceptions.insert(holiday.into(), hours(&[]));
        policy.exceptions.insert(saturday.into(), hours(&[(600, 660)]));
        let staffed = |now: &str| policy.is_staffed(oslo(), at(now));
        assert!(staffed("2026-12-24T10:59:59Z") && !staffed("2026-12-24T11:00:00Z"));
        assert!(!staffed("2026-12-25T10:00:00Z") && staffed("2026-12-26T09:30:00Z"));
        let opens = Some("2026-12-26T09:00:00Z to 2026-12-26T10:00:00Z".to_owned());
        assert_eq!(next(&policy, "2026-12-24T11:00:00Z"), opens);
        // 02:00 to 03:00 is skipped on the last Sunday of March.
        let nights = Schedule(vec![Interval { days: 0b100_0000, from_min: 120, to_min: 180 }]);
        let night = Policy { staffed_hours: Some(nights), ..Policy::default() };
        let opens = Some("2026-04-05T00:00:00Z to 2026-04-05T01:00:00Z".to_owned());
        assert_eq!(next(&night, "2026-03-28T12:00:00Z"), opens);
        let never = Policy { staffed_hours: Some(Schedule::default()), ..Policy::default() };
        assert_eq!(next(&never, "2026-11-23T08:00:00Z"), None);
    }

    #[test]
    fn the_building_opens_next_by_its_own_hours() {
        let hours = Schedule(vec![Interval { days: 0b11_1111, from_min: 7 * 60, to_min: 22 * 60 }]);
        let policy = Policy { opening_hours: Some(hours), ..Policy::default() };
        let next = policy.next_open(oslo(), at("2026-11-21T22:00:00Z"));
        assert_eq!(next, Some((at("2026-11-23T06:00:00Z"), at("2026-11-23T21:00:00Z"))), "not on Sunday");
        // Always open: the next day begins anew.
        let next = Policy::default().next_open(oslo(), at("2026-11-21T22:00:00Z"));
        assert_eq!(next, Some((at("2026-11-21T23:00:00Z"), at("2026-11-22T23:00:00Z"))));
    }
}
