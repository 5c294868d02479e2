//! The daemon's side: the real program in a release build, a reader, the board, and a central that knows the cards.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use hardware_sim::{broker::Broker, central::Central, pn532::Pn532, wait};
use serde_json::{Value, json};

use super::{
    journal_of,
    taps::{CARDS, card},
};

/// What the strike is driven for, in the board's units of 100 ms.
pub const STRIKE_UNITS: u8 = 10;
const CONTROLLER: &str = "bench-1";
const WITHIN: Duration = Duration::from_secs(20);

/// What the journal held in the end.
pub struct Recorded {
    /// Releases that did not wait for the disk, because it took longer than `release_wait_ms`.
    pub late: usize,
}

/// Fields are dropped in this order.
pub struct Site {
    daemon: Daemon,
    reader: Pn532,
    central: Central,
    state: PathBuf,
    _broker: Broker,
}

impl Site {
    pub const COIL: u8 = 0;

    pub fn start(state: &Path, desk: &Path, board: SocketAddr) -> Self {
        let broker = Broker::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let central = Central::start(&broker.url(), CONTROLLER).unwrap();
        central.wait_connected(WITHIN).unwrap();
        central.put_many((0..CARDS).flat_map(records)).unwrap();
        let reader = Pn532::start(&desk.join("reader")).unwrap();
        let file = desk.join("latchd.toml");
        let socket = desk.join("latchd.sock");
        fs::write(&file, config(state, &socket, &broker.url(), board, reader.path())).unwrap();
        let daemon = Daemon::start(&file, &socket, &desk.join("latchd.log"));
        central.wait_synced(WITHIN).unwrap();
        Site { daemon, reader, central, state: state.to_owned(), _broker: broker }
    }

    pub fn reader(&self) -> &Pn532 {
        &self.reader
    }

    /// The length of the event of the last tap, in the journal, with its newline.
    pub fn granted_event_bytes(&self) -> usize {
        let journal = journal_of(&self.state);
        journal.iter().rfind(|line| line.contains("\"access.granted\"")).unwrap().len() + 1
    }

    /// Stops the daemon, and looks whether every tap is in its journal and has come to central.
    pub fn stop(&mut self, taps: usize) -> Recorded {
        let granted = |event: &Value| event["type"] == "access.granted";
        let heard = || self.central.events().iter().filter(|event| granted(event)).count() == taps;
        assert!(
            wait::until(WITHIN, || heard().then_some(())).is_some(),
            "central has heard of every tap, once"
        );
        self.daemon.stop();
        let journal: Vec<Value> = journal_of(&self.state)
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(granted)
            .collect();
        assert_eq!(journal.len(), taps, "every tap is in the journal, once");
        Recorded { late: journal.iter().filter(|event| event["late"] == true).count() }
    }
}

/// A card, and its holder's right to go through the door at any time.
fn records(n: u8) -> [Value; 2] {
    let uid: String = card(n).as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
    let (credential, holder, grant) = (format!("c-{n}"), format!("m-{n}"), format!("g-{n}"));
    [
        json!({ "type": "credential", "id": credential, "uid": uid, "holder": holder, "status": "active" }),
        json!({ "type": "grant", "id": grant, "kind": "standing", "holder": holder, "zones": ["perimeter"] }),
    ]
}

fn config(state: &Path, socket: &Path, broker: &str, board: SocketAddr, reader: &Path) -> String {
    let (state, socket, reader) = (state.display(), socket.display(), reader.display());
    let (coil, strike_s) = (Site::COIL, STRIKE_UNITS / 10);
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
struct Daemon(Child, Child);

impl Daemon {
    fn start(config: &Path, socket: &Path, log: &Path) -> Self {
        let log = File::create(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_latchd"))
            .arg("--config")
            .arg(config)
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
            UnixStream::connect(socket).ok()
        });
        assert!(ready.is_some(), "latchd does not answer on its socket");
        daemon
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.dismiss_guard();
        let ended = wait::until(WITHIN, || self.0.try_wait().unwrap());
        assert!(ended.is_some_and(|status| status.success()), "latchd ended in good order");
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
