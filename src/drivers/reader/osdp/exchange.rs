//! One command and its answer on the line, limited in time whatever comes.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{timeout, timeout_at},
};

use crate::{
    drivers::clock,
    wire::osdp::{Channel, Framer, Heard, frame::PACKET_MAX},
};

/// An answer begins within 200 ms of the command (OSDP 2.2 §5.7).
const ANSWER_BEGINS_WITHIN: Duration = Duration::from_millis(200);
/// Between two bytes of one packet: 20 ms by the standard, and what a USB adapter and a busy host sit on.
const NEXT_BYTE_WITHIN: Duration = Duration::from_millis(60);
/// Bytes leave at the line's speed; only a line that is held takes longer.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);
/// Start bit, eight bits, stop bit.
const BITS_A_BYTE: u64 = 10;

/// Why the line is no use: nobody on it can be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the line can't be used: {0}")]
    Line(#[from] io::Error),
    #[error("the line has vanished")]
    Vanished,
    #[error("the line takes no bytes")]
    Held,
}

/// An open line.
#[derive(Debug)]
pub struct Wire<L> {
    port: L,
    baud: u32,
    framer: Framer,
}

/// What became of a command.
#[derive(Debug)]
pub enum Answer {
    Heard(Heard),
    Silent,
}

impl<L: AsyncRead + AsyncWrite + Unpin> Wire<L> {
    pub fn over(port: L, baud: u32) -> Self {
        Wire { port, baud, framer: Framer::default() }
    }

    pub fn into_port(self) -> L {
        self.port
    }

    /// Packets that were damaged on their way, since this was last asked.
    pub fn take_damaged(&mut self) -> u64 {
        self.framer.take_damaged()
    }

    /// Says `bytes`, and waits for what `channel` takes for the answer.
    pub async fn exchange(&mut self, channel: &mut Channel, bytes: &[u8]) -> Result<Answer, Fault> {
        // What is left of an answer that came too late is no beginning of this one.
        self.framer.clear();
        match timeout(WRITTEN_WITHIN, self.port.write_all(bytes)).await {
            Ok(written) => written?,
            Err(_) => return Err(Fault::Held),
        }
        let mut limit = clock::instant() + self.lasts(bytes.len()) + ANSWER_BEGINS_WITHIN;
        // However the bytes drip, the longest packet is over by then.
        let last = limit + self.lasts(PACKET_MAX);
        let mut chunk = [0; PACKET_MAX];
        loop {
            let read = match timeout_at(limit, self.port.read(&mut chunk)).await {
                Ok(Ok(0)) => return Err(Fault::Vanished),
                Ok(read) => read?,
                Err(_) => return Ok(self.heard(channel, Framer::packet_behind).unwrap_or(Answer::Silent)),
            };
            self.framer.push(chunk.get(..read).unwrap_or_default());
            if let Some(answer) = self.heard(channel, Framer::packet) {
                return Ok(answer);
            }
            if self.framer.is_within() {
                limit = limit.max(clock::instant() + NEXT_BYTE_WITHIN).min(last);
            }
        }
    }

    /// The first packet that `channel` takes for the answer.
    fn heard(
        &mut self,
        channel: &mut Channel,
        packet: impl Fn(&mut Framer) -> Option<Vec<u8>>,
    ) -> Option<Answer> {
        while let Some(packet) = packet(&mut self.framer) {
            let heard = channel.hear(&packet);
            if heard != Heard::NotOurs {
                return Some(Answer::Heard(heard));
            }
        }
        None
    }

    /// How long so many bytes are on the line.
    fn lasts(&self, bytes: usize) -> Duration {
        Duration::from_micros(bytes as u64 * BITS_A_BYTE * 1_000_000 / u64::from(self.baud.max(1)))
    }
}
