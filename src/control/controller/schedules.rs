//! Doors that are unlocked by a schedule, at once or when the first has been let in.

use std::time::Duration;

use super::Controller;
use crate::{
    control::{index::DoorNo, modes::BY_SCHEDULE},
    domain::{At, Direction, Now, Window},
};

/// How often schedules are looked at: wall time moves by itself, and is set.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Controller {
    /// Goes before times that end, so that one occurrence follows another without a gap.
    pub(super) fn keep_schedules(&mut self, now: Now) {
        if self.schedules_due.is_some_and(|due| now.mono < due) {
            return;
        }
        self.schedules_due = Some(now.mono.plus(LOOK_EVERY));
        for n in 0..self.doors.len() {
            let door = DoorNo(n as u16);
            let Some(settings) = self.settings.doors.get(n) else { continue };
            if settings.unlock_schedule.is_none() {
                continue;
            }
            let waits = settings.first_person_in;
            let closes_at = self.occurrence(now, door);
            let Some(modes) = self.doors.get(n).map(|d| d.modes) else { continue };
            let next = match closes_at {
                Some(closes_at) if !waits => modes.scheduled(now, closes_at),
                _ => modes.unscheduled(closes_at),
            };
            if next != modes {
                self.change_mode(now, door, next, BY_SCHEDULE, 0, None);
            }
        }
    }

    /// Somebody was let in: the first in a schedule's time opens a door that waits for them.
    pub(super) fn first_person(&mut self, now: Now, door: DoorNo, direction: Direction) {
        let waits = self.settings.doors.get(usize::from(door.0)).is_some_and(|d| d.first_person_in);
        if !waits || direction != Direction::In {
            return;
        }
        let modes = self.door(door).map(|d| d.modes).unwrap_or_default();
        if let Some(next) = self.occurrence(now, door).map(|closes_at| modes.scheduled(now, closes_at))
            && next != modes
        {
            self.change_mode(now, door, next, BY_SCHEDULE, 0, None);
        }
    }

    /// When the occurrence ends that is on now. By a clock in doubt none is.
    fn occurrence(&self, now: Now, door: DoorNo) -> Option<At> {
        let always = Window { opens_at: None, closes_at: None };
        let schedule = self.settings.doors.get(usize::from(door.0))?.unlock_schedule.as_ref()?;
        let on = schedule.current(self.settings.zone, now.wall, always).filter(|_| now.trust.is_trusted())?;
        on.closes_at
    }
}
