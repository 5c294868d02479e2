//! What others wrote that ends up in the programs: from where, under which licence, how often, and told in the package.
//!
//! `deny.toml` is cargo-deny's file (`./dev deny`). This reads the same rules from it by `cargo metadata` alone, so that each
//! test run keeps them without a tool that takes minutes to build.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::LazyLock,
};

use jsonschema::{Draft, Registry};
use serde::Deserialize;
use serde_json::Value;

/// Of deny.toml, what is held here.
#[derive(Debug, Clone, Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Clone, Deserialize)]
struct Licences {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Clone, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Bans {
    skip: Vec<Named>,
    deny: Vec<Named>,
}

/// `name`, `name@version`, and why.
#[derive(Debug, Clone, Deserialize)]
struct Named {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rules() -> Rules {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

/// All that Cargo.lock has for this machine's kind, as cargo tells it.
fn metadata() -> &'static Value {
    static METADATA: LazyLock<Value> = LazyLock::new(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let told = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &target])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        serde_json::from_slice(&told.stdout).unwrap()
    });
    &METADATA
}

fn packages(metadata: &Value) -> impl Iterator<Item = (&str, &Value)> {
    metadata["packages"].as_array().unwrap().iter().map(|p| (p["id"].as_str().unwrap(), p))
}

fn name(package: &Value) -> (&str, &str) {
    (package["name"].as_str().unwrap(), package["version"].as_str().unwrap())
}

/// Whether one of the licences allowed to it will do.
fn may_be(expression: &str, allowed: &[&str]) -> bool {
    let lax = spdx::Expression::parse_mode(expression, spdx::ParseMode::LAX);
    lax.is_ok_and(|expression| expression.evaluate(|needed| allowed.contains(&needed.to_string().as_str())))
}

/// What of a package breaks a rule.
fn faults(package: &Value, rules: &Rules) -> Vec<String> {
    let (name, version) = name(package);
    let own = package["source"].is_null();
    let mut faults = Vec::new();
    let excepted = rules.licenses.exceptions.iter().filter(|e| e.name == name).flat_map(|e| &e.allow);
    let allowed: Vec<&str> = rules.licenses.allow.iter().chain(excepted).map(String::as_str).collect();
    let licence = package["license"].as_str().unwrap_or("none");
    if !may_be(licence, &allowed) {
        faults.push(format!("{name} {version}: its licence, {licence}, is none of those allowed"));
    }
    let source = package["source"].as_str().unwrap_or_default();
    let known = rules.sources.allow_registry.iter().any(|r| source == format!("registry+{r}"));
    if !own && !known {
        faults.push(format!("{name} {version}: comes from {source}"));
    }
    faults
}

/// The libraries that are linked into `latchd` or build it, as `name` to versions: normal dependencies, down to the last.
fn linked(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let by_id: BTreeMap<&str, &Value> = packages(metadata).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|n| (n["id"].as_str().unwrap(), n)).collect();
    let start = by_id.iter().find(|(_, p)| p["name"] == "latchd").map(|(id, _)| *id);
    let (mut waiting, mut seen) = (vec![start.expect("latchd")], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            let normal = |d: &&Value| d["dep_kinds"].as_array().unwrap().iter().any(|k| k["kind"].is_null());
            let needs = nodes[id]["deps"].as_array().unwrap().iter().filter(normal);
            waiting.extend(needs.map(|d| d["pkg"].as_str().unwrap()));
        }
    }
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for id in seen {
        let (name, version) = name(by_id[id]);
        let _ = versions.entry(name.to_owned()).or_default().insert(version.to_owned());
    }
    versions
}

/// A version's numbers, which compare as versions do.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|n| n.parse().ok()).collect()
}

/// Every version of a library beside its newest.
fn doubled(linked: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let older = |(name, versions): (&String, &BTreeSet<String>)| {
        let newest = versions.iter().max_by_key(|v| numbers(v)).cloned();
        let others = versions.iter().filter(|v| Some(*v) != newest.as_ref());
        others.map(|v| format!("{name}@{v}")).collect::<Vec<_>>()
    };
    linked.iter().flat_map(older).collect()
}

#[test]
fn every_library_is_from_where_it_may_be_and_under_a_licence_that_may_be() {
    let rules = rules();
    let faults: Vec<String> = packages(metadata()).flat_map(|(_, p)| faults(p, &rules)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(packages(metadata()).count() > 100);
}

#[test]
fn a_licence_or_a_source_that_may_not_be_is_found() {
    let package = |licence: &str, source: Value| serde_json::json!({ "name": "a", "version": "1.0.0", "license": licence, "source": source });
    let rules = rules();
    let crates_io = serde_json::json!("registry+https://github.com/rust-lang/crates.io-index");
    let count = |licence, source: &Value| faults(&package(licence, source.clone()), &rules).len();
    assert_eq!(count("MIT OR GPL-3.0-only", &crates_io), 0);
    assert_eq!(count("MIT/Apache-2.0", &crates_io), 0);
    assert_eq!(count("(MIT OR Apache-2.0) AND Unicode-3.0", &crates_io), 0);
    assert_eq!(count("GPL-3.0-only", &crates_io), 1);
    assert_eq!(count("MIT AND GPL-3.0-only", &crates_io), 1);
    assert_eq!(count("MPL-2.0", &crates_io), 1, "an exception is one library's");
    assert_eq!(count("none", &crates_io), 1);
    assert_eq!(count("MIT", &serde_json::json!("git+https://github.com/a/b#c")), 1);
    assert_eq!(count("MIT", &serde_json::json!("registry+https://example.com/index")), 1);
    assert_eq!(count("MIT", &Value::Null), 0, "our own");
}

#[test]
fn what_is_linked_in_twice_is_known_and_why() {
    let skipped: BTreeSet<String> = rules().bans.skip.iter().map(|s| s.name.clone()).collect();
    assert_eq!(doubled(&linked(metadata())), skipped, "left: in latchd; right: deny.toml, bans.skip");
    assert!(rules().bans.skip.iter().all(|s| s.reason.len() > 5));
}

#[test]
fn what_may_not_be_linked_in_is_not() {
    let linked = linked(metadata());
    for banned in rules().bans.deny {
        let (name, below) = banned.name.split_once("@<").unwrap_or((&banned.name, ""));
        let may_be = |v: &String| !below.is_empty() && numbers(v) >= numbers(below);
        let found = linked.get(name).filter(|versions| !versions.iter().all(may_be));
        assert!(found.is_none(), "{name} {found:?}: {}", banned.reason);
    }
}

/// The package's bill of materials, made as for a package.
fn bill() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let made = Command::new("python3")
        .arg("debian/bill_of_materials.py")
        .args([&target, folder.path().to_str().unwrap()])
        .env("SOURCE_DATE_EPOCH", "1764115200")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let notices = std::fs::read_to_string(folder.path().join("third-party.txt")).unwrap();
    assert!(notices.contains("sled 0.34.7: MIT OR Apache-2.0"), "{notices:.1000}");
    assert!(notices.contains("Mozilla Public License"), "serialport's notice is missing");
    serde_json::from_slice(&std::fs::read(folder.path().join("sbom.cdx.json")).unwrap()).unwrap()
}

#[test]
fn the_bill_of_materials_is_cyclonedx_and_names_what_is_linked_in() {
    let bill = bill();
    let schema = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let official = schema(include_str!("fixtures/cyclonedx/bom-1.5.SNAPSHOT.schema.json"));
    let beside = [
        ("spdx.SNAPSHOT.schema.json", schema(include_str!("fixtures/cyclonedx/spdx.SNAPSHOT.schema.json"))),
        (
            "jsf-0.82.SNAPSHOT.schema.json",
            schema(include_str!("fixtures/cyclonedx/jsf-0.82.SNAPSHOT.schema.json")),
        ),
    ];
    let named = beside.map(|(name, schema)| {
        (format!("http://cyclonedx.org/schema/{name}"), Draft::Draft7.create_resource(schema))
    });
    let registry = Registry::new().draft(Draft::Draft7).extend(named).unwrap().prepare().unwrap();
    let validator =
        jsonschema::options().with_draft(Draft::Draft7).with_registry(&registry).build(&official).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(&bill).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let mut altered = bill.clone();
    altered["components"][0]["type"] = "thing".into();
    assert!(!validator.is_valid(&altered), "the schema takes anything");

    let listed: BTreeSet<String> =
        bill["components"].as_array().unwrap().iter().map(|c| c["purl"].to_string()).collect();
    let linked = linked(metadata());
    let missing = |(name, versions): (&String, &BTreeSet<String>)| {
        let purls = versions.iter().map(|v| format!("\"pkg:cargo/{name}@{v}\"")).collect::<Vec<_>>();
        purls.into_iter().filter(|p| name != "latchd" && !listed.contains(p)).collect::<Vec<_>>()
    };
    let missing: Vec<String> = linked.iter().flat_map(missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The tests a page names as [`name`](file).
fn tests_named(page: &str) -> Vec<(String, String)> {
    let links = page.split("[`").skip(1).filter_map(|rest| rest.split_once("`](")?.into());
    let named = links.filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(')')?.0.to_owned())));
    named.collect()
}

#[test]
fn every_test_that_the_page_of_threats_names_is_there() {
    let page = std::fs::read_to_string(root().join("THREATS.md")).unwrap();
    let named = tests_named(&page);
    assert!(named.len() > 25, "only {} were found", named.len());
    let gone = named.iter().filter(|(name, file)| {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        let is_test = !name.contains(['/', '.']);
        text.is_empty() || is_test && !text.contains(&format!("fn {name}()"))
    });
    let gone: Vec<_> = gone.collect();
    assert!(gone.is_empty(), "{gone:#?}");
}
