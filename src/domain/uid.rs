//! What a card answers: 4 to 10 bytes, never a number, and never printed by accident.

use std::fmt;

/// A card's UID, in the order the reader's configuration settled.
///
/// It opens doors, so it is kept out of logs: `Debug` shows its length only, and there is no `Display`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uid {
    len: u8,
    bytes: [u8; Uid::MAX],
}

/// Why bytes or a text are not a UID.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum UidError {
    #[error("a UID has 4 to 10 bytes, this one has {0}")]
    Length(usize),
    #[error("a UID is hexadecimal digits in pairs without separators, such as 04A1B2C3D4E5F6")]
    NotHex,
}

impl Uid {
    /// Shortest UID, in bytes (ISO 14443-3 A single size, B).
    pub const MIN: usize = 4;
    /// Longest UID, in bytes (ISO 14443-3 A triple size).
    pub const MAX: usize = 10;

    pub fn new(bytes: &[u8]) -> Result<Self, UidError> {
        let mut own = [0; Uid::MAX];
        match own.get_mut(..bytes.len()) {
            Some(room) if bytes.len() >= Uid::MIN => room.copy_from_slice(bytes),
            _ => return Err(UidError::Length(bytes.len())),
        }
        Ok(Uid { len: bytes.len() as u8, bytes: own })
    }

    /// Reads hexadecimal digits, in either case.
    pub fn parse(text: &str) -> Result<Self, UidError> {
        if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(UidError::NotHex);
        }
        let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as u8;
        let bytes: Vec<u8> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, &b| byte * 16 + digit(b)))
            .collect();
        Uid::new(&bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// A UID that a card makes up for each tap: 4 bytes beginning 08 (ISO 14443-3 §6.5.4). It identifies nobody.
    pub fn is_random(&self) -> bool {
        matches!(self.bytes(), [0x08, _, _, _])
    }

    /// The same bytes the other way round, for a reader that answers them so.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        if let Some(own) = self.bytes.get_mut(..usize::from(self.len)) {
            own.reverse();
        }
        self
    }

    /// Upper-case hexadecimal. For a technician's eyes while commissioning; nothing else may call it.
    pub fn reveal(&self) -> String {
        self.bytes().iter().map(|b| format!("{b:02X}")).collect()
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_4_to_10_bytes() {
        assert_eq!(Uid::new(&[1, 2, 3]), Err(UidError::Length(3)));
        assert_eq!(Uid::new(&[0; 11]), Err(UidError::Length(11)));
        assert_eq!(Uid::new(&[]), Err(UidError::Length(0)));
        assert!((4..=10).all(|n| Uid::new(&vec![7; n]).is_ok()));
    }

    #[test]
    fn leading_zeros_are_part_of_it() {
        assert_ne!(Uid::parse("0004A1B2C3"), Uid::parse("04A1B2C3"));
        assert_eq!(Uid::parse("0004a1b2c3").unwrap().reveal(), "0004A1B2C3");
    }

    #[test]
    fn only_pairs_of_hex_digits_are_read() {
        for text in ["04A1B2C", "04:A1:B2:C3", "+4A1B2C3", "０４A1B2C3", " 04A1B2C3"] {
            assert_eq!(Uid::parse(text), Err(UidError::NotHex), "{text}");
        }
    }

    #[test]
    fn only_four_bytes_from_08_are_random() {
        assert!(Uid::parse("08123456").unwrap().is_random());
        assert!(!Uid::parse("08123456789ABC").unwrap().is_random());
        assert!(!Uid::parse("12345608").unwrap().is_random());
        assert!(Uid::parse("12345608").unwrap().reversed().is_random());
    }

    #[test]
    fn debug_does_not_tell_it() {
        assert_eq!(format!("{:?}", Uid::parse("04A1B2C3").unwrap()), "Uid(4 bytes)");
    }
}
