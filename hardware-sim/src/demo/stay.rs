//! `--stay`: the site stays up, and takes orders: from `latch-sim tap`, over a socket in a place that command knows, and
//! from the keyboard.

use super::DemoError;
use super::cast::{PEOPLE, named};
use super::config::{DOORS, Door};
use super::interrupt::Interrupt;
use super::narrator::Narrator;
use super::play::{is_answer, text};
use super::site::Site;
use crate::central::verb::orders;
use crate::orders::{Handler, OrderSocket, from_stdin};
use crate::uid::CardUid;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long an answer to a tap may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long a person holds a door open.
const OPEN_FOR: Duration = Duration::from_secs(2);
/// How long a person holds the exit button.
const REX_HOLD: Duration = Duration::from_millis(500);

/// The socket of the one demo of this user that stays up.
///
/// # Errors
/// The folder it lies in can't be made, or belongs to somebody else.
pub fn socket_path() -> Result<PathBuf, DemoError> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("latch-sim-{user}"));
    let failed = |source| DemoError::Folder { path: folder.clone(), source };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(&folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != user {
        return Err(failed(io::Error::other("it is not this user's folder; remove it")));
    }
    Ok(folder.join("demo.sock"))
}

/// Keeps the site up until told to stop.
///
/// # Errors
/// Another demo stays up already.
pub fn stay(site: Site, narrator: &Narrator, interrupt: &Interrupt) -> Result<(), DemoError> {
    let path = socket_path()?;
    describe(&site, narrator);
    let site = Arc::new(Mutex::new(site));
    let ordered = Arc::downgrade(&site);
    let handler: Handler = Arc::new(move |line| order(&ordered, line));
    let _socket = OrderSocket::open(&path, Arc::clone(&handler))?;
    from_stdin(handler)?;
    interrupt.wait();
    narrator.line("\nstopping the site");
    Ok(())
}

fn describe(site: &Site, narrator: &Narrator) {
    let Site { tool, .. } = site;
    let latchctl = format!("{} --socket {}", tool.program.display(), tool.socket.display());
    narrator.heading("The site stays up until Ctrl-C. In another terminal:");
    for verb in ["status", "doors", "events --follow", "explain --door room-4 --credential c-ada"] {
        narrator.line(&format!("  {latchctl} {verb}"));
    }
    let sim = tool.program.with_file_name("latch-sim");
    for what in ["tap --reader room-4-in --who ada", "tap --reader entrance-in --uid 04DEADBEEF0707"] {
        narrator.line(&format!("  {} {what}", sim.display()));
    }
    let people: Vec<String> = PEOPLE.iter().map(|person| format!("{} {}", person.name, person.uid)).collect();
    narrator.line(&format!("  people: {}", people.join(", ")));
    narrator.line(&format!("  configuration and log: {}", site.folder().display()));
    narrator.line(
        "Or type an order here: tap READER UID|NAME, walk DOOR, rex DOOR, force DOOR, broker stop|start,",
    );
    narrator.line("  or one of latch-sim central's: book room room-4 m-ada now 1h, cancel g-ada, status, …");
}

fn order(site: &Weak<Mutex<Site>>, line: &str) -> Result<String, String> {
    let site = site.upgrade().ok_or("the site is being taken down")?;
    let mut site = site.lock().unwrap_or_else(PoisonError::into_inner);
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["tap", reader, card] => tap(&site, reader, card),
        ["walk", door] => match site.board.walk_through(place(door)?, OPEN_FOR) {
            Ok(walk) => Ok(format!("{walk:?}").to_lowercase()),
            Err(error) => Err(crate::orders::chain(&error)),
        },
        ["rex", door] => said(site.board.press_rex(place(door)?, REX_HOLD)),
        ["force", door] => said(site.board.force_open(place(door)?, OPEN_FOR)),
        ["broker", "stop"] => {
            site.stop_broker();
            Ok(String::new())
        }
        ["broker", "start"] => said(site.start_broker()),
        _ => orders::carry_out(&site.central, line),
    }
}

fn said<E: std::error::Error + 'static>(result: Result<(), E>) -> Result<String, String> {
    result.map(|()| String::new()).map_err(|error| crate::orders::chain(&error))
}

fn place(door: &str) -> Result<usize, String> {
    let found = DOORS.iter().find(|known| known.id == door);
    found.map(|door| usize::from(door.at)).ok_or_else(|| {
        let known: Vec<&str> = DOORS.iter().map(|door| door.id).collect();
        format!("no door {door} here; there are {}", known.join(", "))
    })
}

/// Holds a card to a reader until it has been answered, and says the answer.
fn tap(site: &Site, reader: &str, card: &str) -> Result<String, String> {
    let uid: CardUid = match named(card) {
        Some(person) => person.uid.parse(),
        None => card.parse(),
    }
    .map_err(|error: crate::uid::UidError| error.to_string())?;
    let door = door_of(reader)?;
    let (mark, now) = (site.central.mark(), crate::time::now());
    let held = site.readers.hold(door, &uid).map_err(|error| crate::orders::chain(&error))?;
    let answer = |event: &serde_json::Value| is_answer(event) && text(event, "reader") == reader;
    let heard = site.central.wait_for_event_after(mark, answer, ANSWER_WITHIN);
    drop(held);
    match heard {
        Some(event) => Ok(format!("{} at {}: {}", text(&event, "type"), door.name, text(&event, "reason"))),
        None if site.board.wait_for_coil_change(now, door.at, true, Duration::ZERO).is_some() => {
            Ok(format!("{} is released; central has not heard of it", door.name))
        }
        None => Ok(format!("{} stays shut, and central has heard nothing of it", door.name)),
    }
}

fn door_of(reader: &str) -> Result<Door, String> {
    DOORS.into_iter().find(|door| door.reader == reader).ok_or_else(|| {
        let known: Vec<&str> = DOORS.iter().map(|door| door.reader).collect();
        format!("no reader {reader} here; there are {}", known.join(", "))
    })
}
