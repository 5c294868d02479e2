//! What `latchctl` and the daemon say to each other over the Unix socket: one JSON object a line, in both directions.
//!
//! ```text
//!  latchctl                                   latchd
//!  {"protocol":1,"verb":"explain",…}  ──►
//!                                     ◄──   {"item":{…}}      any number: rows of a list, events
//!                                     ◄──   {"done":{…}}      or {"error":{"code":…,"message":…}}: exactly one
//! ```
//!
//! A connection carries any number of requests, answered in order, so that a batch can be sent without waiting.
//! Field names are the wire's; fields, verbs, codes and kinds of lines may be added within a protocol version, never
//! renamed: who reads ignores fields and lines it does not know, takes an unknown code for `failed`, and answers an
//! unknown verb, as another version, with `usage` and a sentence.

pub mod cards;
mod commissioning;
mod envelope;
pub mod explain;
mod hardware;
pub mod permission;
mod rights;
mod stores;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    commissioning::{
        CardSeen, InputChange, InputRole, InputUse, ReaderNews, TestOf, WiringBoard, WiringDoor, WiringInput,
        WiringNews, WiringReport,
    },
    envelope::Envelope,
    explain::{ExplainQuery, ExplainReport},
    hardware::{BoardReport, DoorReport, LastPassage, ReaderReport, RestartsReport},
    rights::{CredentialReport, GrantReport},
    stores::{
        BackupBegun, BackupDone, Chunk, RestoreChunk, RestoreDone, StoreReport, VerifyQuery, VerifyReport,
    },
};
use crate::domain::{At, BoardId, ClockTrust, ControllerId, CredentialId, DoorId, HolderId, ReaderId, Zone};

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;

/// Longest line either side reads, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// Longest request the daemon reads, in bytes: any number of callers may send one without an end.
pub const MAX_REQUEST: usize = 64 << 10;

/// What a technician asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    /// Done: [`StatusReport`].
    Status,
    /// Items: [`DoorReport`].
    Doors,
    /// Done: [`DoorReport`].
    Door { door: DoorId },
    /// An order to a door. Done: [`CommandDone`], when the board confirmed what it drives.
    DoorOrder {
        door: DoorId,
        #[serde(flatten)]
        order: OrderQuery,
    },
    /// The same to every door, at once. Items, a door each: [`CommandDone`], or [`CommandFailed`].
    DoorOrderAll(OrderQuery),
    /// Items: [`ReaderReport`].
    Readers,
    /// Items: [`ReaderNews`], with UIDs in clear, until the caller says anything or goes.
    ReaderWatch {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reader: Option<ReaderId>,
    },
    /// Items: [`WiringNews`], until the caller says anything or goes, or the test may not go on. Strikes are driven by
    /// orders beside it.
    WiringTest { of: TestOf },
    /// Items: [`CredentialReport`].
    Credentials {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<HolderId>,
    },
    /// Done: [`CredentialReport`].
    Credential { credential: CredentialId },
    /// Items: [`cards::AwaitsCard`], if a reader is named. Done: [`cards::CardDone`], on disk.
    CredentialActivate(cards::ActivateQuery),
    /// Done: [`cards::CardDone`], on disk.
    CredentialSuspend(cards::SuspendQuery),
    /// Items: [`GrantReport`], in no order.
    Grants(GrantQuery),
    /// Done: [`ExplainReport`].
    Explain(ExplainQuery),
    /// Done: [`explain::Explanation`].
    ExplainWhole(ExplainQuery),
    /// A decision of the past. Done: [`explain::PastExplanation`].
    ExplainEvent { seq: u64 },
    /// Items: events as they stand in the journal, oldest first.
    Events(EventQuery),
    /// Done: [`VerifyReport`]; error `failed` names the first event that is wrong.
    JournalVerify(VerifyQuery),
    /// Items: lines of the journal as they stand in it, each as a text.
    JournalExport {
        /// Default: the first event kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
    },
    /// Signs the end of the journal. Done: a `Checkpoint`.
    JournalCheckpoint,
    /// Done: [`LogReport`]. With a filter (a level, or one for each module): changed, until the next start.
    Log {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
    },
    /// The store as one file. Items: [`BackupBegun`] as it is written, then [`Chunk`]s. Done: [`BackupDone`].
    Backup,
    /// The next piece of such a file. Done: [`RestoreDone`], with what it is when it was the last.
    Restore(RestoreChunk),
    /// Done: [`SyncReport`].
    Sync,
    /// Asks central for a snapshot. Done: [`SyncReport`].
    SyncResync,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderQuery {
    /// A name of the wire's commands, such as `lock_down`.
    pub action: String,
    /// Of `unlock` and `lock_open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u32>,
    /// Kept in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GrantQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
    /// Only those open at `at`.
    #[serde(default)]
    pub active: bool,
    /// Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
    /// A type (`access.denied`), or a group of them (`access`).
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<String>,
    /// Goes on with new ones, until the connection ends.
    #[serde(default)]
    pub follow: bool,
    /// The newest so many, counted after the filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Item(Value),
    Done(Value),
    Error(Refusal),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// `failed`, `usage`, `not_permitted` or `not_found`: which exit status it is.
    pub code: Code,
    /// One sentence: what failed, on what, why, what to do.
    pub message: String,
}

/// Why a request was not done. Each is an exit status of `latchctl` (operator, "latchctl").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "String")]
pub enum Code {
    /// Refused or failed: 1.
    Failed,
    /// Not a request of this protocol: 2.
    Usage,
    /// The caller may not: 4.
    NotPermitted,
    /// No such door, reader, credential: 5.
    NotFound,
}

impl From<String> for Code {
    fn from(code: String) -> Self {
        match code.as_str() {
            "usage" => Code::Usage,
            "not_permitted" => Code::NotPermitted,
            "not_found" => Code::NotFound,
            // Also what a newer daemon may say.
            _ => Code::Failed,
        }
    }
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// This box's name.
    pub controller: ControllerId,
    /// The daemon's.
    pub version: String,
    /// The site's, by its IANA name.
    pub time_zone: Zone,
    /// By the box's own clock.
    pub now: At,
    /// When the daemon was started.
    pub started_at: At,
    /// Whether that clock may be believed.
    pub clock: ClockReport,
    /// How far central and this box agree.
    pub sync: SyncReport,
    /// How far the journal is on disk, and at central.
    pub journal: JournalReport,
    /// Left out by a daemon that does not know it yet.
    #[serde(default)]
    pub store: StoreReport,
    /// In the configuration's order, as the next two are.
    pub doors: Vec<DoorReport>,
    /// Card readers.
    pub readers: Vec<ReaderReport>,
    /// I/O boards.
    pub boards: Vec<BoardReport>,
    /// Left out where no `[fire]` is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fire: Option<FireReport>,
    /// Since when the configuration is in force that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationReport>,
    /// Parts of the daemon that serve no door and had to be begun anew within the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailingReport {
    /// Such as `metrics`.
    pub part: String,
    /// How often, and why.
    pub restarts: RestartsReport,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// When it was read.
    pub loaded_at: At,
    /// The last attempt to read the file again, where nothing of it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedReport {
    /// When that was.
    pub at: At,
    /// What is wrong with the file, with line and column.
    pub error: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FireReport {
    /// The doors are released.
    pub raised: bool,
    /// Since when; left out while there is no alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    /// What the input reads; left out while its board is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<bool>,
    /// The one its input is on.
    pub board: BoardId,
    /// The doors it releases.
    pub doors: Vec<DoorId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockReport {
    /// How far bookings may go by it (rules, "The clock").
    pub trust: ClockTrust,
    /// Why, as a sentence.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalReport {
    /// Its UUID.
    pub journal: String,
    /// The last `seq` on disk; 0 when there is none.
    pub recorded: u64,
    /// The last `seq` central has stored.
    pub acknowledged: u64,
    /// What is wrong with it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncReport {
    /// Connected to the broker.
    pub connected: bool,
    /// Its URL, without a login.
    pub broker: String,
    /// Since when (not) connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<At>,
    /// Why not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of the feed: central began a new list so many times. 0: there was none yet.
    pub epoch: u64,
    /// The last change that is applied.
    pub applied: u64,
    /// What central is asked for: `nothing`, `changes` or `snapshot`.
    pub want: String,
    /// Records refused since the last snapshot.
    pub rejected: u64,
    /// How many there are here.
    pub credentials: u64,
    /// How many there are here.
    pub grants: u64,
    /// Over all records, in hexadecimal: the same as central's when both have the same.
    pub digest: String,
    /// When central was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub central_at: Option<At>,
    /// Central was last heard longer ago than `sync.stale_after_s`.
    pub stale: bool,
    /// Messages refused since the daemon started, by what was wrong with them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
    /// Events recorded and not yet acknowledged.
    pub queue: u64,
    /// A snapshot under way: parts stored, parts in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<(u32, u32)>,
    /// When the certificates of the link to the broker end, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertificateReport {
    /// `controller`, `authority` (that signed the broker's) or `broker`.
    pub certificate: String,
    /// Until when it holds.
    pub not_after: At,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogReport {
    /// Left out where nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// A level, or one for each module.
    pub now: String,
    /// And after the next start, unless that is told otherwise.
    pub at_start: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandDone {
    /// Which.
    pub door: DoorId,
    /// A name of the wire's commands, such as `lock_down`.
    pub action: String,
    /// `done`.
    pub outcome: String,
    /// The journal entry of the command.
    pub seq: u64,
}

/// One of several doors where it was not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandFailed {
    /// Which.
    pub door: DoorId,
    /// Why it was not done there.
    pub error: Refusal,
}
