//! Doors and readers: one entry of each, by itself.

use std::{path::PathBuf, time::Duration};

use toml::de::DeValue;

use super::table::{self, Found, Table};
use crate::control::settings::RelockOn;
use crate::domain::{BoardId, Direction, DoorId, ReaderId, Schedule, ZoneId};
use crate::drivers::reader::osdp;
use crate::wire::record::schedule as schedule_of;

#[derive(Debug, Clone, PartialEq)]
pub struct Door {
    pub id: Found<DoorId>,
    pub name: String,
    pub zones: Vec<ZoneId>,
    pub lock: Lock,
    pub contact: Option<Input>,
    pub rex: Option<Rex>,
    pub held_open: Duration,
    pub pre_alarm: Duration,
    pub relock_on: RelockOn,
    pub building_hours_only: bool,
    pub release_on_fire: Option<Found<bool>>,
    /// Empty: never.
    pub unlock_schedule: Schedule,
    pub first_person_in: bool,
    pub max_stale: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    pub board: Found<BoardId>,
    pub coil: Found<u8>,
    pub strike: Duration,
    pub extended: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub board: Found<BoardId>,
    pub input: Found<u8>,
    pub invert: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rex {
    pub input: Input,
    pub unlocks: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    pub id: Found<ReaderId>,
    pub door: Found<DoorId>,
    pub direction: Direction,
    pub reversed: bool,
    pub driver: ReaderDriver,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ReaderDriver {
    /// A PC/SC reader by name, `*` as in a shell.
    Pcsc { name: String },
    /// A PN532 on a serial line.
    Pn532 { port: Found<PathBuf>, baud: u32 },
    /// An OSDP reader, one of several perhaps on an RS-485 line.
    Osdp {
        port: Found<PathBuf>,
        baud: Found<u32>,
        address: Found<u8>,
        /// Without a key it is spoken to in clear text.
        key_file: Option<PathBuf>,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Pcsc,
    Pn532,
    Osdp,
}

/// What a board's coils and inputs are numbered to: its driver reads 64 at once.
const LAST_CHANNEL: u64 = 63;
/// Longest pulse the flash command can time: 0x7FFF steps of 100 ms.
const LONGEST_STRIKE_S: u64 = 3276;
const AN_INTERVAL: &str = "one such as { days = [\"mon\", \"tue\"], from = \"08:00\", to = \"18:00\" }";
pub const AN_ID: &str = "an id of 1 to 64 characters A-Z a-z 0-9 . _ : -";
/// What readers are set to as they come.
const DEFAULT_OSDP_BAUD: u32 = 9_600;

impl Door {
    pub fn read(table: Table<'_>) -> Option<Door> {
        let id = table.parsed("id", AN_ID, DoorId::new);
        let name = table.text("name", "a text").map(|f| f.value);
        let mut zones = Vec::new();
        for zone in table.texts("zones") {
            match ZoneId::new(&zone.value) {
                Ok(zone) => zones.push(zone),
                Err(error) => table.problem("zones", &zone.span, format!("{error}; expected {AN_ID}")),
            }
        }
        let lock =
            Lock::read(table.needed_table("lock", "a table such as { board = \"board-1\", coil = 0 }"));
        let contact = table.has("contact").then(|| Input::read(table.table("contact"), false)).flatten();
        let rex = table.has("rex").then(|| Input::read(table.table("rex"), true)).flatten();
        let held_open = table.seconds("held_open_s", (1, 86_400), 30);
        let pre_alarm = table.number("pre_alarm_s", (0, 86_400), "a number of seconds");
        if let Some(long) = pre_alarm.as_ref().filter(|p| p.value > 0 && p.value >= held_open.as_secs()) {
            table.problem("pre_alarm_s", &long.span, "is not shorter than held_open_s");
        }
        // Unless it is said: a third of the time, and 10 s at most.
        let pre_alarm = pre_alarm.map_or(held_open.as_secs().div_euclid(3).min(10), |f| f.value);
        let whens = [("open", RelockOn::Open), ("close", RelockOn::Close), ("timer", RelockOn::Timer)];
        let relock_on = choice(&table, "relock_on", &whens).unwrap_or(RelockOn::Open);
        let building_hours_only = table.flag("building_hours_only", false);
        table.ask("release_on_fire", table::Kind::Flag { default: Some(false) }, "true or false");
        let release_on_fire = table.optional("release_on_fire", "true or false", DeValue::as_bool);
        let unlock_schedule = schedule(&table, "unlock_schedule");
        let first_person_in = table.flag("first_person_in", false);
        if first_person_in && unlock_schedule.0.is_empty() {
            table.problem(
                "first_person_in",
                &table.place("first_person_in"),
                "needs an unlock_schedule beside it",
            );
        }
        let max_stale = table.number("max_stale_s", (60, 315_360_000), "a number of seconds");
        table.end();
        let id = id?;
        Some(Door {
            name: name.unwrap_or_else(|| id.value.to_string()),
            id,
            zones,
            lock: lock?,
            contact: contact.map(|(input, _)| input),
            rex: rex.map(|(input, unlocks)| Rex { input, unlocks }),
            held_open,
            pre_alarm: Duration::from_secs(pre_alarm),
            relock_on,
            building_hours_only,
            release_on_fire,
            unlock_schedule,
            first_person_in,
            max_stale: max_stale.map(|f| Duration::from_secs(f.value)),
        })
    }
}

impl Lock {
    fn read(table: Table<'_>) -> Option<Lock> {
        let board = board(&table);
        let coil = channel(&table, "coil");
        // Driven to lock, a board's timed pulse can't hold it, and a dead daemon would leave it open.
        let driven_to_open = |text: &str| match text {
            "secure" => Ok(()),
            "safe" => Err("\"safe\" (driven to lock) needs a board whose outputs the host holds, \
                           which this version can't drive yet; wire the lock to the relay's closed contact"),
            _ => Err("is not known"),
        };
        let is_open = "\"secure\" (driven to open)";
        table.ask("fail", table::Kind::OneOf { values: vec!["secure".into()] }, is_open);
        if table.has("fail") {
            table.parsed("fail", is_open, driven_to_open);
        }
        let strike = table.seconds("strike_s", (1, LONGEST_STRIKE_S), 5);
        let extended = table.number("extended_s", (1, LONGEST_STRIKE_S), "a number of seconds");
        if let Some(short) = extended.as_ref().filter(|e| Duration::from_secs(e.value) < strike) {
            table.problem("extended_s", &short.span, "is shorter than strike_s");
        }
        table.end();
        // Unless it is said, holders who need it get three times as long, as is usual.
        let extended = extended.map_or(strike * 3, |f| Duration::from_secs(f.value));
        Some(Lock {
            board: board?,
            coil: coil?,
            strike,
            extended: extended.min(Duration::from_secs(LONGEST_STRIKE_S)),
        })
    }
}

impl Input {
    /// The fire alarm's, of the table `[fire]`.
    pub fn of_fire(table: &Table<'_>) -> Option<Input> {
        let what = "a table such as { board = \"board-1\", input = 7 }";
        let input = Input::read(table.needed_table("input", what), false);
        table.end();
        input.map(|(input, _)| input)
    }

    /// An input, and of a button whether it unlocks.
    fn read(table: Table<'_>, is_button: bool) -> Option<(Input, bool)> {
        let board = board(&table);
        let input = channel(&table, "input");
        let invert = table.flag("invert", false);
        let unlocks = is_button && table.flag("unlocks", false);
        table.end();
        Some((Input { board: board?, input: input?, invert }, unlocks))
    }
}

fn board(table: &Table<'_>) -> Option<Found<BoardId>> {
    if !table.exists() {
        return None;
    }
    table.parsed("board", "the id of a board", BoardId::new)
}

fn channel(table: &Table<'_>, key: &'static str) -> Option<Found<u8>> {
    let expected = format!("a number, 0 to {LAST_CHANNEL}");
    if !table.has(key) && table.exists() {
        table.problem(key, table.span(), format!("missing; expected {expected}"));
    }
    let found = table.number(key, (0, LAST_CHANNEL), "a number")?;
    Some(Found { value: found.value as u8, span: found.span, key: found.key })
}

impl Reader {
    pub fn read(table: Table<'_>) -> Option<Reader> {
        let id = table.parsed("id", AN_ID, ReaderId::new);
        let door = table.parsed("door", "the id of a door", DoorId::new);
        let direction = choice(&table, "direction", &[("in", Direction::In), ("out", Direction::Out)]);
        let reversed =
            choice(&table, "uid_order", &[("as_read", false), ("reversed", true)]).unwrap_or(false);
        let driver = Reader::driver(&table);
        table.end();
        Some(Reader {
            id: id?,
            door: door?,
            direction: direction.unwrap_or_default(),
            reversed,
            driver: driver?,
        })
    }

    fn driver(table: &Table<'_>) -> Option<ReaderDriver> {
        let known = |text: &str| match text {
            "pcsc" => Ok(Kind::Pcsc),
            "pn532" => Ok(Kind::Pn532),
            "osdp" => Ok(Kind::Osdp),
            _ => Err(format!("{text:?} is not known")),
        };
        let Some(driver) = table.parsed("driver", "\"pcsc\", \"pn532\" or \"osdp\"", known) else {
            // Whose keys these are is not known: they are no mistakes of their own.
            ["name", "port", "baud", "address", "key_file"].iter().for_each(|key| _ = table.has(key));
            return None;
        };
        match driver.value {
            Kind::Pcsc => {
                let not_empty =
                    |text: &str| if text.is_empty() { Err("is empty") } else { Ok(text.to_owned()) };
                let name =
                    table.parsed("name", "a PC/SC reader's name, such as \"ACS ACR1252*\"", not_empty)?;
                Some(ReaderDriver::Pcsc { name: name.value })
            }
            Kind::Pn532 => {
                let port = port(table);
                let baud = table.number_or("baud", (1200, 1_000_000), "bits a second", 115_200) as u32;
                Some(ReaderDriver::Pn532 { port: port?, baud })
            }
            Kind::Osdp => osdp_driver(table),
        }
    }
}

fn port(table: &Table<'_>) -> Option<Found<PathBuf>> {
    let absolute = |text: &str| match text.starts_with('/') {
        true => Ok(PathBuf::from(text)),
        false => Err(format!("{text:?} is not an absolute path")),
    };
    table.parsed("port", "a serial port, such as \"/dev/serial/by-id/usb-…\"", absolute)
}

fn osdp_driver(table: &Table<'_>) -> Option<ReaderDriver> {
    let port = port(table);
    let speeds = osdp::BAUDS.map(|baud| baud.to_string()).join(", ");
    let a_speed = |value: &DeValue<'_>| {
        let baud = value.as_integer()?.as_str().parse().ok()?;
        osdp::BAUDS.contains(&baud).then_some(baud)
    };
    let values = osdp::BAUDS.iter().map(|baud| (*baud).into()).collect();
    table.ask("baud", table::Kind::OneOf { values }, &format!("one of OSDP's speeds: {speeds}"));
    let baud = match table.has("baud") {
        true => table.optional("baud", &format!("one of OSDP's speeds: {speeds}"), a_speed),
        false => Some(Found { value: DEFAULT_OSDP_BAUD, span: table.place("baud"), key: table.key("baud") }),
    };
    let range = (0, u64::from(osdp::LAST_ADDRESS));
    if !table.has("address") {
        let expected = format!("missing; expected the reader's address, 0 to {}", range.1);
        table.problem("address", table.span(), expected);
    }
    let address = table.number("address", range, "an OSDP address");
    let address = address.map(|f| Found { value: f.value as u8, span: f.span, key: f.key });
    let key_file = table.has("key_file").then(|| table.path("key_file", ""));
    Some(ReaderDriver::Osdp { port: port?, baud: baud?, address: address?, key_file })
}

/// A weekly schedule, written as on the wire.
fn schedule(table: &Table<'_>, key: &'static str) -> Schedule {
    let mut whole = Schedule::default();
    for interval in table.tables(key) {
        // An interval without one of them is none.
        let is_missing = |key: &&'static str| interval.exists() && !interval.has(key);
        let missing: Vec<&str> = ["days", "from", "to"].into_iter().filter(is_missing).collect();
        for key in &missing {
            interval.problem(key, interval.span(), format!("missing; expected {AN_INTERVAL}"));
        }
        let days: Vec<String> = interval.texts("days").into_iter().map(|day| day.value).collect();
        let time = |key| interval.text(key, "a time of day, such as \"08:00\"").map(|time| time.value);
        let (from, to) = (time("from"), time("to"));
        interval.end();
        if !missing.is_empty() {
            continue;
        }
        match schedule_of(&serde_json::json!([{ "days": days, "from": from, "to": to }]), key) {
            Ok(own) => whole.0.extend(own.0),
            Err(error) => interval.problem("", interval.span(), format!("{error}; expected {AN_INTERVAL}")),
        }
    }
    whole
}

/// A key with few values; absent is `None`, wrong is a problem.
pub fn choice<T: Copy>(table: &Table<'_>, key: &'static str, values: &[(&str, T)]) -> Option<T> {
    let names: Vec<String> = values.iter().map(|(name, _)| format!("{name:?}")).collect();
    let allowed = values.iter().map(|(name, _)| (*name).into()).collect();
    table.ask(key, table::Kind::OneOf { values: allowed }, &names.join(" or "));
    let pick = |text: &str| values.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    table.optional(key, &names.join(" or "), |v| v.as_str().and_then(pick)).map(|f| f.value)
}

/// A password in an address would stand in the error about it, and from there in a log: it is not repeated.
pub fn without_login(text: &str) -> Result<(), String> {
    if text.contains('@') {
        return Err("has a user name or password in it, which belong into username and password_file".into());
    }
    Ok(())
}

/// Host and port of an address with the scheme given. An IPv6 host is in brackets.
pub fn address(text: &str, scheme: &str, default_port: u16) -> Result<(String, u16), String> {
    without_login(text)?;
    let rest = text
        .strip_prefix(scheme)
        .and_then(|t| t.strip_prefix("://"))
        .ok_or_else(|| format!("{text:?} does not begin with {scheme}://"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("{port:?} is not a port"))?)
        }
        _ => (rest, default_port),
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() || bare.contains(['/', '?', '#', '@', ' ']) || (bare == host && bare.contains(':')) {
        return Err(format!("{host:?} is not a host"));
    }
    Ok((bare.to_owned(), port))
}
