//! What comes from the broker, which anybody may have written: feed, acknowledgements, commands, and signatures.

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer as _, SigningKey};
use latchd::{
    domain::{Change, ControllerId, Record},
    wire::{
        Digest, Inbox, UidHasher,
        feed::{Body, MAX_ITEMS, MessageError},
        jws::{Trust, TrustedKey},
    },
};
use serde_json::Value;

use crate::{records, script::Script, script::turned};

const KID: &str = "central-2026";
/// An error goes into the journal and to the technician: it must not carry a message into either.
const ERROR_MAX: usize = 1_000;

static SIGNER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static BELIEVING: LazyLock<Inbox> = LazyLock::new(|| inbox(Trust::Anyone));
static STRICT: LazyLock<Inbox> = LazyLock::new(|| {
    let public = BASE64URL_NOPAD.encode(SIGNER.verifying_key().as_bytes());
    inbox(Trust::Keys(vec![TrustedKey::new(KID, &public).unwrap()]))
});

fn inbox(trust: Trust) -> Inbox {
    let controller = ControllerId::new("oslo-1").unwrap();
    Inbox { controller, trust, hasher: UidHasher::new(&[7; 32]) }
}

fn said_shortly(error: &impl std::fmt::Display) {
    let said = error.to_string();
    assert!(!said.is_empty() && said.len() <= ERROR_MAX, "an error of {} bytes: {said}", said.len());
}

/// A message on `feed`: every record that is taken can be kept and decided upon, and counts are what they claim.
pub fn feed(bytes: &[u8]) {
    let read = BELIEVING.feed(bytes);
    assert_eq!(read, BELIEVING.feed(bytes), "the same bytes, read otherwise");
    assert!(STRICT.feed(bytes).is_err(), "an unsigned feed was believed");
    let items = match read.map(|feed| feed.body) {
        Ok(Body::Changes { first, last, items }) => {
            assert!(first >= 1 && items.len() as u64 == last - (first - 1));
            items
        }
        Ok(Body::Snapshot { part, parts, items, .. }) => {
            assert!((1..=parts).contains(&part));
            items
        }
        Err(error) => return said_shortly(&error),
    };
    assert!(items.len() <= MAX_ITEMS);
    let mut taken: Vec<Record> = Vec::new();
    for item in &items {
        match item {
            Ok(sealed) => {
                taken.extend(sealed.put().cloned());
                let is_delete = matches!(sealed.change, Change::Delete(_));
                assert_eq!(sealed.digest == Digest::default(), is_delete);
            }
            Err(error) => said_shortly(error),
        }
    }
    records::holds(&taken);
}

/// A message on `ack`.
pub fn ack(bytes: &[u8]) {
    let read = BELIEVING.ack(bytes);
    assert!(STRICT.ack(bytes).is_err(), "an unsigned acknowledgement was believed");
    match read {
        Ok(ack) => {
            let value: Value = serde_json::from_slice(bytes).unwrap();
            assert_eq!((&value["controller"], &value["through"]), (&"oslo-1".into(), &ack.through.into()));
        }
        Err(error) => said_shortly(&error),
    }
}

/// A message on `command`: retained ones never count, and of one that is refused no more is repeated than fits.
pub fn command(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (is_retained, bytes) = (script.byte() == b'r', script.rest());
    assert!(STRICT.command(bytes, is_retained).is_err(), "an unsigned command was believed");
    match BELIEVING.command(bytes, is_retained) {
        Ok(command) => {
            assert!(!is_retained, "a retained command was taken");
            assert!((1..=128).contains(&command.by.len()));
            let signed = sign(&format!(r#"{{"alg":"EdDSA","kid":"{KID}"}}"#), bytes);
            assert_eq!(STRICT.command(signed.as_bytes(), false), Ok(command));
        }
        Err(unread) => {
            said_shortly(&unread.why);
            assert!(unread.action.is_none_or(|action| action.chars().count() <= 128));
            assert!(!unread.why.reason().is_empty());
        }
    }
}

fn sign(header: &str, payload: &[u8]) -> String {
    let text = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload));
    format!("{text}.{}", BASE64URL_NOPAD.encode(&SIGNER.sign(text.as_bytes()).to_bytes()))
}

/// What verifies was signed: it is to the byte what signing its content again gives.
pub fn jws(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    match script.byte() % 4 {
        0 => opened(script.rest()),
        1 => {
            let header = String::from_utf8_lossy(script.chunk()).into_owned();
            signed_under(&header, script.rest());
        }
        2 => {
            let (at, payload) = (script.below(usize::MAX), script.rest());
            let good = sign(&format!(r#"{{"alg":"EdDSA","kid":"{KID}"}}"#), payload);
            assert_eq!(STRICT.trust.open(good.as_bytes()).as_deref(), Ok(payload));
            assert!(
                STRICT.trust.open(&turned(good.as_bytes(), at)).is_err(),
                "an altered message was believed"
            );
        }
        // Parts of good ones, put together otherwise.
        _ => {
            let good = sign(&format!(r#"{{"alg":"EdDSA","kid":"{KID}"}}"#), script.chunk());
            let other = sign(r#"{"alg":"EdDSA","kid":"central-2026","typ":"x"}"#, script.chunk());
            let parts: Vec<&str> = good.split('.').chain(other.split('.')).collect();
            let picked =
                [script.byte(), script.byte(), script.byte()].map(|n| parts[usize::from(n) % parts.len()]);
            opened(picked.join(".").as_bytes());
        }
    }
}

fn opened(message: &[u8]) {
    match STRICT.trust.open(message) {
        Ok(payload) => {
            let text = std::str::from_utf8(message).unwrap();
            let header = BASE64URL_NOPAD.decode(text.split('.').next().unwrap().as_bytes()).unwrap();
            assert_eq!(sign(std::str::from_utf8(&header).unwrap(), &payload), text, "it was not signed so");
        }
        Err(error) => said_shortly(&MessageError::from(error)),
    }
    // What answers it reads it too, and acts on nothing.
    let _ = latchd::wire::jws::unverified(message);
}

/// Any header under a good signature: only one that says nothing but what is known is taken.
fn signed_under(header: &str, payload: &[u8]) {
    let message = sign(header, payload);
    let Ok(opened) = STRICT.trust.open(message.as_bytes()) else { return };
    assert_eq!(&*opened, payload);
    let value: Value = serde_json::from_str(header).unwrap();
    assert_eq!((&value["alg"], &value["kid"]), (&"EdDSA".into(), &KID.into()));
    assert!(value.get("crit").is_none());
}
