//! A reader's own key for the secure channel (SCBK, OSDP 2.2 Annex D): how it is written, and which are none.

use std::fmt;

use osdp::secure::SCBK_D;

/// 16 bytes that only this reader and this controller know. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; Key::LENGTH]);

/// Why a text is no key. None of these tells anything of the text but its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it has {0} characters; expected a key of 16 bytes as 32 hexadecimal digits")]
    Length(usize),
    #[error("it is not hexadecimal; expected a key of 16 bytes as 32 hexadecimal digits")]
    NotHex,
    #[error("it is the default key (SCBK-D), which everybody knows; give the reader one of its own")]
    Default,
    #[error("it is one byte over and over, which anybody would try first; give the reader a random key")]
    Trivial,
}

impl Key {
    pub const LENGTH: usize = 16;

    /// Reads 32 hexadecimal digits, in either case; white space around them does not count.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim();
        let count = digits.chars().count();
        if count != 2 * Key::LENGTH {
            return Err(KeyError::Length(count));
        }
        let bytes =
            data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| KeyError::NotHex)?;
        let key: [u8; Key::LENGTH] = bytes.try_into().map_err(|_| KeyError::NotHex)?;
        if key == SCBK_D {
            return Err(KeyError::Default);
        }
        if key.iter().all(|byte| Some(byte) == key.first()) {
            return Err(KeyError::Trivial);
        }
        Ok(Key(key))
    }

    pub(super) fn bytes(&self) -> [u8; Key::LENGTH] {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(16 bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00112233445566778899aabbCCDDEEFF";

    #[test]
    fn a_key_is_32_hexadecimal_digits_with_white_space_around() {
        let key = Key::parse(GOOD).unwrap();
        assert_eq!(key.bytes()[..3], [0x00, 0x11, 0x22]);
        assert_eq!(Key::parse(&format!(" {GOOD}\n")), Ok(key));
        assert_eq!(Key::parse(""), Err(KeyError::Length(0)));
        assert_eq!(Key::parse(&GOOD[1..]), Err(KeyError::Length(31)));
        assert_eq!(Key::parse(&GOOD.replace('E', "x")), Err(KeyError::NotHex));
        assert_eq!(Key::parse(&"é".repeat(32)), Err(KeyError::NotHex));
    }

    #[test]
    fn keys_that_everybody_knows_are_none() {
        assert_eq!(Key::parse("303132333435363738393a3b3c3d3e3f"), Err(KeyError::Default));
        assert_eq!(Key::parse(&"00".repeat(16)), Err(KeyError::Trivial));
        assert_eq!(Key::parse(&"Ff".repeat(16)), Err(KeyError::Trivial));
    }

    #[test]
    fn neither_a_key_nor_what_is_wrong_with_one_tells_it() {
        assert_eq!(format!("{:?}", Key::parse(GOOD).unwrap()), "Key(16 bytes)");
        for text in [&GOOD[1..], &GOOD.replace('E', "x")] {
            let said = Key::parse(text).unwrap_err().to_string();
            assert!(!said.contains("112233"), "{said}");
        }
    }
}
