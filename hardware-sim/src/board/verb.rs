//! `latch-sim board`: the board as a process, which says what happens and takes orders.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Board, BoardConfig, BoardError, Cause, Happening, Opening, Walk};
use crate::orders::{OrderSocket, OrdersError, chain};
use crate::time;
use crate::until_told::{length_of_time, say, told_to_stop};

/// How long a person holds the button, and a door stays open, unless told otherwise.
const REX_HOLD: Duration = Duration::from_millis(500);
const OPEN_FOR: Duration = Duration::from_secs(2);
/// How often the printing thread looks whether the board is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const ORDERS: &str = "\
Orders, one a line, on the control socket and on standard input:
  walk DOOR [TIME]       pull once; if the strike is released, go through and let it fall shut (2s)
  force DOOR [TIME]      break it open
  prop DOOR              go through and leave it open
  close DOOR
  rex DOOR [TIME]        press the button (0.5s)
  input INPUT on|off     drive an input: the fire alarm, a broken wire
  silent | lie | answer  take no frame; echo writes without doing them; both over
  drop | stop | restart  cut the clients; close the port; listen again
  state                  coils, inputs and doors
Each is answered by `ok`, or by `error:` and a sentence.";

/// A Modbus relay and input board, with doors behind it that swing, stick and get forced
#[derive(Debug, clap::Args)]
#[command(after_help = ORDERS)]
pub struct Args {
    /// Where to listen for Modbus TCP, such as 127.0.0.1:5020 (port 0: any free one, printed)
    #[arg(long, value_name = "ADDR")]
    tcp: SocketAddr,
    /// Doors behind it: door N has its strike on coil N, contact on input 2N, REX on input 2N+1
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    doors: u16,
    /// The unit that is answered; others get exception 0B
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// A Unix socket that takes orders
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
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
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        let config = BoardConfig { listen: self.tcp, unit: self.unit, ..BoardConfig::with_doors(self.doors) };
        let fire = config.fire_input();
        let board = Arc::new(Board::start(config)?);
        say(format_args!(
            "board at modbus+tcp://{} unit {}, input {fire} free for fire",
            board.addr(),
            self.unit
        ));
        let watched = Arc::downgrade(&board);
        let start = time::now();
        std::thread::Builder::new()
            .name("sim-print".into())
            .spawn(move || print(&watched, start))
            .map_err(VerbError::Process)?;
        let ordered = Arc::downgrade(&board);
        let handler: crate::orders::Handler = Arc::new(move |line| order(&ordered, line));
        let _socket = self.control.map(|path| OrderSocket::open(&path, Arc::clone(&handler))).transpose()?;
        crate::orders::from_stdin(handler)?;
        told_to_stop(None).map_err(VerbError::Process)
    }
}

fn print(board: &Weak<Board>, start: Instant) {
    let mut next = 0;
    while let Some(board) = board.upgrade() {
        for entry in board.happenings_since(next, LOOK_EVERY) {
            next = entry.number + 1;
            let after = entry.at.saturating_duration_since(start).as_secs_f64();
            say(format_args!("{after:10.3}  {}", entry.what));
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
                    Cause::PowerLost => "power lost",
                };
                write!(f, "coil {coil} {} ({why})", state(on))
            }
            Self::InputChanged { input, on } => write!(f, "input {input} {}", state(on)),
            Self::DoorOpened { door, how: Opening::Released } => write!(f, "door {door} opened"),
            Self::DoorOpened { door, how: Opening::Forced } => write!(f, "door {door} forced open"),
            Self::DoorClosed { door } => write!(f, "door {door} closed"),
            Self::DoorStayedLocked { door } => write!(f, "door {door} pulled: locked"),
            Self::ClientConnected => write!(f, "client connected"),
            Self::ClientLeft => write!(f, "client left"),
        }
    }
}

/// Carries out one order.
fn order(board: &Weak<Board>, line: &str) -> Result<String, String> {
    let board = board.upgrade().ok_or("the board is shutting down")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = match words.as_slice() {
        ["walk", door, rest @ ..] => {
            return walked(board.walk_through(number(door)?, seconds(rest, OPEN_FOR)?));
        }
        ["prop", door] => return walked(board.prop_open(number(door)?)),
        ["force", door, rest @ ..] => board.force_open(number(door)?, seconds(rest, OPEN_FOR)?),
        ["close", door] => board.close(number(door)?),
        ["rex", door, rest @ ..] => board.press_rex(number(door)?, seconds(rest, REX_HOLD)?),
        ["input", input, "on"] => board.set_input(number(input)?, true),
        ["input", input, "off"] => board.set_input(number(input)?, false),
        ["silent"] => {
            board.go_silent();
            Ok(())
        }
        ["lie"] => {
            board.lie_about_writes();
            Ok(())
        }
        ["answer"] => {
            board.clear_faults();
            Ok(())
        }
        ["drop"] => board.drop_connections(),
        ["stop"] => board.stop(),
        ["restart"] => board.restart(),
        ["state"] => return Ok(state(&board)),
        _ => return Err(format!("no such order: {line}; see latch-sim board --help")),
    };
    done.map(|()| String::new()).map_err(|error| chain(&error))
}

fn walked(walk: Result<Walk, BoardError>) -> Result<String, String> {
    match walk {
        Ok(Walk::Through) => Ok("through".into()),
        Ok(Walk::Locked) => Err("locked: the strike is not released".into()),
        Err(error) => Err(chain(&error)),
    }
}

fn state(board: &Board) -> String {
    let (coils, inputs, open) = board.snapshot();
    let bits = |bits: &[bool]| bits.iter().map(|&on| if on { '1' } else { '0' }).collect::<String>();
    let doors: Vec<&str> = open.iter().map(|&open| if open { "open" } else { "closed" }).collect();
    format!("coils {}\ninputs {}\ndoors {}", bits(&coils), bits(&inputs), doors.join(" "))
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is not a number that fits here"))
}

fn seconds(words: &[&str], otherwise: Duration) -> Result<Duration, String> {
    match words {
        [] => Ok(otherwise),
        [word] => length_of_time(word),
        _ => Err("one length of time, no more".into()),
    }
}
