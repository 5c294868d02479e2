//! `latch-sim fleet N`: many controllers, each the real `latchd` with a board and a central of its own, against one broker.
//!
//! ```text
//!   fleet-1   latchd ── board        central
//!   fleet-2   latchd ── board        central        each central speaks to its own controller only,
//!      …        │                       │           as one process of the real one would for many
//!               └────────► broker ◄─────┘
//! ```
//!
//! It goes through what a broker meets when many sites are one day awake, and shows how long each step took for the
//! quickest, the middle and the slowest of them. Whatever is not as it should be fails it.

mod site;
mod steps;

use crate::broker::{Broker, BrokerError};
use crate::central::{CentralError, FeedError};
use crate::demo::programs::{ProgramError, find};
use crate::jws::{KeyError, SecretKey, Signer};
use crate::{board::BoardError, until_told::say};
use site::Site;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// More need more ports, processes and memory than a desk has.
const SITES_MAX: u16 = 500;

/// Why the fleet did not do its day.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A controller that did not do its part.
    #[error("{controller}: {what}")]
    Failed {
        /// Which.
        controller: String,
        /// What it did not do.
        what: String,
    },
    /// A folder or file can't be made.
    #[error("{path} can't be written")]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// `latch-sim` does not know where it lies.
    #[error("the fleet could not be set up")]
    Process(#[source] io::Error),
    /// See there.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// See there.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// See there.
    #[error(transparent)]
    Central(#[from] CentralError),
    /// See there.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// See there.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// See there.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Many controllers against one broker, each the real latchd with a board and a central of its own
///
/// Shows how long it takes until all are in step, until a booking is everywhere, until a command is done everywhere, and,
/// with the broker of its own, until all are in step again after it was gone. Controllers are called fleet-1 and on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many controllers
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(SITES_MAX)))]
    sites: u16,
    /// A broker that runs already (mqtt://HOST:PORT); left out, one is embedded
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Members each site knows, with a grant each
    #[arg(long, value_name = "N", default_value_t = 200)]
    members: u32,
    /// Where latchd is (default: beside latch-sim)
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Args {
    /// Plays the day.
    ///
    /// # Errors
    /// The fleet could not be set up, or a controller did not do its part.
    pub fn run(self) -> Result<(), FleetError> {
        let programs = match self.bin_dir {
            Some(folder) => folder,
            None => folder_of_this_program().map_err(FleetError::Process)?,
        };
        play(self.sites, self.members, self.broker, &programs)
    }
}

/// Plays the day of so many sites, with the `latchd` in the folder of programs.
///
/// # Errors
/// The fleet could not be set up, or a controller did not do its part.
pub fn play(count: u16, members: u32, broker: Option<String>, programs: &Path) -> Result<(), FleetError> {
    let latchd = find(programs, "latchd")?;
    let folder = tempfile::Builder::new().prefix("latch-fleet-").tempdir();
    let folder = folder.map_err(|source| FleetError::Folder { path: std::env::temp_dir(), source })?;
    // A controller and its central, and a few who look on.
    let connections = usize::from(count) * 2 + 8;
    let own = |listen| Broker::start_for(listen, connections);
    let mut embedded = match broker {
        Some(_) => None,
        None => Some(own(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?),
    };
    let url = broker.unwrap_or_else(|| embedded.as_ref().map_or_else(String::new, Broker::url));
    say(format_args!("{count} controllers, {members} members each; broker {url}"));

    let mut sites = prepare(count, &url, folder.path())?;
    steps::head();
    steps::start(&mut sites, &latchd, members)?;
    steps::book(&sites)?;
    steps::command(&sites)?;
    if let Some(running) = embedded.take() {
        let listen = running.address();
        drop(running);
        steps::lose_broker(&sites, || own(listen).map(|again| embedded = Some(again)))?;
    }
    steps::close(&mut sites)
}

fn prepare(count: u16, url: &str, folder: &Path) -> Result<Vec<Site>, FleetError> {
    let signer = Signer::new("fleet-central", SecretKey::generate()?);
    let one = |number| {
        let controller = format!("fleet-{number}");
        let own = folder.join(&controller);
        fs::create_dir_all(&own).map_err(|source| FleetError::Folder { path: own.clone(), source })?;
        Site::prepare(controller, url, &signer, own)
    };
    (1..=count).map(one).collect()
}

fn folder_of_this_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program.parent().map(PathBuf::from).ok_or_else(|| io::Error::other("the program lies in no folder"))
}
