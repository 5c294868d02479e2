//! What comes from central, and what the cache says became of it.

use std::collections::BTreeSet;

use super::{Controller, Link};
use crate::{
    control::{
        event::{
            Action, Applied, CacheCommand, CacheEvent, Removal, Replaced, Staged, UplinkCommand, UplinkEvent,
        },
        sync::Step,
    },
    domain::{EntryKind, Grant, Now, Record},
    wire::{
        feed::{Ack, Feed, MessageError, Sealed},
        outgoing::Sync,
    },
};

impl Controller {
    pub(super) fn uplink_says(&mut self, now: Now, what: UplinkEvent) {
        match what {
            UplinkEvent::Connected { detail } => {
                self.uplink = Link { connected: true, since: Some(now.wall), detail: Some(detail) };
                self.sync.connected(now.mono);
                self.outbox.connected();
                self.published.iter_mut().for_each(|p| *p = None);
                self.publish_status(now);
            }
            UplinkEvent::Disconnected { detail } => {
                let since = if self.uplink.connected { Some(now.wall) } else { self.uplink.since };
                self.uplink = Link { connected: false, since, detail: Some(detail) };
                self.sync.disconnected();
                self.outbox.disconnected();
                self.held = None;
            }
            UplinkEvent::Feed { token, message } => self.feed(now, token, message),
            UplinkEvent::Ack { message } => self.ack(now, message),
            UplinkEvent::Sent { through } => self.outbox.sent(through),
            UplinkEvent::Certificates { ends } => self.certificates = ends,
        }
    }

    /// One message is at the cache at a time. While one is (from a connection that has ended since), the next waits.
    fn feed(&mut self, now: Now, token: u64, message: Result<Feed, MessageError>) {
        if self.at_cache.is_some() {
            self.held = Some((token, message));
            return;
        }
        let feed = match message {
            Ok(feed) => feed,
            Err(error) => return self.rejected(now, token, error.to_string()),
        };
        self.heard_central(now);
        match self.sync.receive(now.mono, feed) {
            Step::Nothing => self.done(token),
            Step::Rejected(why) => self.rejected(now, token, why),
            Step::Gap(what) => {
                self.record(now, EntryKind::SyncGap(self.sync_note(what)));
                self.done(token);
            }
            Step::Apply { applied, rejected, items, refused } => {
                self.note_refused(now, refused);
                let owners = self.index.owners(items.iter().filter_map(Sealed::put));
                self.hand_to_cache(token, CacheCommand::Apply { applied, rejected, items, owners });
            }
            Step::Stage { part, refused } => {
                self.note_refused(now, refused);
                self.hand_to_cache(token, CacheCommand::Stage { part, at: now.wall });
            }
        }
    }

    /// A message that changes nothing is acknowledged, so that it can't block the line.
    fn rejected(&mut self, now: Now, token: u64, why: String) {
        tracing::warn!(why, "a message from central was rejected");
        self.record(now, EntryKind::SyncRejected(self.sync_note(why)));
        self.done(token);
    }

    fn note_refused(&mut self, now: Now, refused: Option<String>) {
        if let Some(why) = refused {
            tracing::warn!(why, "records from central were refused");
            self.record(now, EntryKind::SyncRejected(self.sync_note(why)));
        }
    }

    fn ack(&mut self, now: Now, message: Result<Ack, MessageError>) {
        match message {
            Ok(ack) => {
                self.heard_central(now);
                if ack.journal == self.journal_id && self.outbox.acknowledged(now.mono, ack.through) {
                    let through = ack.through;
                    self.journal(crate::control::event::JournalCommand::Acknowledged { through });
                    self.want_status(now);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "an acknowledgement from central was rejected");
                self.record(now, EntryKind::SyncRejected(self.sync_note(format!("ack: {error}"))));
            }
        }
    }

    pub(super) fn cache_says(&mut self, now: Now, what: CacheEvent) {
        let token = self.at_cache.take();
        match what {
            CacheEvent::Applied(applied) => self.applied(now, applied),
            CacheEvent::Staged(staged) => self.staged(now, staged),
            CacheEvent::Failed { detail } => {
                tracing::error!(detail, "a change from central could not be stored");
                self.sync.failed(now.mono);
                return self.uplink(UplinkCommand::Undone);
            }
        }
        token.into_iter().for_each(|token| self.done(token));
        if let Some((token, message)) = self.held.take() {
            self.feed(now, token, message);
        }
    }

    /// On disk: now the index follows, and the broker is told.
    fn applied(&mut self, now: Now, applied: Applied) {
        let removal = self.removal_by(now, &applied.replaced);
        for replaced in &applied.replaced {
            self.index.apply(replaced.old.as_ref(), replaced.new.as_ref());
        }
        self.sync.applied(now.mono, applied.position);
        self.note_removal(now, removal);
        self.note_conflicts(now, applied.conflicts);
        self.want_status(now);
    }

    fn staged(&mut self, now: Now, staged: Staged) {
        match staged {
            Staged::Part { part, conflicts, .. } => {
                self.sync.staged(now.mono, part);
                self.note_conflicts(now, conflicts);
            }
            Staged::OutOfOrder { .. } => self.sync.failed(now.mono),
            Staged::InForce { id, position, index, conflicts, removal } => {
                let replaced = std::mem::replace(&mut self.index, *index);
                self.actions.push(Action::Discard(Box::new(replaced)));
                self.sync.in_force(now.mono, id.clone(), position);
                self.note_removal(now, removal);
                self.note_conflicts(now, conflicts);
                let said = format!(
                    "snapshot {id}: {} credentials, {} grants",
                    self.index.credentials(),
                    self.index.grants()
                );
                self.record(now, EntryKind::SnapshotApplied(self.sync_note(said)));
                self.want_status(now);
            }
        }
    }

    /// How much one message takes away of what was open or to come. Counts no further than it takes to know that it
    /// is less than half.
    fn removal_by(&self, now: Now, replaced: &[Replaced]) -> Removal {
        let is_live = |g: &Grant| g.terms().is_live(self.index.policy(), now.wall);
        let mut gone = BTreeSet::new();
        for Replaced { old, new } in replaced {
            match (old, new) {
                (_, Some(Record::Grant(put))) => _ = gone.remove(&put.id),
                (Some(Record::Grant(old)), None) if is_live(old) => _ = gone.insert(old.id.clone()),
                _ => {}
            }
        }
        let removed = gone.len();
        if removed == 0 {
            return Removal::default();
        }
        let all = self.index.holders(0).flat_map(|(_, holder)| holder.grants());
        let live = all.filter(|g| self.index.terms(g).is_live(self.index.policy(), now.wall));
        Removal { live: live.take(removed * 2).count(), removed }
    }

    fn note_removal(&mut self, now: Now, removal: Removal) {
        if removal.is_mass() {
            let said =
                format!("{} grants that were open or to come are gone, more than half", removal.removed);
            tracing::warn!(said, "central took away most grants");
            self.record(now, EntryKind::MassRemoval(self.sync_note(said)));
        }
    }

    fn note_conflicts(&mut self, now: Now, conflicts: Vec<String>) {
        for conflict in conflicts {
            self.record(now, EntryKind::SyncConflict(self.sync_note(conflict)));
        }
    }

    pub(super) fn send_sync(&mut self) {
        let message = Sync::of(self.settings.controller.clone(), self.sync.position(), self.sync.want());
        self.uplink(UplinkCommand::Sync(message));
    }

    fn done(&mut self, token: u64) {
        self.uplink(UplinkCommand::Done { token });
    }

    fn hand_to_cache(&mut self, token: u64, command: CacheCommand) {
        self.at_cache = Some(token);
        self.actions.push(Action::Cache(command));
    }
}
