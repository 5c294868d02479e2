//! `backup` and `restore`: the store as one file of the caller's.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
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
    progress::Progress,
    text::{Site, count, sync::position},
    whole::{Existing, Whole},
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

impl Session {
    pub(super) fn backup(&mut self, path: &Path) -> Result<(), Failure> {
        let mut whole = Whole::begin(path, Existing::Left).map_err(failed("write", path))?;
        let site = if self.json { None } else { Some(self.site()?) };
        let mut taken: u64 = 0;
        let mut progress = Progress::begin("writing the backup");
        let answer = self.client.ask(Request::Backup, Patience::Long, &mut |item| {
            if item.get("of").is_some() {
                let BackupBegun { done, of } = typed(item)?;
                progress.tell(&format!("record {done} of {of}"));
                return Ok(());
            }
            let Chunk { data } = typed(item)?;
            let piece = BASE64.decode(data.as_bytes());
            let piece = piece.map_err(|e| Failure::Unreadable(format!("a piece of a backup: {e}")))?;
            taken += piece.len() as u64;
            progress.tell(&format!("{} KiB", taken >> 10));
            whole.write_all(&piece).map_err(failed("write", path))
        });
        drop(progress);
        let answer = answer?;
        let done: BackupDone = typed(answer.clone())?;
        if done.bytes != taken {
            return Err(Failure::Unreadable(format!("{taken} bytes of a backup of {}", done.bytes)));
        }
        whole.finish().map_err(failed("write", path))?;
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
        let mut progress = Progress::begin("handing the backup to latchd");
        let (answer, backup) = loop {
            let mut piece = Vec::new();
            let read = io::Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece);
            read.map_err(failed("read", path))?;
            let last = piece.len() < PIECE;
            let chunk = RestoreChunk { data: BASE64.encode(&piece), last };
            let answer = self.done(Request::Restore(chunk), Patience::Long)?;
            let RestoreDone { bytes, backup } = typed(answer.clone())?;
            progress.tell(&format!("{} of {} KiB", bytes >> 10, all >> 10));
            if let Some(backup) = backup {
                break (answer, backup);
            }
        };
        drop(progress);
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
        let mut progress = Progress::begin("latchd is starting again");
        for _ in 0..BACK_WITHIN * LOOKS_A_SECOND {
            progress.tell("");
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
