//! A relay board: where its line is, what kind it is, and what must hold between boards that share a line.

use std::time::Duration;

use super::{
    Door,
    sections::{AN_ID, address},
    table::{Found, Kind, Problems, Table},
};
use crate::{
    domain::BoardId,
    drivers::door::modbus::{Address, Parity, Pulse, Serial},
};

#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    pub id: Found<BoardId>,
    pub url: Found<String>,
    /// Boards with the same one share it.
    pub line: Address,
    pub unit: Found<u8>,
    pub coil_base: u16,
    pub input_base: u16,
    pub pulse: Pulse,
    pub write_many: bool,
    pub timeout: Duration,
    pub poll: Duration,
    profile: Option<&'static Profile>,
}

/// A kind of board: what its maker's manual says of it. `config/boards` tells how to wire each.
#[derive(Debug, PartialEq)]
struct Profile {
    name: &'static str,
    coils: u8,
    inputs: u8,
    coil_base: u16,
    input_base: u16,
    /// None: it times no pulses.
    flash_base: Option<u16>,
    write_many: bool,
}

const PROFILES: [Profile; 3] = [
    Profile {
        name: "waveshare-8",
        coils: 8,
        inputs: 8,
        coil_base: 0,
        input_base: 0,
        flash_base: Some(0x0200),
        write_many: true,
    },
    Profile {
        name: "waveshare-16",
        coils: 16,
        inputs: 16,
        coil_base: 0,
        input_base: 0,
        flash_base: Some(0x0200),
        write_many: true,
    },
    Profile {
        name: "plain",
        coils: CHANNELS_MAX,
        inputs: CHANNELS_MAX,
        coil_base: 0,
        input_base: 0,
        flash_base: None,
        write_many: true,
    },
];

const CHANNELS_MAX: u8 = 64;
const MODBUS_PORT: u16 = 502;
/// Where Waveshare's boxes carry RTU.
const RTU_PORT: u16 = 4196;
/// Of a bus that takes turns: others wait for a board that does not answer, and inputs are to be seen within 400 ms.
const SERIAL_TIMEOUT_MS: u64 = 75;
const TIMEOUT_MS: u64 = 500;
/// How soon a change of an input is seen on a line that many boards share.
const SEEN_WITHIN: Duration = Duration::from_millis(400);
/// The last address at which 64 channels still have one each.
const LAST_BASE: u64 = 0xFFFF - 63;
const A_LINE: &str =
    "modbus+tcp://HOST:PORT, modbus+rtutcp://HOST:PORT or modbus+rtu:///dev/ttyUSB0?baud=9600&parity=none";

impl Board {
    pub fn read(table: Table<'_>) -> Option<Board> {
        let id = table.parsed("id", AN_ID, BoardId::new);
        let url = table.parsed("url", A_LINE, |text| line(text).map(|line| (text.to_owned(), line)));
        let is_rtu = url.as_ref().is_some_and(|url| !matches!(url.value.1, Address::Tcp(_)));
        // On a bus, 0 is everybody, and what is above 247 is reserved (MODBUS over Serial Line 1.02 §2.2).
        let units = if is_rtu { (1, 247) } else { (0, 255) };
        let unit = table.number("unit", units, "a Modbus unit");
        let unit = match unit {
            Some(found) => Found { value: found.value as u8, span: found.span, key: found.key },
            None => Found { value: 1, span: table.span().clone(), key: table.key("unit") },
        };
        let profile = profile(&table);
        let base = |key, of: fn(&Profile) -> u16| {
            table.number_or(key, (0, LAST_BASE), "an address", u64::from(profile.map_or(0, of))) as u16
        };
        let coil_base = base("coil_base", |p| p.coil_base);
        let input_base = base("input_base", |p| p.input_base);
        let pulse = pulse(&table, profile);
        let write_many = table.flag("write_many", profile.is_none_or(|p| p.write_many));
        let is_serial = url.as_ref().is_some_and(|url| matches!(url.value.1, Address::Serial(_)));
        let patience = if is_serial { SERIAL_TIMEOUT_MS } else { TIMEOUT_MS };
        let timeout = table.number_or("timeout_ms", (10, 10_000), "a number of milliseconds", patience);
        let poll = table.number_or("poll_ms", (10, 10_000), "a number of milliseconds", 100);
        table.end();
        let Found { value: (text, line), span, key } = url?;
        Some(Board {
            id: id?,
            url: Found { value: text, span, key },
            line,
            unit,
            coil_base,
            input_base,
            pulse: pulse?,
            write_many,
            timeout: Duration::from_millis(timeout),
            poll: Duration::from_millis(poll),
            profile,
        })
    }

    /// How many inputs its maker gave it, where that is known.
    pub fn inputs(&self) -> Option<u8> {
        self.profile.map(|profile| profile.inputs).filter(|&inputs| inputs < CHANNELS_MAX)
    }

    /// How soon a change of one of its inputs is seen. A command may go between two polls, and other boards do.
    pub fn seen_within(&self) -> Duration {
        match self.line {
            Address::Tcp(_) => self.poll * 2,
            Address::RtuOverTcp(_) | Address::Serial(_) => (self.poll * 2).max(SEEN_WITHIN),
        }
    }

    /// The serial port it is on, and its id.
    pub fn serial_port(&self) -> Option<(&str, String)> {
        match &self.line {
            Address::Serial(serial) => Some((&serial.path, self.id.value.to_string())),
            Address::Tcp(_) | Address::RtuOverTcp(_) => None,
        }
    }
}

fn profile(table: &Table<'_>) -> Option<&'static Profile> {
    let named = |text: &str| PROFILES.iter().find(|profile| profile.name == text);
    let names: Vec<String> = PROFILES.iter().map(|profile| format!("{:?}", profile.name)).collect();
    let values = PROFILES.iter().map(|profile| profile.name.into()).collect();
    table.ask("profile", Kind::OneOf { values }, &names.join(" or "));
    let found = table.optional("profile", &names.join(" or "), |v| v.as_str().and_then(named));
    found.map(|found| found.value)
}

/// Who ends pulses. The board, unless it is said that it can't.
fn pulse(table: &Table<'_>, profile: Option<&Profile>) -> Option<Pulse> {
    const EXPECTED: &str = "\"flash\" (the board times the pulse) or \"host\" (the daemon ends it; only where the board has an output watchdog)";
    let by_host = |text: &str| match text {
        "flash" => Ok(false),
        "host" => Ok(true),
        _ => Err(format!("{text:?} is not known")),
    };
    let has_no_timer = profile.is_some_and(|profile| profile.flash_base.is_none());
    table.ask("pulse", Kind::OneOf { values: vec!["flash".into(), "host".into()] }, EXPECTED);
    let said = table.has("pulse").then(|| table.parsed("pulse", EXPECTED, by_host));
    let base = table.number("flash_base", (0, LAST_BASE), "a coil address");
    match said {
        Some(Some(host)) if host.value => {
            if let Some(base) = base {
                table.add(&base, "is for pulse = \"flash\" only");
            }
            Some(Pulse::Host)
        }
        Some(None) => None,
        Some(Some(_)) | None => {
            if has_no_timer && base.is_none() {
                let place = if table.has("pulse") { "pulse" } else { "profile" };
                table.problem(
                    place,
                    &table.place(place),
                    "a plain board times no pulses, so a strike would stay driven if the daemon died; \
                     expected pulse = \"host\" beside it, if the board has an output watchdog",
                );
                return None;
            }
            let default = profile.and_then(|profile| profile.flash_base).unwrap_or(0x0200);
            Some(Pulse::Flash { base: base.map_or(default, |base| base.value as u16) })
        }
    }
}

/// A line's address.
fn line(text: &str) -> Result<Address, String> {
    let at = |(host, port): (String, u16)| {
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    };
    if let Some(rest) = text.strip_prefix("modbus+rtu://") {
        return serial(rest).map(Address::Serial);
    }
    if text.starts_with("modbus+rtutcp:") {
        return address(text, "modbus+rtutcp", RTU_PORT).map(at).map(Address::RtuOverTcp);
    }
    if text.starts_with("modbus+tcp:") {
        return address(text, "modbus+tcp", MODBUS_PORT).map(at).map(Address::Tcp);
    }
    Err(format!("{text:?} begins with no kind of line that is known"))
}

fn serial(text: &str) -> Result<Serial, String> {
    let (path, settings) = text.split_once('?').unwrap_or((text, ""));
    if !path.starts_with('/') || path.len() < 2 {
        return Err(format!("{path:?} is not an absolute path of a serial port"));
    }
    let mut serial = Serial { path: path.to_owned(), baud: 9600, parity: Parity::None, stop_bits: 1 };
    let mut seen = Vec::new();
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        if seen.contains(&key) {
            return Err(format!("{key} is there twice"));
        }
        seen.push(key);
        let is_not = |expected: &str| format!("{key}={value} is not {expected}");
        match key {
            "baud" => {
                let baud = value.parse().ok().filter(|baud| (1200..=1_000_000).contains(baud));
                serial.baud = baud.ok_or_else(|| is_not("1200 to 1000000 bits a second"))?;
            }
            "parity" => {
                serial.parity = match value {
                    "none" => Parity::None,
                    "even" => Parity::Even,
                    "odd" => Parity::Odd,
                    _ => return Err(is_not("none, even or odd")),
                }
            }
            "stop_bits" => {
                let bits = value.parse().ok().filter(|bits| (1..=2).contains(bits));
                serial.stop_bits = bits.ok_or_else(|| is_not("1 or 2"))?;
            }
            "data_bits" if value == "8" => {}
            "data_bits" => return Err(is_not("8, which RTU needs")),
            _ => {
                return Err(format!(
                    "{key} is no setting of a serial line (baud, parity, stop_bits, data_bits)"
                ));
            }
        }
    }
    Ok(serial)
}

/// A line has one way of speaking, and a unit is on it once.
pub fn share_lines(boards: &[Board], problems: &Problems<'_>) {
    for (n, board) in boards.iter().enumerate() {
        let before = || boards.iter().take(n);
        if let Some(first) = before().find(|b| b.line == board.line && b.unit.value == board.unit.value) {
            let unit = board.unit.value;
            let message = format!("unit {unit} of this line is board {} already", first.id.value);
            problems.add(&board.unit.span, board.unit.key.clone(), message);
        }
        if let Some(first) =
            before().find(|b| b.line.to_string() == board.line.to_string() && b.line != board.line)
        {
            let message = format!(
                "board {} is at {} too, and spoken to in another way: {:?}",
                first.id.value, first.line, first.url.value
            );
            problems.add(&board.url.span, board.url.key.clone(), message);
        }
    }
}

/// Nobody is wired to a coil or an input that such a board does not have.
pub fn have_channels(boards: &[Board], doors: &[Door], problems: &Problems<'_>) {
    let check = |board: &Found<BoardId>, channel: &Found<u8>, what: &str, of: fn(&Profile) -> u8| {
        let known = boards.iter().find(|b| b.id.value == board.value).and_then(|b| b.profile);
        if let Some(profile) = known.filter(|profile| channel.value >= of(profile)) {
            let (name, last) = (profile.name, of(profile).saturating_sub(1));
            let message = format!("board {} is a {name}, which has {what} 0 to {last}", board.value);
            problems.add(&channel.span, channel.key.clone(), message);
        }
    };
    for door in doors {
        check(&door.lock.board, &door.lock.coil, "coils", |p| p.coils);
        for input in door.contact.iter().chain(door.rex.iter().map(|rex| &rex.input)) {
            check(&input.board, &input.input, "inputs", |p| p.inputs);
        }
    }
}
