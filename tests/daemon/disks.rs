//! Disks that take nothing, full, read-only or dying: on a file system of its own, which takes root. In memory, and as ext4
//! on a loop device, which says that it is full at other calls and goes read-only under whoever writes.

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
    /// What it is on, if it is on anything.
    image: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Ext4,
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Disk {
    /// Mounted where the state directory is to be. `None`, and said, where that takes a right we don't have.
    fn mounted(site: &Site, kind: Kind) -> Option<Disk> {
        let at = site.state_dir();
        fs::create_dir_all(&at).unwrap();
        let image = (kind == Kind::Ext4).then(|| site.folder.path().join("disk"));
        let disk = Disk { at, image };
        if rustix::process::geteuid().is_root() && disk.is_formatted() && disk.mount() {
            return Some(disk);
        }
        eprintln!("SKIPPED: a disk of its own takes root, mount and mkfs.ext4; nothing was tested here");
        None
    }

    fn is_formatted(&self) -> bool {
        let Some(image) = &self.image else { return true };
        fs::File::create(image).unwrap().set_len(96 << 20).unwrap();
        // All of it is everybody's, and nothing is written behind our back.
        let settled = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-J", "size=4", "-E", settled, text(image)])
    }

    fn mount(&self) -> bool {
        match &self.image {
            Some(image) => run("mount", &["-t", "ext4", "-o", "loop", text(image), text(&self.at)]),
            None => run("mount", &["-t", "tmpfs", "-o", "size=80m", "tmpfs", text(&self.at)]),
        }
    }

    /// Ext4 meets a fault that it can't go on from: what is under way fails, and it can only be read from now on.
    fn dies(&self) {
        self.remount("abort");
    }

    /// Put right as a box does when it boots.
    fn is_mended(&self) {
        assert!(run("umount", &[text(&self.at)]), "nobody uses it");
        let image = text(self.image.as_ref().expect("an ext4"));
        let mended = Command::new("e2fsck").args(["-fy", image]).output().unwrap();
        // 1 and 2: mistakes were found, and put right.
        assert!(matches!(mended.status.code(), Some(0..=2)), "{mended:?}");
        assert!(self.mount());
    }

    fn remount(&self, how: &str) {
        assert!(run("mount", &["-o", &format!("remount,{how}"), text(&self.at)]), "remount {how}");
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
        run("umount", &["-l", text(&self.at)]);
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
    fills_up(Kind::Memory);
}

#[test]
fn on_a_full_ext4_doors_go_on_changes_wait_and_space_brings_it_all_back() {
    fills_up(Kind::Ext4);
}

fn fills_up(kind: Kind) {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site, kind) else { return };
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
fn a_backup_that_does_not_fit_is_not_taken_in_and_one_that_is_put_back_on_a_full_disk_keeps_nobody_out() {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site, Kind::Memory) else { return };
    running(&mut site);
    let backup = site.folder.path().join("oslo.backup");
    let backup = text(&backup).to_owned();
    site.ask(&["backup", &backup]);
    put_ben(&site);
    site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
    disk.fill();
    let refused = site.ctl(&["restore", &backup]);
    let said = "latchctl: the backup can't be taken in: ";
    assert!(refused.code == 1 && refused.err.starts_with(said), "{refused:?}");
    let left = |name: &str| site.state_dir().join(name).exists();
    assert_eq!((left(".restore.part"), left("restore.copy")), (false, false));
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    // With space it is; and then there is none when it is taken up.
    disk.free();
    wait_for_store(&site, "good");
    let restoring = site.follow(&["restore", &backup, "--json"]);
    site.daemon.wait_until_it_ends(RECONNECT_LIMIT);
    disk.fill();
    site.daemon.start();
    site.wait_until_ready();
    restoring.wait_for("the answer", |value| value.get("backup").is_some());
    site.tap("entrance-in", ANNA);
    assert!(site.board.wait_for_coil(0, true, RECONNECT_LIMIT), "the door opens");
    disk.free();
    wait_for_store(&site, "good");
    site.central().wait_synced(RECONNECT_LIMIT).expect("what is newer comes of central");
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
}

#[test]
fn on_a_disk_that_became_read_only_the_daemon_starts_from_its_copy_and_says_so() {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site, Kind::Memory) else { return };
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

/// That Anna comes in, whatever the disk takes.
fn comes_in(site: &Site) {
    let before = hardware_sim::time::now();
    site.tap("entrance-in", ANNA);
    site.board.wait_for_coil_change(before, 0, true, RECONNECT_LIMIT).expect("the door opens");
    assert!(site.board.wait_for_coil(0, false, RECONNECT_LIMIT), "and its strike ends");
}

fn is_whole(site: &Site) {
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let own = site.journal();
    for event in site.central().events() {
        assert!(own.iter().any(|own| own["hash"] == event["hash"]), "central alone has {event}");
    }
}

#[test]
fn a_disk_that_is_full_when_the_daemon_starts_keeps_no_member_out() {
    starts_full(Kind::Memory);
}

#[test]
fn an_ext4_that_is_full_when_the_daemon_starts_keeps_no_member_out() {
    starts_full(Kind::Ext4);
}

fn starts_full(kind: Kind) {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site, kind) else { return };
    running(&mut site);
    // With space held for it, and when that is gone, too.
    for state in ["good", "failing"] {
        site.daemon.stop();
        disk.fill();
        site.start_again();
        comes_in(&site);
        wait_for_store(&site, state);
        let fault = &site.ask(&["status"])["journal"]["fault"];
        assert_eq!(fault.is_string(), state == "failing", "{fault}");
        if site.state_dir().join("ballast").exists() {
            fs::remove_file(site.state_dir().join("ballast")).unwrap();
        }
    }
    disk.free();
    wait_for_store(&site, "good");
    put_ben(&site);
    site.central().wait_synced(RECONNECT_LIMIT).expect("changes are taken again");
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    is_whole(&site);
}

#[test]
fn a_first_start_on_a_full_disk_says_so_and_a_later_one_with_space_is_a_first_one() {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site, Kind::Ext4) else { return };
    disk.fill();
    let refused = site.daemon.refuses(&[]);
    let said = String::from_utf8([refused.stdout, refused.stderr].concat()).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device") && !said.contains("panicked"), "{said}");
    assert!(said.contains(text(&site.state_dir())), "it names no file: {said}");
    disk.free();
    running(&mut site);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    is_whole(&site);
}

#[test]
fn when_the_disk_dies_under_a_running_daemon_doors_go_on_from_memory_and_status_says_so() {
    let mut site = Builder::new().prepared();
    let Some(disk) = Disk::mounted(&site, Kind::Ext4) else { return };
    running(&mut site);
    comes_in(&site);
    let before = site.last_seq();
    disk.dies();
    comes_in(&site);
    put_ben(&site);
    wait_for_store(&site, "failing");
    comes_in(&site);
    let status = site.ask(&["status"]);
    assert!(status["journal"]["fault"].is_string(), "{status}");
    let shown = site.ctl(&["status"]).out;
    assert!(shown.contains("store failing since ") && shown.contains("doors go on from memory"), "{shown}");
    let central = site.central();
    assert!(site.ask(&["sync"])["applied"].as_u64() < Some(central.position().applied), "acknowledged");
    // It is restarted on it, as somebody in doubt does first.
    site.daemon.stop();
    site.daemon.start();
    // Not until it is in touch with central: a change that can't be kept makes the broker deliver it again and again.
    eventually_asking("board", || (site.ask(&["status"])["boards"][0]["connected"] == true).then_some(()));
    site.wait_until_empty("entrance-in");
    comes_in(&site);
    assert_eq!(store(&site)["state"], "failing");
    site.daemon.stop();
    disk.is_mended();
    site.start_again();
    wait_for_store(&site, "good");
    site.central().wait_synced(RECONNECT_LIMIT).expect("what waited is kept now");
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    assert!(site.last_seq() > before);
    is_whole(&site);
}
