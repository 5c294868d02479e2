//! Ids as they lie in memory: central's are UUIDs mostly, which take 17 bytes there in place of 37.

use std::{cmp::Ordering, fmt};

use uuid::{Uuid, fmt::Hyphenated};

const UUID_BYTES: usize = 16;

/// Where the text of an id that is packed is written, for as long as it is looked at.
#[derive(Debug)]
pub struct Room([u8; Hyphenated::LENGTH]);

impl Default for Room {
    fn default() -> Self {
        Room([0; Hyphenated::LENGTH])
    }
}

/// An id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(Form<'a>);

/// What is a UUID as RFC 9562 writes them, in lower case, is packed, and nothing else is: of two that are the same text
/// both are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form<'a> {
    Text(&'a str),
    Uuid(&'a [u8; UUID_BYTES]),
}

impl<'a> Name<'a> {
    /// Of a text that can't be packed.
    pub(super) fn of_text(text: &'a str) -> Self {
        Name(Form::Text(text))
    }

    pub(super) fn of_uuid(bytes: &'a [u8; UUID_BYTES]) -> Self {
        Name(Form::Uuid(bytes))
    }

    /// Its text, which may need the room.
    pub fn text<'b>(self, room: &'b mut Room) -> &'b str
    where
        'a: 'b,
    {
        match self.0 {
            Form::Text(text) => text,
            Form::Uuid(bytes) => Uuid::from_bytes_ref(bytes).hyphenated().encode_lower(&mut room.0),
        }
    }

    /// As an id of its kind.
    pub fn as_id<T, E>(self, id: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        id(self.text(&mut Room::default())).ok()
    }

    pub fn is(self, text: &str) -> bool {
        match self.0 {
            Form::Text(own) => own == text,
            Form::Uuid(_) => text.len() == Hyphenated::LENGTH && self.text(&mut Room::default()) == text,
        }
    }
}

/// The bytes of a text that is written as all UUIDs are that are packed.
pub fn packed(text: &str) -> Option<[u8; UUID_BYTES]> {
    let uuid = Some(text).filter(|text| text.len() == Hyphenated::LENGTH).map(Uuid::try_parse)?.ok()?;
    Name::of_uuid(uuid.as_bytes()).is(text).then(|| uuid.into_bytes())
}

/// By their texts, byte by byte.
impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Form::Text(own), Form::Text(other)) => own.cmp(other),
            // Digits come before letters in ASCII, and hyphens stand in the same places.
            (Form::Uuid(own), Form::Uuid(other)) => own.cmp(other),
            (Form::Text(_), Form::Uuid(_)) | (Form::Uuid(_), Form::Text(_)) => {
                self.text(&mut Room::default()).cmp(other.text(&mut Room::default()))
            }
        }
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut Room::default()))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text(&mut Room::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0d9c2b64-5f1e-4c0a-9b7d-e3a1b2c3d4f5";

    fn name<'a>(text: &'a str, bytes: &'a mut [u8; UUID_BYTES]) -> Name<'a> {
        match packed(text) {
            Some(found) => {
                *bytes = found;
                Name::of_uuid(bytes)
            }
            None => Name::of_text(text),
        }
    }

    #[test]
    fn a_uuid_is_packed_and_nothing_that_would_come_back_as_another_text() {
        assert_eq!(packed(UUID).map(|bytes| bytes[..3].to_vec()), Some(vec![0x0d, 0x9c, 0x2b]));
        for other in [
            &UUID.to_uppercase(),
            &UUID.replacen('d', "D", 1),
            &UUID.replace('-', ""),
            &UUID.replace('-', ":"),
            &format!("{{{UUID}}}"),
            &format!("urn:uuid:{UUID}"),
            &UUID[1..],
            "0d9c2b6-45f1e-4c0a-9b7d-e3a1b2c3d4f5",
            "xd9c2b64-5f1e-4c0a-9b7d-e3a1b2c3d4f5",
            "g-1",
            "",
        ] {
            assert_eq!(packed(other), None, "{other}");
        }
    }

    #[test]
    fn it_reads_compares_and_sorts_as_its_text() {
        let texts = [
            UUID,
            "0d9c2b64-5f1e-4c0a-9b7d-e3a1b2c3d4f6",
            "0d9c2b64-5f1e-4c0a-9b7d-e3a1b2c3d4f",
            "g-1",
            "0",
            "a",
        ];
        for a in texts {
            let mut bytes = [0; UUID_BYTES];
            let own = name(a, &mut bytes);
            assert_eq!((own.to_string().as_str(), format!("{own:?}")), (a, format!("{a:?}")));
            assert_eq!(own.as_id(|text| text.parse::<crate::domain::GrantId>()).unwrap().as_str(), a);
            for b in texts {
                let mut bytes = [0; UUID_BYTES];
                let other = name(b, &mut bytes);
                assert_eq!((own.is(b), own == other, own.cmp(&other)), (a == b, a == b, a.cmp(b)), "{a} {b}");
                assert_eq!(own.partial_cmp(&other), Some(a.cmp(b)));
            }
        }
    }
}
