//! OSDP 2.2 between a control panel and readers on an RS-485 line: bytes to values and back, without I/O.
//!
//! ```text
//!   [FF] 53 ADDR LEN LEN CTRL  [SECURITY BLOCK]  CODE DATA…  [MAC 4]  CRC CRC
//!         │   │           │                       │
//!         │   └ 0x80: a reply                     └ in the secure channel DATA is enciphered, and all up to it is
//!         └ start of message  └ sequence 0, then 1 2 3 1 …      covered by the MAC
//! ```
//!
//! Packets, replies and cryptography are the crate `osdp`'s. Ours is what a line and an enemy on it make necessary:
//! lengths that are bounded ([`frame`]), a channel that refuses clear text once it is secure ([`channel`]), and what
//! of a card's bits is a UID ([`card`]).
//!
//! Only packets with a CRC are spoken: the checksum of one byte, for readers from before 2.1, misses too much of what a
//! line does to bytes, and the secure channel does not allow it.

pub mod card;
pub mod channel;
pub mod frame;
pub mod key;

pub use channel::{Channel, Heard, Refusal};
pub use frame::Framer;
pub use key::Key;
pub use osdp::{
    command::{
        BuzzerControl, BuzzerTone, Cap, Command, Id, LedColor, LedControl, LedPermanent, LedTemporary,
        LocalStatus, Poll, led::LedRecord,
    },
    reply::{LStatR, NakErrorCode, PdCap, PdId, Reply},
};
