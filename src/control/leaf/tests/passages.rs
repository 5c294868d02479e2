//! A great many people going through a door that bounces, is seen late, and whose button is seen later still: not one
//! false alarm; and each door that is forced or propped raises its own.
//!
//! `LATCHD_PASSAGES` says how many (1,000,000 in a release build takes seconds).

use std::ops::{Range, RangeInclusive};

use super::*;

/// The board is polled so often, and a command may go between two polls.
const POLL_MS: RangeInclusive<u64> = 95..=200;
const FEW: u64 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Expected {
    taken: u64,
    not_taken: u64,
    forced: u64,
    held: u64,
}

/// Chance from a seed (splitmix64), so that a failure is found again.
struct Chance(u64);

impl Chance {
    fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        range.start() + (z ^ (z >> 31)) % (range.end() - range.start() + 1)
    }

    fn below(&mut self, range: Range<u64>) -> u64 {
        self.within(range.start..=range.end - 1)
    }
}

/// One who comes: what the wires do, in ms from the start, and what is told beside them.
#[derive(Debug, Default)]
struct Visit {
    /// From when each level holds: closed or not, pressed or not.
    contact: Vec<(u64, bool)>,
    button: Vec<(u64, bool)>,
    released: Option<(u64, Input)>,
    expected: Expected,
    ends: u64,
}

impl Visit {
    /// The leaf moves at `ms`, and the contact chatters for up to 50 ms.
    fn moves(&mut self, rng: &mut Chance, ms: u64, closed: bool) {
        let chatter = rng.within(0..=50);
        let mut t = ms;
        let mut level = closed;
        while t < ms + chatter {
            self.contact.push((t, level));
            level = !level;
            t += rng.within(1..=20);
        }
        self.contact.push((ms + chatter, closed));
    }

    fn goes_through(&mut self, rng: &mut Chance, opens: u64, stays: u64) {
        self.moves(rng, opens, false);
        self.moves(rng, opens + stays, true);
        self.ends = opens + stays + 2_000;
    }
}

/// `seq` names the grant.
fn visit(rng: &mut Chance, seq: u64) -> Visit {
    let mut visit = Visit { ends: 10_000, ..Visit::default() };
    let start = rng.below(1_000..2_000);
    let strike = rng.within(1_000..=6_000);
    // Nobody is through a door sooner.
    let short = rng.below(700..29_000);
    match rng.below(0..100) {
        // A card: the strike, and the door within its time.
        0..50 => {
            visit.released = Some((start, released(seq, start + strike)));
            let opens = start + rng.within(0..=strike);
            visit.goes_through(rng, opens, short);
            visit.expected.taken = 1;
        }
        // A card, and nobody goes in; the door rattles in its frame.
        50..60 => {
            visit.released = Some((start, released(seq, start + strike)));
            visit.contact = vec![(start + 9_000, false), (start + 9_000 + rng.within(1..=50), true)];
            visit.expected.not_taken = 1;
            visit.ends = start + 12_000;
        }
        // The button, which is wired to the lock: seen before the door, or up to half a second after it.
        60..90 => {
            let held = rng.below(300..3_000);
            visit.button = vec![(start, true), (start + held, false)];
            let opens = start + rng.within(0..=4_000) - rng.within(0..=500);
            visit.goes_through(rng, opens, short);
            // Until it has been let go, too.
            visit.ends = visit.ends.max(start + held + 1_000);
        }
        // Somebody breaks it open.
        90..95 => {
            let stays = rng.below(600..20_000);
            visit.goes_through(rng, start, stays);
            visit.expected.forced = 1;
        }
        // A card, and a wedge.
        _ => {
            visit.released = Some((start, released(seq, start + strike)));
            let stays = rng.below(31_000..90_000);
            visit.goes_through(rng, start + 500, stays);
            visit.expected = Expected { taken: 1, held: 1, ..Expected::default() };
        }
    }
    visit.contact.sort_by_key(|(ms, _)| *ms);
    visit
}

fn level(changes: &[(u64, bool)], ms: u64, before: bool) -> bool {
    changes.iter().rev().find(|(from, _)| *from <= ms).map_or(before, |(_, level)| *level)
}

/// Runs one visit as the controller would: levels at polls, the button first, deadlines when they come.
fn run(leaf: &mut Leaf, rng: &mut Chance, base: u64, visit: &Visit) -> Expected {
    let mut facts = Vec::new();
    let (mut closed, mut pressed, mut told) = (true, false, false);
    let mut poll = rng.below(0..200);
    while poll < visit.ends {
        let next = visit.released.filter(|_| !told).map_or(u64::MAX, |(ms, _)| ms);
        let due = leaf.deadline(&RULES).map_or(u64::MAX, |d| {
            u64::try_from(d.since(at(base)).as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
        });
        let now = poll.min(next).min(due);
        if now == next {
            told = true;
            let (_, input) = visit.released.unwrap();
            let Input::Released { of, until, extended } = input else { unreachable!() };
            let until = Mono(until.0 + Duration::from_millis(base));
            facts.extend(leaf.step(at(base + now), &RULES, Input::Released { of, until, extended }));
        } else if now == due && due < poll {
            facts.extend(leaf.step(at(base + now), &RULES, Input::Tick));
        } else {
            if level(&visit.button, now, false) != pressed {
                pressed = !pressed;
                let until = at(base + now + 5_000);
                let input = if pressed { Input::ExitPressed { until } } else { Input::ExitReleased };
                facts.extend(leaf.step(at(base + now), &RULES, input));
            }
            if level(&visit.contact, now, true) != closed {
                closed = !closed;
                let input = if closed { Input::Closed } else { Input::Opened };
                facts.extend(leaf.step(at(base + now), &RULES, input));
            }
            poll = now + rng.within(POLL_MS);
        }
    }
    let count = |wanted: fn(&Fact) -> bool| facts.iter().filter(|f| wanted(f)).count() as u64;
    Expected {
        taken: count(|f| matches!(f, Fact::Taken { .. })),
        not_taken: count(|f| matches!(f, Fact::NotTaken { .. })),
        forced: count(|f| matches!(f, Fact::Forced)),
        held: count(|f| matches!(f, Fact::HeldOpen)),
    }
}

#[test]
fn no_passage_of_a_great_many_raises_a_false_alarm_and_no_true_one_is_missed() {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
    let count = std::env::var("LATCHD_PASSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW);
    let mut rng = Chance(4);
    let mut leaf = after(&[SHUT]).0;
    let mut base = 100_000;
    for seq in 0..count {
        let visit = visit(&mut rng, seq);
        let found = run(&mut leaf, &mut rng, base, &visit);
        assert_eq!(found, visit.expected, "passage {seq}: {visit:?}");
        // The last one's time is over before the next one comes.
        base += visit.ends + 8_000;
        leaf.step(at(base), &RULES, Input::Tick);
    }
}
