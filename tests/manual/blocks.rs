//! The commands of the manual's chapters.

use std::fs;
use std::path::{Path, PathBuf};

/// A line with a prompt, and those that go on with it.
#[derive(Debug, Clone)]
pub struct Command {
    /// `manual/operate.md:31`.
    pub place: String,
    /// `site`, `hand`, `example` or `box`.
    pub kind: String,
    pub text: String,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// All of them, in the order of the chapters' names and of their lines.
pub fn all() -> Vec<Command> {
    let mut chapters: Vec<PathBuf> =
        fs::read_dir(docs().join("manual")).unwrap().map(|entry| entry.unwrap().path()).collect();
    chapters.sort();
    chapters.iter().flat_map(|chapter| of(chapter)).collect()
}

/// Those of one kind in one chapter.
pub fn of_kind(chapter: &str, kind: &str) -> Vec<Command> {
    let all = of(&docs().join("manual").join(chapter));
    all.into_iter().filter(|command| command.kind == kind).collect()
}

fn of(chapter: &Path) -> Vec<Command> {
    let text = fs::read_to_string(chapter).unwrap();
    let name = chapter.strip_prefix(docs()).unwrap().display();
    let (mut commands, mut kind) = (Vec::<Command>::new(), None::<String>);
    let mut goes_on = false;
    for (number, line) in text.lines().map(str::trim_start).enumerate() {
        match (&kind, line.strip_prefix("```"), line.strip_prefix("$ ")) {
            (None, Some(info), _) => {
                kind = info.strip_prefix("console").map(|kind| kind.trim().to_owned()).or(Some("-".into()))
            }
            (Some(_), Some(_), _) => kind = None,
            (Some(kind), None, Some(command)) if kind != "-" => {
                let place = format!("{name}:{}", number + 1);
                commands.push(Command { place, kind: kind.clone(), text: command.to_owned() });
                goes_on = command.ends_with('\\');
            }
            (Some(_), None, None) if goes_on => {
                let last = commands.last_mut().unwrap();
                last.text.push('\n');
                last.text.push_str(line);
                goes_on = line.ends_with('\\');
            }
            _ => {}
        }
    }
    commands
}

#[test]
fn every_block_of_commands_says_who_runs_it() {
    let commands = all();
    assert!(commands.len() > 30, "the manual has {} commands", commands.len());
    for Command { place, kind, text } in commands {
        assert!(["site", "hand", "example", "box"].contains(&kind.as_str()), "{place}: {kind:?}: {text}");
    }
}
