//! Lets tokio-modbus 0.17 carry a timed pulse. Its codec reads any answer with function 05 as "on" or "off", and
//! fails on the echo of a pulse, whose value is a time. So a pulse goes through it under a function code that the
//! standard leaves to users, with its four bytes as they are, and here, between the library and the socket, that
//! code is exchanged for 05: on the way out, and back on the way in. Framing, transaction ids and the comparison of
//! headers stay the library's; the echo reaches us whole, for us to compare.
//!
//! Two other things are put right on the way: a connection the board closes is an error that says so (the library
//! reports whatever error the process had last), and a length no frame may have is refused instead of waited for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The code a pulse has inside: user-defined by MODBUS Application Protocol 1.1b3 §5.
pub const PULSE: u8 = 0x41;
/// Write Single Coil: what a pulse is outside.
const WRITE_SINGLE_COIL: u8 = 0x05;
/// Of an answer that is an exception.
const EXCEPTION: u8 = 0x80;
/// Unit and PDU: 1 + 253 (MODBUS Messaging on TCP/IP 1.0b §4.1).
const LENGTH_MAX: u16 = 254;
/// Header and PDU.
const FRAME_MAX: usize = 260;

#[derive(Debug)]
pub struct Transport<T> {
    socket: T,
    out: Place,
    back: Place,
    /// The request that is out is a pulse.
    pulsing: bool,
}

/// Where in a frame a stream of bytes is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    at: u16,
    length: u16,
}

impl Place {
    const FUNCTION: u16 = 7;
    /// Bytes before those that the length counts.
    const BEFORE: u16 = 6;

    /// Takes one byte; true when it is the function code.
    fn take(&mut self, byte: u8) -> Result<bool, io::Error> {
        let at = self.at;
        match at {
            4 => self.length = u16::from(byte) << 8,
            5 => {
                self.length |= u16::from(byte);
                // Unit and function at least.
                if !(2..=LENGTH_MAX).contains(&self.length) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "it sent a frame of impossible length",
                    ));
                }
            }
            _ => {}
        }
        self.at = if at > Place::BEFORE && at + 1 == Place::BEFORE + self.length { 0 } else { at + 1 };
        Ok(at == Place::FUNCTION)
    }
}

impl<T> Transport<T> {
    pub fn over(socket: T) -> Self {
        Transport { socket, out: Place::default(), back: Place::default(), pulsing: false }
    }

    /// Exchanges the code in bytes on their way out; says where they end and whether that is in a pulse.
    fn outward(&self, bytes: &mut [u8]) -> Result<(Place, bool), io::Error> {
        let (mut place, mut pulsing) = (self.out, self.pulsing);
        for byte in bytes {
            if place.take(*byte)? {
                pulsing = *byte == PULSE;
                if pulsing {
                    *byte = WRITE_SINGLE_COIL;
                }
            }
        }
        Ok((place, pulsing))
    }

    fn inward(&mut self, bytes: &mut [u8]) -> Result<(), io::Error> {
        for byte in bytes {
            if self.back.take(*byte)? && self.pulsing && *byte & !EXCEPTION == WRITE_SINGLE_COIL {
                *byte = PULSE | (*byte & EXCEPTION);
            }
        }
        Ok(())
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Transport<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut room = [0; FRAME_MAX];
        let len = bytes.len().min(FRAME_MAX);
        let (Some(own), Some(bytes)) = (room.get_mut(..len), bytes.get(..len)) else {
            return Poll::Ready(Ok(0));
        };
        own.copy_from_slice(bytes);
        self.outward(own)?;
        let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, own))?;
        // Only what was taken counts: the rest comes again, unexchanged.
        if let Some(taken) = room.get_mut(..sent)
            && let Some(original) = bytes.get(..sent)
        {
            taken.copy_from_slice(original);
            (self.out, self.pulsing) = self.outward(taken)?;
        }
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Transport<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        if room.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.socket).poll_read(cx, room))?;
        match room.filled_mut().get_mut(before..) {
            Some(came) if !came.is_empty() => Poll::Ready(self.inward(came)),
            _ => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the board closed the connection",
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const INSIDE: [u8; 12] = [0, 7, 0, 0, 0, 6, 1, PULSE, 0x02, 0x03, 0x00, 0x32];
    const OUTSIDE: [u8; 12] = [0, 7, 0, 0, 0, 6, 1, 0x05, 0x02, 0x03, 0x00, 0x32];
    const READ: [u8; 12] = [0, 8, 0, 0, 0, 6, 1, 0x01, 0x00, 0x05, 0x00, 0x05];

    #[tokio::test]
    async fn only_the_function_code_of_a_pulse_is_exchanged_however_the_bytes_are_cut() {
        for cut in [1, 3, 5, 7, 8, 12] {
            // A pipe this narrow takes so many bytes at a time.
            let (near, mut far) = duplex(cut);
            let mut near = Transport::over(near);
            let there = async {
                for request in [&INSIDE[..], &READ, &INSIDE] {
                    near.write_all(request).await.unwrap();
                }
                let mut back = [0; 12];
                near.read_exact(&mut back).await.unwrap();
                back
            };
            let here = async {
                let mut heard = [0; 36];
                far.read_exact(&mut heard).await.unwrap();
                far.write_all(&OUTSIDE).await.unwrap();
                heard
            };
            let (back, heard) = tokio::join!(there, here);
            assert_eq!(heard, [OUTSIDE, READ, OUTSIDE].concat()[..], "cut to {cut}");
            assert_eq!(back, INSIDE, "cut to {cut}");
        }
    }

    #[tokio::test]
    async fn an_exception_to_a_pulse_comes_back_as_one_and_another_answer_as_it_is() {
        let (near, mut far) = duplex(64);
        let mut near = Transport::over(near);
        near.write_all(&INSIDE).await.unwrap();
        far.write_all(&[0, 7, 0, 0, 0, 3, 1, 0x85, 0x02]).await.unwrap();
        let mut back = [0; 9];
        near.read_exact(&mut back).await.unwrap();
        assert_eq!(back[7], PULSE | EXCEPTION);
        near.write_all(&READ).await.unwrap();
        far.write_all(&OUTSIDE).await.unwrap();
        let mut back = [0; 12];
        near.read_exact(&mut back).await.unwrap();
        assert_eq!(back, OUTSIDE);
    }

    #[tokio::test]
    async fn an_end_and_an_impossible_length_are_errors() {
        for header in [[0, 7, 0, 0, 0, 0], [0, 7, 0, 0, 0, 1], [0, 7, 0, 0, 0, 255], [0, 7, 0, 0, 0x40, 0]] {
            let (near, mut far) = duplex(64);
            far.write_all(&header).await.unwrap();
            let error = Transport::over(near).read(&mut [0; 64]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let (near, far) = duplex(64);
        drop(far);
        let error = Transport::over(near).read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.to_string(), "the board closed the connection");
    }
}
