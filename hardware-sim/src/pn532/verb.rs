//! `latch-sim reader pn532`: a reader on a serial line as a process, which says what happens and takes orders.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Order, Scenario, ScenarioError};
use super::{Pn532, Pn532Error, Seen, orders};
use crate::orders::{Handler, OrderSocket, OrdersError, from_stdin};
use crate::time;
use crate::until_told::{say, told_to_stop};

/// How often the printing thread looks whether the reader is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A PN532, on a pty
#[derive(Debug, clap::Args)]
#[command(after_help = orders::HELP)]
pub struct Args {
    /// Where to link the pty to: what the daemon's configuration names as `port`
    #[arg(long, value_name = "PATH")]
    pty: PathBuf,
    /// A Unix socket that takes orders
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// Orders with their times, carried out from the start on
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error(transparent)]
    Reader(#[from] Pn532Error),
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("cannot wait for signals or print")]
    Process(#[source] std::io::Error),
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        let Args { pty, control, scenario } = self;
        let scenario = scenario.map(|path| Scenario::load(&path)).transpose()?;
        let reader = Arc::new(Pn532::start(&pty)?);
        say(format_args!("PN532 at {}", pty.display()));
        let (watched, start) = (Arc::downgrade(&reader), time::now());
        std::thread::Builder::new()
            .name("sim-print".into())
            .spawn(move || print(&watched, start))
            .map_err(VerbError::Process)?;
        if let Some(scenario) = scenario {
            let played = Arc::downgrade(&reader);
            std::thread::Builder::new()
                .name("sim-scenario".into())
                .spawn(move || play(&played, start, scenario))
                .map_err(VerbError::Process)?;
        }
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
    Order::read(line)?.carry_out(&reader)?;
    Ok(String::new())
}

/// Carries out a scenario's orders in their time, and says so.
fn play(reader: &Weak<Pn532>, start: Instant, scenario: Scenario) {
    for due in scenario.into_orders() {
        let left = || due.after.saturating_sub(time::now().saturating_duration_since(start));
        while !left().is_zero() {
            std::thread::park_timeout(left());
        }
        let Some(reader) = reader.upgrade() else { return };
        match due.order.carry_out(&reader) {
            Ok(()) => say(format_args!("{:10.3}  {}", due.after.as_secs_f64(), due.words)),
            Err(why) => say(format_args!("{:10.3}  {}: {why}", due.after.as_secs_f64(), due.words)),
        }
    }
}
