//! The configuration's JSON Schema, for editors: what the parser asks for, written down.
//!
//! There is no second list of keys. The parser reads one text that has everything in it, and says what it asked each
//! table for, and what it takes ([`Asked`]); then one that has nothing but empty tables, and says what it misses. A key
//! that is added to the parser is in the schema by that, and a test fails until it is in the text below.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    read,
    table::{Asked, Kind},
};

/// One of everything. Readers have a shape for each driver, and so an entry.
const EVERYTHING: &str = r#"
[controller]
id = "oslo-1"
time_zone = "Europe/Oslo"
state_dir = "/var/lib/latchd"
socket = "/run/latchd/latchd.sock"
[mqtt]
url = "mqtts://broker.example:8883"
ca_file = "/ca.pem"
cert_file = "/cert.pem"
key_file = "/key.pem"
tls_min = "1.3"
username = "oslo-1"
password_file = "/password"
session_expiry_s = 604800
keep_alive_s = 30
allow_unsigned = false
[[mqtt.trusted_keys]]
kid = "central"
public_key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
[clock]
require_sync = true
holdover_s = 604800
[journal]
keep_s = 7776000
max_events = 5000000
release_wait_ms = 20
[sync]
stale_after_s = 86400
[metrics]
listen = "127.0.0.1:9184"
[operators]
observer = "a"
technician = "b"
admin = "c"
[[boards]]
id = "b"
url = "modbus+tcp://b"
unit = 1
profile = "waveshare-8"
coil_base = 0
input_base = 0
pulse = "flash"
flash_base = 0x0200
write_many = true
timeout_ms = 500
poll_ms = 100
[[doors]]
id = "d"
name = "D"
zones = ["z"]
lock = { board = "b", coil = 0, strike_s = 5, extended_s = 15, fail = "secure" }
contact = { board = "b", input = 0, invert = false }
rex = { board = "b", input = 1, invert = false, unlocks = true }
held_open_s = 30
pre_alarm_s = 10
relock_on = "open"
building_hours_only = false
release_on_fire = true
unlock_schedule = [{ days = ["mon"], from = "08:00", to = "18:00" }]
first_person_in = true
max_stale_s = 2592000
[fire]
input = { board = "b", input = 7, invert = false }
[[readers]]
id = "r-1"
door = "d"
direction = "in"
uid_order = "as_read"
driver = "pcsc"
name = "ACS*"
[[readers]]
id = "r-2"
door = "d"
direction = "in"
uid_order = "as_read"
driver = "pn532"
port = "/dev/a"
baud = 115200
[[readers]]
id = "r-3"
door = "d"
direction = "in"
uid_order = "as_read"
driver = "osdp"
port = "/dev/b"
baud = 9600
address = 1
key_file = "/scbk"
"#;

/// Every table, and nothing in it but what says which shape it has.
const NOTHING: &str = r#"
[controller]
[mqtt]
[[mqtt.trusted_keys]]
[[boards]]
[[doors]]
contact = {}
rex = {}
unlock_schedule = [{}]
[[doors]]
lock = {}
[fire]
input = {}
[[readers]]
driver = "pcsc"
[[readers]]
driver = "pn532"
[[readers]]
driver = "osdp"
"#;

/// The list whose entries have several shapes, and the key that says which.
const SHAPES: (&str, &str, [&str; 3]) = ("readers", "driver", ["pcsc", "pn532", "osdp"]);
/// How the parser's word on a key that must be there begins.
const MISSING: &str = "missing; expected";

/// The schema, as JSON Schema 2020-12.
pub fn schema() -> Value {
    let mut root = Node::default();
    for asked in read::asked(EVERYTHING) {
        let node = root.at(&asked.key);
        node.asked = Some(asked);
    }
    let (_, missing) = read::asked_and_found(NOTHING);
    for problem in missing.iter().filter(|problem| problem.message.starts_with(MISSING)) {
        root.at(&problem.key).is_needed = true;
    }
    for table in ["controller", "mqtt"] {
        root.at(table).is_needed = true;
    }
    let mut schema = root.object(None);
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("title".into(), "latchd's configuration, latchd.toml".into());
    }
    schema
}

/// A key, and what is below it.
#[derive(Debug, Default)]
struct Node {
    asked: Option<Asked>,
    is_needed: bool,
    keys: BTreeMap<String, Node>,
    /// Of a list of tables: its shapes.
    shapes: BTreeMap<usize, Node>,
}

impl Node {
    /// The node of a key as problems name it: `doors[2].lock.coil`.
    fn at(&mut self, key: &str) -> &mut Node {
        let mut node = self;
        for step in key.split('.') {
            let (name, number) = match step.split_once('[') {
                Some((name, number)) => (name, number.trim_end_matches(']').parse::<usize>().ok()),
                None => (step, None),
            };
            node = node.keys.entry(name.to_owned()).or_default();
            if let Some(number) = number {
                // All entries of other lists have one shape.
                let number = if name == SHAPES.0 { number } else { 0 };
                node = node.shapes.entry(number).or_default();
            }
        }
        node
    }

    fn schema(&self) -> Value {
        let Some(Asked { kind, expected, .. }) = &self.asked else { return json!({}) };
        let mut schema = match kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Path { default } => with_default(json!({ "type": "string", "pattern": "^/" }), default),
            Kind::Flag { default } => with_default(json!({ "type": "boolean" }), default),
            Kind::Number { range: (least, most), default } => {
                with_default(json!({ "type": "integer", "minimum": least, "maximum": most }), default)
            }
            Kind::OneOf { values } => json!({ "enum": values }),
            Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Table => self.object(None),
            Kind::Tables => json!({ "type": "array", "items": self.items() }),
        };
        if let Some(fields) = schema.as_object_mut().filter(|_| !expected.is_empty()) {
            fields.insert("description".into(), expected.as_str().into());
        }
        schema
    }

    fn items(&self) -> Value {
        let shapes: Vec<Value> = self
            .shapes
            .iter()
            .map(|(n, node)| node.object(Some(*n).filter(|_| self.shapes.len() > 1)))
            .collect();
        match <[Value; 1]>::try_from(shapes) {
            Ok([one]) => one,
            Err(several) => json!({ "oneOf": several }),
        }
    }

    /// A table. `shape`: which of the shapes that the list of such tables has.
    fn object(&self, shape: Option<usize>) -> Value {
        let mut properties: Map<String, Value> =
            self.keys.iter().map(|(key, node)| (key.clone(), node.schema())).collect();
        let mut needed: Vec<&str> =
            self.keys.iter().filter(|(_, node)| node.is_needed).map(|(key, _)| key.as_str()).collect();
        let (_, key, names) = SHAPES;
        if let Some(name) = shape.and_then(|n| names.get(n)) {
            properties.insert(key.into(), json!({ "const": name }));
            needed.push(key);
        }
        json!({ "type": "object", "properties": properties, "required": needed, "additionalProperties": false })
    }
}

fn with_default<T: serde::Serialize>(mut schema: Value, default: &Option<T>) -> Value {
    if let (Some(fields), Some(default)) = (schema.as_object_mut(), default) {
        fields.insert("default".into(), json!(default));
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use jsonschema::Validator;
    use toml::de::{DeTable, DeValue};

    use super::*;
    use crate::daemon::config::parse;

    fn validator() -> Validator {
        jsonschema::draft202012::new(&schema()).unwrap()
    }

    fn json(value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => json!(text),
            DeValue::Integer(n) => json!(i64::from_str_radix(n.as_str(), n.radix()).unwrap()),
            DeValue::Float(n) => json!(n.as_str().parse::<f64>().unwrap()),
            DeValue::Boolean(is) => json!(is),
            DeValue::Datetime(at) => json!(at.to_string()),
            DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
            DeValue::Table(table) => table_json(table),
        }
    }

    fn table_json(table: &DeTable<'_>) -> Value {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            (key.to_string(), json(value.get_ref()))
        };
        Value::Object(table.iter().map(entry).collect())
    }

    fn faults(text: &str) -> Vec<String> {
        let instance = table_json(DeTable::parse(text).unwrap().get_ref());
        validator()
            .iter_errors(&instance)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[test]
    fn the_text_with_everything_is_good_and_has_every_key_that_the_parser_knows() {
        assert_eq!(parse(EVERYTHING).map(|_| ()), Ok(()));
        assert_eq!(faults(EVERYTHING), [""; 0]);
        let asked: Vec<String> = read::asked(EVERYTHING).into_iter().map(|asked| asked.key).collect();
        let known = read::known(EVERYTHING);
        let not_said: Vec<&String> = known.iter().filter(|key| !asked.contains(key)).collect();
        assert!(
            not_said.is_empty(),
            "the parser looks for these, and does not say what they are: {not_said:?}"
        );
        let text = DeTable::parse(EVERYTHING).unwrap();
        let instance = table_json(text.get_ref());
        for key in &asked {
            let pointer = format!("/{}", key.replace(['.', '['], "/").replace(']', ""));
            assert!(instance.pointer(&pointer).is_some(), "EVERYTHING lacks {key}");
        }
    }

    #[test]
    fn the_configurations_that_ship_are_good_by_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let mut seen = 0;
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "toml") {
                    let text = fs::read_to_string(&path).unwrap();
                    if parse(&text).is_ok() {
                        assert_eq!(faults(&text), [""; 0], "{}", path.display());
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 0, "no configuration was found");
    }

    /// Whether parser and schema both refuse it.
    fn is_refused(text: &str) {
        assert!(parse(text).is_err(), "the parser takes\n{text}");
        assert!(!faults(text).is_empty(), "the schema takes\n{text}");
    }

    #[test]
    fn a_key_nobody_knows_is_refused_by_both_in_every_table() {
        for head in EVERYTHING.lines().filter(|line| line.starts_with('[')) {
            is_refused(&EVERYTHING.replacen(head, &format!("{head}\nshiny = 1"), 1));
        }
        for table in ["lock", "contact", "rex", "input", "unlock_schedule"] {
            let inner = if table == "unlock_schedule" { " = [{ " } else { " = { " };
            is_refused(&EVERYTHING.replacen(
                &format!("{table}{inner}"),
                &format!("{table}{inner}shiny = 1, "),
                1,
            ));
        }
        // Another driver's key.
        is_refused(&EVERYTHING.replace("name = \"ACS*\"", "name = \"ACS*\"\nbaud = 9600"));
    }

    #[test]
    fn what_must_be_there_is_asked_for_by_both() {
        for line in [
            "id = \"oslo-1\"",
            "time_zone = \"Europe/Oslo\"",
            "url = \"mqtts://broker.example:8883\"",
            "kid = \"central\"",
            "id = \"b\"",
            "url = \"modbus+tcp://b\"",
            "id = \"d\"",
            "board = \"b\", ",
            "coil = 0, ",
            "input = 0, ",
            "days = [\"mon\"], ",
            "id = \"r-1\"",
            "door = \"d\"",
            "driver = \"pn532\"",
            "name = \"ACS*\"",
            "port = \"/dev/a\"",
            "address = 1",
        ] {
            assert!(EVERYTHING.contains(line), "{line}");
            is_refused(&EVERYTHING.replacen(line, "", 1));
        }
    }

    #[test]
    fn what_is_out_of_its_range_or_of_another_kind_is_refused_by_both() {
        for (good, bad) in [
            ("poll_ms = 100", "poll_ms = 9"),
            ("poll_ms = 100", "poll_ms = 10001"),
            ("coil = 0", "coil = 64"),
            ("strike_s = 5", "strike_s = \"5\""),
            ("relock_on = \"open\"", "relock_on = \"never\""),
            ("profile = \"waveshare-8\"", "profile = \"other\""),
            ("state_dir = \"/var", "state_dir = \"var"),
            ("require_sync = true", "require_sync = 1"),
            ("zones = [\"z\"]", "zones = \"z\""),
            ("baud = 9600", "baud = 9601"),
            ("pulse = \"flash\"", "pulse = \"flahs\""),
            ("driver = \"osdp\"", "driver = \"odsp\""),
        ] {
            assert!(EVERYTHING.contains(good), "{good}");
            is_refused(&EVERYTHING.replacen(good, bad, 1));
        }
    }

    #[test]
    fn defaults_are_the_parser_s() {
        let schema = schema();
        let default = |pointer: &str| schema.pointer(pointer).unwrap()["default"].clone();
        assert_eq!(default("/properties/journal/properties/release_wait_ms"), 20);
        assert_eq!(default("/properties/controller/properties/state_dir"), "/var/lib/latchd");
        assert_eq!(default("/properties/clock/properties/require_sync"), true);
    }
}
