//! Keeps what a card or a cable can trigger from filling the log: one line a while, with the number left out.

use std::time::Duration;

use crate::domain::Mono;

/// Quiet time after a line, by default.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Mono>,
    left_out: u64,
}

impl Seldom {
    /// `Some(n)` when a line may be written now, after `n` that were left out.
    pub fn may(&mut self, now: Mono) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < QUIET) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_and_it_says_how_many_were_left_out() {
        let at = |ms| Mono(Duration::from_millis(ms));
        let mut seldom = Seldom::default();
        assert_eq!(seldom.may(at(5)), Some(0));
        assert_eq!(seldom.may(at(6)), None);
        assert_eq!(seldom.may(at(10_004)), None);
        assert_eq!(seldom.may(at(10_005)), Some(2));
        assert_eq!(seldom.may(at(10_006)), None);
    }
}
