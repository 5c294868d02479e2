//! The document beside the contract it is made from, `docs/contract/wire.md`: the same topics, events, fields and
//! examples, so that neither changes alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::{Said, channel, document, referred, schemas, validator};

/// What every event carries, and what it may.
const OF_EVERY_EVENT: [&str; 7] = ["seq", "at", "type", "prev", "hash", "clock", "late"];

/// Fields the daemon adds to a row of the table.
const BESIDE: [(&str, &[&str]); 6] = [
    ("credential.activated", &["holder", "epoch", "applied"]),
    ("credential.suspended", &["holder", "epoch", "applied"]),
    ("door.mode_changed", &["until"]),
    ("operator.command", &["door", "credential", "reason", "detail"]),
    ("command.executed", &["by", "door"]),
    ("command.rejected", &["door", "detail"]),
];

fn wire() -> String {
    fs::read_to_string(super::docs().join("contract/wire.md")).unwrap()
}

/// The rows of the table with this heading, each cell trimmed.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The words of a text that stand between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|words| words.split([' ', '/']))
        .filter(|word| !word.is_empty())
}

/// The definitions of `event.json` that are rows: with their types and the fields they have beside every event's.
fn definitions() -> Vec<(BTreeSet<&'static str>, BTreeSet<&'static str>)> {
    let (_, schema) = schemas().iter().find(|(name, _)| name == "event.json").unwrap();
    let branches = schema["oneOf"].as_array().unwrap();
    let definition = |branch: &'static Value| {
        let definition = referred(schema, branch);
        let types = definition["properties"]["type"]["enum"].as_array().unwrap();
        let fields = definition["properties"].as_object().unwrap().keys().map(String::as_str);
        let own = fields.filter(|field| !OF_EVERY_EVENT.contains(field)).collect();
        (types.iter().map(|kind| kind.as_str().unwrap()).collect(), own)
    };
    branches.iter().map(definition).collect()
}

pub fn event_types_of_the_document() -> BTreeSet<&'static str> {
    definitions().into_iter().flat_map(|(types, _)| types).collect()
}

#[test]
fn the_events_and_their_fields_are_those_of_the_contract() {
    let text = wire();
    let rows = rows(&text, "| type | carries beside");
    assert!(rows.len() > 15, "only {} rows of events were found", rows.len());
    let mut expected = BTreeMap::new();
    for row in &rows {
        let types: BTreeSet<&str> = quoted(&row[0]).collect();
        let fields: BTreeSet<&str> = quoted(&row[1]).filter(|word| *word != "seq").collect();
        for kind in types {
            let beside =
                BESIDE.iter().filter(|(of, _)| *of == kind).flat_map(|(_, fields)| fields.iter().copied());
            expected
                .insert(kind.to_owned(), fields.iter().copied().chain(beside).collect::<BTreeSet<&str>>());
        }
    }
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (types, fields) in definitions() {
        for kind in types {
            found.insert(kind.to_owned(), fields.clone());
        }
    }
    // Where one row serves several things, each event has its own of them.
    let mut split = |of: &str, without: &[&str]| {
        let fields = expected.get_mut(of).unwrap_or_else(|| panic!("the contract has no {of}"));
        fields.retain(|field| !without.contains(field));
    };
    for (of, without) in [
        ("reader.connected", ["board"]),
        ("reader.lost", ["board"]),
        ("reader.tamper", ["board"]),
        ("board.connected", ["reader"]),
        ("board.lost", ["reader"]),
        ("access.granted", ["uid_tag"]),
    ] {
        split(of, &without);
    }
    assert_eq!(found, expected);
}

#[test]
fn the_topics_are_those_of_the_contract() {
    let text = wire();
    let rows = rows(&text, "| topic | from |");
    assert_eq!(rows.len(), document()["channels"].as_object().unwrap().len());
    for row in rows {
        let topic = quoted(&row[0]).collect::<Vec<_>>().join("/");
        let channel = channel(&topic).unwrap_or_else(|| panic!("the document has no channel {topic}"));
        let said = if channel.said == Said::ByCentral { "central" } else { "controller" };
        let retained = if channel.retained { "yes" } else { "no" };
        assert_eq!([said, retained], [row[1].as_str(), row[2].as_str()], "{topic}");
        assert_eq!(channel.qos, 1, "{topic}");
    }
}

/// What the contract leaves out of its examples with "…", filled in.
const LEFT_OUT: [(&str, &str); 8] = [
    (r#""6f…""#, r#""6f0c2d4e-8a51-4b7e-9c3d-2f1e0a9b8c7d""#),
    (r#""c0ff…""#, r#""c0ff00000000000000000000000000000000000000000000000000000000c0ff""#),
    (r#""9a0c…""#, r#""9a0c000000000000000000000000000000000000000000000000000000009a0c""#),
    (r#""51fe…""#, r#""51fe0000000000000000000000000000000000000000000000000000000051fe""#),
    ("[ … ]", "[]"),
    (r#""version":…"#, r#""version":"0.1.0""#),
    (r#""controller":…"#, r#""controller":"oslo-1""#),
    ("…", "2026-11-23T08:31:07Z"),
];

#[test]
fn the_examples_of_the_contract_are_messages_of_the_document() {
    let mut text = wire();
    for bare in ["\"since\":…", "\"at\":…"] {
        text = text.replace(bare, &bare.replace('…', "\"…\""));
    }
    for (left_out, filled_in) in LEFT_OUT {
        text = text.replace(left_out, filled_in);
    }
    let blocks = text.split("```json").skip(1).map(|rest| rest.split("```").next().unwrap());
    let inline = text.split('`').filter(|piece| piece.starts_with("{\"controller\":"));
    let mut seen = BTreeSet::new();
    for example in blocks.chain(inline) {
        // A choice between texts stands for its first.
        let first = example.split_once("\"|").map_or(example.to_owned(), |(before, behind)| {
            let (_, rest) = behind.rsplit_once('|').unwrap_or(("", behind));
            let rest = rest.split_once('}').map_or("", |(_, rest)| rest);
            format!("{before}\"}}{rest}")
        });
        let body: Value = serde_json::from_str(&first).unwrap_or_else(|why| panic!("{why}: {first}"));
        seen.extend(messages_that_take(&body));
    }
    let all: BTreeSet<&str> =
        document()["components"]["messages"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(seen, all, "the contract has an example of every message, each valid");
}

/// The messages a body is one of. Exactly one, or the document tells two apart by nothing.
fn messages_that_take(body: &Value) -> Vec<&'static str> {
    let messages = document()["components"]["messages"].as_object().unwrap();
    let takes = |message: &Value| validator(&message["payload"]["schema"]).unwrap().is_valid(body);
    let found: Vec<&str> =
        messages.iter().filter(|(_, message)| takes(message)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(found.len(), 1, "{body:#} is a message of {found:?}");
    found
}
