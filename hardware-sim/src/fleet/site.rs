//! One controller of the fleet with what is its own: a board, a central, a folder.

use super::FleetError;
use crate::board::{Board, BoardConfig};
use crate::central::Central;
use crate::demo::programs::Daemon;
use crate::jws::Signer;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The only door of each.
pub const DOOR: &str = "entrance";

/// Fields are dropped in this order: the daemon first.
#[derive(Debug)]
pub struct Site {
    daemon: Option<Daemon>,
    pub central: Central,
    board: Board,
    signer: Signer,
    url: String,
    folder: PathBuf,
}

impl Site {
    /// Everything but the daemon.
    ///
    /// # Errors
    /// No port to be had, or a broker's URL that is none.
    pub fn prepare(
        controller: String,
        url: &str,
        signer: &Signer,
        folder: PathBuf,
    ) -> Result<Site, FleetError> {
        let central = Central::builder(url, &controller).signer(signer.clone()).start()?;
        let board = Board::start(BoardConfig::with_doors(1))?;
        Ok(Site { daemon: None, central, board, signer: signer.clone(), url: url.to_owned(), folder })
    }

    /// Starts the daemon, and waits until it answers on its socket.
    ///
    /// # Errors
    /// The configuration can't be written, or the daemon does not come up.
    pub fn start(&mut self, latchd: &Path) -> Result<(), FleetError> {
        let config = self.folder.join("latchd.toml");
        fs::write(&config, self.text())
            .map_err(|source| FleetError::Folder { path: config.clone(), source })?;
        let (socket, log) = (self.folder.join("latchd.sock"), self.folder.join("latchd.log"));
        self.daemon = Some(Daemon::start(latchd, &config, &socket, &log, &[])?);
        Ok(())
    }

    pub fn failed(&self, what: impl Into<String>) -> FleetError {
        FleetError::Failed { controller: self.central.controller().to_owned(), what: what.into() }
    }

    /// What the daemon takes in memory, in KiB, and of a processor, in seconds, until now.
    pub fn weight(&self) -> Option<(u64, f64)> {
        let id = self.daemon.as_ref()?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // After the name in brackets, utime and stime are the 12th and 13th (proc(5)), in hundredths of a second.
        let times = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
        let ticks: u32 = times.filter_map(|field| field.parse::<u32>().ok()).sum();
        Some((resident.split_whitespace().next()?.parse().ok()?, f64::from(ticks) / 100.0))
    }

    /// Ends the daemon as a service manager does.
    ///
    /// # Errors
    /// It did not end in good order.
    pub fn stop(&mut self) -> Result<(), FleetError> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        match daemon.stop() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.failed(format!("latchd ended with {status}"))),
            Err(why) => Err(self.failed(format!("latchd did not end: {why}"))),
        }
    }

    fn text(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let path = |name: &str| quoted(&self.folder.join(name).to_string_lossy());
        format!(
            r#"# Written by latch-sim fleet.
[controller]
id = {controller}
time_zone = "Europe/Oslo"
state_dir = {state}
socket = {socket}

[mqtt]
url = {url}
{trust}
[clock]
require_sync = false

[[boards]]
id = "board-1"
url = {board}

[[doors]]
id = "{DOOR}"
zones = ["perimeter"]
lock = {{ board = "board-1", coil = 0, strike_s = 1 }}
contact = {{ board = "board-1", input = 0 }}
"#,
            controller = quoted(self.central.controller()),
            state = path("state"),
            socket = path("latchd.sock"),
            url = quoted(&self.url),
            trust = self.signer.trusted_key_toml(),
            board = quoted(&format!("modbus+tcp://{}", self.board.addr())),
        )
    }
}

/// A card and a right for a member.
pub fn member(number: u32) -> [Value; 2] {
    let holder = format!("m-{number}");
    [
        json!({ "type": "credential", "id": format!("c-{number}"), "uid": format!("04{number:012X}"),
                "holder": holder, "status": "active" }),
        json!({ "type": "grant", "id": format!("g-{number}"), "kind": "standing", "holder": holder,
                "zones": ["perimeter"] }),
    ]
}
