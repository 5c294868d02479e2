//! What each subsystem is told of the configuration, and the handles by which drivers are reached.

use std::{collections::BTreeMap, path::Path};

use tokio::sync::mpsc::Sender;

use super::config::{self, Config, ReaderDriver};
use crate::{
    control::{
        BoardCommand, BoardEvent, Event, Feedback,
        clock::ClockSettings,
        leaf::LeafRules,
        settings::{BoardSettings, DoorSettings, InputSettings, ReaderSettings, RexSettings, Settings},
    },
    domain::{BoardId, ReaderId},
    drivers::{
        door::modbus::{self, Address, Pulse},
        reader::{
            UidOrder, osdp,
            pcsc::{self, Claims},
            pn532,
        },
    },
};

#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    #[error(transparent)]
    Pcsc(#[from] pcsc::Error),
}

/// The running boards.
#[derive(Debug, Default)]
pub struct Boards(BTreeMap<BoardId, modbus::Handle>);

/// The running readers.
#[derive(Debug, Default)]
pub struct Readers(BTreeMap<ReaderId, Reader>);

#[derive(Debug)]
enum Reader {
    Pcsc(pcsc::Handle),
    Pn532(pn532::Handle),
    Osdp(osdp::Handle),
}

impl Boards {
    /// Hands a command over without waiting. One that is not taken comes back as the event that says so.
    pub fn send(&self, board: &BoardId, command: BoardCommand) -> Option<Event> {
        let ticket = command.ticket();
        let refused = match self.0.get(board) {
            Some(handle) => handle.command(command).err()?.to_string(),
            None => format!("board {board} is not configured"),
        };
        let what = BoardEvent::Failed { ticket, detail: refused };
        Some(Event::Board { board: board.clone(), what })
    }

    pub fn stop(&mut self) {
        self.0.clear();
    }
}

impl Readers {
    pub fn feedback(&self, reader: &ReaderId, feedback: Feedback) {
        match self.0.get(reader) {
            Some(Reader::Pcsc(handle)) => handle.feedback(feedback),
            Some(Reader::Pn532(handle)) => handle.feedback(feedback),
            Some(Reader::Osdp(handle)) => handle.feedback(feedback),
            None => {}
        }
    }

    pub fn stop(&mut self) {
        self.0.clear();
    }
}

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

/// Starts the boards' tasks, one for each line. Must be called in the door loop's runtime.
pub fn boards(config: &Config, events: &Sender<Event>) -> Boards {
    let mut lines: Vec<(&Address, Vec<&config::Board>)> = Vec::new();
    for board in &config.boards {
        match lines.iter_mut().find(|(address, _)| **address == board.line) {
            Some((_, boards)) => boards.push(board),
            None => lines.push((&board.line, vec![board])),
        }
    }
    let start = |(address, boards): (&Address, Vec<&config::Board>)| {
        let own = boards.iter().map(|board| on_line(config, board)).collect();
        let handles = modbus::spawn(address.clone(), own, events.clone());
        boards.into_iter().map(|board| board.id.value.clone()).zip(handles).collect::<Vec<_>>()
    };
    Boards(lines.into_iter().flat_map(start).collect())
}

fn on_line(config: &Config, board: &config::Board) -> modbus::Config {
    let config::Board { coil_base, input_base, pulse, write_many, timeout, poll, .. } = *board;
    let id = &board.id.value;
    if pulse == Pulse::Host {
        tracing::warn!(board = %id, "{}", super::check::HOST_PULSES);
    }
    modbus::Config {
        board: id.clone(),
        unit: board.unit.value,
        coil_base,
        input_base,
        pulse,
        write_many,
        timeout,
        poll,
        coils: used(config.doors.iter().map(|d| (&d.lock.board.value, d.lock.coil.value)), id),
        inputs: used(inputs(config), id),
    }
}

fn inputs(config: &Config) -> impl Iterator<Item = (&BoardId, u8)> {
    let of_doors = config.doors.iter().flat_map(|d| d.contact.iter().chain(d.rex.iter().map(|r| &r.input)));
    of_doors.chain(&config.fire).map(|i| (&i.board.value, i.input.value))
}

/// How many channels of a board are used: one more than the highest.
fn used<'a>(channels: impl Iterator<Item = (&'a BoardId, u8)>, board: &BoardId) -> u8 {
    channels.filter(|(b, _)| *b == board).map(|(_, n)| n + 1).max().unwrap_or(0)
}

/// Starts the readers' threads and tasks. Must be called in the door loop's runtime.
pub fn readers(config: &Config, events: &Sender<Event>) -> Result<Readers, WiringError> {
    let named = config.readers.iter().filter_map(|r| match &r.driver {
        ReaderDriver::Pcsc { name } => Some((&r.id.value, name.as_str())),
        ReaderDriver::Pn532 { .. } | ReaderDriver::Osdp { .. } => None,
    });
    let claims = Claims::new(named);
    let mut readers = BTreeMap::new();
    for r in &config.readers {
        let uid_order = uid_order(r);
        let reader = r.id.value.clone();
        let handle = match &r.driver {
            ReaderDriver::Pcsc { name } => {
                let own = pcsc::Config { reader, name: name.clone(), uid_order };
                Reader::Pcsc(pcsc::spawn(own, &claims, events.clone())?)
            }
            ReaderDriver::Pn532 { port, baud } => {
                let port = port.value.display().to_string();
                Reader::Pn532(pn532::spawn(
                    pn532::Config { reader, port, baud: *baud, uid_order },
                    events.clone(),
                ))
            }
            // By lines, below: several share one.
            ReaderDriver::Osdp { .. } => continue,
        };
        readers.insert(r.id.value.clone(), handle);
    }
    for line in osdp_lines(config) {
        let ids: Vec<ReaderId> = line.peripherals.iter().map(|p| p.reader.clone()).collect();
        let handles = osdp::spawn(line, events.clone()).into_iter().map(Reader::Osdp);
        readers.extend(ids.into_iter().zip(handles));
    }
    Ok(Readers(readers))
}

fn uid_order(reader: &config::Reader) -> UidOrder {
    if reader.reversed { UidOrder::Reversed } else { UidOrder::AsRead }
}

/// The lines of OSDP readers, each with those on it.
fn osdp_lines(config: &Config) -> Vec<osdp::Config> {
    let mut lines: BTreeMap<String, osdp::Config> = BTreeMap::new();
    for r in &config.readers {
        let ReaderDriver::Osdp { port, baud, address, key_file } = &r.driver else { continue };
        let reader = r.id.value.clone();
        warn_of_clear_text(&reader, key_file.as_deref());
        let port = port.value.display().to_string();
        let line = lines.entry(port.clone()).or_insert_with(|| osdp::Config {
            port,
            baud: baud.value,
            peripherals: Vec::new(),
        });
        line.peripherals.push(osdp::Peripheral {
            reader,
            address: address.value,
            key_file: key_file.clone(),
            uid_order: uid_order(r),
        });
    }
    lines.into_values().collect()
}

fn warn_of_clear_text(reader: &ReaderId, key_file: Option<&Path>) {
    match key_file {
        None => tracing::warn!(
            %reader,
            "insecure: it has no key_file, so it is spoken to in clear text; who gets at the cable can open the door"
        ),
        Some(path) => {
            if let Some(warning) = osdp::key_file::too_open(path) {
                tracing::warn!(%reader, warning);
            }
        }
    }
}
