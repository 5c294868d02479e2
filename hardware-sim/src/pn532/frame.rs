//! The PN532's frames (UM0701-02 §6.2.1), seen from the chip: commands in, acknowledgements and answers out.
//!
//! ```text
//! 00 00 FF LEN LCS D4 command … DCS 00     LEN + LCS = 0, D4 + … + DCS = 0
//! 00 00 FF FF FF LENm LENl LCS D4 … DCS 00 extended, for more than 255 bytes
//! 00 00 FF 00 FF 00                        ACK (from the host: abort)
//! 00 00 FF FF 00 00                        NACK (say that again)
//! 00 00 FF 01 FF 7F 81 00                  error: the chip does not know the command
//! ```

pub(super) const ACK: [u8; 6] = [0x00, 0x00, 0xFF, 0x00, 0xFF, 0x00];
pub(super) const ERROR: [u8; 8] = [0x00, 0x00, 0xFF, 0x01, 0xFF, 0x7F, 0x81, 0x00];

const FROM_HOST: u8 = 0xD4;
const TO_HOST: u8 = 0xD5;
/// The chip takes 265 bytes of data at most (UM0701-02 §6.2.1.2).
const LENGTH_MAX: usize = 265;

/// What the host sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromHost {
    /// The command code and its parameters.
    Command(Vec<u8>),
    Ack,
    Nack,
    /// A frame whose checksums don't hold; the chip says nothing to it.
    Broken,
}

/// Takes the first frame off `buffer`, with whatever stands before it; `None` until there is a whole one.
pub(super) fn take(buffer: &mut Vec<u8>) -> Option<FromHost> {
    let Some(start) = buffer.windows(2).position(|pair| pair == [0x00, 0xFF]) else {
        // A 00 at the end may be the first half of a start code.
        let kept = usize::from(buffer.last() == Some(&0x00));
        buffer.drain(..buffer.len() - kept);
        return None;
    };
    buffer.drain(..start);
    let (frame, used) = match *buffer.as_slice() {
        [_, _, 0x00, 0xFF, ..] => (FromHost::Ack, 4),
        [_, _, 0xFF, 0x00, ..] => (FromHost::Nack, 4),
        [_, _, 0xFF, 0xFF, high, low, check, ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            body(buffer, 7, length, high.wrapping_add(low).wrapping_add(check) == 0)?
        }
        [_, _, 0xFF, 0xFF, ..] => return None,
        [_, _, length, check, ..] => body(buffer, 4, usize::from(length), length.wrapping_add(check) == 0)?,
        _ => return None,
    };
    // The postamble, a 00, stays: it is skipped as what stands before the next frame.
    buffer.drain(..used);
    Some(frame)
}

/// The frame behind a header of `header` bytes, and how many bytes it took.
fn body(buffer: &[u8], header: usize, length: usize, header_holds: bool) -> Option<(FromHost, usize)> {
    if !header_holds || !(1..=LENGTH_MAX).contains(&length) {
        // Only the start code is skipped: the next one may be inside.
        return Some((FromHost::Broken, 2));
    }
    let end = header + length;
    let data = buffer.get(header..end)?;
    let checksum = buffer.get(end)?;
    let holds = data.iter().fold(*checksum, |sum, byte| sum.wrapping_add(*byte)) == 0;
    match data {
        [FROM_HOST, command @ ..] if holds && !command.is_empty() => {
            Some((FromHost::Command(command.to_vec()), end + 1))
        }
        _ => Some((FromHost::Broken, end + 1)),
    }
}

/// The answer to `command`, with its data.
pub(super) fn answer(command: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![TO_HOST, command.wrapping_add(1)];
    body.extend(data);
    let mut frame = vec![0x00, 0x00, 0xFF];
    if let Ok(length) = u8::try_from(body.len()) {
        frame.extend([length, length.wrapping_neg()]);
    } else {
        let [high, low] = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
        frame.extend([0xFF, 0xFF, high, low, high.wrapping_add(low).wrapping_neg()]);
    }
    let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend(body);
    frame.extend([sum.wrapping_neg(), 0x00]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET_FIRMWARE: [u8; 9] = [0x00, 0x00, 0xFF, 0x02, 0xFE, 0xD4, 0x02, 0x2A, 0x00];

    fn all(bytes: &[u8]) -> Vec<FromHost> {
        let mut buffer = bytes.to_vec();
        std::iter::from_fn(|| take(&mut buffer)).collect()
    }

    #[test]
    fn a_command_is_found_after_wake_up_bytes_and_noise() {
        let bytes = [&[0x55, 0x55, 0, 0, 0, 0, 0x13][..], &GET_FIRMWARE].concat();
        assert_eq!(all(&bytes), [FromHost::Command(vec![0x02])]);
    }

    #[test]
    fn a_frame_may_come_a_byte_at_a_time() {
        let mut buffer = Vec::new();
        let mut found = Vec::new();
        for byte in GET_FIRMWARE.iter().chain(&ACK).chain(&GET_FIRMWARE) {
            buffer.push(*byte);
            found.extend(take(&mut buffer));
        }
        let command = FromHost::Command(vec![0x02]);
        assert_eq!(found, [command.clone(), FromHost::Ack, command]);
    }

    #[test]
    fn ack_nack_and_extended_frames_are_told_apart() {
        let extended = [0x00, 0xFF, 0xFF, 0xFF, 0x00, 0x02, 0xFE, 0xD4, 0x02, 0x2A, 0x00];
        let nack = [0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00];
        let bytes = [&ACK[..], &nack, &extended].concat();
        assert_eq!(all(&bytes), [FromHost::Ack, FromHost::Nack, FromHost::Command(vec![0x02])]);
    }

    #[test]
    fn a_broken_frame_is_skipped_and_the_next_one_found() {
        for place in [3, 4, 5, 6, 7] {
            let mut broken = GET_FIRMWARE;
            broken[place] ^= 0x10;
            let found = all(&[&broken[..], &GET_FIRMWARE, &GET_FIRMWARE].concat());
            assert_eq!(found.last(), Some(&FromHost::Command(vec![0x02])), "byte {place}");
            assert!(found.contains(&FromHost::Broken), "byte {place}");
        }
    }

    #[test]
    fn answers_carry_both_checksums() {
        let firmware = [0, 0, 0xFF, 6, 0xFA, 0xD5, 3, 0x32, 1, 6, 7, 0xE8, 0];
        assert_eq!(answer(0x02, &[0x32, 0x01, 0x06, 0x07]), firmware);
        let long = answer(0x40, &[0; 300]);
        assert_eq!(long[..8], [0, 0, 0xFF, 0xFF, 0xFF, 0x01, 0x2E, 0xD1]);
        assert_eq!(long[8..].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    }
}
