//! What a power cut left, looked at by starting the daemon on it: alone, with a board and a broker of its own and no central,
//! so that what it knows is what was on its disk.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardware_sim::board::{Board, BoardConfig};
use hardware_sim::disk::save;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::doings::{BOOKINGS, booking, guest_of};
use super::mounted::Mounted;
use super::promised::Promised;
use crate::site::broker::Broker;
use crate::site::daemon::Daemon;
use crate::site::line::Line;
use crate::site::{DOORS, eventually_asking, signer};

/// How long an answer may take, on a machine that checks several copies at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A request on the control socket, and what is answered: its rows, and what it ends with.
pub fn ask(socket: &Path, request: &Value) -> Result<(Vec<Value>, Value), String> {
    let failed = |error: std::io::Error| format!("{request}: {error}");
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
    writeln!(stream, "{request}").map_err(failed)?;
    let mut rows = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line: Value = serde_json::from_str(&line.map_err(failed)?).map_err(|e| e.to_string())?;
        if let Some(row) = line.get("item") {
            rows.push(row.clone());
        } else if let Some(done) = line.get("done") {
            return Ok((rows, done.clone()));
        } else {
            return Err(format!("{request}: {line}"));
        }
    }
    Err(format!("{request}: the daemon went"))
}

/// Where copies are looked at, one after the other.
pub struct Bench {
    folder: TempDir,
    config: String,
    line: Line,
    /// Nobody but the line and the copy is there.
    _broker: Broker,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    pub broken: Vec<String>,
    /// The file system was put right before it mounted.
    pub repaired: bool,
    /// A line was torn off the journal's end.
    pub torn: bool,
    /// Events that were on disk, and that nobody had acknowledged.
    pub events: usize,
}

impl Bench {
    /// For copies of the state of a daemon with this configuration, whose site is in `site`.
    pub fn new(config: &str, site: &Path) -> Bench {
        let folder = super::scratch("latchd-cut-");
        let from = site.to_str().expect("a path in UTF-8");
        let mut config = config.replace(from, folder.path().to_str().expect("a path in UTF-8"));
        let mut broker = Broker::prepare(folder.path());
        broker.start();
        config = replaced(&config, "url = \"mqtt://", &format!("127.0.0.1:{}", broker.port()));
        let line = Line::open(&broker.url());
        line.wait_connected();
        Bench { folder, config, line, _broker: broker }
    }

    pub fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Starts the daemon on what is left, and holds what it knows against what was promised.
    pub fn check(&self, content: &[u8], promised: &Promised) -> Found {
        let mut found = Found::default();
        save(content, &self.image()).expect("room for a copy");
        let state = self.folder.path().join("state");
        match Mounted::over(&self.image(), &state) {
            Ok(mounted) => {
                found.repaired = mounted.repaired;
                self.look(promised, &mut found);
            }
            Err(error) => found.broken.push(format!("the file system can't be mounted: {error}")),
        }
        found
    }

    fn look(&self, promised: &Promised, found: &mut Found) {
        let board = Board::start(BoardConfig::with_doors(DOORS.len() as u16)).expect("a board");
        let url = board.url();
        let (scheme, address) = url.split_once("://").expect("a URL");
        let config = replaced(&self.config, &format!("url = \"{scheme}://"), address);
        let mut daemon = Daemon::prepare(self.folder.path(), &config, None);
        // What an earlier one wrote is not this one's.
        let _ = fs::remove_file(daemon.log_path());
        daemon.start();
        if let Err(error) = self.asked(&daemon, promised, found) {
            found.broken.push(error);
        }
        let log = fs::read_to_string(daemon.log_path()).unwrap_or_default();
        found.broken.extend(log.lines().find(|l| l.contains("panicked")).map(str::to_owned));
        // Nobody is there: whatever was under way when power went opens nothing now.
        let driven = board.coil_history().iter().filter(|change| change.on).count();
        if driven > 0 {
            found.broken.push(format!("{driven} strikes were driven when power came back"));
        }
        daemon.kill();
    }

    fn asked(&self, daemon: &Daemon, promised: &Promised, found: &mut Found) -> Result<(), String> {
        let asked = |request: Value| ask(daemon.socket(), &request);
        let (_, sync) = asked(json!({ "protocol": 1, "verb": "sync" }))?;
        found.broken.extend(promised.broken_by_sync(&sync));
        let (journal, _) = asked(json!({ "protocol": 1, "verb": "events" }))?;
        found.torn = journal.iter().any(|event| {
            event["type"] == "store.recovered"
                && event["detail"].as_str().is_some_and(|detail| detail.contains("cut off the end"))
        });
        found.events = journal.len();
        found.broken.extend(promised.broken_by_journal(&journal));
        asked(json!({ "protocol": 1, "verb": "journal_verify" }))?;
        let (_, gym) = asked(json!({ "protocol": 1, "verb": "door", "door": "gym" }))?;
        found.broken.extend(promised.broken_by_gym(&gym["mode"]));
        if let Some(command) = promised.command() {
            self.say_again(command);
        }
        for arrived in promised.bookings() {
            let n = (0..BOOKINGS).find(|n| booking(*n) == arrived).expect("one of ours");
            let uid = guest_of(n, true);
            let (_, answer) =
                asked(json!({ "protocol": 1, "verb": "explain", "door": "room-4", "uid": uid }))?;
            // A booking the copy does not know (yet, or any more) says so by another reason; room is what there is not.
            if answer["decision"] == "granted" {
                found
                    .broken
                    .push(format!("the guest of {arrived} had arrived, and there is room for another"));
            }
        }
        Ok(())
    }
}

impl Bench {
    /// Central's last command that was carried out, once more, as whoever has the broker could say it: it is answered, and
    /// nothing is done (no strike is driven).
    fn say_again(&self, command: &Value) {
        let (mark, bytes) = (self.line.mark(), signer().sign(command.to_string().as_bytes()));
        eventually_asking("answer to a command that is said again", || {
            self.line.say_bytes("command", bytes.clone(), false);
            self.line.heard(mark, "result").into_iter().find(|result| result["id"] == command["id"])
        });
    }
}

/// The configuration with another address in its `url` of that kind.
fn replaced(config: &str, url: &str, address: &str) -> String {
    let start = config.find(url).expect("such a url") + url.len();
    let end = start + config[start..].find('"').expect("a closed string");
    format!("{}{address}{}", &config[..start], &config[end..])
}
