//! The PN532's frames (UM0701-02 §6.2.1): bytes in, frames out, whatever comes in between.
//!
//! ```text
//!   normal    00 00 FF  LEN LCS           TFI PD0 … PDn  DCS 00     LEN + LCS = 0, TFI + PD… + DCS = 0 (mod 256)
//!   extended  00 00 FF  FF FF LENM LENL LCS  TFI PD0 … PDn  DCS 00
//!   ACK       00 00 FF  00 FF 00
//!   NACK      00 00 FF  FF 00 00
//!   error     00 00 FF  01 FF  7F  81 00                            a normal frame whose only byte is 7F
//! ```
//!
//! A serial line loses and invents bytes. So nothing before the start code `00 FF` counts, a frame whose checksum is
//! wrong is looked through for another start, and no length is believed beyond the chip's own limit.
//!
//! The checksum is a sum of bytes, so a 00 that is lost does not show in it: the postamble would be taken for the
//! checksum, and a UID with a 00 in it would be read as another. What shows it is that no postamble follows.

use std::io;

use tokio_util::{
    bytes::{Buf, BufMut, BytesMut},
    codec::{Decoder, Encoder},
};

/// TFI and 263 bytes more: the longest the chip sends or takes (§6.2.1.2).
pub const DATA_MAX: usize = 264;
const START: [u8; 2] = [0x00, 0xFF];
pub const ACK: [u8; 6] = [0x00, 0x00, 0xFF, 0x00, 0xFF, 0x00];
pub const NACK: [u8; 6] = [0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00];
const POSTAMBLE: &u8 = &0x00;
const ERROR_TFI: u8 = 0x7F;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Ack,
    Nack,
    /// The chip did not understand the command.
    Error,
    /// TFI and what follows it; at least one byte.
    Data(Vec<u8>),
    /// There was a header, but what it announced does not add up.
    Damaged,
}

#[derive(Debug, Default)]
pub struct Codec {
    junk: u64,
}

impl Codec {
    /// Bytes that belonged to no frame, since this was last asked.
    pub fn take_junk(&mut self) -> u64 {
        std::mem::take(&mut self.junk)
    }

    fn skip(&mut self, bytes: &mut BytesMut, count: usize) {
        // The first 00 of a frame is its preamble, and anything may end in one.
        self.junk =
            self.junk.saturating_add(bytes.iter().take(count).filter(|&&byte| byte != 0).count() as u64);
        bytes.advance(count);
    }
}

/// What stands after a start code.
enum Head {
    Ack,
    Nack,
    /// Data of `len` bytes after a header of `head` bytes.
    Data {
        head: usize,
        len: usize,
    },
    NotOne,
    TooShort,
}

fn head(after_start: &[u8]) -> Head {
    let sums_to_0 = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) == 0;
    match *after_start {
        [0x00, 0xFF, ..] => Head::Ack,
        [0xFF, 0x00, ..] => Head::Nack,
        [0xFF, 0xFF, m, l, lcs, ..] => match usize::from(u16::from_be_bytes([m, l])) {
            len @ 1..=DATA_MAX if sums_to_0(&[m, l, lcs]) => Head::Data { head: 5, len },
            _ => Head::NotOne,
        },
        [0xFF, 0xFF, ..] => Head::TooShort,
        [len, lcs, ..] if len > 0 && sums_to_0(&[len, lcs]) => Head::Data { head: 2, len: usize::from(len) },
        [_, _, ..] => Head::NotOne,
        [] | [_] => Head::TooShort,
    }
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, io::Error> {
        loop {
            let Some(start) = bytes.windows(START.len()).position(|two| two == START) else {
                // The last byte may be the first half of a start code.
                let keep = usize::from(bytes.last() == Some(&0));
                self.skip(bytes, bytes.len() - keep);
                return Ok(None);
            };
            self.skip(bytes, start);
            let after = bytes.get(START.len()..).unwrap_or_default();
            match head(after) {
                Head::TooShort => return Ok(None),
                Head::NotOne => self.skip(bytes, START.len()),
                Head::Ack => {
                    bytes.advance(START.len() + 2);
                    return Ok(Some(Frame::Ack));
                }
                Head::Nack => {
                    bytes.advance(START.len() + 2);
                    return Ok(Some(Frame::Nack));
                }
                Head::Data { head, len } => {
                    // With its checksum and its postamble.
                    let Some(data) = after.get(head..head + len + 2) else { return Ok(None) };
                    let Some((POSTAMBLE, data)) = data.split_last() else {
                        self.skip(bytes, START.len());
                        return Ok(Some(Frame::Damaged));
                    };
                    if data.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) != 0 {
                        self.skip(bytes, START.len());
                        return Ok(Some(Frame::Damaged));
                    }
                    let frame = match data.split_last().map(|(_, data)| data).unwrap_or_default() {
                        [ERROR_TFI] => Frame::Error,
                        data => Frame::Data(data.to_vec()),
                    };
                    bytes.advance(START.len() + head + len + 2);
                    return Ok(Some(frame));
                }
            }
        }
    }
}

/// TFI and what follows it, at most [`DATA_MAX`] bytes.
impl Encoder<&[u8]> for Codec {
    type Error = io::Error;

    fn encode(&mut self, data: &[u8], bytes: &mut BytesMut) -> Result<(), io::Error> {
        bytes.put_slice(&[0x00, 0x00, 0xFF]);
        match (u8::try_from(data.len()), u16::try_from(data.len())) {
            (Ok(len @ 1..), _) => bytes.put_slice(&[len, len.wrapping_neg()]),
            (Err(_), Ok(len)) if data.len() <= DATA_MAX => {
                let [m, l] = len.to_be_bytes();
                bytes.put_slice(&[0xFF, 0xFF, m, l, m.wrapping_add(l).wrapping_neg()]);
            }
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no PN532 frame has this length")),
        }
        bytes.put_slice(data);
        bytes.put_u8(data.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte)));
        bytes.put_u8(0x00);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GetFirmwareVersion's answer, as printed in the manual.
    const FIRMWARE: [u8; 13] = [0x00, 0x00, 0xFF, 0x06, 0xFA, 0xD5, 0x03, 0x32, 0x01, 0x06, 0x07, 0xE8, 0x00];

    fn firmware() -> Frame {
        Frame::Data(vec![0xD5, 0x03, 0x32, 0x01, 0x06, 0x07])
    }

    fn frames(codec: &mut Codec, bytes: &mut BytesMut) -> Vec<Frame> {
        std::iter::from_fn(|| codec.decode(bytes).unwrap()).collect()
    }

    fn decode(bytes: &[u8]) -> Vec<Frame> {
        frames(&mut Codec::default(), &mut BytesMut::from(bytes))
    }

    #[test]
    fn every_kind_of_frame_is_known() {
        assert_eq!(decode(&FIRMWARE), [firmware()]);
        assert_eq!(decode(&ACK), [Frame::Ack]);
        assert_eq!(decode(&NACK), [Frame::Nack]);
        assert_eq!(decode(&[0, 0, 0xFF, 0x01, 0xFF, 0x7F, 0x81, 0]), [Frame::Error]);
        let extended = [0, 0, 0xFF, 0xFF, 0xFF, 0x00, 0x02, 0xFE, 0xD5, 0x15, 0x16, 0];
        assert_eq!(decode(&extended), [Frame::Data(vec![0xD5, 0x15])]);
    }

    #[test]
    fn frames_that_touch_or_lack_their_first_margin_are_told_apart() {
        let mut bytes = ACK.to_vec();
        bytes.extend(FIRMWARE);
        bytes.extend(&FIRMWARE[1..]);
        bytes.extend(ACK);
        assert_eq!(decode(&bytes), [Frame::Ack, firmware(), firmware(), Frame::Ack]);
    }

    #[test]
    fn a_frame_in_pieces_comes_once_it_is_whole() {
        let mut codec = Codec::default();
        let mut inbox = BytesMut::new();
        for (sent, &byte) in FIRMWARE.iter().enumerate() {
            inbox.extend_from_slice(&[byte]);
            let expected = if sent == 12 { vec![firmware()] } else { vec![] };
            assert_eq!(frames(&mut codec, &mut inbox), expected, "after byte {sent}");
        }
    }

    #[test]
    fn junk_before_between_and_in_start_codes_is_skipped_and_counted() {
        let mut bytes = vec![0x55, 0x00, 0x12, 0x00, 0x00];
        bytes.extend(FIRMWARE);
        bytes.extend([0x00, 0xFF, 0x05, 0x05]);
        bytes.extend(ACK);
        let mut codec = Codec::default();
        assert_eq!(frames(&mut codec, &mut BytesMut::from(&bytes[..])), [firmware(), Frame::Ack]);
        assert!(codec.take_junk() > 0);
        assert_eq!(codec.take_junk(), 0);
    }

    #[test]
    fn a_damaged_frame_is_said_and_the_next_one_is_found() {
        let mut bytes = FIRMWARE.to_vec();
        bytes[8] ^= 0x40;
        bytes.extend(FIRMWARE);
        assert_eq!(decode(&bytes), [Frame::Damaged, firmware()]);
    }

    #[test]
    fn a_header_that_announces_too_much_swallows_nothing() {
        let mut bytes = vec![0, 0, 0xFF, 0xFF, 0xFF, 0x01, 0x09, 0xF6];
        bytes.extend(FIRMWARE);
        assert_eq!(decode(&bytes), [firmware()]);
    }

    #[test]
    fn what_is_encoded_is_decoded_at_every_length() {
        for len in 1..=DATA_MAX {
            let data: Vec<u8> = (0..len).map(|n| (n * 7) as u8 | 1).collect();
            let mut bytes = BytesMut::new();
            Codec::default().encode(&data, &mut bytes).unwrap();
            assert_eq!(decode(&bytes), [Frame::Data(data)], "{len} bytes");
        }
        let too_much: &[u8] = &[0; DATA_MAX + 1];
        assert!(Codec::default().encode(too_much, &mut BytesMut::new()).is_err());
        assert!(Codec::default().encode(&[], &mut BytesMut::new()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_grow_or_fail(chunks: Vec<Vec<u8>>) {
            let mut codec = Codec::default();
            let mut inbox = BytesMut::new();
            for chunk in chunks {
                inbox.extend_from_slice(&chunk);
                frames(&mut codec, &mut inbox);
                assert!(inbox.len() <= START.len() + 5 + DATA_MAX + 1);
            }
        }
    }
}
