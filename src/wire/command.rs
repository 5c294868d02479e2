//! `command`: what central wants done now, and `result`: what became of it.
//!
//! A command that can't be carried out is answered by its id all the same, as far as one can be read: whoever waits for
//! the answer should not wait for nothing.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{
    feed::{MessageError, addressed, json},
    fields::{FieldError, Fields},
    jws::{Trust, unverified},
};
use crate::domain::{At, CommandId, ControllerId, DoorAction, DoorId, DoorOrder, OrderRefusal};

/// Longest name of who gave a command, in bytes.
const MAX_BY: usize = 128;
/// What is kept of the name of an action that is not known, in characters.
const MAX_SHOWN: usize = 40;
/// Where no name is given.
const CENTRAL: &str = "central";
/// `door` of a command that is for every door.
const ALL_DOORS: &str = "*";

/// Something central wants done. Read and signed; whether its time has come, or gone, is the controller's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: CommandId,
    pub issued_at: At,
    pub expires_at: At,
    /// Who gave it: recorded, not checked.
    pub by: String,
    pub order: Order,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    Doors {
        order: DoorOrder,
        doors: Doors,
    },
    /// A snapshot is to be asked for.
    Resync,
}

impl Order {
    /// Its `action` on the wire.
    pub fn action(&self) -> &'static str {
        match self {
            Order::Doors { order, .. } => order.action.as_str(),
            Order::Resync => "resync",
        }
    }

    /// Its `door` on the wire.
    pub fn door(&self) -> Option<String> {
        match self {
            Order::Doors { doors, .. } => Some(doors.to_string()),
            Order::Resync => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doors {
    One(DoorId),
    All,
}

impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doors::One(door) => fmt::Display::fmt(door, f),
            Doors::All => f.write_str(ALL_DOORS),
        }
    }
}

/// A command that was not even read whole, and what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub id: Option<CommandId>,
    pub action: Option<String>,
    pub why: CommandError,
}

/// Why a command was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("it was retained by the broker: nobody says it now")]
    Retained,
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("there is no action {0:?}")]
    Action(String),
    #[error("{0}")]
    Order(#[from] OrderRefusal),
}

impl From<FieldError> for CommandError {
    fn from(error: FieldError) -> Self {
        CommandError::Message(MessageError::Field(error))
    }
}

impl CommandError {
    /// `reason` of the result.
    pub fn reason(&self) -> &'static str {
        match self {
            CommandError::Retained => "retained",
            CommandError::Message(MessageError::Jws(_)) => "bad_signature",
            CommandError::Message(MessageError::OtherController(_)) => "other_controller",
            CommandError::Message(
                MessageError::NotJson(_)
                | MessageError::Count { .. }
                | MessageError::TooMany(_)
                | MessageError::Field(_),
            ) => "malformed",
            CommandError::Action(_) => "unknown_action",
            CommandError::Order(refusal) => refusal.as_str(),
        }
    }
}

/// Reads a message on `command`.
pub fn command(
    message: &[u8],
    is_retained: bool,
    trust: &Trust,
    controller: &ControllerId,
) -> Result<Command, Unread> {
    let read = || {
        if is_retained {
            return Err(CommandError::Retained);
        }
        let value = json(&trust.open(message).map_err(MessageError::from)?)?;
        content(addressed(&value, controller)?)
    };
    read().map_err(|why| {
        let shown = json(&unverified(message)).unwrap_or_default();
        let text = |field| shown.get(field).and_then(Value::as_str);
        let id = text("id").and_then(|id| CommandId::new(id).ok());
        Unread { id, action: text("action").map(|action| action.chars().take(MAX_SHOWN).collect()), why }
    })
}

fn content(fields: Fields<'_>) -> Result<Command, CommandError> {
    let needed = |field| fields.at(field)?.ok_or(FieldError::Missing(field));
    let by = fields.optional_text("by")?.unwrap_or(CENTRAL);
    if by.is_empty() || by.len() > MAX_BY {
        return Err(FieldError::Wrong { field: "by", expected: "a name of 1 to 128 bytes" }.into());
    }
    Ok(Command {
        id: fields.id("id", CommandId::new)?,
        issued_at: needed("issued_at")?,
        expires_at: needed("expires_at")?,
        by: by.to_owned(),
        order: order(fields)?,
    })
}

fn order(fields: Fields<'_>) -> Result<Order, CommandError> {
    let name = fields.text("action")?;
    if name == Order::Resync.action() {
        return Ok(Order::Resync);
    }
    let action = DoorAction::parse(name)
        .ok_or_else(|| CommandError::Action(name.chars().take(MAX_SHOWN).collect()))?;
    let for_s = fields.optional_number("for_s", 0, u64::from(u32::MAX), "a number of seconds")?;
    let order = DoorOrder::new(action, for_s.and_then(|s| u32::try_from(s).ok()))?;
    let doors = match fields.text("door")? {
        ALL_DOORS => Doors::All,
        _ => Doors::One(fields.id("door", DoorId::new)?),
    };
    Ok(Order::Doors { order, doors })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Refused,
}

/// `result`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandResult {
    pub controller: ControllerId,
    pub id: CommandId,
    pub outcome: Outcome,
    /// Why it was refused, or not done at every door, in a word of the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of a command for every door: those that did not take it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedDoor>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedDoor {
    pub door: DoorId,
    pub reason: &'static str,
}
