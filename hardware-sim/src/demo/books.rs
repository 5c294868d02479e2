//! Evening: the books are closed. Everything that was seen one by one during the day must also hold for all of it.

use super::DemoError;
use super::cast::PEOPLE;
use super::config::{DOORS, STRIKE_S};
use super::narrator::holds;
use super::play::{Answer, Play, is_answer, text};
use crate::board::CoilChange;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a strike may last beyond its time.
const STRIKE_SLACK: Duration = Duration::from_millis(200);
/// How long central waits for the last word of a controller that stops.
const FAREWELL_WITHIN: Duration = Duration::from_secs(5);

/// Closes the books, stops the daemon, and looks at what is left.
pub fn close(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("Evening: the books");
    check_journal(play);
    check_doors(play);
    let verified = play.site.tool.json(&["journal", "verify"]).map(drop);
    play.narrator.check("latchctl journal verify", verified.map_err(|error| crate::orders::chain(&error)));
    let status = play.site.tool.json(&["status"]).map(drop);
    play.narrator.check("latchctl status", status.map_err(|error| crate::orders::chain(&error)));
    stop(play);
    check_secrets(play);
    Ok(())
}

/// The answers to taps among events, in order.
#[must_use]
pub fn answers_of(events: &[Value]) -> Vec<Answer> {
    let answer = |event: &Value| Answer {
        kind: text(event, "type").to_owned(),
        door: text(event, "door").to_owned(),
        reason: text(event, "reason").to_owned(),
    };
    events.iter().filter(|event| is_answer(event)).map(answer).collect()
}

fn check_journal(play: &mut Play) {
    let central = &play.site.central;
    let (events, repeats, violations) = (central.events(), central.repeats(), central.violations());
    let numbers: Vec<u64> =
        events.iter().filter_map(|event| event.get("seq").and_then(Value::as_u64)).collect();
    let whole = numbers.iter().copied().eq(1..=events.len() as u64);
    play.narrator.check(
        &format!(
            "central has {} events, 1 to {0}, in order and once each ({repeats} repeats dropped)",
            events.len()
        ),
        holds(whole && !events.is_empty(), || format!("the numbers are {numbers:?}")),
    );
    let said: Vec<String> = violations.iter().map(ToString::to_string).collect();
    play.narrator.check(
        "every event continues the one before it (SHA-256), and every digest agreed",
        holds(said.is_empty(), || said.join("; ")),
    );
    let (answers, expected) = (answers_of(&events), play.answers.clone());
    play.narrator.check(
        &format!("among them the answers to the {} taps, and no other", expected.len()),
        holds(answers == expected, || format!("they are {answers:?}, not {expected:?}")),
    );
}

fn check_doors(play: &mut Play) {
    let history = play.site.board.coil_history();
    for door in DOORS {
        let granted = |answer: &&Answer| answer.door == door.id && answer.kind == "access.granted";
        let opened = play.opened.iter().filter(|opened| *opened == door.id).count();
        let expected = play.answers.iter().filter(granted).count() + opened;
        let rises: Vec<&CoilChange> =
            history.iter().filter(|change| change.coil == door.at && change.on).collect();
        let longest = rises.iter().filter_map(|rise| lasted(rise, &history)).max().unwrap_or_default();
        let limit = Duration::from_secs(u64::from(STRIKE_S)) + STRIKE_SLACK;
        let right = rises.len() == expected && longest <= limit;
        play.narrator.check(
            &format!(
                "{} was released {expected} times, once for each grant or command, for at most {STRIKE_S} s",
                door.name
            ),
            holds(right, || format!("{} times, at most {longest:?}", rises.len())),
        );
    }
}

fn lasted(rise: &CoilChange, history: &[CoilChange]) -> Option<Duration> {
    let fall =
        history.iter().find(|change| change.coil == rise.coil && !change.on && change.at >= rise.at)?;
    Some(fall.at.saturating_duration_since(rise.at))
}

fn stop(play: &mut Play) {
    play.narrator.act("latchd", "is told to stop");
    let stopped = play.site.daemon().map_or(Err("it never ran".to_owned()), super::programs::Daemon::stop);
    let orderly = stopped.and_then(|status| holds(status.success(), || format!("it ended with {status}")));
    play.narrator.check("it ends in good order", orderly);
    let central = &play.site.central;
    let offline = || central.status().filter(|status| status.get("online") == Some(&Value::Bool(false)));
    let heard = crate::wait::until(FAREWELL_WITHIN, offline);
    let seen = holds(heard.is_some(), || format!("its status is {}", central.status().unwrap_or_default()));
    play.narrator.check("central has heard that it is offline", seen);
    let strikes_off = play.site.board.snapshot().0.iter().all(|on| !on);
    play.narrator.check("no strike is energised", holds(strikes_off, || "one is".to_owned()));
}

/// No card's number may have left the controller, or lie on its disk in clear.
fn check_secrets(play: &mut Play) {
    let wire: String = play.site.central.events().iter().map(ToString::to_string).collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for person in PEOPLE.iter().filter(|person| holds_uid(bytes, person.uid)) {
            found.insert(format!("{}'s in {place}", person.name));
        }
    };
    look("the events", wire.as_bytes());
    for file in files_below(&play.site.state_dir()).into_iter().chain([play.site.log_file()]) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        look(&file.display().to_string(), &bytes);
    }
    let found: Vec<String> = found.into_iter().collect();
    play.narrator.check(
        "no card's number is in an event, in the log, or on the controller's disk in clear",
        holds(found.is_empty(), || found.join(", ")),
    );
}

/// As text in either case, or as bytes.
fn holds_uid(bytes: &[u8], uid: &str) -> bool {
    let raw: Vec<u8> =
        uid.parse::<crate::uid::CardUid>().map(|uid| uid.as_bytes().to_vec()).unwrap_or_default();
    let forms = [uid.as_bytes().to_vec(), uid.to_ascii_lowercase().into_bytes(), raw];
    forms
        .iter()
        .filter(|form| !form.is_empty())
        .any(|form| bytes.windows(form.len()).any(|window| window == form))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_found_as_text_and_as_bytes() {
        assert!(holds_uid(b"uid=04a1c0ffee0101;", "04A1C0FFEE0101"));
        assert!(holds_uid(b"\x00\x04\xa1\xc0\xff\xee\x01\x01", "04A1C0FFEE0101"));
        assert!(!holds_uid(b"04A1C0FFEE0102", "04A1C0FFEE0101"));
    }
}
