//! What the stores say of themselves: what was recovered, and a cache that can't be used for a while.
//!
//! Doors go on from memory meanwhile. Nothing that central changes is in force before it is on disk, so a change waits:
//! it is not acknowledged, and is asked for again.

use super::Controller;
use crate::{
    control::{
        clock::Synchronised,
        event::{Action, JournalCommand, Note},
        index::Index,
    },
    domain::{At, EntryKind, Now},
    wire::{checkpoint::Checkpoint, control::StoreReport, stored::Position},
};

/// What the stores know beyond what they hold.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The highest epoch of the feed there ever was here, and how far it was applied.
    pub floor: (u64, u64),
    /// The latest instant recorded by a trusted clock, whatever became of the journal.
    pub latest: Option<At>,
    /// When the clock was last synchronised, if that was in this run of the machine.
    pub synchronised: Option<Synchronised>,
    /// Why the cache can't be used, where it can't.
    pub closed: Option<String>,
}

/// The cache, as people are told of it.
#[derive(Debug, Clone, Default)]
pub(super) struct CacheState {
    /// Since when it is as it is, if that was in this run.
    since: Option<At>,
    /// Why it can't be used.
    closed: Option<String>,
}

impl CacheState {
    pub(super) fn at_start(now: Now, closed: Option<String>) -> Self {
        CacheState { since: closed.is_some().then_some(now.wall), closed }
    }
}

impl Controller {
    pub(super) fn cache_closed(&mut self, now: Now, detail: String) {
        if self.cache.closed.is_none() {
            self.cache.since = Some(now.wall);
        }
        self.cache.closed = Some(detail);
        self.want_status(now);
    }

    pub(super) fn cache_opened(
        &mut self,
        now: Now,
        position: Position,
        index: Option<Box<Index>>,
        is_lost: bool,
        recovered: Vec<(u64, String)>,
    ) {
        self.cache = CacheState { since: Some(now.wall), closed: None };
        for (count, detail) in recovered {
            tracing::warn!(count, detail, "the store was recovered");
            self.record(now, EntryKind::StoreRecovered { count, detail });
        }
        let is_newer = index.is_some();
        if let Some(index) = index {
            let replaced = std::mem::replace(&mut self.index, *index);
            self.actions.push(Action::Discard(Box::new(replaced)));
        }
        self.sync.reopened(now.mono, is_newer.then_some(position), is_lost);
        self.want_status(now);
    }

    /// Central has events of this journal that are not in it: all of its state was put back as it was before (the image of
    /// a disk, the snapshot of a machine), and knows nothing of it. Central drops what comes under their numbers again.
    /// Nothing is done at once but to say so, for whoever can write to the broker may have made it up.
    pub(super) fn central_has_more(&mut self, now: Now, through: u64) {
        let recorded = self.outbox.recorded_through();
        let detail = format!(
            "journal: central has events through {through} of it, and it ends at {recorded}: an older state was put back, and \
             central drops what comes under these numbers again; restart latchd, so that it goes on under another id"
        );
        tracing::error!("{detail}");
        self.journal(JournalCommand::Forked { after: self.outbox.acknowledged_through() });
        self.record(now, EntryKind::StoreRecovered { count: through - recorded, detail });
    }

    /// From when on commands are taken can be said once the clock is trusted.
    pub(super) fn settle_commands(&mut self, now: Now) {
        if now.trust.is_trusted()
            && let Some(from) = self.commands.clock_is_trusted(now.wall)
        {
            self.note(Note::CommandsFrom(from));
        }
    }

    /// The newest signature under the journal.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    pub(super) fn store_state(&self) -> &'static str {
        if self.cache.closed.is_some() { "failing" } else { "good" }
    }

    pub(super) fn store_report(&self) -> StoreReport {
        StoreReport {
            state: self.store_state().into(),
            since: self.cache.since.map(At::floor_ms),
            detail: self.cache.closed.clone(),
        }
    }
}
