//! The whole file: its sections, and what must hold between them.

use std::{collections::BTreeMap, fmt::Display, net::SocketAddr, ops::Range, path::Path};

use toml::de::DeTable;

use super::{
    Board, Broker, Config, Mqtt, Operators, Problem, board,
    sections::{Door, Input, Reader, ReaderDriver},
    table::{Asked, Found, Problems, Table},
    trust,
};
use crate::{
    domain::{ControllerId, Zone},
    drivers::uplink::keeper::Account,
};

const TEN_YEARS_S: u64 = 315_360_000;

pub fn config(text: &str) -> Result<Config, Vec<Problem>> {
    parsed(text, &mut |_| {})
}

/// What the parser asks for in this text.
pub fn asked(text: &str) -> Vec<Asked> {
    asked_and_found(text).0
}

/// The same, and the mistakes it finds.
pub fn asked_and_found(text: &str) -> (Vec<Asked>, Vec<Problem>) {
    let mut asked = Vec::new();
    let problems = parsed(text, &mut |problems| asked = problems.asked()).err().unwrap_or_default();
    (asked, problems)
}

/// Every key the parser looks for in this text.
#[cfg(test)]
pub fn known(text: &str) -> Vec<String> {
    let mut known = Vec::new();
    _ = parsed(text, &mut |problems| known = problems.known());
    known
}

/// `look`: at what was found, once all was read.
fn parsed(text: &str, look: &mut dyn FnMut(&Problems<'_>)) -> Result<Config, Vec<Problem>> {
    let problems = Problems::new(text);
    let parsed = match DeTable::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            problems.add(&error.span().unwrap_or(0..0), "", format!("not TOML: {}", error.message().trim()));
            return Err(problems.sorted());
        }
    };
    let config = sections(&Table::root(&problems, &parsed), &problems);
    look(&problems);
    let found = problems.sorted();
    match config {
        Some(config) if found.is_empty() => Ok(config),
        _ => Err(found),
    }
}

fn sections(root: &Table<'_>, problems: &Problems<'_>) -> Option<Config> {
    let controller = root.needed_table("controller", "a table [controller] with id and time_zone");
    let id = controller.parsed("id", "1 to 64 characters a-z 0-9 -", ControllerId::new);
    let zone =
        controller.parsed("time_zone", "an IANA time zone such as \"Europe/Oslo\"", str::parse::<Zone>);
    let state_dir = controller.path("state_dir", "/var/lib/latchd");
    let socket = controller.path("socket", "/run/latchd/latchd.sock");
    controller.end();
    let mqtt = mqtt(root.needed_table("mqtt", "a table [mqtt] with url"));
    let clock = root.table("clock");
    let require_sync = clock.flag("require_sync", true);
    let holdover = clock.seconds("holdover_s", (0, TEN_YEARS_S), 604_800);
    clock.end();
    let journal = root.table("journal");
    let keep = journal.seconds("keep_s", (3600, TEN_YEARS_S), 7_776_000);
    let max_events = journal.number_or("max_events", (1000, 1_000_000_000), "a number of events", 5_000_000);
    let release_wait = journal.number_or("release_wait_ms", (1, 10_000), "a number of milliseconds", 20);
    journal.end();
    let sync = root.table("sync");
    let stale_after = sync.seconds("stale_after_s", (60, TEN_YEARS_S), 86_400);
    sync.end();
    let metrics = metrics(&root.table("metrics"));
    let boards: Vec<Board> = root.tables("boards").into_iter().filter_map(Board::read).collect();
    let doors: Vec<Door> = root.tables("doors").into_iter().filter_map(Door::read).collect();
    let readers: Vec<Reader> = root.tables("readers").into_iter().filter_map(Reader::read).collect();
    let fire = root.has("fire").then(|| Input::of_fire(&root.table("fire"))).flatten();
    let operators = Operators::read(&root.table("operators"));
    root.end();
    let declared = Declared { boards: root.ids("boards"), doors: root.ids("doors") };
    cross_check(&boards, &doors, &readers, fire.as_ref(), problems);
    references(&doors, &readers, fire.as_ref(), &declared, problems);
    if !root.has("fire") {
        without_fire(&doors, problems);
    }
    Some(Config {
        controller: id?.value,
        zone: zone?.value,
        state_dir,
        socket,
        mqtt: mqtt?,
        require_sync,
        holdover,
        keep,
        max_events,
        release_wait: std::time::Duration::from_millis(release_wait),
        stale_after,
        metrics,
        boards,
        doors,
        readers,
        fire,
        operators,
    })
}

fn mqtt(table: Table<'_>) -> Option<Mqtt> {
    let broker = Broker::read(&table);
    let username = table.text("username", "a text").map(|f| f.value);
    let password_file = table.has("password_file").then(|| table.path("password_file", ""));
    if password_file.is_some() && username.is_none() {
        table.problem("password_file", &table.place("password_file"), "needs a username beside it");
    }
    let session_expiry_s =
        table.number_or("session_expiry_s", (0, 0xFFFF_FFFE), "a number of seconds", 604_800);
    // Below five seconds a busy link would look dead; above, a dead one alive for too long.
    let keep_alive = table.seconds("keep_alive_s", (5, 3600), 30);
    let trust = trust::read(&table);
    table.end();
    let account = username.map(|username| Account { username, password_file });
    let session_expiry_s = session_expiry_s as u32;
    Some(Mqtt { broker: broker?, account, session_expiry_s, keep_alive, trust: trust? })
}

/// Where the metrics are served: an address of this box, not a name, which could turn out to be another's.
fn metrics(table: &Table<'_>) -> Option<SocketAddr> {
    let expected = "an IP address of this box and a port, such as \"127.0.0.1:9184\"";
    let address = |text: &str| match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err("port 0 is none that Prometheus could find".to_owned()),
        Err(_) => Err(format!("{text:?} is not one")),
    };
    let listen = table.has("listen").then(|| table.parsed("listen", expected, address)).flatten();
    table.end();
    listen.map(|found| found.value)
}

/// Nothing is named twice, and nothing is used twice.
fn cross_check(
    boards: &[Board],
    doors: &[Door],
    readers: &[Reader],
    fire: Option<&Input>,
    problems: &Problems<'_>,
) {
    unique(problems, "board", boards.iter().map(|b| named(&b.id)));
    board::share_lines(boards, problems);
    board::have_channels(boards, doors, problems);
    unique(problems, "door", doors.iter().map(|d| named(&d.id)));
    unique(problems, "reader", readers.iter().map(|r| named(&r.id)));
    let coil =
        |d: &Door| named_as(&d.lock.coil, format!("{} coil {}", d.lock.board.value, d.lock.coil.value));
    unique(problems, "strike on board", doors.iter().map(coil));
    let input = |i: &Input| named_as(&i.input, format!("{} input {}", i.board.value, i.input.value));
    let buttons = |d: &Door| d.rex.clone().map(|r| r.input);
    let inputs = doors.iter().flat_map(|d| d.contact.clone().into_iter().chain(buttons(d)));
    unique(problems, "use of board", inputs.chain(fire.cloned()).map(|i| input(&i)));
    let port = |r: &Reader| match &r.driver {
        ReaderDriver::Pn532 { port, .. } => Some(named_as(port, port.value.display().to_string())),
        ReaderDriver::Pcsc { .. } | ReaderDriver::Osdp { .. } => None,
    };
    unique(problems, "reader on", readers.iter().filter_map(port));
    lines(problems, readers);
    boards_lines(problems, boards, readers);
}

/// OSDP readers share a port: each with its own address, all at one speed, and with nobody of another kind.
fn lines(problems: &Problems<'_>, readers: &[Reader]) {
    let mut addresses = Vec::new();
    let mut first: BTreeMap<&Path, &Found<u32>> = BTreeMap::new();
    for reader in readers {
        let ReaderDriver::Osdp { port, baud, address, .. } = &reader.driver else { continue };
        let place = port.value.display();
        addresses.push(named_as(address, format!("{} on {place}", address.value)));
        let before = *first.entry(&port.value).or_insert(baud);
        if before.value != baud.value {
            let message = format!("{} on {place}, where another has {}", baud.value, before.value);
            problems.add(&baud.span, baud.key.clone(), message);
        }
    }
    unique(problems, "OSDP reader with address", addresses.into_iter());
    for reader in readers {
        if let ReaderDriver::Pn532 { port, .. } = &reader.driver
            && first.contains_key(port.value.as_path())
        {
            let message = format!("{} is a line of OSDP readers", port.value.display());
            problems.add(&port.span, port.key.clone(), message);
        }
    }
}

/// No reader is on a line of boards.
fn boards_lines(problems: &Problems<'_>, boards: &[Board], readers: &[Reader]) {
    let lines: Vec<(&str, String)> = boards.iter().filter_map(Board::serial_port).collect();
    let ports = readers.iter().filter_map(|reader| match &reader.driver {
        ReaderDriver::Pn532 { port, .. } | ReaderDriver::Osdp { port, .. } => Some(port),
        ReaderDriver::Pcsc { .. } => None,
    });
    for found in ports {
        if let Some((_, board)) = lines.iter().find(|(path, _)| found.value.as_os_str() == *path) {
            let port = found.value.display();
            problems.add(&found.span, found.key.clone(), format!("{port} is the line of board {board}"));
        }
    }
}

/// The ids in the file, of entries with other mistakes too: one mistake must not look like two.
struct Declared<'a> {
    boards: Vec<&'a str>,
    doors: Vec<&'a str>,
}

/// What is named must be there.
fn references(
    doors: &[Door],
    readers: &[Reader],
    fire: Option<&Input>,
    declared: &Declared<'_>,
    problems: &Problems<'_>,
) {
    let named_boards = doors.iter().flat_map(|d| {
        let contact = d.contact.iter().map(|c| &c.board);
        contact.chain(d.rex.iter().map(|r| &r.input.board)).chain([&d.lock.board])
    });
    for board in named_boards.chain(fire.map(|input| &input.board)) {
        exists(problems, "board", &board.key, &board.span, board.value.as_str(), &declared.boards);
    }
    for reader in readers {
        let door = &reader.door;
        exists(problems, "door", &door.key, &door.span, door.value.as_str(), &declared.doors);
    }
}

/// A door that waits for an alarm which never comes is a mistake that would be found in a fire.
fn without_fire(doors: &[Door], problems: &Problems<'_>) {
    for marked in doors.iter().filter_map(|d| d.release_on_fire.as_ref()).filter(|found| found.value) {
        problems.add(&marked.span, marked.key.clone(), "needs a table [fire] with the alarm's input");
    }
}

fn exists(problems: &Problems<'_>, what: &str, key: &str, span: &Range<usize>, name: &str, known: &[&str]) {
    if !known.contains(&name) {
        let known = if known.is_empty() { "none is configured".into() } else { known.join(", ") };
        problems.add(span, key, format!("there is no {what} {name:?}; expected one of: {known}"));
    }
}

/// A thing by its name, and where it stands.
type Named = (String, Range<usize>, String);

fn named<T: Display>(found: &Found<T>) -> Named {
    named_as(found, found.value.to_string())
}

fn named_as<T>(found: &Found<T>, name: String) -> Named {
    (name, found.span.clone(), found.key.clone())
}

fn unique(problems: &Problems<'_>, what: &str, things: impl Iterator<Item = Named>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (name, span, key) in things {
        match first.get(&name) {
            Some(before) => {
                problems.add(&span, key, format!("a second {what} {name}; the first is {before}"))
            }
            None => _ = first.insert(name, key),
        }
    }
}
