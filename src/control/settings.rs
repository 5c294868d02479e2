//! What the controller is told about its site: the configuration, as far as decisions and doors need it.

use std::time::Duration;

use super::{clock::ClockSettings, index::DoorNo, leaf::LeafRules};
use crate::domain::{BoardId, ControllerId, Direction, DoorId, ReaderId, Schedule, Zone, ZoneId};

#[derive(Debug, Clone)]
pub struct Settings {
    pub controller: ControllerId,
    pub version: &'static str,
    pub zone: Zone,
    pub doors: Vec<DoorSettings>,
    pub readers: Vec<ReaderSettings>,
    pub boards: Vec<BoardSettings>,
    /// The fire alarm's input.
    pub fire: Option<InputSettings>,
    pub clock: ClockSettings,
    /// How long a granted door waits for the disk.
    pub release_wait: Duration,
    /// Central not heard for this long: stale.
    pub stale_after: Duration,
    /// For people: where the broker is.
    pub broker: String,
}

#[derive(Debug, Clone)]
pub struct DoorSettings {
    pub id: DoorId,
    pub name: String,
    pub zones: Vec<ZoneId>,
    pub board: BoardId,
    pub coil: u8,
    pub strike: Duration,
    /// For holders who need longer.
    pub extended: Duration,
    pub leaf: LeafRules,
    pub relock_on: RelockOn,
    pub contact: Option<InputSettings>,
    pub rex: Option<RexSettings>,
    pub building_hours_only: bool,
    /// It is open while the fire alarm is raised.
    pub release_on_fire: bool,
    /// When it is unlocked by itself.
    pub unlock_schedule: Option<Schedule>,
    /// It then waits for the first who is let in.
    pub first_person_in: bool,
    pub max_stale: Option<Duration>,
}

/// When the strike of a passage is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelockOn {
    /// When the door has opened.
    Open,
    /// When it has shut again.
    Close,
    /// When its time is over, and not before.
    Timer,
}

/// An input of a board. `invert` turns it round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    pub board: BoardId,
    pub input: u8,
    pub invert: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RexSettings {
    pub input: InputSettings,
    /// Pressing it releases the strike. (Egress itself belongs in the door's wiring.)
    pub unlocks: bool,
}

#[derive(Debug, Clone)]
pub struct ReaderSettings {
    pub id: ReaderId,
    pub door: DoorId,
    pub direction: Direction,
    /// `pcsc`, `pn532` or `osdp`.
    pub driver: &'static str,
    /// It is spoken to in clear text, though it could do better.
    pub is_insecure: bool,
}

#[derive(Debug, Clone)]
pub struct BoardSettings {
    pub id: BoardId,
    pub url: String,
    /// It ends a pulse by itself.
    pub times_pulses: bool,
}

impl Settings {
    pub fn door_no(&self, door: &DoorId) -> Option<DoorNo> {
        self.doors.iter().position(|d| d.id == *door).map(|n| DoorNo(n as u16))
    }

    pub fn reader(&self, reader: &ReaderId) -> Option<&ReaderSettings> {
        self.readers.iter().find(|r| r.id == *reader)
    }

    /// The doors with their zones, in order: what an index is made for.
    pub fn places(&self) -> Vec<(DoorId, Vec<ZoneId>)> {
        self.doors.iter().map(|d| (d.id.clone(), d.zones.clone())).collect()
    }
}
