//! JWS in compact form (RFC 7515) under Ed25519 (RFC 8037): what makes a message central's, whoever carried it.
//!
//! One algorithm, and the key by its id: nothing a message says of itself is believed before its signature holds, but
//! for which of the trusted keys to try. What the signature covers are the exact bytes that were sent.

use std::{borrow::Cow, fmt};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, VerifyingKey};
use serde::Deserialize;

/// The only `alg` there is (RFC 8037 §3.1).
const ALGORITHM: &str = "EdDSA";
/// Longest `kid`, in bytes.
pub const MAX_KID: usize = 64;
/// Longest header taken, in bytes of base64url: a few short texts fit many times.
const MAX_HEADER: usize = 1024;
/// What an error quotes of a header, in characters: it goes into the journal.
const QUOTED: usize = 64;

/// Why a message is not one of central's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("not signed: a JWS in compact form has three parts in base64url, with a dot between them")]
    NotCompact,
    #[error("the JWS header is not a JSON object of the usual fields")]
    Header,
    #[error("the JWS header says `alg` = {0:?}; only \"EdDSA\" is taken")]
    Algorithm(String),
    #[error("the JWS header asks for an extension (`crit`), and none is known")]
    Critical,
    #[error("the JWS header names no key (`kid`)")]
    NoKey,
    #[error("the key {0:?} is not among mqtt.trusted_keys")]
    UnknownKey(String),
    #[error("the signature is not the key {kid:?}'s over these bytes")]
    Signature { kid: String },
}

/// Why a text is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key's id has 1 to {MAX_KID} characters")]
    Kid,
    #[error("not base64url without padding")]
    Encoding,
    #[error("{0} bytes long; an Ed25519 public key has 32")]
    Length(usize),
    #[error("no point of the curve that a signature can be checked against")]
    Point,
}

/// A key that central may sign with.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKey {
    kid: String,
    key: VerifyingKey,
}

impl TrustedKey {
    /// `public_key`: 32 bytes in base64url without padding, as `x` in a JWK (RFC 8037 §2).
    pub fn new(kid: &str, public_key: &str) -> Result<Self, KeyError> {
        if kid.is_empty() || kid.len() > MAX_KID {
            return Err(KeyError::Kid);
        }
        let bytes = BASE64URL_NOPAD.decode(public_key.as_bytes()).map_err(|_| KeyError::Encoding)?;
        let bytes: [u8; PUBLIC_KEY_LENGTH] =
            bytes.try_into().map_err(|bytes: Vec<u8>| KeyError::Length(bytes.len()))?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Point)?;
        // Under a key of small order one signature can be made to fit every message.
        if key.is_weak() {
            return Err(KeyError::Point);
        }
        Ok(TrustedKey { kid: kid.to_owned(), key })
    }

    /// Whether it is this public key, as [`TrustedKey::new`] takes it.
    pub fn is(&self, public_key: &str) -> bool {
        BASE64URL_NOPAD.encode(self.key.as_bytes()) == public_key
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({})", self.kid)
    }
}

/// Whom the daemon believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Only what one of these has signed.
    Keys(Vec<TrustedKey>),
    /// Whoever can write to the broker (`mqtt.allow_unsigned`).
    Anyone,
}

impl Trust {
    /// The JSON of a message, if it may be believed.
    pub fn open<'a>(&self, message: &'a [u8]) -> Result<Cow<'a, [u8]>, JwsError> {
        match self {
            Trust::Anyone => Ok(Cow::Borrowed(message)),
            Trust::Keys(keys) => verify(message, keys).map(Cow::Owned),
        }
    }
}

/// What the protected header says. Other fields (`typ`, `cty`) change nothing; one that is there twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    /// Present at all, whatever is in it, it must be understood (RFC 7515 §4.1.11).
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(value).map(|_| true)
}

/// The payload of a JWS that one of the keys has signed.
fn verify(message: &[u8], keys: &[TrustedKey]) -> Result<Vec<u8>, JwsError> {
    let parts = Parts::of(message)?;
    let key = parts.key(keys)?;
    let signature: [u8; SIGNATURE_LENGTH] = BASE64URL_NOPAD
        .decode(parts.signature)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| JwsError::Signature { kid: key.kid.clone() })?;
    // Strict: of the signatures that a lax check would take for the same message, exactly one passes.
    key.key
        .verify_strict(parts.signed, &Signature::from_bytes(&signature))
        .map_err(|_| JwsError::Signature { kid: key.kid.clone() })?;
    BASE64URL_NOPAD.decode(parts.payload).map_err(|_| JwsError::NotCompact)
}

/// The payload of a message whose signature does not hold, or is none: to answer it by its id, never to act on it.
pub fn unverified(message: &[u8]) -> Cow<'_, [u8]> {
    let payload = Parts::of(message).ok().and_then(|parts| BASE64URL_NOPAD.decode(parts.payload).ok());
    payload.map_or(Cow::Borrowed(message), Cow::Owned)
}

struct Parts<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    /// Header and payload with the dot between: what is signed (RFC 7515 §5.2).
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8]) -> Result<Self, JwsError> {
        let mut parts = message.splitn(3, |b| *b == b'.');
        let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::NotCompact);
        };
        let signed = message.get(..header.len() + 1 + payload.len()).ok_or(JwsError::NotCompact)?;
        if header.is_empty() || header.len() > MAX_HEADER || signature.contains(&b'.') {
            return Err(JwsError::NotCompact);
        }
        Ok(Parts { header, payload, signature, signed })
    }

    fn key<'k>(&self, keys: &'k [TrustedKey]) -> Result<&'k TrustedKey, JwsError> {
        let header = BASE64URL_NOPAD.decode(self.header).map_err(|_| JwsError::NotCompact)?;
        let Header { alg, kid, crit } = serde_json::from_slice(&header).map_err(|_| JwsError::Header)?;
        let alg = alg.ok_or(JwsError::Header)?;
        if alg != ALGORITHM {
            return Err(JwsError::Algorithm(quoted(&alg)));
        }
        if crit {
            return Err(JwsError::Critical);
        }
        let kid = kid.ok_or(JwsError::NoKey)?;
        keys.iter().find(|key| key.kid == kid).ok_or_else(|| JwsError::UnknownKey(quoted(&kid)))
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    // RFC 8037 appendix A.1, A.2 and A.4: seed, public key, and a JWS made with them.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const RFC_8037: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn signer() -> SigningKey {
        let seed = BASE64URL_NOPAD.decode(SEED.as_bytes()).unwrap();
        SigningKey::from_bytes(&seed.try_into().unwrap())
    }

    fn other_signer() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn trust() -> Trust {
        Trust::Keys(vec![
            TrustedKey::new("older", &BASE64URL_NOPAD.encode(other_signer().verifying_key().as_bytes()))
                .unwrap(),
            TrustedKey::new("central-2026", PUBLIC).unwrap(),
        ])
    }

    fn signed(header: &str, payload: &[u8], key: &SigningKey) -> String {
        let text =
            format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload));
        let signature = key.sign(text.as_bytes()).to_bytes();
        format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn open(message: &str) -> Result<Vec<u8>, JwsError> {
        trust().open(message.as_bytes()).map(Cow::into_owned)
    }

    const HEADER: &str = r#"{"alg":"EdDSA","kid":"central-2026"}"#;

    #[test]
    fn the_example_of_rfc_8037_verifies_but_names_no_key() {
        let parts = Parts::of(RFC_8037.as_bytes()).unwrap();
        let signature = BASE64URL_NOPAD.decode(parts.signature).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        let key = TrustedKey::new("any", PUBLIC).unwrap();
        assert!(key.key.verify_strict(parts.signed, &signature).is_ok());
        assert_eq!(open(RFC_8037), Err(JwsError::NoKey));
    }

    #[test]
    fn either_trusted_key_opens_what_it_signed_and_the_bytes_come_out_as_they_went_in() {
        let payload = b"{ \"epoch\" : 3,\n\"x\": \"\xc3\xa9\" }";
        assert_eq!(open(&signed(HEADER, payload, &signer())).unwrap(), payload);
        let older = r#"{"kid":"older","typ":"JOSE","alg":"EdDSA"}"#;
        assert_eq!(open(&signed(older, b"", &other_signer())).unwrap(), b"");
    }

    #[test]
    fn a_key_signs_under_its_own_name_only() {
        let stranger = SigningKey::from_bytes(&[9; 32]);
        let wrong = |kid: &str| Err(JwsError::Signature { kid: kid.into() });
        assert_eq!(open(&signed(HEADER, b"{}", &stranger)), wrong("central-2026"));
        assert_eq!(open(&signed(HEADER, b"{}", &other_signer())), wrong("central-2026"));
        let unknown = r#"{"alg":"EdDSA","kid":"who"}"#;
        assert_eq!(open(&signed(unknown, b"{}", &signer())), Err(JwsError::UnknownKey("who".into())));
    }

    #[test]
    fn no_other_algorithm_is_taken_least_of_all_none() {
        for alg in ["none", "None", "NONE", "HS256", "ES256", "eddsa", "Ed25519", "RS256", ""] {
            let header = format!(r#"{{"alg":"{alg}","kid":"central-2026"}}"#);
            assert_eq!(open(&signed(&header, b"{}", &signer())), Err(JwsError::Algorithm(alg.into())));
            let bare = format!("{}.e30.", BASE64URL_NOPAD.encode(header.as_bytes()));
            assert_eq!(open(&bare), Err(JwsError::Algorithm(alg.into())));
        }
        assert_eq!(open(&signed(r#"{"kid":"central-2026"}"#, b"{}", &signer())), Err(JwsError::Header));
    }

    #[test]
    fn a_header_that_asks_for_more_than_is_known_is_refused() {
        for crit in [r#"["b64"]"#, "[]", "null", "\"exp\""] {
            let header = format!(r#"{{"alg":"EdDSA","kid":"central-2026","crit":{crit},"b64":false}}"#);
            assert_eq!(open(&signed(&header, b"{}", &signer())), Err(JwsError::Critical), "{crit}");
        }
        let twice = r#"{"alg":"EdDSA","kid":"central-2026","alg":"none"}"#;
        assert_eq!(open(&signed(twice, b"{}", &signer())), Err(JwsError::Header));
        for header in ["", "[]", "null", "7", r#"{"alg":7,"kid":"central-2026"}"#] {
            assert!(open(&signed(header, b"{}", &signer())).is_err(), "{header}");
        }
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let good = signed(HEADER, br#"{"controller":"oslo-1","epoch":3}"#, &signer());
        assert!(open(&good).is_ok());
        for at in 0..good.len() {
            for flip in [1_u8, 0x20, 0x80] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= flip;
                assert!(trust().open(&bytes).is_err(), "byte {at} with {flip:#x}");
            }
            assert!(open(&good[..at]).is_err(), "cut at {at}");
        }
        for more in [".", "A", "=", "\n", ".e30"] {
            assert!(open(&format!("{good}{more}")).is_err(), "{more:?} behind it");
        }
    }

    /// The last character of base64url carries bits that decode to nothing: another spelling of the same bytes.
    #[test]
    fn a_signature_has_one_spelling() {
        let good = signed(HEADER, b"{}", &signer());
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = good.into_bytes();
        let last = bytes.len() - 1;
        let opened = alphabet.iter().filter(|c| {
            bytes[last] = **c;
            trust().open(&bytes).is_ok()
        });
        assert_eq!(opened.count(), 1);
    }

    #[test]
    fn what_is_not_signed_is_not_believed_and_without_keys_it_is_taken_as_it_is() {
        for plain in ["{}", "", ".", "..", "a.b.c", "{\"a\":\"x.y.z\"}"] {
            assert!(open(plain).is_err(), "{plain:?}");
            assert_eq!(Trust::Anyone.open(plain.as_bytes()).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn what_can_be_read_of_a_message_nobody_signed_is_read() {
        let forged = signed(HEADER, br#"{"id":"cmd-7"}"#, &other_signer());
        assert_eq!(unverified(forged.as_bytes()).as_ref(), br#"{"id":"cmd-7"}"#);
        assert_eq!(unverified(b"{}").as_ref(), b"{}");
    }

    #[test]
    fn a_public_key_is_32_bytes_of_a_point_that_can_check_something() {
        let error = |kid: &str, key: &str| TrustedKey::new(kid, key).unwrap_err();
        assert_eq!(error("", PUBLIC), KeyError::Kid);
        assert_eq!(error(&"k".repeat(65), PUBLIC), KeyError::Kid);
        assert_eq!(error("k", &format!("{PUBLIC}=")), KeyError::Encoding);
        assert_eq!(error("k", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"), KeyError::Encoding);
        assert_eq!(error("k", "11qY"), KeyError::Length(3));
        // y = 1 is the neutral point, of small order; with y = 2 there is no point on the curve.
        for y in [1, 2] {
            let mut bytes = [0; 32];
            bytes[0] = y;
            assert_eq!(error("k", &BASE64URL_NOPAD.encode(&bytes)), KeyError::Point);
        }
        assert_eq!(format!("{:?}", TrustedKey::new("k", PUBLIC).unwrap()), "TrustedKey(k)");
    }
}
