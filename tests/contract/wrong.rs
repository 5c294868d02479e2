//! Messages that are wrong in one thing each: for every rule that a schema can say, one that breaks it is refused.

use serde_json::{Value, json};

use super::{channel, document};

/// An example of the document, by message.
fn example(message: &str) -> Value {
    document()["components"]["messages"][message]["examples"][0]["payload"].clone()
}

/// The first event of that type among the examples.
fn event(kind: &str) -> Value {
    let events = example("events")["events"].as_array().unwrap().clone();
    events.into_iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no example of {kind}"))
}

fn in_events(event: &Value) -> Value {
    let mut message = example("events");
    message["events"] = json!([event]);
    message
}

fn put(record: &Value) -> Value {
    json!({ "controller": "oslo-1", "epoch": 3, "first": 1, "last": 1, "changes": [{ "put": record }] })
}

/// A value for a place to be set to, or its being left out.
type Change = (&'static str, Option<Value>);

fn set(place: &'static str, value: impl Into<Value>) -> Change {
    (place, Some(value.into()))
}

fn without(place: &'static str) -> Change {
    (place, None)
}

fn changed(body: &Value, (place, value): &Change) -> Value {
    let mut body = body.clone();
    let (parent, key) = place.rsplit_once('/').unwrap_or_else(|| panic!("{place} is no place"));
    let object = body.pointer_mut(parent).and_then(Value::as_object_mut);
    let object = object.unwrap_or_else(|| panic!("there is no {parent:?}"));
    match value {
        Some(value) => object.insert(key.to_owned(), value.clone()),
        None => Some(object.remove(key).unwrap_or_else(|| panic!("there is no {place} to leave out"))),
    };
    body
}

/// Right as it is, and wrong with each of the changes.
#[track_caller]
fn refuses(topic: &str, right: &Value, changes: impl IntoIterator<Item = Change>) {
    refuses_in(topic, Value::clone, right, changes);
}

/// The same for what is a part of a message.
#[track_caller]
fn refuses_in(
    topic: &str,
    message: impl Fn(&Value) -> Value,
    right: &Value,
    changes: impl IntoIterator<Item = Change>,
) {
    let faults = |part: &Value| channel(topic).unwrap().faults(&message(part));
    assert_eq!(faults(right), Vec::<String>::new(), "{topic}: {right:#}");
    for change in changes {
        let wrong = changed(right, &change);
        let value = change.1.map_or("left out".to_owned(), |value| value.to_string());
        assert!(!faults(&wrong).is_empty(), "{topic}: {} {value} is taken in {right}", change.0);
    }
}

#[track_caller]
fn refuses_record(record: &Value, changes: impl IntoIterator<Item = Change>) {
    refuses_in("feed", put, record, changes);
}

#[track_caller]
fn refuses_event(kind: &str, changes: impl IntoIterator<Item = Change>) {
    refuses_in("events", in_events, &event(kind), changes);
}

#[test]
fn every_required_field_is_missed() {
    for (topic, message) in [
        ("feed", "feedChanges"),
        ("feed", "feedSnapshot"),
        ("ack", "ack"),
        ("sync", "sync"),
        ("events", "events"),
        ("status", "online"),
        ("status", "offline"),
        ("door/entrance", "door"),
    ] {
        let right = example(message);
        // What was added later: a controller of before does not say how its store is, and a journal without an event has
        // no signature under it.
        let added = ["store", "checkpoint"];
        for field in right.as_object().unwrap().keys().filter(|field| !added.contains(&field.as_str())) {
            let mut wrong = example(message);
            wrong.as_object_mut().unwrap().remove(field);
            assert!(!channel(topic).unwrap().faults(&wrong).is_empty(), "{message} without {field} is taken");
        }
    }
}

#[test]
fn a_wrong_feed_is_refused() {
    refuses(
        "feed",
        &example("feedChanges"),
        [
            set("/controller", "Oslo 1"),
            set("/controller", "x".repeat(65)),
            set("/epoch", -1),
            set("/epoch", "3"),
            set("/first", 0),
            set("/last", -1),
            set("/changes", json!({})),
            set("/changes", json!([{}])),
            set("/changes", json!([{ "put": {} }])),
            set(
                "/changes",
                json!([{ "delete": { "type": "grant", "id": "g-2" }, "put": example("feedSnapshot")["records"][0] }]),
            ),
            set("/changes", json!([{ "delete": { "type": "lift", "id": "g-2" } }])),
            set("/changes", json!([{ "delete": { "type": "policy", "id": "other" } }])),
            set("/snapshot", json!({ "id": "s-1", "part": 1, "parts": 1 })),
        ],
    );
    refuses(
        "feed",
        &example("feedSnapshot"),
        [
            set("/last", -1),
            set("/snapshot/part", 0),
            set("/snapshot/parts", 0),
            set("/snapshot/id", ""),
            without("/snapshot/id"),
            set("/records", json!([{ "type": "lift", "id": "l-1" }])),
        ],
    );
}

#[test]
fn a_wrong_record_is_refused() {
    let credential = example("feedChanges")["changes"][0]["put"].clone();
    refuses_record(
        &credential,
        [
            without("/id"),
            without("/uid"),
            without("/holder"),
            without("/status"),
            set("/id", "with space"),
            set("/id", "x".repeat(65)),
            set("/uid", "04A1B2"),
            set("/uid", "04a1b2c3"),
            set("/uid", "04A1B2C3D"),
            set("/uid", "04:A1:B2:C3"),
            set("/uid", "0".repeat(22)),
            set("/status", "sleepy"),
            set("/valid_from", "2026-01-01T01:00:00+01:00"),
            set("/valid_from", "2026-02-30T00:00:00Z"),
            set("/valid_until", Value::Null),
            set("/label", "x".repeat(257)),
            set("/extended_time", "yes"),
        ],
    );
    let grant = example("feedChanges")["changes"][1]["put"].clone();
    refuses_record(
        &grant,
        [
            without("/kind"),
            without("/holder"),
            without("/zones"),
            without("/starts_at"),
            without("/ends_at"),
            set("/kind", "monthly"),
            set("/zones", json!([])),
            set("/zones", "perimeter"),
            set("/doors", json!(["a/b"])),
            set("/booked_at", 1_700_000_000),
            set("/not_before", "soon"),
            set("/not_after", "2026-11-23"),
            set("/capacity", 0),
            set("/schedule", json!([])),
            set("/override_lockdown", 1),
        ],
    );
    let guest = example("feedSnapshot")["records"][2].clone();
    refuses_record(&guest, [without("/booking")]);
}

#[test]
fn a_wrong_schedule_or_policy_is_refused() {
    let standing = example("feedSnapshot")["records"][3].clone();
    let interval = |days: Value, from: &str, to: &str| json!([{ "days": days, "from": from, "to": to }]);
    refuses_record(
        &standing,
        [
            set("/schedule", interval(json!(["fredag"]), "22:00", "06:00")),
            set("/schedule", interval(json!("fri"), "22:00", "06:00")),
            set("/schedule", interval(json!(["fri"]), "24:00", "06:00")),
            set("/schedule", interval(json!(["fri"]), "22:00", "24:01")),
            set("/schedule", interval(json!(["fri"]), "9:00", "17:00")),
            set("/schedule", json!([{ "days": ["fri"], "from": "09:00" }])),
        ],
    );
    let policy = example("feedSnapshot")["records"][0].clone();
    refuses_record(
        &policy,
        [
            set("/id", "oslo"),
            set("/room/opens_before_s", 86_401),
            set("/room/closes_after_s", -1),
            set("/room/min_notice_s", 0.5),
            set("/opening_hours", json!({})),
            set("/exceptions", json!([{ "name": "Julaften" }])),
            set("/exceptions", json!([{ "date": "24.12.2026" }])),
            set("/exceptions", json!([{ "date": "2026-12-24", "opening_hours": [["09:00"]] }])),
            set(
                "/exceptions",
                json!([{ "date": "2026-12-24", "staffed_hours": [["09:00", "12:00", "13:00"]] }]),
            ),
        ],
    );
}

#[test]
fn a_wrong_ack_or_command_is_refused() {
    refuses("ack", &example("ack"), [set("/through", 0), set("/through", 1.5), set("/journal", "6f")]);
    refuses(
        "command",
        &example("command"),
        [
            without("/controller"),
            without("/id"),
            without("/issued_at"),
            without("/expires_at"),
            without("/by"),
            without("/action"),
            without("/door"),
            set("/action", "open"),
            set("/door", "**"),
            set("/for_s", 600),
            set("/expires_at", "never"),
        ],
    );
}

#[test]
fn only_what_can_end_by_itself_takes_a_time() {
    let unlock = document()["components"]["messages"]["command"]["examples"][1]["payload"].clone();
    refuses("command", &unlock, [set("/for_s", 0), set("/for_s", 1.5), set("/action", "lock_down")]);
}

#[test]
fn what_the_controller_must_not_say_is_refused() {
    refuses(
        "sync",
        &example("sync"),
        [
            set("/want", "everything"),
            set("/digest", "C0FF"),
            set("/digest", "C".repeat(64)),
            set("/rejected", -1),
            set("/records/policies", 1),
            without("/records/grants"),
        ],
    );
    refuses(
        "status",
        &example("online"),
        [
            set("/online", false),
            set("/clock", "holdover"),
            set("/since", Value::Null),
            set("/journal", "6F0C2D4E-8A51-4B7E-9C3D-2F1E0A9B8C7D"),
        ],
    );
    refuses("status", &example("offline"), [set("/online", true), set("/since", "2026-11-23T08:29:58Z")]);
    refuses(
        "door/entrance",
        &example("door"),
        [set("/mode", "open"), set("/lock", "locked"), set("/contact", true), set("/alarm", Value::Null)],
    );
    refuses(
        "result",
        &example("result"),
        [without("/id"), without("/outcome"), set("/outcome", "refused"), set("/reason", "")],
    );
    let refused = document()["components"]["messages"]["result"]["examples"][2]["payload"].clone();
    refuses("result", &refused, [without("/reason"), set("/reason", "It has expired.")]);
    let many = vec![event("rex.pressed"); 501];
    refuses("events", &example("events"), [set("/events", json!([])), set("/events", many)]);
}

#[test]
fn a_wrong_event_is_refused() {
    refuses_event(
        "access.granted",
        [
            without("/seq"),
            without("/at"),
            without("/type"),
            without("/prev"),
            without("/hash"),
            without("/grant"),
            set("/seq", 0),
            set("/at", "2026-11-23T08:31:07.412+00:00"),
            set("/type", "access.pondered"),
            set("/hash", "51fe"),
            set("/clock", "trusted"),
            set("/late", false),
            set("/direction", "through"),
            set("/reason", "too_early"),
            set("/uid", "04A1B2C3D4E5F6"),
            set("/uid_tag", "9f3a01c2"),
        ],
    );
    refuses_event(
        "access.denied",
        [
            without("/uid_tag"),
            set("/uid_tag", "04A1B2C3D4E5F6"),
            set("/reason", "in_window"),
            set("/reason", "no_grant"),
            set("/holder", "m-1"),
        ],
    );
    // A field too many in every type, and one too few of each row.
    for kind in super::table::event_types_of_the_document() {
        refuses_event(kind, [set("/undocumented", "x")]);
    }
    for (kind, field) in [
        ("access.taken", "/of"),
        ("access.not_taken", "/door"),
        ("guest.arrived", "/host"),
        ("door.forced", "/door"),
        ("door.mode_changed", "/by"),
        ("rex.pressed", "/door"),
        ("fire.raised", "/doors"),
        ("door.lock_fault", "/detail"),
        ("credential.activated", "/override"),
        ("operator.command", "/outcome"),
        ("command.executed", "/action"),
        ("command.rejected", "/reason"),
        ("command.executed", "/by"),
        ("reader.tamper", "/reader"),
        ("board.lost", "/board"),
        ("sync.gap", "/applied"),
        ("clock.trusted", "/detail"),
        ("store.recovered", "/count"),
        ("controller.started", "/version"),
    ] {
        refuses_event(kind, [without(field)]);
    }
}

#[test]
fn a_fault_names_its_place_and_none_of_the_values() {
    let mut message = example("feedChanges");
    message["changes"][0]["put"]["uid"] = json!("04c5b6a7d8e9fa");
    let faults = channel("feed").unwrap().faults(&message);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("/changes/0/put/uid: value does not match"), "{faults:?}");
    let mut message = example("events");
    message["events"][7]["colour"] = json!("blue");
    let faults = channel("events").unwrap().faults(&message);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("/events/7: ") && faults[0].contains("colour"), "{faults:?}");
}
