//! A line's boards become others while it runs: what is asked of them changes, and no pulse, no connection and no
//! command that waits is lost over it.

use super::{Config, WAITING_MAX, line::Line, unit::Unit};

impl Line {
    /// Takes up what the line was told last of its boards, if that is news.
    pub fn take_up_changes(&mut self) {
        // An end of the other side is noticed by the commands' queue.
        if !self.changes.has_changed().unwrap_or(false) {
            return;
        }
        let boards: Vec<Config> = self.changes.borrow_and_update().clone();
        for (n, config) in boards.into_iter().enumerate() {
            match self.units.get_mut(n) {
                Some(unit) => unit.change(config),
                None => {
                    self.inbox.boards.push((config.board.clone(), false));
                    self.inbox.waiting_max += WAITING_MAX;
                    self.units.push(Unit::new(config));
                }
            }
        }
    }
}
