//! A simulated relay and input board on Modbus TCP, with doors behind it: what `latchd` drives in tests and in the
//! demo. It has its own thread and its own codec, and behaves as Waveshare's boards do where they have a habit.
//!
//! ```no_run
//! # use std::time::Duration;
//! use hardware_sim::board::{Board, BoardConfig};
//! let board = Board::start(BoardConfig::with_doors(2))?;
//! println!("modbus+tcp://{}", board.addr());
//! board.walk_through_within(0, Duration::from_secs(5), Duration::from_secs(2))?;
//! # Ok::<(), hardware_sim::board::BoardError>(())
//! ```

pub mod frame;
mod plant;
mod server;
pub mod verb;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

pub use plant::{Cause, FLASH_MAX, FLASH_OFF_BASE, FLASH_ON_BASE, Happening, NoSuch, Opening, Walk, Wiring};
pub use server::WrongUnit;

use crate::record::Entry;
use crate::watched::Watched;
use server::{Command, Faults, Shared, State};

/// How long a request to the board's thread may take before something is badly wrong.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// Where the board listens and what hangs on it.
#[derive(Debug, Clone)]
pub struct BoardConfig {
    /// Port 0 takes any free one.
    pub listen: SocketAddr,
    pub unit: u8,
    pub wrong_unit: WrongUnit,
    pub coils: u16,
    pub inputs: u16,
    pub doors: Vec<Wiring>,
}

impl BoardConfig {
    /// Door `n`: strike on coil `n`, contact on input `2n`, REX on `2n + 1`; at least 8 coils and inputs, and the
    /// last input is free for the fire alarm. Any port of the loopback, unit 1.
    #[must_use]
    pub fn with_doors(doors: u16) -> Self {
        let wiring = |door| Wiring { strike: door, contact: 2 * door, rex: 2 * door + 1 };
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            unit: 1,
            wrong_unit: WrongUnit::default(),
            coils: doors.next_multiple_of(8).max(8),
            inputs: (2 * doors + 1).next_multiple_of(8).max(8),
            doors: (0..doors).map(wiring).collect(),
        }
    }

    /// The input that [`BoardConfig::with_doors`] leaves for the fire alarm: the last.
    #[must_use]
    pub fn fire_input(&self) -> u16 {
        self.inputs.saturating_sub(1)
    }
}

/// Why the board can't do something.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    #[error("cannot listen on {addr}; choose a free port (0 takes any)")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("cannot start the board's thread")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    #[error("the board's thread did not answer; it ended or is stuck")]
    Gone,
}

/// A change of a coil, with the instant at which the board made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoilChange {
    pub at: Instant,
    pub coil: u16,
    pub on: bool,
    pub cause: Cause,
}

/// A running board. It ends when dropped.
pub struct Board {
    addr: SocketAddr,
    shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Board {
    pub fn start(config: BoardConfig) -> Result<Self, BoardError> {
        let plant = plant::Plant::new(config.coils, config.inputs, &config.doors)?;
        let listener = listen(config.listen)?;
        let addr =
            listener.local_addr().map_err(|source| BoardError::Listen { addr: config.listen, source })?;
        let shared = Arc::new(Shared {
            state: Watched::new(State { plant, faults: Faults::default(), frames: 0, clients: 0 }),
            sooner: Notify::new(),
            unit: config.unit,
            wrong_unit: config.wrong_unit,
        });
        // Each command waits for its answer, so more than a few callers at once can't be.
        let (commands, received) = mpsc::channel(8);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BoardError::Thread)?;
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sim-board".into())
            .spawn(move || runtime.block_on(server::serve(served, listener, received)))
            .map_err(BoardError::Thread)?;
        Ok(Self { addr, shared, commands: Some(commands), thread: Some(thread) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// What people do at the doors.
impl Board {
    /// Pulls once: opens if the strike is energised, and lets the door fall shut after `open_for`.
    pub fn walk_through(&self, door: usize, open_for: Duration) -> Result<Walk, BoardError> {
        Ok(self.shared.act(|state, now| state.plant.pull(now, door, Some(open_for)))?)
    }

    /// Pulls until the strike gives, for at most `patience`.
    pub fn walk_through_within(
        &self,
        door: usize,
        patience: Duration,
        open_for: Duration,
    ) -> Result<Walk, BoardError> {
        let strike = self.shared.state.look(|state| state.plant.strike(door))?;
        self.shared.state.wait(patience, |state| state.plant.coil(strike).filter(|&on| on));
        self.walk_through(door, open_for)
    }

    /// Breaks the door open, whatever the strike says.
    pub fn force_open(&self, door: usize, open_for: Duration) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, now| state.plant.force(now, door, Some(open_for)))?)
    }

    /// Goes through and leaves the door open, until [`Board::close`]. An open door stays open.
    pub fn prop_open(&self, door: usize) -> Result<Walk, BoardError> {
        Ok(self.shared.act(|state, now| state.plant.pull(now, door, None))?)
    }

    pub fn close(&self, door: usize) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, now| state.plant.close(now, door))?)
    }

    /// Holds the button for `hold`; a controller that polls every 100 ms misses anything much shorter.
    pub fn press_rex(&self, door: usize, hold: Duration) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, now| state.plant.press_rex(now, door, hold))?)
    }

    /// Drives an input directly: the fire alarm, or a wire that has come off.
    pub fn set_input(&self, input: u16, on: bool) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, now| state.plant.set_input(now, input, on))?)
    }
}

/// What can be seen.
impl Board {
    #[must_use]
    pub fn coil(&self, coil: u16) -> Option<bool> {
        self.shared.act(|state, _| state.plant.coil(coil))
    }

    #[must_use]
    pub fn input(&self, input: u16) -> Option<bool> {
        self.shared.act(|state, _| state.plant.input(input))
    }

    /// All coils, all inputs, and which doors are open.
    #[must_use]
    pub fn snapshot(&self) -> (Vec<bool>, Vec<bool>, Vec<bool>) {
        self.shared.act(|state, _| (state.plant.coils(), state.plant.inputs(), state.plant.open_doors()))
    }

    /// Frames received, answered or not.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.shared.state.look(|state| state.frames)
    }

    /// Clients connected now.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.shared.state.look(|state| state.clients)
    }

    #[must_use]
    pub fn coil_history(&self) -> Vec<CoilChange> {
        self.shared.state.look(|state| state.plant.record.iter().filter_map(coil_change).collect())
    }

    /// Waits until the coil is in that state; false if it is not within `limit`.
    #[must_use]
    pub fn wait_for_coil(&self, coil: u16, on: bool, limit: Duration) -> bool {
        self.shared.state.wait(limit, |state| (state.plant.coil(coil) == Some(on)).then_some(())).is_some()
    }

    /// Waits for a change to that state at or after `since`, which may have come and gone meanwhile.
    #[must_use]
    pub fn wait_for_coil_change(
        &self,
        since: Instant,
        coil: u16,
        on: bool,
        limit: Duration,
    ) -> Option<CoilChange> {
        let wanted = |change: &CoilChange| change.at >= since && change.coil == coil && change.on == on;
        self.shared.state.wait(limit, |state| state.plant.record.iter().filter_map(coil_change).find(wanted))
    }

    /// Waits until at least `count` clients are connected.
    #[must_use]
    pub fn wait_for_clients(&self, count: usize, limit: Duration) -> bool {
        self.shared.state.wait(limit, |state| (state.clients >= count).then_some(())).is_some()
    }

    /// Everything from line `number` on, or, if there is nothing yet, what comes within `limit`.
    #[must_use]
    pub fn happenings_since(&self, number: u64, limit: Duration) -> Vec<Entry<Happening>> {
        let some = |state: &State| {
            (state.plant.record.next_number() > number).then(|| state.plant.record.since(number))
        };
        self.shared.state.wait(limit, some).unwrap_or_default()
    }
}

/// What goes wrong.
impl Board {
    /// Takes every frame and neither acts on it nor answers, until [`Board::clear_faults`].
    pub fn go_silent(&self) {
        self.fault(|faults| faults.silent = true);
    }

    /// Carries out the next write, but echoes another coil.
    pub fn wrong_echo_once(&self) {
        self.fault(|faults| faults.wrong_echo_once = true);
    }

    /// Echoes writes without carrying them out: the false success that only reading back shows.
    pub fn lie_about_writes(&self) {
        self.fault(|faults| faults.lie_about_writes = true);
    }

    /// Acts at once, but answers so much later.
    pub fn late(&self, by: Duration) {
        self.fault(|faults| faults.late = by);
    }

    /// Carries out and answers writes so much later.
    pub fn delay_writes(&self, by: Duration) {
        self.fault(|faults| faults.write_delay = by);
    }

    /// Answers everything with this exception and does nothing.
    pub fn refuse_with_exception(&self, code: u8) {
        self.fault(|faults| faults.refuse = Some(code));
    }

    /// Ends all of the above.
    pub fn clear_faults(&self) {
        self.fault(|faults| *faults = Faults::default());
    }

    /// Cuts every connection; new ones are accepted.
    pub fn drop_connections(&self) -> Result<(), BoardError> {
        self.command(Command::DropConnections)
    }

    /// The network side is gone: connections cut, connecting refused. Relays, flashes and doors go on.
    pub fn stop(&self) -> Result<(), BoardError> {
        self.command(Command::Stop)
    }

    /// Listens again, on the same port.
    pub fn restart(&self) -> Result<(), BoardError> {
        let listener = listen(self.addr)?;
        self.command(|done| Command::Restart(listener, done))
    }

    /// The power fails: [`Board::stop`], and every relay falls.
    pub fn lose_power(&self) -> Result<(), BoardError> {
        self.stop()?;
        self.shared.act(|state, now| state.plant.lose_power(now));
        Ok(())
    }

    fn fault(&self, set: impl FnOnce(&mut Faults)) {
        self.shared.state.change(|state| set(&mut state.faults));
    }

    fn command(&self, command: impl FnOnce(SyncSender<()>) -> Command) -> Result<(), BoardError> {
        let (done, wait) = sync_channel(1);
        let commands = self.commands.as_ref().ok_or(BoardError::Gone)?;
        commands.try_send(command(done)).map_err(|_| BoardError::Gone)?;
        wait.recv_timeout(COMMAND_LIMIT).map_err(|_| BoardError::Gone)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // The thread ends when nobody can command it any more.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(addr: SocketAddr) -> Result<TcpListener, BoardError> {
    let listener = TcpListener::bind(addr).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| BoardError::Listen { addr, source })
}

fn coil_change(entry: &Entry<Happening>) -> Option<CoilChange> {
    match entry.what {
        Happening::CoilChanged { coil, on, cause } => Some(CoilChange { at: entry.at, coil, on, cause }),
        Happening::InputChanged { .. }
        | Happening::DoorOpened { .. }
        | Happening::DoorClosed { .. }
        | Happening::DoorStayedLocked { .. }
        | Happening::ClientConnected
        | Happening::ClientLeft => None,
    }
}

#[cfg(test)]
mod tests;
