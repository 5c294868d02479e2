//! What comes from central, and what the cache says became of it.

use std::collections::BTreeSet;

use super::{Controller, Link};
use crate::{
    control::{
        event::{
            Action, Applied, CacheCommand, CacheEvent, Removal, Replaced, Staged, UplinkCommand, UplinkEvent,
        },
        refusals::Refused,
        sync::Step,
    },
    domain::{EntryKind, Grant, Now, Record},
    wire::{
        feed::{Ack, Feed, MessageError, Sealed},
        outgoing::{Sync, Want},
    },
};

/// A message on `feed`, as the link handed it over.
#[derive(Debug)]
pub(super) struct Delivery {
    token: u64,
    again: bool,
    message: Result<Feed, MessageError>,
}

impl Controller {
    pub(super) fn uplink_says(&mut self, now: Now, what: UplinkEvent) {
        match what {
            UplinkEvent::Connected { detail, is_resumed } => {
                self.counters.broker(true);
                self.uplink = Link { connected: true, since: Some(now.wall), detail: Some(detail) };
                self.sync.connected(now.mono, is_resumed);
                self.outbox.connected();
                self.published.iter_mut().for_each(|p| *p = None);
                self.tell_gone();
                self.publish_status(now);
                self.answer_again(now);
            }
            UplinkEvent::Disconnected { detail } => {
                self.counters.broker(false);
                let since = if self.uplink.connected { Some(now.wall) } else { self.uplink.since };
                self.uplink = Link { connected: false, since, detail: Some(detail) };
                self.sync.disconnected();
                self.outbox.disconnected();
                self.held = None;
            }
            UplinkEvent::SaidOffline => self.publish_status(now),
            UplinkEvent::Feed { token, again, message } => {
                self.feed(now, Delivery { token, again, message });
            }
            UplinkEvent::Ack { message } => self.ack(now, message),
            UplinkEvent::Command { token, message } => self.command(now, token, message),
            UplinkEvent::Sent { through } => self.outbox.sent(through),
            UplinkEvent::Skipped { through } => self.outbox.skip(through),
            UplinkEvent::Unreadable { events } => self.unreadable(now, &events),
            UplinkEvent::Certificates { ends } => self.certificates = ends,
        }
    }

    /// Said once of each: they are left out whenever they would be sent again.
    fn unreadable(&mut self, now: Now, events: &[u64]) {
        let last = self.unreadable_through;
        let new: Vec<String> = events.iter().filter(|&&seq| seq > last).map(u64::to_string).collect();
        let Some(&through) = events.last().filter(|_| !new.is_empty()) else { return };
        self.unreadable_through = through;
        let count = new.len() as u64;
        let which = new.join(", ");
        tracing::error!(count, which, "events in the journal can't be read, and are not sent");
        let detail =
            format!("damaged in the journal, and not sent to central: {which}; see latchctl journal verify");
        self.record(now, EntryKind::StoreRecovered { count, detail });
    }

    /// One message is at the cache at a time. While one is (from a connection that has ended since), the next waits.
    fn feed(&mut self, now: Now, delivery: Delivery) {
        if self.at_cache.is_some() {
            self.held = Some(delivery);
            return;
        }
        let Delivery { token, again, message } = delivery;
        let feed = match message {
            Ok(feed) => feed,
            Err(error) => {
                self.refused(now, what_is_wrong(&error), error.to_string());
                return self.done(token);
            }
        };
        match self.sync.receive(now.mono, feed) {
            Step::Nothing => self.done(token),
            Step::Repeat(why) => {
                // Delivered again because it was not acknowledged, it is what the broker owes us.
                if !again {
                    self.refused(now, Refused::Repeat, why);
                }
                self.done(token);
            }
            // A message that changes nothing is acknowledged, so that it can't block the line.
            Step::Rejected(why) => {
                self.refused(now, Refused::Epoch, why);
                self.done(token);
            }
            Step::Gap(what) => {
                self.record(now, EntryKind::SyncGap(self.sync_note(what)));
                self.done(token);
            }
            Step::Apply { applied, rejected, items, refused } => {
                self.heard_central(now);
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

    fn note_refused(&mut self, now: Now, refused: Option<String>) {
        if let Some(why) = refused {
            self.refused(now, Refused::Records, why);
        }
    }

    /// Counts what central's messages were refused for, and records it unless it is a flood.
    pub(super) fn refused(&mut self, now: Now, what: Refused, why: String) {
        if let Some(why) = self.refusals.note(now.mono, what, why) {
            tracing::warn!(why, what = what.as_str(), "a message from central was rejected");
            self.record(now, EntryKind::SyncRejected(self.sync_note(why)));
        }
    }

    pub(super) fn tell_refusals(&mut self, now: Now) {
        for (what, sum) in self.refusals.take_due(now.mono) {
            tracing::warn!(sum, what = what.as_str(), "messages from central were rejected");
            let sum = match what {
                Refused::Command => EntryKind::CommandRejected {
                    id: None,
                    action: None,
                    door: None,
                    reason: "too_many",
                    detail: sum,
                },
                Refused::Signature
                | Refused::Controller
                | Refused::Content
                | Refused::Epoch
                | Refused::Repeat
                | Refused::Records => EntryKind::SyncRejected(self.sync_note(sum)),
            };
            self.record(now, sum);
        }
    }

    fn ack(&mut self, now: Now, message: Result<Ack, MessageError>) {
        match message {
            Ok(ack) => {
                if ack.journal == self.journal_id && self.outbox.acknowledged(now.mono, ack.through) {
                    // Only central knows how far it has come; an older one may be anybody's repeat.
                    self.heard_central(now);
                    let through = ack.through;
                    self.journal(crate::control::event::JournalCommand::Acknowledged { through });
                    self.want_status(now);
                } else if ack.journal == self.journal_id && self.outbox.falls_behind(ack.through) {
                    self.central_has_more(now, ack.through);
                }
            }
            Err(error) => self.refused(now, what_is_wrong(&error), format!("ack: {error}")),
        }
    }

    pub(super) fn cache_says(&mut self, now: Now, what: CacheEvent) {
        let token = match what {
            CacheEvent::Remembered { id } => return self.remembered(now, &id),
            CacheEvent::NotRemembered { id, detail } => return self.not_remembered(now, &id, detail),
            CacheEvent::Closed { detail } => return self.cache_closed(now, detail),
            CacheEvent::Opened { position, index, is_lost, recovered } => {
                return self.cache_opened(now, position, index, is_lost, recovered);
            }
            CacheEvent::Applied(_) | CacheEvent::Staged(_) | CacheEvent::Failed { .. } => {
                self.at_cache.take()
            }
        };
        match what {
            CacheEvent::Remembered { .. }
            | CacheEvent::NotRemembered { .. }
            | CacheEvent::Closed { .. }
            | CacheEvent::Opened { .. } => {}
            CacheEvent::Applied(applied) => self.applied(now, applied),
            CacheEvent::Staged(staged) => self.staged(now, staged),
            CacheEvent::Failed { detail } => {
                tracing::error!(detail, "a change from central could not be stored");
                self.counters.cache_failed();
                self.sync.failed(now.mono);
                return self.uplink(UplinkCommand::Undone);
            }
        }
        token.into_iter().for_each(|token| self.done(token));
        if let Some(delivery) = self.held.take() {
            self.feed(now, delivery);
        }
    }

    /// On disk: now the index follows, and the broker is told.
    fn applied(&mut self, now: Now, applied: Applied) {
        let removal = self.removal_by(now, &applied.replaced);
        for replaced in &applied.replaced {
            self.index.apply(replaced.old.as_ref(), replaced.new.as_ref());
        }
        self.sync.applied(now.mono, applied.position);
        self.desk_follows(now, &applied.replaced);
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
                self.heard_central(now);
                let replaced = std::mem::replace(&mut self.index, *index);
                // It may have been built for the doors of before a reload.
                let places = self.settings.places();
                if !self.index.is_for(&places) {
                    self.index.set_doors(places);
                }
                self.actions.push(Action::Discard(Box::new(replaced)));
                self.sync.in_force(now.mono, id.clone(), position);
                self.desk_follows_snapshot(now);
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

    pub(super) fn send_sync(&mut self, want: Want) {
        let message = Sync {
            rejected: self.sync.refused(),
            ..Sync::of(self.settings.controller.clone(), self.sync.position(), want)
        };
        self.uplink(UplinkCommand::Sync(message));
    }

    pub(super) fn done(&mut self, token: u64) {
        self.uplink(UplinkCommand::Done { token });
    }

    fn hand_to_cache(&mut self, token: u64, command: CacheCommand) {
        self.at_cache = Some(token);
        self.actions.push(Action::Cache(command));
    }
}

/// Under what a message that was not understood is counted.
pub(super) fn what_is_wrong(error: &MessageError) -> Refused {
    match error {
        MessageError::Jws(_) => Refused::Signature,
        MessageError::OtherController(_) => Refused::Controller,
        MessageError::NotJson(_)
        | MessageError::Count { .. }
        | MessageError::TooMany(_)
        | MessageError::Field(_) => Refused::Content,
    }
}
