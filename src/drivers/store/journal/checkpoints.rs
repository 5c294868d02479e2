//! Signs the journal's end now and then, and keeps the signatures beside it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use ed25519_dalek::SigningKey;

use super::files::{End, Opened};
use crate::{
    domain::{ControllerId, Mono},
    drivers::clock,
    wire::{
        checkpoint::{Checkpoint, Place},
        uid_hash::KEY_LEN,
    },
};

/// A signature is made after so many events …
const EVERY_EVENTS: u64 = 1000;
/// … or so long after the first that has none.
const EVERY: Duration = Duration::from_secs(900);
/// When the file is cut to its newer half: some thousands of signatures.
const MAX_BYTES: u64 = 2 << 20;

#[derive(Debug)]
pub struct Signing {
    path: PathBuf,
    controller: ControllerId,
    key: SigningKey,
    last: Option<Checkpoint>,
    last_at: Mono,
}

impl Signing {
    pub fn new(opened: &Opened, key: &[u8; KEY_LEN]) -> Self {
        Signing {
            path: path(&opened.dir),
            controller: opened.config.controller.clone(),
            key: SigningKey::from_bytes(key),
            last: opened.checkpoint.clone(),
            last_at: clock::mono(),
        }
    }

    /// When the next is to be made. `None`: the last one is at the end.
    pub fn due(&self, end: &End) -> Option<Mono> {
        let signed = self.last.as_ref().map_or(0, |last| last.seq);
        match end.seq.saturating_sub(signed) {
            0 => None,
            _ if signed == 0 => Some(Mono::default()),
            n if n >= EVERY_EVENTS => Some(Mono::default()),
            _ => Some(self.last_at.plus(EVERY)),
        }
    }

    /// The newest: made now, unless there is one at this end.
    pub fn sign(&mut self, journal: &str, end: &End) -> Option<Checkpoint> {
        let is_new = self.last.as_ref().is_none_or(|last| last.seq != end.seq || last.journal != journal);
        if end.seq > 0 && is_new {
            let (controller, journal) = (self.controller.clone(), journal.to_owned());
            let at = clock::wall().floor_ms();
            let place = Place { controller, journal, seq: end.seq, hash: end.hash, at };
            let made = Checkpoint::sign(place, &self.key);
            if let Err(error) = self.keep(&made) {
                // Central has it all the same.
                tracing::warn!(%error, "a signature under the journal was not kept beside it");
            }
            (self.last, self.last_at) = (Some(made), clock::mono());
        }
        self.last.clone()
    }

    fn keep(&self, made: &Checkpoint) -> std::io::Result<()> {
        if self.path.metadata().is_ok_and(|found| found.len() > MAX_BYTES) {
            let text = fs::read_to_string(&self.path)?;
            let half = text.split_inclusive('\n').skip(text.lines().count() / 2).collect::<String>();
            fs::write(&self.path, half)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o640).open(&self.path)?;
        // No barrier: what a crash takes is signed again.
        file.write_all(format!("{}\n", serde_json::to_string(made).unwrap_or_default()).as_bytes())
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}

/// The signatures kept beside a journal, in order. A line that is none is passed over: who wrote it matters to nobody.
pub fn kept(dir: &Path) -> Vec<Checkpoint> {
    let text = fs::read_to_string(path(dir)).unwrap_or_default();
    let read = text.lines().filter_map(|line| serde_json::from_str::<Checkpoint>(line).ok());
    read.filter(|checkpoint| checkpoint.verify().is_ok()).collect()
}
