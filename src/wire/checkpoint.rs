//! A signature under the journal's end so far. Its chain finds what is altered within it, but not that all of it was
//! written anew; who holds an earlier signature does.
//!
//! The key is the device's own, made with its store. What is signed is the canonical JSON (RFC 8785) of the object without
//! its `signature`:
//!
//! ```json
//! {"at":"2026-11-23T08:31:07Z","controller":"oslo-1","hash":"51fe…","journal":"6f…","key":"11qY…","seq":501,
//!  "signature":"gjs8…"}
//! ```

use data_encoding::BASE64URL_NOPAD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::{Digest, canonical::canonical};
use crate::domain::{At, ControllerId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Whose journal it is.
    pub controller: ControllerId,
    /// The journal's UUID.
    pub journal: String,
    /// The event it is made at, and that event's hash.
    pub seq: u64,
    /// In hexadecimal.
    #[serde(with = "hex")]
    pub hash: Digest,
    /// When it was signed.
    pub at: At,
    /// The device's public key (Ed25519, base64url).
    pub key: String,
    /// Over the canonical JSON of all the rest (Ed25519, base64url).
    pub signature: String,
}

/// Why a signature is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("its key is no public key")]
    Key,
    #[error("its signature is not that of its content: it was altered, or is nobody's")]
    Signature,
}

/// What is signed, but for who does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub controller: ControllerId,
    pub journal: String,
    pub seq: u64,
    pub hash: Digest,
    pub at: At,
}

impl Checkpoint {
    pub fn sign(place: Place, key: &SigningKey) -> Self {
        let Place { controller, journal, seq, hash, at } = place;
        let public = BASE64.encode(key.verifying_key().as_bytes());
        let mut own =
            Checkpoint { controller, journal, seq, hash, at, key: public, signature: String::new() };
        own.signature = BASE64.encode(&key.sign(&own.signed()).to_bytes());
        own
    }

    /// That whoever has its key signed just this. Whose key that is, is another question.
    pub fn verify(&self) -> Result<(), CheckpointError> {
        let key = BASE64.decode(self.key.as_bytes()).ok().and_then(|key| key.try_into().ok());
        let key =
            key.and_then(|key: [u8; 32]| VerifyingKey::from_bytes(&key).ok()).ok_or(CheckpointError::Key)?;
        let signature = BASE64.decode(self.signature.as_bytes()).ok();
        let signature =
            signature.and_then(|s| Signature::from_slice(&s).ok()).ok_or(CheckpointError::Signature)?;
        key.verify_strict(&self.signed(), &signature).map_err(|_| CheckpointError::Signature)
    }

    fn signed(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value.as_object_mut().map(|object| object.remove("signature"));
        canonical(&value)
    }
}

mod hex {
    //! A digest as its hex digits.

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Digest;

    pub fn serialize<S: Serializer>(digest: &Digest, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(digest)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(d)?;
        Digest::parse(&text).ok_or_else(|| D::Error::custom("a hash has 64 lower-case hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Checkpoint {
        let place = Place {
            controller: ControllerId::new("oslo-1").unwrap(),
            journal: "6f".into(),
            seq: 501,
            hash: Digest::of_bytes(b"501"),
            at: At::parse("2026-11-23T08:31:07Z").unwrap(),
        };
        Checkpoint::sign(place, &SigningKey::from_bytes(&[7; 32]))
    }

    #[test]
    fn what_was_signed_is_verified_and_survives_json() {
        let text = serde_json::to_string(&signed()).unwrap();
        let read: Checkpoint = serde_json::from_str(&text).unwrap();
        assert_eq!((read.verify(), &read), (Ok(()), &signed()));
        assert!(text.contains(&format!("\"hash\":\"{}\"", Digest::of_bytes(b"501"))), "{text}");
    }

    #[test]
    fn whatever_is_altered_is_noticed() {
        let alterations: [fn(&mut Checkpoint); 7] = [
            |c| c.controller = ControllerId::new("bergen-1").unwrap(),
            |c| c.journal = "70".into(),
            |c| c.seq += 1,
            |c| c.hash = Digest::of_bytes(b"502"),
            |c| c.at = c.at.plus_s(1),
            |c| c.key = BASE64.encode(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes()),
            |c| c.signature = BASE64.encode(&[0; 64]),
        ];
        for (n, alter) in alterations.into_iter().enumerate() {
            let mut altered = signed();
            alter(&mut altered);
            assert_eq!(altered.verify(), Err(CheckpointError::Signature), "{n}");
        }
        let no_key = Checkpoint { key: "?".into(), ..signed() };
        assert_eq!(no_key.verify(), Err(CheckpointError::Key));
    }
}
