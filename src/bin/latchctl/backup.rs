//! `backup` and `restore`: the store as one file of the caller's.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use data_encoding::BASE64;
use latchd::{
    domain::At,
    wire::control::{BackupBegun, BackupDone, Chunk, Request, RestoreChunk, RestoreDone, StatusReport},
};

use super::{
    ask::{Session, typed},
    client::{Client, Patience},
    failure::Failure,
    text::{Site, count, sync::position},
};

/// Bytes in a piece: in base64 it fits into a line.
const PIECE: usize = 32 << 10;
/// How long the daemon may take to be there again, and how often that is looked at.
const BACK_WITHIN: u32 = 60;
const LOOKS_A_SECOND: u32 = 5;

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::File { doing, path, error }
}

/// A line on a terminal that is written over; nobody else is told.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// A file that has its name when it is whole, and is nobody else's to read.
struct Whole {
    part: PathBuf,
    file: File,
}

impl Whole {
    fn begin(path: &Path) -> Result<Self, Failure> {
        if path.exists() {
            let there = io::Error::other("it is there already, and is left alone; name another");
            return Err(failed("write", path)(there));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part);
        Ok(Whole { file: file.map_err(failed("write", path))?, part })
    }

    fn finish(self, path: &Path) -> Result<(), Failure> {
        self.file.sync_all().and_then(|()| fs::rename(&self.part, path)).map_err(failed("write", path))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // Finished, it has another name.
        let _gone = fs::remove_file(&self.part);
    }
}

impl Session {
    pub(super) fn backup(&mut self, path: &Path) -> Result<(), Failure> {
        let mut whole = Whole::begin(path)?;
        let site = if self.json { None } else { Some(self.site()?) };
        let mut taken: u64 = 0;
        let file = &mut whole.file;
        let answer = self.client.ask(Request::Backup, Patience::Long, &mut |item| {
            if item.get("of").is_some() {
                let BackupBegun { done, of } = typed(item)?;
                progress(&format!("{done} of {of} records written"));
                return Ok(());
            }
            let Chunk { data } = typed(item)?;
            let piece = BASE64.decode(data.as_bytes());
            let piece = piece.map_err(|e| Failure::Unreadable(format!("a piece of a backup: {e}")))?;
            taken += piece.len() as u64;
            progress(&format!("{} KiB read", taken >> 10));
            file.write_all(&piece).map_err(failed("write", path))
        });
        progress("");
        let answer = answer?;
        let done: BackupDone = typed(answer.clone())?;
        if done.bytes != taken {
            return Err(Failure::Unreadable(format!("{taken} bytes of a backup of {}", done.bytes)));
        }
        whole.finish(path)?;
        let Some(site) = site else { return self.out.json(&answer) };
        self.out.text(&format!(
            "{}, as it was {}: {}\nit holds the key that card numbers are hashed under: keep it as secret as the box\n",
            path.display(),
            site.dated(done.at),
            held(&done),
        ))
    }

    pub(super) fn restore(&mut self, path: &Path) -> Result<(), Failure> {
        let mut file = File::open(path).map_err(failed("read", path))?;
        let before = self.report()?;
        let all = file.metadata().map_err(failed("read", path))?.len();
        let answer = loop {
            let mut piece = Vec::new();
            let read = io::Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece);
            read.map_err(failed("read", path))?;
            let last = piece.len() < PIECE;
            let chunk = RestoreChunk { data: BASE64.encode(&piece), last };
            let answer = self.done(Request::Restore(chunk), Patience::Long);
            let answer = answer.inspect_err(|_| progress(""))?;
            let RestoreDone { bytes, backup } = typed(answer.clone())?;
            progress(&format!("{} of {} KiB taken in", bytes >> 10, all >> 10));
            if let Some(backup) = backup {
                progress("");
                break (answer, backup);
            }
        };
        let (answer, backup) = answer;
        let back = self.wait_for_another_than(before.started_at);
        if self.json {
            return self.out.json(&answer);
        }
        self.out.text(&format!(
            "restored as it was {}: {}\n",
            Site::of(&before).dated(backup.at),
            held(&backup)
        ))?;
        match back {
            Some(report) => self.out.text(&format!(
                "latchd was started again with it: {}\nwhat was is set aside in its state directory; latchctl events --type store tells\n",
                position(&report.sync)
            )),
            None => self.out.text(
                "latchd takes it up when it is started again, and is not back yet: systemctl start latchd\n",
            ),
        }
    }

    fn report(&mut self) -> Result<StatusReport, Failure> {
        let none = &mut |_| Err(Failure::Unreadable("an item where none belongs".into()));
        self.client.ask(Request::Status, Patience::Prompt, none).and_then(typed)
    }

    /// The daemon ends when it has answered, and systemd starts it again: until one is there that was started later.
    fn wait_for_another_than(&mut self, before: At) -> Option<StatusReport> {
        let path = PathBuf::from(self.client.socket());
        for _ in 0..BACK_WITHIN * LOOKS_A_SECOND {
            std::thread::park_timeout(Duration::from_secs(1) / LOOKS_A_SECOND);
            let Ok(client) = Client::connect(&path) else { continue };
            self.client = client;
            let report = self.report().ok().filter(|report| report.started_at != before);
            if report.is_some() {
                return report;
            }
        }
        None
    }
}

fn held(done: &BackupDone) -> String {
    let BackupDone { epoch, applied, credentials, grants, .. } = done;
    format!(
        "{}, {}, change {applied} of epoch {epoch}",
        count(*credentials, "credential"),
        count(*grants, "grant")
    )
}
