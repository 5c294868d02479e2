//! The layers, kept by reading: who imports whom, who may touch the world, who may attest, and how a file opens.
//!
//! The rules are a function over a file's path and text, so that each can be shown to fail.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the top down: a layer imports from those below it.
const LAYERS: [&str; 5] = ["daemon", "drivers", "control", "wire", "domain"];
/// Layers that know no time, no disk and no network but as values.
const MAY_BE_UNSAFE: [&str; 2] = ["drivers/kernel_clock.rs", "drivers/store/heap.rs"];
const PURE: [&str; 3] = ["control", "wire", "domain"];
const WORLD: [&str; 9] =
    ["tokio", "rumqttc", "sled", "pcsc", "std::fs", "std::net", "std::thread", "Instant::now", "SystemTime"];
const DRIVERS: [&str; 5] = ["reader", "door", "store", "uplink", "metrics"];
const MOST_LINES: usize = 500;

/// What is wrong with a file of `src/`, by its path from there.
fn faults(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let folders: Vec<&str> = path.split('/').collect();
    let layer = LAYERS.iter().position(|l| folders[0].trim_end_matches(".rs") == *l);
    let mut faults = shape(path, text);
    if is_test(&folders) {
        return faults;
    }
    if mentions(&code, "mod tests") {
        faults.push(format!("{path}: has `tests` that are not `#[cfg(test)]`"));
    }
    for import in imports(&code, &folders) {
        let steps: Vec<&str> = import.split("::").collect();
        let target = LAYERS.iter().position(|l| steps[0] == *l);
        if matches!((layer, target), (Some(own), Some(other)) if other < own) {
            faults.push(format!("{path}: imports `{import}`, which lies above it"));
        }
        let driver = |name: &str| DRIVERS.into_iter().find(|d| name.trim_end_matches(".rs") == *d);
        let own = folders.get(1).and_then(|f| driver(f)).filter(|_| folders[0] == "drivers");
        let other = steps.get(1).and_then(|s| driver(s)).filter(|_| steps[0] == "drivers");
        if own.is_some() && other.is_some() && own != other {
            faults.push(format!("{path}: imports `{import}`, another driver"));
        }
    }
    if layer.is_some_and(|own| PURE.contains(&LAYERS[own])) {
        let touched = WORLD.into_iter().filter(|word| mentions(&code, word));
        faults.extend(touched.map(|word| format!("{path}: mentions `{word}`, and is pure")));
    }
    if mentions(&code, "Recorded::attest") && !path.starts_with("drivers/store/") {
        faults.push(format!("{path}: attests what only the journal can know"));
    }
    if mentions(&code, "unsafe") && !MAY_BE_UNSAFE.contains(&path) {
        faults.push(format!("{path}: is unsafe, which only {} may be", MAY_BE_UNSAFE.join(" and ")));
    }
    faults
}

/// What every file must be like, wherever it lies.
fn shape(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{path}: does not open with `//!`: what it is, and why it stands alone"));
    }
    if text.lines().count() > MOST_LINES {
        faults.push(format!("{path}: has more than {MOST_LINES} lines"));
    }
    faults
}

/// Unit tests in a file of their own; `code` sees to it that they are nothing else.
fn is_test(folders: &[&str]) -> bool {
    folders.iter().any(|f| matches!(*f, "tests" | "tests.rs"))
}

/// The text without comments and without its unit tests, which stand last, on one line.
fn code(text: &str) -> String {
    let declared = text.replace("#[cfg(test)]\nmod tests;", "");
    let product = declared.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let bare = |line: &str| line.split("//").next().unwrap_or_default().trim().to_owned();
    product.lines().map(bare).collect::<Vec<_>>().join(" ").replace(" ::", "::").replace(":: ", "::")
}

/// Whether a path or word stands in the code, not as a part of a longer word.
fn mentions(code: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |(at, _): (usize, &str)| {
        !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
    };
    // `std::{fs, net}` is `std::fs` too.
    let listed = word.split_once("::").is_some_and(|(head, tail)| {
        let start = format!("{head}::{{");
        code.match_indices(&start).any(|(at, _)| expand(&code[at..]).iter().any(|p| within(p, head, tail)))
    });
    code.match_indices(word).any(stands) || listed
}

fn within(path: &str, head: &str, tail: &str) -> bool {
    path.strip_prefix(head)
        .and_then(|p| p.strip_prefix("::"))
        .is_some_and(|p| p == tail || p.starts_with(&format!("{tail}::")))
}

/// The paths from the crate's root that a file names: `crate::…` and `super::…`, in imports and in the code.
fn imports(code: &str, folders: &[&str]) -> Vec<String> {
    // Where `self` is: `control/index/mod.rs` and `control/index.rs` are both `control::index`.
    let module: Vec<&str> = folders
        .iter()
        .map(|f| f.trim_end_matches(".rs"))
        .filter(|f| !matches!(*f, "mod" | "lib" | "main"))
        .collect();
    let starts = code
        .match_indices("crate::")
        .chain(code.match_indices("super::"))
        .chain(code.match_indices("latchd::"))
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
    starts.flat_map(|(at, _)| expand(&code[at..])).map(|path| from_root(&path, &module)).collect()
}

/// `super::super::x` as seen from the root.
fn from_root(path: &str, module: &[&str]) -> String {
    let mut steps: Vec<&str> = path.split("::").collect();
    let ups = steps.iter().take_while(|s| **s == "super").count();
    if ups == 0 {
        return steps.split_off(1).join("::");
    }
    let base = &module[..module.len().saturating_sub(ups)];
    [base, &steps[ups..]].concat().join("::")
}

/// The paths a text begins with: `a::{b::{c, d}, e}` is `a::b::c`, `a::b::d` and `a::e`.
fn expand(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (head, rest) = text.split_at(end);
    let Some(list) = rest.strip_prefix('{').filter(|_| head.ends_with("::")) else {
        return vec![head.trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        let ends = depth == 0 && (c == ',' || c == '}');
        if ends {
            let item = list[start..at].trim();
            paths.extend(expand(item).into_iter().filter(|p| !p.is_empty()).map(|p| format!("{head}{p}")));
            start = at + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    paths
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every source file below a folder of the repository, by its path from there.
fn read(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    sources(&root, &mut found);
    found.sort();
    let name = |p: &PathBuf| p.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|p| (name(p), fs::read_to_string(p).unwrap())).collect()
}

#[test]
fn every_file_keeps_to_its_layer() {
    let files = read("src");
    assert!(files.len() > 20, "only {} files were found", files.len());
    let faults: Vec<String> = files.iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_ends_in_sight() {
    let files =
        ["fuzz/src", "fuzz/targets", "fuzz/tests", "hardware-sim", "tests", "benches"].map(read).concat();
    let faults: Vec<String> = files.iter().flat_map(|(path, text)| shape(path, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What of the daemon a file of the simulator uses: nothing, but for the world, whose controller it is.
fn shared(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let is_world = path.starts_with("src/world/");
    let uses = code.contains("latchd::") || code.contains("use latchd ");
    if uses && !is_world {
        vec![format!("{path}: uses the daemon's code, which only the world may")]
    } else {
        Vec::new()
    }
}

#[test]
fn the_simulator_shares_no_code_with_the_daemon_but_in_its_world() {
    let files = read("hardware-sim");
    assert!(files.iter().any(|(path, text)| path.starts_with("src/world/") && text.contains("use latchd::")));
    let faults: Vec<String> = files.iter().flat_map(|(path, text)| shared(path, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert_eq!(shared("src/central/mod.rs", "use latchd::domain::At;").len(), 1);
    assert_eq!(shared("src/central/mod.rs", "use latchd :: domain::At;").len(), 1);
    assert_eq!(shared("src/central/mod.rs", "// as latchd::domain does").len(), 0);
    assert_eq!(shared("src/world/site.rs", "use latchd::domain::At;").len(), 0);
}

fn faults_of(path: &str, line: &str) -> usize {
    faults(path, &format!("//! What it is.\n\n{line}\n")).len()
}

#[test]
fn an_upward_import_is_found_in_every_spelling() {
    assert_eq!(faults_of("domain/at.rs", "use crate::wire::record;"), 1);
    assert_eq!(faults_of("domain/at.rs", "use crate::{domain::At, wire::{record, feed}};"), 2);
    assert_eq!(faults_of("domain/at.rs", "use super::super::control::decide;"), 1);
    assert_eq!(faults_of("control/index/mod.rs", "fn f() { crate::drivers::open() }"), 1);
    assert_eq!(faults_of("control/index/mod.rs", "use super::super::drivers;"), 1);
    assert_eq!(
        faults_of(
            "wire/feed.rs",
            "use crate::{\n    domain::At,\n    control::{\n        index,\n    },\n};"
        ),
        1
    );
    assert_eq!(faults_of("drivers/store/mod.rs", "use crate::daemon::config::Config;"), 1);
    assert_eq!(faults_of("wire/feed.rs", "pub(crate) use latchd::control;"), 1);
}

#[test]
fn imports_downwards_and_sideways_are_none() {
    assert_eq!(faults_of("control/decide.rs", "use crate::{domain::{At, Uid}, wire::Digest};"), 0);
    assert_eq!(faults_of("control/index/mod.rs", "use super::let_in;"), 0);
    assert_eq!(faults_of("domain/at.rs", "// as crate::wire::record does\nuse super::Uid;"), 0);
    assert_eq!(faults_of("main.rs", "use latchd::daemon;"), 0);
    assert_eq!(faults_of("bin/latchctl/main.rs", "use latchd::{wire::control, daemon};"), 0);
    assert_eq!(faults_of("daemon/mod.rs", "use crate::drivers::{store, reader};"), 0);
}

#[test]
fn a_driver_that_knows_another_is_found() {
    assert_eq!(faults_of("drivers/reader/pn532.rs", "use crate::drivers::store::journal;"), 1);
    assert_eq!(faults_of("drivers/reader/pn532.rs", "use super::super::door::Board;"), 1);
    assert_eq!(faults_of("drivers/uplink/mod.rs", "use crate::drivers::{clock, reader::pcsc};"), 1);
    assert_eq!(faults_of("drivers/metrics/measure.rs", "use crate::drivers::{clock, store::cache};"), 1);
    assert_eq!(faults_of("drivers/reader/pn532.rs", "use super::pcsc; use crate::drivers::clock;"), 0);
}

#[test]
fn the_world_in_a_pure_layer_is_found() {
    for word in ["tokio::spawn(f)", "rumqttc::Event", "sled::Db", "pcsc::Context", "std::fs::read(p)"] {
        assert_eq!(faults_of("control/decide.rs", &format!("fn f() {{ {word}; }}")), 1, "{word}");
        assert_eq!(faults_of("drivers/clock.rs", &format!("fn f() {{ {word}; }}")), 0, "{word}");
    }
    assert_eq!(faults_of("wire/feed.rs", "use std::{fmt, net::{Ipv4Addr, IpAddr}, thread};"), 2);
    assert_eq!(faults_of("domain/at.rs", "fn f() { Instant::now(); std::time::SystemTime::now(); }"), 2);
    assert_eq!(faults_of("domain/at.rs", "fn pcsc_like(tokio_s: u8) {} // tokio is not used"), 0);
    assert_eq!(faults_of("domain/at.rs", "#[cfg(test)]\nmod tests { use std::fs; }"), 0);
}

#[test]
fn attesting_outside_the_store_is_found() {
    assert_eq!(faults_of("daemon/loop.rs", "let w = Warrant::Recorded(Recorded::attest(7));"), 1);
    assert_eq!(
        faults_of("drivers/uplink/mod.rs", "use crate::control::Recorded; let r = Recorded::attest(7);"),
        1
    );
    assert_eq!(faults_of("drivers/store/journal.rs", "let r = Recorded::attest(7);"), 0);
    assert_eq!(faults_of("control/controller/tests/walk.rs", "let r = Recorded::attest(7);"), 0);
}

#[test]
fn unsafe_elsewhere_than_where_it_may_be_is_found() {
    let code = "fn f() { unsafe { g() } }";
    assert_eq!(faults_of("drivers/clock.rs", code), 1);
    assert_eq!(MAY_BE_UNSAFE.map(|path| faults_of(path, code)), [0, 0]);
}

#[test]
fn what_only_looks_like_a_test_is_found() {
    let hidden = "#[cfg(test)]\nmod tests;\nuse crate::drivers::store;";
    assert_eq!(faults_of("control/controller/mod.rs", hidden), 1);
    assert_eq!(faults_of("control/controller/mod.rs", "mod tests;"), 1);
    assert_eq!(faults_of("control/controller/mod.rs", "#[cfg(test)]\nmod tests;"), 0);
    assert_eq!(faults_of("domain/at.rs", "#[cfg(test)]\nmod tests { use std::fs; }"), 0);
}

#[test]
fn a_file_without_an_opening_or_an_end_is_found() {
    assert_eq!(shape("a.rs", "use std::fmt;\n").len(), 1);
    assert_eq!(shape("a.rs", &format!("//! A.\n{}", "x\n".repeat(500))).len(), 1);
    assert_eq!(shape("a.rs", &format!("//! A.\n{}", "x\n".repeat(499))).len(), 0);
}
