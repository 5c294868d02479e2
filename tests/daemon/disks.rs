//! Disks that take nothing, full or read-only: on a file system of its own, which takes root.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, RECONNECT_LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const BEN: &str = "04A1B2C3D4E5F7";

/// A small file system where the daemon keeps its state, for as long as the test goes.
struct Disk {
    at: PathBuf,
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

impl Disk {
    /// Mounted where the state directory is to be. `None`, and said, where that takes a right we don't have.
    fn mounted(site: &Site) -> Option<Disk> {
        let at = site.state_dir();
        fs::create_dir_all(&at).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if !is_root || !run("mount", &["-t", "tmpfs", "-o", "size=80m", "tmpfs", at.to_str().unwrap()]) {
            eprintln!("SKIPPED: a disk of its own takes root and mount; nothing was tested here");
            return None;
        }
        Some(Disk { at })
    }

    fn remount(&self, how: &str) {
        assert!(run("mount", &["-o", &format!("remount,{how}"), self.at.to_str().unwrap()]), "remount {how}");
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Until not a byte is free.
    fn fill(&self) {
        let mut file = fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", self.at.to_str().unwrap()]);
    }
}

fn store(site: &Site) -> Value {
    site.ask(&["status"])["store"].clone()
}

#[track_caller]
fn wait_for_store(site: &Site, state: &str) {
    eventually_asking(&format!("store that is {state}"), || (store(site)["state"] == state).then_some(()));
}

/// With Anna let in, the ballast laid down, and a copy made.
fn running(site: &mut Site) {
    site.daemon.start();
    site.wait_until_ready();
    site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let state = site.state_dir();
    let is_there = |name: &str| state.join(name).exists();
    eventually_asking("copy and ballast", || (is_there("cache.copy") && is_there("ballast")).then_some(()));
}

fn put_ben(site: &Site) {
    let records = [card("c-2", BEN, "m-2"), standing("g-2", "m-2", &["perimeter"])];
    site.central().put_many(records).expect("records with a type and an id");
}

/// More than fits into what a cache of two records has taken of the disk.
fn put_many(site: &Site, from: usize) {
    let records =
        (from..from + 3000).map(|n| standing(&format!("g-many-{n}"), &format!("h-{n}"), &["perimeter"]));
    site.central().put_many(records).expect("records with a type and an id");
}

fn changes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

#[test]
fn on_a_full_disk_doors_go_on_changes_wait_and_space_brings_it_all_back() {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site) else { return };
    running(&mut site);
    disk.fill();
    assert_eq!(changes_of(&site.state_dir().join("ballast")), 8 << 20);
    put_ben(&site);
    put_many(&site, 0);
    // What was held back for this lets the cache be opened again, and the change be kept.
    site.central().wait_synced(RECONNECT_LIMIT).expect("the space that was held is enough");
    wait_for_store(&site, "good");
    assert!(!site.state_dir().join("ballast").exists());
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    site.in_journal(0, "notice that it is open again", |event| {
        event["type"] == "store.recovered"
            && event["detail"].as_str().unwrap().contains("cache: open again after")
    });
    // The second time there is nothing left to give.
    disk.fill();
    put_many(&site, 3000);
    site.central().delete("grant", "g-2");
    wait_for_store(&site, "failing");
    let shown = site.ctl(&["status"]).out;
    assert!(shown.contains("store failing since ") && shown.contains("doors go on from memory"), "{shown}");
    site.tap("entrance-in", ANNA);
    assert!(site.board.wait_for_coil(0, true, RECONNECT_LIMIT), "the door opens without a disk");
    let behind = site.ask(&["sync"]);
    assert!(
        behind["applied"].as_u64() < Some(site.central().position().applied),
        "what is not kept is not acknowledged"
    );
    disk.free();
    wait_for_store(&site, "good");
    site.central().wait_synced(RECONNECT_LIMIT).expect("what waited is kept now");
    assert_decided(&site.decision("entrance-in", BEN), "access.denied", "no_grant");
    let ballast = site.state_dir().join("ballast");
    eventually_asking("space held for the next time", || ballast.exists().then_some(()));
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}

#[test]
fn on_a_disk_that_became_read_only_the_daemon_starts_from_its_copy_and_says_so() {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site) else { return };
    running(&mut site);
    site.daemon.stop();
    disk.remount("ro");
    site.start_again();
    let report = store(&site);
    assert_eq!(report["state"], "failing");
    assert!(report["detail"].as_str().unwrap().contains("; doors go by its copy of "), "{report}");
    site.tap("entrance-in", ANNA);
    assert!(site.board.wait_for_coil(0, true, RECONNECT_LIMIT), "the door opens without a disk");
    let status = site.ask(&["status"]);
    assert!(status["journal"]["fault"].is_string(), "{status}");
    disk.remount("rw");
    wait_for_store(&site, "good");
    // What was kept in memory is on disk now, in its place.
    site.in_journal(0, "tap of meanwhile", |event| {
        event["type"] == "access.granted" && event["late"] == true
    });
    put_ben(&site);
    site.central().wait_synced(RECONNECT_LIMIT).expect("changes are taken again");
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}
