//! What people do at the readers, and how the controller decided.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hardware_sim::card::Card;
use hardware_sim::pcscd::LampReader;
use hardware_sim::pn532::{Pn532, Seen};
use hardware_sim::time;
use serde_json::Value;

use super::{LIMIT, Site, eventually, eventually_asking};

/// How long a card is held to a reader.
const HOLD: Duration = Duration::from_millis(150);

/// How long a card stays away before the same card is held up again: a tap is a card that comes into the field.
const AWAY: Duration = Duration::from_millis(700);

/// When each card leaves the reader it was last held to.
#[derive(Debug, Default)]
pub struct Hands(Mutex<HashMap<(String, String), Instant>>);

impl Site {
    pub fn reader(&self, id: &str) -> &Pn532 {
        &self.pn532.iter().find(|(name, _)| name == id).expect("a PN532 of that name").1
    }

    /// Waits until the daemon has looked at a PN532 and found no card: one that is there at the first look after the
    /// link came up lay there before, and is no tap.
    #[track_caller]
    pub fn wait_until_empty(&self, reader: &str) {
        let chip = self.reader(reader);
        let from = chip.seen_since(0, Duration::ZERO).last().map_or(0, |entry| entry.number + 1);
        // Twice: the first may be the end of a look that a daemon began before it was killed.
        let looked = chip.wait_for(from, Seen::NothingListed, LIMIT);
        let looked = looked.and_then(|from| chip.wait_for(from, Seen::NothingListed, LIMIT));
        looked.unwrap_or_else(|| panic!("the daemon does not look for cards at {reader}"));
    }

    /// Holds a card to a PN532 for a moment.
    #[track_caller]
    pub fn tap(&self, reader: &str, uid: &str) {
        assert!(self.tap_if_listing(reader, uid, LIMIT), "{reader} is not waiting for a card");
    }

    /// The same at a reader that nobody may listen to any more. Whether anybody did within the limit.
    pub fn tap_if_listing(&self, reader: &str, uid: &str, limit: Duration) -> bool {
        let chip = self.reader(reader);
        let key = (reader.to_owned(), uid.to_owned());
        let left = self.people.0.lock().expect("nobody panics with it").get(&key).copied();
        if let Some(left) = left {
            let away = || (time::now().saturating_duration_since(left) >= AWAY).then_some(());
            eventually("end to the card's being away", away);
        }
        if !chip.wait_until_listing(limit) {
            return false;
        }
        chip.tap(uid.parse().expect("a UID"), HOLD).expect("a UID of a type A card");
        self.people.0.lock().expect("nobody panics with it").insert(key, time::now() + HOLD);
        true
    }

    /// Taps, and gives the event of the decision, as it stands in the journal.
    #[track_caller]
    pub fn decision(&self, reader: &str, uid: &str) -> Value {
        let before = self.last_seq();
        self.tap(reader, uid);
        self.decided_after(before, reader)
    }

    /// Lays a card into a PC/SC reader, takes it out once it was decided on, and gives that event.
    #[track_caller]
    pub fn pcsc_decision(&self, slot: usize, reader: &str, uid: &str) -> Value {
        let before = self.last_seq();
        let card = self.insert(slot, uid);
        let event = self.decided_after(before, reader);
        card.remove();
        event
    }

    /// Lays a card into a PC/SC reader.
    #[track_caller]
    pub fn insert(&self, slot: usize, uid: &str) -> Card {
        let pcscd = self.pcscd.as_ref().expect("this site has no PC/SC");
        let addr = pcscd.vpcd_addr(slot).expect("a reader of that number");
        Card::insert(addr, uid.parse().expect("a UID")).expect("a reader that takes cards")
    }

    /// The reader with lamps of this number.
    pub fn lamps(&self, number: usize) -> &LampReader {
        let pcscd = self.pcscd.as_ref().expect("this site has no PC/SC");
        pcscd.lamps(number).expect("a reader of that number")
    }

    /// Lays a card on a reader with lamps, takes it away once it was decided on, and gives that event.
    #[track_caller]
    pub fn lamps_decision(&self, number: usize, reader: &str, uid: &str) -> Value {
        let before = self.last_seq();
        self.lamps(number).put_card(&uid.parse().expect("a UID")).expect("a card");
        let event = self.decided_after(before, reader);
        self.lamps(number).remove_card().expect("a card");
        event
    }

    /// Waits for the next decision at that reader.
    #[track_caller]
    pub fn decided_after(&self, seq: u64, reader: &str) -> Value {
        self.in_journal(seq, &format!("decision at {reader}"), |event| {
            event["reader"] == reader
                && event["type"].as_str().is_some_and(|kind| kind.starts_with("access."))
        })
    }

    /// Waits for an event in the daemon's journal, after number `seq`.
    #[track_caller]
    pub fn in_journal(&self, seq: u64, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually_asking(what, || {
            let mut events = self.journal().into_iter();
            events.find(|event| event["seq"].as_u64() > Some(seq) && wanted(event))
        })
    }

    /// The journal as it stands, from its first event.
    #[track_caller]
    pub fn journal(&self) -> Vec<Value> {
        let said = self.ctl(&["events", "--json"]);
        assert_eq!(said.code, 0, "latchctl events failed: {}", said.err);
        said.lines()
    }

    /// The number of the newest event.
    #[track_caller]
    pub fn last_seq(&self) -> u64 {
        let newest = self.ctl(&["events", "--limit", "1", "--json"]);
        assert_eq!(newest.code, 0, "latchctl events failed: {}", newest.err);
        newest.lines().first().map_or(0, |event| event["seq"].as_u64().expect("a number"))
    }
}

/// Fails unless the decision was this.
#[track_caller]
pub fn assert_decided(event: &Value, kind: &str, reason: &str) {
    assert_eq!((&event["type"], &event["reason"]), (&Value::from(kind), &Value::from(reason)), "{event:#}");
}
