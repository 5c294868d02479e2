//! How much the controller holds on to: what must stay small however long it runs, and whatever comes.

use super::Controller;

/// Numbers of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Doors that wait for their entry to be on disk.
    pub waiting: usize,
    /// Pulses that were asked for and have not ended.
    pub pulses: usize,
    /// Answers that wait for the journal.
    pub unrecorded: usize,
    /// Commands whose doors have yet to confirm.
    pub unanswered: usize,
    /// Commands that wait until it is on disk that they were taken.
    pub orders: usize,
    /// Commands that are remembered.
    pub commands: usize,
    /// Guests let in, over all bookings.
    pub let_in: usize,
}

impl Controller {
    pub fn load(&self) -> Load {
        Load {
            waiting: self.waiting.len(),
            pulses: self.pulses.len(),
            unrecorded: self.unrecorded.len(),
            unanswered: self.unanswered.len(),
            orders: self.orders.len(),
            commands: self.commands.len(),
            let_in: self.let_in.iter().count(),
        }
    }
}
