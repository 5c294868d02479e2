//! The configuration file of the demo's daemon, as an operator would write it.

use crate::jws::Signer;
use std::fmt::Write as _;
use std::path::Path;

/// How long a strike is released; short, so that a day fits into a minute.
pub const STRIKE_S: u32 = 1;

/// The board's id.
pub const BOARD: &str = "board-1";

/// A door of the site. Its place in [`DOORS`] is its place on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// The id, on the wire and in the configuration.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The zone it lies in.
    pub zone: &'static str,
    /// The reader that guards it.
    pub reader: &'static str,
    /// Its number on the board: strike on this coil, contact and exit button on inputs 2n and 2n + 1.
    pub at: u16,
}

/// The way in from the street.
pub const ENTRANCE: Door =
    Door { id: "entrance", name: "the entrance", zone: "perimeter", reader: "entrance-in", at: 0 };
/// The floor with the desks.
pub const FLOOR_2: Door =
    Door { id: "floor-2", name: "floor 2", zone: "community-floor", reader: "floor-2-in", at: 1 };
/// A meeting room.
pub const ROOM_4: Door = Door { id: "room-4", name: "room 4", zone: "room-4", reader: "room-4-in", at: 2 };
/// All of them.
pub const DOORS: [Door; 3] = [ENTRANCE, FLOOR_2, ROOM_4];

/// What a reader is to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// By its name in PC/SC, which may use `*`.
    Pcsc {
        /// The name.
        name: String,
    },
    /// A PN532 on a serial line.
    Pn532 {
        /// The device.
        port: String,
    },
}

/// What differs from run to run.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The controller's id.
    pub controller: &'a str,
    /// The site's time zone.
    pub time_zone: &'a str,
    /// Where the daemon keeps its state.
    pub state_dir: &'a Path,
    /// Its control socket.
    pub socket: &'a Path,
    /// The broker.
    pub mqtt_url: &'a str,
    /// Whose word the daemon takes.
    pub trusted: &'a Signer,
    /// The board, as host and port.
    pub board: &'a str,
    /// For each door, in order, its reader.
    pub drivers: &'a [Driver],
}

/// The file's text.
#[must_use]
pub fn text(facts: &Facts<'_>) -> String {
    let mut text = format!(
        r#"# Written by latch-sim demo.

[controller]
id = {controller}
time_zone = {time_zone}
state_dir = {state_dir}
socket = {socket}

[mqtt]
url = {url}
{trust}

[clock]
require_sync = false          # a machine that runs a demo may have no network time

[journal]
release_wait_ms = 20

[[boards]]
id = "{BOARD}"
url = {board}
unit = 1
pulse = "flash"
flash_base = 0x0200
timeout_ms = 500
poll_ms = 100
"#,
        controller = quoted(facts.controller),
        time_zone = quoted(facts.time_zone),
        state_dir = quoted(&facts.state_dir.to_string_lossy()),
        socket = quoted(&facts.socket.to_string_lossy()),
        url = quoted(facts.mqtt_url),
        trust = facts.trusted.trusted_key_toml(),
        board = quoted(&format!("modbus+tcp://{}", facts.board)),
    );
    for (door, driver) in DOORS.iter().zip(facts.drivers) {
        add_door(&mut text, door, driver);
    }
    text
}

fn add_door(text: &mut String, door: &Door, driver: &Driver) {
    let Door { id, name, zone, reader, at } = door;
    let (contact, rex) = (2 * at, 2 * at + 1);
    let driver = match driver {
        Driver::Pcsc { name } => format!("driver = \"pcsc\"\nname = {}", quoted(name)),
        Driver::Pn532 { port } => format!("driver = \"pn532\"\nport = {}\nbaud = 115200", quoted(port)),
    };
    // Writing to a String can't fail.
    let _ = write!(
        text,
        r#"
[[doors]]
id = "{id}"
name = "{name}"
zones = ["{zone}"]
lock = {{ board = "{BOARD}", coil = {at}, strike_s = {STRIKE_S} }}
contact = {{ board = "{BOARD}", input = {contact} }}
rex = {{ board = "{BOARD}", input = {rex} }}

[[readers]]
id = "{reader}"
door = "{id}"
direction = "in"
{driver}
"#
    );
}

/// A TOML string: basic strings escape as JSON's do, but for DEL.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_every_door_its_coil_and_its_reader() {
        let drivers = [
            Driver::Pcsc { name: "Virtual PCD*".into() },
            Driver::Pn532 { port: "/tmp/a \"b\"/pty".into() },
            Driver::Pn532 { port: "/dev/x".into() },
        ];
        let text = text(&Facts {
            controller: "demo-1",
            time_zone: "Europe/Oslo",
            state_dir: Path::new("/tmp/state"),
            socket: Path::new("/tmp/latchd.sock"),
            mqtt_url: "mqtt://127.0.0.1:1",
            trusted: &Signer::new("demo-central", crate::jws::SecretKey::from_seed([1; 32])),
            board: "127.0.0.1:2",
            drivers: &drivers,
        });
        assert!(text.contains("url = \"modbus+tcp://127.0.0.1:2\""));
        assert!(text.contains("lock = { board = \"board-1\", coil = 2, strike_s = 1 }\ncontact = { board = \"board-1\", input = 4 }"));
        assert!(text.contains("port = \"/tmp/a \\\"b\\\"/pty\""));
        assert_eq!(text.matches("[[readers]]").count(), 3);
        assert!(text.contains("[[mqtt.trusted_keys]]\nkid = \"demo-central\"\npublic_key = \""), "{text}");
        assert!(!text.contains("allow_unsigned"), "{text}");
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        assert!(parsed["mqtt"].get("trusted_keys").is_some() && parsed["mqtt"].get("url").is_some());
    }
}
