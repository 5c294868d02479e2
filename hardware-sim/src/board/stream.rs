//! What a board hears and speaks through: a client's connection, or a pty that stands in for a serial line.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::pty::Pty;

/// A pty that nobody has open hangs up all the time: how often to look whether somebody has.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Pieces that may wait to be read; a master asks for one thing at a time.
const PIECES: usize = 64;
/// More than any request.
const PIECE: usize = 512;

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Pty(Line),
}

/// A pty, read by a thread of its own: one that is hung up and taken up again is nothing for an event loop.
#[derive(Debug)]
pub(super) struct Line {
    pty: Arc<Pty>,
    pieces: mpsc::Receiver<Vec<u8>>,
    /// Closed, it ends the thread.
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    fn open(pty: Pty) -> io::Result<Self> {
        let pty = Arc::new(pty);
        let (wake, woken) = UnixStream::pair()?;
        let (send, pieces) = mpsc::channel(PIECES);
        let heard = Arc::clone(&pty);
        let thread = std::thread::Builder::new()
            .name("sim-serial".into())
            .spawn(move || listen(&heard, &woken, &send))?;
        Ok(Self { pty, pieces, wake: Some(wake), thread: Some(thread) })
    }
}

impl Drop for Line {
    /// The device is gone when this is: its other end sees the cable pulled.
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(pty: &Pty, woken: &UnixStream, pieces: &mpsc::Sender<Vec<u8>>) {
    let mut hung_up = false;
    loop {
        let look = Timespec::try_from(LOOK_EVERY).ok().filter(|_| hung_up);
        // One that is hung up is always ready: it is looked at by time.
        let interest = if hung_up { PollFlags::empty() } else { PollFlags::IN };
        let mut both = [PollFd::new(woken, PollFlags::IN), PollFd::new(&pty.master, interest)];
        let watched = if hung_up { both.get_mut(..1) } else { both.get_mut(..) };
        // A signal: everything is looked at again.
        let _ = poll(watched.unwrap_or_default(), look.as_ref());
        if both.first().is_some_and(|woken| !woken.revents().is_empty()) {
            return;
        }
        let mut room = [0; PIECE];
        match rustix::io::read(&pty.master, &mut room) {
            Ok(read) if read > 0 => {
                hung_up = false;
                // Full: whoever sends so much is no master, and it is lost.
                let _ = pieces.try_send(room.get(..read).unwrap_or_default().to_vec());
            }
            Err(Errno::AGAIN | Errno::INTR) => hung_up = false,
            Ok(_) | Err(_) => hung_up = true,
        }
    }
}

impl Stream {
    pub fn pty(pty: Pty) -> io::Result<Self> {
        Ok(Self::Pty(Line::open(pty)?))
    }

    /// Adds what came; false when the client has gone. A serial line never ends. May be given up at any time.
    pub async fn read(&mut self, into: &mut Vec<u8>) -> bool {
        match self {
            Self::Tcp(stream) => matches!(stream.read_buf(into).await, Ok(1..)),
            Self::Pty(line) => match line.pieces.recv().await {
                Some(piece) => {
                    into.extend(piece);
                    true
                }
                None => false,
            },
        }
    }

    /// What nobody reads on a serial line is lost.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Pty(line) => {
                let _ = rustix::io::write(&line.pty.master, bytes);
                Ok(())
            }
        }
    }
}
