//! Records of the feed around now, with just the fields a test is about.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hardware_sim::wait::wall_now;
use serde_json::{Value, json};

/// Now and so many seconds, as the wire writes instants. Whole seconds.
pub fn from_now(seconds: i64) -> String {
    written(wall_now() + TimeDelta::seconds(seconds))
}

/// An instant as the wire writes it, its fraction dropped.
pub fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// As the wire wrote it.
#[track_caller]
pub fn instant(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no instant"));
    assert!(text.ends_with('Z'), "{text} is not in UTC with Z");
    text.parse().unwrap_or_else(|e| panic!("{text} is no instant: {e}"))
}

/// An active card.
pub fn card(id: &str, uid: &str, holder: &str) -> Value {
    json!({ "type": "credential", "id": id, "uid": uid, "holder": holder, "status": "active" })
}

/// A card of that status.
pub fn card_with_status(id: &str, uid: &str, holder: &str, status: &str) -> Value {
    json!({ "type": "credential", "id": id, "uid": uid, "holder": holder, "status": status })
}

/// A room booked from `starts` to `ends`, in seconds from now. The margins come on top.
pub fn room(id: &str, holder: &str, booking: &str, zones: &[&str], (starts, ends): (i64, i64)) -> Value {
    json!({ "type": "grant", "id": id, "kind": "room", "holder": holder, "booking": booking, "zones": zones,
            "starts_at": from_now(starts), "ends_at": from_now(ends) })
}

/// A guest in a booking, for exactly its time.
pub fn guest(id: &str, holder: &str, booking: &str, zones: &[&str], (starts, ends): (i64, i64)) -> Value {
    json!({ "type": "grant", "id": id, "kind": "guest", "holder": holder, "booking": booking, "zones": zones,
            "starts_at": from_now(starts), "ends_at": from_now(ends) })
}

/// A right without any bound.
pub fn standing(id: &str, holder: &str, zones: &[&str]) -> Value {
    json!({ "type": "grant", "id": id, "kind": "standing", "holder": holder, "zones": zones })
}

/// Adds a field, or replaces it.
pub fn with(mut record: Value, field: &str, value: impl Into<Value>) -> Value {
    record[field] = value.into();
    record
}
