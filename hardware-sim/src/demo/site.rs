//! The site: everything in place, in the order it is plugged in, and taken down in the opposite one.

use super::DemoError;
use super::config::{self, DOORS, Facts};
use super::programs::{Daemon, Tool, find};
use super::readers::Readers;
use crate::board::{Board, BoardConfig};
use crate::broker::Broker;
use crate::central::Central;
use crate::jws::{SecretKey, Signer};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The controller's id.
pub const CONTROLLER: &str = "demo-1";

/// What the daemon knows the key by.
pub const KID: &str = "demo-central";

/// A whole site. Fields are dropped in this order: first the daemon, last the folder with its files.
#[derive(Debug)]
pub struct Site {
    daemon: Option<Daemon>,
    /// The technician's tool, at the daemon's socket.
    pub tool: Tool,
    /// The readers.
    pub readers: Readers,
    /// The board with the doors.
    pub board: Board,
    /// Central.
    pub central: Central,
    signer: Signer,
    broker: Option<Broker>,
    broker_address: SocketAddr,
    latchd: PathBuf,
    folder: Folder,
}

impl Site {
    /// Everything but the daemon.
    ///
    /// # Errors
    /// A program is missing, or the machine has no more ports, ptys, or room.
    pub fn prepare(programs: &Path, keep: bool) -> Result<Site, DemoError> {
        let latchd = find(programs, "latchd")?;
        let latchctl = find(programs, "latchctl")?;
        let folder = Folder::create(keep)?;
        let broker = Broker::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let signer = Signer::new(KID, SecretKey::generate()?);
        let central = Central::builder(&broker.url(), CONTROLLER).signer(signer.clone()).start()?;
        let board = Board::start(BoardConfig::with_doors(u16::try_from(DOORS.len()).unwrap_or(u16::MAX)))?;
        let readers = Readers::start(&folder.path)?;
        let tool = Tool { program: latchctl, socket: folder.path.join("latchd.sock") };
        let broker_address = broker.address();
        let broker = Some(broker);
        Ok(Site {
            daemon: None,
            tool,
            readers,
            board,
            central,
            signer,
            broker,
            broker_address,
            latchd,
            folder,
        })
    }

    /// Writes the configuration and starts the real `latchd` with it.
    ///
    /// # Errors
    /// The file can't be written, or the daemon does not come up.
    pub fn start_daemon(&mut self) -> Result<(), DemoError> {
        let state_dir = self.state_dir();
        std::fs::create_dir_all(&state_dir).map_err(|source| folder_error(&state_dir, source))?;
        let text = config::text(&Facts {
            controller: CONTROLLER,
            time_zone: &time_zone_of_this_machine(),
            state_dir: &state_dir,
            socket: &self.tool.socket,
            mqtt_url: &self.broker_url(),
            trusted: &self.signer,
            board: &self.board.addr().to_string(),
            drivers: &self.readers.drivers(),
        });
        let config = self.config_file();
        std::fs::write(&config, text).map_err(|source| folder_error(&config, source))?;
        let environment = self.readers.environment();
        let log = self.log_file();
        self.daemon = Some(Daemon::start(&self.latchd, &config, &self.tool.socket, &log, &environment)?);
        Ok(())
    }

    /// The running daemon.
    pub fn daemon(&mut self) -> Option<&mut Daemon> {
        self.daemon.as_mut()
    }

    /// Where the broker is, or was and will be.
    #[must_use]
    pub fn broker_url(&self) -> String {
        format!("mqtt://{}", self.broker_address)
    }

    /// Whether the broker runs.
    #[must_use]
    pub fn broker_runs(&self) -> bool {
        self.broker.is_some()
    }

    /// The broker goes away, with all it held.
    pub fn stop_broker(&mut self) {
        self.broker = None;
    }

    /// A new broker in the same place.
    ///
    /// # Errors
    /// Somebody else has taken the port meanwhile.
    pub fn start_broker(&mut self) -> Result<(), DemoError> {
        if self.broker.is_none() {
            self.broker = Some(Broker::start(self.broker_address)?);
        }
        Ok(())
    }

    /// The daemon's configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.path.join("latchd.toml")
    }

    /// What the daemon writes on its standard output and error.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.path.join("latchd.log")
    }

    /// Where the daemon keeps its state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path.join("state")
    }

    /// The folder with all files of the site.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }
}

/// A private folder that goes away with all that is in it, unless it is to be kept.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _removed_on_drop: Option<tempfile::TempDir>,
}

impl Folder {
    fn create(keep: bool) -> Result<Folder, DemoError> {
        let made = tempfile::Builder::new().prefix("latch-demo-").tempdir();
        let made = made.map_err(|source| folder_error(&std::env::temp_dir(), source))?;
        if keep {
            return Ok(Folder { path: made.keep(), _removed_on_drop: None });
        }
        Ok(Folder { path: made.path().to_owned(), _removed_on_drop: Some(made) })
    }
}

fn folder_error(path: &Path, source: std::io::Error) -> DemoError {
    DemoError::Folder { path: path.to_owned(), source }
}

/// So that `latchctl` shows the times the narrative does.
fn time_zone_of_this_machine() -> String {
    let link = std::fs::read_link("/etc/localtime").unwrap_or_default();
    let link = link.to_string_lossy();
    match link.split_once("zoneinfo/") {
        Some((_, zone)) if zone.contains('/') => zone.to_owned(),
        Some(_) | None => "UTC".to_owned(),
    }
}
