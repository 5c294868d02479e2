//! Central's commands (wire, "command and result"): each at most once, ever, in its time, and answered.
//!
//! ```text
//!  read ─► may() ─► Remember ── on disk ──► may still? ─► entry ─► order() ─► result
//!    │       │          │                      │                    │
//!    └───────┴──────────┴──────────────────────┴── no ──────────────┴──────► entry, result: refused
//! ```
//!
//! That it was taken is on disk before anything is done: after a crash in between it is a duplicate, and not done at
//! all. The broker is told when it is remembered or refused, so that neither loses it.

use super::{Controller, Who};
use crate::{
    control::{
        commands_taken::AHEAD_S,
        event::{Action, CacheCommand, OperatorAnswer, UplinkCommand},
        index::DoorNo,
        refusals::Refused,
    },
    domain::{CommandId, DoorAction, DoorId, DoorOrder, EntryKind, Now, OrderRefusal},
    wire::command::{Command, CommandError, CommandResult, Doors, Order, Outcome, RefusedDoor, Unread},
};

/// Longest time from `issued_at` to `expires_at`, in seconds (wire).
const LONGEST_LIFE_S: i64 = 300;

/// `reason` of what was done, and of what was done only at some of the doors.
const DONE: &str = "done";
const PARTLY: &str = "partly";

/// Why a command that was understood is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("it was taken before")]
    Duplicate,
    #[error("it may have been taken before: what was remembered was lost after it was issued")]
    Forgotten,
    #[error("the clock is not trusted, so whether it is still in time can't be known")]
    ClockUntrusted,
    #[error("it expired at {0}")]
    Expired(crate::domain::At),
    #[error("it expires more than {LONGEST_LIFE_S} s after it was issued")]
    LivesTooLong,
    #[error("it was issued at {0}, which is to come")]
    NotYetIssued(crate::domain::At),
    #[error("more commands came than can be remembered")]
    TooMany,
    #[error("that it was taken could not be put on disk: {0}")]
    NotRecorded(String),
    #[error("there is no door {0}")]
    UnknownDoor(DoorId),
    #[error("there are no doors")]
    NoDoors,
}

/// A command whose doors have yet to confirm.
#[derive(Debug)]
pub(super) struct Unanswered {
    doors: usize,
    opens_once: bool,
    /// The first fault of one that did not.
    fault: Option<String>,
    /// Doors that did not take it.
    refused: Vec<RefusedDoor>,
}

/// A command for doors, and which of them take it.
struct Bid<'a> {
    id: &'a CommandId,
    by: &'a str,
    command: &'a Order,
    order: DoorOrder,
    willing: Vec<DoorNo>,
    refused: Vec<RefusedDoor>,
}

impl Controller {
    pub(super) fn command(&mut self, now: Now, token: u64, message: Result<Command, Unread>) {
        let command = match message {
            Ok(command) => command,
            Err(unread) => return self.unread(now, token, unread),
        };
        let taken = self.may(now, &command).and_then(|()| {
            let is_known = self.commands.holds(&command.id);
            if is_known {
                return Err(Refusal::Duplicate);
            }
            let has_room = self.commands.take(&command.id, command.expires_at, now.wall);
            if has_room { Ok(()) } else { Err(Refusal::TooMany) }
        });
        if let Err(why) = taken {
            self.done(token);
            return self.refuse(now, &command.id, &command.order, &why);
        }
        let Command { id, expires_at, .. } = &command;
        let remember = CacheCommand::Remember { id: id.clone(), expires_at: *expires_at, now: now.wall };
        self.actions.push(Action::Cache(remember));
        self.orders.insert(id.clone(), (token, command));
    }

    /// Whether its time is now.
    fn may(&self, now: Now, command: &Command) -> Result<(), Refusal> {
        let Command { issued_at, expires_at, .. } = command;
        if !now.trust.is_trusted() {
            return Err(Refusal::ClockUntrusted);
        }
        if *expires_at <= now.wall {
            return Err(Refusal::Expired(*expires_at));
        }
        if self.commands.may_be_forgotten(*issued_at) {
            return Err(Refusal::Forgotten);
        }
        if *expires_at > issued_at.plus_s(LONGEST_LIFE_S) {
            return Err(Refusal::LivesTooLong);
        }
        if *issued_at > now.wall.plus_s(AHEAD_S) {
            return Err(Refusal::NotYetIssued(*issued_at));
        }
        Ok(())
    }

    /// It is on disk that it was taken.
    pub(super) fn remembered(&mut self, now: Now, id: &CommandId) {
        let Some((token, command)) = self.orders.remove(id) else { return };
        self.done(token);
        // The disk may have taken its time.
        if let Err(why) = self.may(now, &command) {
            return self.refuse(now, id, &command.order, &why);
        }
        self.heard_central(now);
        let Command { id, by, order, .. } = command;
        match &order {
            Order::Resync => {
                self.executed(now, &id, &order, &by, (None, DONE));
                self.sync.resync(now.mono);
                self.done_by(id, Vec::new());
            }
            Order::Doors { order: what, doors } => match self.doors_of(doors) {
                Ok(doors) => self.order_doors(now, (&id, &by, &order), *what, doors),
                Err(why) => self.refuse(now, &id, &order, &why),
            },
        }
    }

    pub(super) fn not_remembered(&mut self, now: Now, id: &CommandId, detail: String) {
        let Some((token, command)) = self.orders.remove(id) else { return };
        tracing::error!(%id, detail, "a command could not be remembered, so it is not carried out");
        self.counters.cache_failed();
        self.done(token);
        self.refuse(now, id, &command.order, &Refusal::NotRecorded(detail));
    }

    fn doors_of(&self, doors: &Doors) -> Result<Vec<DoorNo>, Refusal> {
        match doors {
            Doors::One(door) => match self.settings.door_no(door) {
                Some(no) => Ok(vec![no]),
                None => Err(Refusal::UnknownDoor(door.clone())),
            },
            Doors::All if self.doors.is_empty() => Err(Refusal::NoDoors),
            Doors::All => Ok((0..self.doors.len()).map(|n| DoorNo(n as u16)).collect()),
        }
    }

    /// What some doors don't take the others do; who asked is told which.
    fn order_doors(
        &mut self,
        now: Now,
        (id, by, command): (&CommandId, &str, &Order),
        order: DoorOrder,
        doors: Vec<DoorNo>,
    ) {
        let mut bid = Bid { id, by, command, order, willing: Vec::new(), refused: Vec::new() };
        for no in doors {
            match self.would_order(now, no, &order) {
                Ok(()) => bid.willing.push(no),
                Err(why) => {
                    let Some(door) = self.door_id(no) else { continue };
                    bid.refused.push(RefusedDoor { door: door.clone(), reason: why.as_str() });
                    self.rejected(now, (Some(id), Some(command.action())), Some(door), &why);
                }
            }
        }
        if bid.willing.is_empty() {
            let reason = bid.refused.first().map(|refused| refused.reason);
            return self.result(id.clone(), Outcome::Refused, reason, bid.refused);
        }
        self.carry_out(now, bid);
    }

    /// Answered when every door has confirmed, and what was done is on disk. Each opening stands on an entry of its own;
    /// a change of mode makes its own.
    fn carry_out(&mut self, now: Now, bid: Bid<'_>) {
        let Bid { id, by, command, order, willing, refused } = bid;
        let reason = if refused.is_empty() { DONE } else { PARTLY };
        let opens_once = order.action == DoorAction::Access;
        let waiting = Unanswered { doors: willing.len(), opens_once, fault: None, refused };
        self.unanswered.insert(id.clone(), waiting);
        let mut own_entry = None;
        for no in willing {
            let seq = match own_entry.filter(|_| !opens_once) {
                Some(seq) => seq,
                None => {
                    let door =
                        if opens_once { self.door_id(no).map(|d| d.to_string()) } else { command.door() };
                    self.executed(now, id, command, by, (door, if opens_once { DONE } else { reason }))
                }
            };
            own_entry = Some(seq);
            if let Err(why) = self.order(now, no, &order, by, seq, Some(Who::Central(id.clone()))) {
                self.door_answered(id.clone(), Err(why.to_string()));
            }
        }
    }

    /// A door that was told something by a command has confirmed, or has not.
    pub(super) fn door_answered(&mut self, id: CommandId, answer: OperatorAnswer) {
        let Some(open) = self.unanswered.get_mut(&id) else { return };
        open.doors = open.doors.saturating_sub(1);
        if let Err(why) = answer {
            open.fault.get_or_insert(why);
        }
        if open.doors > 0 {
            return;
        }
        let Some(Unanswered { opens_once, fault, refused, .. }) = self.unanswered.remove(&id) else { return };
        let Some(why) = fault else { return self.done_by(id, refused) };
        // What was tried stands in the journal, and so does the lock's fault. A mode is set all the same.
        tracing::warn!(%id, why, "a door did not confirm a command");
        let outcome = if opens_once { Outcome::Refused } else { Outcome::Done };
        self.result(id, outcome, Some("lock_fault"), refused);
    }

    fn executed(
        &mut self,
        now: Now,
        id: &CommandId,
        order: &Order,
        by: &str,
        (door, reason): (Option<String>, &'static str),
    ) -> u64 {
        let (id, action, by) = (id.clone(), order.action().to_owned(), by.to_owned());
        tracing::info!(%id, action, by, "a command of central's");
        self.record(now, EntryKind::CommandExecuted { id, action, by, door, reason })
    }

    /// Taken, and not carried out at any door.
    fn refuse(&mut self, now: Now, id: &CommandId, order: &Order, why: &Refusal) {
        self.rejected(now, (Some(id), Some(order.action())), None, why);
        self.result(id.clone(), Outcome::Refused, Some(why.reason()), Vec::new());
    }

    fn unread(&mut self, now: Now, token: u64, unread: Unread) {
        let Unread { id, action, why } = unread;
        if matches!(why, CommandError::Action(_)) {
            self.sync.action_refused();
        }
        self.done(token);
        self.rejected(now, (id.as_ref(), action.as_deref()), None, &why);
        if let Some(id) = id {
            self.result(id, Outcome::Refused, Some(why.reason()), Vec::new());
        }
    }

    /// Recorded; what strangers can cause any number of is only counted beyond a limit.
    fn rejected(
        &mut self,
        now: Now,
        (id, action): (Option<&CommandId>, Option<&str>),
        door: Option<DoorId>,
        why: &dyn Reason,
    ) {
        let reason = why.reason();
        if let Some(detail) = self.refusals.note(now.mono, Refused::Command, why.to_string()) {
            tracing::warn!(id = id.map(CommandId::as_str), reason, detail, "a command was refused");
            let (id, action) = (id.cloned(), action.map(str::to_owned));
            self.record(now, EntryKind::CommandRejected { id, action, door, reason, detail });
        }
    }

    /// Done, at least where it was not refused.
    fn done_by(&mut self, id: CommandId, refused: Vec<RefusedDoor>) {
        let reason = (!refused.is_empty()).then_some(PARTLY);
        self.result(id, Outcome::Done, reason, refused);
    }

    fn result(
        &mut self,
        id: CommandId,
        outcome: Outcome,
        reason: Option<&'static str>,
        refused: Vec<RefusedDoor>,
    ) {
        let controller = self.settings.controller.clone();
        let result = CommandResult { controller, id, outcome, reason, refused };
        self.commands.answered(result.clone());
        self.uplink(UplinkCommand::Result(result));
    }

    /// What was answered just before a connection ended may have gone with it, or was not sent at all.
    pub(super) fn answer_again(&mut self, now: Now) {
        for result in self.commands.fresh_answers(now.wall) {
            self.uplink(UplinkCommand::Result(result));
        }
    }
}

/// Why a command is not carried out: as a word of the wire, and as a sentence.
trait Reason: std::fmt::Display {
    fn reason(&self) -> &'static str;
}

impl Reason for Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Refusal::Duplicate => "duplicate",
            Refusal::Forgotten => "store_recovered",
            Refusal::ClockUntrusted => "clock_untrusted",
            Refusal::Expired(_) => "expired",
            Refusal::LivesTooLong => "expires_too_late",
            Refusal::NotYetIssued(_) => "not_yet_issued",
            Refusal::TooMany => "too_many",
            Refusal::NotRecorded(_) => "not_recorded",
            Refusal::UnknownDoor(_) | Refusal::NoDoors => "unknown_door",
        }
    }
}

impl Reason for CommandError {
    fn reason(&self) -> &'static str {
        CommandError::reason(self)
    }
}

impl Reason for OrderRefusal {
    fn reason(&self) -> &'static str {
        self.as_str()
    }
}
