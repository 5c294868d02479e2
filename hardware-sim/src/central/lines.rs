//! An append-only file of JSON lines that survives being killed in mid-write: what central keeps, it keeps in these.
//!
//! Every line carries `sum`, the beginning of the SHA-256 of the rest of it, so that a byte that turned over is told from
//! a line that is whole. A last line without its line end was being written when the process died; nobody has been told
//! of it, and it is cut. Anything else that is wrong is damage, which is said and never passed over.

use super::digest::event_hash;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Hex digits of the hash that are kept: 64 bits find an accident; against malice a file on one's own disk has none.
const SUM_DIGITS: usize = 16;

/// There are cards' numbers in what central keeps.
const OWNER_ONLY: u32 = 0o600;

/// How long another holder of the file may take to be gone.
const LOCK_WITHIN: Duration = Duration::from_millis(500);

/// Why a file of lines does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The disk does not take it.
    #[error("{path} can't be {what}; see to the disk and start again")]
    Disk {
        /// The file.
        path: PathBuf,
        /// `read`, `written`, …
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Another central has it open.
    #[error("{path} is in use by another central; end that one, or choose another file")]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

/// What a file held when it was opened.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// The whole lines before any damage, without their sums.
    pub lines: Vec<Value>,
    /// The first line (from 1) that is not what was written, if there is one.
    pub damaged_line: Option<usize>,
    /// Bytes of a torn last line that were cut.
    pub cut_bytes: usize,
}

/// A file of lines, open for appending and for nobody else.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// Opens or makes the file, reads it, and cuts a torn last line.
    ///
    /// # Errors
    /// The disk, or another process that has it.
    pub fn open(path: &Path) -> Result<(Lines, Found), LinesError> {
        let disk = |what| move |source| LinesError::Disk { path: path.to_owned(), what, source };
        let mut options = OpenOptions::new();
        let opened = options.read(true).append(true).create(true).mode(OWNER_ONLY).open(path);
        let file = opened.map_err(disk("opened"))?;
        lock(path, &file)?;
        let bytes = fs::read(path).map_err(disk("read"))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut found = Found { cut_bytes: bytes.len() - whole, ..Found::default() };
        for line in bytes.get(..whole).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            match unsealed(line) {
                Some(value) => found.lines.push(value),
                None => {
                    found.damaged_line = Some(found.lines.len() + 1);
                    break;
                }
            }
        }
        let mut lines = Lines { path: path.to_owned(), file };
        if found.cut_bytes > 0 {
            lines.cut_to(whole as u64).map_err(disk("cut"))?;
        }
        sync_folder(path).map_err(disk("made durable"))?;
        Ok((lines, found))
    }

    /// Adds lines; they are on disk when this returns.
    ///
    /// # Errors
    /// The disk did not take them. What it took of them is cut again, here or at the next opening.
    pub fn append(&mut self, values: impl IntoIterator<Item = Value>) -> Result<(), LinesError> {
        let text: String = values.into_iter().map(sealed).collect();
        if text.is_empty() {
            return Ok(());
        }
        let before = self.file.metadata().map(|data| data.len());
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let (Err(_), Ok(before)) = (&written, before) {
            // If this fails as well, the torn line is cut when the file is opened next.
            let _ = self.cut_to(before);
        }
        written.map_err(|source| LinesError::Disk { path: self.path.clone(), what: "written", source })
    }

    /// Replaces everything at once: after a crash there is the old file or the new one, never a part of either.
    ///
    /// # Errors
    /// The disk; the old file is then still in place.
    pub fn replace(&mut self, values: impl IntoIterator<Item = Value>) -> Result<(), LinesError> {
        let path = self.path.clone();
        let disk = |what| move |source| LinesError::Disk { path, what, source };
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let write = || -> io::Result<File> {
            let mut file = OpenOptions::new().append(true).create(true).mode(OWNER_ONLY).open(&new)?;
            file.set_len(0)?;
            let mut buffered = io::BufWriter::new(&file);
            for value in values {
                buffered.write_all(sealed(value).as_bytes())?;
            }
            buffered.flush()?;
            drop(buffered);
            file.sync_all()?;
            // Locked before it has the name, so that nobody else can have it first.
            file.try_lock().map_err(io::Error::from)?;
            fs::rename(&new, &self.path)?;
            sync_folder(&self.path)?;
            file.seek(io::SeekFrom::End(0))?;
            Ok(file)
        };
        self.file = write().map_err(disk("rewritten"))?;
        Ok(())
    }

    /// Puts a copy of the damaged file beside it, for whoever wants to know; gives its name.
    ///
    /// # Errors
    /// The disk.
    pub fn set_aside(&self) -> Result<PathBuf, LinesError> {
        let name = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".damaged-{number}"));
            PathBuf::from(name)
        };
        // A file damaged a thousand times has been looked at by nobody.
        let aside = (1..1000).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(1000));
        let copied = fs::copy(&self.path, &aside);
        copied.map_err(|source| LinesError::Disk { path: aside.clone(), what: "written", source })?;
        Ok(aside)
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_all()
    }
}

fn lock(path: &Path, file: &File) -> Result<(), LinesError> {
    // A lock goes with the last copy of its file, and a process that is just being started has one for a moment.
    let locked = crate::wait::until(LOCK_WITHIN, || match file.try_lock() {
        Ok(()) => Some(Ok(())),
        Err(fs::TryLockError::WouldBlock) => None,
        Err(fs::TryLockError::Error(source)) => Some(Err(source)),
    });
    match locked {
        Some(locked) => {
            locked.map_err(|source| LinesError::Disk { path: path.to_owned(), what: "locked", source })
        }
        None => Err(LinesError::InUse { path: path.to_owned() }),
    }
}

/// A name is on disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn sum(value: &Value) -> String {
    event_hash(value).chars().take(SUM_DIGITS).collect()
}

fn sealed(mut value: Value) -> String {
    let sum = sum(&value);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("sum".to_owned(), sum.into());
    }
    format!("{value}\n")
}

fn unsealed(line: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(line).ok()?;
    let said = value.as_object_mut()?.remove("sum")?;
    (said == sum(&value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::MetadataExt as _;

    fn line(number: u64) -> Value {
        json!({ "n": number, "what": "a line" })
    }

    fn reopened(path: &Path) -> Found {
        Lines::open(path).unwrap().1
    }

    #[test]
    fn what_was_appended_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let (mut lines, found) = Lines::open(&path).unwrap();
        assert_eq!(found, Found::default());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, OWNER_ONLY);
        lines.append([line(1), line(2)]).unwrap();
        lines.append([line(3)]).unwrap();
        assert!(matches!(Lines::open(&path), Err(LinesError::InUse { .. })));
        drop(lines);
        assert_eq!(reopened(&path).lines, [line(1), line(2), line(3)]);
    }

    #[test]
    fn a_last_line_torn_at_any_byte_is_cut_and_the_rest_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        Lines::open(&path).unwrap().0.append([line(1), line(2)]).unwrap();
        let bytes = fs::read(&path).unwrap();
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in second..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let found = reopened(&path);
            assert_eq!((found.lines, found.damaged_line), (vec![line(1)], None), "torn at {length}");
            assert_eq!(found.cut_bytes, length - second);
            Lines::open(&path).unwrap().0.append([line(7)]).unwrap();
            assert_eq!(reopened(&path).lines, [line(1), line(7)]);
        }
    }

    #[test]
    fn a_byte_that_turned_over_is_damage_whichever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        Lines::open(&path).unwrap().0.append([line(1), line(2)]).unwrap();
        let bytes = fs::read(&path).unwrap();
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for at in second..bytes.len() - 1 {
            let mut turned = bytes.clone();
            turned[at] ^= 1;
            fs::write(&path, turned).unwrap();
            let found = reopened(&path);
            assert_eq!((found.lines, found.damaged_line), (vec![line(1)], Some(2)), "byte {at}");
        }
    }

    #[test]
    fn a_replaced_file_is_the_new_one_and_still_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let (mut lines, _) = Lines::open(&path).unwrap();
        lines.append((1..50).map(line)).unwrap();
        lines.replace([line(1)]).unwrap();
        lines.append([line(2)]).unwrap();
        assert!(matches!(Lines::open(&path), Err(LinesError::InUse { .. })));
        drop(lines);
        assert_eq!(reopened(&path).lines, [line(1), line(2)]);
    }
}
