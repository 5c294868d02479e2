//! The document against AsyncAPI's own JSON Schema, which knows nothing of this project (`tests/fixtures/README.md`).
//! AsyncAPI's parser checks more; `./dev asyncapi` runs it where there is a Node.js.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{document, faults};

fn official() -> &'static Validator {
    static OFFICIAL: LazyLock<Validator> = LazyLock::new(|| {
        let text = include_str!("../fixtures/asyncapi-3.0.0.json");
        let schema: Value = serde_json::from_str(text).expect("JSON");
        jsonschema::validator_for(&schema).expect("a schema with all it refers to")
    });
    &OFFICIAL
}

#[test]
fn the_document_is_asyncapi_3() {
    let faults = faults(official(), document());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Each a place in the document and what does not belong there.
#[test]
fn a_document_that_is_not_asyncapi_3_is_found() {
    let wrong = [
        ("/asyncapi", json!("2.6.0")),
        ("/info/title", Value::Null),
        ("/servers/broker/host", json!(8883)),
        ("/channels/feed/parameters/controller", json!({ "schema": { "type": "string" } })),
        ("/channels/feed/messages", json!([])),
        ("/operations/sendSync/action", json!("publish")),
        ("/operations/sendSync/channel", json!("sync")),
        ("/components/operationBindings/said/mqtt/qos", json!(3)),
        ("/components/serverBindings/session/mqtt/lastWill/retain", json!("yes")),
        ("/components/messages/sync/payload/schemaFormat", json!(7)),
    ];
    for (place, value) in wrong {
        let mut altered = document().clone();
        *altered.pointer_mut(place).unwrap_or_else(|| panic!("the document has no {place}")) = value;
        assert!(!official().is_valid(&altered), "{place} may be anything");
    }
}
