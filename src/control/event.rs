//! All that can happen to the controller, and all that it can ask for: two closed enums, so that a compiler finds
//! every place a new one must be thought of.

mod certificate;

use std::{collections::BTreeSet, time::Duration};

pub use certificate::{CertificateEnd, CertificateOf};

pub use super::operator::{CardOrder, OperatorAnswer, OperatorEvent, OperatorRequest};
use super::{
    feedback::Feedback,
    index::{Index, Owners},
    settings::Settings,
};
use crate::{
    domain::{
        At, BoardId, BookingId, CommandId, CredentialId, DoorId, Entry, HolderId, ReaderId, Record, Uid,
        ZoneId,
    },
    wire::{
        checkpoint::Checkpoint,
        command::{Command, CommandResult, Unread},
        desk::StoredCard,
        feed::{Ack, Feed, MessageError, Sealed},
        outgoing::{DoorState, Status, Sync},
        stored::{CommandsFrom, Heard, Position, StoredModes},
    },
};

/// Something happened. Sent by the drivers over one bounded queue.
#[derive(Debug)]
pub enum Event {
    Reader {
        reader: ReaderId,
        what: ReaderEvent,
    },
    Board {
        board: BoardId,
        what: BoardEvent,
    },
    Journal(JournalEvent),
    Cache(CacheEvent),
    Uplink(UplinkEvent),
    Operator(OperatorEvent),
    /// The configuration was read again.
    Reload(Reload),
    /// A part of the daemon that serves no door has failed, and is begun anew.
    Failed {
        part: &'static str,
        detail: String,
    },
    /// The controller's own deadline has come.
    Tick,
    /// The daemon is about to stop: what only it would end is to be ended.
    Closing,
    /// The daemon is told to stop.
    Stopping,
}

/// What came of reading the configuration again.
#[derive(Debug)]
pub enum Reload {
    /// This is in force from now on. The drivers of these boards and readers, where they go on at all, are begun anew:
    /// they say `Connected` when they are there. Of all other boards the inputs are said once more.
    Taken { settings: Box<Settings>, boards: BTreeSet<BoardId>, readers: BTreeSet<ReaderId> },
    /// What was stays in force.
    Refused { why: String },
}

/// What a reader's driver says. A tap is one card coming into the field; a card that lies on the reader when the link
/// comes up, or goes on lying there, is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderEvent {
    /// The device answers. `detail` names it: model, firmware, port.
    Connected { detail: String },
    /// It no longer does, and why. Said once for each loss; the driver goes on trying for ever.
    Lost { detail: String },
    /// It failed, and is started from the beginning: its line opened and its chip set up anew, or its context made
    /// anew. Said each time, after `Lost` where it was connected; a port or a device that is not there is no failure.
    Restarted { detail: String },
    /// In the order of bytes the reader's configuration settles.
    Tap(Uid),
    /// Something was in the field and could not be read (a length that is no UID's, a card torn away).
    Unreadable { detail: String },
    /// Somebody has opened the reader or taken it off the wall, or has put it back. Said once a change.
    Tamper { is_tampered: bool, detail: String },
    /// Its own supply fails, or is well again. Said once a change.
    Power { is_failing: bool },
}

/// A board's discrete inputs, read all at once: bit n is input n. A board has at most 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Inputs(pub u64);

impl Inputs {
    pub fn get(self, input: u8) -> bool {
        self.0 >> (input & 63) & 1 == 1
    }
}

/// What a board's driver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardEvent {
    /// The link is up, and the inputs have been read since. Nothing was driven by connecting.
    Connected { detail: String, inputs: Inputs },
    /// Said once for each loss; commands that were waiting have each been answered with `Failed`.
    Lost { detail: String },
    /// Some input changed. Levels, never edges: a change between two polls that changed back is not seen.
    Inputs(Inputs),
    /// The board echoed the pulse exactly, and reading the coil back showed it driven.
    Pulsed { ticket: u64 },
    /// It did not, and why. Whether the strike moved is not known.
    Failed { ticket: u64, detail: String },
    /// The coil was read back as no longer driven after its pulse: by `true` in time, as that board's pulses end; by
    /// `false` it should have dropped before, and had to be switched off.
    Ended { ticket: u64, by_board: bool },
    /// The coil was switched off, and read back so. Nothing further is said of pulses that ran on it.
    Secured { ticket: u64 },
}

/// What a board's driver is asked to do. Commands go ahead of polls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardCommand {
    /// Drive the coil for `hold`, so that it ends whatever becomes of us: timed by the board itself, or where it can't
    /// by us, with its watchdog behind us.
    Pulse { ticket: u64, coil: u8, hold: Duration, warrant: Warrant },
    /// Switch the coil off, whatever pulse runs on it. Needs no warrant: it opens nothing.
    Secure { ticket: u64, coil: u8 },
}

impl BoardCommand {
    pub fn ticket(&self) -> u64 {
        match self {
            BoardCommand::Pulse { ticket, .. } | BoardCommand::Secure { ticket, .. } => *ticket,
        }
    }
}

/// Why a strike may be driven. There is no other way to make [`BoardCommand::Pulse`] than with one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warrant {
    /// The decision, the command or the change of mode stands in the journal, on disk. A mode that keeps a door open
    /// has its pulse renewed on the one entry, for as long as it lasts.
    Recorded(Recorded),
    /// The disk took longer than `journal.release_wait_ms`: the entry of this `seq` is marked `late` (targets,
    /// "recording before release").
    Late { seq: u64 },
    /// A request to exit, which waits for nothing.
    Rex,
    /// The fire alarm, which waits for nothing either.
    Fire,
}

/// Proof that the journal is on disk through the entry `seq`. Only the journal makes one (`attest`), a test reads who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    seq: u64,
}

impl Recorded {
    /// To be called by a journal, after the barrier, and by nobody else.
    pub fn attest(seq: u64) -> Self {
        Recorded { seq }
    }

    pub fn seq(self) -> u64 {
        self.seq
    }
}

/// What the journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEvent {
    /// Everything up to this entry is on disk.
    Recorded(Recorded),
    /// It can't be written now; entries are kept and tried again.
    Failed { detail: String },
    /// The end of the chain so far, signed.
    Checkpoint(Checkpoint),
    /// So many events that central had not acknowledged are gone, or were never written.
    Lost { count: u64, detail: String },
}

/// What the journal is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalCommand {
    Append(Entry),
    /// The door of this entry was released before the entry was on disk.
    MarkLate {
        seq: u64,
    },
    /// Central has stored everything up to here.
    Acknowledged {
        through: u64,
    },
    /// Behind this one central has other events under the same numbers: at the next start it goes on under another id, and
    /// all that follows this one is sent again.
    Forked {
        after: u64,
    },
    /// How long acknowledged events are kept from now on, and how many at most.
    Keep {
        keep: Duration,
        max_events: u64,
    },
    /// The end of the chain is to be signed now, whether it is time or not.
    Sign,
}

/// What the cache is asked to keep.
#[derive(Debug)]
pub enum CacheCommand {
    /// The changes of one message, up to the number `applied`, with how many of its records were refused, and who
    /// has the UIDs it puts.
    Apply {
        applied: u64,
        rejected: u64,
        items: Vec<Sealed>,
        owners: Owners,
    },
    /// One part of a snapshot, and when it came.
    Stage {
        part: Part,
        at: At,
    },
    /// That a command has been taken, which must never be carried out again; until it has expired. `now`: what has
    /// expired before is let go of.
    Remember {
        id: CommandId,
        expires_at: At,
        now: At,
    },
    Note(Note),
    /// The site has these doors from now on: what a snapshot's index is built for.
    Doors(Vec<(DoorId, Vec<ZoneId>)>),
}

/// One part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub id: String,
    pub part: u32,
    pub parts: u32,
    pub epoch: u64,
    pub last: u64,
    pub items: Vec<Sealed>,
    /// Records of this part that were refused.
    pub rejected: u64,
}

/// Small things that outlast a restart. Not waited for: the journal can tell them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    Heard(Heard),
    /// What was remembered of commands is not all: from when on they are taken.
    CommandsFrom(CommandsFrom),
    /// All notes for journal entries up to here have been made.
    Checkpoint {
        seq: u64,
    },
    LetIn {
        booking: BookingId,
        holder: HolderId,
        at: At,
        seq: u64,
    },
    Forget {
        booking: BookingId,
    },
    /// The desk has set a card. Of an activation it is noted once its entry is on disk.
    Card {
        credential: CredentialId,
        card: StoredCard,
    },
    /// A door's mode is now this. Of one that opens it is noted once its entry is on disk.
    Modes {
        door: DoorId,
        modes: StoredModes,
    },
}

/// What the cache says.
#[derive(Debug)]
pub enum CacheEvent {
    /// On disk, behind a barrier.
    Applied(Applied),
    Staged(Staged),
    Failed {
        detail: String,
    },
    /// The command is on disk, behind a barrier: it may be carried out.
    Remembered {
        id: CommandId,
    },
    NotRemembered {
        id: CommandId,
        detail: String,
    },
    /// It can't be used: nothing is kept until it is open again. Said again when the reason is another.
    Closed {
        detail: String,
    },
    /// It is open again, and this is what is on disk: with an index where that is newer than what was in force, lost
    /// where it is older (changes don't apply to it, a snapshot does). Recovered: how many records, and a sentence.
    Opened {
        position: Position,
        index: Option<Box<Index>>,
        is_lost: bool,
        recovered: Vec<(u64, String)>,
    },
}

/// What one message did to the records. Only a cache makes one, after the barrier: it is what the index may follow,
/// and what the broker may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub position: Position,
    /// In order.
    pub replaced: Vec<Replaced>,
    /// A sentence for each credential that lost its UID to a later one.
    pub conflicts: Vec<String>,
}

/// A record as it was and as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub old: Option<Record>,
    pub new: Option<Record>,
}

/// How many of the grants that were open or to come are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removal {
    pub live: usize,
    pub removed: usize,
}

impl Removal {
    /// More than half: it may be a real revocation, and is said loudly.
    pub fn is_mass(&self) -> bool {
        self.removed * 2 > self.live
    }
}

/// How far a snapshot has come.
#[derive(Debug)]
pub enum Staged {
    Part {
        id: String,
        part: u32,
        conflicts: Vec<String>,
    },
    /// This part does not follow what is staged.
    OutOfOrder {
        id: String,
    },
    /// The last part was in: on disk, and in place of what was.
    InForce {
        id: String,
        position: Position,
        index: Box<Index>,
        conflicts: Vec<String>,
        removal: Removal,
    },
}

/// What the link to central says.
#[derive(Debug)]
pub enum UplinkEvent {
    /// `is_resumed`: the broker has kept what was sent while we were away.
    Connected {
        detail: String,
        is_resumed: bool,
    },
    /// The broker says in our name that we are offline, as a will that comes late does.
    SaidOffline,
    /// Said once for each loss; the driver goes on trying for ever.
    Disconnected {
        detail: String,
    },
    /// A message on `feed`. The next one comes when this one is `Done`, or after a new connection. `again`: the
    /// broker delivers it once more because it was not acknowledged.
    Feed {
        token: u64,
        again: bool,
        message: Result<Feed, MessageError>,
    },
    Ack {
        message: Result<Ack, MessageError>,
    },
    /// A message on `command`. Any number may be under way; each is `Done` by itself.
    Command {
        token: u64,
        message: Result<Command, Unread>,
    },
    /// Events from the journal were handed to the broker, through this one.
    Sent {
        through: u64,
    },
    /// None of the events up to this one can be sent: the journal does not hold them, or they can't be read.
    Skipped {
        through: u64,
    },
    /// These stand in the journal, can't be read, and were left out of what was sent.
    Unreadable {
        events: Vec<u64>,
    },
    /// When the certificates in use end, the first first.
    Certificates {
        ends: Vec<CertificateEnd>,
    },
}

/// What the link to central is asked to do. All of it is dropped while there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UplinkCommand {
    /// What the message changed is on disk (or it changed nothing): acknowledge it to the broker.
    Done {
        token: u64,
    },
    /// It could not be put on disk: drop the connection, so that the broker delivers it again.
    Undone,
    Sync(Sync),
    Status(Status),
    Result(CommandResult),
    Door(DoorState),
    /// There is no such door any more: what the broker retains of it is to go.
    Gone {
        door: DoorId,
    },
    /// One message with events of the journal, from this one on, none after `through`.
    SendEvents {
        from: u64,
        through: u64,
    },
}

/// Something is to be done.
#[derive(Debug)]
pub enum Action {
    Board {
        board: BoardId,
        command: BoardCommand,
    },
    Feedback {
        reader: ReaderId,
        feedback: Feedback,
    },
    Journal(JournalCommand),
    Cache(CacheCommand),
    Uplink(UplinkCommand),
    Answer {
        token: u64,
        answer: OperatorAnswer,
    },
    /// An index that was replaced. Letting go of a million grants takes longer than a door should wait.
    Discard(Box<Index>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_is_a_mass_removal() {
        assert!(!Removal { live: 10, removed: 5 }.is_mass());
        assert!(Removal { live: 10, removed: 6 }.is_mass());
        assert!(!Removal::default().is_mass());
    }
}
