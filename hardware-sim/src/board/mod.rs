//! Simulated relay and input boards, with doors behind them: what `latchd` drives in tests and in the demo. One on
//! Modbus TCP, or several on a line that they share, with what bytes take on it. They have a thread and a codec of
//! their own, and behave as Waveshare's boards do where they have a habit.
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
mod line;
mod orders;
mod plant;
mod rtu;
mod scenario;
mod server;
mod stream;
pub mod verb;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use line::{LineConfig, Place, start};
pub use plant::{Cause, FLASH_MAX, FLASH_OFF_BASE, FLASH_ON_BASE, Happening, NoSuch, Opening, Walk, Wiring};
pub use server::{Asked, Rate, WrongUnit};

use crate::pty::PtyError;
use crate::record::Entry;
use line::Line;
use server::{Faults, Shared, State};

/// Where a board listens that is alone on its line, and what hangs on it.
#[derive(Debug, Clone)]
pub struct BoardConfig {
    /// Port 0 takes any free one. Of a board that shares a line the line says where.
    pub listen: SocketAddr,
    pub unit: u8,
    pub wrong_unit: WrongUnit,
    /// It times pulses.
    pub flashes: bool,
    /// Its relays fall when nobody spoke to it for so long.
    pub watchdog: Option<Duration>,
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
            flashes: true,
            watchdog: None,
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
    #[error("cannot open the serial line")]
    Pty(#[from] PtyError),
    #[error("a line needs at least one board, and each a unit of its own from 1 to 247")]
    Units,
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

/// A running board. Its line ends when the last of its boards is dropped.
pub struct Board {
    shared: Arc<Shared>,
    line: Arc<Line>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("line", &self.url()).field("unit", &self.unit()).finish_non_exhaustive()
    }
}

impl Board {
    /// Starts a board that is alone on its line, on Modbus TCP.
    pub fn start(config: BoardConfig) -> Result<Self, BoardError> {
        let place = Place::Tcp(config.listen);
        let mut boards = start(LineConfig { place, rate: None, boards: vec![config] })?;
        boards.pop().ok_or(BoardError::Units)
    }

    /// Where it is, as a configuration of the daemon says it.
    #[must_use]
    pub fn url(&self) -> String {
        self.line.url()
    }

    #[must_use]
    pub fn unit(&self) -> u8 {
        self.shared.unit
    }

    /// Where clients connect; nowhere on a serial line.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.line.addr()
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

    /// The door jams, or is freed again.
    pub fn stick(&self, door: usize, stuck: bool) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, _| state.plant.stick(door, stuck))?)
    }

    /// From now on the door's contact chatters for so long each time it falls shut.
    pub fn bounce(&self, door: usize, long: Duration) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, _| state.plant.bounce(door, long))?)
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

    /// What came over its line, for whichever board, from line `number` of that record on: when its last byte was in.
    #[must_use]
    pub fn asked_since(&self, number: u64) -> Vec<Entry<Asked>> {
        self.line.asked.look(|asked| asked.since(number))
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

    /// The same for an input.
    #[must_use]
    pub fn wait_for_input(&self, input: u16, on: bool, limit: Duration) -> bool {
        self.shared.state.wait(limit, |state| (state.plant.input(input) == Some(on)).then_some(())).is_some()
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

    /// Answers break off in the middle.
    pub fn cut_answers_short(&self) {
        self.fault(|faults| faults.short = true);
    }

    /// The next answer has a wrong bit in it.
    pub fn damage_once(&self) {
        self.fault(|faults| faults.damaged_once = true);
    }

    /// Answers under this other unit's number. Two that do so for each other have their answers swapped.
    pub fn answer_as(&self, unit: u8) {
        self.fault(|faults| faults.answers_as = Some(unit));
    }

    /// A relay whose contacts stick: once on it stays on, until it is freed.
    pub fn weld(&self, coil: u16, welded: bool) -> Result<(), BoardError> {
        Ok(self.shared.act(|state, _| state.plant.weld(coil, welded))?)
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

    /// Cuts every connection to the line; new ones are accepted.
    pub fn drop_connections(&self) -> Result<(), BoardError> {
        self.line.drop_connections()
    }

    /// The cable is pulled: connections cut, connecting refused; a serial line is gone. Relays, flashes and doors go
    /// on. For all boards on the line.
    pub fn stop(&self) -> Result<(), BoardError> {
        self.line.stop()
    }

    /// And put back: it is where it was.
    pub fn restart(&self) -> Result<(), BoardError> {
        self.line.restart()
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
}

fn coil_change(entry: &Entry<Happening>) -> Option<CoilChange> {
    match entry.what {
        Happening::CoilChanged { coil, on, cause } => Some(CoilChange { at: entry.at, coil, on, cause }),
        Happening::InputChanged { .. }
        | Happening::DoorOpened { .. }
        | Happening::DoorClosed { .. }
        | Happening::DoorStayedLocked { .. }
        | Happening::DoorStuck { .. }
        | Happening::ClientConnected
        | Happening::ClientLeft => None,
    }
}

#[cfg(test)]
mod tests;
