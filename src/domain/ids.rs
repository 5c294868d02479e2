//! Names of things, each its own type, so that a door can't be handed where a reader is asked for.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a text is not an id.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    #[error("an id has 1 to 64 characters, this one has {0}")]
    Length(usize),
    #[error("an id is made of A-Z a-z 0-9 . _ : -, not {0:?}")]
    Character(char),
    #[error("a controller's id is made of a-z 0-9 -, not {0:?}")]
    ControllerCharacter(char),
}

/// Longest id the wire allows, in characters (and bytes: they are ASCII).
pub const MAX_ID: usize = 64;

fn check(text: &str) -> Result<(), IdError> {
    // Byte by byte first: each decision makes three ids.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(());
    }
    if text.is_empty() || text.chars().count() > MAX_ID {
        return Err(IdError::Length(text.chars().count()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-'))) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

fn check_controller(text: &str) -> Result<(), IdError> {
    check(text).map_err(|e| match e {
        IdError::Character(c) => IdError::ControllerCharacter(c),
        IdError::Length(_) | IdError::ControllerCharacter(_) => e,
    })?;
    match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        Some(c) => Err(IdError::ControllerCharacter(c)),
        None => Ok(()),
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $check:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok($name(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::new(&text).map_err(D::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One daemon on one box; also the name of its subtree on the broker.
    ControllerId: check_controller,
    DoorId: check,
    ZoneId: check,
    ReaderId: check,
    BoardId: check,
    CredentialId: check,
    /// Whom a credential belongs to: opaque to the daemon.
    HolderId: check,
    GrantId: check,
    BookingId: check,
    /// One command of central's, ever.
    CommandId: check,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_1_to_64_characters_of_its_alphabet() {
        assert!(DoorId::new("a").is_ok());
        assert!(GrantId::new(&"x".repeat(64)).is_ok());
        assert_eq!(GrantId::new(&"x".repeat(65)), Err(IdError::Length(65)));
        assert_eq!(GrantId::new(""), Err(IdError::Length(0)));
        // Of two things that are wrong the length is said, in characters.
        assert_eq!(GrantId::new(&"ø".repeat(65)), Err(IdError::Length(65)));
        assert_eq!(GrantId::new(&"ø".repeat(64)), Err(IdError::Character('ø')));
        assert!(GrantId::new("A.b_c:d-9").is_ok());
        assert_eq!(GrantId::new("a/b"), Err(IdError::Character('/')));
        assert_eq!(GrantId::new("ø"), Err(IdError::Character('ø')));
    }

    #[test]
    fn a_controller_id_can_stand_in_a_topic() {
        assert!(ControllerId::new("oslo-1").is_ok());
        assert_eq!(ControllerId::new("Oslo"), Err(IdError::ControllerCharacter('O')));
        assert_eq!(ControllerId::new("a+b"), Err(IdError::ControllerCharacter('+')));
        assert_eq!(ControllerId::new("a.b"), Err(IdError::ControllerCharacter('.')));
    }
}
