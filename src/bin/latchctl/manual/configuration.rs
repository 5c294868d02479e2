//! `latchd.toml(5)`, made of the commented configuration that the package installs: one text, two readers.

use clap_mangen::roff::{Roff, bold, roman};

use super::page::{self, Page, Section};

const SAMPLE: &str = include_str!("../../../../config/latchd.toml");

/// A line of the sample.
#[derive(Debug, PartialEq, Eq)]
enum Line<'t> {
    Blank,
    Comment(&'t str),
    /// `[controller]` or `[[doors]]`.
    Table(&'t str),
    /// A key with a value; or, behind `#: `, one with its default.
    Key(&'t str, bool),
}

fn line(text: &str) -> Line<'_> {
    match text.strip_prefix('#') {
        None if text.is_empty() => Line::Blank,
        None if text.starts_with('[') => Line::Table(text),
        None => Line::Key(text, false),
        Some(rest) => match rest.strip_prefix(": ") {
            Some(key) => Line::Key(key, true),
            None => Line::Comment(rest.strip_prefix(' ').unwrap_or(rest)),
        },
    }
}

pub fn page() -> Page {
    let mut page = Page::titled("latchd.toml", "5", "latchd");
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("latchd.toml - the configuration of latchd, the door controller's daemon")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("/etc/latchd/latchd.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "One TOML file. An unknown key, a wrong type, an id that is there twice, a reference to something that is not \
         there: each is an error that names the file, line, key and what was expected, all of them at once, before \
         anything is driven. `latchd check` looks without starting anything. A file is named by a key that ends in \
         _file, so that secrets need not stand in here.",
    )]);
    roff.control("PP", []);
    roff.text([roman("A key that may be left out is, without it, what is shown, or what its text says.")]);
    // What the file says of itself before its first table is said above.
    let tables = SAMPLE.find("\n[").map_or(SAMPLE, |at| SAMPLE.get(at..).unwrap_or_default());
    body(&mut roff, tables);
    page.add(Section::of(&roff));
    page.add(Section::literal(
        "EXAMPLES",
        &["latchd check --config /etc/latchd/latchd.toml", "systemctl reload latchd"],
    ));
    page.add(Section::see_also(&["latchd(8)".into(), "latchctl(1)".into()]));
    page
}

/// The sample's comments and keys. A comment belongs to what follows it; keys that follow each other share one.
fn body(roff: &mut Roff, sample: &str) {
    let mut said: Vec<&str> = Vec::new();
    let mut keys: Vec<(&str, bool)> = Vec::new();
    // The end is one more blank line.
    for text in sample.lines().chain([""]) {
        let line = line(text);
        if !matches!(line, Line::Key(..)) && !keys.is_empty() {
            group(roff, &keys, &said);
            keys.clear();
            said.clear();
        }
        match line {
            Line::Comment(comment) => said.push(comment),
            Line::Key(key, is_default) => keys.push((key, is_default)),
            Line::Table(name) => {
                roff.control("SS", [name]);
                paragraphs(roff, &said);
                said.clear();
            }
            Line::Blank if said.is_empty() => {}
            Line::Blank => {
                roff.control("PP", []);
                paragraphs(roff, &said);
                said.clear();
            }
        }
    }
}

/// Keys, and their text below them.
fn group(roff: &mut Roff, keys: &[(&str, bool)], said: &[&str]) {
    for (n, (key, is_default)) in keys.iter().enumerate() {
        roff.control(if n == 0 { "TP" } else { "TQ" }, []);
        roff.text([bold(*key), roman(if *is_default { " (may be left out)" } else { "" })]);
    }
    paragraphs(roff, said);
}

/// Running text, but for lists that are set by spaces.
fn paragraphs(roff: &mut Roff, lines: &[&str]) {
    let mut list: Vec<&str> = Vec::new();
    let flush = |roff: &mut Roff, list: &mut Vec<&str>| {
        if !list.is_empty() {
            page::literal(roff, list);
            list.clear();
        }
    };
    for line in lines {
        if line.starts_with("  ") {
            list.push(line.trim_start());
            continue;
        }
        flush(roff, &mut list);
        match *line {
            "" => roff.control("sp", []),
            text => roff.text([roman(text)]),
        };
    }
    flush(roff, &mut list);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(line("#: unit = 1"), Line::Key("unit = 1", true));
        assert_eq!(line("id = \"oslo-1\""), Line::Key("id = \"oslo-1\"", false));
        assert_eq!(line("# Where it is."), Line::Comment("Where it is."));
        assert_eq!(line("#"), Line::Comment(""));
        assert_eq!(line("[[doors]]"), Line::Table("[[doors]]"));
        assert_eq!(line(""), Line::Blank);
    }

    #[test]
    fn the_page_has_every_key_of_the_sample_and_a_group_of_keys_shares_its_text() {
        let text = page().roff();
        for key in SAMPLE.lines().filter_map(|l| match line(l) {
            Line::Key(key, _) => key.split(' ').next(),
            Line::Blank | Line::Comment(_) | Line::Table(_) => None,
        }) {
            assert!(text.contains(&format!("\\fB{key} =")), "{key}");
        }
        let mut roff = Roff::new();
        body(&mut roff, "# Text.\n#: a = 1\n#: b = 2\nc = 3\n\n# Alone.\n\n# Of the table.\n[t]\n");
        insta::assert_snapshot!(roff.to_roff(), @r"
        .TP
        \fBa = 1\fR (may be left out)
        .TQ
        \fBb = 2\fR (may be left out)
        .TQ
        \fBc = 3\fR
        Text.
        .PP
        Alone.
        .SS [t]
        Of the table.
        ");
    }
}
