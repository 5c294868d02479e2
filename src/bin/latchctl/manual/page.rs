//! One page: clap's own parts of it, and ours. Formatters are told in `man` macros (groff_man(7)).

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

/// A manual page.
#[derive(Debug)]
pub struct Page {
    name: String,
    number: &'static str,
    parts: Vec<String>,
}

/// A section of one, as macros.
#[derive(Debug)]
pub struct Section(String);

impl Section {
    /// Terms, and what each means.
    pub fn terms(title: &str, terms: &[(&str, &str)]) -> Self {
        let mut roff = Roff::new();
        roff.control("SH", [title]);
        for (term, meaning) in terms {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*meaning)]);
        }
        Section::of(&roff)
    }

    /// Other pages, such as `latchd(8)`.
    pub fn see_also(pages: &[String]) -> Self {
        let mut roff = Roff::new();
        roff.control("SH", ["SEE ALSO"]);
        let mut line: Vec<Inline> = Vec::new();
        for page in pages {
            let (name, number) = page.split_once('(').unwrap_or((page, ""));
            if !line.is_empty() {
                line.push(roman(", "));
            }
            line.push(bold(name));
            line.push(roman(format!("({number}")));
        }
        roff.text(line);
        Section::of(&roff)
    }

    /// Lines as they stand.
    pub fn literal(title: &str, lines: &[&str]) -> Self {
        let mut roff = Roff::new();
        roff.control("SH", [title]);
        literal(&mut roff, lines);
        Section::of(&roff)
    }

    /// Rendered, so that a quote stays one that a shell takes.
    pub fn of(roff: &Roff) -> Self {
        Section(without_preamble(&roff.render()))
    }
}

/// Lines as they stand, indented.
pub fn literal(roff: &mut Roff, lines: &[&str]) {
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    lines.iter().for_each(|line| {
        roff.text([roman(*line)]);
    });
    roff.control("fi", []);
    roff.control("RE", []);
}

impl Page {
    /// The parts that clap knows, and the notes below a verb's help.
    pub fn of(command: &Command, number: &'static str, program: &str) -> Self {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut page = Page::titled(&name, number, program);
        // The page and not the program: `latchctl-door-show`.
        let man = Man::new(command.clone()).section(number);
        page.render(|to| man.render_name_section(to));
        page.add(synopsis(command));
        page.render(|to| man.render_description_section(to));
        let (notes, _) = after_help(command);
        if !notes.is_empty() {
            let mut roff = Roff::new();
            for paragraph in notes.split("\n\n") {
                roff.control("PP", []);
                paragraph.lines().for_each(|line| {
                    roff.text([roman(line)]);
                });
            }
            page.add(Section::of(&roff));
        }
        page.render(|to| man.render_options_section(to));
        if command.get_subcommands().any(|c| !c.is_hide_set()) {
            page.add(verbs(command, number));
        }
        page
    }

    /// A page with nothing in it yet.
    pub fn titled(name: &str, number: &'static str, program: &str) -> Self {
        // By hand: the crate leaves an empty date out, and the version would be taken for it.
        let (version, preamble) = (env!("CARGO_PKG_VERSION"), Roff::new().render());
        let title = format!(".TH {} {number} \"\" \"{program} {version}\" \"latchd\"\n", name.to_uppercase());
        Page { name: name.to_owned(), number, parts: vec![preamble, title] }
    }

    pub fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.number)
    }

    pub fn add(&mut self, Section(macros): Section) {
        self.parts.push(macros);
    }

    pub fn roff(&self) -> String {
        self.parts.concat()
    }

    /// A part of clap's, without the preamble that each brings.
    fn render(&mut self, part: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) {
        let mut bytes = Vec::new();
        // A vector takes everything.
        if part(&mut bytes).is_ok() {
            self.parts.push(without_preamble(&String::from_utf8_lossy(&bytes)));
        }
    }
}

fn without_preamble(text: &str) -> String {
    text.strip_prefix(&Roff::new().render()).unwrap_or(text).to_owned()
}

/// A verb's page, as other pages name it.
pub fn reference(command: &Command, number: &str) -> String {
    format!("{}({number})", command.get_display_name().unwrap_or_else(|| command.get_name()))
}

/// How it is called, as its help has it.
fn synopsis(command: &Command) -> Section {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    for (n, line) in usage.trim_start_matches("Usage:").lines().map(str::trim).enumerate() {
        if n > 0 {
            roff.control("br", []);
        }
        match line.strip_prefix(name) {
            Some(rest) => roff.text([bold(name), roman(rest)]),
            None => roff.text([roman(line)]),
        };
    }
    Section::of(&roff)
}

/// Those of the tool have pages of their own; those of the daemon are told of here.
fn verbs(command: &Command, number: &str) -> Section {
    let mut roff = Roff::new();
    roff.control("SH", ["VERBS"]);
    for verb in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        roff.control("TP", []);
        roff.text([bold(verb.get_name())]);
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let mut said = vec![roman(about)];
        if number == "1" {
            said.extend([roman("; "), italic(reference(verb, number))]);
        }
        roff.text(said);
    }
    Section::of(&roff)
}

pub fn examples(command: &Command) -> Section {
    let lines = example_lines(command);
    Section::literal("EXAMPLES", &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The examples below a verb's help; of one that has verbs of its own and none itself, theirs.
pub fn example_lines(command: &Command) -> Vec<String> {
    let (_, own) = after_help(command);
    if own.is_empty() { command.get_subcommands().flat_map(example_lines).collect() } else { own }
}

/// What stands below a verb's help: notes, and the lines of its examples. Its exit status has a section of its own.
fn after_help(command: &Command) -> (String, Vec<String>) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (mut notes, mut examples) = (Vec::new(), Vec::new());
    for block in text.split("\n\n") {
        let (head, rest) = block.split_once('\n').unwrap_or((block, ""));
        match head {
            "Example:" | "Examples:" => examples.extend(rest.lines().map(|line| line.trim().to_owned())),
            "Exit status:" | "" => {}
            _ => notes.push(block),
        }
    }
    (notes.join("\n\n"), examples)
}
