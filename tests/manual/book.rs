//! The manual as a book: it builds, every chapter is in it, and every link in it leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use mdbook_driver::MDBook;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Without `..`, which no file needs to exist for.
fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidied, part| {
        if part == Component::ParentDir {
            tidied.pop();
        } else if part != Component::CurDir {
            tidied.push(part);
        }
        tidied
    })
}

fn files(folder: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|had| had == extension) {
            found.insert(path);
        }
    }
    found
}

/// The targets of a chapter's links, without those of the web.
fn links(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    });
    let targets = prose.flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.filter(|target| !target.contains("://")).collect()
}

/// The name that a heading gets in a page: letters and digits, small, and a dash for each space.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .any(|h| anchor(h.trim_start_matches('#')) == wanted)
}

#[test]
fn the_manual_builds_and_every_document_is_a_chapter_of_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut book = MDBook::load(root().join("docs")).unwrap();
    book.config.build.build_dir = folder.path().to_owned();
    book.build().unwrap();
    let (docs, built) = (root().join("docs"), folder.path());
    for document in files(&docs, "md") {
        let chapter = document.strip_prefix(&docs).unwrap();
        if chapter == Path::new("SUMMARY.md") {
            continue;
        }
        let page = built.join(chapter).with_extension("html");
        assert!(page.is_file(), "docs/{} is not in docs/SUMMARY.md", chapter.display());
    }
    assert!(built.join("index.html").is_file());
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading_that_are_there() {
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(files(&root().join("config"), "md"));
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { document.clone() } else { tidy(&document.parent().unwrap().join(file)) };
            assert!(target.exists(), "{}: {link} leads nowhere", document.display());
            let is_text = target.extension().is_some_and(|had| had == "md");
            if !heading.is_empty() && is_text {
                let there = has_anchor(&fs::read_to_string(&target).unwrap(), heading);
                assert!(there, "{}: {link}: no such heading", document.display());
            }
        }
    }
}
