//! `latch-sim tap`: holds a card to a reader of the demo that stays up.

use super::DemoError;
use super::stay::socket_path;
use crate::until_told::say;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Longer than the demo itself waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Holds a card to a reader of a running `latch-sim demo --stay`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The reader: entrance-in, floor-2-in or room-4-in
    #[arg(long)]
    reader: String,
    /// The card's number, 8 to 20 hex digits
    #[arg(long, required_unless_present = "who", conflicts_with = "who")]
    uid: Option<String>,
    /// Or whose card: ada, bo, chris, dag, eve, ines or stranger
    #[arg(long)]
    who: Option<String>,
    /// The demo's socket, if it is not where it usually is
    #[arg(long, value_name = "PATH")]
    demo: Option<PathBuf>,
}

impl Args {
    /// Taps, and says what came of it.
    ///
    /// # Errors
    /// No demo stays up, or it has no such reader.
    pub fn run(self) -> Result<(), DemoError> {
        let path = match self.demo {
            Some(path) => path,
            None => socket_path()?,
        };
        let failed = |source| DemoError::NoDemo { path: path.clone(), source };
        let mut stream = UnixStream::connect(&path).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
        let card = self.uid.or(self.who).unwrap_or_default();
        writeln!(stream, "tap {} {card}", self.reader).map_err(failed)?;
        for line in BufReader::new(stream).lines() {
            let line = line.map_err(failed)?;
            match line.strip_prefix("error: ") {
                Some(why) => return Err(DemoError::Refused(why.to_owned())),
                None if line == "ok" => return Ok(()),
                None => say(line),
            }
        }
        Err(failed(std::io::ErrorKind::UnexpectedEof.into()))
    }
}
