//! Whether a reader answers, so that `Connected` and `Lost` are each said once a change.

use std::time::Duration;

use crate::control::ReaderEvent;

/// A link that is lost sooner than this was not really up: it flaps, as with a loose plug.
pub const STEADY: Duration = Duration::from_secs(10);
/// The longest wait for a link that flaps: each time it comes and goes is two entries in the journal.
pub const FLAPPING_CAP: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// Nothing is known yet: the first failure is worth saying too.
    #[default]
    Untried,
    Up,
    Down,
}

impl Link {
    /// What to say, if that is news.
    pub fn connected(&mut self, detail: impl FnOnce() -> String) -> Option<ReaderEvent> {
        self.turn(Link::Up).then(|| ReaderEvent::Connected { detail: detail() })
    }

    /// What to say, if that is news.
    pub fn lost(&mut self, detail: impl FnOnce() -> String) -> Option<ReaderEvent> {
        self.turn(Link::Down).then(|| ReaderEvent::Lost { detail: detail() })
    }

    fn turn(&mut self, to: Link) -> bool {
        std::mem::replace(self, to) != to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_said_once_and_the_first_failure_too() {
        let mut link = Link::default();
        assert!(link.lost(|| "no such file".into()).is_some());
        assert!(link.lost(|| "no such file".into()).is_none());
        assert!(link.connected(String::new).is_some());
        assert!(link.connected(String::new).is_none());
        assert!(link.lost(|| "unplugged".into()).is_some());
    }
}
