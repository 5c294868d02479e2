//! Taps in a process of their own, on the disk as it is or on a slow one; and what came of them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use super::{figures::percentile, rig::Rig};

const FOR: Duration = Duration::from_secs(8);
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/journal/slow.c");

/// What is preloaded.
pub struct SlowDisk(PathBuf);

impl SlowDisk {
    pub fn build(disk: &Path) -> Self {
        let library = disk.join("slow.so");
        let built = Command::new("gcc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .args([SOURCE, "-ldl"])
            .status()
            .unwrap();
        assert!(built.success(), "gcc can't build {SOURCE}");
        SlowDisk(library)
    }
}

/// What taps on one disk came to.
pub struct Taps {
    pub rate: f64,
    pub events_a_sync: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
    /// Of a hundred.
    pub late: f64,
    /// Released without waiting for the disk, though the entry does not say so.
    pub unsaid: f64,
}

/// Runs taps in a child. `how`: doors, and taps a second or `most`.
pub fn taps_on(disk: &Path, slow: Option<(&SlowDisk, u32)>, how: &str) -> Taps {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.arg("--taps").arg(disk).args(how.split(' '));
    if let Some((library, sync_ms)) = slow {
        child.env("LD_PRELOAD", &library.0).env("LATCH_SYNC_US", (sync_ms * 1000).to_string());
    }
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    eprintln!("{how}, sync {:?} ms: {said}", slow.map(|(_, ms)| ms));
    let number = |field: &str| said[field].as_f64().unwrap();
    Taps {
        rate: number("rate"),
        events_a_sync: number("events_a_sync"),
        p50_ms: number("p50_ms"),
        p99_ms: number("p99_ms"),
        longest_ms: number("longest_ms"),
        late: number("late"),
        unsaid: number("unsaid"),
    }
}

/// In the child.
pub fn run(words: &[String]) {
    let doors = words[1].parse().unwrap();
    let folder = tempfile::tempdir_in(&words[0]).unwrap();
    let mut rig = Rig::new(folder.path(), doors);
    match words[2].parse::<f64>() {
        Ok(rate) => rig.tap_at(rate, FOR),
        Err(_) => rig.tap_at_once(FOR),
    }
    let done = rig.stop();
    let mut waits = done.waits;
    waits.sort_unstable();
    let ms = |percent| percentile(&waits, percent) / 1000.0;
    let count = waits.len() as f64;
    println!(
        "{}",
        json!({ "rate": count / done.took.as_secs_f64(), "events_a_sync": count / done.syncs as f64,
                "p50_ms": ms(50), "p99_ms": ms(99), "longest_ms": ms(100),
                "late": done.late as f64 * 100.0 / count, "unsaid": done.unsaid as f64 })
    );
}
