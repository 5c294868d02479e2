//! `man DIR`: a manual page for every verb, for `latchd` and for its configuration file, for packagers.
//!
//! They are made of what the programs themselves go by (clap's definitions, config/latchd.toml), so that they can't say
//! anything else. No date is in them: the same source gives the same pages.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory};
use latchd::daemon::arguments::Arguments;

use super::{args::Args, failure::Failure};

mod configuration;
mod page;

use page::{Page, Section};

/// What every verb ends with (operator, "latchctl").
const STATUS: [(&str, &str); 6] = [
    ("0", "done"),
    ("1", "refused or failed"),
    ("2", "usage: the command line is wrong, or the two programs don't understand each other"),
    ("3", "daemon not reachable"),
    ("4", "not permitted"),
    ("5", "no such thing: door, reader, credential"),
];
const DAEMON_STATUS: [(&str, &str); 3] = [
    ("0", "told to stop; or, of check, good"),
    ("1", "it could not start, and said why; or, of check, mistakes"),
    ("2", "usage"),
];
const DAEMON_FILES: [(&str, &str); 3] = [
    ("/etc/latchd/latchd.toml", "the configuration, latchd.toml(5)"),
    ("/var/lib/latchd", "the journal, the cache, and the key that hides UIDs (controller.state_dir)"),
    ("/run/latchd/latchd.sock", "the control socket, for latchctl(1) (controller.socket)"),
];
const DAEMON_SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "stop, once boards have confirmed that strikes are off which only the daemon would end",
    ),
    (
        "SIGHUP",
        "read the configuration again: a valid new one is taken up, or the old one stays and the log says why",
    ),
];

/// Writes all pages into a directory, which is made if need be, and says how many.
pub fn write(dir: &Path) -> Result<usize, Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Failure::File { doing: "write", path, error }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let pages = pages();
    for page in &pages {
        let path = dir.join(page.file_name());
        fs::write(&path, page.roff()).map_err(failed(&path))?;
    }
    Ok(pages.len())
}

/// The pages: `latchctl(1)` and one for each verb, `latchd(8)`, `latchd.toml(5)`.
pub fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    let mut tool = Args::command().disable_help_subcommand(true);
    tool.build();
    verbs(&tool, &[], &mut pages);
    let mut daemon = Arguments::command().disable_help_subcommand(true);
    daemon.build();
    pages.push(of_daemon(&daemon));
    pages.push(configuration::page());
    pages
}

/// The page of a verb, then those of its own verbs.
fn verbs(command: &Command, above: &[String], pages: &mut Vec<Page>) {
    let mut page = Page::of(command, "1", "latchctl");
    let own: Vec<&Command> = command.get_subcommands().filter(|c| !c.is_hide_set()).collect();
    page.add(Section::terms("EXIT STATUS", &STATUS));
    page.add(page::examples(command));
    let mut others: Vec<String> = above.to_vec();
    others.extend(own.iter().map(|verb| page::reference(verb, "1")));
    others.extend(["latchd(8)".to_owned(), "latchd.toml(5)".to_owned()]);
    page.add(Section::see_also(&others));
    pages.push(page);
    let mut above = above.to_vec();
    above.push(page::reference(command, "1"));
    own.into_iter().for_each(|verb| verbs(verb, &above, pages));
}

fn of_daemon(command: &Command) -> Page {
    let mut page = Page::of(command, "8", "latchd");
    page.add(Section::terms("SIGNALS", &DAEMON_SIGNALS));
    page.add(Section::terms("FILES", &DAEMON_FILES));
    page.add(Section::terms("EXIT STATUS", &DAEMON_STATUS));
    page.add(page::examples(command));
    page.add(Section::see_also(&["latchctl(1)".into(), "latchd.toml(5)".into(), "systemctl(1)".into()]));
    page
}

#[cfg(test)]
mod tests {
    use std::process::{Command as Process, Stdio};

    use clap::Parser as _;

    use super::*;

    fn every_verb<'a>(command: &'a Command, found: &mut Vec<&'a Command>) {
        found.push(command);
        command.get_subcommands().for_each(|verb| every_verb(verb, found));
    }

    #[test]
    fn there_is_a_page_for_every_verb_and_each_has_all_its_parts() {
        let pages = pages();
        let mut tool = Args::command().disable_help_subcommand(true);
        tool.build();
        let mut verbs = Vec::new();
        every_verb(&tool, &mut verbs);
        assert_eq!(pages.len(), verbs.len() + 2);
        for verb in verbs {
            let name = format!("{}.1", verb.get_display_name().unwrap_or_else(|| verb.get_name()));
            let page = pages.iter().find(|page| page.file_name() == name);
            let text = page.unwrap_or_else(|| panic!("no page {name}")).roff();
            for part in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
            {
                let head = [format!(".SH {part}\n"), format!(".SH \"{part}\"\n")];
                assert!(
                    head.iter().any(|head| text.contains(head)),
                    "{name} has no {part}: add it to its after_help"
                );
            }
        }
        for page in ["latchd.8", "latchd.toml.5"] {
            assert!(pages.iter().any(|p| p.file_name() == page), "{page}");
        }
    }

    /// As a shell would take it apart, for the quotes that examples have.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for c in line.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let mut tool = Args::command();
        tool.build();
        let mut verbs = Vec::new();
        every_verb(&tool, &mut verbs);
        let mut tried = 0;
        for line in verbs.iter().flat_map(|verb| page::example_lines(verb)) {
            // What is before a pipe, a redirection, and what a shell would add.
            for part in line.split(" | ").filter(|part| part.starts_with("latchctl ")) {
                let part = part.split([';', '<', '>', '&', '#']).next().unwrap_or_default();
                let read = Args::try_parse_from(words(part.trim()));
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
                tried += 1;
            }
        }
        assert!(tried >= 20, "only {tried}");
        for line in page::example_lines(&Arguments::command()) {
            let part = line.split(" && ").next().unwrap_or_default();
            assert!(Arguments::try_parse_from(words(part)).is_ok(), "{line}");
        }
    }

    /// What a formatter says against a page, if this machine has one.
    fn complaints(program: &str, arguments: &[&str], text: &str) -> Option<String> {
        let mut formatter = Process::new(program);
        formatter.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut formatter = formatter.spawn().ok()?;
        io::Write::write_all(&mut formatter.stdin.take()?, text.as_bytes()).unwrap();
        let said = formatter.wait_with_output().unwrap();
        assert!(said.status.success(), "{program}: {said:?}");
        Some(String::from_utf8_lossy(&said.stderr).into_owned())
    }

    #[test]
    fn formatters_have_nothing_to_say_against_the_pages() {
        for page in pages() {
            let name = page.file_name();
            if let Some(said) = complaints("groff", &["-man", "-Tutf8", "-ww", "-Kutf8"], &page.roff()) {
                assert_eq!(said, "", "{name}");
            }
            if let Some(said) = complaints("mandoc", &["-T", "lint", "-W", "warning"], &page.roff()) {
                assert_eq!(said, "", "{name}");
            }
        }
    }

    #[test]
    fn a_page_reads_as_it_should() {
        let pages = pages();
        let of = |name: &str| pages.iter().find(|page| page.file_name() == name).unwrap().roff();
        insta::assert_snapshot!("latchctl-door-unlock.1", of("latchctl-door-unlock.1"));
        insta::assert_snapshot!("latchd.8", of("latchd.8"));
    }

    #[test]
    fn pages_are_written_where_they_are_wanted_and_a_directory_that_cannot_be_made_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("usr/share/man");
        let count = write(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), count);
        fs::write(folder.path().join("file"), "").unwrap();
        let failure = write(&folder.path().join("file/man")).unwrap_err();
        assert_eq!(failure.status(), 1);
        assert!(failure.to_string().starts_with("cannot write "), "{failure}");
    }
}
