//! What happened, in order and with its instant: one bounded record a device, read by tests (what did the coil
//! do?), by the verbs (print it) and by whoever measures.

use std::collections::VecDeque;
use std::time::Instant;

/// A day of a busy door is a few thousand lines; a benchmark's 10,000 taps fit with all they cause.
const KEPT: usize = 65_536;

/// One line of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// Counts from 0 without a gap, also over lines that are no longer kept.
    pub number: u64,
    pub at: Instant,
    pub what: T,
}

/// The newest lines; older ones make room.
#[derive(Debug)]
pub struct Record<T> {
    entries: VecDeque<Entry<T>>,
    next: u64,
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), next: 0 }
    }
}

impl<T> Record<T> {
    pub fn add(&mut self, at: Instant, what: T) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { number: self.next, at, what });
        self.next += 1;
    }

    /// The number the next line will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry<T>> {
        self.entries.iter()
    }
}

impl<T: Clone> Record<T> {
    /// What is kept from line `number` on.
    #[must_use]
    pub fn since(&self, number: u64) -> Vec<Entry<T>> {
        self.entries.iter().filter(|entry| entry.number >= number).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_record_forgets_the_oldest_line_and_counts_on() {
        let mut record = Record::default();
        for value in 0..=KEPT {
            record.add(crate::time::now(), value);
        }
        assert_eq!(record.iter().count(), KEPT);
        assert_eq!(record.iter().next().map(|entry| entry.number), Some(1));
        assert_eq!(record.since(KEPT as u64).len(), 1);
    }
}
