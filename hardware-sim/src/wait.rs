//! Waiting for a condition, with a limit: what the demo, central and tests do in place of sleeping.
//!
//! Also the wall clock, which devices don't have but a central that books rooms does.

use chrono::{DateTime, Utc};
use std::thread;
use std::time::Duration;

/// How often a condition is looked at: well under what a person notices, well over what costs anything.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Asks until there is an answer; none within the limit is none. The condition is asked at least once.
pub fn until<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = crate::time::now();
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if start.elapsed() >= limit {
            return None;
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

/// The wall clock.
#[must_use]
pub fn wall_now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_already_true_needs_no_time() {
        assert_eq!(until(Duration::ZERO, || Some(7)), Some(7));
    }

    #[test]
    fn a_condition_that_comes_true_is_seen() {
        let mut looks = 0;
        let third_look = || {
            looks += 1;
            (looks == 3).then_some(looks)
        };
        assert_eq!(until(Duration::from_secs(5), third_look), Some(3));
    }

    #[test]
    fn a_condition_that_stays_false_ends_at_the_limit() {
        assert_eq!(until(Duration::from_millis(20), || None::<()>), None);
    }
}
