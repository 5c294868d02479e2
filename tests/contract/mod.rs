//! The contract as a document, `docs/asyncapi.yaml` with `docs/schemas/`: read once, and asked whether a message on a
//! topic is one of those it describes. Its own tests are beside this; `site::witness` holds every message of the other
//! tests against it.

mod document;
mod official;
mod table;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::{Draft, Registry, ValidationError, Validator, error::ValidationErrorKind};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// Where the files stand for each other: references in them are relative, and nothing is ever fetched.
const BASE: &str = "https://latchd.invalid/docs/";

/// Who says what a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    ByController,
    ByCentral,
}

/// A topic below `latch/v1/{controller}/`.
#[derive(Debug)]
pub struct Channel {
    /// `door/{door}`
    pub topic: String,
    pub said: Said,
    pub qos: u64,
    pub retained: bool,
    /// By their names in the document.
    pub messages: Vec<(String, Validator)>,
}

impl Channel {
    /// What is wrong with a message, without any of its values; nothing if it is one of this channel's.
    pub fn faults(&self, body: &Value) -> Vec<String> {
        if self.messages.iter().any(|(_, schema)| schema.is_valid(body)) {
            return Vec::new();
        }
        // Of the channel's messages, the one it is nearest to.
        let faults = self.messages.iter().map(|(_, schema)| faults(schema, body));
        faults.min_by_key(Vec::len).unwrap_or_else(|| vec!["the channel has no message".to_owned()])
    }

    fn is(&self, topic: &str) -> bool {
        let (own, other): (Vec<&str>, Vec<&str>) =
            (self.topic.split('/').collect(), topic.split('/').collect());
        own.len() == other.len()
            && own.iter().zip(other).all(|(own, other)| own.starts_with('{') || *own == other)
    }
}

/// The channel of a topic below `latch/v1/{controller}/`.
pub fn channel(topic: &str) -> Option<&'static Channel> {
    static CHANNELS: LazyLock<Vec<Channel>> = LazyLock::new(channels);
    CHANNELS.iter().find(|channel| channel.is(topic))
}

/// What a schema has against a value, each with its place, and without any of its values.
pub fn faults(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).flat_map(|error| closest(&error)).collect()
}

/// Where one of several shapes is asked for, the faults against the one that is meant: that with the value's own
/// `type`, or else the one with fewest faults.
fn closest(error: &ValidationError<'_>) -> Vec<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "some fifty other kinds have no branches")]
    let branches = match error.kind() {
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => context,
        _ => return vec![format!("{}: {}", error.instance_path(), error.masked())],
    };
    let is_other_type = |branch: &[ValidationError<'_>]| {
        branch.iter().any(|error| error.instance_path().as_str().ends_with("/type"))
    };
    let nearest = branches.iter().min_by_key(|branch| (is_other_type(branch), branch.len()));
    match nearest {
        Some(branch) if !is_other_type(branch) => branch.iter().flat_map(closest).collect(),
        _ => vec![format!("{}: {}", error.instance_path(), error.masked())],
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The document, as JSON.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        let text = fs::read_to_string(docs().join("asyncapi.yaml")).expect("docs/asyncapi.yaml");
        yaml(&text).unwrap_or_else(|why| panic!("docs/asyncapi.yaml: {why}"))
    });
    &DOCUMENT
}

/// Reads YAML as JSON; what JSON has no word for is an error, and so is a key that is there twice.
fn yaml(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [one] => json(one),
        several => Err(format!("{} documents in one file", several.len())),
    }
}

fn json(node: &Yaml<'_>) -> Result<Value, String> {
    match node {
        Yaml::Value(Scalar::Null) => Ok(Value::Null),
        Yaml::Value(Scalar::Boolean(value)) => Ok(Value::Bool(*value)),
        Yaml::Value(Scalar::Integer(value)) => Ok(Value::from(*value)),
        Yaml::Value(Scalar::FloatingPoint(value)) => {
            Number::from_f64(value.0).map(Value::Number).ok_or_else(|| format!("{value} is no JSON number"))
        }
        Yaml::Value(Scalar::String(value)) => Ok(Value::from(value.as_ref())),
        Yaml::Sequence(items) => items.iter().map(json).collect::<Result<_, _>>().map(Value::Array),
        Yaml::Mapping(fields) => {
            let field = |(key, value): (&Yaml<'_>, &Yaml<'_>)| {
                let key = key.as_str().ok_or_else(|| format!("a key is no text: {key:?}"))?;
                Ok((key.to_owned(), json(value)?))
            };
            fields.iter().map(field).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        Yaml::Representation(..) | Yaml::Tagged(..) | Yaml::Alias(_) | Yaml::BadValue => {
            Err(format!("JSON has no word for {node:?}"))
        }
    }
}

/// The schemas' files, by name.
fn schemas() -> &'static Vec<(String, Value)> {
    static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
        let files = fs::read_dir(docs().join("schemas")).expect("docs/schemas").flatten();
        let read = |path: PathBuf| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            let text = fs::read(&path).expect("a schema");
            let schema =
                serde_json::from_slice(&text).unwrap_or_else(|why| panic!("docs/schemas/{name}: {why}"));
            (name, schema)
        };
        let mut schemas: Vec<_> = files.map(|file| read(file.path())).collect();
        schemas.sort_by(|(one, _), (other, _)| one.cmp(other));
        schemas
    });
    &SCHEMAS
}

/// A validator for a schema as it would stand in `docs/`.
pub fn validator(schema: &Value) -> Result<Validator, String> {
    static FILES: LazyLock<Registry<'static>> = LazyLock::new(|| {
        let named = schemas().iter().map(|(name, schema)| (format!("{BASE}schemas/{name}"), schema));
        let registry = Registry::new().draft(Draft::Draft7).extend(named).expect("names that are URIs");
        registry
            .prepare()
            .unwrap_or_else(|why| panic!("a reference within docs/schemas leads nowhere: {why}"))
    });
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .with_base_uri(format!("{BASE}asyncapi.yaml"))
        .with_registry(&FILES)
        .should_validate_formats(true)
        .build(schema)
        .map_err(|error| error.to_string())
}

/// What a `$ref` within the document points to.
fn referred<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let Some(reference) = node.get("$ref").and_then(Value::as_str) else { return node };
    let pointer =
        reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out of the document"));
    referred(root, root.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
}

fn channels() -> Vec<Channel> {
    let root = document();
    let channels = root["channels"].as_object().expect("channels");
    channels.iter().map(|(name, channel)| read_channel(root, name, channel)).collect()
}

fn read_channel(root: &Value, name: &str, channel: &Value) -> Channel {
    let address = channel["address"].as_str().expect("an address");
    let topic = address.strip_prefix("latch/v1/{controller}/").expect("an address of a controller's");
    let reference = format!("#/channels/{name}");
    let mut operations = root["operations"].as_object().expect("operations").values();
    let own = |operation: &&Value| operation["channel"]["$ref"] == *reference;
    let operation = operations.find(own).unwrap_or_else(|| panic!("no operation has the channel {name}"));
    let mqtt = &referred(root, &operation["bindings"])["mqtt"];
    let messages = channel["messages"].as_object().expect("messages").iter().map(|(name, message)| {
        let payload = &referred(root, message)["payload"]["schema"];
        let schema = validator(payload).unwrap_or_else(|why| panic!("the schema of {name}: {why}"));
        (name.clone(), schema)
    });
    Channel {
        topic: topic.to_owned(),
        said: match operation["action"].as_str() {
            Some("send") => Said::ByController,
            Some("receive") => Said::ByCentral,
            other => panic!("{name}: an operation sends or receives, not {other:?}"),
        },
        qos: mqtt["qos"].as_u64().expect("a QoS"),
        retained: mqtt["retain"].as_bool().expect("whether it is retained"),
        messages: messages.collect(),
    }
}
