//! How a site is put together, and the configuration file its daemon reads.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use hardware_sim::board::{self, Board, BoardConfig, LineConfig, Place, Rate};
use hardware_sim::central::Central;
use hardware_sim::jws::{SecretKey, Signer};
use hardware_sim::osdp::Osdp;
use hardware_sim::pcscd::PrivatePcscd;
use hardware_sim::pn532::Pn532;
use tempfile::TempDir;

use super::broker::{Broker, free_port};
use super::certificates::Tls;
use super::daemon::Daemon;
use super::witness::Witness;
use super::{CONTROLLER, LIMIT, Site, eventually_asking, people};

/// The doors of every site, those of the contract's examples: id, zones, whether for the building's hours only. Door
/// n has its strike on coil n, its contact on input 2n and its REX on input 2n + 1.
pub const DOORS: [(&str, &[&str], bool); 4] = [
    ("entrance", &["perimeter"], false),
    ("floor-2", &["community-floor"], false),
    ("room-4", &["rooms", "room-4"], false),
    ("gym", &["amenities"], true),
];

const OSDP_LINE: &str = "osdp-line";

/// One of a PN532's tries for a card. The real chip takes about 10 ms, and tests would wait for it most of their time.
const TRY_TAKES: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Device {
    Pn532,
    /// The number of the slot.
    Pcsc(usize),
    /// The number of the reader with lamps, and its make.
    Lamps(usize, String),
    Osdp {
        address: u8,
        key: Option<[u8; 16]>,
    },
}

#[derive(Debug)]
struct Reader {
    id: String,
    door: String,
    direction: &'static str,
    device: Device,
}

/// How boards are wired to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Tcp,
    RtuTcp,
    /// A serial line, with what its bytes take at 9600 baud.
    Rtu,
}

/// A site to be.
#[derive(Debug)]
pub struct Builder {
    wire: Wire,
    boards: u8,
    /// The daemon ends pulses, and this watchdog is behind it.
    watchdog: Option<Duration>,
    readers: Vec<Reader>,
    edits: Vec<(String, String)>,
    edits_once: Vec<(String, String)>,
    with_central: bool,
    with_tls: bool,
    signed: bool,
    broker: String,
}

impl Builder {
    /// No readers yet.
    pub fn bare() -> Builder {
        Builder {
            wire: Wire::Tcp,
            boards: 1,
            watchdog: None,
            readers: Vec::new(),
            edits: Vec::new(),
            edits_once: Vec::new(),
            with_central: true,
            with_tls: false,
            signed: true,
            broker: String::new(),
        }
    }

    /// The usual: a PN532 at the entrance and one at room 4.
    pub fn new() -> Builder {
        Builder::bare().pn532("entrance").pn532("room-4")
    }

    /// Adds a PN532 on a pty, `{door}-in`.
    pub fn pn532(self, door: &str) -> Builder {
        self.reader(door, "in", Device::Pn532)
    }

    /// Adds the virtual PC/SC reader of this number, `{door}-in`.
    pub fn pcsc(self, door: &str, slot: usize) -> Builder {
        self.reader(door, "in", Device::Pcsc(slot))
    }

    /// Adds a PC/SC reader with lamps and a buzzer, by the name that says its make: `{door}-in`.
    pub fn lamps(self, door: &str, name: &str) -> Builder {
        let number = self.lamp_names().len();
        self.reader(door, "in", Device::Lamps(number, name.to_owned()))
    }

    fn lamp_names(&self) -> Vec<&str> {
        let devices = self.readers.iter().map(|reader| &reader.device);
        devices
            .filter_map(|device| match device {
                Device::Lamps(_, name) => Some(name.as_str()),
                Device::Pn532 | Device::Pcsc(_) | Device::Osdp { .. } => None,
            })
            .collect()
    }

    /// Adds an OSDP reader on the site's one line, `{door}-in`, with a key of its own or in clear text.
    pub fn osdp(self, door: &str, address: u8, key: Option<[u8; 16]>) -> Builder {
        self.reader(door, "in", Device::Osdp { address, key })
    }

    fn reader(mut self, door: &str, direction: &'static str, device: Device) -> Builder {
        let id = format!("{door}-{direction}");
        self.readers.push(Reader { id, door: door.to_owned(), direction, device });
        self
    }

    /// So many boards on one line, `board-1` and on; door n is on board n, and round again.
    pub fn boards(mut self, wire: Wire, boards: u8) -> Builder {
        (self.wire, self.boards) = (wire, boards);
        self
    }

    /// Boards that time no pulses, and drop their coils when nobody speaks to them for so long.
    pub fn plain(mut self, watchdog: Duration) -> Builder {
        self.watchdog = Some(watchdog);
        self
    }

    /// Changes the text of the configuration.
    pub fn edit(mut self, from: &str, to: &str) -> Builder {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Changes only the first place.
    pub fn edit_once(mut self, from: &str, to: &str) -> Builder {
        self.edits_once.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Without a central: the test speaks for it, and signs nothing unless it says so.
    pub fn without_central(mut self) -> Builder {
        self.with_central = false;
        self.unsigned()
    }

    /// Adds to the broker's configuration.
    pub fn broker(mut self, text: &str) -> Builder {
        self.broker.push_str(text);
        self
    }

    /// The daemon believes whoever can write to the broker.
    pub fn unsigned(mut self) -> Builder {
        self.signed = false;
        self
    }

    /// The daemon believes [`signer`], and whoever else the test adds.
    pub fn signed(mut self) -> Builder {
        self.signed = true;
        self
    }

    /// The daemon comes to the broker by TLS, through the listener that ships; central by a plain one.
    pub fn secure(mut self) -> Builder {
        self.with_tls = true;
        self
    }

    /// All devices and the broker up, the daemon not started.
    #[track_caller]
    pub fn prepared(self) -> Site {
        let mut site = self.nothing_up();
        site.broker.start();
        site.witness.wait_connected();
        site
    }

    /// The devices up, neither the broker nor the daemon.
    #[track_caller]
    pub fn nothing_up(self) -> Site {
        let folder = tempfile::Builder::new().prefix("latchd-it-").tempdir().expect("a directory");
        let tls = self.with_tls.then(|| Tls::prepare(folder.path(), CONTROLLER));
        let broker = match &tls {
            Some(tls) => Broker::prepare_secure(folder.path(), &tls.folder),
            None => Broker::prepare(folder.path()),
        };
        broker.configure(&self.broker);
        let mut others = board::start(self.line(folder.path())).expect("boards");
        let board = others.remove(0);
        let slots = self.readers.iter().filter_map(|reader| match reader.device {
            Device::Pcsc(slot) => Some(slot + 1),
            Device::Pn532 | Device::Lamps(..) | Device::Osdp { .. } => None,
        });
        let (slots, lamps) = (slots.max().unwrap_or(0), self.lamp_names());
        let pcscd = (slots + lamps.len() > 0)
            .then(|| PrivatePcscd::start_with(slots, &lamps).expect("a pcscd with virtual readers"));
        let on_ptys = self.readers.iter().filter(|reader| reader.device == Device::Pn532);
        let pn532 = on_ptys.map(|reader| {
            let path = folder.path().join(&reader.id);
            let chip = Pn532::start_with(&path, TRY_TAKES).expect("a reader on a pty");
            (reader.id.clone(), chip)
        });
        let pn532 = pn532.collect();
        let osdp = self.osdp_line(folder.path());
        let mut config = self.config(&folder, &broker, &board, pcscd.as_ref());
        if let Some(tls) = &tls {
            let url = format!("url = {:?}", broker.url());
            config = config.replace(&url, &secure_keys(&broker, tls));
        }
        let config = self.edited(config);
        let daemon = Daemon::prepare(folder.path(), &config, pcscd.as_ref().map(PrivatePcscd::socket));
        let central = self.with_central.then(|| {
            let central = Central::builder(&broker.url(), CONTROLLER);
            let central = if self.signed { central.signer(signer()) } else { central };
            central.start().expect("a central")
        });
        let witness = Witness::start(&broker.url());
        let people = people::Hands::default();
        Site { daemon, central, witness, broker, board, others, pn532, osdp, pcscd, tls, people, folder }
    }

    /// Everything up, connected and in step.
    #[track_caller]
    pub fn running(self) -> Site {
        let mut site = self.prepared();
        site.daemon.start();
        site.wait_until_ready();
        if let Some(central) = &site.central {
            central.wait_connected(LIMIT).expect("central is connected");
            central.wait_synced(LIMIT).expect("the daemon is in step");
        }
        site
    }

    fn line(&self, folder: &Path) -> LineConfig {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let place = match self.wire {
            Wire::Tcp => Place::Tcp(addr),
            Wire::RtuTcp => Place::RtuTcp(addr),
            Wire::Rtu => Place::Rtu(folder.join("boards")),
        };
        let board = |unit| BoardConfig {
            unit,
            flashes: self.watchdog.is_none(),
            watchdog: self.watchdog,
            ..BoardConfig::with_doors(u16::try_from(DOORS.len()).expect("a few"))
        };
        let rate = (self.wire == Wire::Rtu).then(|| Rate::of(9600));
        LineConfig { place, rate, boards: (1..=self.boards).map(board).collect() }
    }

    /// The boards' tables.
    fn board_tables(&self, url: &str) -> String {
        let pulse = match self.watchdog {
            None => "pulse = \"flash\"\nflash_base = 0x0200",
            Some(_) => "profile = \"plain\"\npulse = \"host\"",
        };
        // More than a serial line has by default: the boards here get their turn on a busy machine late.
        let timeout_ms = if self.wire == Wire::Rtu { 250 } else { 500 };
        let table = |unit| {
            format!(
                "\n[[boards]]\nid = \"board-{unit}\"\nurl = {url:?}\nunit = {unit}\n{pulse}\n\
                 timeout_ms = {timeout_ms}\npoll_ms = 100\n"
            )
        };
        (1..=self.boards).map(table).collect()
    }

    fn config(
        &self,
        folder: &TempDir,
        broker: &Broker,
        board: &Board,
        pcscd: Option<&PrivatePcscd>,
    ) -> String {
        let mut text = head(folder.path(), broker);
        text.push_str(&self.board_tables(&board.url()));
        if self.signed {
            let keys = format!("allow_unsigned = false\n\n{}", signer().trusted_key_toml());
            text = text.replace("allow_unsigned = true\n", &keys);
        }
        for (n, (id, zones, hours_only)) in DOORS.iter().enumerate() {
            let (contact, rex, board) = (2 * n, 2 * n + 1, n % usize::from(self.boards) + 1);
            write!(
                text,
                r#"
[[doors]]
id = "{id}"
name = "The {id}"
zones = {zones:?}
lock = {{ board = "board-{board}", coil = {n}, strike_s = 1 }}
contact = {{ board = "board-{board}", input = {contact} }}
rex = {{ board = "board-{board}", input = {rex}, unlocks = true }}
building_hours_only = {hours_only}
"#
            )
            .expect("a String takes everything");
        }
        for Reader { id, door, direction, device } in &self.readers {
            let device = match device {
                Device::Pn532 => {
                    format!("driver = \"pn532\"\nport = {:?}\nbaud = 115200", folder.path().join(id))
                }
                Device::Pcsc(slot) => {
                    let name = pcscd.and_then(|pcscd| pcscd.reader_name(*slot)).expect("a slot");
                    format!("driver = \"pcsc\"\nname = {name:?}")
                }
                Device::Lamps(_, name) => format!("driver = \"pcsc\"\nname = \"{name}*\""),
                Device::Osdp { address, key } => {
                    let port = folder.path().join(OSDP_LINE);
                    let path = folder.path().join(format!("{id}.scbk"));
                    let key = key.map_or_else(String::new, |_| format!("\nkey_file = {path:?}"));
                    format!("driver = \"osdp\"\nport = {port:?}\nbaud = 115200\naddress = {address}{key}")
                }
            };
            write!(
                text,
                "\n[[readers]]\nid = {id:?}\ndoor = {door:?}\ndirection = {direction:?}\n{device}\n"
            )
            .expect("a String takes everything");
        }
        text
    }

    /// The line with its readers, and the files with their keys.
    fn osdp_line(&self, folder: &Path) -> Option<Osdp> {
        let mut readers = Vec::new();
        for Reader { id, device, .. } in &self.readers {
            let Device::Osdp { address, key } = device else { continue };
            readers.push((*address, *key));
            if let Some(key) = key {
                let path = folder.join(format!("{id}.scbk"));
                std::fs::write(&path, data_encoding::HEXUPPER.encode(key)).expect("a key file");
                std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its mode");
            }
        }
        let line = || Osdp::start(&folder.join(OSDP_LINE), &readers).expect("a line on a pty");
        (!readers.is_empty()).then(line)
    }

    fn edited(&self, mut text: String) -> String {
        for (from, to) in &self.edits {
            assert!(text.contains(from.as_str()), "the configuration has no {from:?}");
            text = text.replace(from.as_str(), to);
        }
        for (from, to) in &self.edits_once {
            assert!(text.contains(from.as_str()), "the configuration has no {from:?}");
            text = text.replacen(from.as_str(), to, 1);
        }
        text
    }
}

fn secure_keys(broker: &Broker, tls: &Tls) -> String {
    let path = |file: &str| tls.path(file);
    format!(
        "url = {:?}\nca_file = {:?}\ncert_file = {:?}\nkey_file = {:?}",
        broker.secure_url(),
        path("ca.pem"),
        path(&format!("{CONTROLLER}.pem")),
        path(&format!("{CONTROLLER}.key")),
    )
}

/// Who signs for central in every test.
pub fn signer() -> Signer {
    Signer::new("central-test", SecretKey::from_seed([1; 32]))
}

fn head(folder: &Path, broker: &Broker) -> String {
    format!(
        r#"[controller]
id = "{CONTROLLER}"
time_zone = "Europe/Oslo"
state_dir = {state:?}
socket = {socket:?}

[mqtt]
url = "{url}"
allow_unsigned = true

[clock]
require_sync = false
"#,
        state = folder.join("state"),
        socket = folder.join("latchd.sock"),
        url = broker.url(),
    )
}

impl Site {
    /// Waits until the daemon has everything it is wired to, and its readers wait for cards.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        self.wait_until_connected();
        for (id, _) in &self.pn532 {
            self.wait_until_empty(id);
        }
    }

    /// Waits until the daemon says that it has its boards, its readers and, if one runs, its broker.
    #[track_caller]
    pub fn wait_until_connected(&self) {
        let mut last = String::new();
        let limit = super::RECONNECT_LIMIT;
        let found = hardware_sim::wait::until(limit, || {
            std::thread::park_timeout(super::ASK_EVERY);
            let said = self.ctl(&["status", "--json"]);
            last = if said.code == 0 { said.out.clone() } else { said.err };
            let status: serde_json::Value = serde_json::from_str(&said.out).ok()?;
            let all = |list: &str| {
                status[list].as_array().is_some_and(|list| list.iter().all(|one| one["connected"] == true))
            };
            let broker = !self.broker.is_running() || status["sync"]["connected"] == true;
            (all("readers") && all("boards") && broker).then_some(())
        });
        assert!(found.is_some(), "the daemon is not ready; its status was {last}");
        if self.broker.is_running() {
            self.witness.wait_until_it_hears();
        }
    }

    /// Starts the daemon (again) and waits until it is ready.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.daemon.start();
        self.wait_until_ready();
    }

    /// Stops the broker, and waits until the daemon has noticed.
    #[track_caller]
    pub fn lose_broker(&mut self) {
        self.broker.stop();
        let noticed = || (self.ask(&["sync"])["connected"] == false).then_some(());
        eventually_asking("notice of the broker's loss", noticed);
    }
}
