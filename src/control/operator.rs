//! What people ask for over the control socket that changes something, or is to be recorded.

use std::time::Duration;

use crate::{
    domain::{CredentialId, DoorId, DoorOrder, HolderId, ReaderId, Status},
    wire::control::TestOf,
};

/// What a technician asks for that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEvent {
    /// Comes back with the answer.
    pub token: u64,
    /// User name and uid.
    pub by: String,
    pub request: OperatorRequest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorRequest {
    Door {
        door: DoorId,
        order: DoorOrder,
        reason: Option<String>,
    },
    Resync,
    /// Something is to be done to a card, by its id.
    Card(CardOrder),
    /// The next card at this reader is to be activated, and no door is to open for it. `id` is the asker's.
    AwaitCard {
        id: u64,
        reader: ReaderId,
        /// It must be this one.
        credential: Option<CredentialId>,
        may_override: bool,
        reason: Option<String>,
        within: Duration,
    },
    /// Who waited for a card has gone.
    StopWaiting {
        id: u64,
    },
    /// They are about to be shown cards as readers see them, of one reader or of all.
    Watch {
        reader: Option<ReaderId>,
    },
    /// They are about to try the wiring.
    Test {
        of: TestOf,
    },
    /// Something was done beside the controller, and is to be recorded.
    Beside {
        action: String,
        detail: String,
    },
    /// They may not what they asked for, which is recorded and nothing else. `uid`: whose flood it is, if it is one.
    TurnedAway {
        uid: u32,
        action: String,
        door: Option<DoorId>,
        detail: String,
    },
}

/// A card is to be activated or suspended at the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardOrder {
    pub credential: CredentialId,
    /// Whose it is: whoever asks has looked it up.
    pub holder: HolderId,
    /// `Active` or `Suspended`.
    pub status: Status,
    /// An administrator asks, who may outside staffed hours.
    pub may_override: bool,
    /// In their words.
    pub reason: Option<String>,
}

/// What became of it: the journal entry it stands in, or a sentence why not.
pub type OperatorAnswer = Result<u64, String>;
