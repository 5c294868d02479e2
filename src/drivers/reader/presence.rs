//! What a tap is: one card coming into the field. Pure, so that every reader means the same by it.
//!
//! ```text
//!              seen: Tap                          removed
//!   (unknown) ──────────► in the field ─────────────────────────► taken away ─┐
//!       ▲     lying ─────►  │     ▲  │ seen within AWAY: no tap     │    │    │ seen, and nothing else since: Tap
//!       │                   └─────┘  │                              │    │    │ seen, another card between: no tap
//!       └────────────────────────────┴── not seen for AWAY ─────────┘    └────┘   (two cards taking turns)
//! ```

use std::time::Duration;

use crate::domain::{Mono, Uid};

/// A card not seen for this long has been away: below it, a reader that loses a card at the edge of its field for a
/// few polls would tap it again; a person who takes a card away and holds it up again is slower.
pub const AWAY: Duration = Duration::from_millis(400);

/// Cards remembered at once. More lie in one field only by mischief; the one not seen for longest is forgotten then.
const REMEMBERED: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// It came into the field just now.
    Tap,
    /// It has been there.
    Lying,
}

/// The cards in one reader's field.
#[derive(Debug, Default)]
pub struct Presence {
    cards: Vec<Card>,
}

#[derive(Debug)]
struct Card {
    who: Who,
    seen: Mono,
    taken_away: bool,
}

/// Whom to tell apart. A card with random UIDs makes up another each time the field is switched off and on: they all
/// count as one, or it would tap for as long as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Something that could not be read: there is no telling what.
    Nameless,
    Random,
    Card(Uid),
}

impl Who {
    fn of(uid: Uid) -> Self {
        if uid.is_random() { Who::Random } else { Who::Card(uid) }
    }
}

impl Presence {
    /// The reader sees this card, now.
    pub fn seen(&mut self, now: Mono, uid: Uid) -> Sighting {
        self.sight(now, Who::of(uid))
    }

    /// The reader sees something it can't read, now. As with cards: it is news only when it comes into the field.
    pub fn seen_nameless(&mut self, now: Mono) -> Sighting {
        self.sight(now, Who::Nameless)
    }

    fn sight(&mut self, now: Mono, who: Who) -> Sighting {
        let known = self.cards.iter().find(|card| card.who == who);
        let sighting = match known {
            Some(card) if now.since(card.seen) < AWAY => {
                let another_since =
                    self.cards.iter().any(|other| other.who != who && other.seen >= card.seen);
                if card.taken_away && !another_since { Sighting::Tap } else { Sighting::Lying }
            }
            Some(_) | None => Sighting::Tap,
        };
        self.note(now, who);
        sighting
    }

    /// This card was there when the link came up: it is none that someone holds up now.
    pub fn lying(&mut self, now: Mono, uid: Uid) {
        self.note(now, Who::of(uid));
    }

    /// The reader itself says that the card was taken away, now: until now it lay there.
    pub fn removed(&mut self, now: Mono) {
        for card in self.cards.iter_mut().filter(|card| !card.taken_away) {
            card.seen = now;
            card.taken_away = true;
        }
    }

    /// Whether some card was seen less than [`AWAY`] ago.
    pub fn occupied(&self, now: Mono) -> bool {
        self.cards.iter().any(|card| now.since(card.seen) < AWAY)
    }

    fn note(&mut self, now: Mono, who: Who) {
        self.cards.retain(|card| card.who != who && (!card.taken_away || now.since(card.seen) < AWAY));
        if self.cards.len() >= REMEMBERED
            && let Some(oldest) =
                (0..self.cards.len()).min_by_key(|&at| self.cards.get(at).map(|card| card.seen))
        {
            self.cards.swap_remove(oldest);
        }
        self.cards.push(Card { who, seen: now, taken_away: false });
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Sighting::{Lying, Tap},
        *,
    };

    const A: [u8; 4] = [0xA1, 2, 3, 4];
    const B: [u8; 7] = [0xB1, 2, 3, 4, 5, 6, 7];
    const C: [u8; 4] = [0xC1, 2, 3, 4];

    enum Step {
        /// At this millisecond the card is seen, and this is what it is.
        See(u64, &'static [u8], Sighting),
        LiesThere(u64, &'static [u8]),
        Removed(u64),
    }
    use Step::{LiesThere, Removed, See};

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    fn play(name: &str, steps: &[Step]) {
        let mut presence = Presence::default();
        for (number, step) in steps.iter().enumerate() {
            match step {
                See(ms, uid, expected) => {
                    let uid = Uid::new(uid).unwrap();
                    assert_eq!(presence.seen(at(*ms), uid), *expected, "{name}, step {number} at {ms} ms");
                }
                LiesThere(ms, uid) => presence.lying(at(*ms), Uid::new(uid).unwrap()),
                Removed(ms) => presence.removed(at(*ms)),
            }
        }
    }

    #[test]
    fn a_tap_is_one_card_coming_into_the_field() {
        play("the first sight", &[See(0, &A, Tap)]);
        play("left lying", &[See(0, &A, Tap), See(150, &A, Lying), See(300, &A, Lying), See(690, &A, Lying)]);
        play("lost for a poll", &[See(0, &A, Tap), See(399, &A, Lying), See(798, &A, Lying)]);
        play("away long enough", &[See(0, &A, Tap), See(100, &A, Lying), See(500, &A, Tap)]);
        play("another card", &[See(0, &A, Tap), See(100, &B, Tap), See(150, &B, Lying)]);
    }

    #[test]
    fn what_lay_there_when_the_link_came_up_is_no_tap_until_it_has_been_away() {
        play("lying", &[LiesThere(0, &A), See(150, &A, Lying), See(300, &A, Lying), See(700, &A, Tap)]);
        play("another beside it", &[LiesThere(0, &A), See(50, &B, Tap), See(100, &A, Lying)]);
        play("taken and held up", &[LiesThere(0, &A), Removed(90_000), See(90_050, &A, Tap)]);
    }

    #[test]
    fn a_removal_the_reader_reports_is_believed_at_once() {
        play("quick", &[See(0, &A, Tap), Removed(50), See(60, &A, Tap)]);
        play("an hour later", &[See(0, &A, Tap), Removed(3_600_000), See(3_600_020, &A, Tap)]);
        play("twice", &[See(0, &A, Tap), Removed(50), See(60, &A, Tap), Removed(80), See(90, &A, Tap)]);
    }

    #[test]
    fn cards_taking_turns_in_the_field_do_not_repeat_their_taps() {
        play(
            "by polls",
            &[
                See(0, &A, Tap),
                See(100, &B, Tap),
                See(200, &A, Lying),
                See(300, &B, Lying),
                See(400, &A, Lying),
            ],
        );
        play(
            "three of them",
            &[
                See(0, &A, Tap),
                See(100, &B, Tap),
                See(200, &C, Tap),
                See(300, &A, Lying),
                See(400, &B, Lying),
                See(500, &C, Lying),
            ],
        );
        play(
            "each reported as removed",
            &[
                See(0, &A, Tap),
                Removed(100),
                See(110, &B, Tap),
                Removed(200),
                See(210, &A, Lying),
                Removed(300),
                See(310, &B, Lying),
                Removed(400),
                See(410, &A, Lying),
            ],
        );
        play(
            "and one that comes again after both went",
            &[See(0, &A, Tap), Removed(100), See(110, &B, Tap), Removed(200), See(700, &A, Tap)],
        );
    }

    #[test]
    fn a_card_with_random_uids_taps_once_while_it_lies_there() {
        play(
            "a phone",
            &[See(0, &[8, 1, 2, 3], Tap), See(150, &[8, 9, 9, 9], Lying), See(300, &[8, 7, 7, 7], Lying)],
        );
    }

    #[test]
    fn no_number_of_cards_makes_it_grow() {
        let mut presence = Presence::default();
        for n in 0..1_000_u32 {
            assert_eq!(presence.seen(at(u64::from(n)), Uid::new(&(n << 8).to_be_bytes()).unwrap()), Tap);
            assert!(presence.cards.len() <= REMEMBERED);
        }
    }

    #[test]
    fn the_field_is_occupied_until_the_last_card_has_been_away() {
        let mut presence = Presence::default();
        assert!(!presence.occupied(at(0)));
        presence.seen(at(0), Uid::new(&A).unwrap());
        assert!(presence.occupied(at(399)));
        assert!(!presence.occupied(at(400)));
    }
}
