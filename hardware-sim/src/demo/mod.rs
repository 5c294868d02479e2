//! `latch-sim demo`: a whole site, the real `latchd`, and a short day that is checked as it is told.
//!
//! ```text
//!   day       what happens, in order          books   what must hold of the whole day
//!   play      one deed and its checks         stay    the site afterwards, for people
//!   site      all that is plugged together    readers · programs · config · cast
//! ```

mod books;
mod cast;
mod config;
mod day;
mod interrupt;
mod narrator;
mod play;
pub(crate) mod programs;
mod readers;
mod site;
mod stay;
pub mod tap;

use crate::board::BoardError;
use crate::broker::BrokerError;
use crate::card::CardError;
use crate::central::{CentralError, FeedError};
use crate::jws::KeyError;
use crate::orders::OrdersError;
use crate::pn532::{NotTypeA, Pn532Error};
use crate::uid::UidError;
use interrupt::Interrupt;
use narrator::{Colour, Narrator};
use play::Play;
use programs::ProgramError;
use site::Site;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What the whole day may take.
const DAY_WITHIN: Duration = Duration::from_secs(60);
/// Lines of the daemon's log shown when something was not as it should be.
const LOG_LINES: usize = 30;

/// Why the demo did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// What it shows is not what it should be.
    #[error("{failures} of {checks} checks failed; they are marked ✗ above")]
    ChecksFailed {
        /// So many.
        failures: usize,
        /// Of so many.
        checks: usize,
    },
    /// The daemon does not do its part, so that the rest of the day would only repeat that.
    #[error("latchd has nothing to say to {what}; the day ends here")]
    Silent {
        /// What it should have answered.
        what: &'static str,
    },
    /// Ctrl-C.
    #[error("interrupted; the site has been taken down")]
    Interrupted,
    /// The wall clock does not move, or was set back.
    #[error("the machine's clock does not move on; set it, and try again")]
    ClockStands,
    /// A reader the site does not have.
    #[error("no reader {reader} at this site")]
    NoReader {
        /// Its id.
        reader: String,
    },
    /// `latch-sim tap` without a demo.
    #[error("no demo stays up at {path}; start one with ./dev demo --stay, and leave it running")]
    NoDemo {
        /// Where its socket should be.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What the demo answered to an order.
    #[error("the demo says: {0}")]
    Refused(String),
    /// A file or folder of the site.
    #[error("{path} can't be written")]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Signals can't be handled, or `latch-sim` does not know where it lies.
    #[error("the demo could not be set up")]
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
    Key(#[from] KeyError),
    /// See there.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// See there.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// See there.
    #[error(transparent)]
    Card(#[from] CardError),
    /// See there.
    #[error(transparent)]
    Pn532(#[from] Pn532Error),
    /// See there.
    #[error(transparent)]
    NotTypeA(#[from] NotTypeA),
    /// See there.
    #[error(transparent)]
    Uid(#[from] UidError),
    /// See there.
    #[error(transparent)]
    Orders(#[from] OrdersError),
}

/// A whole site and a short day in it, with the real latchd; ends by itself in under a minute
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the site up afterwards, for latchctl and `latch-sim tap`, until Ctrl-C
    #[arg(long)]
    stay: bool,
    /// Keep the site's files: configuration, state, log
    #[arg(long)]
    keep: bool,
    /// Where latchd and latchctl are (default: beside latch-sim)
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// No colour, on a terminal either
    #[arg(long, env = "NO_COLOR", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    no_color: bool,
}

impl Args {
    /// Plays the day.
    ///
    /// # Errors
    /// The site could not be set up, or something it shows is not what it should be.
    pub fn run(self) -> Result<(), DemoError> {
        let interrupt = Interrupt::install().map_err(DemoError::Process)?;
        let programs = match self.bin_dir {
            Some(folder) => folder,
            None => folder_of_this_program().map_err(DemoError::Process)?,
        };
        let started = crate::time::now();
        let colour = if self.no_color { Colour::Never } else { Colour::Auto };
        let site = Site::prepare(&programs, self.keep)?;
        let mut play = Play::new(site, Narrator::new(colour), interrupt.clone());
        let result = play_day(&mut play, self.stay).and_then(|()| {
            let (failures, checks) = (play.narrator.failures(), play.narrator.checks());
            if failures > 0 { Err(DemoError::ChecksFailed { failures, checks }) } else { Ok(()) }
        });
        let took = started.elapsed();
        let on_time = took < DAY_WITHIN;
        match &result {
            Ok(()) => play.narrator.line(&format!(
                "\nAll {} checks hold; the day took {:.1} s.",
                play.narrator.checks(),
                took.as_secs_f64()
            )),
            Err(DemoError::Interrupted) => {}
            Err(_) => show_log(&play),
        }
        if self.keep {
            play.narrator.line(&format!("Files kept in {}", play.site.folder().display()));
        }
        if !on_time {
            play.narrator
                .line(&format!("It should take less than {DAY_WITHIN:?}; this machine is slow or busy."));
        }
        if self.stay && result.is_ok() {
            let Play { site, narrator, .. } = play;
            return stay::stay(site, &narrator, &interrupt);
        }
        result
    }
}

fn play_day(play: &mut Play, stay: bool) -> Result<(), DemoError> {
    set_the_stage(play)?;
    day::morning(play)?;
    day::bookings(play)?;
    day::guest(play)?;
    day::cancellation(play)?;
    day::commands(play)?;
    day::offline(play)?;
    day::back_online(play)?;
    books::close(play)?;
    // Closing the books ends with stopping the daemon; who stays needs it again.
    if stay { play.site.start_daemon() } else { Ok(()) }
}

fn set_the_stage(play: &mut Play) -> Result<(), DemoError> {
    let Play { site, narrator, .. } = play;
    narrator.line("latchd demo: a site on this machine's loopback; all but latchd and latchctl is simulated");
    narrator.fact("broker", &format!("{}, embedded, MQTT 5", site.broker_url()));
    narrator.fact(
        "board",
        &format!("modbus+tcp://{}, a strike, contact and exit button a door", site.board.addr()),
    );
    for line in site.readers.describe() {
        narrator.fact("reader", &line);
    }
    narrator.fact("central", "signs what it says (Ed25519); in memory");
    narrator.fact("clock", "taken as it is (require_sync = false): a demo machine may have no network time");
    let started = crate::time::now();
    site.start_daemon()?;
    let id = site.daemon().map_or(0, |daemon| daemon.id());
    narrator.fact("latchd", &format!("up after {} ms, process {id}", started.elapsed().as_millis()));
    narrator.fact("config", &site.config_file().display().to_string());
    play.check_connected()
}

fn show_log(play: &Play) {
    play.narrator.heading("The end of latchd's log");
    for line in programs::last_lines(&play.site.log_file(), LOG_LINES) {
        play.narrator.line(&format!("  {line}"));
    }
}

fn folder_of_this_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program.parent().map(PathBuf::from).ok_or_else(|| io::Error::other("the program lies in no folder"))
}
