//! `latch-sim reader pn532`: a reader on a serial line as a process, which says what happens and takes orders.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Pn532, Pn532Error, Seen};
use crate::orders::{Handler, OrderSocket, OrdersError, chain, from_stdin};
use crate::time;
use crate::uid::CardUid;
use crate::until_told::{length_of_time, say, told_to_stop};

/// How long a person holds a card to a reader.
const HOLD: Duration = Duration::from_millis(400);
/// How often the printing thread looks whether the reader is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const ORDERS: &str = "\
Orders, one a line, on the control socket and on standard input:
  tap UID [TIME]          hold a card to it (400ms)
  put UID                 lay a card on it
  remove                  take the card away
  unplug | plug           pull the plug; plug it in again at the same path
  hang | wake             deaf and dumb though plugged in; well again
A UID is 4, 7 or 10 bytes in hex. Each order is answered by `ok`, or by `error:` and a sentence.";

/// A PN532, on a pty
#[derive(Debug, clap::Args)]
#[command(after_help = ORDERS)]
pub struct Args {
    /// Where to link the pty to: what the daemon's configuration names as `port`
    #[arg(long, value_name = "PATH")]
    pty: PathBuf,
    /// A Unix socket that takes orders
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error(transparent)]
    Reader(#[from] Pn532Error),
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error("cannot wait for signals or print")]
    Process(#[source] std::io::Error),
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        let Args { pty, control } = self;
        let reader = Arc::new(Pn532::start(&pty)?);
        say(format_args!("PN532 at {}", pty.display()));
        let (watched, start) = (Arc::downgrade(&reader), time::now());
        std::thread::Builder::new()
            .name("sim-print".into())
            .spawn(move || print(&watched, start))
            .map_err(VerbError::Process)?;
        let ordered = Arc::downgrade(&reader);
        let handler: Handler = Arc::new(move |line| order(&ordered, line));
        let _socket = control.map(|path| OrderSocket::open(&path, Arc::clone(&handler))).transpose()?;
        from_stdin(handler)?;
        let told = told_to_stop(None).map_err(VerbError::Process);
        // The printing thread may hold it a moment longer than this process lives: the path must go now.
        reader.unplug();
        told
    }
}

fn print(reader: &Weak<Pn532>, start: Instant) {
    let mut next = 0;
    while let Some(reader) = reader.upgrade() {
        for entry in reader.seen_since(next, LOOK_EVERY) {
            next = entry.number + 1;
            let after = entry.at.saturating_duration_since(start).as_secs_f64();
            say(format_args!("{after:10.3}  {}", entry.what));
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plugged => "plugged in",
            Self::Unplugged => "unplugged",
            Self::HostOpened => "host opened the line",
            Self::HostClosed => "host closed the line",
            Self::Woken => "woken",
            Self::Command(code) => return write!(f, "command {code:02X}"),
            Self::Aborted => "host stopped waiting for a card",
            Self::CardEntered => "card in the field",
            Self::CardLeft => "card gone",
            Self::Listed => "card listed to the host",
            Self::NothingListed => "no card found",
        })
    }
}

/// Carries out one order.
fn order(reader: &Weak<Pn532>, line: &str) -> Result<String, String> {
    let reader = reader.upgrade().ok_or("the reader is shutting down")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["tap", card] => reader.tap(uid(card)?, HOLD).map_err(|error| chain(&error))?,
        ["tap", card, hold] => {
            reader.tap(uid(card)?, length_of_time(hold)?).map_err(|error| chain(&error))?;
        }
        ["put", card] => reader.put_card(uid(card)?).map_err(|error| chain(&error))?,
        ["remove"] => reader.remove_card(),
        ["unplug"] => reader.unplug(),
        ["plug"] => reader.plug_in().map_err(|error| chain(&error))?,
        ["hang"] => reader.hang(true),
        ["wake"] => reader.hang(false),
        _ => return Err(format!("no such order: {line}; see latch-sim reader pn532 --help")),
    }
    Ok(String::new())
}

fn uid(word: &str) -> Result<CardUid, String> {
    word.parse().map_err(|error| chain(&error))
}
