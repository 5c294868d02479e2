//! Relay and input boards that speak Modbus: over TCP, over a serial line (RTU), or RTU carried by TCP, one or
//! several on a line. A task for each line talks to its boards; each board is driven through a [`Handle`] of its own.
//!
//! ```text
//!   Handle ─┐              ┌ unit ─ pulses        what a board is asked, and what runs on it
//!   Handle ─┼─ inbox ─ line┤                      who is next
//!   Handle ─┘              └ exchange ─ frame     one question, one answer, TCP or RTU
//!                               └ ask             bytes, and what counts as an answer
//! ```
//!
//! A strike must not move long after the tap that moved it: while a board is down its commands fail at once, and one
//! that waited too long fails as well. None is kept for later. What is said to have been done was read back.
//!
//! The library (tokio-modbus) gives the vocabulary. Its client is not used: it takes any echo of a write for the
//! right one in a release build, can't read that of a timed pulse, and has no more than one unit's time-out in mind.

pub mod ask;
mod batch;
mod changes;
mod exchange;
pub mod frame;
mod inbox;
mod line;
mod pulses;
#[cfg(test)]
mod tests;
mod unit;

use std::{collections::VecDeque, fmt, io, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use tokio::{
    net::TcpStream,
    sync::{
        mpsc::{self, Sender},
        watch,
    },
    task,
};
use tokio_serial::{DataBits, Parity as SerialParity, SerialStream, StopBits};

use self::{
    exchange::{Fault, Pace, Wire},
    frame::Framing,
    inbox::{Inbox, Waiting},
    line::Line,
    unit::Unit,
};
use crate::{
    control::{BoardCommand, Event},
    domain::BoardId,
    drivers::{backoff::Backoff, clock},
};

/// Commands that may wait for each board: one for each of its coils, of which there are 64 at most.
const WAITING_MAX: usize = 64;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_millis(2_000);
/// How long a line that is let go of may take to do what it was told.
const LAST_WORK: Duration = Duration::from_secs(2);
/// The most inputs a board may have (`control::Inputs`).
pub const INPUTS_MAX: u8 = 64;
/// Silence before a request where another box does the sending: 3.5 characters at 9600 baud.
const GATEWAY_SILENCE: Duration = Duration::from_millis(4);
/// From here on the silence does not get shorter (MODBUS over Serial Line 1.02 §2.5.1.1).
const FAST_BAUD: u32 = 19_200;
const FAST_SILENCE: Duration = Duration::from_micros(1_750);

/// Where a line is. Boards with the same one share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Modbus TCP at `host:port`.
    Tcp(String),
    /// RTU frames over TCP at `host:port`, as simple Ethernet boxes have it.
    RtuOverTcp(String),
    Serial(Serial),
}

/// A serial line; 8 data bits, as RTU has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    pub path: String,
    pub baud: u32,
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    None,
    Even,
    Odd,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Address::Tcp(address) | Address::RtuOverTcp(address) => address,
            Address::Serial(serial) => &serial.path,
        })
    }
}

impl Config {
    /// Whether a running board can go on with this: it is asked other things from now on, and is the same.
    pub fn can_become(&self, new: &Config) -> bool {
        let fixed = |c: &Config| (c.board.clone(), c.unit, c.coil_base, c.input_base, c.pulse);
        fixed(self) == fixed(new)
    }
}

impl Address {
    /// For people: what is spoken, and where.
    fn kind(&self) -> String {
        match self {
            Address::Tcp(address) => format!("Modbus TCP at {address}"),
            Address::RtuOverTcp(address) => format!("Modbus RTU over TCP at {address}"),
            Address::Serial(Serial { path, baud, parity, stop_bits }) => {
                let parity = match parity {
                    Parity::None => 'N',
                    Parity::Even => 'E',
                    Parity::Odd => 'O',
                };
                format!("Modbus RTU on {path}, {baud} baud 8{parity}{stop_bits}")
            }
        }
    }

    fn is_rtu(&self) -> bool {
        !matches!(self, Address::Tcp(_))
    }

    fn framing(&self) -> Framing {
        if self.is_rtu() { Framing::Rtu } else { Framing::tcp() }
    }

    fn pace(&self) -> Pace {
        match self {
            Address::Tcp(_) => Pace::default(),
            Address::RtuOverTcp(_) => Pace { byte: Duration::ZERO, silence: GATEWAY_SILENCE },
            Address::Serial(serial) => serial.pace(),
        }
    }
}

impl Serial {
    fn pace(&self) -> Pace {
        // Start, 8 data, parity, stop.
        let bits = 9 + u32::from(self.parity != Parity::None) + u32::from(self.stop_bits);
        let byte = Duration::from_secs(1) * bits / self.baud.max(1);
        let silence = if self.baud > FAST_BAUD { FAST_SILENCE } else { byte * 7 / 2 };
        Pace { byte, silence }
    }

    fn open(&self) -> io::Result<SerialStream> {
        let line = tokio_serial::new(self.path.as_str(), self.baud)
            .data_bits(DataBits::Eight)
            .parity(match self.parity {
                Parity::None => SerialParity::None,
                Parity::Even => SerialParity::Even,
                Parity::Odd => SerialParity::Odd,
            })
            .stop_bits(if self.stop_bits == 2 { StopBits::Two } else { StopBits::One });
        // Exclusive by default: a second latchd, or a modem manager, would eat the answers.
        SerialStream::open(&line).map_err(|error| io::Error::other(SerialError(error)))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}; is it plugged in, and may latchd use it (group dialout)?")]
struct SerialError(tokio_serial::Error);

/// Who ends a pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// The board: function 05 to this plus the coil, with n × 100 ms.
    Flash { base: u16 },
    /// We do. For boards with a watchdog of their own, which drops its coils when nobody talks to it.
    Host,
}

/// One board on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub board: BoardId,
    pub unit: u8,
    /// The addresses of its first coil and its first input.
    pub coil_base: u16,
    pub input_base: u16,
    pub pulse: Pulse,
    /// It takes function 15: coils side by side in one write.
    pub write_many: bool,
    /// For each answer, beside the time its bytes take.
    pub timeout: Duration,
    /// From one reading of the inputs to the next.
    pub poll: Duration,
    /// Coils in use: those below this number.
    pub coils: u8,
    /// Inputs to read: those below this number, at most [`INPUTS_MAX`]; with 0 a coil is read to see that it is there.
    pub inputs: u8,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("board at {address}: no connection: {source}")]
    Connect { address: String, source: io::Error },
    #[error("board at {address}: {source}")]
    Exchange { address: String, source: Fault },
    #[error("its driver has failed; report this, with the log")]
    Panicked,
    #[error("the daemon is stopping")]
    Stopping,
}

/// A command that was not taken; nothing further will be said of it.
#[derive(Debug, thiserror::Error)]
#[error("board {board}: {} commands are waiting already", self.waiting)]
pub struct Refused {
    pub board: BoardId,
    pub command: BoardCommand,
    pub waiting: usize,
}

/// A running board. Dropping the last one of a line ends its task; a pulse that runs is ended by the board.
#[derive(Debug)]
pub struct Handle {
    board: BoardId,
    number: usize,
    commands: Sender<Waiting>,
    line: Arc<Task>,
}

/// A line's task, and the way to tell it that its boards are others.
#[derive(Debug)]
struct Task {
    /// None once it has been let go of.
    running: Option<task::JoinHandle<()>>,
    boards: watch::Sender<Vec<Config>>,
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// When a line that was let go of has ended, and its port is free.
pub type Ended = Shared<BoxFuture<'static, ()>>;

/// Nothing has to end first.
pub fn at_once() -> Ended {
    async {}.boxed().shared()
}

impl Handle {
    /// Never waits. What is taken is answered by `Pulsed` or `Secured`, or by `Failed`.
    pub fn command(&self, command: BoardCommand) -> Result<(), Box<Refused>> {
        let waiting = Waiting { asked_at: clock::instant(), board: self.number, command };
        self.commands.try_send(waiting).map_err(|refused| {
            let Waiting { command, .. } = refused.into_inner();
            let waiting = self.commands.max_capacity();
            Box::new(Refused { board: self.board.clone(), command, waiting })
        })
    }
}

/// Tells a running line what its boards are asked from now on, by the handles of all of them. What runs goes on.
/// `boards`: those it has, each as it can become ([`Config::can_become`]), in their order, and any number behind them,
/// for which handles come back.
pub fn change(handles: &[&Handle], boards: Vec<Config>) -> Vec<Handle> {
    let Some(first) = handles.first() else { return Vec::new() };
    let new = boards.iter().enumerate().skip(handles.len());
    let handle = |(number, config): (usize, &Config)| Handle {
        board: config.board.clone(),
        number,
        commands: first.commands.clone(),
        line: first.line.clone(),
    };
    let added = new.map(handle).collect();
    first.line.boards.send_replace(boards);
    added
}

/// Lets go of a line, by the handles of all its boards: it does what it was told, such as switching off strikes, if
/// that takes no longer than [`LAST_WORK`]; then it ends.
pub fn let_go(handles: Vec<Handle>) -> Ended {
    let lines: Vec<Arc<Task>> = handles.into_iter().map(|handle| handle.line).collect();
    let running = lines.into_iter().filter_map(Arc::into_inner).find_map(|mut line| line.running.take());
    let Some(mut running) = running else { return at_once() };
    let ended = task::spawn(async move {
        if tokio::time::timeout(LAST_WORK, &mut running).await.is_err() {
            running.abort();
            let _cancelled = running.await;
        }
    });
    ended.map(|_| ()).boxed().shared()
}

/// Starts a line's task in the current runtime, which opens the line when `after` has ended: a handle for each of its
/// boards, in their order.
pub fn spawn(address: Address, boards: Vec<Config>, events: Sender<Event>, after: Ended) -> Vec<Handle> {
    match address.clone() {
        Address::Tcp(at) | Address::RtuOverTcp(at) => spawn_over(address, boards, events, after, move || {
            let at = at.clone();
            async move {
                let socket = TcpStream::connect(at).await?;
                // A command is one small segment: it must not wait for the last one's acknowledgement.
                socket.set_nodelay(true)?;
                Ok(socket)
            }
        }),
        Address::Serial(serial) => spawn_over(address, boards, events, after, move || {
            let opened = serial.open();
            async move { opened }
        }),
    }
}

fn spawn_over<T, F, C>(
    address: Address,
    boards: Vec<Config>,
    events: Sender<Event>,
    after: Ended,
    dial: C,
) -> Vec<Handle>
where
    T: Wire + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
    C: FnMut() -> F + Send + 'static,
{
    let ids: Vec<BoardId> = boards.iter().map(|board| board.board.clone()).collect();
    let waiting_max = WAITING_MAX * boards.len().max(1);
    let (sender, commands) = mpsc::channel(waiting_max);
    let inbox = Inbox {
        commands,
        events,
        boards: ids.iter().map(|id| (id.clone(), false)).collect(),
        waiting: VecDeque::new(),
        waiting_max,
        is_closed: false,
    };
    let (told, changes) = watch::channel(boards.clone());
    let line = Line {
        address,
        units: boards.into_iter().map(Unit::new).collect(),
        inbox,
        changes,
        backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
        busy_at: None,
        in_hand: Vec::new(),
    };
    let running = Some(task::spawn(line.run(dial, after)));
    let line = Arc::new(Task { running, boards: told });
    let handle = |(number, board)| Handle { board, number, commands: sender.clone(), line: line.clone() };
    ids.into_iter().enumerate().map(handle).collect()
}
