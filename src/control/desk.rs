//! Cards as the desk has set them: activated or suspended here, until central says something of them again (rules,
//! "Cards").
//!
//! ```text
//!  suspend  ─► entry ─► at once, and noted            what restricts waits for no disk
//!  activate ─► entry ─► Pending ─ on disk ─► counts, and noted
//!  a later feed record of the card, a later snapshot ─► forgotten: central's word holds
//! ```
//!
//! What the cache missed the journal tells again at the start, as with guests let in.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    domain::{CredentialId, Mono, ReaderId, Status},
    wire::desk::StoredCard,
};

/// A card that the desk has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskCard {
    pub stored: StoredCard,
    /// What central says; `None` while central's record of it is not here (a cache that was lost).
    pub central: Option<Status>,
}

/// Somebody waits for a card to be held to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardWait {
    /// Whose wait it is, by their own number.
    pub id: u64,
    /// Whom to answer.
    pub token: u64,
    pub by: String,
    /// It is to be this one.
    pub credential: Option<CredentialId>,
    pub may_override: bool,
    pub reason: Option<String>,
    pub within: Duration,
    pub until: Mono,
}

#[derive(Debug, Default)]
pub struct Desk {
    pub cards: BTreeMap<CredentialId, DeskCard>,
    /// Activations that wait for the disk, by their entry.
    pub pending: BTreeMap<u64, (CredentialId, StoredCard)>,
    pub waits: BTreeMap<ReaderId, CardWait>,
}

impl Desk {
    pub fn new(stored: BTreeMap<CredentialId, StoredCard>) -> Self {
        let card = |stored| DeskCard { stored, central: None };
        let cards = stored.into_iter().map(|(id, stored)| (id, card(stored))).collect();
        Desk { cards, ..Desk::default() }
    }

    /// Central has said something of this card: its word holds. Returns what the desk had set.
    pub fn forget(&mut self, credential: &CredentialId) -> Option<DeskCard> {
        self.pending.retain(|_, (id, _)| id != credential);
        self.cards.remove(credential)
    }

    /// Everything came anew, as of this place: what the desk set before it is over. Returns what was.
    pub fn forget_before(&mut self, epoch: u64, applied: u64) -> Vec<(CredentialId, DeskCard)> {
        self.pending.retain(|_, (_, card)| !card.is_before(epoch, applied));
        let over = |card: &DeskCard| card.stored.is_before(epoch, applied);
        self.cards.extract_if(.., |_, card| over(card)).collect()
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.waits.values().map(|wait| wait.until).min()
    }

    /// Those that have waited long enough.
    pub fn take_over(&mut self, now: Mono) -> Vec<(ReaderId, CardWait)> {
        self.waits.extract_if(.., |_, wait| wait.until <= now).collect()
    }
}

/// What the journal tells of the desk, after the cache's last note: kept unless the feed has gone on since, for then
/// the cache knows whether it has said something of the card. Returns the card, if that is news of it.
pub fn replay(
    stored: &mut BTreeMap<CredentialId, StoredCard>,
    told: (CredentialId, StoredCard),
    place: (u64, u64),
) -> Option<CredentialId> {
    let (id, card) = told;
    let is_known = stored.get(&id).is_some_and(|known| known.seq >= card.seq);
    if is_known || card.is_before(place.0, place.1) {
        return None;
    }
    stored.insert(id.clone(), card);
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{At, HolderId};

    fn card(seq: u64, status: Status, applied: u64) -> StoredCard {
        StoredCard {
            seq,
            status,
            holder: HolderId::new("m-1").unwrap(),
            by: "anna (1000)".into(),
            at: At::parse("2026-11-23T09:00:00Z").unwrap(),
            is_override: false,
            epoch: 3,
            applied,
        }
    }

    fn id(text: &str) -> CredentialId {
        CredentialId::new(text).unwrap()
    }

    #[test]
    fn the_newest_of_what_the_journal_tells_holds_unless_the_feed_has_gone_on() {
        let mut stored = BTreeMap::from([(id("c-1"), card(5, Status::Active, 10))]);
        replay(&mut stored, (id("c-1"), card(5, Status::Suspended, 10)), (3, 10));
        assert_eq!(stored[&id("c-1")].status, Status::Active, "it is noted already");
        replay(&mut stored, (id("c-1"), card(6, Status::Suspended, 10)), (3, 10));
        assert_eq!(stored[&id("c-1")].status, Status::Suspended);
        replay(&mut stored, (id("c-2"), card(7, Status::Active, 10)), (3, 11));
        assert!(
            !stored.contains_key(&id("c-2")),
            "the cache went on without it: central has said something of it"
        );
        replay(&mut stored, (id("c-2"), card(7, Status::Active, 10)), (0, 0));
        assert!(stored.contains_key(&id("c-2")), "a lost cache: until the snapshot has come");
    }

    #[test]
    fn a_snapshot_ends_what_was_set_before_it_and_only_that() {
        let mut desk = Desk::new(BTreeMap::from([
            (id("c-1"), card(5, Status::Active, 10)),
            (id("c-2"), card(6, Status::Suspended, 12)),
        ]));
        desk.pending.insert(9, (id("c-3"), card(9, Status::Active, 10)));
        let gone = desk.forget_before(3, 12);
        assert_eq!(gone.len(), 1);
        assert!(desk.cards.contains_key(&id("c-2")) && desk.pending.is_empty());
        assert_eq!(
            desk.forget_before(4, 0).len(),
            1,
            "a new list of changes is later than all of an old one"
        );
    }
}
