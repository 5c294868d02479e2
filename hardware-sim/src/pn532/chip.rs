//! The chip as a pure machine: bytes and cards in, bytes out, time as a value.
//!
//! ```text
//!            55          SAMConfiguration          InListPassiveTarget
//!   asleep ─────► awake ──────────────────► ready ─────────────────────► waiting
//!     ▲                                       ▲   card · retries over ·      │
//!     └── power-up, PowerDown                 └── ACK · another command ─────┘
//! ```
//!
//! It is as strict as the real one where that bites: asleep it loses a frame that no 0x55 went before, and without
//! SAMConfiguration it acknowledges InListPassiveTarget and then never answers.

use std::time::{Duration, Instant};

use super::frame::{self, ACK, ERROR, FromHost};
use super::nonsense::Spoil;
use super::target::Target;
use crate::record::Record;

/// Waits for ever (RFConfiguration item 5, the value after power-up).
const FOR_EVER: u8 = 0xFF;
const IC_VERSION_REVISION_SUPPORT: [u8; 4] = [0x32, 0x01, 0x06, 0x07];
/// Status byte: not acceptable in the present state (UM0701-02 §7.1).
const NOT_ACCEPTABLE: u8 = 0x27;

const DIAGNOSE: u8 = 0x00;
const GET_FIRMWARE_VERSION: u8 = 0x02;
const GET_GENERAL_STATUS: u8 = 0x04;
const SET_PARAMETERS: u8 = 0x12;
const SAM_CONFIGURATION: u8 = 0x14;
const POWER_DOWN: u8 = 0x16;
const RF_CONFIGURATION: u8 = 0x32;
const IN_DESELECT: u8 = 0x44;
const IN_LIST_PASSIVE_TARGET: u8 = 0x4A;
const IN_RELEASE: u8 = 0x52;

/// What can be seen of the chip from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Plugged,
    Unplugged,
    HostOpened,
    HostClosed,
    Woken,
    Command(u8),
    Aborted,
    CardEntered,
    CardLeft,
    /// A card was listed to the host.
    Listed,
    /// The retries are over, "0 targets".
    NothingListed,
}

/// What came of a command.
enum Outcome {
    Answer(Vec<u8>),
    /// Acknowledged; the answer comes later, or never.
    Later,
    SyntaxError,
}

#[derive(Debug)]
struct Listing {
    /// The UID asked for; empty: any.
    wanted: Vec<u8>,
    type_a: bool,
    until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Chip {
    try_takes: Duration,
    awake: bool,
    configured: bool,
    retries: u8,
    card: Option<Target>,
    card_leaves: Option<Instant>,
    listing: Option<Listing>,
    target_active: bool,
    received: Vec<u8>,
    last_answer: Vec<u8>,
    /// How its next answers are spoilt, and how many of them.
    pub spoil: Option<(Spoil, u32)>,
    pub hung: bool,
    pub record: Record<Seen>,
}

impl Chip {
    pub fn new(try_takes: Duration) -> Self {
        Self {
            try_takes,
            awake: false,
            configured: false,
            retries: FOR_EVER,
            card: None,
            card_leaves: None,
            listing: None,
            target_active: false,
            received: Vec::new(),
            last_answer: Vec::new(),
            spoil: None,
            hung: false,
            record: Record::default(),
        }
    }

    /// Forgets what a power cycle makes it forget. The card stays where it is.
    pub fn power_up(&mut self) {
        self.awake = false;
        self.configured = false;
        self.retries = FOR_EVER;
        self.listing = None;
        self.target_active = false;
        self.received.clear();
        self.last_answer.clear();
    }

    /// Whether it waits for a card just now.
    pub fn is_listing(&self) -> bool {
        self.listing.is_some()
    }

    /// Bytes from the host; what the chip says to them.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) -> Vec<u8> {
        if self.hung {
            return Vec::new();
        }
        let heard = if self.awake {
            bytes
        } else {
            let Some(wake) = bytes.iter().position(|&byte| byte == 0x55) else { return Vec::new() };
            self.awake = true;
            self.record.add(now, Seen::Woken);
            bytes.get(wake..).unwrap_or_default()
        };
        self.received.extend(heard);
        let mut said = Vec::new();
        while let Some(frame) = frame::take(&mut self.received) {
            match frame {
                FromHost::Command(command) => said.extend(self.command(now, &command)),
                FromHost::Ack => self.abort(now),
                FromHost::Nack => said.extend(&self.last_answer),
                FromHost::Broken => {}
            }
        }
        said
    }

    pub fn put(&mut self, now: Instant, card: Target, leaves: Option<Instant>) -> Vec<u8> {
        self.card = Some(card);
        self.card_leaves = leaves;
        self.record.add(now, Seen::CardEntered);
        self.look(now)
    }

    pub fn remove(&mut self, now: Instant) {
        self.card_leaves = None;
        self.target_active = false;
        if self.card.take().is_some() {
            self.record.add(now, Seen::CardLeft);
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let listing = self.listing.as_ref().and_then(|listing| listing.until);
        [listing, self.card_leaves].into_iter().flatten().min()
    }

    /// Lets what is due happen; what the chip says of itself.
    pub fn advance(&mut self, now: Instant) -> Vec<u8> {
        if self.card_leaves.is_some_and(|leaves| leaves <= now) {
            self.remove(now);
        }
        let until = self.listing.as_ref().and_then(|listing| listing.until);
        if until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        self.listing = None;
        self.record.add(now, Seen::NothingListed);
        self.say(IN_LIST_PASSIVE_TARGET, &[0x00])
    }

    fn command(&mut self, now: Instant, command: &[u8]) -> Vec<u8> {
        let Some((&code, parameters)) = command.split_first() else { return Vec::new() };
        self.abort(now);
        self.record.add(now, Seen::Command(code));
        let mut said = ACK.to_vec();
        match self.carry_out(now, code, parameters) {
            Outcome::Answer(data) => said.extend(self.say(code, &data)),
            // The card may be there already.
            Outcome::Later => said.extend(self.look(now)),
            Outcome::SyntaxError => {
                self.last_answer = ERROR.to_vec();
                said.extend(ERROR);
            }
        }
        said
    }

    fn carry_out(&mut self, now: Instant, code: u8, parameters: &[u8]) -> Outcome {
        match (code, parameters) {
            // Test 0, communication line: says back what it got.
            (DIAGNOSE, [0x00, ..]) => Outcome::Answer(parameters.to_vec()),
            (GET_FIRMWARE_VERSION, []) => Outcome::Answer(IC_VERSION_REVISION_SUPPORT.to_vec()),
            (GET_GENERAL_STATUS, []) => Outcome::Answer(self.general_status()),
            (SET_PARAMETERS, [_]) => Outcome::Answer(vec![]),
            (SAM_CONFIGURATION, [0x01..=0x04, ..]) => {
                self.configured = true;
                Outcome::Answer(vec![])
            }
            (POWER_DOWN, [_, ..]) => {
                self.awake = false;
                self.target_active = false;
                Outcome::Answer(vec![0x00])
            }
            (RF_CONFIGURATION, [item, values @ ..]) => self.configure_rf(*item, values),
            (IN_DESELECT | IN_RELEASE, [target]) => {
                let known = *target == 0 || (*target == 1 && self.target_active);
                self.target_active &= !known;
                Outcome::Answer(vec![if known { 0x00 } else { NOT_ACCEPTABLE }])
            }
            (IN_LIST_PASSIVE_TARGET, [0x01..=0x02, kind @ 0x00..=0x04, wanted @ ..]) => {
                self.list(now, *kind == 0, wanted)
            }
            _ => Outcome::SyntaxError,
        }
    }

    fn list(&mut self, now: Instant, type_a: bool, wanted: &[u8]) -> Outcome {
        if self.configured {
            let tries = u32::from(self.retries) + 1;
            let until = (self.retries != FOR_EVER).then(|| now + self.try_takes * tries);
            self.target_active = false;
            self.listing = Some(Listing { wanted: wanted.to_vec(), type_a, until });
        }
        Outcome::Later
    }

    /// Items and their lengths: UM0701-02 §7.3.1.
    fn configure_rf(&mut self, item: u8, values: &[u8]) -> Outcome {
        match (item, values.len()) {
            (0x05, 3) => self.retries = values.last().copied().unwrap_or(FOR_EVER),
            (0x01 | 0x04, 1) | (0x02 | 0x0C, 3) | (0x0A, 11) | (0x0B, 8) | (0x0D, 9) => {}
            _ => return Outcome::SyntaxError,
        }
        Outcome::Answer(vec![])
    }

    fn general_status(&self) -> Vec<u8> {
        let mut status = vec![0x00, 0x00, u8::from(self.target_active)];
        if self.target_active {
            // Target 1, 106 kbit/s both ways, type A.
            status.extend([0x01, 0x00, 0x00, 0x00]);
        }
        status.push(0x00);
        status
    }

    /// Lists the card if one is waited for and there.
    fn look(&mut self, now: Instant) -> Vec<u8> {
        let (Some(listing), Some(card)) = (&self.listing, &self.card) else { return Vec::new() };
        if !listing.type_a || !card.answers_to(&listing.wanted) {
            return Vec::new();
        }
        let data = card.listed();
        self.listing = None;
        self.target_active = true;
        self.record.add(now, Seen::Listed);
        self.say(IN_LIST_PASSIVE_TARGET, &data)
    }

    fn abort(&mut self, now: Instant) {
        if self.listing.take().is_some() {
            self.record.add(now, Seen::Aborted);
        }
    }

    fn say(&mut self, command: u8, data: &[u8]) -> Vec<u8> {
        let mut answer = frame::answer(command, data);
        self.last_answer.clone_from(&answer);
        if let Some((how, times)) = self.spoil.take() {
            self.spoil = times.checked_sub(2).map(|left| (how, left + 1));
            answer = how.apply(command, answer);
        }
        if self.hung { Vec::new() } else { answer }
    }
}

#[cfg(test)]
mod tests;
