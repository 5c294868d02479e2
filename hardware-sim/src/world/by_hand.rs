//! The world without its dice: a controller that is connected, and a central whose messages are handed over one by one,
//! for attacks that somebody thought of.

use std::{rc::Rc, time::Duration};

use latchd::wire::control::GrantQuery;

use super::{Broken, Central, Message, World};

impl World {
    /// A controller that is connected, to a central that does not hear it and has sent nothing yet.
    #[must_use]
    pub fn by_hand() -> Self {
        let mut world = World::new(1, None);
        world.is_deaf = true;
        world.later(Duration::from_secs(10));
        world
    }

    /// What central sends while it does this; nobody has it yet.
    pub fn sent(&mut self, act: impl FnOnce(&mut Central)) -> Vec<Rc<Message>> {
        self.central.outgoing.clear();
        act(&mut self.central);
        self.central.outgoing.drain(..).collect()
    }

    /// Delivers one after the other, each stored before the next.
    ///
    /// # Errors
    /// Something that must be so is not.
    pub fn deliver_all<'a>(
        &mut self,
        messages: impl IntoIterator<Item = &'a Rc<Message>>,
    ) -> Result<(), Broken> {
        for message in messages {
            self.broker.replay(self.mono, Rc::clone(message));
            self.later(Duration::from_millis(60));
        }
        self.check_index();
        self.verdict()
    }

    /// The first thing that was not as it must be.
    ///
    /// # Errors
    /// There is one.
    pub fn verdict(&self) -> Result<(), Broken> {
        self.verdicts.broken().cloned().map_or(Ok(()), Err)
    }

    /// How far the feed is.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        let report = self.controller.sync_report();
        (report.epoch, report.applied)
    }

    #[must_use]
    pub fn has_grant(&self, id: &str) -> bool {
        let reading = self.clock.reading(self.mono);
        let (grants, _) = self.controller.grants(&GrantQuery::default(), reading, 0);
        grants.iter().any(|grant| grant.id.as_str() == id)
    }

    /// Entries in the journal.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.journal.last()
    }
}
