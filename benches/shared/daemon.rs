//! `latchd` as the benches of taps run it: with one door, one reader and sixteen cards.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};

pub use super::running::Daemon;
use super::taps::card;

/// The strike of the door.
pub const COIL: u8 = 0;
/// What the strike is driven for, in the board's units of 100 ms.
pub const STRIKE_UNITS: u8 = 10;
pub const CONTROLLER: &str = "bench-1";
pub const WITHIN: Duration = Duration::from_secs(20);

/// A card, and its holder's right to go through the door at any time.
pub fn records(n: u8) -> [Value; 2] {
    let uid: String = card(n).as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
    let (credential, holder, grant) = (format!("c-{n}"), format!("m-{n}"), format!("g-{n}"));
    [
        json!({ "type": "credential", "id": credential, "uid": uid, "holder": holder, "status": "active" }),
        json!({ "type": "grant", "id": grant, "kind": "standing", "holder": holder, "zones": ["perimeter"] }),
    ]
}

fn config(state: &Path, socket: &Path, broker: &str, board: SocketAddr, reader: &Path) -> String {
    let (state, socket, reader) = (state.display(), socket.display(), reader.display());
    let (coil, strike_s) = (COIL, STRIKE_UNITS / 10);
    format!(
        r#"
controller = {{ id = "{CONTROLLER}", time_zone = "Europe/Oslo", state_dir = "{state}", socket = "{socket}" }}
mqtt = {{ url = "{broker}", allow_unsigned = true }}
clock = {{ require_sync = false }}

[[boards]]
id = "board-1"
url = "modbus+tcp://{board}"

[[doors]]
id = "entrance"
name = "Entrance"
zones = ["perimeter"]
lock = {{ board = "board-1", coil = {coil}, strike_s = {strike_s} }}
contact = {{ board = "board-1", input = 0 }}

[[readers]]
id = "entrance-in"
door = "entrance"
direction = "in"
driver = "pn532"
port = "{reader}"
"#
    )
}

impl Daemon {
    /// Its state goes to the disk that is measured, everything else to the desk.
    pub fn start(state: &Path, desk: &Path, broker: &str, board: SocketAddr, reader: &Path) -> Self {
        Daemon::run(&config(state, &desk.join("latchd.sock"), broker, board, reader), desk)
    }
}
