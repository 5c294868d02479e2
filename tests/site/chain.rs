//! The two hashes of the wire, written once more from the contract alone: no code of the daemon or of the simulator.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// RFC 8785 for what this wire carries: texts, whole numbers, booleans, lists and objects with ASCII keys.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            let field = |(key, value): &(&String, &Value)| {
                format!("{}:{}", Value::from(key.as_str()), canonical(value))
            };
            format!("{{{}}}", sorted.iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Number(number) => {
            assert!(number.is_i64() || number.is_u64(), "{number} is no whole number");
            number.to_string()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

fn sha256(value: &Value) -> [u8; 32] {
    Sha256::digest(canonical(value)).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// The digest over a set of records, as `sync` must carry it.
pub fn digest<'a>(records: impl IntoIterator<Item = &'a Value>) -> String {
    let mut sum = [0_u8; 32];
    for record in records {
        for (kept, new) in sum.iter_mut().zip(sha256(record)) {
            *kept ^= new;
        }
    }
    hex(&sum)
}

/// Fails unless these are all the events from the first on, each chained to the one before.
#[track_caller]
pub fn assert_chain(events: &[Value]) {
    let mut prev = "0".repeat(64);
    for (place, event) in events.iter().enumerate() {
        let seq = event["seq"].as_u64().expect("every event has a number");
        assert_eq!(seq, place as u64 + 1, "the events are not all there, once each, in order");
        assert_eq!(event["prev"], prev, "event {seq} does not continue the one before it");
        let mut hashed = event.clone();
        hashed.as_object_mut().expect("an object").remove("hash");
        prev = hex(&sha256(&hashed));
        assert_eq!(event["hash"], prev, "event {seq} does not have the hash it says");
    }
}

#[test]
fn the_hash_of_a_record_is_that_of_sorted_json_without_blanks() {
    let record = serde_json::json!({ "type": "grant", "id": "g-1" });
    // printf '{"id":"g-1","type":"grant"}' | sha256sum
    assert_eq!(digest([&record]), "1eb85218b68f2685e063ddd288d7de130e56e816211ced34d3046ad3f3f7206d");
}
