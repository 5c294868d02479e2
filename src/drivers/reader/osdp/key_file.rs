//! A reader's key from its file. Read anew for each handshake, so that a corrected file needs no restart.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::wire::osdp::{Key, key::KeyError};

/// A key in hexadecimal, with room for white space. Larger is another file.
const BYTES_MAX: u64 = 256;
/// Others may do anything with it, or its group may write it.
const TOO_OPEN: u32 = 0o027;

/// What is wrong with a key's file. Never with anything of its content.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("can't read {path} (key_file): {error}", path = .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{path} (key_file) is larger than {BYTES_MAX} bytes; is it the right file?", path = .path.display())]
    TooLarge { path: PathBuf },
    #[error("{path} (key_file) is not text", path = .path.display())]
    NotText { path: PathBuf },
    #[error("{path} (key_file) holds no key: {error}", path = .path.display())]
    Key { path: PathBuf, error: KeyError },
}

impl KeyFileError {
    /// It is not there, or not to be read by whoever asks: not known to be wrong.
    pub fn is_unseen(&self) -> bool {
        matches!(self, KeyFileError::Unreadable { .. })
    }
}

/// Reads a key. Waits for the disk.
pub fn read(path: &Path) -> Result<Key, KeyFileError> {
    let unreadable = |error| KeyFileError::Unreadable { path: path.to_owned(), error };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > BYTES_MAX {
        return Err(KeyFileError::TooLarge { path: path.to_owned() });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = str::from_utf8(&bytes).map_err(|_| KeyFileError::NotText { path: path.to_owned() })?;
    Key::parse(text).map_err(|error| KeyFileError::Key { path: path.to_owned(), error })
}

/// A sentence where more people can read the file, or write it, than should.
pub fn too_open(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & TOO_OPEN != 0).then(|| {
        format!(
            "{} (key_file) has mode {mode:03o}: who reads it can pose as the reader; chmod 600",
            path.display()
        )
    })
}

/// The same as [`read`], beside the loop that opens doors.
pub async fn read_beside(path: PathBuf) -> Result<Key, KeyFileError> {
    let asked = path.clone();
    let read = tokio::task::spawn_blocking(move || read(&asked)).await;
    read.unwrap_or_else(|error| Err(KeyFileError::Unreadable { path, error: io::Error::other(error) }))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    const GOOD: &str = "00112233445566778899AABBCCDDEEFF";

    #[test]
    fn each_way_a_file_can_be_wrong_is_said_and_none_tells_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader.scbk");
        let said = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            read(&path).map(|_| ()).unwrap_err().to_string()
        };
        let missing = read(&path).unwrap_err();
        assert!(missing.is_unseen() && missing.to_string().contains("No such file"), "{missing}");
        assert!(said(&[0xFF; 32]).ends_with("is not text"));
        assert!(said(&[b'0'; 257]).contains("larger than 256 bytes"));
        let short = said(&GOOD.as_bytes()[..30]);
        assert!(short.contains("holds no key: it has 30 characters") && !short.contains("1122"), "{short}");
        assert!(said(b"303132333435363738393A3B3C3D3E3F").contains("default key (SCBK-D)"));
        fs::write(&path, format!("{GOOD}\n")).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn a_file_that_others_can_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader.scbk");
        fs::write(&path, GOOD).unwrap();
        for (mode, is_too_open) in
            [(0o600, false), (0o640, false), (0o644, true), (0o660, true), (0o604, true)]
        {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(too_open(&path).is_some(), is_too_open, "{mode:03o}");
        }
        assert!(too_open(&path).unwrap().contains("has mode 604"));
        assert_eq!(too_open(Path::new("/nowhere")), None);
    }
}
