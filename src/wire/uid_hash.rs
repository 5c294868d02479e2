//! UIDs to keyed hashes: HMAC-SHA-256, so that no UID lies on disk or leaves the box in clear.
//!
//! A four-byte UID can be found by trying them all by whoever has the key; whoever has the disk has both. It keeps
//! UIDs out of backups, logs and copies of the cache, not from a thief of the box.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::{Uid, UidHash};

/// Length of the key, in bytes.
pub const KEY_LEN: usize = 32;

/// Hashes UIDs under one box's key.
#[derive(Clone)]
pub struct UidHasher {
    keyed: Hmac<Sha256>,
}

impl UidHasher {
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        // HMAC takes a key of any length, so the other arm is never taken.
        let keyed = Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        UidHasher { keyed }
    }

    pub fn hash(&self, uid: &Uid) -> UidHash {
        let mut mac = self.keyed.clone();
        mac.update(uid.bytes());
        cut(&mac.finalize().into_bytes().into())
    }

    /// What tells this key from another without telling the key.
    pub fn check(&self) -> UidHash {
        let mut mac = self.keyed.clone();
        mac.update(b"latchd uid key check");
        cut(&mac.finalize().into_bytes().into())
    }
}

fn cut(full: &[u8; 32]) -> UidHash {
    let mut cut = [0; 16];
    cut.iter_mut().zip(full).for_each(|(c, f)| *c = *f);
    UidHash(cut)
}

impl fmt::Debug for UidHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UidHasher")
    }
}
