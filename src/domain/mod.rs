//! The vocabulary, as plain data: what a credential, a grant, a window, a decision and a journal entry are.
//!
//! The lowest layer: it imports nothing of ours, does nothing, and knows no time but what it is given.

pub mod at;
pub mod credential;
pub mod decision;
pub mod entry;
pub mod grant;
pub mod hours;
pub mod ids;
pub mod mode;
pub mod order;
pub mod policy;
pub mod record;
pub mod role;
pub mod schedule;
pub mod uid;
pub mod zone;

pub use at::{At, ClockTrust, Mono, Now};
pub use credential::{Credential, Status, UidHash};
pub use decision::{Decision, Reason, Verdict};
pub use entry::{Entry, EntryKind, Passage};
pub use grant::{Grant, Kind, Terms, Window};
pub use ids::{
    BoardId, BookingId, CommandId, ControllerId, CredentialId, DoorId, GrantId, HolderId, IdError, ReaderId,
    ZoneId,
};
pub use mode::{Contact, Direction, DoorAlarm, DoorMode, LockState};
pub use order::{DoorAction, DoorOrder, OrderRefusal};
pub use policy::{Margins, Policy};
pub use record::{Change, Record, RecordKey, RecordType};
pub use role::Role;
pub use schedule::{Interval, Schedule};
pub use uid::{Uid, UidError};
pub use zone::Zone;
