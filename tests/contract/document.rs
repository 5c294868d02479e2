//! The document in itself: every reference leads somewhere, and every example is what it is an example of.

use serde_json::{Value, json};

use super::{Said, channel, document, faults, referred, schemas, validator, yaml};
use crate::site::chain::assert_chain;

/// Every `$ref` below a node, with the place it stands at.
fn references(node: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match node {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                found.push((place.to_owned(), reference.to_owned()));
            }
            fields.iter().for_each(|(key, value)| references(value, &format!("{place}/{key}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| references(item, &format!("{place}/{n}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The references of a file that lead nowhere. Files refer to those beside them, the document to those in `schemas/`.
fn lost(name: &str, root: &Value) -> Vec<String> {
    let mut found = Vec::new();
    references(root, "", &mut found);
    let leads = |reference: &str| {
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let file = if name == "asyncapi.yaml" { file.strip_prefix("schemas/").unwrap_or(file) } else { file };
        let target = match file {
            "" => Some(root),
            other => schemas().iter().find(|(name, _)| name == other).map(|(_, schema)| schema),
        };
        target.is_some_and(|target| target.pointer(pointer).is_some())
    };
    let lost = found.iter().filter(|(_, reference)| !leads(reference));
    lost.map(|(place, reference)| format!("{name}{place}: {reference} leads nowhere")).collect()
}

#[test]
fn every_reference_leads_somewhere() {
    let mut faults = lost("asyncapi.yaml", document());
    faults.extend(schemas().iter().flat_map(|(name, schema)| lost(name, schema)));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let broken = json!({ "a": [{ "$ref": "#/b" }, { "$ref": "schemas/none.json" }], "b": 1 });
    assert_eq!(lost("asyncapi.yaml", &broken), ["asyncapi.yaml/a/1: schemas/none.json leads nowhere"]);
}

#[test]
fn every_schema_is_a_schema_and_is_used() {
    let mut used = Vec::new();
    references(document(), "", &mut used);
    schemas().iter().for_each(|(_, schema)| references(schema, "", &mut used));
    for (name, schema) in schemas() {
        if let Err(why) = jsonschema::meta::validate(schema) {
            panic!("docs/schemas/{name}: {why}");
        }
        validator(&json!({ "$ref": format!("schemas/{name}") }))
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(used.iter().any(|(_, reference)| reference.contains(name)), "nothing refers to {name}");
    }
}

#[test]
fn every_example_is_what_it_is_an_example_of() {
    let messages = document()["components"]["messages"].as_object().unwrap();
    for (name, message) in messages {
        let schema = validator(&message["payload"]["schema"]).unwrap();
        let examples = message["examples"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let faults = faults(&schema, &example["payload"]);
            assert!(faults.is_empty(), "the example {} of {name}:\n{}", example["name"], faults.join("\n"));
        }
    }
}

#[test]
fn the_journal_among_the_examples_has_every_type_and_its_hashes_are_right() {
    let journal = &document()["components"]["messages"]["events"]["examples"][0]["payload"]["events"];
    let journal = journal.as_array().unwrap();
    assert_chain(journal);
    for kind in super::table::event_types_of_the_document() {
        assert!(journal.iter().any(|event| event["type"] == *kind), "no example of {kind}");
    }
}

#[test]
fn what_the_controller_says_is_closed_and_what_it_hears_is_open() {
    for (name, message) in document()["components"]["messages"].as_object().unwrap() {
        let schema = validator(&message["payload"]["schema"]).unwrap();
        let mut body = message["examples"][0]["payload"].clone();
        body["undocumented"] = json!(1);
        let is_heard = message["traits"][0]["$ref"] == "#/components/messageTraits/signed";
        assert_eq!(schema.is_valid(&body), is_heard, "{name}");
    }
    let heard = ["feed", "ack", "command"].map(|topic| channel(topic).unwrap().said);
    assert_eq!(heard, [Said::ByCentral; 3]);
}

#[test]
fn the_will_is_the_message_it_should_be() {
    let server = referred(document(), &document()["servers"]["broker"]["bindings"]);
    let will = &server["mqtt"]["lastWill"];
    assert_eq!(will["topic"], "latch/v1/{controller}/status");
    let status = channel("status").unwrap();
    assert_eq!((will["retain"].as_bool(), will["qos"].as_u64()), (Some(status.retained), Some(status.qos)));
    let message = will["message"].as_str().unwrap().replace("{controller}", "oslo-1");
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message, document()["components"]["messages"]["offline"]["examples"][0]["payload"]);
}

#[test]
fn yaml_that_json_has_no_word_for_is_refused() {
    assert_eq!(yaml("a: [1, 1.5, x, true, null, \"2\"]"), Ok(json!({ "a": [1, 1.5, "x", true, null, "2"] })));
    for wrong in ["a: 1\na: 2", "1: x", "a: !tag x", "a: .inf", "a: 1\n---\nb: 2", "a: [1"] {
        assert!(yaml(wrong).is_err(), "{wrong:?}");
    }
}
