//! Strikes, contacts, buttons, boards.

use std::time::Duration;

use super::{Asker, Controller, Pulse, Waiting, Wanted};
use crate::{
    control::{
        door::{Edge, HELD_PULSE},
        event::{Action, BoardCommand, BoardEvent, Inputs, Recorded, UplinkCommand, Warrant},
        feedback::Feedback,
        index::DoorNo,
        leaf::Input,
    },
    domain::{BoardId, EntryKind, Mono, Now},
    wire::outgoing::DoorState,
};

/// The number a board is asked under: the entry it is done on, and which door, because one entry may be about several.
pub(super) fn ticket(seq: u64, door: DoorNo) -> u64 {
    (u64::from(door.0) << SEQ_BITS) + seq
}

/// The entry in a ticket. Of one door they rise with it.
pub(super) fn entry_of(ticket: u64) -> u64 {
    ticket & ((1 << SEQ_BITS) - 1)
}

/// What a pulse lasts beyond its time: boards count in tenths of a second.
const PULSE_SLACK: Duration = Duration::from_millis(500);
/// A journal that grew by a thousand entries a second for eight thousand years would not need more.
const SEQ_BITS: u32 = 48;

impl Controller {
    pub(super) fn board_says(&mut self, now: Now, board: BoardId, what: BoardEvent) {
        match what {
            BoardEvent::Connected { detail, inputs } => {
                tracing::info!(%board, detail, "board connected");
                self.note_board(now, &board, true, &detail);
                self.record(now, EntryKind::BoardConnected { board: board.clone(), detail });
                self.each_door(|settings, door| {
                    if settings.board == board {
                        door.board_connected(now.mono);
                    }
                });
                self.inputs_read(now, &board, inputs);
            }
            BoardEvent::Lost { detail } => self.board_lost(now, &board, detail),
            BoardEvent::Inputs(inputs) => self.inputs_read(now, &board, inputs),
            BoardEvent::Pulsed { ticket } => self.pulsed(now, ticket),
            BoardEvent::Failed { ticket, detail } => self.pulse_failed(now, ticket, &detail),
            BoardEvent::Ended { ticket, by_board } => self.pulse_ended(now, ticket, by_board),
            BoardEvent::Secured { ticket } => self.secured(now, ticket),
        }
    }

    /// Does what waited for its entry, on the warrant of it.
    pub(super) fn release(&mut self, now: Now, seq: u64, waiting: Waiting, warrant: Warrant) {
        let Waiting { door, wanted, asker, .. } = waiting;
        self.counters.released(now.mono, seq);
        match wanted {
            Wanted::Passage { hold, reader } => {
                let driven = self.door(door).map_or(hold, |state| state.passage(hold));
                if warrant != Warrant::Rex {
                    // Only of a tap it is said whether somebody went through.
                    let of = reader.is_some().then_some(seq);
                    self.released(now, door, of, hold);
                }
                self.pulse(seq, Pulse { door, reader, asker, confirmed: false }, driven, warrant);
            }
            Wanted::Mode => self.hold_open(now, door, seq, asker, warrant),
        }
    }

    /// Drives a door's strike on a warrant. The only place that does.
    pub(super) fn pulse(&mut self, seq: u64, pulse: Pulse, hold: Duration, warrant: Warrant) {
        let Some(settings) = self.settings.doors.get(usize::from(pulse.door.0)) else { return };
        let ticket = ticket(seq, self.slot(pulse.door));
        let command = BoardCommand::Pulse { ticket, coil: settings.coil, hold, warrant };
        let board = settings.board.clone();
        if let Some(state) = self.door(pulse.door) {
            state.pulse_sent(seq);
        }
        self.asked_of_board(ticket, pulse);
        self.actions.push(Action::Board { board, command });
    }

    /// A door's number at its board, whatever its place in the list has become.
    fn slot(&self, door: DoorNo) -> DoorNo {
        self.doors.get(usize::from(door.0)).map_or(door, |state| DoorNo(state.slot))
    }

    /// Under a ticket that is asked for again, because the board took its time, who waited for it still does.
    fn asked_of_board(&mut self, ticket: u64, mut pulse: Pulse) {
        if let Some(before) = self.pulses.remove(&ticket) {
            pulse.asker = pulse.asker.or(before.asker);
            pulse.reader = pulse.reader.or(before.reader);
        }
        self.pulses.insert(ticket, pulse);
    }

    /// Whoever was here before us may have driven strikes just before it died; where nothing is recorded, nobody was.
    pub(super) fn expect_strange_pulses(&mut self, now: Now) {
        if self.outbox.recorded_through() == 0 {
            return;
        }
        for n in 0..self.doors.len() {
            let door = DoorNo(n as u16);
            let until = self.longest_pulse(now, door);
            if let Some(state) = self.door(door) {
                state.may_be_driven(until);
            }
        }
    }

    /// When the longest pulse that may have been asked for by now would end.
    pub(super) fn longest_pulse(&self, now: Now, door: DoorNo) -> Mono {
        let settings = self.settings.doors.get(usize::from(door.0));
        let passage = settings.map_or(HELD_PULSE, |settings| settings.extended.max(settings.strike));
        now.mono.plus(passage.max(HELD_PULSE) + PULSE_SLACK)
    }

    /// Has the strike switched off.
    pub(super) fn secure(&mut self, seq: u64, door: DoorNo, asker: Option<Asker>) {
        let Some(settings) = self.settings.doors.get(usize::from(door.0)) else { return };
        let ticket = ticket(seq, self.slot(door));
        let command = BoardCommand::Secure { ticket, coil: settings.coil };
        self.actions.push(Action::Board { board: settings.board.clone(), command });
        self.asked_of_board(ticket, Pulse { door, reader: None, asker, confirmed: false });
    }

    fn pulsed(&mut self, now: Now, ticket: u64) {
        let Some(pulse) = self.pulses.get_mut(&ticket) else { return };
        let (door, reader, asker) = (pulse.door, pulse.reader.take(), pulse.asker.take());
        pulse.confirmed = true;
        self.counters.struck(now.mono, entry_of(ticket));
        // Of pulses that ran into each other only the last will be said to have ended.
        self.pulses.retain(|&other, p| p.door != door || other == ticket || !p.confirmed);
        let fault_ended = self.door(door).is_some_and(|d| d.pulsed());
        if let Some(reader) = reader {
            self.feedback(&reader, Feedback::Granted);
        }
        self.answer_done(asker);
        if fault_ended {
            self.lock_fault_ended(now, door);
        }
    }

    fn secured(&mut self, now: Now, ticket: u64) {
        let Some(pulse) = self.pulses.remove(&ticket) else { return };
        self.pulses.retain(|&other, p| p.door != pulse.door || other > ticket);
        let fault_ended = self.door(pulse.door).is_some_and(|d| {
            d.secured(entry_of(ticket));
            d.fault.take().is_some()
        });
        self.answer_done(pulse.asker);
        if fault_ended {
            self.lock_fault_ended(now, pulse.door);
        }
    }

    fn lock_fault_ended(&mut self, now: Now, door: DoorNo) {
        let Some(door) = self.door_id(door) else { return };
        self.record(now, EntryKind::LockFaultEnded { door, detail: "the board confirms again".into() });
    }

    /// Done. Who asked is told so when it is on disk, too: what they were told must outlast a power cut.
    pub(super) fn answer_done(&mut self, asker: Option<Asker>) {
        let Some(asker) = asker else { return };
        let through = self.next_seq - 1;
        if self.outbox.recorded_through() >= through {
            return self.answer(asker.who, Ok(asker.seq));
        }
        self.unrecorded.push_back((through, asker));
        if let Some(detail) = self.journal_fault.clone() {
            self.answer_unrecorded(&detail);
        }
    }

    pub(super) fn answer_recorded(&mut self, recorded: Recorded) {
        while let Some((_, asker)) = self.unrecorded.pop_front_if(|(through, _)| *through <= recorded.seq()) {
            self.answer(asker.who, Ok(asker.seq));
        }
    }

    /// The disk does not take it now. It is done all the same, and nobody should wait for ever to hear that.
    pub(super) fn answer_unrecorded(&mut self, detail: &str) {
        for (_, asker) in std::mem::take(&mut self.unrecorded) {
            self.answer(asker.who, Err(format!("it is done, but could not be recorded yet: {detail}")));
        }
    }

    fn pulse_failed(&mut self, now: Now, ticket: u64, detail: &str) {
        let Some(pulse) = self.pulses.remove(&ticket) else { return };
        if let Some(settings) = self.settings.doors.get(usize::from(pulse.door.0)) {
            self.counters.not_struck(&settings.board, entry_of(ticket));
        }
        let until = self.longest_pulse(now, pulse.door);
        if let Some(door) = self.door(pulse.door) {
            door.gave_up(now.mono, entry_of(ticket));
            door.may_be_driven(until);
        }
        if let Some(reader) = pulse.reader {
            self.feedback(&reader, Feedback::Fault);
        }
        if let Some(Asker { who, .. }) = pulse.asker {
            self.answer(who, Err(format!("the door could not be driven: {detail}")));
        }
        self.lock_fault(now, pulse.door, detail);
    }

    fn pulse_ended(&mut self, now: Now, ticket: u64, by_board: bool) {
        let Some(pulse) = self.pulses.remove(&ticket) else { return };
        // Of pulses that ran into each other only the last is said to have ended.
        self.pulses.retain(|&other, p| p.door != pulse.door || other > ticket);
        if let Some(door) = self.door(pulse.door) {
            door.ended(now.mono, entry_of(ticket));
        }
        if !by_board {
            self.lock_fault(now, pulse.door, "the pulse did not end in time; it was switched off");
        }
    }

    fn lock_fault(&mut self, now: Now, door: DoorNo, detail: &str) {
        let is_new = self.door(door).is_some_and(|d| d.failed(detail));
        if let Some(door) = self.door_id(door).filter(|_| is_new) {
            tracing::error!(%door, detail, "the lock does not do what it is told");
            self.record(now, EntryKind::LockFault { door, detail: detail.to_owned() });
        }
    }

    pub(super) fn board_lost(&mut self, now: Now, board: &BoardId, detail: String) {
        tracing::warn!(%board, detail, "board lost");
        self.note_board(now, board, false, &detail);
        self.inputs.remove(board);
        if self.settings.fire.as_ref().is_some_and(|input| input.board == *board) {
            self.fire.lost();
        }
        self.record(now, EntryKind::BoardLost { board: board.clone(), detail });
        self.leaves_lost(now, board);
        self.each_door(|settings, door| {
            if settings.board == *board {
                door.board_lost();
            }
            if settings.contact.as_ref().is_some_and(|c| c.board == *board) {
                door.contact_lost();
            }
            if settings.rex.as_ref().is_some_and(|r| r.input.board == *board) {
                door.rex_lost();
            }
        });
    }

    fn note_board(&mut self, now: Now, board: &BoardId, connected: bool, detail: &str) {
        self.counters.board(board, connected);
        if let Some(link) = self.boards.get_mut(board) {
            link.connected = connected;
            link.since = Some(now.wall);
            link.detail = Some(detail.to_owned());
        }
    }

    fn each_door(
        &mut self,
        mut each: impl FnMut(&crate::control::settings::DoorSettings, &mut crate::control::door::Door),
    ) {
        for (settings, door) in self.settings.doors.iter().zip(&mut self.doors) {
            each(settings, door);
        }
    }

    /// Levels of all of a board's inputs.
    fn inputs_read(&mut self, now: Now, board: &BoardId, inputs: Inputs) {
        self.inputs.insert(board.clone(), inputs);
        let level = |input: &crate::control::settings::InputSettings| {
            (input.board == *board).then(|| inputs.get(input.input) != input.invert)
        };
        // The fire alarm before all else.
        let fire = self.settings.fire.as_ref().and_then(level);
        if let Some(change) = fire.and_then(|on| self.fire.reads(now.mono, on)) {
            self.fire_changed(now, change);
        }
        let mut edges = Vec::new();
        for (n, (settings, door)) in self.settings.doors.iter().zip(&mut self.doors).enumerate() {
            let door_no = DoorNo(n as u16);
            // The button first: who leaves presses it before the door moves.
            let rex = settings.rex.as_ref().and_then(|r| level(&r.input)).and_then(|on| door.rex_reads(on));
            let contact = settings.contact.as_ref().and_then(level).and_then(|on| door.contact_reads(on));
            edges.extend([rex, contact].into_iter().flatten().map(|edge| (door_no, edge)));
        }
        for (door, edge) in edges {
            self.edge(now, door, edge);
        }
    }

    fn edge(&mut self, now: Now, door_no: DoorNo, edge: Edge) {
        let Some(door) = self.door_id(door_no) else { return };
        match edge {
            Edge::Opened => {
                let seq = self.record(now, EntryKind::DoorOpened { door });
                self.leaf_moved(now, door_no, seq, Input::Opened);
            }
            Edge::Closed => {
                let seq = self.record(now, EntryKind::DoorClosed { door });
                self.leaf_moved(now, door_no, seq, Input::Closed);
            }
            Edge::FoundOpen => self.leaf(now, door_no, Input::Opened),
            Edge::FoundClosed => self.leaf(now, door_no, Input::Closed),
            Edge::RexPressed => self.rex_pressed(now, door_no),
            Edge::RexReleased => self.leaf(now, door_no, Input::ExitReleased),
        }
    }

    /// Waits for nothing: the strike first, the entry after it.
    fn rex_pressed(&mut self, now: Now, door_no: DoorNo) {
        let Some(settings) = self.settings.doors.get(usize::from(door_no.0)) else { return };
        let (door, hold) = (settings.id.clone(), settings.strike);
        let until = now.mono.plus(hold);
        if settings.rex.as_ref().is_some_and(|r| r.unlocks) {
            if let Some(state) = self.door(door_no) {
                state.exit_asked(until);
            }
            let wanted = Wanted::Passage { hold, reader: None };
            let waiting = Waiting { door: door_no, wanted, asker: None, deadline: now.mono };
            self.release(now, self.next_seq, waiting, Warrant::Rex);
        }
        self.record(now, EntryKind::RexPressed { door });
        self.leaf(now, door_no, Input::ExitPressed { until });
    }

    /// Says what has changed about doors since it was last said.
    pub(super) fn publish_doors(&mut self, now: Now) {
        if !self.uplink.connected {
            return;
        }
        let mut changed = Vec::new();
        for ((settings, door), published) in
            self.settings.doors.iter().zip(&self.doors).zip(&mut self.published)
        {
            let state = DoorState {
                controller: self.settings.controller.clone(),
                door: settings.id.clone(),
                mode: door.shown_mode(),
                lock: door.lock,
                contact: door.contact,
                alarm: door.leaf.alarm(),
                at: now.wall.floor_ms(),
            };
            let same = published.as_ref().is_some_and(|p| DoorState { at: p.at, ..state.clone() } == *p);
            if !same {
                *published = Some(state.clone());
                changed.push(state);
            }
        }
        for state in changed {
            self.uplink(UplinkCommand::Door(state));
        }
    }
}
