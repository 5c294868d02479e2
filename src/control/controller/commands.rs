//! What a technician asks for. Recorded before it takes effect, with who asked.

use super::{Asker, Controller, Who};
use crate::{
    control::{
        desk::CardWait,
        event::{Action, OperatorAnswer, OperatorEvent, OperatorRequest},
    },
    domain::{DoorId, DoorOrder, EntryKind, Now, entry::OperatorCommand},
};

impl Controller {
    pub(super) fn operator_says(&mut self, now: Now, event: OperatorEvent) {
        let OperatorEvent { token, by, request } = event;
        let who = Who::Technician(token);
        match request {
            OperatorRequest::Door { door, order, reason } => {
                self.operator_orders(now, who, by, door, order, reason);
            }
            OperatorRequest::Resync => {
                let seq = self.record_command(now, OperatorCommand::done(&by, "resync"));
                self.sync.resync(now.mono);
                self.answer(who, Ok(seq));
            }
            OperatorRequest::Watch { reader } => self.operator_watches(now, who, &by, reader.as_ref()),
            OperatorRequest::Test { of } => self.operator_tests(now, who, &by, &of),
            OperatorRequest::Beside { action, detail } => {
                let done = OperatorCommand { detail: Some(detail), ..OperatorCommand::done(&by, &action) };
                let seq = self.record_command(now, done);
                self.answer_done(Some(Asker { who, seq }));
            }
            OperatorRequest::Card(order) => self.desk_says(now, who, by, order),
            OperatorRequest::AwaitCard { id, reader, credential, may_override, reason, within } => {
                let until = now.mono.plus(within);
                let wait = CardWait { id, token, by, credential, may_override, reason, within, until };
                self.await_card(now, &reader, wait);
            }
            OperatorRequest::StopWaiting { id } => self.stop_waiting(id),
            OperatorRequest::TurnedAway { uid, action, door, detail } => {
                let refused = OperatorCommand { door, ..OperatorCommand::refused(&by, &action, detail) };
                let seq = self.turned_away.note(now.mono, uid, refused).map(|c| self.record_command(now, c));
                self.answer(who, Ok(seq.unwrap_or(self.next_seq - 1)));
            }
        }
    }

    pub(super) fn record_command(&mut self, now: Now, command: OperatorCommand) -> u64 {
        self.record(now, EntryKind::OperatorCommand(command))
    }

    /// How many more there were than were recorded.
    pub(super) fn tell_turned_away(&mut self, now: Now) {
        for sum in self.turned_away.take_due(now.mono) {
            self.record_command(now, sum);
        }
    }

    fn operator_orders(
        &mut self,
        now: Now,
        who: Who,
        by: String,
        door: DoorId,
        order: DoorOrder,
        reason: Option<String>,
    ) {
        let Some(door_no) = self.settings.door_no(&door) else {
            return self.answer(who, Err(format!("there is no door {door}")));
        };
        let action = order.action.as_str();
        let of_door =
            |command| OperatorCommand { door: Some(door.clone()), reason: reason.clone(), ..command };
        if let Err(refusal) = self.would_order(now, door_no, &order) {
            self.record_command(now, of_door(OperatorCommand::refused(&by, action, refusal.to_string())));
            return self.answer(who, Err(format!("{door}: {action} was refused: {refusal}")));
        }
        let seq = self.record_command(now, of_door(OperatorCommand::done(&by, action)));
        if let Err(refusal) = self.order(now, door_no, &order, &by, seq, Some(who.clone())) {
            self.answer(who, Err(format!("{door}: {action} was refused: {refusal}")));
        }
    }

    pub(super) fn answer(&mut self, who: Who, answer: OperatorAnswer) {
        match who {
            Who::Technician(token) => self.actions.push(Action::Answer { token, answer }),
            Who::Central(id) => self.door_answered(id, answer),
        }
    }
}
