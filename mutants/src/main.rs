//! Writes all mutants of a source file into it, each behind a question: "are you the one that is switched on?"
//!
//! A mutant is a small change that some test should notice: another operator, a function that returns something else, a
//! match arm less. cargo-mutants lists them, and builds the program anew for each. Here one build holds them all:
//!
//! ```text
//!   a < b        becomes    match mutants::active() { 900017 => a == b, 900018 => a > b, _ => a < b }
//!   fn f() -> T { … }       fn f() -> T { if mutants::active() == 900019 { return Default::default(); } … }
//! ```
//!
//! `latchd-mutants LIST FROM TO [SKIP]`: LIST is what `cargo mutants --list --json` says; every file it names is read below
//! FROM and written below TO, without the mutants whose numbers stand in SKIP (those that do not compile). Prints the
//! number of each mutant that was written, or why it was not.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "Rust has forty kinds of expressions, and most are left as they are"
)]

mod insert;

use std::{collections::BTreeMap, collections::BTreeSet, error::Error, fs, path::Path};

use serde::Deserialize;

use insert::{Inserting, Wanted};

/// A mutant's number on the list is added to this, so that it is found in the text of the program.
pub const FIRST: u32 = 900_000;

#[derive(Debug, Deserialize)]
struct Listed {
    file: String,
    genre: String,
    replacement: String,
    span: Span,
}

#[derive(Debug, Deserialize)]
struct Span {
    start: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, from, to, skip @ ..] = arguments.as_slice() else {
        return Err("usage: latchd-mutants LIST FROM TO [SKIP]".into());
    };
    let listed: Vec<Listed> = serde_json::from_str(&fs::read_to_string(list)?)?;
    let mut skipped = BTreeSet::new();
    for path in skip {
        skipped.extend(fs::read_to_string(path)?.split_whitespace().filter_map(|n| n.parse::<u32>().ok()));
    }
    let mut files: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
    for (number, mutant) in (FIRST..).zip(listed) {
        if !skipped.contains(&number) {
            let Place { line, column } = mutant.span.start;
            let wanted =
                Wanted { number, genre: mutant.genre, replacement: mutant.replacement, line, column };
            files.entry(mutant.file).or_default().push(wanted);
        }
    }
    for (file, wanted) in files {
        let mut parsed = syn::parse_file(&fs::read_to_string(Path::new(from).join(&file))?)?;
        let mut inserting = Inserting::of(wanted);
        inserting.carry_out(&mut parsed);
        fs::write(Path::new(to).join(&file), prettyplease::unparse(&parsed))?;
        for (number, outcome) in inserting.outcomes() {
            println!("{number} {outcome} {file}");
        }
    }
    Ok(())
}
