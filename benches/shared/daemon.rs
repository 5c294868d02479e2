//! `latchd` as a bench runs it: the real program in a release build, with one door, one reader and sixteen cards.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use hardware_sim::wait;
use serde_json::{Value, json};

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

/// `latchd` as a process, killed if it was not stopped; and a shell that ends it if we are killed ourselves.
pub struct Daemon(Child, Child);

impl Daemon {
    /// Its state goes to the disk that is measured, everything else to the desk.
    pub fn start(state: &Path, desk: &Path, broker: &str, board: SocketAddr, reader: &Path) -> Self {
        let (file, socket) = (desk.join("latchd.toml"), desk.join("latchd.sock"));
        fs::write(&file, config(state, &socket, broker, board, reader)).unwrap();
        let log = File::create(desk.join("latchd.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_latchd"))
            .arg("--config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill \"$0\" 2>&-", &child.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut daemon = Daemon(child, guard);
        let ready = wait::until(WITHIN, || {
            assert_eq!(daemon.0.try_wait().unwrap(), None, "latchd ended while starting");
            UnixStream::connect(&socket).ok()
        });
        assert!(ready.is_some(), "latchd does not answer on its socket");
        daemon
    }

    pub fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.dismiss_guard();
        let ended = wait::until(WITHIN, || self.0.try_wait().unwrap());
        assert!(ended.is_some_and(|status| status.success()), "latchd ended in good order");
    }

    /// Its size in memory, in MiB.
    pub fn now_mib(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The largest it has been, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.status("VmHWM:")
    }

    /// Counts the largest size anew from here on (proc(5), clear_refs).
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5").unwrap();
    }

    fn status(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Before the daemon has gone: its number may soon be another's.
    fn dismiss_guard(&mut self) {
        let _ended = self.1.kill();
        let _reaped = self.1.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.dismiss_guard();
        // Fails where it has ended already, as it should have.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
