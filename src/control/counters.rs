//! What is counted while the controller runs, for who watches it from afar: nothing is decided by it.
//!
//! ```text
//!  granted tap ─► tapped(seq) ─ on disk, or late ─► released(seq) ─ the board confirms ─► struck(seq)
//!                                                      │ the board does not ─► not_struck(seq)
//! ```

use std::collections::BTreeMap;

use crate::{
    domain::{BoardId, Mono, ReaderId, Reason},
    wire::metrics::Counts,
};

/// Taps that are followed to their strike at a time. More are under way only where boards have stopped answering:
/// then the oldest is no longer followed.
const FOLLOWED: usize = 1024;

#[derive(Debug, Default)]
pub struct Counters {
    counts: Counts,
    /// Granted taps by their entry, and when they came.
    under_way: BTreeMap<u64, Mono>,
}

impl Counters {
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn decided(&mut self, reason: Reason) {
        more(self.counts.decisions.entry(reason).or_default());
    }

    /// A granted tap waits for its entry `seq`.
    pub fn tapped(&mut self, now: Mono, seq: u64) {
        self.under_way.insert(seq, now);
        if self.under_way.len() > FOLLOWED {
            self.under_way.pop_first();
        }
    }

    /// What waited for the entry `seq` is handed to its board.
    pub fn released(&mut self, now: Mono, seq: u64) {
        if let Some(tapped) = self.under_way.get(&seq) {
            self.counts.tap_release.observe(now.since(*tapped));
        }
    }

    /// The board confirms the pulse of the entry `seq`.
    pub fn struck(&mut self, now: Mono, seq: u64) {
        if let Some(tapped) = self.under_way.remove(&seq) {
            self.counts.tap_strike.observe(now.since(tapped));
        }
    }

    /// The board did not do what was asked on the entry `seq`.
    pub fn not_struck(&mut self, board: &BoardId, seq: u64) {
        self.under_way.remove(&seq);
        more(self.counts.board_failures.entry(board.clone()).or_default());
    }

    pub fn released_late(&mut self) {
        more(&mut self.counts.late_releases);
    }

    pub fn journal_failed(&mut self) {
        more(&mut self.counts.journal_failures);
    }

    pub fn cache_failed(&mut self) {
        more(&mut self.counts.cache_failures);
    }

    pub fn unreadable(&mut self, reader: &ReaderId) {
        more(self.counts.unreadable.entry(reader.clone()).or_default());
    }

    pub fn reader(&mut self, reader: &ReaderId, connected: bool) {
        let link = self.counts.readers.entry(reader.clone()).or_default();
        more(if connected { &mut link.connections } else { &mut link.losses });
    }

    pub fn board(&mut self, board: &BoardId, connected: bool) {
        let link = self.counts.boards.entry(board.clone()).or_default();
        more(if connected { &mut link.connections } else { &mut link.losses });
    }

    pub fn broker(&mut self, connected: bool) {
        let link = &mut self.counts.broker;
        more(if connected { &mut link.connections } else { &mut link.losses });
    }
}

fn more(count: &mut u64) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::metrics::Histogram;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    fn of(times_ms: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times_ms.iter().for_each(|ms| histogram.observe(Duration::from_millis(*ms)));
        histogram
    }

    #[test]
    fn a_tap_is_followed_to_its_release_and_to_its_strike() {
        let mut counters = Counters::default();
        counters.tapped(at(100), 7);
        counters.released(at(103), 7);
        counters.struck(at(130), 7);
        counters.struck(at(500), 7);
        counters.released(at(500), 8);
        assert_eq!((&counters.counts().tap_release, &counters.counts().tap_strike), (&of(&[3]), &of(&[30])));
    }

    #[test]
    fn a_strike_that_did_not_come_is_no_time_but_a_failure_of_its_board() {
        let mut counters = Counters::default();
        let board = BoardId::new("b-1").unwrap();
        counters.tapped(at(0), 7);
        counters.not_struck(&board, 7);
        counters.struck(at(9), 7);
        assert_eq!(counters.counts().tap_strike, of(&[]));
        assert_eq!(counters.counts().board_failures[&board], 1);
    }

    #[test]
    fn taps_whose_boards_never_answer_are_not_followed_without_end() {
        let mut counters = Counters::default();
        (0..3000).for_each(|seq| counters.tapped(at(seq), seq));
        assert_eq!(counters.under_way.len(), FOLLOWED);
        counters.struck(at(3000), 2999);
        assert_eq!(counters.counts().tap_strike, of(&[1]), "the newest are");
    }
}
