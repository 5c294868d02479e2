//! An ext4 on a file, mounted through a loop device, and unmounted whatever becomes of the test.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
    /// The file system had to be put right before it could be mounted, as a box does when it boots.
    pub repaired: bool,
}

impl Mounted {
    pub fn over(file: &Path, at: &Path) -> io::Result<Mounted> {
        fs::create_dir_all(at)?;
        let mount =
            || run(Command::new("mount").args(["-t", "ext4", "-o", "loop,noatime"]).arg(file).arg(at));
        let repaired = mount().is_err();
        if repaired {
            // 1 and 2: mistakes were found, and put right.
            let mut repair = Command::new("e2fsck");
            repair.arg("-fy").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let code = repair.status()?.code();
            if !matches!(code, Some(0..=2)) {
                return Err(io::Error::other(format!("e2fsck ended with {code:?}")));
            }
            mount()?;
        }
        Ok(Mounted { at: at.to_owned(), repaired })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run(Command::new("umount").arg(&self.at)).is_err() {
            // Somebody still has a file open: gone from here now, and for good when they end.
            let _ = run(Command::new("umount").arg("-l").arg(&self.at));
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The bytes of an empty ext4.
pub fn formatted(folder: &Path, bytes: u64) -> Vec<u8> {
    let path = folder.join("empty");
    File::create(&path).and_then(|file| file.set_len(bytes)).expect("a file");
    let settled = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-J", "size=4", "-E", settled]).arg(&path))
        .expect("an ext4");
    let content = fs::read(&path).expect("what was just made");
    fs::remove_file(&path).expect("ours");
    content
}

/// Why a disk can't be cut here, if it can't.
pub fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root, to mount");
    }
    let devices = ["/dev/fuse", "/dev/loop-control"];
    if devices.iter().any(|device| File::options().read(true).write(true).open(device).is_err()) {
        return Some("/dev/fuse and /dev/loop-control are not both to be had");
    }
    let tools = ["mkfs.ext4", "e2fsck", "mount", "umount"];
    let is_there = |tool: &&str| Command::new(tool).arg("-V").output().is_ok();
    (!tools.iter().all(is_there)).then_some("mkfs.ext4, e2fsck and mount are not all installed")
}

/// Says it where a test that passes is heard, too.
pub fn say(text: &str) {
    // A closed stderr is nobody who listens.
    let _ = writeln!(io::stderr(), "power cuts: {text}");
}
