//! A command as the wire carries it: something to do now, and only now.
//!
//! Pure: the instant is passed in. What a controller makes of it is its own decision; so anything can be asked for here,
//! and what people may order by hand is checked against [`ACTIONS`].

use super::bookings::instant_text;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

/// How long a command is good for: a controller that was away for longer must not open a door for somebody who has left.
pub const GOOD_FOR: TimeDelta = TimeDelta::seconds(30);

/// All that can be ordered.
pub const ACTIONS: [&str; 10] = [
    "access",
    "lock",
    "unlock",
    "block",
    "unblock",
    "lock_down",
    "lock_down_release",
    "lock_open",
    "lock_open_release",
    RESYNC,
];

/// The one action that is no door's.
pub const RESYNC: &str = "resync";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its own, for ever.
    pub id: String,
    /// Who gives it.
    pub by: String,
    /// One of [`ACTIONS`].
    pub action: String,
    /// A door, `*`, or nothing.
    pub door: Option<String>,
    /// For how long, in seconds.
    pub for_s: Option<u64>,
    /// When it was given.
    pub issued_at: DateTime<Utc>,
    /// When it is too late.
    pub expires_at: DateTime<Utc>,
}

impl Command {
    /// Given now, good for [`GOOD_FOR`]; without an id and a name yet.
    #[must_use]
    pub fn new(action: &str, door: &str, for_s: Option<u64>, now: DateTime<Utc>) -> Command {
        Command {
            id: String::new(),
            by: String::new(),
            action: action.to_owned(),
            door: (!door.is_empty()).then(|| door.to_owned()),
            for_s,
            issued_at: now,
            expires_at: now + GOOD_FOR,
        }
    }

    /// As on the wire.
    #[must_use]
    pub fn body(&self, controller: &str) -> Value {
        let mut fields = Map::new();
        fields.insert("controller".into(), json!(controller));
        fields.insert("id".into(), json!(self.id));
        fields.insert("issued_at".into(), json!(instant_text(self.issued_at)));
        fields.insert("expires_at".into(), json!(instant_text(self.expires_at)));
        fields.insert("by".into(), json!(self.by));
        fields.insert("action".into(), json!(self.action));
        if let Some(door) = &self.door {
            fields.insert("door".into(), json!(door));
        }
        if let Some(for_s) = self.for_s {
            fields.insert("for_s".into(), json!(for_s));
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_with_just_the_fields_it_has() {
        let now = "2026-11-23T09:00:00Z".parse().unwrap();
        let command = Command::new("unlock", "entrance", Some(60), now);
        let command = Command { id: "cmd-1".into(), by: "anna@central".into(), ..command };
        let expected = json!({ "controller": "oslo-1", "id": "cmd-1", "issued_at": "2026-11-23T09:00:00Z",
                               "expires_at": "2026-11-23T09:00:30Z", "by": "anna@central", "action": "unlock",
                               "door": "entrance", "for_s": 60 });
        assert_eq!(command.body("oslo-1"), expected);
        let resync = Command::new(RESYNC, "", None, now).body("oslo-1");
        assert_eq!((resync.get("door"), resync.get("for_s")), (None, None));
    }
}
