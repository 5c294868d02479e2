//! What a technician asks for. Recorded before it takes effect, with who asked.

use super::{Controller, Waiting};
use crate::{
    control::event::{Action, OperatorAnswer, OperatorEvent, OperatorRequest},
    domain::{DoorId, DoorMode, EntryKind, Now},
};

impl Controller {
    pub(super) fn operator_says(&mut self, now: Now, event: OperatorEvent) {
        let OperatorEvent { token, by, request } = event;
        match request {
            OperatorRequest::Access { door, reason } => self.operator_access(now, token, by, door, reason),
            OperatorRequest::Resync => {
                let seq = self.record(now, command(by, "resync", "done", None, None));
                self.sync.resync(now.mono);
                self.answer(token, Ok(seq));
            }
        }
    }

    fn operator_access(&mut self, now: Now, token: u64, by: String, door: DoorId, reason: Option<String>) {
        let found = self.settings.door_no(&door);
        let state = found.and_then(|no| Some((no, self.doors.get(usize::from(no.0))?.mode)));
        let Some((door_no, mode)) = state else {
            return self.answer(token, Err(format!("there is no door {door}")));
        };
        let refused = match mode {
            DoorMode::Locked | DoorMode::Unlocked | DoorMode::Accessed => None,
            DoorMode::Blocked => Some("it is blocked"),
            DoorMode::LockedDown => Some("it is locked down"),
            DoorMode::LockedOpen => Some("it is locked open"),
        };
        if let Some(why) = refused {
            self.record(now, command(by, "access", "refused", Some(door.clone()), reason));
            return self.answer(token, Err(format!("{door} was not opened: {why}")));
        }
        let seq = self.record(now, command(by, "access", "done", Some(door), reason));
        let hold =
            self.settings.doors.get(usize::from(door_no.0)).map_or_else(Default::default, |d| d.strike);
        let deadline = now.mono.plus(self.settings.release_wait);
        self.waiting.insert(seq, Waiting { door: door_no, hold, reader: None, token: Some(token), deadline });
    }

    fn answer(&mut self, token: u64, answer: OperatorAnswer) {
        self.actions.push(Action::Answer { token, answer });
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
