//! What happened how often, so that nobody believes in a world where nothing does.

use std::collections::BTreeMap;

/// Names of what happened, with how often.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    pub fn note(&mut self, what: &str) {
        self.add(what, 1);
    }

    fn add(&mut self, what: &str, count: u64) {
        match self.0.get_mut(what) {
            Some(counted) => *counted += count,
            None => _ = self.0.insert(what.to_owned(), count),
        }
    }

    pub fn merge(&mut self, other: &Counts) {
        other.0.iter().for_each(|(what, count)| self.add(what, *count));
    }

    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(what, count)| (what.as_str(), *count))
    }
}
