//! Whether the building is open: weekly hours, with the calendar's exceptions on top.

use chrono::Days;

use super::{
    At, Interval, Policy, Schedule, Zone,
    policy::{Exception, NaiveDateKey},
    zone::weekday,
};

impl Policy {
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
                Some(spans) => spans
                    .iter()
                    .any(|&(from_min, to_min)| holds(Interval { days: 1 << day, from_min, to_min })),
                None => weekly.0.iter().any(|&i| i.on(day) && holds(i)),
            }
        })
    }
}
