//! What decisions are made from: everything of the feed, in memory, found by a card's hashed UID in a few cache
//! misses, at about 60 bytes a record (`./dev bench decision`).
//!
//! Each holder has one run of bytes with all that is theirs (`packed`); three hash tables lead to it, by UID, by
//! holder, and by booking (for guests). The store says what each change replaced, so nothing has to be searched.

mod interned;
mod name;
mod packed;
mod table;

use std::{collections::BTreeMap, hash::BuildHasher as _};

pub use self::{
    name::{Name, Room},
    packed::{CredentialView, GrantView, Item},
};

use self::{
    interned::Interned,
    packed::ItemKind,
    table::{Slot, Table},
};
use crate::domain::{
    Credential, CredentialId, DoorId, Grant, Kind, Policy, Record, Schedule, Status, Terms, UidHash, ZoneId,
};

/// Which credential has a UID.
pub type Owners = BTreeMap<UidHash, CredentialId>;

/// A door by its place in the site's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoorNo(pub u16);

/// The doors and zones a grant lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cover {
    doors: Vec<DoorId>,
    zones: Vec<ZoneId>,
}

/// A configured door, as far as grants can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    door: DoorId,
    zones: Vec<ZoneId>,
    /// Bit n: the cover with number n takes in this door.
    covered_by: Vec<u64>,
}

#[derive(Debug, Default)]
pub struct Index {
    /// Each holder's run; an empty one is free.
    runs: Vec<Box<[u8]>>,
    free: Vec<u32>,
    by_holder: Table,
    by_uid: Table,
    /// One entry for each `room` grant with a booking.
    by_booking: Table,
    covers: Interned<Cover>,
    schedules: Interned<Schedule>,
    places: Vec<Place>,
    policy: Policy,
    credentials: usize,
    grants: usize,
}

impl Index {
    /// An empty index for a site with these doors, in this order.
    pub fn new(doors: impl IntoIterator<Item = (DoorId, Vec<ZoneId>)>) -> Self {
        let mut index = Index::default();
        index.set_doors(doors);
        index
    }

    /// Other doors, after a reload.
    pub fn set_doors(&mut self, doors: impl IntoIterator<Item = (DoorId, Vec<ZoneId>)>) {
        self.places =
            doors.into_iter().map(|(door, zones)| Place { door, zones, covered_by: Vec::new() }).collect();
        for place in &mut self.places {
            for (n, cover) in self.covers.iter() {
                place.note(n, cover);
            }
        }
    }

    /// Whether it is for these doors, in this order.
    pub fn is_for(&self, doors: &[(DoorId, Vec<ZoneId>)]) -> bool {
        let own = self.places.iter().map(|place| (&place.door, &place.zones));
        own.eq(doors.iter().map(|(door, zones)| (door, zones)))
    }

    pub fn credentials(&self) -> usize {
        self.credentials
    }

    pub fn grants(&self) -> usize {
        self.grants
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Replaces what was by what is. `old` must be exactly what was put before under the same key.
    pub fn apply(&mut self, old: Option<&Record>, new: Option<&Record>) {
        match old {
            Some(Record::Credential(c)) => self.remove_credential(c),
            Some(Record::Grant(g)) => self.remove_grant(g),
            Some(Record::Policy(_)) => self.policy = Policy::default(),
            None => {}
        }
        match new {
            Some(Record::Credential(c)) => self.add_credential(c),
            Some(Record::Grant(g)) => self.add_grant(g),
            Some(Record::Policy(p)) => self.policy = p.clone(),
            None => {}
        }
    }

    /// Shows a credential with another status than its record has: what the desk has set. What replaces the record
    /// replaces this.
    pub fn set_status(&mut self, holder: &str, credential: &str, status: Status) -> bool {
        let Some(n) = self.find_holder(holder) else { return false };
        let Some(changed) = packed::with_status(self.run(n), credential, status) else { return false };
        if let Some(run) = self.runs.get_mut(n as usize) {
            *run = changed.into_boxed_slice();
        }
        true
    }

    /// The holder of the credential with this UID, and the credential.
    pub fn by_uid(&self, uid: &UidHash) -> Option<(Holder<'_>, CredentialView<'_>)> {
        let in_run = |n| Some((self.holder(n), self.credential_in(n, uid)?));
        self.by_uid.with(uid_hash(uid)).find_map(in_run)
    }

    /// The credential whose hashed UID begins like this, as journal entries show it.
    pub fn by_tag(&self, tag: &str) -> Option<(Holder<'_>, CredentialView<'_>)> {
        let hash = u32::from_str_radix(tag, 16).ok().filter(|_| tag.len() == 8)?.swap_bytes();
        let has_tag = |c: &CredentialView<'_>| c.uid.is_some_and(|uid| uid.tag() == tag);
        self.by_uid.with(hash).find_map(|n| {
            let holder = self.holder(n);
            Some((holder, holder.credentials().find(has_tag)?))
        })
    }

    /// Who has each UID that these changes put, before them: a later credential takes it over.
    pub fn owners<'a>(&self, puts: impl IntoIterator<Item = &'a Record>) -> Owners {
        let uids = puts.into_iter().filter_map(|record| match record {
            Record::Credential(c) => c.uid,
            Record::Grant(_) | Record::Policy(_) => None,
        });
        let owner = |uid| self.by_uid(&uid)?.1.id.as_id(CredentialId::new).map(|id| (uid, id));
        uids.filter_map(owner).collect()
    }

    pub fn by_holder(&self, holder: &str) -> Option<Holder<'_>> {
        self.find_holder(holder).map(|n| self.holder(n))
    }

    /// The `room` grants of a booking with their holders: the hosts'.
    pub fn hosts<'a>(&'a self, booking: &str) -> impl Iterator<Item = (Holder<'a>, GrantView<'a>)> {
        let mut numbers: Vec<u32> = self.by_booking.with(text_hash(booking)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|n| self.holder(n)).flat_map(move |holder| {
            holder
                .grants()
                .filter(move |g| g.kind == Kind::Room && g.booking.is_some_and(|own| own.is(booking)))
                .map(move |g| (holder, g))
        })
    }

    /// Every holder from the number `from` on, with its number: for lists, a slice at a time.
    pub fn holders(&self, from: u32) -> impl Iterator<Item = (u32, Holder<'_>)> {
        self.runs
            .iter()
            .enumerate()
            .skip(from as usize)
            .filter(|(_, run)| !run.is_empty())
            .map(|(n, run)| (n as u32, Holder { run }))
    }

    /// Whether the grant lists the door, or a zone the door lies in.
    pub fn covers(&self, grant: &GrantView<'_>, door: DoorNo) -> bool {
        self.places.get(usize::from(door.0)).is_some_and(|p| p.is_covered_by(grant.cover))
    }

    /// The doors and zones a grant lists.
    pub fn listed(&self, grant: &GrantView<'_>) -> (&[DoorId], &[ZoneId]) {
        self.covers.get(grant.cover).map_or((&[], &[]), |c| (&c.doors, &c.zones))
    }

    pub fn door(&self, door: &str) -> Option<DoorNo> {
        self.places.iter().position(|p| p.door.as_str() == door).map(|n| DoorNo(n as u16))
    }

    pub fn terms<'a>(&'a self, g: &GrantView<'_>) -> Terms<'a> {
        Terms {
            kind: g.kind,
            starts_at: g.starts_at,
            ends_at: g.ends_at,
            booked_at: g.booked_at,
            not_before: g.not_before,
            not_after: g.not_after,
            schedule: g.schedule.and_then(|n| self.schedules.get(n)),
            override_lockdown: g.override_lockdown,
        }
    }

    fn add_credential(&mut self, c: &Credential) {
        let n = self.append(c.holder.as_str(), &packed::credential(c));
        if let Some(uid) = &c.uid {
            self.by_uid.insert(Slot { hash: uid_hash(uid), holder: n });
        }
        self.credentials += 1;
    }

    fn remove_credential(&mut self, c: &Credential) {
        let Some(n) = self.cut(c.holder.as_str(), ItemKind::Credential, c.id.as_str()) else { return };
        if let Some(uid) = &c.uid {
            self.by_uid.remove(Slot { hash: uid_hash(uid), holder: n });
        }
        self.credentials -= 1;
        self.free_if_empty(n);
    }

    fn add_grant(&mut self, g: &Grant) {
        let cover = Cover { doors: g.doors.clone(), zones: g.zones.clone() };
        let (cover_no, is_new) = self.covers.take(&cover);
        if is_new {
            self.places.iter_mut().for_each(|p| p.note(cover_no, &cover));
        }
        let schedule = g.schedule.as_ref().map(|s| self.schedules.take(s).0);
        let n = self.append(g.holder.as_str(), &packed::grant(g, cover_no, schedule));
        if let Some(booking) = host_booking(g) {
            self.by_booking.insert(Slot { hash: text_hash(booking), holder: n });
        }
        self.grants += 1;
    }

    fn remove_grant(&mut self, g: &Grant) {
        let holder = g.holder.as_str();
        let shared = self
            .by_holder(holder)
            .and_then(|h| h.grants().find(|v| v.id.is(g.id.as_str())))
            .map(|v| (v.cover, v.schedule));
        let Some((cover, schedule)) = shared else { return };
        let Some(n) = self.cut(holder, ItemKind::Grant, g.id.as_str()) else { return };
        self.covers.give_back(cover);
        schedule.into_iter().for_each(|s| self.schedules.give_back(s));
        if let Some(booking) = host_booking(g) {
            self.by_booking.remove(Slot { hash: text_hash(booking), holder: n });
        }
        self.grants -= 1;
        self.free_if_empty(n);
    }

    fn run(&self, n: u32) -> &[u8] {
        self.runs.get(n as usize).map_or(&[], |run| run)
    }

    fn holder(&self, n: u32) -> Holder<'_> {
        Holder { run: self.run(n) }
    }

    fn credential_in(&self, holder: u32, uid: &UidHash) -> Option<CredentialView<'_>> {
        self.holder(holder).credentials().find(|c| c.uid.as_ref() == Some(uid))
    }

    fn find_holder(&self, holder: &str) -> Option<u32> {
        self.by_holder.with(text_hash(holder)).find(|n| self.holder(*n).id().is(holder))
    }

    /// Adds an item to a holder's run, beginning one where there is none.
    fn append(&mut self, holder: &str, item: &[u8]) -> u32 {
        let n = self.find_holder(holder).unwrap_or_else(|| self.begin(holder));
        if let Some(run) = self.runs.get_mut(n as usize) {
            *run = [run, item].concat().into_boxed_slice();
        }
        n
    }

    fn begin(&mut self, holder: &str) -> u32 {
        let run = packed::holder(holder).into_boxed_slice();
        let n = match self.free.pop() {
            Some(n) => {
                if let Some(room) = self.runs.get_mut(n as usize) {
                    *room = run;
                }
                n
            }
            None => {
                self.runs.push(run);
                (self.runs.len() - 1) as u32
            }
        };
        self.by_holder.insert(Slot { hash: text_hash(holder), holder: n });
        n
    }

    fn cut(&mut self, holder: &str, kind: ItemKind, id: &str) -> Option<u32> {
        let n = self.find_holder(holder)?;
        let rest = packed::without(self.run(n), kind, id)?;
        if let Some(run) = self.runs.get_mut(n as usize) {
            *run = rest.into_boxed_slice();
        }
        Some(n)
    }

    fn free_if_empty(&mut self, n: u32) {
        let (id, mut items) = packed::open(self.run(n));
        if items.next().is_some() {
            return;
        }
        let hash = text_hash(id.text(&mut Room::default()));
        self.by_holder.remove(Slot { hash, holder: n });
        if let Some(run) = self.runs.get_mut(n as usize) {
            *run = Box::default();
        }
        self.free.push(n);
    }
}

/// One holder, and all that is theirs.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    run: &'a [u8],
}

impl<'a> Holder<'a> {
    pub fn id(&self) -> Name<'a> {
        packed::open(self.run).0
    }

    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        packed::open(self.run).1
    }

    pub fn credentials(&self) -> impl Iterator<Item = CredentialView<'a>> + use<'a> {
        packed::open(self.run).1.credentials()
    }

    pub fn grants(&self) -> impl Iterator<Item = GrantView<'a>> + use<'a> {
        packed::open(self.run).1.grants()
    }
}

impl Place {
    fn note(&mut self, n: u32, cover: &Cover) {
        let covered = cover.doors.contains(&self.door) || cover.zones.iter().any(|z| self.zones.contains(z));
        let word = (n / 64) as usize;
        if self.covered_by.len() <= word {
            self.covered_by.resize(word + 1, 0);
        }
        if let Some(bits) = self.covered_by.get_mut(word) {
            *bits = (*bits & !(1 << (n % 64))) + (u64::from(covered) << (n % 64));
        }
    }

    fn is_covered_by(&self, n: u32) -> bool {
        self.covered_by.get((n / 64) as usize).is_some_and(|bits| bits >> (n % 64) & 1 == 1)
    }
}

fn host_booking(g: &Grant) -> Option<&str> {
    g.booking.as_ref().filter(|_| g.kind == Kind::Room).map(|b| b.as_str())
}

/// A fixed seed: the same changes give the same index, and UIDs come in as keyed hashes that nobody can choose.
fn text_hash(text: &str) -> u32 {
    foldhash::fast::FixedState::with_seed(0x6c61_7463_6864).hash_one(text) as u32
}

fn uid_hash(uid: &UidHash) -> u32 {
    let [a, b, c, d, ..] = uid.0;
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::HolderId,
        wire::{UidHasher, record::record},
    };

    fn put(text: &str) -> Record {
        record(&serde_json::from_str(text).unwrap(), &UidHasher::new(&[7; 32])).unwrap()
    }

    /// What stays behind would never be seen in an answer, only in the memory of a site that books for years.
    #[test]
    fn what_was_taken_out_leaves_nothing_behind() {
        let mut index = Index::new([(DoorId::new("entrance").unwrap(), Vec::new())]);
        let records = [
            r#"{"type":"credential","id":"c-1","uid":"04A1B2C3","holder":"h-1","status":"active"}"#,
            r#"{"type":"grant","id":"g-1","kind":"room","holder":"h-1","doors":["entrance"],"booking":"b-1",
                "starts_at":"2026-11-23T09:00:00Z","ends_at":"2026-11-23T10:00:00Z"}"#,
            r#"{"type":"grant","id":"g-2","kind":"standing","holder":"h-2","zones":["rooms"],
                "schedule":[{"days":["mon"],"from":"08:00","to":"18:00"}]}"#,
        ]
        .map(put);
        for _ in 0..3 {
            records.iter().for_each(|r| index.apply(None, Some(r)));
            assert_eq!((index.by_uid.len(), index.by_holder.len(), index.by_booking.len()), (1, 2, 1));
            records.iter().for_each(|r| index.apply(Some(r), None));
            assert_eq!((index.by_uid.len(), index.by_holder.len(), index.by_booking.len()), (0, 0, 0));
            assert_eq!((index.covers.iter().count(), index.schedules.iter().count()), (0, 0));
            assert_eq!((index.runs.len(), index.free.len()), (2, 2));
        }
    }

    #[test]
    fn a_status_that_was_set_is_shown_and_the_record_is_replaced_all_the_same() {
        let mut index = Index::default();
        let text = r#"{"type":"credential","id":"c-1","uid":"04A1B2C3","holder":"h-1","status":"issued",
            "valid_until":"2026-12-01T00:00:00Z","label":"blue","extended_time":true}"#;
        let (old, new) = (put(text), put(&text.replace("issued", "lost")));
        let Record::Credential(Credential { uid: Some(uid), .. }) = &old else { unreachable!() };
        index.apply(None, Some(&old));
        let before = format!("{:?}", index.by_uid(uid).unwrap().1);
        for status in Status::ALL {
            assert!(index.set_status("h-1", "c-1", status));
            let shown = index.by_uid(uid).unwrap().1;
            assert_eq!(shown.status, status);
            let but_for_status = format!("{:?}", CredentialView { status: Status::Issued, ..shown });
            assert_eq!(but_for_status, before, "nothing else has changed");
        }
        assert!(index.by_tag(&uid.tag()).unwrap().1.id.is("c-1"));
        assert!(index.by_tag("00000000").is_none() && index.by_tag("").is_none());
        assert!(
            !index.set_status("h-1", "c-2", Status::Active)
                && !index.set_status("h-2", "c-1", Status::Active)
        );
        index.apply(Some(&old), Some(&new));
        assert_eq!(index.by_uid(uid).unwrap().1.status, Status::Lost);
        index.apply(Some(&new), None);
        assert_eq!((index.by_uid.len(), index.credentials()), (0, 0));
    }

    #[test]
    fn it_says_for_which_doors_it_is_in_their_order() {
        let door = |id: &str, zone: &str| (DoorId::new(id).unwrap(), vec![ZoneId::new(zone).unwrap()]);
        let doors = [door("entrance", "perimeter"), door("gym", "amenities")];
        let mut index = Index::new(doors.clone());
        assert!(index.is_for(&doors));
        let others = [doors[1].clone(), doors[0].clone()];
        assert!(!index.is_for(&others) && !index.is_for(&doors[..1]));
        assert!(!index.is_for(&[door("entrance", "perimeter"), door("gym", "perimeter")]));
        index.set_doors(others.clone());
        assert!(index.is_for(&others));
    }

    #[test]
    fn it_counts_what_is_in_it() {
        let mut index = Index::default();
        for n in 0..3 {
            index.apply(None, Some(&put(&format!(r#"{{"type":"credential","id":"c-{n}","uid":"04A1B2C{n}","holder":"h-1","status":"active"}}"#))));
            index.apply(
                None,
                Some(&put(&format!(
                    r#"{{"type":"grant","id":"g-{n}","kind":"standing","holder":"h-1","doors":["a"]}}"#
                ))),
            );
            assert_eq!((index.credentials(), index.grants()), (n + 1, n + 1));
        }
    }

    #[test]
    fn who_has_a_uid_is_told_of_those_that_are_put() {
        let mut index = Index::default();
        let card = |id: &str, uid: &str| {
            put(&format!(
                r#"{{"type":"credential","id":"{id}","uid":"{uid}","holder":"h-1","status":"active"}}"#
            ))
        };
        index.apply(None, Some(&card("c-1", "04A1B2C3")));
        let Record::Credential(Credential { uid: Some(taken), .. }) = card("c-2", "04A1B2C3") else {
            unreachable!()
        };
        let puts = [card("c-2", "04A1B2C3"), card("c-3", "04A1B2C4")];
        assert_eq!(index.owners(&puts), Owners::from([(taken, CredentialId::new("c-1").unwrap())]));
    }

    #[test]
    fn a_replacement_under_another_holder_moves() {
        let mut index = Index::new([(DoorId::new("entrance").unwrap(), Vec::new())]);
        let old = put(r#"{"type":"grant","id":"g-1","kind":"standing","holder":"h-1","doors":["entrance"]}"#);
        let Record::Grant(mut moved) = old.clone() else { unreachable!() };
        moved.holder = HolderId::new("h-2").unwrap();
        index.apply(None, Some(&old));
        index.apply(Some(&old), Some(&Record::Grant(moved)));
        assert!(index.by_holder("h-1").is_none());
        assert_eq!(index.by_holder("h-2").unwrap().grants().count(), 1);
    }
}
