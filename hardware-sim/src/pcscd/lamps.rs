//! Readers with lamps and a buzzer behind the real pcscd. Their driver, `sim-ifd`, takes what should happen from a
//! folder a reader, and writes down what it was told there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{PcscdError, prepare};
use crate::uid::CardUid;
use crate::wait;

/// Beside the program or one folder below: where cargo puts it.
const DRIVER: [&str; 2] = ["libsim_ifd.so", "deps/libsim_ifd.so"];

/// A command to the lamps or the buzzer, as the reader got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escape {
    /// Since 1970.
    pub at: Duration,
    /// The bytes in upper-case hex.
    pub command: String,
}

/// One such reader.
#[derive(Debug)]
pub struct LampReader {
    name: String,
    folder: PathBuf,
    /// Where pcscd's configuration has it.
    entry: PathBuf,
}

impl LampReader {
    pub(super) fn configure_all(folder: &Path, names: &[&str]) -> Result<Vec<LampReader>, PcscdError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let driver = driver().ok_or(PcscdError::NoLampDriver)?;
        let configure = |(number, name): (usize, &&str)| {
            let file = format!("lamps-{number}");
            let entry = folder.join("readers").join(&file);
            let reader = LampReader { name: (*name).to_owned(), folder: folder.join(file), entry };
            reader.configure(folder, &driver, number).map_err(prepare("a reader with lamps"))?;
            Ok(reader)
        };
        names.iter().enumerate().map(configure).collect()
    }

    /// A copy of the driver each, as each USB device has a state of its own.
    fn configure(&self, folder: &Path, driver: &Path, number: usize) -> io::Result<()> {
        fs::create_dir(&self.folder)?;
        let copy = folder.join(format!("libsim-ifd-{number}.so"));
        fs::copy(driver, &copy)?;
        let entry = format!(
            "FRIENDLYNAME \"{}\"\nDEVICENAME {}\nLIBPATH {}\nCHANNELID {number}\n",
            self.name,
            self.folder.display(),
            copy.display(),
        );
        fs::write(&self.entry, entry)
    }

    /// The name under which applications see it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} 00 00", self.name)
    }

    /// Lays a card on it; pcscd looks every 400 ms.
    pub fn put_card(&self, uid: &CardUid) -> io::Result<()> {
        // Whole or not at all, for it may be looked at meanwhile.
        let beside = self.folder.join("card.new");
        fs::write(&beside, uid.to_string())?;
        fs::rename(beside, self.folder.join("card"))
    }

    pub fn remove_card(&self) -> io::Result<()> {
        self.set("card", false)
    }

    /// The card on it, and any to come, never answers until this is taken back.
    pub fn hang_cards(&self, hang: bool) -> io::Result<()> {
        self.set("hang-card", hang)
    }

    /// It never answers a command to its lamps, until this is taken back.
    pub fn hang_escapes(&self, hang: bool) -> io::Result<()> {
        self.set("hang-escape", hang)
    }

    /// Its driver takes no escape command, as libccid as it is installed.
    pub fn refuse_escapes(&self, refuse: bool) -> io::Result<()> {
        self.set("refuse-escape", refuse)
    }

    /// Its plug is out, or in again. pcscd learns of it as of a USB reader that udev is silent about: it can't reach
    /// it, and goes on listing it.
    pub fn unplug(&self, unplugged: bool) -> io::Result<()> {
        self.set("unplugged", unplugged)
    }

    /// Whether pcscd has it from its next start on: readers of this kind don't come and go while it runs.
    pub fn list(&self, listed: bool) -> io::Result<()> {
        let (here, away) = (&self.entry, self.folder.join("entry"));
        match (listed, here.exists()) {
            (true, false) => fs::rename(away, here),
            (false, true) => fs::rename(here, away),
            (true, true) | (false, false) => Ok(()),
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        self.entry.exists()
    }

    /// Every command it got, in order.
    #[must_use]
    pub fn escapes(&self) -> Vec<Escape> {
        let text = fs::read_to_string(self.folder.join("escapes")).unwrap_or_default();
        let escape = |line: &str| {
            let (at, command) = line.split_once(' ')?;
            Some(Escape { at: Duration::from_millis(at.parse().ok()?), command: command.to_owned() })
        };
        text.lines().filter_map(escape).collect()
    }

    /// Waits for these commands in this order, one behind the other, after the first `after` it got.
    #[must_use]
    pub fn wait_for_escapes(&self, after: usize, commands: &[&str], limit: Duration) -> Option<Vec<Escape>> {
        wait::until(limit, || {
            let escapes = self.escapes().split_off(after.min(self.escapes().len()));
            let found = escapes
                .windows(commands.len())
                .find(|some| some.iter().map(|escape| escape.command.as_str()).eq(commands.iter().copied()));
            found.map(<[Escape]>::to_vec)
        })
    }

    fn set(&self, file: &str, there: bool) -> io::Result<()> {
        let path = self.folder.join(file);
        match (there, path.exists()) {
            (true, false) => fs::write(path, ""),
            (false, true) => fs::remove_file(path),
            (true, true) | (false, false) => Ok(()),
        }
    }
}

fn driver() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    DRIVER.iter().map(|file| folder.join(file)).find(|path| path.exists())
}
