//! The configuration is another from now on, while the controller runs.
//!
//! ```text
//!  recorded ─► under the old wiring: what goes or is wired anew is switched off, who waits for it is told
//!           ─► doors keep their state by name, whatever their place in the list
//!           ─► under the new wiring: what came is as at a start, what is due is done
//! ```
//!
//! A door whose own wiring is what it was notices nothing: its mode, its timers, the pulse that runs, who waits at it.
//! A strike is never left driven by a coil that nobody minds any more: it is switched off before its door goes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Asker, Controller, Link, Wanted, pulses::ticket};
use crate::{
    control::{
        door::Door,
        event::{Action, BoardCommand, CacheCommand, Note, Reload, UplinkCommand},
        feedback::Feedback,
        fire::{Change, Fire},
        index::DoorNo,
        leaf::Input,
        modes::BY_SCHEDULE,
        settings::{DoorSettings, Settings},
    },
    domain::{At, BoardId, DoorId, EntryKind, Now, ReaderId, entry::OperatorCommand},
    wire::{
        control::{ConfigurationReport, RefusedReport},
        stored::StoredModes,
    },
};

/// Who asks for it: systemd, or whoever may send the daemon a signal. Which of them is not known.
const BY: &str = "SIGHUP";
const ACTION: &str = "reload";
const REWIRED: &str = "its wiring was changed in the configuration";
const REMOVED: &str = "it was taken out of the configuration";
const BEGUN_ANEW: &str = "its configuration was changed; it is begun anew";

/// Which configuration is in force.
#[derive(Debug)]
pub(super) struct Configuration {
    loaded_at: At,
    /// When the last reload was refused, and why; none after one that was not.
    refused: Option<(At, String)>,
    /// Doors that are gone, and of which central has not been told yet.
    gone: BTreeSet<DoorId>,
    /// The slot of the next new door.
    next_slot: u16,
}

impl Configuration {
    /// As at a start, with so many doors.
    pub(super) fn new(now: Now, doors: usize) -> Self {
        let next_slot = u16::try_from(doors).unwrap_or(u16::MAX);
        Configuration { loaded_at: now.wall, refused: None, gone: BTreeSet::new(), next_slot }
    }
}

impl Controller {
    pub(super) fn reload(&mut self, now: Now, reload: Reload) {
        match reload {
            Reload::Refused { why } => {
                self.record_command(now, OperatorCommand::refused(BY, ACTION, why.clone()));
                self.configuration.refused = Some((now.wall, why));
            }
            Reload::Taken { settings, boards, readers } => {
                self.record_command(now, OperatorCommand::done(BY, ACTION));
                self.configuration.refused = None;
                self.configuration.loaded_at = now.wall;
                self.let_go(now, &settings, &boards, &readers);
                let old = std::mem::replace(&mut self.settings, *settings);
                self.place_doors(&old);
                self.take_up(now, &old);
            }
        }
    }

    pub(super) fn configuration_report(&self) -> ConfigurationReport {
        let Configuration { loaded_at, refused, .. } = &self.configuration;
        let refused = refused.as_ref();
        ConfigurationReport {
            loaded_at: loaded_at.floor_ms(),
            refused: refused.map(|(at, error)| RefusedReport { at: at.floor_ms(), error: error.clone() }),
        }
    }

    /// Central is told which doors are no more.
    pub(super) fn tell_gone(&mut self) {
        if self.uplink.connected {
            for door in std::mem::take(&mut self.configuration.gone) {
                self.uplink(UplinkCommand::Gone { door });
            }
        }
    }

    /// What is gone, wired anew or begun anew, while the old wiring is still known.
    fn let_go(&mut self, now: Now, new: &Settings, boards: &BTreeSet<BoardId>, readers: &BTreeSet<ReaderId>) {
        self.let_go_of_fire(now, new);
        for n in 0..self.doors.len() {
            let Some(settings) = self.settings.doors.get(n).cloned() else { continue };
            let door = DoorNo(n as u16);
            match new.doors.iter().find(|d| d.id == settings.id) {
                None => {
                    self.switch_off(now, door, &settings, REMOVED);
                    self.note_gone(settings.id);
                }
                Some(next) => {
                    let is_rewired = (&next.board, next.coil) != (&settings.board, settings.coil);
                    if is_rewired || boards.contains(&settings.board) {
                        self.switch_off(now, door, &settings, REWIRED);
                    }
                    self.unplug_inputs(now, door, &settings, next);
                }
            }
        }
        let is_kept = |id: &BoardId| !boards.contains(id) && new.boards.iter().any(|b| b.id == *id);
        let lost: Vec<BoardId> = self.boards.keys().filter(|id| !is_kept(id)).cloned().collect();
        for board in lost {
            if self.boards.get(&board).is_some_and(|link| link.connected) {
                self.board_lost(now, &board, BEGUN_ANEW.into());
            }
        }
        let is_kept = |id: &ReaderId| !readers.contains(id) && new.reader(id).is_some();
        let lost: Vec<ReaderId> = self.readers.keys().filter(|id| !is_kept(id)).cloned().collect();
        for reader in lost {
            if self.readers.get(&reader).is_some_and(|state| state.link.connected) {
                self.reader_lost(now, reader, BEGUN_ANEW.into());
            }
        }
    }

    /// Without an input there is no alarm; one that moved says nothing until it is read. Doors that are marked no
    /// more return to their modes.
    fn let_go_of_fire(&mut self, now: Now, new: &Settings) {
        if self.fire.is_raised() && new.fire.is_none() {
            self.fire_changed(now, Change::Cleared);
            self.fire = Fire::default();
        }
        if new.fire != self.settings.fire {
            self.fire.lost();
        }
        let is_marked = |id: &DoorId| new.doors.iter().any(|d| d.id == *id && d.release_on_fire);
        for n in 0..self.doors.len() {
            let door = DoorNo(n as u16);
            let stays = self.door_id(door).is_some_and(|id| is_marked(&id));
            if !stays && self.doors.get(n).is_some_and(Door::is_held_by_fire) {
                self.return_from_fire(now, door, self.next_seq - 1);
            }
        }
    }

    /// The strike is switched off where it is wired now, and who waits for it is told. What the board answers counts
    /// for nothing any more.
    fn switch_off(&mut self, now: Now, door: DoorNo, settings: &DoorSettings, why: &str) {
        self.turn_away(now, door, settings, why);
        self.end_pulses(door, why);
        let Some(state) = self.door(door) else { return };
        let (slot, was_driven, had_fault) = (state.slot, state.rewired(now.mono), state.fault.take());
        if had_fault.is_some() {
            let (door, detail) = (settings.id.clone(), why.to_owned());
            self.record(now, EntryKind::LockFaultEnded { door, detail });
        }
        if was_driven {
            let ticket = ticket(self.next_seq - 1, DoorNo(slot));
            let command = BoardCommand::Secure { ticket, coil: settings.coil };
            self.actions.push(Action::Board { board: settings.board.clone(), command });
        }
    }

    /// Who was let in a moment ago, and whose entry is not on disk yet.
    fn turn_away(&mut self, now: Now, door: DoorNo, settings: &DoorSettings, why: &str) {
        let is_passage = |wanted: &Wanted| matches!(wanted, Wanted::Passage { .. });
        let waiting = self.waiting.iter().filter(|(_, w)| w.door == door && is_passage(&w.wanted));
        for of in waiting.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            let Some(waiting) = self.waiting.remove(&of) else { continue };
            if let Wanted::Passage { reader: Some(reader), .. } = waiting.wanted {
                self.feedback(&reader, Feedback::NotNow);
                if settings.contact.is_some() {
                    self.record(now, EntryKind::AccessNotTaken { door: settings.id.clone(), of });
                }
            }
            if let Some(Asker { who, .. }) = waiting.asker {
                self.answer(who, Err(why.to_owned()));
            }
        }
    }

    /// Inputs that are others from now on say nothing until they are read.
    fn unplug_inputs(&mut self, now: Now, door: DoorNo, old: &DoorSettings, new: &DoorSettings) {
        if old.contact != new.contact {
            self.leaf(now, door, Input::ContactLost);
            self.door(door).into_iter().for_each(Door::contact_lost);
        }
        if old.rex.as_ref().map(|rex| &rex.input) != new.rex.as_ref().map(|rex| &rex.input) {
            self.leaf(now, door, Input::ExitReleased);
            self.door(door).into_iter().for_each(Door::rex_lost);
        }
    }

    /// It may come back some day: as a door that nobody has locked down.
    fn note_gone(&mut self, door: DoorId) {
        let modes = StoredModes { seq: self.next_seq - 1, ..StoredModes::default() };
        self.note(Note::Modes { door: door.clone(), modes });
        self.configuration.gone.insert(door);
    }

    /// Doors keep what they are, by their names, and everything that names one by its place follows.
    fn place_doors(&mut self, old: &Settings) {
        let mut states: BTreeMap<&DoorId, Door> =
            old.doors.iter().map(|d| &d.id).zip(std::mem::take(&mut self.doors)).collect();
        let mut published: BTreeMap<&DoorId, _> =
            old.doors.iter().map(|d| &d.id).zip(std::mem::take(&mut self.published)).collect();
        for settings in &self.settings.doors {
            self.published.push(published.remove(&settings.id).flatten());
            let state = states.remove(&settings.id).unwrap_or_else(|| {
                let slot = self.configuration.next_slot;
                self.configuration.next_slot = slot.wrapping_add(1);
                Door::new(slot)
            });
            self.doors.push(state);
        }
        let place = |door: DoorNo| {
            let id = &old.doors.get(usize::from(door.0))?.id;
            self.settings.door_no(id)
        };
        self.waiting.retain(|_, waiting| match place(waiting.door) {
            Some(door) => {
                waiting.door = door;
                true
            }
            None => false,
        });
        self.pulses.retain(|_, pulse| match place(pulse.door) {
            Some(door) => {
                pulse.door = door;
                true
            }
            None => false,
        });
    }

    /// The doors are in their places. What is new begins as at a start.
    fn take_up(&mut self, now: Now, old: &Settings) {
        let places = self.settings.places();
        if places != old.places() {
            self.index.set_doors(places.clone());
            self.actions.push(Action::Cache(CacheCommand::Doors(places)));
        }
        self.clock.change(self.settings.clock);
        let links = |boards: &mut BTreeMap<BoardId, Link>| {
            boards.retain(|id, _| self.settings.boards.iter().any(|b| b.id == *id));
            self.settings.boards.iter().for_each(|b| _ = boards.entry(b.id.clone()).or_default());
        };
        links(&mut self.boards);
        self.inputs.retain(|id, _| self.boards.contains_key(id));
        self.readers.retain(|id, _| self.settings.reader(id).is_some());
        for reader in &self.settings.readers {
            self.readers.entry(reader.id.clone()).or_default();
        }
        for n in 0..self.doors.len() {
            self.take_up_door(now, old, DoorNo(n as u16));
        }
        self.schedules_due = None;
        self.want_status(now);
        self.tell_gone();
    }

    fn take_up_door(&mut self, now: Now, old: &Settings, door: DoorNo) {
        let Some(settings) = self.settings.doors.get(usize::from(door.0)).cloned() else { return };
        self.configuration.gone.remove(&settings.id);
        let is_up = self.boards.get(&settings.board).is_some_and(|link| link.connected);
        let until = self.longest_pulse(now, door);
        let before = old.doors.iter().find(|d| d.id == settings.id);
        let is_as_before = before.is_some_and(|d| (&d.board, d.coil) == (&settings.board, settings.coil));
        if let Some(state) = self.door(door) {
            if !is_as_before {
                // Whatever drove that coil before us.
                state.may_be_driven(until);
            }
            if is_up && !state.board_is_up() {
                state.board_connected(now.mono);
            }
        }
        let modes = self.door(door).map(|state| state.modes).unwrap_or_default();
        let unscheduled = modes.unscheduled(None);
        if settings.unlock_schedule.is_none() && unscheduled != modes {
            self.change_mode(now, door, unscheduled, BY_SCHEDULE, self.next_seq - 1, None);
        }
        let is_held = self.door(door).is_some_and(|state| state.is_held_by_fire());
        if settings.release_on_fire && self.fire.is_raised() && !is_held {
            self.release_for_fire(now, door, self.next_seq - 1);
        }
    }
}
