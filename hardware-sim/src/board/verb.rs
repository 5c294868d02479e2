//! `latch-sim board`: boards as a process, which says what happens and takes orders.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::orders::{HELP, Order};
use super::scenario::{Mistakes, Scenario};
use super::{Board, BoardConfig, BoardError, Cause, Happening, LineConfig, Opening, Place, Rate};
use crate::orders::{OrderSocket, OrdersError};
use crate::time;
use crate::until_told::{length_of_time, say, told_to_stop};

/// How often the printing thread looks whether the boards are still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The same where several are looked at in turn.
const LOOK_AT_EACH: Duration = Duration::from_millis(50);

/// Modbus relay and input boards on one line, with doors behind them that swing, stick and get forced
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    place: Where,
    /// Doors behind each: door N has its strike on coil N, contact on input 2N, REX on input 2N+1
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    doors: u16,
    /// The unit of the first board
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// How many boards share the line, with units from there on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    boards: u8,
    /// Bytes take what they take at so many bits a second (8N1), and boards 2 ms to answer
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(300..=1_000_000))]
    baud: Option<u32>,
    /// Boards that time no pulses
    #[arg(long)]
    plain: bool,
    /// Relays fall when nobody has spoken to their board for so long
    #[arg(long, value_name = "TIME", value_parser = length_of_time)]
    watchdog: Option<Duration>,
    /// A Unix socket that takes orders
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// A file of lines such as `at 2s rex 0` or `after 500ms walk 0`; exits when it is over, with 1 if one went wrong
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

/// One of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Where {
    /// Where to listen for Modbus TCP, such as 127.0.0.1:5020 (port 0: any free one, printed)
    #[arg(long, value_name = "ADDR")]
    tcp: Option<SocketAddr>,
    /// The same for RTU frames over TCP
    #[arg(long, value_name = "ADDR")]
    rtutcp: Option<SocketAddr>,
    /// A serial line: the path at which a pty appears
    #[arg(long, value_name = "PTY")]
    rtu: Option<PathBuf>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error("cannot wait for signals or print")]
    Process(#[source] std::io::Error),
    #[error("cannot read the scenario {path}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the scenario {path} has mistakes, and nothing was done:\n{mistakes}")]
    Mistakes { path: PathBuf, mistakes: Mistakes },
    #[error("{0} lines of the scenario went wrong")]
    WentWrong(usize),
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        let scenario = self.scenario.as_deref().map(read).transpose()?;
        let boards = Arc::new(super::start(self.line())?);
        for board in boards.iter() {
            let fire = BoardConfig::with_doors(self.doors).fire_input();
            say(format_args!("board at {} unit {}, input {fire} free for fire", board.url(), board.unit()));
        }
        let (watched, start) = (Arc::downgrade(&boards), time::now());
        std::thread::Builder::new()
            .name("sim-print".into())
            .spawn(move || print(&watched, start))
            .map_err(VerbError::Process)?;
        let ordered = Arc::downgrade(&boards);
        let handler: crate::orders::Handler = Arc::new(move |line| {
            let boards = ordered.upgrade().ok_or("the boards are shutting down")?;
            line.parse::<Order>()?.carry_out(&boards)
        });
        let _socket = self.control.map(|path| OrderSocket::open(&path, Arc::clone(&handler))).transpose()?;
        let Some(scenario) = scenario else {
            crate::orders::from_stdin(handler)?;
            return told_to_stop(None).map_err(VerbError::Process);
        };
        match scenario.play(&Arc::downgrade(&boards), |line| say(line)) {
            0 => Ok(()),
            wrong => Err(VerbError::WentWrong(wrong)),
        }
    }

    fn line(&self) -> LineConfig {
        let board = |n| BoardConfig {
            unit: self.unit.saturating_add(n),
            flashes: !self.plain,
            watchdog: self.watchdog,
            ..BoardConfig::with_doors(self.doors)
        };
        let place = match (&self.place.rtu, self.place.rtutcp, self.place.tcp) {
            (Some(path), ..) => Place::Rtu(path.clone()),
            (None, Some(addr), _) => Place::RtuTcp(addr),
            (None, None, addr) => Place::Tcp(addr.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))),
        };
        LineConfig { place, rate: self.baud.map(Rate::of), boards: (0..self.boards).map(board).collect() }
    }
}

fn read(path: &std::path::Path) -> Result<Scenario, VerbError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| VerbError::Unreadable { path: path.into(), source })?;
    Scenario::read(&text).map_err(|mistakes| VerbError::Mistakes { path: path.into(), mistakes })
}

fn print(boards: &Weak<Vec<Board>>, start: Instant) {
    let mut next: Vec<u64> = Vec::new();
    while let Some(boards) = boards.upgrade() {
        next.resize(boards.len(), 0);
        let alone = boards.len() == 1;
        for (board, next) in boards.iter().zip(&mut next) {
            for entry in board.happenings_since(*next, if alone { LOOK_EVERY } else { LOOK_AT_EACH }) {
                *next = entry.number + 1;
                let after = entry.at.saturating_duration_since(start).as_secs_f64();
                let unit = if alone { String::new() } else { format!("unit {:<3} ", board.unit()) };
                say(format_args!("{after:10.3}  {unit}{}", entry.what));
            }
        }
    }
}

impl std::fmt::Display for Happening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = |on: bool| if on { "on" } else { "off" };
        match *self {
            Self::CoilChanged { coil, on, cause } => {
                let why = match cause {
                    Cause::Written => "written",
                    Cause::FlashStarted => "flash begins",
                    Cause::FlashEnded => "flash over",
                    Cause::Watchdog => "watchdog",
                    Cause::PowerLost => "power lost",
                };
                write!(f, "coil {coil} {} ({why})", state(on))
            }
            Self::InputChanged { input, on } => write!(f, "input {input} {}", state(on)),
            Self::DoorOpened { door, how: Opening::Released } => write!(f, "door {door} opened"),
            Self::DoorOpened { door, how: Opening::Forced } => write!(f, "door {door} forced open"),
            Self::DoorClosed { door } => write!(f, "door {door} closed"),
            Self::DoorStayedLocked { door } => write!(f, "door {door} pulled: locked"),
            Self::DoorStuck { door } => write!(f, "door {door} pulled: released, and stuck"),
            Self::ClientConnected => write!(f, "client connected"),
            Self::ClientLeft => write!(f, "client left"),
        }
    }
}
