//! Strikes, contacts, buttons, boards.

use super::{Controller, Pulse, Waiting};
use crate::{
    control::{
        door::Edge,
        event::{Action, BoardCommand, BoardEvent, Feedback, Inputs, UplinkCommand, Warrant},
        index::DoorNo,
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
                        door.board_connected();
                    }
                });
                self.inputs_read(now, &board, inputs);
            }
            BoardEvent::Lost { detail } => self.board_lost(now, &board, detail),
            BoardEvent::Inputs(inputs) => self.inputs_read(now, &board, inputs),
            BoardEvent::Pulsed { ticket } => self.pulsed(now, ticket),
            BoardEvent::Failed { ticket, detail } => self.pulse_failed(now, ticket, &detail),
            BoardEvent::Ended { ticket, by_board } => self.pulse_ended(now, ticket, by_board),
        }
    }

    /// Drives a door's strike on a warrant. The only place that does.
    pub(super) fn release(&mut self, seq: u64, waiting: Waiting, warrant: Warrant) {
        let Waiting { door, hold, reader, token, .. } = waiting;
        let Some(settings) = self.settings.doors.get(usize::from(door.0)) else { return };
        let command = BoardCommand::Pulse { ticket: seq, coil: settings.coil, hold, warrant };
        let board = settings.board.clone();
        if let Some(state) = self.door(door) {
            state.pulse_sent(seq);
        }
        self.pulses.insert(seq, Pulse { door, reader, token });
        self.actions.push(Action::Board { board, command });
    }

    fn pulsed(&mut self, now: Now, ticket: u64) {
        let Some(pulse) = self.pulses.get_mut(&ticket) else { return };
        let (door, reader, token) = (pulse.door, pulse.reader.take(), pulse.token.take());
        let fault_ended = self.door(door).is_some_and(|d| d.pulsed());
        if let Some(reader) = reader {
            self.feedback(&reader, Feedback::Granted);
        }
        if let Some(token) = token {
            self.actions.push(Action::Answer { token, answer: Ok(ticket) });
        }
        if let Some(door) = self.door_id(door).filter(|_| fault_ended) {
            let detail = "the board confirms again".into();
            self.record(now, EntryKind::LockFaultEnded { door, detail });
        }
    }

    fn pulse_failed(&mut self, now: Now, ticket: u64, detail: &str) {
        let Some(pulse) = self.pulses.remove(&ticket) else { return };
        if let Some(door) = self.door(pulse.door) {
            door.gave_up(ticket);
        }
        if let Some(reader) = pulse.reader {
            self.feedback(&reader, Feedback::Fault);
        }
        if let Some(token) = pulse.token {
            let answer = Err(format!("the door could not be driven: {detail}"));
            self.actions.push(Action::Answer { token, answer });
        }
        self.lock_fault(now, pulse.door, detail);
    }

    fn pulse_ended(&mut self, now: Now, ticket: u64, by_board: bool) {
        let Some(pulse) = self.pulses.remove(&ticket) else { return };
        // Of pulses that ran into each other only the last is said to have ended.
        self.pulses.retain(|&other, p| p.door != pulse.door || other > ticket);
        if let Some(door) = self.door(pulse.door) {
            door.ended(ticket);
        }
        if !by_board {
            self.lock_fault(
                now,
                pulse.door,
                "the board did not end the pulse by itself; it was switched off",
            );
        }
    }

    fn lock_fault(&mut self, now: Now, door: DoorNo, detail: &str) {
        let is_new = self.door(door).is_some_and(|d| d.failed(detail));
        if let Some(door) = self.door_id(door).filter(|_| is_new) {
            tracing::error!(%door, detail, "the lock does not do what it is told");
            self.record(now, EntryKind::LockFault { door, detail: detail.to_owned() });
        }
    }

    fn board_lost(&mut self, now: Now, board: &BoardId, detail: String) {
        tracing::warn!(%board, detail, "board lost");
        self.note_board(now, board, false, &detail);
        self.inputs.remove(board);
        self.record(now, EntryKind::BoardLost { board: board.clone(), detail });
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
        let mut edges = Vec::new();
        let level = |input: &crate::control::settings::InputSettings| {
            (input.board == *board).then(|| inputs.get(input.input) != input.invert)
        };
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
            Edge::Opened => _ = self.record(now, EntryKind::DoorOpened { door }),
            Edge::Closed => _ = self.record(now, EntryKind::DoorClosed { door }),
            Edge::RexPressed => self.rex_pressed(now, door_no),
        }
    }

    /// Waits for nothing: the strike first, the entry after it.
    fn rex_pressed(&mut self, now: Now, door_no: DoorNo) {
        let Some(settings) = self.settings.doors.get(usize::from(door_no.0)) else { return };
        let (door, hold) = (settings.id.clone(), settings.strike);
        if settings.rex.as_ref().is_some_and(|r| r.unlocks) {
            let waiting = Waiting { door: door_no, hold, reader: None, token: None, deadline: now.mono };
            self.release(self.next_seq, waiting, Warrant::Rex);
        }
        self.record(now, EntryKind::RexPressed { door });
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
                alarm: door.alarm,
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
