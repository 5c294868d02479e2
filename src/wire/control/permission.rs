//! Which role each request takes, and what it is called in the journal: the one table of both.
//!
//! Closed, so that a new request must be put into it.

use super::{Request, TestOf};
use crate::domain::{DoorAction, DoorId, Role};

impl Request {
    /// Who may ask this.
    pub fn needs(&self) -> Role {
        match self {
            Request::Status
            | Request::Doors
            | Request::Door { .. }
            | Request::Readers
            | Request::Credentials { .. }
            | Request::Credential { .. }
            | Request::Grants(_)
            | Request::Explain(_)
            | Request::ExplainWhole(_)
            | Request::ExplainEvent { .. }
            | Request::Events(_)
            | Request::JournalVerify(_)
            | Request::JournalExport { .. }
            | Request::JournalCheckpoint
            | Request::Sync => Role::Observer,
            Request::DoorOrder { order, .. } | Request::DoorOrderAll(order) => of_order(&order.action),
            Request::Log { filter: None } => Role::Observer,
            // A debug log says more of who came when than others are to read, and a silent one hides it.
            Request::Log { filter: Some(_) } => Role::Admin,
            Request::CredentialActivate(query) if query.overrides => Role::Admin,
            Request::CredentialActivate(_)
            | Request::CredentialSuspend(_)
            | Request::SyncResync
            | Request::ReaderWatch { .. }
            | Request::WiringTest { .. } => Role::Technician,
            // With a backup goes the key that UIDs are hashed under.
            Request::Backup | Request::Restore(_) => Role::Admin,
        }
    }

    /// What the journal calls it (`action` of `operator.command`): of an order to a door the order's name.
    pub fn action(&self) -> &str {
        match self {
            Request::Status => "status",
            Request::Doors => "doors",
            Request::Door { .. } => "door_show",
            Request::DoorOrder { order, .. } | Request::DoorOrderAll(order) => of_order_named(&order.action),
            Request::Readers => "readers",
            Request::ReaderWatch { .. } => "reader_watch",
            Request::WiringTest { of: TestOf::Board(_) } => "board_test",
            Request::WiringTest { of: TestOf::Door(_) } => "door_test",
            Request::Credentials { .. } => "credentials",
            Request::Credential { .. } => "credential_show",
            Request::CredentialActivate(query) if query.overrides => "activate_override",
            Request::CredentialActivate(_) => "activate",
            Request::CredentialSuspend(_) => "suspend",
            Request::Grants(_) => "grants",
            Request::Explain(_) | Request::ExplainWhole(_) | Request::ExplainEvent { .. } => "explain",
            Request::Events(_) => "events",
            Request::JournalVerify(_) => "journal_verify",
            Request::JournalExport { .. } => "journal_export",
            Request::JournalCheckpoint => "journal_checkpoint",
            Request::Log { .. } => "log",
            Request::Backup => "backup",
            Request::Restore(_) => "restore",
            Request::Sync => "sync",
            Request::SyncResync => "resync",
        }
    }

    /// The door it is about, if it is about one.
    pub fn door(&self) -> Option<&DoorId> {
        match self {
            Request::Door { door } | Request::DoorOrder { door, .. } => Some(door),
            Request::WiringTest { of: TestOf::Door(door) } => Some(door),
            Request::Explain(query) | Request::ExplainWhole(query) => Some(&query.door),
            Request::Status
            | Request::Doors
            | Request::DoorOrderAll(_)
            | Request::Readers
            | Request::ReaderWatch { .. }
            | Request::WiringTest { of: TestOf::Board(_) }
            | Request::Credentials { .. }
            | Request::Credential { .. }
            | Request::CredentialActivate(_)
            | Request::CredentialSuspend(_)
            | Request::ExplainEvent { .. }
            | Request::Grants(_)
            | Request::Events(_)
            | Request::JournalVerify(_)
            | Request::JournalExport { .. }
            | Request::JournalCheckpoint
            | Request::Log { .. }
            | Request::Backup
            | Request::Restore(_)
            | Request::Sync
            | Request::SyncResync => None,
        }
    }
}

/// Opening, locking and taking out of use is a technician's. What overrides everything but its own release is not: a
/// lockdown may be there for a reason that a technician does not know.
fn of_order(action: &str) -> Role {
    match DoorAction::parse(action) {
        Some(
            DoorAction::LockDown
            | DoorAction::LockDownRelease
            | DoorAction::LockOpen
            | DoorAction::LockOpenRelease,
        ) => Role::Admin,
        Some(
            DoorAction::Access
            | DoorAction::Lock
            | DoorAction::Unlock
            | DoorAction::Block
            | DoorAction::Unblock,
        ) => Role::Technician,
        // No door knows it; whoever may order nothing is not told so.
        None => Role::Technician,
    }
}

/// A name that a caller made up is not repeated in the journal.
fn of_order_named(action: &str) -> &'static str {
    DoorAction::parse(action).map_or("door_order", DoorAction::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(verb: &str, more: &serde_json::Value) -> Request {
        let mut value = json!({ "verb": verb });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn who_may_only_read_opens_nothing_and_who_opens_doors_locks_nothing_down() {
        let order = |action: &str| asked("door_order", &json!({"door": "entrance", "action": action}));
        assert_eq!(asked("status", &json!({})).needs(), Role::Observer);
        for action in ["access", "lock", "unlock", "block", "unblock", "no_such_action"] {
            assert_eq!(order(action).needs(), Role::Technician, "{action}");
        }
        for action in ["lock_down", "lock_down_release", "lock_open", "lock_open_release"] {
            assert_eq!(order(action).needs(), Role::Admin, "{action}");
            assert_eq!(asked("door_order_all", &json!({"action": action})).needs(), Role::Admin, "{action}");
        }
        assert_eq!(asked("sync_resync", &json!({})).needs(), Role::Technician);
        // Whoever sees UIDs can make cards, and a test drives strikes.
        assert_eq!(asked("reader_watch", &json!({})).needs(), Role::Technician);
        assert_eq!(asked("wiring_test", &json!({"of": {"door": "entrance"}})).needs(), Role::Technician);
        let activate =
            |over: bool| asked("credential_activate", &json!({"credential": "c-1", "override": over}));
        assert_eq!((activate(false).needs(), activate(true).needs()), (Role::Technician, Role::Admin));
    }

    #[test]
    fn the_journal_calls_an_order_by_its_name_and_repeats_none_that_was_made_up() {
        let order = |action: &str| asked("door_order_all", &json!({ "action": action }));
        assert_eq!(order("lock_down").action(), "lock_down");
        assert_eq!(order("<script>").action(), "door_order");
    }
}
