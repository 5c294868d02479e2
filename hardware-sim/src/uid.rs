//! The UID of a simulated card, as bytes and as people write it (`04:A2:…` or `04a2…`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// 4 to 10 bytes: ISO 14443 A has 4, 7 or 10; PC/SC readers also give 8 for ISO 15693.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CardUid(Vec<u8>);

/// Why a text or some bytes are not a UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    #[error("a UID has 4 to 10 bytes, not {0}; give 8 to 20 hex digits")]
    Length(usize),
    #[error("a UID is pairs of hex digits, with or without ':' between them, such as 04A2B3C4D5E6F7")]
    NotHex,
}

impl CardUid {
    pub fn new(bytes: &[u8]) -> Result<Self, UidError> {
        if (4..=10).contains(&bytes.len()) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(UidError::Length(bytes.len()))
        }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for CardUid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).collect();
        let mut bytes = Vec::with_capacity(digits.len() / 2);
        for pair in digits.chunks(2) {
            let [high, low] = pair else { return Err(UidError::NotHex) };
            let (Some(high), Some(low)) = (high.to_digit(16), low.to_digit(16)) else {
                return Err(UidError::NotHex);
            };
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| UidError::NotHex)?);
        }
        Self::new(&bytes)
    }
}

impl fmt::Display for CardUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl<'de> Deserialize<'de> for CardUid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<CardUid, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for CardUid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_read_with_and_without_colons_and_written_in_capitals() {
        for text in ["04:a2:b3:c4:d5:e6:f7", "04A2B3C4D5E6F7"] {
            assert_eq!(text.parse::<CardUid>().unwrap().to_string(), "04A2B3C4D5E6F7");
        }
    }

    #[test]
    fn what_is_no_uid_is_refused() {
        assert_eq!("0102".parse::<CardUid>(), Err(UidError::Length(2)));
        assert_eq!("010203045".parse::<CardUid>(), Err(UidError::NotHex));
        assert_eq!("zz020304".parse::<CardUid>(), Err(UidError::NotHex));
        assert_eq!(CardUid::new(&[0; 11]), Err(UidError::Length(11)));
    }
}
