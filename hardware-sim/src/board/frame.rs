//! Modbus TCP as bytes: the MBAP header around a PDU, requests in, answers out. Written from the specification
//! (Modbus Application Protocol V1.1b3, Messaging on TCP/IP V1.0b) and sharing nothing with the daemon's client.

/// MBAP: transaction (2), protocol (2), length (2), unit (1).
const HEADER: usize = 7;
/// The length field counts the unit and the PDU, whose limit is 253 bytes.
const LENGTH_MAX: usize = 254;

/// One frame: a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub transaction: u16,
    pub unit: u8,
    pub pdu: Vec<u8>,
}

/// What makes a stream worthless: nothing after it can be found again, so the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of protocol {0} arrived where Modbus is protocol 0")]
    Protocol(u16),
    #[error("a frame claims {0} bytes where 2 to 254 are possible")]
    Length(usize),
}

impl Frame {
    /// Takes the first whole frame off `buffer`; `None` until there is one.
    pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Self>, FrameError> {
        let &[t1, t0, p1, p0, l1, l0, unit, ..] = buffer.as_slice() else { return Ok(None) };
        let protocol = u16::from_be_bytes([p1, p0]);
        if protocol != 0 {
            return Err(FrameError::Protocol(protocol));
        }
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        if !(2..=LENGTH_MAX).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let end = HEADER - 1 + length;
        let Some(pdu) = buffer.get(HEADER..end).map(<[u8]>::to_vec) else { return Ok(None) };
        buffer.drain(..end);
        Ok(Some(Self { transaction: u16::from_be_bytes([t1, t0]), unit, pdu }))
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.pdu.len() + 1).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(HEADER + self.pdu.len());
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(length.to_be_bytes());
        bytes.push(self.unit);
        bytes.extend(&self.pdu);
        bytes
    }
}

/// A Modbus exception code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception(pub u8);

impl Exception {
    pub const ILLEGAL_FUNCTION: Self = Self(0x01);
    pub const ILLEGAL_ADDRESS: Self = Self(0x02);
    pub const ILLEGAL_VALUE: Self = Self(0x03);
    pub const GATEWAY_TARGET_SILENT: Self = Self(0x0B);

    /// The answer that carries it.
    #[must_use]
    pub fn pdu(self, function: u8) -> Vec<u8> {
        vec![function | 0x80, self.0]
    }
}

/// What a client may ask of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Function 01.
    ReadCoils { start: u16, count: u16 },
    /// Function 02.
    ReadInputs { start: u16, count: u16 },
    /// Function 05; the value is on, off, or, at a flash address, a time.
    WriteCoil { address: u16, value: u16 },
    /// Function 15.
    WriteCoils { start: u16, values: Vec<bool> },
}

impl Request {
    pub fn parse(pdu: &[u8]) -> Result<Self, Exception> {
        match pdu {
            &[0x01, s1, s0, c1, c0] => {
                let (start, count) = span([s1, s0], [c1, c0], 2000)?;
                Ok(Self::ReadCoils { start, count })
            }
            &[0x02, s1, s0, c1, c0] => {
                let (start, count) = span([s1, s0], [c1, c0], 2000)?;
                Ok(Self::ReadInputs { start, count })
            }
            &[0x05, a1, a0, v1, v0] => Ok(Self::WriteCoil {
                address: u16::from_be_bytes([a1, a0]),
                value: u16::from_be_bytes([v1, v0]),
            }),
            &[0x0F, s1, s0, c1, c0, bytes, ref data @ ..] => {
                let (start, count) = span([s1, s0], [c1, c0], 1968)?;
                let needed = usize::from(count).div_ceil(8);
                if usize::from(bytes) != needed || data.len() != needed {
                    return Err(Exception::ILLEGAL_VALUE);
                }
                Ok(Self::WriteCoils { start, values: unpack(data, usize::from(count)) })
            }
            // A known function of the wrong length.
            [0x01 | 0x02 | 0x05 | 0x0F, ..] => Err(Exception::ILLEGAL_VALUE),
            _ => Err(Exception::ILLEGAL_FUNCTION),
        }
    }

    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Self::WriteCoil { .. } | Self::WriteCoils { .. })
    }
}

/// The answer to functions 01 and 02.
#[must_use]
pub fn bits_pdu(function: u8, bits: &[bool]) -> Vec<u8> {
    let data = pack(bits);
    let mut pdu = vec![function, u8::try_from(data.len()).unwrap_or(u8::MAX)];
    pdu.extend(data);
    pdu
}

/// The answer to functions 05 and 15: both repeat the first five bytes of the request.
#[must_use]
pub fn echo_pdu(request: &[u8]) -> Vec<u8> {
    request.iter().take(5).copied().collect()
}

fn span(start: [u8; 2], count: [u8; 2], most: u16) -> Result<(u16, u16), Exception> {
    let count = u16::from_be_bytes(count);
    if (1..=most).contains(&count) {
        Ok((u16::from_be_bytes(start), count))
    } else {
        Err(Exception::ILLEGAL_VALUE)
    }
}

/// First bit lowest, last byte filled with zeros.
fn pack(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, &bit| (byte << 1) | u8::from(bit))).collect()
}

fn unpack(bytes: &[u8], count: usize) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_frames_and_a_half_in_one_read_are_two_frames_and_a_rest() {
        let one = [0, 1, 0, 0, 0, 6, 1, 1, 0, 0, 0, 8];
        let mut buffer = [one.as_slice(), &one, one.get(..9).unwrap()].concat();
        for _ in 0..2 {
            let frame = Frame::take(&mut buffer).unwrap().unwrap();
            assert_eq!(frame, Frame { transaction: 1, unit: 1, pdu: vec![1, 0, 0, 0, 8] });
            assert_eq!(frame.to_bytes(), one);
        }
        assert_eq!(Frame::take(&mut buffer), Ok(None));
        assert_eq!(buffer.len(), 9);
    }

    #[test]
    fn a_stream_that_is_not_modbus_is_given_up() {
        assert_eq!(Frame::take(&mut vec![0, 1, 0, 9, 0, 6, 1]), Err(FrameError::Protocol(9)));
        assert_eq!(Frame::take(&mut vec![0, 1, 0, 0, 1, 0, 1]), Err(FrameError::Length(256)));
        assert_eq!(Frame::take(&mut vec![0, 1, 0, 0, 0, 1, 1]), Err(FrameError::Length(1)));
    }

    #[test]
    fn requests_are_read_from_their_bytes() {
        assert_eq!(Request::parse(&[1, 0, 2, 0, 3]), Ok(Request::ReadCoils { start: 2, count: 3 }));
        assert_eq!(Request::parse(&[2, 1, 0, 7, 0xD0]), Ok(Request::ReadInputs { start: 256, count: 2000 }));
        let flash = Request::WriteCoil { address: 0x0203, value: 7 };
        assert_eq!(Request::parse(&[5, 2, 3, 0, 7]), Ok(flash));
        let values = vec![true, false, true, true, false, false, true, true, true, false];
        let many = Request::WriteCoils { start: 0x13, values };
        assert_eq!(Request::parse(&[0x0F, 0, 0x13, 0, 0x0A, 2, 0xCD, 0x01]), Ok(many));
    }

    #[test]
    fn bad_requests_get_the_exception_of_the_specification() {
        let cases: [(&[u8], Exception); 7] = [
            (&[3, 0, 0, 0, 1], Exception::ILLEGAL_FUNCTION),
            (&[], Exception::ILLEGAL_FUNCTION),
            (&[1, 0, 0, 0, 0], Exception::ILLEGAL_VALUE),
            (&[1, 0, 0, 7, 0xD1], Exception::ILLEGAL_VALUE),
            (&[5, 0, 0, 0xFF], Exception::ILLEGAL_VALUE),
            (&[0x0F, 0, 0, 0, 9, 1, 0xFF], Exception::ILLEGAL_VALUE),
            (&[0x0F, 0, 0, 0, 9, 2, 0xFF], Exception::ILLEGAL_VALUE),
        ];
        for (pdu, exception) in cases {
            assert_eq!(Request::parse(pdu), Err(exception), "{pdu:02X?}");
        }
    }

    #[test]
    fn bits_are_packed_lowest_first() {
        let bits = [true, false, true, true, false, false, true, true, true, false];
        assert_eq!(bits_pdu(1, &bits), [1, 2, 0xCD, 0x01]);
        assert_eq!(unpack(&[0xCD, 0x01], 10), bits);
    }
}
