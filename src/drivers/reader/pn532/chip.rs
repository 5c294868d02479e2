//! Commands to a PN532 and their answers: each is acknowledged, answered and limited in time, or it is an error.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder as _, Encoder as _},
};

use super::codec::{ACK, Codec, Frame, NACK};
use crate::{
    domain::{Uid, UidError},
    drivers::clock,
};

const TO_CHIP: u8 = 0xD4;
const FROM_CHIP: u8 = 0xD5;

/// The chip acknowledges within 15 ms (§6.2.1.1); a USB adapter may sit on it for 16 more, a busy host longer.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(250);
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);
/// With [`PASSIVE_RETRIES`] the chip says "no card" after about a second.
const LOOKED_WITHIN: Duration = Duration::from_millis(3_000);
/// Bytes leave at line speed; only a line that is held takes longer.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);
/// Answers damaged on the line that are asked for again, for each command.
const REPEATS: u8 = 3;
const WAKE_TRIES: u8 = 3;
/// RFConfiguration item 5, MxRtyPassiveActivation: by default the chip looks for a card for ever, and a dead one can't
/// be told from an empty field. A try takes about 10 ms.
const PASSIVE_RETRIES: u8 = 90;

/// A command's code; its answer has the next one (§7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    GetFirmwareVersion = 0x02,
    SamConfiguration = 0x14,
    RfConfiguration = 0x32,
    InListPassiveTarget = 0x4A,
    InRelease = 0x52,
}

/// Why the chip is no use at the moment.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the line can't be used: {0}")]
    Line(#[from] io::Error),
    #[error("the line has vanished")]
    Vanished,
    #[error("no answer to {0:?} in time; is it powered, wired, and switched to HSU?")]
    Silent(Command),
    #[error("it refuses {0:?}")]
    Refused(Command),
    #[error("its answer to {0:?} makes no sense; is it a PN532?")]
    Nonsense(Command),
}

/// What a look into the field finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Card(Uid),
    Unreadable(UidError),
}

#[derive(Debug)]
pub struct Chip<P> {
    port: P,
    codec: Codec,
    /// What has come and is no whole frame yet: the codec keeps it below two frames' length.
    inbox: BytesMut,
}

impl<P: AsyncRead + AsyncWrite + Unpin> Chip<P> {
    pub fn over(port: P) -> Self {
        Chip { port, codec: Codec::default(), inbox: BytesMut::with_capacity(512) }
    }

    /// Wakes the chip and makes it look for cards our way, whatever it was doing. Its name and firmware.
    pub async fn begin(&mut self) -> Result<String, Fault> {
        for number in 1..=WAKE_TRIES {
            // 55s and time for its oscillator wake it from power-down (§7.2.11); an ACK ends whatever it was at.
            let mut wake = vec![0x55, 0x55];
            wake.extend([0x00; 14]);
            wake.extend(ACK);
            self.write(&wake).await?;
            // Normal mode, no time-out, IRQ.
            match self.command(Command::SamConfiguration, &[0x01, 0x14, 0x01], ANSWERED_WITHIN).await {
                Ok(_) => break,
                Err(Fault::Silent(_) | Fault::Refused(_)) if number < WAKE_TRIES => {}
                Err(fault) => return Err(fault),
            }
        }
        let version = self.command(Command::GetFirmwareVersion, &[], ANSWERED_WITHIN).await?;
        let &[ic, version, revision, _support] = version.as_slice() else {
            return Err(Fault::Nonsense(Command::GetFirmwareVersion));
        };
        let retries = [0x05, 0xFF, 0x01, PASSIVE_RETRIES];
        self.command(Command::RfConfiguration, &retries, ANSWERED_WITHIN).await?;
        Ok(format!("PN5{ic:02X} firmware {version}.{revision}"))
    }

    /// Looks for one card of type A at 106 kbit/s; comes back at once when there is one, else after about a second.
    pub async fn look(&mut self) -> Result<Found, Fault> {
        let answer = self.command(Command::InListPassiveTarget, &[0x01, 0x00], LOOKED_WITHIN).await?;
        match answer.as_slice() {
            [0, ..] => Ok(Found::Nothing),
            // Number, target, SENS_RES (2), SEL_RES, length, UID; of some cards an ATS follows.
            [1, _target, _, _, _, len, rest @ ..] => match rest.get(..usize::from(*len)).map(Uid::new) {
                Some(Ok(uid)) => Ok(Found::Card(uid)),
                Some(Err(error)) => Ok(Found::Unreadable(error)),
                None => Err(Fault::Nonsense(Command::InListPassiveTarget)),
            },
            _ => Err(Fault::Nonsense(Command::InListPassiveTarget)),
        }
    }

    /// Lets go of the card, so that the next look finds it again or finds another.
    pub async fn release(&mut self) -> Result<(), Fault> {
        // What it says to that is no matter: the card may be gone.
        match self.command(Command::InRelease, &[0x00], ANSWERED_WITHIN).await {
            Ok(_) | Err(Fault::Refused(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Bytes that belonged to no frame, since this was last asked.
    pub fn take_junk(&mut self) -> u64 {
        self.codec.take_junk()
    }

    pub fn into_port(self) -> P {
        self.port
    }

    /// What stands in the answer after its code.
    async fn command(
        &mut self,
        command: Command,
        parameters: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let mut data = vec![TO_CHIP, command as u8];
        data.extend_from_slice(parameters);
        let mut frame = BytesMut::new();
        self.codec.encode(&data, &mut frame)?;
        self.write(&frame).await?;
        let mut until = clock::instant() + ACKNOWLEDGED_WITHIN;
        let mut acknowledged = false;
        let mut repeats = 0..REPEATS;
        loop {
            match self.frame(until).await?.ok_or(Fault::Silent(command))? {
                // One is all that the chip says: a line that goes on saying it must not keep us waiting for ever.
                Frame::Ack if acknowledged => {}
                Frame::Ack => {
                    acknowledged = true;
                    until = clock::instant() + within;
                }
                Frame::Nack | Frame::Error => return Err(Fault::Refused(command)),
                Frame::Damaged if repeats.next().is_some() => self.write(&NACK).await?,
                // Another command's late answer, an echo of our own bytes, or more noise than is worth asking about.
                Frame::Damaged => {}
                Frame::Data(mut data) => {
                    if data.starts_with(&[FROM_CHIP, command as u8 + 1]) {
                        return Ok(data.split_off(2));
                    }
                }
            }
        }
    }

    /// The next frame, if one comes before `until`. Cancelled, it loses nothing.
    async fn frame(&mut self, until: Instant) -> Result<Option<Frame>, Fault> {
        loop {
            // A line that never falls silent would never let the time-out below have its turn.
            if clock::instant() >= until {
                return Ok(None);
            }
            if let Some(frame) = self.codec.decode(&mut self.inbox)? {
                return Ok(Some(frame));
            }
            match timeout_at(until, self.port.read_buf(&mut self.inbox)).await {
                Err(_) => return Ok(None),
                // A tty whose device was pulled out reads as ended.
                Ok(Ok(0)) => return Err(Fault::Vanished),
                Ok(read) => drop(read?),
            }
        }
    }

    /// Never flushes: on a tty that is `tcdrain`, which blocks the whole runtime until the last byte has left.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let in_time = timeout(WRITTEN_WITHIN, self.port.write_all(bytes)).await;
        Ok(in_time.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))?)
    }
}
