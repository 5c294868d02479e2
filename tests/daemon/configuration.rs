//! The configuration file: every mistake at once, with its place, before anything is driven.

use std::fs;

use serde_json::json;

use crate::site::daemon::Daemon;
use crate::site::{Builder, Site};

/// A good file's line, what becomes of it, the key that must be named.
const MISTAKES: [(&str, &str, &str); 9] = [
    ("time_zone = \"Europe/Oslo\"", "time_zone = \"Europe/Olso\"", "time_zone"),
    ("allow_unsigned = true", "allow_unsigned = \"yes\"", "allow_unsigned"),
    ("timeout_ms = 500", "timeout_ms = 500\nshiny = true", "shiny"),
    ("pulse = \"flash\"", "pulse = \"flahs\"", "pulse"),
    ("id = \"floor-2\"", "id = \"entrance\"", "id"),
    ("lock = { board = \"board-1\", coil = 2,", "lock = { board = \"board-1\", coil = 0,", "coil"),
    ("contact = { board = \"board-1\", input = 6 }", "contact = { board = \"board-7\", input = 6 }", "board"),
    ("door = \"room-4\"", "door = \"room-44\"", "door"),
    ("driver = \"pn532\"", "driver = \"pn533\"", "driver"),
];

/// Where the changed text stands: for the added key, on the line after.
fn line_of(text: &str, wrong: &str) -> usize {
    let at = text.rfind(wrong).unwrap() + wrong.rfind('\n').map_or(0, |end| end + 1);
    text[..at].lines().count() + usize::from(text[..at].ends_with('\n') || at == 0)
}

#[test]
fn every_mistake_is_said_at_once_with_its_line_and_key_and_nothing_is_driven() {
    let site = MISTAKES
        .iter()
        .fold(Builder::new().unsigned(), |site, (good, bad, _)| site.edit_once(good, bad))
        .prepared();
    let file = site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    for arguments in [&["check"][..], &[]] {
        let output = site.daemon.refuses(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        for (_, bad, key) in &MISTAKES {
            let line = line_of(&text, bad);
            let place = format!("{name}:{line}");
            let told = said.lines().any(|said| said.contains(&place) && said.contains(key));
            assert!(told, "no word of {key} at {place} (for {bad:?}) in:\n{said}\n{text}");
        }
    }
    assert_eq!(site.board.frames(), 0, "the board was asked something all the same");
    assert!(!site.daemon.socket().exists());
}

#[test]
fn a_good_file_passes_the_check_and_a_missing_or_unreadable_one_does_not() {
    let site = Builder::new().prepared();
    let output = site.daemon.refuses(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.board.frames(), 0, "a check drives and asks nothing");
    fs::write(site.daemon.config_path(), "[controller\nid = 3").unwrap();
    let output = site.daemon.refuses(&["check"]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("latchd.toml:1"), "{said}");
    fs::remove_file(site.daemon.config_path()).unwrap();
    let output = site.daemon.refuses(&["check"]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("latchd.toml"), "{said}");
}

#[test]
fn plain_messages_are_taken_only_where_the_file_says_so() {
    let site = Builder::new().unsigned().edit("allow_unsigned = true", "allow_unsigned = false").prepared();
    let output = site.daemon.refuses(&["check"]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("allow_unsigned"), "{said}");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on() {
    let site = Site::running();
    let elsewhere = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(site.daemon.config_path()).unwrap();
    let socket = |folder: &std::path::Path| format!("{:?}", folder.join("latchd.sock"));
    let text = text.replace(&socket(site.folder.path()), &socket(elsewhere.path()));
    let output = Daemon::prepare(elsewhere.path(), &text, None).refuses(&[]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(site.state_dir().to_str().unwrap()), "it does not name the directory: {said}");
    assert_eq!(site.ask(&["sync"])["connected"], json!(true));
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
    // Nor does one with a state of its own take the socket from it.
    let state = |folder: &std::path::Path| format!("{:?}", folder.join("state"));
    let text = fs::read_to_string(site.daemon.config_path()).unwrap();
    let text = text.replace(&state(site.folder.path()), &state(elsewhere.path()));
    let output = Daemon::prepare(elsewhere.path(), &text, None).refuses(&[]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another program answers at the control socket"), "{said}");
    assert_eq!(site.ask(&["sync"])["connected"], json!(true));
}
