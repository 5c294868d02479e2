//! JWS in compact form (RFC 7515) with Ed25519 (RFC 8037): how central signs, and how a test forges.
//!
//! Written from the RFCs alone and apart from the daemon's, so that a mistake in either is seen as a refusal. Besides the
//! honest [`sign`] it makes every dishonest token a test may want: any header, any signature, none.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What is wrong with a key's file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be read.
    #[error("key file {path} can't be read; make one with latch-sim central keygen {path} --kid KID")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It can't be made, or is there already.
    #[error("key file {path} can't be made; a key is never written over another")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("key file {path} can be read by others than its owner; run chmod 600 on it")]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// Not 32 bytes as base64url.
    #[error(
        "key file {path} is no key: expected the 32 bytes of an Ed25519 seed as base64url, without padding"
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// No chance to be had.
    #[error("the machine gives no random bytes for a new key")]
    Chance(#[source] io::Error),
}

/// An Ed25519 key that signs. It never shows itself in a message.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public_key())
    }
}

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// The machine has no random bytes to give.
    pub fn generate() -> Result<SecretKey, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::Chance(io::Error::other(error)))?;
        Ok(SecretKey::from_seed(seed))
    }

    /// The key of a seed (RFC 8032's private key): the same in every run of a test.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> SecretKey {
        SecretKey(SigningKey::from_bytes(&seed))
    }

    /// From a file with the seed as base64url, which only its owner may read.
    ///
    /// # Errors
    /// No such file, others may read it, or it holds something else.
    pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(read)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned() });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let seed = BASE64URL_NOPAD.decode(text.trim().as_bytes()).ok();
        let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        seed.map(SecretKey::from_seed).ok_or_else(|| KeyError::Form { path: path.to_owned() })
    }

    /// Into a new file with mode 0600, on disk when this returns.
    ///
    /// # Errors
    /// The file is there already, or can't be written.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(format!("{}\n", BASE64URL_NOPAD.encode(self.0.as_bytes())).as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| KeyError::Write { path: path.to_owned(), source })
    }

    /// The other half as base64url: `public_key` in the daemon's `[[mqtt.trusted_keys]]`.
    #[must_use]
    pub fn public_key(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.verifying_key().as_bytes())
    }
}

/// A key and the name the controllers know it by.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Names the key in the header.
    pub kid: String,
    /// Signs.
    pub key: SecretKey,
}

impl Signer {
    /// A key under a name.
    #[must_use]
    pub fn new(kid: &str, key: SecretKey) -> Signer {
        Signer { kid: kid.to_owned(), key }
    }

    /// The payload, signed by this key under this name.
    #[must_use]
    pub fn sign(&self, payload: &[u8]) -> String {
        sign(&self.kid, &self.key, payload)
    }

    /// What the daemon's configuration needs to trust this key.
    #[must_use]
    pub fn trusted_key_toml(&self) -> String {
        // A TOML string: basic strings escape as JSON's do, but for DEL.
        let kid = json!(self.kid).to_string().replace('\u{7f}', "\\u007f");
        format!("[[mqtt.trusted_keys]]\nkid = {kid}\npublic_key = \"{}\"\n", self.key.public_key())
    }
}

/// A token as the contract wants it: `alg` `EdDSA`, `kid`, and the signature over these very bytes.
#[must_use]
pub fn sign(kid: &str, key: &SecretKey, payload: &[u8]) -> String {
    sign_with_header(&json!({ "alg": "EdDSA", "kid": kid }), key, payload)
}

/// A token with any header (another `alg`, no `kid`, a `crit`), signed all the same.
#[must_use]
pub fn sign_with_header(header: &Value, key: &SecretKey, payload: &[u8]) -> String {
    let signed = signing_input(header.to_string().as_bytes(), payload);
    let signature = key.0.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// A token of any three parts: a header that is no JSON, a signature of another message, none (`alg` `none`).
#[must_use]
pub fn compact(header: &[u8], payload: &[u8], signature: &[u8]) -> String {
    format!("{}.{}", signing_input(header, payload), BASE64URL_NOPAD.encode(signature))
}

fn signing_input(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(payload))
}

/// A token's parts, whatever they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The header, as JSON.
    pub header: Value,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// Takes a token apart without believing it; nothing if it is no token.
#[must_use]
pub fn parts(token: &str) -> Option<Parts> {
    let mut parts = token.split('.').map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    let (header, payload, signature) = (parts.next()??, parts.next()??, parts.next()??);
    let header = serde_json::from_slice(&header).ok()?;
    parts.next().is_none().then_some(Parts { header, payload, signature })
}

/// The payload, if the token is signed by the key with this public half.
#[must_use]
pub fn verified(token: &str, public_key: &str) -> Option<Vec<u8>> {
    let public_key = BASE64URL_NOPAD.decode(public_key.as_bytes()).ok()?;
    let public_key = VerifyingKey::from_bytes(&public_key.try_into().ok()?).ok()?;
    let (signed, _) = token.rsplit_once('.')?;
    let parts = parts(token)?;
    let signature = Signature::from_slice(&parts.signature).ok()?;
    public_key.verify_strict(signed.as_bytes(), &signature).ok()?;
    (parts.header.get("alg") == Some(&json!("EdDSA"))).then_some(parts.payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.1 and A.4.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcv\
                         Mg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn key() -> SecretKey {
        SecretKey::from_seed(BASE64URL_NOPAD.decode(SEED.as_bytes()).unwrap().try_into().unwrap())
    }

    #[test]
    fn the_rfcs_example_is_signed_to_the_letter() {
        let token = sign_with_header(&json!({ "alg": "EdDSA" }), &key(), b"Example of Ed25519 signing");
        assert_eq!(token, TOKEN);
        assert_eq!(key().public_key(), PUBLIC);
        assert_eq!(verified(TOKEN, PUBLIC).unwrap(), b"Example of Ed25519 signing");
    }

    #[test]
    fn a_signed_message_names_its_key_and_carries_the_bytes_as_they_were() {
        let token = sign("central-2026", &key(), b"{ \"a\" : 1 }");
        let parts = parts(&token).unwrap();
        assert_eq!(parts.header, json!({ "alg": "EdDSA", "kid": "central-2026" }));
        assert_eq!(parts.payload, b"{ \"a\" : 1 }");
        assert_eq!(verified(&token, PUBLIC).unwrap(), parts.payload);
    }

    #[test]
    fn forgeries_can_be_made_and_are_none_of_ours() {
        let other = SecretKey::from_seed([7; 32]);
        let header = br#"{"alg":"none","kid":"k"}"#;
        let honest = parts(&sign("k", &key(), b"{}")).unwrap();
        let forged = [
            sign("k", &other, b"{}"),
            sign_with_header(&json!({ "alg": "HS256", "kid": "k" }), &key(), b"{}"),
            compact(header, b"{}", b""),
            compact(honest.header.to_string().as_bytes(), b"{ }", &honest.signature),
        ];
        for token in forged {
            assert_eq!(verified(&token, PUBLIC), None, "{token}");
            assert!(parts(&token).is_some(), "{token}");
        }
        assert_eq!(parts("a.b"), None);
    }

    #[test]
    fn a_key_survives_its_file_which_is_its_owners_alone_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("central.key");
        let made = SecretKey::generate().unwrap();
        made.write_new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SecretKey::read(&path).unwrap().public_key(), made.public_key());
        assert!(matches!(made.write_new(&path), Err(KeyError::Write { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SecretKey::read(&path), Err(KeyError::Open { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "secret").unwrap();
        let error = SecretKey::read(&path).unwrap_err();
        assert!(matches!(error, KeyError::Form { .. }) && !error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn the_daemons_configuration_is_told_the_public_half_only() {
        let toml = Signer::new("central-2026", key()).trusted_key_toml();
        assert_eq!(
            toml,
            format!("[[mqtt.trusted_keys]]\nkid = \"central-2026\"\npublic_key = \"{PUBLIC}\"\n")
        );
        assert!(!format!("{:?}", key()).contains(SEED));
    }
}
