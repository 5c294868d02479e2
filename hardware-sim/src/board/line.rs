//! The line that boards share: where it is, its thread, and what goes wrong with all of it at once.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::plant::Plant;
use super::server::{self, Asked, Bus, Command, Faults, Port, Rate, Shared, State, WrongUnit};
use super::{Board, BoardConfig, BoardError};
use crate::pty::Pty;
use crate::record::Record;
use crate::watched::Watched;

/// How long a request to the line's thread may take before something is badly wrong.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// Where a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Modbus TCP. Port 0 takes any free one.
    Tcp(SocketAddr),
    /// RTU frames over TCP.
    RtuTcp(SocketAddr),
    /// RTU on a pty, behind this path.
    Rtu(PathBuf),
}

/// A line and the boards on it.
#[derive(Debug, Clone)]
pub struct LineConfig {
    pub place: Place,
    /// None: bytes take no time.
    pub rate: Option<Rate>,
    pub boards: Vec<BoardConfig>,
}

/// A running line.
#[derive(Debug)]
pub(super) struct Line {
    place: Place,
    rate: Option<Rate>,
    pub asked: Arc<Watched<Record<Asked>>>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Starts all boards of a line, in their order.
pub fn start(config: LineConfig) -> Result<Vec<Board>, BoardError> {
    let LineConfig { mut place, rate, boards } = config;
    let mut numbers: Vec<u8> = boards.iter().map(|board| board.unit).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if boards.is_empty() || numbers.len() != boards.len() {
        return Err(BoardError::Units);
    }
    let sooner = Arc::new(Notify::new());
    let wrong_unit = boards.first().map_or(WrongUnit::default(), |board| board.wrong_unit);
    let units = boards.iter().map(|board| unit(board, &sooner)).collect::<Result<Vec<_>, _>>()?;
    let port = open(&mut place)?;
    let is_rtu = !matches!(place, Place::Tcp(_));
    let asked: Arc<Watched<Record<Asked>>> = Arc::default();
    let bus =
        Arc::new(Bus { asked: Arc::clone(&asked), units: units.clone(), sooner, is_rtu, rate, wrong_unit });
    // Each command waits for its answer, so more than a few callers at once can't be.
    let (commands, received) = mpsc::channel(8);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BoardError::Thread)?;
    let thread = std::thread::Builder::new()
        .name("sim-board".into())
        .spawn(move || runtime.block_on(server::serve(bus, port, received)))
        .map_err(BoardError::Thread)?;
    let line =
        Arc::new(Line { place, rate, asked, commands: Some(commands), thread: Mutex::new(Some(thread)) });
    Ok(units.into_iter().map(|shared| Board { shared, line: Arc::clone(&line) }).collect())
}

fn unit(config: &BoardConfig, sooner: &Arc<Notify>) -> Result<Arc<Shared>, BoardError> {
    let mut plant = Plant::new(config.coils, config.inputs, &config.doors)?;
    plant.flashes = config.flashes;
    plant.watchdog = config.watchdog;
    let state = Watched::new(State { plant, faults: Faults::default(), frames: 0, clients: 0 });
    Ok(Arc::new(Shared { state, sooner: Arc::clone(sooner), unit: config.unit }))
}

/// Opens it, and notes which port it has become.
fn open(place: &mut Place) -> Result<Port, BoardError> {
    match place {
        Place::Tcp(addr) | Place::RtuTcp(addr) => {
            let failed = |source| BoardError::Listen { addr: *addr, source };
            let listener = TcpListener::bind(*addr).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let own = listener.local_addr().map_err(failed)?;
            *addr = own;
            Ok(Port::Tcp(listener))
        }
        Place::Rtu(path) => Ok(Port::Pty(Pty::open(path)?)),
    }
}

impl Line {
    pub fn addr(&self) -> SocketAddr {
        match self.place {
            Place::Tcp(addr) | Place::RtuTcp(addr) => addr,
            Place::Rtu(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    pub fn url(&self) -> String {
        match &self.place {
            Place::Tcp(addr) => format!("modbus+tcp://{addr}"),
            Place::RtuTcp(addr) => format!("modbus+rtutcp://{addr}"),
            Place::Rtu(path) => {
                format!("modbus+rtu://{}?baud={}", path.display(), self.rate.map_or(9600, |rate| rate.baud))
            }
        }
    }

    pub fn drop_connections(&self) -> Result<(), BoardError> {
        self.command(Command::DropConnections)
    }

    pub fn stop(&self) -> Result<(), BoardError> {
        self.command(Command::Stop)
    }

    pub fn restart(&self) -> Result<(), BoardError> {
        let port = open(&mut self.place.clone())?;
        self.command(|done| Command::Restart(port, done))
    }

    fn command(&self, command: impl FnOnce(SyncSender<()>) -> Command) -> Result<(), BoardError> {
        let (done, wait) = sync_channel(1);
        let commands = self.commands.as_ref().ok_or(BoardError::Gone)?;
        commands.try_send(command(done)).map_err(|_| BoardError::Gone)?;
        wait.recv_timeout(COMMAND_LIMIT).map_err(|_: std::sync::mpsc::RecvTimeoutError| BoardError::Gone)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The thread ends when nobody can command it any more.
        self.commands = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ended: Option<Result<(), _>> = thread.map(JoinHandle::join);
    }
}
