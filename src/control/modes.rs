//! A door's mode, by ONVIF's rules (Door Control Service, "DoorMode"), with what lies beneath it.
//!
//! ```text
//!   held      locked down | locked open [until]    takes nothing but its own release
//!   ─────────────────────────────────────────────  the highest layer that is there is the mode
//!   unlocked until …                               `unlock` with a time
//!   ─────────────────────────────────────────────
//!   scheduled until …                              its schedule, while the base is locked
//!   ─────────────────────────────────────────────
//!   base      locked | unlocked | blocked          `lock`, `unlock`, `block`, `unblock` set it; the first two end the
//!                                                  rest of the schedule's occurrence, all four a time
//! ```
//!
//! A release, or the end of a time, takes its layer away: what shows is what was. A time that ran out beneath counts
//! as over. Pure: an order at an instant gives the next modes; who records and drives is the controller.

use std::time::Duration;

use crate::{
    domain::{At, DoorAction, DoorMode, DoorOrder, Mono, Now, OrderRefusal},
    wire::stored::{StoredEnd, StoredModes},
};

/// When a timed mode ends: by the clock nobody sets, and for a restart by the wall clock, where that was trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub mono: Mono,
    pub wall: Option<At>,
    for_s: u32,
}

impl End {
    fn after(now: Now, for_s: u32) -> Self {
        let wall = now.trust.is_trusted().then(|| now.wall.plus_s(i64::from(for_s)));
        End { mono: now.mono.plus(Duration::from_secs(u64::from(for_s))), wall, for_s }
    }

    /// What is left of it after a restart. Never more than was ordered; nothing, where the time is not known.
    fn restored(stored: StoredEnd, now: Now) -> Option<Self> {
        let at = stored.at.filter(|&at| now.trust.is_trusted() && at > now.wall)?;
        let left = at.since(now.wall).min(Duration::from_secs(u64::from(stored.for_s)));
        Some(End { mono: now.mono.plus(left), wall: Some(at), for_s: stored.for_s })
    }

    /// When that is by the wall clock as it stands now, right or wrong.
    pub fn ends_at(&self, now: Now) -> At {
        self.wall.unwrap_or_else(|| now.wall.plus_s(self.mono.since(now.mono).as_secs() as i64))
    }

    fn is_over(&self, now: Now) -> bool {
        self.mono <= now.mono
    }

    fn stored(&self) -> StoredEnd {
        StoredEnd { at: self.wall, for_s: self.for_s }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    mode: DoorMode,
    until: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    base: DoorMode,
    scheduled_until: Option<End>,
    /// When the occurrence of the schedule ends that opened it last: each does so once.
    schedule_done: Option<At>,
    unlocked_until: Option<End>,
    held: Option<Held>,
}

impl Modes {
    /// Locked, unlocked, blocked, locked down or locked open.
    pub fn mode(&self) -> DoorMode {
        match (self.held, self.unlocked_until) {
            (Some(held), _) => held.mode,
            (None, Some(_)) => DoorMode::Unlocked,
            (None, None) if self.is_scheduled() => DoorMode::Unlocked,
            (None, None) => self.base,
        }
    }

    /// Whether it is the schedule that opens it.
    pub fn is_scheduled(&self) -> bool {
        let is_beneath = self.held.is_some() || self.unlocked_until.is_some();
        !is_beneath && self.base == DoorMode::Locked && self.scheduled_until.is_some()
    }

    /// When the mode ends by itself.
    pub fn end(&self) -> Option<End> {
        match self.held {
            Some(held) => held.until,
            None => self.unlocked_until.or(self.scheduled_until.filter(|_| self.is_scheduled())),
        }
    }

    /// An occurrence of its schedule is on until then. It opens the door once: who locks it meanwhile is not overruled.
    pub fn scheduled(&self, now: Now, closes_at: At) -> Modes {
        if self.schedule_done == Some(closes_at) {
            return *self;
        }
        let for_s = u32::try_from(closes_at.since(now.wall).as_secs() + 1).unwrap_or(u32::MAX);
        let end = End { mono: now.mono.plus(closes_at.since(now.wall)), wall: Some(closes_at), for_s };
        let scheduled_until = (self.base != DoorMode::Unlocked).then_some(end);
        Modes { scheduled_until, schedule_done: Some(closes_at), ..*self }
    }

    /// No occurrence of its schedule is on, or none that can be told by this clock; another that ends at `closes_at` is.
    pub fn unscheduled(&self, closes_at: Option<At>) -> Modes {
        match self.scheduled_until {
            Some(end) if end.wall != closes_at => {
                Modes { scheduled_until: None, schedule_done: None, ..*self }
            }
            Some(_) | None => *self,
        }
    }

    /// What an order makes of it. `access` changes no mode, but may be refused.
    pub fn ordered(&self, now: Now, order: &DoorOrder) -> Result<Modes, OrderRefusal> {
        use DoorAction as A;
        // Over what is held nothing but its release is taken, so beyond this there is nothing held to be ended.
        self.takes(order.action)?;
        let end = order.for_s().map(|for_s| End::after(now, for_s));
        let held = |mode| Modes { held: Some(Held { mode, until: end }), ..*self };
        let based = |base| Modes { base, unlocked_until: None, ..*self };
        let settled = |base| Modes { scheduled_until: None, ..based(base) };
        let next = match order.action {
            A::Access => *self,
            A::Lock => settled(DoorMode::Locked),
            A::Unblock => based(DoorMode::Locked),
            A::Unlock if end.is_some() => Modes { unlocked_until: end, ..*self },
            A::Unlock => settled(DoorMode::Unlocked),
            A::Block => based(DoorMode::Blocked),
            A::LockDown => held(DoorMode::LockedDown),
            A::LockOpen => held(DoorMode::LockedOpen),
            A::LockDownRelease | A::LockOpenRelease => Modes { held: None, ..*self },
        };
        Ok(next.without_ended(now))
    }

    fn takes(&self, action: DoorAction) -> Result<(), OrderRefusal> {
        use DoorAction as A;
        match (self.mode(), action) {
            (DoorMode::LockedDown, A::LockDownRelease) | (DoorMode::LockedOpen, A::LockOpenRelease) => Ok(()),
            (DoorMode::LockedDown, _) => Err(OrderRefusal::DoorLockedDown),
            (DoorMode::LockedOpen, _) => Err(OrderRefusal::DoorLockedOpen),
            (_, A::LockDownRelease) => Err(OrderRefusal::NotLockedDown),
            (_, A::LockOpenRelease) => Err(OrderRefusal::NotLockedOpen),
            (DoorMode::Blocked, A::Access) => Err(OrderRefusal::DoorBlocked),
            (DoorMode::Blocked, A::Unblock) => Ok(()),
            (_, A::Unblock) => Err(OrderRefusal::NotBlocked),
            (_, A::Access | A::Lock | A::Unlock | A::Block | A::LockDown | A::LockOpen) => Ok(()),
        }
    }

    /// The same once every time that has run out is taken away, from the top down.
    pub fn without_ended(mut self, now: Now) -> Modes {
        let is_over = |end: Option<End>| end.is_some_and(|end| end.is_over(now));
        self.held = self.held.filter(|held| !is_over(held.until));
        self.scheduled_until = self.scheduled_until.filter(|end| !end.is_over(now));
        if self.held.is_none() && is_over(self.unlocked_until) {
            self.unlocked_until = None;
        }
        self
    }

    pub fn stored(&self, seq: u64) -> StoredModes {
        StoredModes {
            seq,
            base: self.base,
            scheduled_until: self.scheduled_until.map(|end| end.stored()),
            schedule_done: self.schedule_done,
            unlocked_until: self.unlocked_until.map(|end| end.stored()),
            held: self.held.map(|held| (held.mode, held.until.map(|end| end.stored()))),
        }
    }

    /// The mode that was stored, whatever became of it since.
    pub fn shown(stored: &StoredModes) -> DoorMode {
        let is_scheduled = stored.scheduled_until.is_some() && stored.base == DoorMode::Locked;
        match (stored.held, stored.unlocked_until) {
            (Some((mode, _)), _) => mode,
            (None, Some(_)) => DoorMode::Unlocked,
            (None, None) if is_scheduled => DoorMode::Unlocked,
            (None, None) => stored.base,
        }
    }

    /// After a restart. A timed mode whose end is not known, because a clock is or was not trusted, is over: those
    /// are the ones that open. What restricts has no end, and stays.
    pub fn restored(stored: &StoredModes, now: Now) -> Modes {
        let held = stored.held.and_then(|(mode, until)| {
            let end = until.map(|until| End::restored(until, now));
            (end != Some(None)).then_some(Held { mode, until: end.flatten() })
        });
        let left = |until: Option<StoredEnd>| until.and_then(|until| End::restored(until, now));
        Modes {
            base: stored.base,
            scheduled_until: left(stored.scheduled_until),
            schedule_done: stored.schedule_done,
            unlocked_until: left(stored.unlocked_until),
            held,
        }
    }
}

/// What was stored, without all that keeps the door open: what restricts it stays.
pub fn shut(stored: &StoredModes) -> StoredModes {
    let base = if stored.base.is_open() { DoorMode::Locked } else { stored.base };
    let held = stored.held.filter(|(mode, _)| !mode.is_open());
    StoredModes { base, held, scheduled_until: None, unlocked_until: None, ..*stored }
}

/// An entry `door.mode_changed` of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Changed<'a> {
    pub seq: u64,
    pub to: DoorMode,
    pub by: &'a str,
    pub until: Option<StoredEnd>,
}

/// Who changes a mode when a schedule does.
pub const BY_SCHEDULE: &str = "schedule";

/// What such an entry makes of what was stored before it.
pub fn replay(stored: &StoredModes, entry: Changed<'_>) -> StoredModes {
    let Changed { seq, to, by, until } = entry;
    let beneath = StoredModes { seq, held: None, ..*stored };
    let is_schedule = until.is_some() && stored.scheduled_until.map(|end| end.at) == until.map(|end| end.at);
    match to {
        DoorMode::LockedDown | DoorMode::LockedOpen => StoredModes { held: Some((to, until)), ..beneath },
        DoorMode::Unlocked if until.is_some() && by == BY_SCHEDULE => {
            StoredModes { scheduled_until: until, schedule_done: until.and_then(|end| end.at), ..beneath }
        }
        // What was above the schedule has gone.
        DoorMode::Unlocked if is_schedule => {
            StoredModes { base: DoorMode::Locked, unlocked_until: None, ..beneath }
        }
        DoorMode::Unlocked if until.is_some() => StoredModes { unlocked_until: until, ..beneath },
        DoorMode::Blocked => StoredModes { base: to, unlocked_until: None, ..beneath },
        DoorMode::Locked | DoorMode::Unlocked | DoorMode::Accessed => {
            StoredModes { base: to, unlocked_until: None, scheduled_until: None, ..beneath }
        }
    }
}

#[cfg(test)]
mod tests;
