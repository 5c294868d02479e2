//! Pulses that boards are asked for, and switchings off: under which number, who waits for each, and what the board
//! says of it.

use std::time::Duration;

use super::{Asker, Controller};
use crate::{
    control::{
        door::HELD_PULSE,
        event::{Action, BoardCommand, Warrant},
        feedback::Feedback,
        index::DoorNo,
    },
    domain::{EntryKind, Mono, Now, ReaderId},
};

/// A pulse that was asked of a board, or a switching off.
#[derive(Debug)]
pub(super) struct Pulse {
    pub door: DoorNo,
    reader: Option<ReaderId>,
    asker: Option<Asker>,
    /// The board has confirmed it as it was last asked for. What it has not it answers yet, in the order it was asked.
    /// That is not the order of tickets: what waits for its entry to be on disk is asked after what was recorded later
    /// and waits for nothing.
    confirmed: bool,
}

impl Pulse {
    /// One that is about to be asked for.
    pub fn new(door: DoorNo, reader: Option<ReaderId>, asker: Option<Asker>) -> Self {
        Pulse { door, reader, asker, confirmed: false }
    }
}

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
        self.asked_of_board(ticket, Pulse::new(door, None, asker));
    }

    pub(super) fn pulsed(&mut self, now: Now, ticket: u64) {
        let Some(pulse) = self.pulses.get_mut(&ticket) else { return };
        let (door, reader, asker) = (pulse.door, pulse.reader.take(), pulse.asker.take());
        pulse.confirmed = true;
        self.counters.struck(now.mono, entry_of(ticket));
        // Of pulses that ran into each other only the last will be said to have ended.
        self.pulses.retain(|&other, p| p.door != door || other == ticket || !p.confirmed);
        let fault_ended = self.door(door).is_some_and(|d| d.pulsed(entry_of(ticket)));
        if let Some(reader) = reader {
            self.feedback(&reader, Feedback::Granted);
        }
        self.answer_done(asker);
        if fault_ended {
            self.lock_fault_ended(now, door);
        }
    }

    /// The last pulse on the door's coil is over, and of those that ran into it nothing more is said.
    fn forget_confirmed(&mut self, door: DoorNo) {
        self.pulses.retain(|_, pulse| pulse.door != door || !pulse.confirmed);
    }

    /// What was asked of the door's board counts for nothing any more, and who still waits for it is told.
    pub(super) fn end_pulses(&mut self, door: DoorNo, why: &str) {
        let over: Vec<Pulse> = self.pulses.extract_if(.., |_, p| p.door == door).map(|(_, p)| p).collect();
        for Pulse { reader, asker, .. } in over {
            if let Some(reader) = reader {
                self.feedback(&reader, Feedback::Fault);
            }
            if let Some(Asker { who, .. }) = asker {
                self.answer(who, Err(format!("the door was not confirmed to be driven: {why}")));
            }
        }
    }

    pub(super) fn secured(&mut self, now: Now, ticket: u64) {
        let Some(pulse) = self.pulses.remove(&ticket) else { return };
        self.forget_confirmed(pulse.door);
        let pulses = &self.pulses;
        let fault_ended = self.doors.get_mut(usize::from(pulse.door.0)).is_some_and(|d| {
            let slot = DoorNo(d.slot);
            d.secured(entry_of(ticket), |seq| pulses.contains_key(&self::ticket(seq, slot)));
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

    pub(super) fn pulse_failed(&mut self, now: Now, ticket: u64, detail: &str) {
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

    pub(super) fn pulse_ended(&mut self, now: Now, ticket: u64, by_board: bool) {
        // One that has been asked for again meanwhile stays: the board answers that yet.
        let Some(door) = self.pulses.get(&ticket).map(|pulse| pulse.door) else { return };
        self.forget_confirmed(door);
        if let Some(door) = self.door(door) {
            door.ended(now.mono, entry_of(ticket));
        }
        if !by_board {
            self.lock_fault(now, door, "the pulse did not end in time; it was switched off");
        }
    }

    fn lock_fault(&mut self, now: Now, door: DoorNo, detail: &str) {
        let is_new = self.door(door).is_some_and(|d| d.failed(detail));
        if let Some(door) = self.door_id(door).filter(|_| is_new) {
            tracing::error!(%door, detail, "the lock does not do what it is told");
            self.record(now, EntryKind::LockFault { door, detail: detail.to_owned() });
        }
    }
}
