//! Strikes, contacts, buttons, boards.

use super::{Asker, Controller, Waiting, Wanted, pulses::Pulse};
use crate::{
    control::{
        door::Edge,
        event::{BoardEvent, Inputs, Recorded, UplinkCommand, Warrant},
        index::DoorNo,
        leaf::Input,
    },
    domain::{BoardId, EntryKind, Now},
    wire::outgoing::DoorState,
};

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
                self.pulse(seq, Pulse::new(door, reader, asker), driven, warrant);
            }
            Wanted::Mode => self.hold_open(now, door, seq, asker, warrant),
        }
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
