//! `docs/latchctl-json.md`: every field of what `--json` prints, made of the types that are printed and their comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use latchd::domain::{Contact, DoorAlarm, DoorMode, Kind, LockState, Status};

const SOURCES: [&str; 10] = [
    "src/wire/control.rs",
    "src/wire/control/cards.rs",
    "src/wire/control/commissioning.rs",
    "src/wire/control/explain.rs",
    "src/wire/control/hardware.rs",
    "src/wire/control/rights.rs",
    "src/wire/control/stores.rs",
    "src/wire/checkpoint.rs",
    "src/bin/latchctl/doctor/mod.rs",
    "src/bin/latchctl/wiring/mod.rs",
];

/// What verbs print, in the order they are shown; what these are made of follows each.
const PRINTED: [(&str, &str); 18] = [
    ("StatusReport", "`status`"),
    ("DoorReport", "`doors`, a list; `door show`"),
    ("CommandDone", "`door ORDER`, and of every door of `--all` that took it"),
    ("CommandFailed", "of each door of `--all` that did not"),
    ("ReaderReport", "`readers`, a list"),
    ("CardSeen", "`reader watch`, one a line, with `\"what\":\"tap\"`"),
    ("CredentialReport", "`credentials`, a list; `credential show`"),
    ("CardDone", "`credential activate`, `credential suspend`"),
    ("GrantReport", "`grants`, a list"),
    ("ExplainReport", "`explain`"),
    ("VerifyReport", "`journal verify`"),
    ("Checkpoint", "`journal checkpoint`"),
    ("LogReport", "`log`"),
    ("BackupDone", "`backup`"),
    ("RestoreDone", "`restore`"),
    ("SyncReport", "`sync`, `sync resync`"),
    ("Outcome", "`board test`, `door test`, one a line for each step"),
    ("Finding", "`doctor`, a list. (`diagnose` prints `file`, and the names of its `parts`.)"),
];

struct Struct {
    about: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    optional: bool,
    about: String,
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/latchctl-json.md")
}

/// Every `pub struct` of a source that rustfmt has laid out.
fn structs(source: &str) -> BTreeMap<String, Struct> {
    let (mut found, mut about, mut attributes) = (BTreeMap::new(), String::new(), String::new());
    let mut open: Option<(String, Struct)> = None;
    for line in source.lines() {
        let text = line.trim();
        if let Some(said) = text.strip_prefix("///") {
            about.push_str(said);
        } else if text.starts_with("#[") {
            attributes.push_str(text);
        } else if line == "}" {
            found.extend(open.take());
        } else if let Some(name) = text.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            let about = std::mem::take(&mut about);
            open = Some((name.to_owned(), Struct { about, fields: Vec::new() }));
            attributes.clear();
        } else if let (Some((_, of)), Some(field)) = (&mut open, text.strip_prefix("pub ")) {
            let (name, kind) = field.trim_end_matches(',').split_once(": ").expect("a field with its type");
            let renamed = attributes.split_once("rename = \"").and_then(|(_, rest)| rest.split('"').next());
            let name = renamed.unwrap_or(name).to_owned();
            let optional = attributes.contains("skip_serializing_if");
            let about = std::mem::take(&mut about);
            of.fields.push(Field { name, kind: kind.to_owned(), optional, about });
            attributes.clear();
        } else {
            about.clear();
            attributes.clear();
        }
    }
    found
}

/// A type's name without what wraps it.
fn inner(kind: &str) -> &str {
    let kind = kind.strip_prefix("Option<").or_else(|| kind.strip_prefix("Vec<")).unwrap_or(kind);
    kind.trim_end_matches('>').rsplit("::").next().unwrap_or(kind)
}

/// A type in words of JSON.
fn in_json(kind: &str, known: &BTreeMap<String, Struct>) -> String {
    if let Some(of) = kind.strip_prefix("Vec<") {
        return format!("list: {}", in_json(of.trim_end_matches('>'), known));
    }
    let names = |all: &[&str]| all.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match inner(kind) {
        "String" | "Digest" | "&'static str" => "text".into(),
        "bool" => "true or false".into(),
        "u8" | "u32" | "u64" => "number".into(),
        "At" => "instant".into(),
        "Zone" => "IANA name".into(),
        "Direction" => names(&["in", "out"]),
        "ClockTrust" => names(&["trusted", "holdover", "untrusted"]),
        "Grade" => names(&["problem", "warning", "note", "good"]),
        "Result" => names(&["passed", "failed", "skipped", "not_done"]),
        "Code" => names(&["failed", "usage", "not_permitted", "not_found"]),
        "DoorMode" => names(&DoorMode::ALL.map(DoorMode::as_str)),
        "LockState" => names(&LockState::ALL.map(LockState::as_str)),
        "Contact" => names(&Contact::ALL.map(Contact::as_str)),
        "DoorAlarm" => names(&DoorAlarm::ALL.map(DoorAlarm::as_str)),
        "Status" => names(&Status::ALL.map(Status::as_str)),
        "Kind" => names(&Kind::ALL.map(Kind::as_str)),
        "(u32, u32)" => "two numbers".into(),
        _ if kind.starts_with("BTreeMap<String, u64>") => "object of numbers".into(),
        id if id.ends_with("Id") => "id".into(),
        name if known.contains_key(name) => format!("[{name}](#{})", name.to_lowercase()),
        other => panic!("{other} has no name in JSON yet"),
    }
}

/// A struct, and those that it is made of and that nobody has shown yet.
fn show(
    name: &str,
    printed: &str,
    known: &BTreeMap<String, Struct>,
    shown: &mut BTreeSet<String>,
    text: &mut String,
) {
    if !shown.insert(name.to_owned()) {
        return;
    }
    let Struct { about, fields } = &known[name];
    write!(text, "\n## {name}\n").unwrap();
    for said in [printed, about.trim()].iter().filter(|said| !said.is_empty()) {
        write!(text, "\n{}\n", said.replace("[`LookedAt::LISTED`]", "twenty")).unwrap();
    }
    text.push_str("\n| field | is | |\n| --- | --- | --- |\n");
    for Field { name: field, kind, optional, about } in fields {
        assert!(!about.is_empty(), "{name}.{field} has no comment to be shown");
        let left_out = if *optional && !about.contains("eft out") { " May be left out." } else { "" };
        writeln!(text, "| `{field}` | {} | {}{left_out} |", in_json(kind, known), about.trim()).unwrap();
    }
    for part in fields.iter().map(|field| inner(&field.kind)).filter(|part| known.contains_key(*part)) {
        if !PRINTED.iter().any(|(name, _)| *name == part) {
            show(part, "", known, shown, text);
        }
    }
}

fn made() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &&str| structs(&fs::read_to_string(root.join(path)).unwrap());
    let known: BTreeMap<String, Struct> = SOURCES.iter().flat_map(read).collect();
    let mut text = String::from(
        "# What latchctl prints with --json\n\n\
         <!-- Made of the comments in src/wire/control: LATCHD_BLESS=1 cargo test --test it manual::fields -->\n\n\
         One document, or one a line for streams. An instant is RFC 3339 in UTC, such as `2026-11-23T09:00:00.412Z`. A field that\n\
         is not known here is of a newer daemon, and is to be passed over. `events` and `journal export` print events as they go\n\
         to central ([the wire](contract/wire.md)); examples of all stand in [latchctl, verb by verb](latchctl.md).\n",
    );
    let mut shown = BTreeSet::new();
    for (name, printed) in PRINTED {
        show(name, printed, &known, &mut shown, &mut text);
    }
    text
}

#[test]
fn every_field_of_json_is_described() {
    let made = made();
    if std::env::var_os("LATCHD_BLESS").is_some() {
        fs::write(page(), made).unwrap();
        return;
    }
    let documented = fs::read_to_string(page()).unwrap();
    assert_eq!(documented, made, "LATCHD_BLESS=1 cargo test --test it manual::fields writes it anew");
}
