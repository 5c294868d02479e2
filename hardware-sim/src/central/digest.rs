//! The two hashes of the wire: an event's link in the journal's chain, and the digest over a set of records.
//!
//! Written from `wire.md` alone and apart from the daemon's, so that a mistake in either is seen as a difference.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The `prev` of a journal's first event.
pub const FIRST_PREV: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Bytewise XOR of the SHA-256 of every record's canonical JSON. Adding and removing a record are the same step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Adds a record, or takes it out again.
    pub fn toggle(&mut self, record: &Value) {
        for (kept, new) in self.0.iter_mut().zip(sha256_of_canonical(record)) {
            *kept ^= new;
        }
    }

    /// Lower-case hex, as `sync` carries it.
    #[must_use]
    pub fn hex(&self) -> String {
        to_hex(&self.0)
    }
}

/// What `hash` must be for this event: SHA-256 over its canonical JSON with `prev` and without `hash`.
#[must_use]
pub fn event_hash(event: &Value) -> String {
    let mut hashed = event.clone();
    if let Some(fields) = hashed.as_object_mut() {
        fields.remove("hash");
    }
    to_hex(&sha256_of_canonical(&hashed))
}

fn sha256_of_canonical(value: &Value) -> [u8; 32] {
    // A parsed JSON value always has a canonical form; were it ever not so, the empty text differs from every other
    // side's and shows as a wrong hash, which is the alarm wanted.
    let canonical = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    Sha256::digest(&canonical).into()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_of_nothing_is_zeros() {
        assert_eq!(Digest::default().hex(), FIRST_PREV);
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_records_or_of_their_fields() {
        let (a, b) = (json!({"type":"grant","id":"g-1"}), json!({"type":"grant","id":"g-2"}));
        let mut one = Digest::default();
        one.toggle(&a);
        one.toggle(&b);
        let mut other = Digest::default();
        other.toggle(&json!({"id":"g-2","type":"grant"}));
        other.toggle(&json!({"id":"g-1","type":"grant"}));
        assert_eq!(one, other);
        other.toggle(&b);
        assert_ne!(one, other);
    }

    #[test]
    fn the_digest_of_one_record_is_the_sha256_of_its_canonical_text() {
        let mut digest = Digest::default();
        digest.toggle(&json!({"type":"grant","id":"g-1"}));
        // printf '{"id":"g-1","type":"grant"}' | sha256sum
        assert_eq!(digest.hex(), "1eb85218b68f2685e063ddd288d7de130e56e816211ced34d3046ad3f3f7206d");
    }

    #[test]
    fn an_events_hash_covers_prev_but_not_itself() {
        let event = json!({"seq":1,"prev":FIRST_PREV,"hash":"whatever"});
        let mut moved = event.clone();
        moved["prev"] = json!("11");
        assert_eq!(event_hash(&event), event_hash(&json!({"prev":FIRST_PREV,"seq":1})));
        assert_ne!(event_hash(&event), event_hash(&moved));
    }
}
