//! The serial line: a pty whose other end a daemon opens by a path that stays the same when the device is plugged
//! out and in, as `/dev/serial/by-id/…` does.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// The device's end, and the link to the host's. The link goes when this does.
#[derive(Debug)]
pub(crate) struct Pty {
    pub master: OwnedFd,
    link: PathBuf,
    device: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    #[error("{0} exists and is no symbolic link; choose another path")]
    Occupied(PathBuf),
    #[error("cannot link {path} to the pty; its directory must exist and be writable")]
    Link { path: PathBuf, source: io::Error },
    #[error("cannot open a pty; is /dev/pts mounted?")]
    Open(#[source] io::Error),
}

impl Pty {
    pub fn open(link: &Path) -> Result<Self, PtyError> {
        let open = || -> io::Result<(OwnedFd, PathBuf)> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let mut line = tcgetattr(&master)?;
            line.make_raw();
            tcsetattr(&master, OptionalActions::Now, &line)?;
            fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
            let name = ptsname(&master, Vec::new())?.into_bytes();
            Ok((master, PathBuf::from(std::ffi::OsString::from_vec(name))))
        };
        let (master, device) = open().map_err(PtyError::Open)?;
        if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
            return Err(PtyError::Occupied(link.into()));
        }
        let failed = |source| PtyError::Link { path: link.into(), source };
        // Made beside and renamed over, so that the path is never half there.
        let mut beside = link.as_os_str().to_owned();
        beside.push(".new");
        let _ = fs::remove_file(&beside);
        symlink(&device, &beside).map_err(failed)?;
        fs::rename(&beside, link).map_err(failed)?;
        Ok(Self { master, link: link.into(), device })
    }

    /// Takes the path away, unless another simulator has taken it over.
    pub fn unlink(&self) {
        if fs::read_link(&self.link).is_ok_and(|device| device == self.device) {
            let _ = fs::remove_file(&self.link);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.unlink();
    }
}
