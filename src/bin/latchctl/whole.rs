//! A file that has its name when it is whole. Until then it has another one, and whoever ends the program (Ctrl-C, a
//! terminal that is closed, SIGTERM) ends that too: nothing half is left lying about, least of all with a key in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
    low_level::emulate_default_handler,
};

/// What is to become of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is left alone, and that is an error. The new one is nobody else's to read.
    Left,
    /// The new one takes its place, once it is whole. It is for whoever may read files of the caller's.
    Replaced,
}

/// Dropped before [`Whole::finish`], it was never there.
#[derive(Debug)]
pub struct Whole {
    path: PathBuf,
    existing: Existing,
    /// None where it is written as it comes: to what is no file, such as `/dev/stdout`.
    part: Option<PathBuf>,
    file: File,
    signals: Option<Handle>,
}

impl Whole {
    /// Fails where it can't be written, or where one is there that is to be left alone.
    pub fn begin(path: &Path, existing: Existing) -> io::Result<Self> {
        let there = path.symlink_metadata().ok();
        if there.is_some() && existing == Existing::Left {
            return Err(is_there());
        }
        let path = path.to_owned();
        if there.is_some_and(|_| path.metadata().is_ok_and(|at| !at.is_file())) {
            let file = OpenOptions::new().write(true).open(&path)?;
            return Ok(Whole { path, existing, part: None, file, signals: None });
        }
        // What a link leads to is replaced, and not the link.
        let path = path.canonicalize().unwrap_or(path);
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let signals = Some(remove_at_end(part.clone())?);
        // Made by us and by nobody before: whoever made it could read it, whatever its mode is set to.
        let mode = if existing == Existing::Left { 0o600 } else { 0o666 };
        let file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&part)?;
        Ok(Whole { path, existing, part: Some(part), file, signals })
    }

    /// It is written, and gets its name.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(part) = &self.part else { return self.file.flush() };
        self.file.sync_all()?;
        match self.existing {
            Existing::Replaced => fs::rename(part, &self.path)?,
            Existing::Left => match renameat_with(CWD, part, CWD, &self.path, RenameFlags::NOREPLACE) {
                // Not every file system knows that: a stick's may not.
                Err(Errno::INVAL) if self.path.symlink_metadata().is_ok() => return Err(is_there()),
                Err(Errno::INVAL) => fs::rename(part, &self.path)?,
                Err(Errno::EXIST) => return Err(is_there()),
                renamed => renamed?,
            },
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Who may write into a folder may not always open it.
        File::open(folder.unwrap_or(Path::new("."))).map_or(Ok(()), |folder| folder.sync_all())
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // Finished, it has another name.
        self.part.as_ref().into_iter().for_each(|part| drop(fs::remove_file(part)));
        self.signals.iter().for_each(Handle::close);
    }
}

/// From here on, who ends the program ends this file first. The end itself is as it would be.
fn remove_at_end(part: PathBuf) -> io::Result<Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    let wait = move || {
        for signal in signals.forever() {
            // There may be none yet, or none any more.
            drop(fs::remove_file(&part));
            drop(emulate_default_handler(signal));
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(handle)
}

fn is_there() -> io::Error {
    io::Error::other("it is there already, and is left alone; name another")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_has_its_name_when_it_is_whole_and_was_never_there_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut given_up = Whole::begin(&path, Existing::Left).unwrap();
        given_up.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(given_up);
        assert_eq!(names(folder.path()), [""; 0]);
        let mut whole = Whole::begin(&path, Existing::Left).unwrap();
        whole.write_all(b"whole").unwrap();
        whole.finish().unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), names(folder.path())),
            (b"whole".to_vec(), vec!["file".to_owned()])
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_left_alone_even_when_it_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let whole = Whole::begin(&path, Existing::Left).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(whole.finish().unwrap_err().to_string().contains("it is there already"));
        assert!(Whole::begin(&path, Existing::Left).is_err());
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"theirs".to_vec(), 1));
    }

    #[test]
    fn one_that_is_to_be_replaced_is_there_until_the_next_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "before").unwrap();
        symlink(&path, &link).unwrap();
        let mut whole = Whole::begin(&link, Existing::Replaced).unwrap();
        whole.write_all(b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        whole.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn what_is_no_file_is_written_as_it_comes() {
        let mut whole = Whole::begin(Path::new("/dev/null"), Existing::Replaced).unwrap();
        whole.write_all(b"gone").unwrap();
        whole.finish().unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }

    #[test]
    fn where_none_can_be_written_it_fails_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for existing in [Existing::Left, Existing::Replaced] {
            assert!(Whole::begin(&folder.path().join("no/such"), existing).is_err());
            assert!(Whole::begin(folder.path(), existing).is_err(), "a folder");
        }
    }
}
