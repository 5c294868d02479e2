//! Modbus RTU as bytes, from a board's side: requests off a line, answers onto it. A request says its length by its
//! function; what is none is thrown away at the next silence.

use super::frame::Frame;

/// Takes the first whole request off `buffer`; `None` until there is one. `Err`: this is none.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Frame>, NoRequest> {
    let length = match buffer.as_slice() {
        [_, 0x01..=0x06, ..] => 8,
        [_, 0x0F | 0x10, _, _, _, _, bytes, ..] => 9 + usize::from(*bytes),
        [_, 0x0F | 0x10, ..] | [] | [_] => return Ok(None),
        _ => return Err(NoRequest),
    };
    let Some(frame) = buffer.get(..length) else { return Ok(None) };
    // The checksum over a frame with its own checksum is nothing.
    if crc(frame) != 0 {
        return Err(NoRequest);
    }
    let frame = match frame {
        [unit, pdu @ .., _, _] => Frame { transaction: 0, unit: *unit, pdu: pdu.to_vec() },
        _ => return Err(NoRequest),
    };
    buffer.drain(..length);
    Ok(Some(frame))
}

/// What came is no request, or it was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRequest;

/// A frame as it goes onto the line.
#[must_use]
pub fn to_bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = vec![frame.unit];
    bytes.extend(&frame.pdu);
    let sum = crc(&bytes);
    bytes.push((sum & 0xFF) as u8);
    bytes.push((sum >> 8) as u8);
    bytes
}

/// CRC-16, polynomial x^16 + x^15 + x^2 + 1, reflected, beginning with ones; four bits at a time.
fn crc(bytes: &[u8]) -> u16 {
    const NIBBLES: [u16; 16] = [
        0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401, 0xA001, 0x6C00, 0x7800, 0xB401,
        0x5000, 0x9C01, 0x8801, 0x4400,
    ];
    let step = |sum: u16, low: u8| {
        let place = usize::from((sum as u8 ^ low) & 0x0F);
        (sum >> 4) ^ NIBBLES.get(place).copied().unwrap_or_default()
    };
    bytes.iter().fold(0xFFFF, |sum, byte| step(step(sum, *byte), byte >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Waveshare's page: relay 0 on, at device 1; a flash of 700 ms; function 15.
    const COIL_0_ON: [u8; 8] = [0x01, 0x05, 0x00, 0x00, 0xFF, 0x00, 0x8C, 0x3A];
    const FLASH: [u8; 8] = [0x01, 0x05, 0x02, 0x00, 0x00, 0x07, 0x8D, 0xB0];
    const MANY: [u8; 10] = [0x01, 0x0F, 0x00, 0x00, 0x00, 0x08, 0x01, 0xFF, 0xBE, 0xD5];

    #[test]
    fn requests_are_taken_whole_and_in_order() {
        let mut buffer = [&COIL_0_ON[..], &MANY, &FLASH[..5]].concat();
        let frame = take(&mut buffer).unwrap().unwrap();
        assert_eq!((frame.unit, frame.pdu.as_slice()), (1, &COIL_0_ON[1..6]));
        assert_eq!(to_bytes(&frame), COIL_0_ON);
        assert_eq!(to_bytes(&take(&mut buffer).unwrap().unwrap()), MANY);
        assert_eq!(take(&mut buffer), Ok(None));
        buffer.extend(&FLASH[5..]);
        assert_eq!(to_bytes(&take(&mut buffer).unwrap().unwrap()), FLASH);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_damaged_request_is_none() {
        for bit in 0..64 {
            let mut buffer = FLASH.to_vec();
            buffer[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(take(&mut buffer), Ok(Some(_))), "bit {bit}");
        }
    }
}
