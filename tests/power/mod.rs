//! Power cuts: the real daemon, its state on a disk that can be cut at any moment, among real peers that remember what it
//! has acknowledged to them.
//!
//! ```text
//!   doings: changes, snapshots, taps, guests, orders, commands          (what a busy minute has)
//!      │                         ┌ a moment ─► what is left ─► a file ─► mounted ─► latchd starts on it ┐
//!   site ── latchd ── ext4 ── disk ┤ a moment ─► …                                                      ├─► promised?
//!      │                         └ a moment ─► …                                                        ┘
//!      └─ what was acknowledged before each moment ─────────────────────────────────────────────────────┘
//! ```
//!
//! A cut takes a copy and disturbs nothing, so that one life of a daemon is cut many times. Every so often power is really
//! gone in the middle of it all: then the next life goes on from what was left, among peers that know what the one before it
//! had said to its last moment.

mod copy;
mod cuts;
mod doings;
mod mounted;
mod promised;

use std::fs;
use std::path::{Path, PathBuf};

use hardware_sim::disk::{Disk, Moment};
use tempfile::TempDir;

use crate::site::{Builder, Site};
use mounted::Mounted;

/// Room for some ten thousand events and records, and quickly copied.
const DISK_BYTES: u64 = 64 << 20;

/// Where copies go: memory, where there is such a place, so that the machine's own disk is not what is tested.
fn scratch(prefix: &str) -> TempDir {
    let shm = Path::new("/dev/shm");
    let parent = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent).expect("a directory")
}

/// A site whose daemon's state is on a disk that can be cut.
struct Rig {
    site: Site,
    disk: Option<(Mounted, Disk)>,
    folder: TempDir,
    lives: u32,
}

impl Rig {
    /// In step, with nothing booked.
    fn running() -> Rig {
        // A strike waits for its entry as long as it takes: one that is seen was recorded.
        let waiting = "[clock]\nrequire_sync = false\n\n[journal]\nrelease_wait_ms = 10000\n";
        let site = Builder::new().edit("[clock]\nrequire_sync = false\n", waiting).prepared();
        let mut rig = Rig { site, disk: None, folder: scratch("latchd-power-"), lives: 0 };
        let empty = mounted::formatted(rig.folder.path(), DISK_BYTES);
        rig.begin(empty);
        let central = rig.site.central();
        central.wait_synced(crate::site::LIMIT).expect("the daemon is in step");
        rig
    }

    /// A life of the daemon on a disk with this content.
    fn begin(&mut self, content: Vec<u8>) {
        self.lives += 1;
        let served = self.folder.path().join(format!("life-{}", self.lives));
        fs::create_dir(&served).expect("the disk's directory");
        let disk = Disk::start(&served, content).expect("a file system through FUSE");
        let mounted = Mounted::over(disk.path(), &self.site.state_dir()).expect("the disk mounts");
        self.disk = Some((mounted, disk));
        self.site.daemon.start();
        self.site.wait_until_ready();
    }

    fn disk(&self) -> &Disk {
        &self.disk.as_ref().expect("it lives").1
    }

    /// Power goes, with whatever is under way; [`Rig::end`] is to follow.
    ///
    /// The daemon goes first: what it told anybody behind this moment would be on no disk of its next life.
    fn last_moment(&self) -> Moment {
        self.site.daemon.strike_down();
        self.disk().moment()
    }

    /// The moment right behind a write, when so many more have come.
    fn moment_behind(&self, writes: usize) -> Moment {
        self.disk().catch_after(writes);
        crate::site::eventually("write to the disk", || self.disk().caught())
    }

    /// The daemon is dead, and its disk gone with whatever it held.
    fn end(&mut self) {
        if let Some((mounted, disk)) = self.disk.take() {
            self.site.daemon.kill();
            drop(mounted);
            drop(disk);
        }
    }

    fn config(&self) -> String {
        fs::read_to_string(self.site.daemon.config_path()).expect("its configuration")
    }

    fn site_folder(&self) -> PathBuf {
        self.site.folder.path().to_owned()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The site prints its log, and its daemon is killed with it: the mount must be gone before its directory is.
            eprintln!("--- the end of latchd's log on the disk ---\n{}---", self.site.daemon.log_tail(40));
        }
        if let Some((mounted, disk)) = self.disk.take() {
            self.site.daemon.kill();
            drop((mounted, disk));
        }
    }
}
