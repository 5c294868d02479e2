//! What a board hears and speaks through: a client's connection, or a pty that stands in for a serial line.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::io::{AsRawFd, RawFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::pty::Pty;

/// A pty that nobody has open hangs up all the time: how often to look whether somebody has.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Pty(AsyncFd<Line>),
}

/// A pty as a descriptor to wait on.
#[derive(Debug)]
pub(super) struct Line(Pty);

impl AsRawFd for Line {
    fn as_raw_fd(&self) -> RawFd {
        self.0.master.as_raw_fd()
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.master.as_fd()
    }
}

impl Stream {
    pub fn pty(pty: Pty) -> io::Result<Self> {
        Ok(Self::Pty(AsyncFd::register(Line(pty))?))
    }

    /// Some bytes; none when the client has gone. A serial line never ends. May be given up at any time.
    pub async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(room).await,
            Self::Pty(line) => loop {
                let read = line.async_io(Interest::READABLE, |line| {
                    rustix::io::read(line, &mut *room).map_err(Into::into)
                });
                match read.await {
                    Ok(read) if read > 0 => return Ok(read),
                    // Nobody has it open.
                    Ok(_) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
                }
            },
        }
    }

    /// What nobody reads on a serial line is lost.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Pty(line) => {
                let _ = rustix::io::write(&*line, bytes);
                Ok(())
            }
        }
    }
}
