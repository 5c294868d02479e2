//! Cards at the desk: activated with staffed hours in mind, suspended at once, by id or with the card on a reader.

use super::{Asker, Controller, Who};
use crate::{
    control::{
        desk::{CardWait, DeskCard},
        event::{CardOrder, Note, Replaced},
        feedback::Feedback,
        index::{CredentialView, Name},
    },
    domain::{
        CredentialId, EntryKind, HolderId, Now, ReaderId, Record, Status, Uid,
        entry::{CardNote, OperatorCommand},
    },
    wire::desk::StoredCard,
};

/// A card, and whose it is.
struct Card {
    id: CredentialId,
    holder: HolderId,
    status: Status,
    has_uid: bool,
}

impl Card {
    fn of(holder: Name<'_>, view: &CredentialView<'_>) -> Option<Card> {
        Some(Card {
            id: view.id.as_id(CredentialId::new)?,
            holder: holder.as_id(HolderId::new)?,
            status: view.status,
            has_uid: view.uid.is_some(),
        })
    }
}

/// Who wants it, and with what right.
struct Wish {
    by: String,
    may_override: bool,
    reason: Option<String>,
}

impl Controller {
    /// `who` says what the desk is to do to a card, by its id.
    pub(super) fn desk_says(&mut self, now: Now, who: Who, by: String, order: CardOrder) {
        let CardOrder { credential, holder, status, may_override, reason } = order;
        let wish = Wish { by, may_override, reason };
        let found = self.index.by_holder(holder.as_str()).and_then(|holder| {
            let view = holder.credentials().find(|c| c.id.is(credential.as_str()))?;
            Card::of(holder.id(), &view)
        });
        match found {
            None => self.answer(who, Err(format!("there is no credential {credential} any more"))),
            Some(card) if status == Status::Suspended => self.suspend(now, who, card, wish),
            Some(card) => self.activate(now, who, card, wish),
        }
    }

    fn suspend(&mut self, now: Now, who: Who, card: Card, wish: Wish) {
        let why = match card.status {
            Status::Issued | Status::Active => None,
            Status::Suspended => Some("it is suspended already; nothing was changed".to_owned()),
            Status::Lost | Status::Revoked => {
                Some(format!("it is {} and opens nothing", card.status.as_str()))
            }
        };
        if let Some(why) = why {
            return self.desk_refuses(now, who, "suspend", card.id, wish, &why);
        }
        let (id, stored) = self.enter_card(now, &card, Status::Suspended, false, wish);
        let seq = stored.seq;
        self.desk.pending.retain(|_, (pending, _)| *pending != id);
        self.set_card(id, stored, card.status);
        self.answer_done(Some(Asker { who, seq }));
    }

    fn activate(&mut self, now: Now, who: Who, card: Card, wish: Wish) {
        // It would not count before its entry is on disk.
        if let Some(fault) = self.journal_fault.clone() {
            let why = format!("it can't be recorded now: {fault}");
            return self.desk_refuses(now, who, "activate", card.id, wish, &why);
        }
        let is_override = match self.may_activate(now, &card, wish.may_override) {
            Ok(is_override) => is_override,
            Err(why) => return self.desk_refuses(now, who, "activate", card.id, wish, &why),
        };
        let (id, stored) = self.enter_card(now, &card, Status::Active, is_override, wish);
        let seq = stored.seq;
        self.desk.pending.insert(seq, (id, stored));
        self.answer_done(Some(Asker { who, seq }));
    }

    /// Whether the desk may, and whether it takes an administrator's override.
    fn may_activate(&self, now: Now, card: &Card, may_override: bool) -> Result<bool, String> {
        let by_desk = self.desk.cards.get(&card.id);
        match card.status {
            Status::Issued => {}
            // What the desk has suspended, it may give back.
            Status::Suspended if by_desk.is_some_and(|c| c.central != Some(Status::Suspended)) => {}
            Status::Suspended => {
                return Err("central has suspended it, so it has to be lifted there".into());
            }
            Status::Active => return Err("it is active already; nothing was changed".into()),
            Status::Lost | Status::Revoked => {
                return Err(format!(
                    "it is {}, which only central can change; hand out another card",
                    card.status.as_str()
                ));
            }
        }
        if !card.has_uid {
            return Err("the card itself belongs to a later credential".into());
        }
        match self.staffed(now) {
            Ok(()) => Ok(false),
            Err(_) if may_override => Ok(true),
            Err(why) => Err(why),
        }
    }

    /// Whether the desk is staffed now; if not, a sentence that says when it is.
    pub(super) fn staffed(&self, now: Now) -> Result<(), String> {
        const INSTEAD: &str = "an administrator can do it now with --override";
        if !now.trust.is_trusted() {
            return Err(format!(
                "the clock is not trusted, so whether the desk is staffed can't be told; {INSTEAD}"
            ));
        }
        let (policy, zone) = (self.index.policy(), self.settings.zone);
        if policy.is_staffed(zone, now.wall) {
            return Ok(());
        }
        let next = match policy.next_staffed(zone, now.wall) {
            Some((from, to)) => format!("they are next {} to {}", zone.show(from), zone.show_time(to)),
            None => "the policy has none within a year".to_owned(),
        };
        Err(format!("it is outside staffed hours; {next}; {INSTEAD}"))
    }

    fn desk_refuses(&mut self, now: Now, who: Who, action: &str, id: CredentialId, wish: Wish, why: &str) {
        let refused = OperatorCommand {
            credential: Some(id.clone()),
            reason: wish.reason,
            ..OperatorCommand::refused(&wish.by, action, why)
        };
        self.record_command(now, refused);
        self.answer(who, Err(format!("{id} was not {}: {why}", past(action))));
    }

    /// The entries of it: who commanded what, and what became of the card.
    fn enter_card(
        &mut self,
        now: Now,
        card: &Card,
        status: Status,
        is_override: bool,
        wish: Wish,
    ) -> (CredentialId, StoredCard) {
        let Wish { by, reason, .. } = wish;
        let action = if status == Status::Active { "activate" } else { "suspend" };
        let credential = Some(card.id.clone());
        self.record_command(
            now,
            OperatorCommand { credential, reason, ..OperatorCommand::done(&by, action) },
        );
        let position = *self.sync.position();
        let (epoch, applied) = (position.epoch, position.applied);
        let note = CardNote {
            credential: card.id.clone(),
            holder: card.holder.clone(),
            by: by.clone(),
            is_override,
            epoch,
            applied,
        };
        let kind = match status {
            Status::Active => EntryKind::CredentialActivated(note),
            Status::Issued | Status::Suspended | Status::Lost | Status::Revoked => {
                EntryKind::CredentialSuspended(note)
            }
        };
        tracing::info!(credential = %card.id, by, is_override, status = status.as_str(), "a card at the desk");
        let seq = self.record(now, kind);
        let holder = card.holder.clone();
        let at = now.wall.floor_ms();
        (card.id.clone(), StoredCard { seq, status, holder, by, at, is_override, epoch, applied })
    }

    /// From here on the card is what the desk said, and the cache keeps it. `shown`: what it was here until now.
    fn set_card(&mut self, id: CredentialId, stored: StoredCard, shown: Status) {
        let central = self.desk.cards.get(&id).map_or(Some(shown), |known| known.central);
        self.index.set_status(stored.holder.as_str(), id.as_str(), stored.status);
        self.note(Note::Card { credential: id.clone(), card: stored.clone() });
        self.desk.cards.insert(id, DeskCard { stored, central });
    }

    /// Activations whose entries are on disk count from now on.
    pub(super) fn activate_recorded(&mut self, through: u64) {
        let later = self.desk.pending.split_off(&(through + 1));
        for (id, stored) in std::mem::replace(&mut self.desk.pending, later).into_values() {
            let shown = self.shown_status(&stored.holder, &id);
            if let Some(shown) = shown {
                self.set_card(id, stored, shown);
            }
        }
    }

    fn shown_status(&self, holder: &HolderId, id: &CredentialId) -> Option<Status> {
        let holder = self.index.by_holder(holder.as_str())?;
        holder.credentials().find(|c| c.id.is(id.as_str())).map(|c| c.status)
    }

    /// An index with nothing but central's words has come: what still holds of the desk's is put over it.
    pub(super) fn set_cards_again(&mut self) {
        let ids: Vec<CredentialId> = self.desk.cards.keys().cloned().collect();
        ids.iter().for_each(|id| self.set_card_again(id));
    }

    fn set_card_again(&mut self, id: &CredentialId) {
        let Some(stored) = self.desk.cards.get(id).map(|card| card.stored.clone()) else { return };
        let central = self.shown_status(&stored.holder, id);
        if let Some(card) = self.desk.cards.get_mut(id) {
            card.central = central;
        }
        self.index.set_status(stored.holder.as_str(), id.as_str(), stored.status);
    }

    /// Changes of the feed are in the index: where they say something of a card, that holds; where they only took its
    /// UID away, what the desk said still does.
    pub(super) fn desk_follows(&mut self, now: Now, replaced: &[Replaced]) {
        if self.desk.cards.is_empty() && self.desk.pending.is_empty() {
            return;
        }
        for Replaced { old, new } in replaced {
            match (old, new) {
                (_, Some(Record::Credential(c))) if c.uid.is_some() => {
                    self.central_said(now, &c.id, Some(c.status))
                }
                (_, Some(Record::Credential(c))) => self.set_card_again(&c.id),
                (Some(Record::Credential(c)), None) => self.central_said(now, &c.id, None),
                _ => {}
            }
        }
    }

    fn central_said(&mut self, now: Now, id: &CredentialId, status: Option<Status>) {
        // Sent once more, after the cache was lost: it was known when the desk set the card.
        let position = *self.sync.position();
        let is_older = |card: &DeskCard| !card.stored.is_before(position.epoch, position.applied);
        if self.desk.cards.get(id).is_some_and(is_older) {
            return self.set_card_again(id);
        }
        if let Some(card) = self.desk.forget(id) {
            self.say_overruled(now, id, &card, status);
        }
    }

    /// A snapshot is in force.
    pub(super) fn desk_follows_snapshot(&mut self, now: Now) {
        let position = *self.sync.position();
        for (id, card) in self.desk.forget_before(position.epoch, position.applied) {
            let status = self.shown_status(&card.stored.holder, &id);
            self.say_overruled(now, &id, &card, status);
        }
        self.set_cards_again();
    }

    /// Whoever suspended a card is to find out why it opens doors again.
    fn say_overruled(&mut self, now: Now, id: &CredentialId, card: &DeskCard, status: Option<Status>) {
        if status == Some(card.stored.status) {
            return;
        }
        let set = card.stored.status.as_str();
        let now_is = status.map_or("gone", Status::as_str);
        let said = format!(
            "credential {id}, {set} at the desk by {}, is {now_is} by central's word",
            card.stored.by
        );
        tracing::warn!(said, "central overruled the desk");
        self.record(now, EntryKind::SyncConflict(self.sync_note(said)));
    }

    /// Somebody waits for a card at this reader: the next tap there is for them, and opens nothing.
    pub(super) fn await_card(&mut self, now: Now, reader: &ReaderId, wait: CardWait) {
        let who = Who::Technician(wait.token);
        let Some(state) = self.readers.get(reader) else {
            return self.answer(who, Err(format!("there is no reader {reader}")));
        };
        if !state.link.connected {
            let why = state.link.detail.clone().unwrap_or_else(|| "not connected yet".into());
            return self.answer(who, Err(format!("reader {reader} is not connected: {why}")));
        }
        if let Some(other) = self.desk.waits.get(reader) {
            return self.answer(who, Err(format!("{} waits for a card at {reader} already", other.by)));
        }
        if let Err(why) = self.staffed(now).or_else(|why| if wait.may_override { Ok(()) } else { Err(why) }) {
            let refused = OperatorCommand {
                credential: wait.credential.clone(),
                reason: wait.reason,
                ..OperatorCommand::refused(&wait.by, "activate", why.as_str())
            };
            self.record_command(now, refused);
            return self.answer(who, Err(format!("no card was activated: {why}")));
        }
        self.desk.waits.insert(reader.clone(), wait);
    }

    /// Who waited has gone.
    pub(super) fn stop_waiting(&mut self, id: u64) {
        self.desk.waits.retain(|_, wait| wait.id != id);
    }

    pub(super) fn end_waits(&mut self, now: Now) {
        for (reader, wait) in self.desk.take_over(now.mono) {
            let within = wait.within.as_secs();
            let why = format!("no card was held to {reader} within {within} s; nothing was changed");
            self.answer(Who::Technician(wait.token), Err(why));
        }
    }

    /// A tap for whoever waits at the desk. False: nobody does, and it is a tap as any other.
    pub(super) fn shown_at_desk(&mut self, now: Now, reader: &ReaderId, uid: &Uid) -> bool {
        let Some(wait) = self.desk.waits.remove(reader) else { return false };
        if let Some(state) = self.readers.get_mut(reader) {
            (state.last_tap, state.last_reason) = (Some(now.wall), None);
        }
        let who = Who::Technician(wait.token);
        let card = match self.card_on(reader, uid, wait.credential.as_ref()) {
            Ok(card) => card,
            Err(why) => {
                let refused = OperatorCommand {
                    credential: wait.credential,
                    reason: wait.reason,
                    ..OperatorCommand::refused(&wait.by, "activate", why.as_str())
                };
                self.record_command(now, refused);
                self.feedback(reader, Feedback::Denied);
                self.answer(who, Err(why));
                return true;
            }
        };
        let wish = Wish { by: wait.by, may_override: wait.may_override, reason: wait.reason };
        let is_good = self.may_activate(now, &card, wish.may_override).is_ok();
        self.feedback(reader, if is_good { Feedback::Granted } else { Feedback::Denied });
        self.activate(now, who, card, wish);
        true
    }

    fn card_on(&self, reader: &ReaderId, uid: &Uid, wanted: Option<&CredentialId>) -> Result<Card, String> {
        if uid.is_random() {
            return Err(format!(
                "the card at {reader} makes up a new number for each tap, as phones and bank cards do; nothing was changed"
            ));
        }
        let hash = self.hasher.hash(uid);
        let known = self.index.by_uid(&hash).and_then(|(holder, view)| Card::of(holder.id(), &view));
        let card = known.ok_or_else(|| {
            let tag = hash.tag();
            format!("the card at {reader} is not known here (UID tag {tag}): register it at central first")
        })?;
        match wanted.filter(|wanted| **wanted != card.id) {
            Some(wanted) => {
                Err(format!("the card at {reader} is {}, not {wanted}; nothing was changed", card.id))
            }
            None => Ok(card),
        }
    }
}

fn past(action: &str) -> &'static str {
    if action == "suspend" { "suspended" } else { "activated" }
}
