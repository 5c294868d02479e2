//! What a contactless card behind a PC/SC reader answers, by bytes (PC/SC part 3, §3.2.2.1.3): the reader itself
//! answers GET DATA, and a simulated card has to play the reader as well.

use crate::uid::CardUid;

const DONE: [u8; 2] = [0x90, 0x00];
const END_BEFORE_LENGTH: [u8; 2] = [0x62, 0x82];
const WRONG_LENGTH: [u8; 2] = [0x67, 0x00];
const NOT_SUPPORTED: [u8; 2] = [0x6A, 0x81];
const UNKNOWN_INSTRUCTION: [u8; 2] = [0x6D, 0x00];

/// The ATR of a contactless storage card as PC/SC part 3 builds it (MIFARE Classic 1K).
pub(super) const ATR: [u8; 20] = [
    0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x6A,
];

/// The answer to one APDU, and whether it gave the UID away.
pub(super) fn answer(apdu: &[u8], uid: &CardUid) -> (Vec<u8>, bool) {
    let uid = uid.as_bytes();
    match *apdu {
        [0xFF, 0xCA, 0x00, 0x00, expected] => match usize::from(expected) {
            0 => ([uid, &DONE].concat(), true),
            expected if expected == uid.len() => ([uid, &DONE].concat(), true),
            expected if expected > uid.len() => ([uid, &END_BEFORE_LENGTH].concat(), true),
            // Too short: says the right length, to be asked again.
            _ => (vec![0x6C, u8::try_from(uid.len()).unwrap_or_default()], false),
        },
        [0xFF, 0xCA, 0x00, 0x00] => (WRONG_LENGTH.to_vec(), false),
        // The historical bytes of an ATS, which a storage card does not have.
        [0xFF, 0xCA, ..] => (NOT_SUPPORTED.to_vec(), false),
        _ => (UNKNOWN_INSTRUCTION.to_vec(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_data_gives_the_uid_as_readers_do() {
        let uid = CardUid::new(&[4, 1, 2, 3, 4, 5, 6]).unwrap();
        let get = |expected| answer(&[0xFF, 0xCA, 0, 0, expected], &uid);
        assert_eq!(get(0), (vec![4, 1, 2, 3, 4, 5, 6, 0x90, 0], true));
        assert_eq!(get(7), (vec![4, 1, 2, 3, 4, 5, 6, 0x90, 0], true));
        assert_eq!(get(10), (vec![4, 1, 2, 3, 4, 5, 6, 0x62, 0x82], true));
        assert_eq!(get(4), (vec![0x6C, 7], false));
    }

    #[test]
    fn anything_else_is_refused() {
        let uid = CardUid::new(&[1, 2, 3, 4]).unwrap();
        assert_eq!(answer(&[0xFF, 0xCA, 1, 0, 0], &uid), (vec![0x6A, 0x81], false));
        assert_eq!(answer(&[0xFF, 0xCA, 0, 0], &uid), (vec![0x67, 0x00], false));
        assert_eq!(answer(&[0, 0xA4, 4, 0, 0], &uid), (vec![0x6D, 0], false));
    }

    #[test]
    fn the_checksum_of_the_atr_holds() {
        assert_eq!(ATR[1..].iter().fold(0, |sum, byte| sum ^ byte), 0);
    }
}
