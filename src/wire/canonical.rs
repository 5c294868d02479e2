//! RFC 8785 (canonical JSON) and SHA-256 over it: what makes two sides agree on what they hold.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A SHA-256, shown as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Of the canonical form of a JSON value.
    pub fn of(value: &Value) -> Self {
        Digest::of_bytes(&canonical(value))
    }

    /// Bytewise exclusive or: puts a record's digest into a sum, or takes it out again (wire, "sync").
    #[must_use]
    pub fn xor(self, other: Digest) -> Self {
        let mut sum = self.0;
        sum.iter_mut().zip(other.0).for_each(|(a, b)| *a ^= b);
        Digest(sum)
    }

    pub fn parse(hex: &str) -> Option<Self> {
        let mut own = [0; 32];
        // Digits only: a sign before one would be read, too.
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (n, byte) in own.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok()?;
        }
        Some(Digest(own))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The canonical form. A value that was parsed from JSON always has one.
pub fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_is_rfc_8785s() {
        // the example of RFC 8785 §3.2.2
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        let expected = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(String::from_utf8(canonical(&value)).unwrap(), expected);
    }

    #[test]
    fn taking_a_digest_out_undoes_putting_it_in() {
        let (a, b) = (Digest::of_bytes(b"a"), Digest::of_bytes(b"b"));
        assert_eq!(a.xor(b).xor(a), b);
        assert_eq!(Digest::parse(&a.to_string()), Some(a));
        assert_eq!(Digest::parse("00"), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
        assert!(Digest::parse(&"0d".repeat(32)).is_some());
        for other in ["+d", "0D", " d", "-0"] {
            assert_eq!(Digest::parse(&other.repeat(32)), None, "{other}");
        }
    }
}
