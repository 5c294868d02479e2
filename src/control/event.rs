//! All that can happen to the controller, and all that it can ask for: two closed enums, so that a compiler finds
//! every place a new one must be thought of.

use std::time::Duration;

use crate::domain::{BoardId, ReaderId, Uid};

/// Something happened. Sent by the drivers over one bounded queue.
#[derive(Debug)]
pub enum Event {
    Reader { reader: ReaderId, what: ReaderEvent },
    Board { board: BoardId, what: BoardEvent },
}

/// What a reader's driver says. A tap is one card coming into the field; a card that lies on the reader when the link
/// comes up, or goes on lying there, is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderEvent {
    /// The device answers. `detail` names it: model, firmware, port.
    Connected { detail: String },
    /// It no longer does, and why. Said once for each loss; the driver goes on trying for ever.
    Lost { detail: String },
    /// In the order of bytes the reader's configuration settles.
    Tap(Uid),
    /// Something was in the field and could not be read (a length that is no UID's, a card torn away).
    Unreadable { detail: String },
}

/// What a member is told at the reader, by light and sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feedback {
    Granted,
    Denied,
    /// Right card, wrong time.
    NotNow,
    /// The door could not be driven.
    Fault,
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
    /// The coil was read back as no longer driven after its pulse: by `true` in time, by `false` it had to be
    /// switched off by us.
    Ended { ticket: u64, by_board: bool },
}

/// What a board's driver is asked to do. Commands go ahead of polls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardCommand {
    /// Drive the coil for `hold`, timed by the board itself, so that it ends whatever becomes of us.
    Pulse { ticket: u64, coil: u8, hold: Duration, warrant: Warrant },
}

/// Why a strike may be driven. There is no other way to make [`BoardCommand::Pulse`] than with one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warrant {
    /// The decision or command stands in the journal, on disk.
    Recorded(Recorded),
    /// The disk took longer than `journal.release_wait_ms`: the entry of this `seq` is marked `late` (targets,
    /// "recording before release").
    Late { seq: u64 },
    /// A request to exit, which waits for nothing.
    Rex,
}

/// Proof that the journal entry `seq` is on disk. Only the journal makes one (`attest`), a test reads who calls it.
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

/// Something is to be done.
#[derive(Debug)]
pub enum Action {
    Board { board: BoardId, command: BoardCommand },
    Feedback { reader: ReaderId, feedback: Feedback },
}
