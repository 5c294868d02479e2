//! A site whose cache is full before the daemon comes: written by the daemon's own store, in parts, as a snapshot is.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use latchd::{
    control::Part,
    domain::{
        At, Change, ControllerId, Credential, CredentialId, DoorId, Grant, GrantId, HolderId, Kind, Record,
        Status, Uid, ZoneId,
    },
    drivers::store::{
        cache::{Config, Database},
        key,
    },
    wire::{Digest, UidHasher, feed::Sealed},
};

use serde_json::Value;

use super::{people::Site, running::Daemon};

pub const CONTROLLER: &str = "bench-1";
/// The card of somebody who may always enter.
pub const KNOWN_UID: &str = "04C0FFEE000001";
const PART: usize = 1000;
/// What takes longer is a defect.
const WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_micros(300);

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock to measure, not to decide")]
pub fn now() -> Instant {
    Instant::now()
}

/// Fills the cache of a state directory.
pub fn fill(state: &Path, site: Site) {
    fs::create_dir_all(state).unwrap();
    let (uid_key, _) = key::uid_key(state, None).unwrap();
    let hasher = UidHasher::new(&uid_key);
    let (mut database, _) = Database::open(&Config {
        state_dir: state.to_owned(),
        controller: ControllerId::new(CONTROLLER).unwrap(),
        uid_check: hasher.check(),
        uid_key,
        // The daemon's own begins at its start.
        journal: "none".into(),
        restored: None,
        doors: vec![(DoorId::new("entrance").unwrap(), vec![ZoneId::new("perimeter").unwrap()])],
        // No power cut is part of this bench.
        flush_is_barrier: true,
    })
    .unwrap();
    let records: Vec<Record> = known(&hasher).into_iter().chain(site.records(&hasher)).collect();
    let parts = records.len().div_ceil(PART) as u32;
    for (number, records) in (1..).zip(records.chunks(PART)) {
        let items = records.iter().map(sealed).collect();
        let id = "s-1".to_owned();
        let part = Part { id, part: number, parts, epoch: 1, last: 1, items, rejected: 0 };
        database.stage(part, At::from_parts(0, 0).unwrap()).unwrap();
    }
}

/// Their card, and their right to enter at any time.
pub fn known(hasher: &UidHasher) -> [Record; 2] {
    let holder = HolderId::new("m-known").unwrap();
    let credential = Credential {
        id: CredentialId::new("c-known").unwrap(),
        uid: Some(hasher.hash(&Uid::parse(KNOWN_UID).unwrap())),
        holder: holder.clone(),
        status: Status::Active,
        valid_from: None,
        valid_until: None,
        label: None,
        extended_time: false,
    };
    let grant = Grant {
        id: GrantId::new("g-known").unwrap(),
        kind: Kind::Standing,
        holder,
        doors: Vec::new(),
        zones: vec![ZoneId::new("perimeter").unwrap()],
        starts_at: None,
        ends_at: None,
        booked_at: None,
        not_before: None,
        not_after: None,
        booking: None,
        capacity: None,
        schedule: None,
        override_lockdown: false,
    };
    [Record::Credential(credential), Record::Grant(grant)]
}

/// With the digest of something as long as its JSON.
fn sealed(record: &Record) -> Sealed {
    let digest = Digest::of_bytes(format!("{:?}", record.key()).as_bytes());
    Sealed { change: Change::Put(record.clone()), digest }
}

pub const DOOR: &str = r#"
[[boards]]
id = "board-1"
url = "modbus+tcp://127.0.0.1:1"

[[doors]]
id = "entrance"
name = "Entrance"
zones = ["perimeter"]
lock = { board = "board-1", coil = 0, strike_s = 1 }
"#;

/// The same door on a board that is there, with a reader.
pub fn door_and_reader(board: &str, reader: &Path) -> String {
    let reader = reader.display();
    DOOR.replace("127.0.0.1:1", board)
        + &format!(
            r#"
[[readers]]
id = "entrance-in"
door = "entrance"
direction = "in"
driver = "pn532"
port = "{reader}"
"#
        )
}

pub fn rest(time: Duration) {
    let until = now() + time;
    while let Some(left) = until.checked_duration_since(now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// Where a daemon runs: its state on the disk that is measured, everything else on the desk.
pub struct Place {
    pub state: PathBuf,
    pub desk: PathBuf,
    /// More of the configuration: boards and readers.
    pub devices: String,
}

impl Place {
    /// The configuration, with a broker at this address.
    pub fn config(&self, broker: &str) -> String {
        let (state, socket) = (self.state.display(), self.desk.join("latchd.sock"));
        format!(
            r#"
controller = {{ id = "{CONTROLLER}", time_zone = "Europe/Oslo", state_dir = "{state}", socket = "{}" }}
mqtt = {{ url = "{broker}", allow_unsigned = true }}
clock = {{ require_sync = false }}
{}"#,
            socket.display(),
            self.devices
        )
    }

    /// Starts a daemon, with no broker to be reached.
    pub fn launch(&self) -> Daemon {
        Daemon::launch(&self.config("mqtt://127.0.0.1:1"), &self.desk)
    }

    /// Waits until the daemon lets the known card in: the instant of the answer.
    pub fn first_decision(&self, daemon: &mut Daemon) -> Instant {
        let begin = now();
        loop {
            if let Some(answer) = self.explain() {
                let at = now();
                assert!(answer.contains("\"granted\""), "{answer}");
                return at;
            }
            assert!(daemon.is_up() && begin.elapsed() < WITHIN, "no decision: {}", self.log());
            thread::park_timeout(LOOK_EVERY);
        }
    }

    fn explain(&self) -> Option<String> {
        self.ask(&format!(
            "{{\"protocol\":1,\"verb\":\"explain\",\"door\":\"entrance\",\"uid\":\"{KNOWN_UID}\"}}\n"
        ))
    }

    /// The number of the last change that is in force and on disk.
    pub fn applied(&self) -> u64 {
        let answer = self.ask("{\"protocol\":1,\"verb\":\"sync\"}\n").unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["done"]["applied"].as_u64().unwrap()
    }

    /// Asks one thing of the control socket, if somebody answers there.
    fn ask(&self, question: &str) -> Option<String> {
        let stream = UnixStream::connect(self.desk.join("latchd.sock")).ok()?;
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(question.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_line(&mut answer).ok().filter(|read| *read > 0).map(|_| answer)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.desk.join("latchd.log")).unwrap_or_default()
    }
}
