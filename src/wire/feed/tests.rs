//! Messages on `feed` and `ack`, as central may write them and as it may not.

use serde_json::json;

use super::*;
use crate::domain::{Record, RecordKey};

fn read(message: &Value) -> Result<Feed, MessageError> {
    let own = ControllerId::new("oslo-1").unwrap();
    feed(message.to_string().as_bytes(), &own, &UidHasher::new(&[7; 32]))
}

fn refused(message: &Value) -> String {
    read(message).unwrap_err().to_string()
}

/// The contract's example of changes.
fn changes() -> Value {
    json!({"controller": "oslo-1", "epoch": 3, "first": 1201, "last": 1203, "changes": [
        {"put": {"type": "credential", "id": "c-81", "uid": "04A1B2C3D4E5F6", "holder": "m-17", "status": "active",
                 "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-12-31T23:00:00Z"}},
        {"put": {"type": "grant", "id": "g-9", "kind": "room", "holder": "m-17", "booking": "b-5",
                 "zones": ["perimeter", "room-4"], "starts_at": "2026-11-23T09:00:00Z",
                 "ends_at": "2026-11-23T10:00:00Z", "booked_at": "2026-11-20T12:00:00Z", "capacity": 6}},
        {"delete": {"type": "grant", "id": "g-2"}}]})
}

fn with(field: &str, value: Value) -> Value {
    let mut message = changes();
    message[field] = value;
    message
}

fn without(field: &str) -> Value {
    let mut message = changes();
    message.as_object_mut().unwrap().remove(field);
    message
}

fn snapshot(part: u64, parts: u64) -> Value {
    json!({"controller": "oslo-1", "epoch": 4, "last": 900, "snapshot": {"id": "s-77", "part": part, "parts": parts},
        "records": [{"type": "grant", "id": "g-9", "kind": "standing", "holder": "m-17", "doors": ["entrance"]}]})
}

#[test]
fn the_contracts_example_is_understood() {
    let Feed { epoch, body } = read(&changes()).unwrap();
    let Body::Changes { first, last, items } = body else { panic!("{body:?}") };
    assert_eq!((epoch, first, last), (3, 1201, 1203));
    let items: Vec<Sealed> = items.into_iter().map(Result::unwrap).collect();
    let [card, grant, gone] = items.as_slice() else { panic!("{items:?}") };
    assert!(matches!(&card.change, Change::Put(Record::Credential(c)) if c.id.as_str() == "c-81"));
    assert!(matches!(&grant.change, Change::Put(Record::Grant(g)) if g.capacity == Some(6)));
    assert!(matches!(&gone.change, Change::Delete(RecordKey::Grant(id)) if id.as_str() == "g-2"));
    assert_eq!(gone.digest, Digest::default());
}

#[test]
fn a_records_digest_is_that_of_the_json_as_received_in_any_order_of_fields() {
    let digest = |text: &str| {
        let message =
            format!(r#"{{"controller":"oslo-1","epoch":1,"first":1,"last":1,"changes":[{{"put":{text}}}]}}"#);
        let own = ControllerId::new("oslo-1").unwrap();
        let read = feed(message.as_bytes(), &own, &UidHasher::new(&[7; 32])).unwrap();
        let Body::Changes { items, .. } = read.body else { unreachable!() };
        items.into_iter().next().unwrap().unwrap().digest
    };
    let plain = digest(r#"{"type":"policy","id":"site","room":{"opens_before_s":60}}"#);
    assert_eq!(plain, digest(r#"{ "room": {"opens_before_s": 60}, "id":"s\u0069te", "type":"policy" }"#));
    let text = r#"{"id":"site","room":{"opens_before_s":60},"type":"policy"}"#;
    assert_eq!(plain, Digest::of_bytes(text.as_bytes()), "RFC 8785");
    let more = digest(r#"{"type":"policy","id":"site","room":{"opens_before_s":60},"colour":"blue"}"#);
    assert_ne!(plain, more, "fields that mean nothing here are part of it");
}

#[test]
fn no_changes_at_all_say_how_far_the_list_goes() {
    let mut message = with("changes", json!([]));
    message["last"] = json!(1200);
    let Body::Changes { first, last, items } = read(&message).unwrap().body else { unreachable!() };
    assert_eq!((first, last, items.len()), (1201, 1200, 0));
    message["first"] = json!(1);
    message["last"] = json!(0);
    assert!(read(&message).is_ok(), "of a list that has just begun");
}

#[test]
fn a_part_of_a_snapshot_is_understood() {
    let Feed { epoch, body } = read(&snapshot(1, 12)).unwrap();
    let Body::Snapshot { id, part, parts, last, items } = body else { panic!("{body:?}") };
    assert_eq!((epoch, id.as_str(), part, parts, last, items.len()), (4, "s-77", 1, 12, 900, 1));
}

#[test]
fn unknown_fields_are_ignored_and_null_counts_as_left_out() {
    assert!(read(&with("colour", json!("blue"))).is_ok());
    assert!(read(&with("snapshot", Value::Null)).is_ok());
}

#[test]
fn a_message_that_is_not_understood_says_why() {
    for (message, expected) in [
        (json!([1]), "`message` is not an object"),
        (without("controller"), "`controller` is missing"),
        (with("controller", json!(7)), "`controller` is not a text"),
        (with("controller", json!("bergen-1")), "meant for controller \"bergen-1\""),
        (without("epoch"), "`epoch` is missing"),
        (with("epoch", json!(-1)), "`epoch` is not a whole number, 0 or more"),
        (with("epoch", json!(1.5)), "`epoch` is not a whole number, 0 or more"),
        (with("epoch", json!("3")), "`epoch` is not a whole number, 0 or more"),
        (without("first"), "`first` is missing"),
        (without("last"), "`last` is missing"),
        (without("changes"), "`changes` is missing"),
        (with("changes", json!({})), "`changes` is not a list"),
        (with("last", json!(1202)), "`changes` has 3 entries, `first` and `last` ask for 2"),
        (
            with("last", json!(u64::MAX)),
            &format!("`changes` has 3 entries, `first` and `last` ask for {}", u64::MAX - 1200),
        ),
        (with("last", json!(1200)), "`changes` has 3 entries, `first` and `last` ask for 0"),
        (with("last", json!(1199)), "`first` is 1 or more, and not after `last`"),
        (with("first", json!(0)), "`first` is 1 or more, and not after `last`"),
        (with("snapshot", json!("s-77")), "`snapshot` is not an object"),
        (snapshot(0, 12), "`part` is not between 1 and `parts`"),
        (snapshot(13, 12), "`part` is not between 1 and `parts`"),
        (snapshot(1, 1 << 32), "`parts` is not a number of parts"),
    ] {
        assert_eq!(refused(&message), expected, "{message}");
    }
}

#[test]
fn a_message_has_a_limit_of_entries() {
    let many = |count: usize| {
        let changes = vec![json!({"delete": {"type": "grant", "id": "g-2"}}); count];
        json!({"controller": "oslo-1", "epoch": 3, "first": 1, "last": count, "changes": changes})
    };
    assert!(read(&many(MAX_ITEMS)).is_ok());
    assert_eq!(refused(&many(MAX_ITEMS + 1)), "20001 entries in one message; at most 20000 are taken");
    let mut part = snapshot(1, 1);
    part["records"] = json!(vec![json!({}); MAX_ITEMS + 1]);
    assert_eq!(refused(&part), "20001 entries in one message; at most 20000 are taken");
}

#[test]
fn what_is_no_json_is_refused_without_quoting_it() {
    let own = ControllerId::new("oslo-1").unwrap();
    for bytes in [b"{\"uid\":04A1B2C3}".as_slice(), b"", b"\xff\xfe", b"{}{}", b"{\"controller\":\"\xff\"}"] {
        let error = feed(bytes, &own, &UidHasher::new(&[7; 32])).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, MessageError::NotJson(_)), "{said}");
        assert!(said.starts_with("not JSON in UTF-8: line ") && !said.contains("04A1"), "{said}");
    }
}

#[test]
fn an_entry_that_is_refused_does_not_take_the_others_with_it() {
    let changes = json!([
        {"put": {"type": "parking", "id": "p-1"}},
        {"delete": {"type": "grant", "id": "g-2"}},
        {"put": {"type": "grant", "id": "g-1"}, "delete": {"type": "grant", "id": "g-1"}},
        {"move": {}},
        "change",
        {"delete": {"type": "grant", "id": "a/b"}},
        {"delete": {"type": "policy", "id": "home"}},
    ]);
    let message = json!({"controller": "oslo-1", "epoch": 3, "first": 1, "last": 7, "changes": changes});
    let Body::Changes { items, .. } = read(&message).unwrap().body else { unreachable!() };
    let said: Vec<String> =
        items.into_iter().map(|item| item.map_or_else(|e| e.to_string(), |_| "taken".into())).collect();
    assert_eq!(
        said,
        [
            "`type` = \"parking\" is not one of credential, grant, policy",
            "taken",
            "a change is either a `put` or a `delete`",
            "a change is either a `put` or a `delete`",
            "`change` is not an object",
            "`id`: an id is made of A-Z a-z 0-9 . _ : -, not '/'",
            "`id` = \"home\" is not one of site",
        ]
    );
}

#[test]
fn an_acknowledgement_is_understood_or_says_why_not() {
    let own = ControllerId::new("oslo-1").unwrap();
    let read = |text: &str| ack(text.as_bytes(), &own).map_err(|e| e.to_string());
    let good = read(r#"{"controller":"oslo-1","journal":"6f","through":501}"#);
    assert_eq!(good, Ok(Ack { journal: "6f".into(), through: 501 }));
    for (text, expected) in [
        (r#"{"controller":"bergen-1","journal":"6f","through":501}"#, "meant for controller \"bergen-1\""),
        (r#"{"controller":"oslo-1","through":501}"#, "`journal` is missing"),
        (r#"{"controller":"oslo-1","journal":"6f"}"#, "`through` is missing"),
        (
            r#"{"controller":"oslo-1","journal":"6f","through":-1}"#,
            "`through` is not a whole number, 0 or more",
        ),
    ] {
        assert_eq!(read(text), Err(expected.into()));
    }
}
