//! A large site's records, written once, and the messages that carry them.

use serde_json::{Value, json};

use super::{
    daemon::{CONTROLLER, records},
    taps::CARDS,
};

/// The card that single changes are about.
pub const CHANGED_UID: &str = "04C4A46E000001";
const EPOCH: u64 = 1;

/// Each record as a text, in an order of no meaning.
pub struct Records(Vec<String>);

impl Records {
    /// A fifth of them cards, the rest bookings, and among them those of the cards that are tapped.
    pub fn new(count: usize) -> Self {
        let mut all: Vec<Value> = (0..CARDS).flat_map(records).collect();
        all.push(card("c-changed", CHANGED_UID, "m-changed"));
        let bulk = count - all.len();
        let cards = bulk / 5;
        let uid = |n: usize| format!("04{n:012X}");
        all.extend((0..cards).map(|n| card(&format!("c-bulk-{n}"), &uid(n), &format!("m-bulk-{n}"))));
        all.extend((0..bulk - cards).map(|n| booking(n, n % cards)));
        let mut texts: Vec<String> = all.iter().map(Value::to_string).collect();
        shuffle(&mut texts);
        Records(texts)
    }

    /// The messages of a snapshot as of that change.
    pub fn snapshot(&self, last: u64, part_size: usize) -> Vec<String> {
        let parts = self.0.len().div_ceil(part_size);
        let message = |(n, records): (usize, &[String])| {
            format!(
                r#"{{"controller":"{CONTROLLER}","epoch":{EPOCH},"last":{last},"snapshot":{{"id":"s-{last}","part":{},"parts":{parts}}},"records":[{}]}}"#,
                n + 1,
                records.join(",")
            )
        };
        self.0.chunks(part_size).enumerate().map(message).collect()
    }
}

/// A message with one change: the right to go through the entrance, or its end.
pub fn change(number: u64, is_granted: bool) -> String {
    let grant = json!({ "type": "grant", "id": "g-changed", "kind": "standing", "holder": "m-changed",
                        "zones": ["perimeter"] });
    let gone = json!({ "type": "grant", "id": "g-changed" });
    let change = if is_granted { json!({ "put": grant }) } else { json!({ "delete": gone }) };
    json!({ "controller": CONTROLLER, "epoch": EPOCH, "first": number, "last": number, "changes": [change] })
        .to_string()
}

fn card(id: &str, uid: &str, holder: &str) -> Value {
    json!({ "type": "credential", "id": id, "uid": uid, "holder": holder, "status": "active",
            "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-12-31T23:00:00Z" })
}

fn booking(n: usize, holder: usize) -> Value {
    let day = format!("2026-{:02}-{:02}", 1 + n / 28 % 12, 1 + n % 28);
    json!({ "type": "grant", "id": format!("g-bulk-{n}"), "kind": "room", "holder": format!("m-bulk-{holder}"),
            "booking": format!("b-{n}"), "zones": ["perimeter", format!("room-{}", n % 40)], "capacity": 6,
            "starts_at": format!("{day}T09:00:00Z"), "ends_at": format!("{day}T10:00:00Z"),
            "booked_at": "2025-12-20T12:00:00Z" })
}

/// Fisher and Yates, by a fixed lot: the wire promises no order.
fn shuffle(texts: &mut [String]) {
    let mut lot = 1_u64;
    for end in (1..texts.len()).rev() {
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        texts.swap(end, (lot >> 33) as usize % (end + 1));
    }
}
