//! The example that ships: it is good, it shows every key, and what it says are defaults are.

use super::*;

const EXAMPLE: &str = include_str!("../../../../config/latchd.toml");

/// Lines of the example that are commented-out keys, without their `# `.
fn commented_out() -> impl Iterator<Item = &'static str> {
    EXAMPLE.lines().filter_map(|line| line.strip_prefix("#: "))
}

/// The example with everything in it that is commented out.
fn in_full() -> String {
    EXAMPLE.replace("#: ", "")
}

#[test]
fn it_is_good() {
    assert_eq!(said(EXAMPLE), [""; 0]);
}

#[test]
fn it_is_good_with_everything_that_is_commented_out() {
    assert_eq!(said(&in_full()), [""; 0]);
    assert!(commented_out().count() > 5);
}

#[test]
fn it_shows_every_key_there_is() {
    // What each table of the reader knows, it says when it meets a key it does not.
    let probe = |table: &str, text: String| {
        let known =
            said(&text).into_iter().find_map(|p| p.split("expected one of ").nth(1).map(str::to_owned));
        let known = known.unwrap_or_else(|| panic!("{table} says nothing about an unknown key"));
        for key in known.split(", ") {
            let here = in_full().lines().any(|line| {
                let line = line.trim();
                line.starts_with(&format!("{key} ="))
                    || line.contains(&format!("{{ {key} ="))
                    || line.contains(&format!(", {key} ="))
                    || line == format!("[{key}]")
                    || line == format!("[[{key}]]")
                    || line == format!("[[mqtt.{key}]]")
            });
            assert!(here, "{table}'s {key} is not in the example");
        }
    };
    probe("the file", format!("unknown = 1\n{LEAST}"));
    for table in ["clock", "journal", "sync", "metrics", "operators"] {
        probe(table, format!("{LEAST}\n[{table}]\nunknown = 1"));
    }
    for table in ["boards", "doors", "readers"] {
        probe(table, format!("{LEAST}\n[[{table}]]\nunknown = 1"));
    }
    probe("mqtt", format!("{LEAST}\nunknown = 1"));
    probe("trusted_keys", format!("{LEAST}\n[[mqtt.trusted_keys]]\nunknown = 1"));
    probe("controller", LEAST.replace("[controller]", "[controller]\nunknown = 1"));
    probe("fire", format!("{LEAST}\n[fire]\nunknown = 1"));
    probe("the fire input", format!("{LEAST}\n[fire]\ninput = {{ unknown = 1 }}"));
    for part in ["lock", "contact", "rex"] {
        probe(part, format!("{LEAST}\n[[doors]]\n{part} = {{ unknown = 1 }}"));
    }
    for driver in ["pcsc", "pn532", "osdp"] {
        probe(driver, format!("{LEAST}\n[[readers]]\ndriver = \"{driver}\"\nunknown = 1"));
    }
}

#[test]
fn what_it_says_are_defaults_are_the_defaults() {
    let as_written = format!("{:?}", parse(EXAMPLE).unwrap());
    let with_defaults = commented_out().filter(|line| !NO_DEFAULTS.iter().any(|key| line.starts_with(key)));
    let mut text = EXAMPLE.to_owned();
    for line in with_defaults {
        text = text.replacen(&format!("#: {line}"), line, 1);
    }
    assert_eq!(without_places(&format!("{:?}", parse(&text).unwrap())), without_places(&as_written));
}

/// Keys that have no default, or whose absence means something else.
const NO_DEFAULTS: [&str; 4] = ["username", "password_file", "listen", "profile"];

/// A configuration's debug form without the places of values, which differ between the two texts.
fn without_places(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("span: ") {
        kept.push_str(before);
        rest = after.split_once(',').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}
