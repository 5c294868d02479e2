//! The hand that holds cards to readers: paced alike for both sides, and the one place that reads the clock for them.

use std::{
    thread,
    time::{Duration, Instant},
};

use hardware_sim::{
    pn532::{Pn532, Seen},
    uid::CardUid,
};

use super::board::Board;

/// More than a reader remembers, so that each is one that has been away.
pub const CARDS: u8 = 16;
/// From a strike to the next card: the daemon rests its reader for 100 ms once it has seen a card, and is looking
/// again a little later.
const PAUSE: Duration = Duration::from_millis(110);
/// The pause is longer by up to this, by lot: else taps would keep step with the daemon's polling of the board.
const PAUSE_MORE: Duration = Duration::from_millis(20);
/// What takes longer is a defect.
const WITHIN: Duration = Duration::from_secs(5);

/// Whose cards these are is in `site`.
pub fn card(n: u8) -> CardUid {
    CardUid::new(&[0x04, 0xA1, 0xC0, 0xFF, 0xEE, 0x10, n]).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock to measure, not to decide")]
pub fn now() -> Instant {
    Instant::now()
}

pub struct Hand {
    card: u8,
    lot: u64,
    /// How far each reader's record has been read, by the coil of its door.
    read: [u64; 2],
}

impl Hand {
    pub fn new() -> Self {
        Hand { card: 0, lot: 1, read: [0; 2] }
    }

    /// Holds the next card to the reader until this coil's strike is driven: nanoseconds from the frame with its UID to
    /// the one that drives the strike. Then `afterwards`, and a pause.
    pub fn tap(&mut self, reader: &Pn532, board: &Board, coil: u8, afterwards: impl FnOnce()) -> u64 {
        assert!(reader.wait_until_listing(WITHIN), "nobody looks for a card");
        self.card = (self.card + 1) % CARDS;
        reader.put_card(card(self.card)).unwrap();
        let strike = board.next_strike(WITHIN);
        reader.remove_card();
        assert_eq!(strike.coil, coil, "another strike was driven");
        let listed = self.listed_at(reader, coil);
        afterwards();
        self.pause_for(PAUSE, PAUSE_MORE);
        (strike.at - listed).as_nanos() as u64
    }

    /// Holds the next card to the reader until that has been read, whatever comes of it; then a pause.
    pub fn show(&mut self, reader: &Pn532) {
        assert!(reader.wait_until_listing(WITHIN), "nobody looks for a card");
        self.card = (self.card + 1) % CARDS;
        let read = reader.seen_since(0, Duration::ZERO).last().map_or(0, |entry| entry.number + 1);
        reader.put_card(card(self.card)).unwrap();
        assert!(reader.wait_for(read, Seen::Listed, WITHIN).is_some(), "nobody reads the card");
        reader.remove_card();
        self.pause_for(PAUSE, PAUSE_MORE);
    }

    /// When the chip wrote its frame. That is not when the card was put: it may just then have been between two looks.
    fn listed_at(&mut self, reader: &Pn532, coil: u8) -> Instant {
        let read = &mut self.read[usize::from(coil)];
        let news = reader.seen_since(*read, Duration::ZERO);
        *read = news.last().unwrap().number + 1;
        news.iter().rfind(|entry| entry.what == Seen::Listed).unwrap().at
    }

    /// Lets `time` pass, and up to `more` by lot.
    pub fn pause_for(&mut self, time: Duration, more: Duration) {
        self.lot = self.lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = now() + time + more.mul_f64((self.lot >> 33) as f64 / f64::from(1_u32 << 31));
        while let Some(left) = until.checked_duration_since(now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
    }
}
