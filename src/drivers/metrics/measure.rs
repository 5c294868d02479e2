//! What is measured of the process and its files. The disk may stand still: it is looked at beside, now and then, and
//! a page waits for it a moment at most.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::Config;
use crate::{
    drivers::{clock, kernel_clock},
    wire::metrics::{Store, Surroundings},
};

/// How often files are measured.
const EVERY: Duration = Duration::from_secs(15);
/// How long a page waits for the disk. After it the last measure is shown, and the look goes on.
const PATIENCE: Duration = Duration::from_millis(500);
/// Files looked at in a store: a journal of 5,000,000 events has some 500.
const MOST_FILES: usize = 100_000;
/// Folders within folders.
const DEEPEST: usize = 8;

/// Sizes of the stores, and the room left.
#[derive(Debug, Clone, Default)]
struct Sizes {
    stores: Vec<Store>,
    available_bytes: Option<u64>,
}

#[derive(Debug)]
pub struct Measure {
    config: Arc<Config>,
    under_way: Option<JoinHandle<Sizes>>,
    last: Option<(Instant, Sizes)>,
}

impl Measure {
    pub fn new(config: Arc<Config>) -> Measure {
        Measure { config, under_way: None, last: None }
    }

    /// Queues are the door loop's to tell.
    pub async fn surroundings(&mut self) -> Surroundings {
        self.look().await;
        let Sizes { stores, available_bytes } =
            self.last.as_ref().map(|(_, sizes)| sizes.clone()).unwrap_or_default();
        Surroundings {
            stores,
            available_bytes,
            clock: kernel_clock::read(),
            resident_bytes: resident_bytes(),
            ..Surroundings::default()
        }
    }

    async fn look(&mut self) {
        let is_old = self.last.as_ref().is_none_or(|(at, _)| clock::instant() - *at >= EVERY);
        if self.under_way.is_none() && is_old {
            let config = self.config.clone();
            self.under_way = Some(tokio::task::spawn_blocking(move || sizes(&config)));
        }
        let Some(under_way) = &mut self.under_way else { return };
        if let Ok(ended) = timeout(PATIENCE, under_way).await {
            self.under_way = None;
            self.last = ended.ok().map(|sizes| (clock::instant(), sizes));
        }
    }
}

fn sizes(config: &Config) -> Sizes {
    let size = |(name, path): &(&'static str, std::path::PathBuf)| {
        let mut files = MOST_FILES;
        Some(Store { name, bytes: bytes(path, &mut files, DEEPEST).ok()? })
    };
    let first = config.stores.first();
    let room = first.and_then(|(_, path)| rustix::fs::statvfs(path).ok());
    Sizes {
        stores: config.stores.iter().filter_map(size).collect(),
        available_bytes: room.map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
    }
}

/// What the files of a folder hold together. One that goes meanwhile is not there.
fn bytes(folder: &Path, files: &mut usize, deepest: usize) -> io::Result<u64> {
    let mut sum: u64 = 0;
    for entry in fs::read_dir(folder)? {
        if *files == 0 {
            break;
        }
        *files -= 1;
        let entry = entry?;
        let Ok(kind) = entry.file_type() else { continue };
        let size = if kind.is_dir() && deepest > 0 {
            bytes(&entry.path(), files, deepest - 1).unwrap_or(0)
        } else {
            entry.metadata().map_or(0, |metadata| metadata.len())
        };
        sum = sum.saturating_add(size);
    }
    Ok(sum)
}

/// As the kernel says it of ourselves, in kB.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
