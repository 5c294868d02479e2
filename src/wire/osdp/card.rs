//! What of a card's bits is a UID: `osdp_RAW` and `osdp_FMT` (OSDP 2.2 §7.10, §7.11).
//!
//! A reader may be set to send anything, and does not say what it sends: the format byte is 0 or 1 as the maker liked.
//! So the length decides, and what is not surely a UID is refused, for a wrong one would let the wrong person in:
//!
//! | bits | is |
//! | --- | --- |
//! | 32 40 48 56 64 72 80 | the UID, first byte first |
//! | 34 58 66 82 | a UID of 4, 7, 8 or 10 bytes between two parity bits (Wiegand), which must be right |
//! | 26 | no UID: a number of 24 bits, which many cards share; the reader must be set to send the whole UID |
//! | 35 37 and all others | no UID: a number in somebody's format |
//!
//! Which way round the bytes come is the configuration's `uid_order`, after this. `osdp_FMT`, deprecated in 2.2, is
//! taken where it is a UID's hexadecimal digits.

use osdp::reply::{Fmt, Raw, Reply};

use crate::domain::{Uid, UidError};

/// Why a card's bits are no UID. None of these tells the bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    #[error(
        "the reader sends {0} bits, which are no UID; set it to send the whole UID (32, 56, 64 or 80 bits)"
    )]
    Bits(u16),
    #[error("the parity of {0} bits is wrong; was the card torn away, or is it no card with a UID?")]
    Parity(u16),
    #[error("the reader sends text that is no UID: {0}")]
    Text(UidError),
    #[error("it comes from the device's reader {0}, and only reader 0 is served")]
    SecondReader(u8),
    #[error("the reader read it backwards")]
    Backwards,
}

/// The card in a reply, if it is about one.
pub fn of(reply: &Reply) -> Option<Result<Uid, CardError>> {
    if let Reply::Raw(raw) = reply {
        return Some(of_bits(raw));
    }
    if let Reply::Fmt(fmt) = reply {
        return Some(of_text(fmt));
    }
    None
}

/// The UID in an `osdp_RAW`.
pub fn of_bits(raw: &Raw) -> Result<Uid, CardError> {
    if raw.reader != 0 {
        return Err(CardError::SecondReader(raw.reader));
    }
    let count = raw.bit_count;
    let bits: Vec<bool> = raw.iter_bits().collect();
    // Where fewer came than it counts, what came is another card's number.
    if bits.len() != usize::from(count) {
        return Err(CardError::Bits(count));
    }
    let data = match count {
        32 | 40 | 48 | 56 | 64 | 72 | 80 => bits.as_slice(),
        34 | 58 | 66 | 82 => between_parity(&bits).ok_or(CardError::Parity(count))?,
        _ => return Err(CardError::Bits(count)),
    };
    let byte = |bits: &[bool]| bits.iter().fold(0_u8, |byte, &bit| byte << 1 | u8::from(bit));
    let bytes: Vec<u8> = data.chunks(8).map(byte).collect();
    Uid::new(&bytes).map_err(|_| CardError::Bits(count))
}

/// The data of a Wiegand read, if its parity is right: the first bit makes the first half even, the last the second odd.
fn between_parity(bits: &[bool]) -> Option<&[bool]> {
    let (first, second) = bits.split_at_checked(bits.len() / 2)?;
    let ones = |half: &[bool]| half.iter().filter(|&&bit| bit).count();
    let is_right = ones(first).is_multiple_of(2) && !ones(second).is_multiple_of(2);
    bits.get(1..bits.len().checked_sub(1)?).filter(|_| is_right)
}

/// The UID in an `osdp_FMT`.
pub fn of_text(fmt: &Fmt) -> Result<Uid, CardError> {
    if fmt.reader != 0 {
        return Err(CardError::SecondReader(fmt.reader));
    }
    if fmt.direction != 0 {
        return Err(CardError::Backwards);
    }
    let text = str::from_utf8(&fmt.chars).map_err(|_| CardError::Text(UidError::NotHex))?;
    Uid::parse(text).map_err(CardError::Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN: [u8; 10] = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18, 0x29];

    fn raw(bit_count: u16, bits: &[u8]) -> Raw {
        Raw { reader: 0, format_code: 1, bit_count, bits: bits.to_vec() }
    }

    /// These bytes between their parity bits.
    fn wiegand(bytes: &[u8]) -> Raw {
        let data: Vec<bool> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1 == 1)).collect();
        let odd = |half: &[bool]| half.iter().filter(|bit| **bit).count() % 2 == 1;
        let (first, second) = data.split_at(data.len() / 2);
        let all = [&[odd(first)][..], &data, &[!odd(second)]].concat();
        let byte = |bits: &[bool]| (0..8).fold(0, |byte, n| byte << 1 | u8::from(bits.get(n) == Some(&true)));
        raw(all.len() as u16, &all.chunks(8).map(byte).collect::<Vec<u8>>())
    }

    #[test]
    fn whole_bytes_of_a_uids_length_are_the_uid_first_byte_first() {
        for length in 4..=10 {
            let uid = of_bits(&raw(8 * length as u16, &TEN[..length])).unwrap();
            assert_eq!(uid.bytes(), &TEN[..length]);
        }
    }

    #[test]
    fn a_uid_between_parity_bits_is_taken_when_they_are_right() {
        for length in [4, 7, 8, 10] {
            let good = wiegand(&TEN[..length]);
            assert_eq!(of_bits(&good).unwrap().bytes(), &TEN[..length]);
            for bit in 0..good.bit_count {
                let mut bad = good.clone();
                bad.bits[usize::from(bit / 8)] ^= 0x80 >> (bit % 8);
                assert_eq!(of_bits(&bad), Err(CardError::Parity(bad.bit_count)), "bit {bit}");
            }
        }
        // By hand: 1 and 00000001 are even, 00000000 and 1 are odd.
        let known = raw(34, &[0b1000_0000, 0b0000_0000, 0b1000_0000, 0b0000_0000, 0b0100_0000]);
        assert_eq!(of_bits(&known).unwrap().bytes(), [0, 1, 0, 0]);
    }

    #[test]
    fn numbers_and_odd_lengths_are_no_uids() {
        for bits in [0, 1, 8, 24, 26, 31, 33, 35, 37, 42, 50, 74, 81, 88, 128, 1024, u16::MAX] {
            let bytes = vec![0x5A; usize::from(bits).div_ceil(8)];
            assert_eq!(of_bits(&raw(bits, &bytes)), Err(CardError::Bits(bits)));
        }
        assert_eq!(of_bits(&wiegand(&TEN[..3])), Err(CardError::Bits(26)));
    }

    #[test]
    fn fewer_bits_than_are_counted_are_no_shorter_uid() {
        assert_eq!(of_bits(&raw(80, &TEN[..7])), Err(CardError::Bits(80)));
        assert_eq!(of_bits(&raw(56, &TEN[..8])).unwrap().bytes(), &TEN[..7]);
    }

    #[test]
    fn hexadecimal_text_is_a_uid_and_other_text_is_none() {
        let text = |direction, text: &str| {
            let chars = text.as_bytes().to_vec();
            of_text(&Fmt { reader: 0, direction, char_count: chars.len() as u8, chars })
        };
        assert_eq!(text(0, "04A1b2C3").unwrap().bytes(), &TEN[..4]);
        assert_eq!(text(1, "04A1B2C3"), Err(CardError::Backwards));
        assert_eq!(text(0, "04A1B2C"), Err(CardError::Text(UidError::NotHex)));
        assert_eq!(text(0, "123456"), Err(CardError::Text(UidError::Length(3))));
        assert_eq!(text(0, "Ärger"), Err(CardError::Text(UidError::NotHex)));
    }

    #[test]
    fn a_second_reader_of_the_device_is_not_taken_for_the_first() {
        let second = Raw { reader: 1, ..raw(32, &TEN[..4]) };
        assert_eq!(of_bits(&second), Err(CardError::SecondReader(1)));
    }

    proptest! {
        #[test]
        fn no_bits_break_it(reader in 0..2_u8, bit_count in any::<u16>(), bits in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = of_bits(&Raw { reader, format_code: 0, bit_count, bits });
        }
    }
}
