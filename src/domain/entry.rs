//! What the journal holds: one entry for everything that was decided, done or noticed. The names are the wire's
//! (`type` in the table "events and ack").

use serde::Serialize;

use super::{
    At, BoardId, BookingId, ClockTrust, CommandId, CredentialId, Decision, Direction, DoorId, DoorMode,
    GrantId, HolderId, ReaderId, Reason,
};

/// One entry, before the journal chains it: `prev` and `hash` are added where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Rises by one, for ever, within one journal.
    pub seq: u64,
    pub at: At,
    /// Said only when the time was not a synchronised one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockNote>,
    #[serde(flatten)]
    pub kind: EntryKind,
}

/// How an entry's time is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockNote {
    Holdover,
    Untrusted,
}

impl ClockNote {
    pub fn of(trust: ClockTrust) -> Option<Self> {
        match trust {
            ClockTrust::Trusted => None,
            ClockTrust::Holdover => Some(ClockNote::Holdover),
            ClockTrust::Untrusted => Some(ClockNote::Untrusted),
        }
    }
}

/// A tap and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passage {
    pub door: DoorId,
    pub reader: ReaderId,
    pub direction: Direction,
    pub reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<At>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<At>,
    /// Of an unknown card: the first 8 hex digits of its keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid_tag: Option<String>,
}

impl Passage {
    pub fn of(door: DoorId, reader: ReaderId, direction: Direction, decision: Decision) -> Self {
        Passage {
            door,
            reader,
            direction,
            reason: decision.reason,
            credential: decision.credential,
            holder: decision.holder,
            grant: decision.grant,
            opens_at: decision.opens_at,
            closes_at: decision.closes_at,
            uid_tag: None,
        }
    }
}

/// The feed's position, with what was noticed about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncNote {
    pub epoch: u64,
    pub applied: u64,
    pub detail: String,
}

/// What was done to a card at the desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CardNote {
    pub credential: CredentialId,
    pub holder: HolderId,
    /// User name and uid.
    pub by: String,
    /// An administrator did it outside staffed hours.
    #[serde(rename = "override")]
    pub is_override: bool,
    /// How far the feed had been applied: a later record of the card wins.
    pub epoch: u64,
    pub applied: u64,
}

/// What somebody asked for at the control socket that changes something, or asked for in vain.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct OperatorCommand {
    /// User name and uid.
    pub by: String,
    pub action: String,
    /// `done` or `refused`.
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// Why they did it, in their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was refused, or what else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl OperatorCommand {
    pub fn done(by: &str, action: &str) -> Self {
        OperatorCommand { by: by.to_owned(), action: action.to_owned(), outcome: "done", ..Self::default() }
    }

    pub fn refused(by: &str, action: &str, why: impl Into<String>) -> Self {
        OperatorCommand { outcome: "refused", detail: Some(why.into()), ..Self::done(by, action) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum EntryKind {
    #[serde(rename = "access.granted")]
    AccessGranted(Passage),
    #[serde(rename = "access.denied")]
    AccessDenied(Passage),
    /// The door was opened in time for the grant of the entry `of`.
    #[serde(rename = "access.taken")]
    AccessTaken { door: DoorId, of: u64 },
    #[serde(rename = "access.not_taken")]
    AccessNotTaken { door: DoorId, of: u64 },
    #[serde(rename = "guest.arrived")]
    GuestArrived { door: DoorId, holder: HolderId, booking: BookingId, host: HolderId },
    #[serde(rename = "door.opened")]
    DoorOpened { door: DoorId },
    #[serde(rename = "door.closed")]
    DoorClosed { door: DoorId },
    #[serde(rename = "door.forced")]
    DoorForced { door: DoorId },
    #[serde(rename = "door.held_open")]
    DoorHeldOpen { door: DoorId },
    #[serde(rename = "door.held_open_ended")]
    DoorHeldOpenEnded { door: DoorId },
    #[serde(rename = "door.mode_changed")]
    ModeChanged {
        door: DoorId,
        from: DoorMode,
        to: DoorMode,
        by: String,
        /// When the mode ends by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<At>,
    },
    #[serde(rename = "rex.pressed")]
    RexPressed { door: DoorId },
    /// The doors that are released while it lasts.
    #[serde(rename = "fire.raised")]
    FireRaised { doors: Vec<DoorId> },
    #[serde(rename = "fire.cleared")]
    FireCleared { doors: Vec<DoorId> },
    /// The board does not confirm what was asked.
    #[serde(rename = "door.lock_fault")]
    LockFault { door: DoorId, detail: String },
    #[serde(rename = "door.lock_fault_ended")]
    LockFaultEnded { door: DoorId, detail: String },
    #[serde(rename = "credential.activated")]
    CredentialActivated(CardNote),
    #[serde(rename = "credential.suspended")]
    CredentialSuspended(CardNote),
    #[serde(rename = "operator.command")]
    OperatorCommand(OperatorCommand),
    /// Central's; one for each door it opened, where it opened several.
    #[serde(rename = "command.executed")]
    CommandExecuted {
        id: CommandId,
        action: String,
        by: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        door: Option<String>,
        /// `done`, or `partly` where some doors did not take it.
        reason: &'static str,
    },
    #[serde(rename = "command.rejected")]
    CommandRejected {
        /// Left out, like the action, where none could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// Which door did not take it, where others may have.
        #[serde(skip_serializing_if = "Option::is_none")]
        door: Option<DoorId>,
        /// A word of the wire.
        reason: &'static str,
        /// The same as a sentence, or how many more there were.
        detail: String,
    },
    #[serde(rename = "reader.connected")]
    ReaderConnected { reader: ReaderId, detail: String },
    #[serde(rename = "reader.lost")]
    ReaderLost { reader: ReaderId, detail: String },
    /// Begin and end: `detail` says which.
    #[serde(rename = "reader.tamper")]
    ReaderTamper { reader: ReaderId, detail: String },
    #[serde(rename = "board.connected")]
    BoardConnected { board: BoardId, detail: String },
    #[serde(rename = "board.lost")]
    BoardLost { board: BoardId, detail: String },
    #[serde(rename = "sync.snapshot_applied")]
    SnapshotApplied(SyncNote),
    #[serde(rename = "sync.gap")]
    SyncGap(SyncNote),
    #[serde(rename = "sync.conflict")]
    SyncConflict(SyncNote),
    #[serde(rename = "sync.rejected")]
    SyncRejected(SyncNote),
    #[serde(rename = "sync.mass_removal")]
    MassRemoval(SyncNote),
    #[serde(rename = "sync.stale")]
    SyncStale(SyncNote),
    #[serde(rename = "sync.fresh")]
    SyncFresh(SyncNote),
    #[serde(rename = "clock.untrusted")]
    ClockUntrusted { detail: String },
    #[serde(rename = "clock.trusted")]
    ClockTrusted { detail: String },
    /// Events that central had not stored and that are gone, or could never be written.
    #[serde(rename = "journal.overwritten")]
    JournalOverwritten { count: u64, detail: String },
    #[serde(rename = "store.recovered")]
    StoreRecovered { count: u64, detail: String },
    #[serde(rename = "controller.started")]
    ControllerStarted { version: String, detail: String },
    #[serde(rename = "controller.stopped")]
    ControllerStopped { version: String, detail: String },
}
