//! Records, good ones to the last field, and bad ones each with the field that is wrong.

use serde_json::json;

use super::*;
use crate::domain::At;

fn read(value: &Value) -> Result<Record, String> {
    record(value, &UidHasher::new(&[7; 32])).map_err(|e| e.to_string())
}

fn credential() -> Value {
    json!({"type": "credential", "id": "c-81", "uid": "04A1B2C3D4E5F6", "holder": "m-17", "status": "active"})
}

fn room() -> Value {
    json!({"type": "grant", "id": "g-9", "kind": "room", "holder": "m-17", "doors": ["room-4"],
        "starts_at": "2026-11-23T09:00:00Z", "ends_at": "2026-11-23T10:00:00Z"})
}

fn standing() -> Value {
    json!({"type": "grant", "id": "g-9", "kind": "standing", "holder": "m-17", "zones": ["perimeter"]})
}

fn policy() -> Value {
    json!({"type": "policy", "id": "site"})
}

/// What a record is refused for when these fields are put in (or, as null, left out).
fn refused(mut record: Value, changes: Value) -> String {
    for (field, value) in changes.as_object().unwrap() {
        record[field] = value.clone();
    }
    read(&record).map_or_else(|error| error, |_| "taken".into())
}

const INSTANT: &str = "is not an instant: RFC 3339 in UTC, such as 2026-11-23T09:00:00Z";

#[test]
fn a_credential_is_read_to_its_last_field() {
    let mut full = credential();
    full["valid_from"] = "2026-01-01T00:00:00Z".into();
    full["valid_until"] = "2026-12-31T23:00:00Z".into();
    full["label"] = "blue".into();
    full["extended_time"] = true.into();
    let Record::Credential(c) = read(&full).unwrap() else { panic!() };
    let uid = UidHasher::new(&[7; 32]).hash(&Uid::parse("04A1B2C3D4E5F6").unwrap());
    assert_eq!((c.id.as_str(), c.holder.as_str(), c.status), ("c-81", "m-17", Status::Active));
    assert_eq!((c.uid, c.label.as_deref(), c.extended_time), (Some(uid), Some("blue"), true));
    let at = |text| At::parse(text).ok();
    assert_eq!(c.valid_from, at("2026-01-01T00:00:00Z"));
    assert_eq!(c.valid_until, at("2026-12-31T23:00:00Z"));
    let Record::Credential(c) = read(&credential()).unwrap() else { panic!() };
    assert_eq!((c.valid_from, c.valid_until, c.label, c.extended_time), (None, None, None, false));
}

#[test]
fn each_status_is_read_by_its_name() {
    for (name, status) in [
        ("issued", Status::Issued),
        ("active", Status::Active),
        ("suspended", Status::Suspended),
        ("lost", Status::Lost),
        ("revoked", Status::Revoked),
    ] {
        let mut card = credential();
        card["status"] = name.into();
        assert!(matches!(read(&card).unwrap(), Record::Credential(c) if c.status == status));
    }
}

#[test]
fn a_credential_is_refused_with_the_field_that_is_wrong() {
    let uid = "`uid` is not 4 to 10 bytes in hexadecimal";
    for (change, expected) in [
        (json!({"id": null}), "`id` is missing"),
        (json!({"id": ""}), "`id`: an id has 1 to 64 characters, this one has 0"),
        (json!({"id": "x".repeat(65)}), "`id`: an id has 1 to 64 characters, this one has 65"),
        (json!({"uid": null}), "`uid` is missing"),
        (json!({"uid": 7}), "`uid` is not a text"),
        (json!({"uid": "04A1B2"}), uid),
        (json!({"uid": "04A1B2C"}), uid),
        (json!({"uid": "04:A1:B2:C3"}), uid),
        (json!({"uid": "04A1B2C3D4E5F6A7B8C9D0"}), uid),
        (json!({"holder": null}), "`holder` is missing"),
        (json!({"holder": "m 17"}), "`holder`: an id is made of A-Z a-z 0-9 . _ : -, not ' '"),
        (
            json!({"status": "stolen"}),
            "`status` = \"stolen\" is not one of issued, active, suspended, lost, revoked",
        ),
        (json!({"valid_from": "2026-01-01"}), &format!("`valid_from` {INSTANT}")),
        (json!({"valid_until": "2026-01-01T00:00:00+01:00"}), &format!("`valid_until` {INSTANT}")),
        (json!({"valid_until": 1_700_000_000}), &format!("`valid_until` {INSTANT}")),
        (json!({"label": 7}), "`label` is not a text"),
        (json!({"label": "x".repeat(257)}), "`label` is not a text of at most 256 bytes"),
        (json!({"extended_time": "yes"}), "`extended_time` is not true or false"),
        (json!({"type": null}), "`type` is missing"),
    ] {
        let said = refused(credential(), change.clone());
        assert_eq!(said, expected, "{change}");
        assert!(!said.contains("04A1") && !said.contains("04:A1"), "a refusal tells a UID");
    }
}

#[test]
fn a_grant_is_read_to_its_last_field() {
    let mut full = standing();
    full["doors"] = json!(["entrance"]);
    full["starts_at"] = "2026-11-23T09:00:00Z".into();
    full["not_before"] = "2026-11-23T09:10:00Z".into();
    full["not_after"] = "2026-11-23T09:20:00Z".into();
    full["booked_at"] = "2026-11-20T12:00:00Z".into();
    full["override_lockdown"] = true.into();
    full["schedule"] = json!([{"days": ["mon", "sun"], "from": "22:00", "to": "24:00"}]);
    let Record::Grant(g) = read(&full).unwrap() else { panic!() };
    assert_eq!((g.doors.len(), g.zones.len(), g.override_lockdown), (1, 1, true));
    let at = |text| At::parse(text).ok();
    assert_eq!((g.starts_at, g.ends_at), (at("2026-11-23T09:00:00Z"), None));
    assert_eq!((g.not_before, g.not_after), (at("2026-11-23T09:10:00Z"), at("2026-11-23T09:20:00Z")));
    assert_eq!(g.booked_at, at("2026-11-20T12:00:00Z"));
    let interval = Interval { days: 0b100_0001, from_min: 22 * 60, to_min: 24 * 60 };
    assert_eq!(g.schedule, Some(Schedule(vec![interval])));
}

#[test]
fn a_grant_is_refused_with_the_field_that_is_wrong() {
    let least = "`capacity` is not a whole number, 1 or more";
    for (grant, change, expected) in [
        (room(), json!({"kind": "hotel"}), "`kind` = \"hotel\" is not one of room, desk, guest, standing"),
        (room(), json!({"holder": null}), "`holder` is missing"),
        (room(), json!({"doors": null}), "a grant lists at least one door or zone"),
        (room(), json!({"doors": []}), "a grant lists at least one door or zone"),
        (room(), json!({"doors": "room-4"}), "`doors` is not a list"),
        (room(), json!({"doors": [4]}), "`doors` is not a list of ids"),
        (room(), json!({"zones": ["a/b"]}), "`zones`: an id is made of A-Z a-z 0-9 . _ : -, not '/'"),
        (room(), json!({"starts_at": null}), "`starts_at` is missing"),
        (room(), json!({"ends_at": null}), "`ends_at` is missing"),
        (room(), json!({"kind": "desk", "ends_at": null}), "`ends_at` is missing"),
        (room(), json!({"ends_at": "2026-11-23T09:00:00Z"}), "`starts_at` is not before `ends_at`"),
        (
            standing(),
            json!({"starts_at": "2026-11-23T09:00:01Z", "ends_at": "2026-11-23T09:00:00Z"}),
            "`starts_at` is not before `ends_at`",
        ),
        (room(), json!({"not_before": "soon"}), &format!("`not_before` {INSTANT}")),
        (room(), json!({"not_after": "late"}), &format!("`not_after` {INSTANT}")),
        (room(), json!({"booked_at": "once"}), &format!("`booked_at` {INSTANT}")),
        (room(), json!({"kind": "guest"}), "`booking` is missing"),
        (room(), json!({"booking": "b 5"}), "`booking`: an id is made of A-Z a-z 0-9 . _ : -, not ' '"),
        (room(), json!({"capacity": 0}), least),
        (room(), json!({"capacity": 1.5}), least),
        (room(), json!({"capacity": u64::from(u32::MAX) + 1}), least),
        (room(), json!({"schedule": []}), "only a standing grant has a `schedule`"),
        (standing(), json!({"override_lockdown": 1}), "`override_lockdown` is not true or false"),
        (standing(), json!({"capacity": 1}), "taken"),
        (room(), json!({"kind": "guest", "booking": "b-5"}), "taken"),
    ] {
        assert_eq!(refused(grant, change.clone()), expected, "{change}");
    }
}

#[test]
fn a_schedule_is_refused_with_what_is_wrong_in_it() {
    let interval = |change: Value| {
        let mut interval = json!({"days": ["mon"], "from": "07:00", "to": "19:00"});
        for (field, value) in change.as_object().unwrap() {
            interval[field] = value.clone();
        }
        refused(standing(), json!({"schedule": [interval]}))
    };
    let from = "`from` is not a wall time, 00:00 to 24:00";
    for (change, expected) in [
        (json!({"days": null}), "`days` is missing"),
        (json!({"days": "mon"}), "`days` is not a list"),
        (json!({"days": ["Mon"]}), "`days` = \"Mon\" is not one of mon, tue, wed, thu, fri, sat, sun"),
        (json!({"days": [1]}), "`days` = \"\" is not one of mon, tue, wed, thu, fri, sat, sun"),
        (json!({"from": null}), "`from` is missing"),
        (json!({"from": "24:00"}), from),
        (json!({"from": "7:00"}), from),
        (json!({"from": "07:60"}), from),
        (json!({"from": "07.00"}), from),
        (json!({"from": "+7:00"}), from),
        (json!({"to": "24:01"}), "`to` is not a wall time, 00:00 to 24:00"),
        (json!({"to": "24:00"}), "taken"),
        (json!({"from": "00:00", "to": "00:00"}), "taken"),
    ] {
        assert_eq!(interval(change.clone()), expected, "{change}");
    }
    assert_eq!(refused(standing(), json!({"schedule": {}})), "`schedule` is not a list of intervals");
    assert_eq!(refused(standing(), json!({"schedule": ["mon"]})), "`schedule` is not an object");
}

#[test]
fn a_policy_is_read_over_the_defaults() {
    let mut full = policy();
    full["room"] = json!({"closes_after_s": 0});
    full["guest"] = json!({"min_notice_s": 86400});
    full["exceptions"] = json!([{"date": "2026-12-24", "name": "Julaften", "opening_hours": [["09:00", "12:00"]],
        "staffed_hours": []}]);
    let Record::Policy(p) = read(&full).unwrap() else { panic!() };
    assert_eq!((p.room.opens_before_s, p.room.closes_after_s, p.desk), (1800, 0, Margins::DESK));
    assert_eq!((p.guest.opens_before_s, p.guest.min_notice_s), (0, 86_400));
    let exception = p.exceptions.values().next().unwrap();
    assert_eq!(exception.name.as_deref(), Some("Julaften"));
    assert_eq!(exception.opening_hours.as_deref(), Some([(540, 720)].as_slice()));
    assert_eq!(exception.staffed_hours.as_deref(), Some([].as_slice()));
    assert!(p.opening_hours.is_none() && p.staffed_hours.is_none());
}

#[test]
fn a_policy_is_refused_with_the_field_that_is_wrong() {
    let pairs = "`opening_hours` is not a list of pairs of wall times";
    let seconds = "is not a number of seconds, 0 to 86400";
    let day = |exception: Value| json!({ "exceptions": [exception] });
    for (change, expected) in [
        (json!({"id": "home"}), "`id` = \"home\" is not one of site"),
        (json!({"room": 7}), "`room` is not an object"),
        (json!({"room": {"opens_before_s": -1}}), &format!("`opens_before_s` {seconds}")),
        (json!({"desk": {"closes_after_s": 86_401}}), &format!("`closes_after_s` {seconds}")),
        (json!({"guest": {"min_notice_s": "1"}}), &format!("`min_notice_s` {seconds}")),
        (json!({"opening_hours": "always"}), "`opening_hours` is not a list of intervals"),
        (json!({"staffed_hours": 9}), "`staffed_hours` is not a list of intervals"),
        (json!({"exceptions": {}}), "`exceptions` is not a list"),
        (day(json!("Julaften")), "`exceptions` is not an object"),
        (day(json!({})), "`date` is missing"),
        (day(json!({"date": "24.12.2026"})), "`date` is not a date such as 2026-12-24"),
        (day(json!({"date": "2026-12-24", "name": 1})), "`name` is not a text"),
        (day(json!({"date": "2026-12-24", "opening_hours": ["09:00"]})), pairs),
        (day(json!({"date": "2026-12-24", "opening_hours": [["09:00"]]})), pairs),
        (day(json!({"date": "2026-12-24", "opening_hours": [["09:00", "25:00"]]})), pairs),
    ] {
        assert_eq!(refused(policy(), change.clone()), expected, "{change}");
    }
}
