//! Single exchanges over a line: a request, and its answer or the reason why there is none, within a time.
//!
//! A serial line needs silence before each request (3.5 characters, MODBUS over Serial Line 1.02 §2.5.1.1), and
//! whatever comes in it is late and thrown away. Nothing here flushes: on a serial line that blocks the thread until
//! the last bit is out.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialStream};

use super::{
    ask::{Ask, Layout, Wrong},
    frame::{Framing, Torn},
};
use crate::drivers::clock;

/// Longer than any answer; a line that is still not silent then has somebody talking on it.
const CHATTER_MAX: Duration = Duration::from_millis(500);
/// A frame at most (MODBUS Messaging on TCP/IP 1.0b §4.1).
const CHUNK: usize = 260;

/// A line that can be thrown away without waiting for it.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    fn discard(&mut self);
}

impl Wire for tokio::net::TcpStream {
    fn discard(&mut self) {}
}

impl Wire for SerialStream {
    /// Closing a line waits for bytes that a pulled cable never lets out.
    fn discard(&mut self) {
        // A line that has gone has nothing to clear.
        drop(self.clear(ClearBuffer::All));
    }
}

#[cfg(test)]
impl Wire for tokio::io::DuplexStream {
    fn discard(&mut self) {}
}

/// How fast a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// What a byte takes; nothing where another box does the sending.
    pub byte: Duration,
    /// Before each request.
    pub silence: Duration,
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{ask}: no answer within {} ms", within.as_millis())]
    Silent { ask: Ask, within: Duration },
    #[error("{ask}: the answer broke off after {got} bytes")]
    Cut { ask: Ask, got: usize },
    #[error("{ask}: {source}")]
    Line { ask: Ask, source: io::Error },
    #[error("{ask}: the answer came damaged")]
    Damaged { ask: Ask },
    #[error("{ask}: {wrong}")]
    Wrong { ask: Ask, wrong: Wrong },
}

impl Fault {
    /// Whether late answers may still come, so that the board is to be asked something else first.
    pub fn is_in_doubt(&self) -> bool {
        !matches!(self, Fault::Wrong { wrong: Wrong::Refused(_), .. })
    }

    /// Whether it is the line's, and so every board's on it.
    pub fn is_of_line(&self) -> bool {
        matches!(self, Fault::Line { .. })
    }

    pub fn ask(&self) -> Ask {
        match self {
            Fault::Silent { ask, .. }
            | Fault::Cut { ask, .. }
            | Fault::Line { ask, .. }
            | Fault::Damaged { ask }
            | Fault::Wrong { ask, .. } => *ask,
        }
    }
}

/// One connection, or one serial line that is open.
#[derive(Debug)]
pub struct Exchange<T: Wire> {
    wire: T,
    framing: Framing,
    pace: Pace,
    came: Vec<u8>,
    /// Since then it has been silent.
    silent_since: Instant,
    /// A request is on its way out: cut off there, the rest of it would be taken for the next one's beginning.
    is_writing: bool,
}

impl<T: Wire> Drop for Exchange<T> {
    fn drop(&mut self) {
        self.wire.discard();
    }
}

impl<T: Wire> Exchange<T> {
    pub fn over(wire: T, framing: Framing, pace: Pace) -> Self {
        Exchange { wire, framing, pace, came: Vec::new(), silent_since: clock::instant(), is_writing: false }
    }

    pub fn is_rtu(&self) -> bool {
        self.framing.is_rtu()
    }

    /// Asks, and says what was answered. `within` is the board's own time; what the bytes take is added.
    pub async fn ask(&mut self, unit: u8, layout: &Layout, ask: Ask, within: Duration) -> Result<u64, Fault> {
        self.settle().await.map_err(|source| Fault::Line { ask, source })?;
        let request = ask.request(layout);
        let frame = self.framing.wrap(unit, &request);
        let bytes = frame.len() + self.framing.len_of(ask.answer_len());
        let within = within + self.pace.byte * u32::try_from(bytes).unwrap_or(u32::MAX);
        let answer = match timeout(within, self.talk(unit, ask, &frame)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.gave_up(ask, within)),
        };
        ask.answered(&request, &answer).map_err(|wrong| Fault::Wrong { ask, wrong })
    }

    fn gave_up(&mut self, ask: Ask, within: Duration) -> Fault {
        if self.is_writing {
            return Fault::Line { ask, source: io::ErrorKind::TimedOut.into() };
        }
        if !self.framing.give_up() {
            return Fault::Line { ask, source: io::Error::other("too many answers never came") };
        }
        match self.came.len() {
            0 => Fault::Silent { ask, within },
            got => Fault::Cut { ask, got },
        }
    }

    async fn talk(&mut self, unit: u8, ask: Ask, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        let broken = |source| Fault::Line { ask, source };
        self.is_writing = true;
        self.wire.write_all(frame).await.map_err(broken)?;
        self.is_writing = false;
        self.silent_since =
            clock::instant() + self.pace.byte * u32::try_from(frame.len()).unwrap_or(u32::MAX);
        loop {
            let taken = self.framing.take(unit, ask.function(), &mut self.came);
            match taken {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => self.hear().await.map_err(broken)?,
                Err(Torn::Stray) => return Err(Fault::Wrong { ask, wrong: Wrong::Stray }),
                Err(Torn::Damaged) => return Err(Fault::Damaged { ask }),
                Err(Torn::Length) => {
                    let kind = io::ErrorKind::InvalidData;
                    return Err(broken(io::Error::new(kind, "it sent a frame of impossible length")));
                }
            }
        }
    }

    async fn hear(&mut self) -> io::Result<()> {
        let mut room = [0; CHUNK];
        let got = self.wire.read(&mut room).await?;
        if got == 0 {
            let gone = if self.pace.byte.is_zero() {
                "the board closed the connection"
            } else {
                "the serial line has gone; is its adapter plugged in?"
            };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, gone));
        }
        self.came.extend_from_slice(room.get(..got).unwrap_or_default());
        self.silent_since = clock::instant();
        Ok(())
    }

    /// Waits for the silence that a request needs on a serial line, and throws away what comes in it.
    async fn settle(&mut self) -> io::Result<()> {
        if !self.framing.is_rtu() {
            return Ok(());
        }
        let chatter = clock::instant() + CHATTER_MAX;
        loop {
            let until = self.silent_since + self.pace.silence;
            match timeout_at(until, self.hear()).await {
                Ok(heard) => heard?,
                Err(_) => break,
            }
            if clock::instant() >= chatter {
                return Err(io::Error::other("the line is never silent; is there another master on it?"));
            }
        }
        self.came.clear();
        Ok(())
    }
}
