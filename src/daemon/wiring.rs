//! What each subsystem is told of the configuration, and the handles by which drivers are reached.

mod boards;
mod readers;

pub use self::{
    boards::Boards,
    readers::{Readers, WiringError},
};
use super::config::{self, Config, ReaderDriver};
use crate::{
    control::{
        clock::ClockSettings,
        leaf::LeafRules,
        settings::{BoardSettings, DoorSettings, InputSettings, ReaderSettings, RexSettings, Settings},
    },
    drivers::door::modbus,
};

/// What the controller is told.
pub fn settings(config: &Config) -> Settings {
    Settings {
        controller: config.controller.clone(),
        version: env!("CARGO_PKG_VERSION"),
        zone: config.zone,
        doors: config.doors.iter().map(|d| door(config, d)).collect(),
        readers: config.readers.iter().map(reader).collect(),
        boards: config.boards.iter().map(board).collect(),
        fire: config.fire.as_ref().map(input),
        clock: ClockSettings { require_sync: config.require_sync, holdover: config.holdover },
        release_wait: config.release_wait,
        stale_after: config.stale_after,
        broker: config.mqtt.broker.url.clone(),
    }
}

fn door(config: &Config, door: &config::Door) -> DoorSettings {
    DoorSettings {
        id: door.id.value.clone(),
        name: door.name.clone(),
        zones: door.zones.clone(),
        board: door.lock.board.value.clone(),
        coil: door.lock.coil.value,
        strike: door.lock.strike,
        extended: door.lock.extended,
        leaf: leaf(config, door),
        relock_on: door.relock_on,
        contact: door.contact.as_ref().map(input),
        rex: door.rex.as_ref().map(|r| RexSettings { input: input(&r.input), unlocks: r.unlocks }),
        building_hours_only: door.building_hours_only,
        release_on_fire: door.release_on_fire.as_ref().is_some_and(|found| found.value),
        unlock_schedule: Some(door.unlock_schedule.clone()).filter(|s| !s.0.is_empty()),
        first_person_in: door.first_person_in,
        max_stale: door.max_stale,
    }
}

fn leaf(config: &Config, door: &config::Door) -> LeafRules {
    let inputs = door.contact.iter().chain(door.rex.iter().map(|r| &r.input));
    let boards = inputs.filter_map(|i| config.boards.iter().find(|b| b.id.value == i.board.value));
    // Who needs longer gets so many times as long in the open door as for the strike.
    let longer = door.lock.extended.div_duration_f64(door.lock.strike).max(1.0);
    LeafRules {
        seen_within: boards.map(config::Board::seen_within).max().unwrap_or_default(),
        held_open: door.held_open,
        held_open_extended: door.held_open.mul_f64(longer),
        pre_alarm: door.pre_alarm,
    }
}

fn input(input: &config::Input) -> InputSettings {
    InputSettings { board: input.board.value.clone(), input: input.input.value, invert: input.invert }
}

fn reader(reader: &config::Reader) -> ReaderSettings {
    ReaderSettings {
        id: reader.id.value.clone(),
        door: reader.door.value.clone(),
        direction: reader.direction,
        driver: match reader.driver {
            ReaderDriver::Pcsc { .. } => "pcsc",
            ReaderDriver::Pn532 { .. } => "pn532",
            ReaderDriver::Osdp { .. } => "osdp",
        },
        is_insecure: matches!(reader.driver, ReaderDriver::Osdp { key_file: None, .. }),
    }
}

fn board(board: &config::Board) -> BoardSettings {
    let times_pulses = matches!(board.pulse, modbus::Pulse::Flash { .. });
    BoardSettings { id: board.id.value.clone(), url: board.url.value.clone(), times_pulses }
}
