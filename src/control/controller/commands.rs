//! What a technician asks for. Recorded before it takes effect, with who asked.

use super::{Controller, Who};
use crate::{
    control::event::{Action, OperatorAnswer, OperatorEvent, OperatorRequest},
    domain::{DoorId, DoorOrder, EntryKind, Now},
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
                let seq = self.record(now, command(by, "resync", "done", None, None));
                self.sync.resync(now.mono);
                self.answer(who, Ok(seq));
            }
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
        if let Err(refusal) = self.would_order(now, door_no, &order) {
            self.record(now, command(by, action, "refused", Some(door.clone()), reason));
            return self.answer(who, Err(format!("{door}: {action} was refused: {refusal}")));
        }
        let seq = self.record(now, command(by.clone(), action, "done", Some(door.clone()), reason));
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

fn command(
    by: String,
    action: &str,
    outcome: &str,
    door: Option<DoorId>,
    reason: Option<String>,
) -> EntryKind {
    EntryKind::OperatorCommand { by, action: action.into(), outcome: outcome.into(), door, reason }
}
