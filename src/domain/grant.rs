//! A holder's right to pass some doors, and the window that follows from it (rules, "Windows").

use serde::{Deserialize, Serialize};

use super::{At, BookingId, DoorId, GrantId, HolderId, Policy, Schedule, Zone, ZoneId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Room,
    Desk,
    Guest,
    Standing,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Room, Kind::Desk, Kind::Guest, Kind::Standing];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Room => "room",
            Kind::Desk => "desk",
            Kind::Guest => "guest",
            Kind::Standing => "standing",
        }
    }
}

/// A grant as central put it. Made by `wire::record`, which checks it: but for `Standing` it has a start before its
/// end, a `Guest` has a booking, only a `Standing` one has a schedule, and it lists at least one door or zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub id: GrantId,
    pub kind: Kind,
    pub holder: HolderId,
    pub doors: Vec<DoorId>,
    pub zones: Vec<ZoneId>,
    pub starts_at: Option<At>,
    pub ends_at: Option<At>,
    pub booked_at: Option<At>,
    pub not_before: Option<At>,
    pub not_after: Option<At>,
    pub booking: Option<BookingId>,
    /// How many people the room holds, the host included.
    pub capacity: Option<u32>,
    pub schedule: Option<Schedule>,
    pub override_lockdown: bool,
}

/// The part of a grant that its window follows from; borrowed, so that the index can make one without copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms<'a> {
    pub kind: Kind,
    pub starts_at: Option<At>,
    pub ends_at: Option<At>,
    pub booked_at: Option<At>,
    pub not_before: Option<At>,
    pub not_after: Option<At>,
    pub schedule: Option<&'a Schedule>,
    pub override_lockdown: bool,
}

/// The half-open interval `[opens_at, closes_at)`; `None` is unbounded on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Window {
    pub opens_at: Option<At>,
    pub closes_at: Option<At>,
}

impl Window {
    pub fn contains(&self, now: At) -> bool {
        self.opens_at.is_none_or(|o| o <= now) && self.closes_at.is_none_or(|c| now < c)
    }

    pub fn is_empty(&self) -> bool {
        matches!((self.opens_at, self.closes_at), (Some(o), Some(c)) if o >= c)
    }

    /// This window cut to the bounds given.
    #[must_use]
    pub fn narrowed(self, opens: Option<At>, closes: Option<At>) -> Window {
        let later = |a: Option<At>, b: Option<At>| a.max(b);
        let sooner = |a: Option<At>, b: Option<At>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Window { opens_at: later(self.opens_at, opens), closes_at: sooner(self.closes_at, closes) }
    }
}

impl Terms<'_> {
    /// Standing, and bounded by nothing: what counts even without a clock.
    pub fn is_unbounded(&self) -> bool {
        self.kind == Kind::Standing
            && self.schedule.is_none()
            && [self.starts_at, self.ends_at, self.not_before, self.not_after].iter().all(Option::is_none)
    }

    /// The window by the policy's margins and notice, narrowed; a schedule comes on top of it.
    pub fn bounds(&self, policy: &Policy) -> Window {
        let margins = policy.margins(self.kind);
        let opens = self.starts_at.map(|t| t.plus_s(-i64::from(margins.opens_before_s)));
        let closes = self.ends_at.map(|t| t.plus_s(i64::from(margins.closes_after_s)));
        let notice = (margins.min_notice_s > 0)
            .then_some(self.booked_at)
            .flatten()
            .map(|t| t.plus_s(i64::from(margins.min_notice_s)));
        Window { opens_at: opens, closes_at: closes }
            .narrowed(notice, None)
            .narrowed(self.not_before, self.not_after)
    }

    /// The window this grant is open in at `now` (of a schedule: the occurrence), or `None` when it is closed.
    pub fn open(&self, policy: &Policy, zone: Zone, now: At) -> Option<Window> {
        let bounds = self.bounds(policy);
        match self.schedule {
            None => Some(bounds).filter(|w| w.contains(now)),
            Some(schedule) => schedule.current(zone, now, bounds),
        }
    }

    /// Whether it is open or will be, as far as its bounds say.
    pub fn is_live(&self, policy: &Policy, now: At) -> bool {
        let bounds = self.bounds(policy);
        !bounds.is_empty() && bounds.closes_at.is_none_or(|c| now < c)
    }

    /// When it opens next, after `now`.
    pub fn coming(&self, policy: &Policy, zone: Zone, now: At) -> Option<At> {
        let bounds = Some(self.bounds(policy)).filter(|w| !w.is_empty())?;
        match self.schedule {
            None => bounds.opens_at.filter(|&o| o > now),
            Some(schedule) => schedule.coming(zone, now, bounds),
        }
    }

    /// When it closed last, at or before `now`.
    pub fn past(&self, policy: &Policy, zone: Zone, now: At) -> Option<At> {
        let bounds = Some(self.bounds(policy)).filter(|w| !w.is_empty())?;
        match self.schedule {
            None => bounds.closes_at.filter(|&c| c <= now),
            Some(schedule) => schedule.past(zone, now, bounds),
        }
    }
}

impl Grant {
    pub fn terms(&self) -> Terms<'_> {
        Terms {
            kind: self.kind,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            booked_at: self.booked_at,
            not_before: self.not_before,
            not_after: self.not_after,
            schedule: self.schedule.as_ref(),
            override_lockdown: self.override_lockdown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> At {
        At::parse(text).unwrap()
    }

    /// By the house's margins it closes half an hour after its end.
    const ROOM: Terms<'static> = Terms {
        kind: Kind::Room,
        starts_at: None,
        ends_at: None,
        booked_at: None,
        not_before: None,
        not_after: None,
        schedule: None,
        override_lockdown: false,
    };

    #[test]
    fn a_grant_lives_until_it_closes_and_never_where_nothing_is_left_of_it() {
        let policy = Policy::default();
        let (start, end) = (at("2026-11-23T09:00:00Z"), at("2026-11-23T10:00:00Z"));
        let booked = Terms { starts_at: Some(start), ends_at: Some(end), ..ROOM };
        assert!(booked.is_live(&policy, at("2026-11-20T09:00:00Z")), "it is to come");
        assert!(booked.is_live(&policy, at("2026-11-23T10:29:59Z")));
        assert!(!booked.is_live(&policy, at("2026-11-23T10:30:00Z")), "half-open");
        assert!(!booked.is_live(&policy, at("2026-11-24T10:30:00Z")));
        let empty = Terms { not_before: Some(at("2026-11-23T11:00:00Z")), ..booked };
        assert!(!empty.is_live(&policy, start));
        assert!(Terms { kind: Kind::Standing, ..ROOM }.is_live(&policy, start));
    }
}
