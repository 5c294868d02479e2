//! Properties of the rules over random sites: the decision against the naive one, and the index against an index that
//! never changed. `PROPTEST_CASES` sets how many sites are tried (256, and 4 for each in the first).

use std::{cell::RefCell, collections::BTreeMap};

use latchd::{
    control::{
        decide::{Facts, Moment, decide},
        index::{GrantView, Holder, Index},
        let_in::LetIn,
    },
    domain::{
        At, BookingId, CredentialId, DoorId, DoorMode, Grant, GrantId, HolderId, Policy, Reason, Record,
        RecordKey, Uid, Zone, ZoneId,
    },
    wire::{
        UidHasher,
        record::{key, record},
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

use crate::worlds::{BOOKINGS, Fed, World, fed, name, world};
use hardware_sim::naive::{self, Site, Tap};

/// As many cases as `PROPTEST_CASES` says (256), times `factor`.
fn cases(factor: u32) -> Config {
    let config = Config::default();
    Config { cases: config.cases * factor, failure_persistence: None, max_shrink_iters: 2_000, ..config }
}

fn doors(site: &Site) -> Vec<(DoorId, Vec<ZoneId>)> {
    let zone = |z: &Value| ZoneId::new(z.as_str().unwrap()).unwrap();
    let door = |d: &Value| {
        let zones = d["zones"].as_array().unwrap().iter().map(zone).collect();
        (DoorId::new(d["id"].as_str().unwrap()).unwrap(), zones)
    };
    site.doors.iter().map(door).collect()
}

/// The index, and the records that were put into it, as a store has them: it knows what each change replaces, and
/// takes a UID from the credential that had it before.
struct Store {
    index: Index,
    held: BTreeMap<RecordKey, Record>,
    hasher: UidHasher,
}

impl Store {
    fn new(site: &Site) -> Self {
        Store { index: Index::new(doors(site)), held: BTreeMap::new(), hasher: UidHasher::new(&[7; 32]) }
    }

    fn filled(site: &Site) -> Self {
        let mut store = Store::new(site);
        site.records.iter().for_each(|r| store.put(r));
        store
    }

    fn change(&mut self, change: &Value) {
        match change.get("delete") {
            Some(gone) => {
                let old = self.held.remove(&key(gone).unwrap());
                self.index.apply(old.as_ref(), None);
            }
            None => self.put(&change["put"]),
        }
    }

    fn put(&mut self, value: &Value) {
        let new = record(value, &self.hasher).unwrap();
        if let Record::Credential(c) = &new {
            let before = |r: &&Record| matches!(r, Record::Credential(o) if o.uid == c.uid && o.id != c.id);
            if let Some(loser) = self.held.values().find(before).cloned() {
                let Record::Credential(mut without) = loser.clone() else { unreachable!() };
                without.uid = None;
                self.replace(Record::Credential(without));
            }
        }
        self.replace(new);
    }

    fn replace(&mut self, new: Record) {
        let old = self.held.insert(new.key(), new.clone());
        self.index.apply(old.as_ref(), Some(&new));
    }

    fn decide(&self, site: &Site, tap: &Tap) -> Value {
        let door = self.index.door(&tap.door).unwrap();
        let marked = site.doors.iter().find(|d| d["id"] == tap.door.as_str()).unwrap();
        let moment = Moment {
            door,
            mode: serde_json::from_value::<DoorMode>(tap.mode.clone().into()).unwrap(),
            building_hours_only: marked["building_hours_only"] == true,
            now: At::from(tap.at),
            clock_trusted: tap.clock_trusted,
            stale: tap.stale,
        };
        let mut let_in = LetIn::default();
        for (booking, guest) in &tap.let_in {
            let_in.add(BookingId::new(booking).unwrap(), HolderId::new(guest).unwrap(), moment.now);
        }
        let zone: Zone = site.zone.name().parse().unwrap();
        let facts = Facts { index: &self.index, let_in: &let_in, zone };
        let uid = Uid::parse(&tap.uid).unwrap();
        serde_json::to_value(decide(facts, moment, &uid, &self.hasher.hash(&uid))).unwrap()
    }
}

/// What a person needs to see of a site in which two answers differ.
fn told(site: &Site, tap: &Tap) -> String {
    let records: String = site.records.iter().map(|r| format!("  {r}\n")).collect();
    format!("{} {tap:?}\n{records}", site.zone)
}

#[test]
fn every_decision_is_the_naive_one() {
    let seen: RefCell<BTreeMap<String, u32>> = RefCell::default();
    let config = cases(4);
    let all_are_due = config.cases >= 1024;
    let run = TestRunner::new(config).run(&world(), |World { site, taps }| {
        let store = Store::filled(&site);
        for tap in &taps {
            let expected = naive::decide(&site, tap);
            *seen.borrow_mut().entry(expected["reason"].as_str().unwrap().into()).or_default() += 1;
            prop_assert_eq!(store.decide(&site, tap), expected, "{}", told(&site, tap));
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    // What the worlds never come to is not tested: every reason there is must have been given.
    let last = Reason::Standing as usize + 1;
    assert!(!all_are_due || seen.borrow().len() == last, "of {last} reasons only {:?}", seen.borrow());
}

/// Closer than a decision, which shows the window of one grant of many: every grant's, at the first taps.
#[test]
fn every_window_is_the_naive_one() {
    let hasher = UidHasher::new(&[7; 32]);
    let run = TestRunner::new(cases(1)).run(&world(), |World { site, taps }| {
        let (held, zone) = (naive::held(&site.records), site.zone.name().parse::<Zone>().unwrap());
        let written = naive::policy(&held);
        let policy = match written.is_null() {
            true => Policy::default(),
            false => match record(&written, &hasher).unwrap() {
                Record::Policy(policy) => policy,
                Record::Credential(_) | Record::Grant(_) => unreachable!(),
            },
        };
        for value in held.iter().filter(|r| r["type"] == "grant") {
            let Record::Grant(grant) = record(value, &hasher).unwrap() else { unreachable!() };
            for tap in taps.iter().take(5) {
                let (now, terms) = (At::from(tap.at), grant.terms());
                let all = naive::windows(site.zone, &written, value, tap.at);
                let open = naive::open(&all, tap.at).map(|(o, c)| (o.map(At::from), c.map(At::from)));
                let coming = all.iter().filter_map(|w| w.0).filter(|o| *o > tap.at).min();
                let past = all.iter().filter_map(|w| w.1).filter(|c| *c <= tap.at).max();
                let told = || format!("{zone} {now} {value} {written}");
                let own = terms.open(&policy, zone, now).map(|w| (w.opens_at, w.closes_at));
                prop_assert_eq!(own, open, "open: {}", told());
                prop_assert_eq!(terms.coming(&policy, zone, now), coming.map(At::from), "coming: {}", told());
                prop_assert_eq!(terms.past(&policy, zone, now), past.map(At::from), "past: {}", told());
            }
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_order_in_which_grants_came_does_not_matter() {
    let shuffled = world().prop_flat_map(|world| {
        let (grants, others): (Vec<Value>, Vec<Value>) =
            naive::held(&world.site.records).into_iter().partition(|r| r["type"] == "grant");
        (Just(world), Just(others), Just(grants).prop_shuffle())
    });
    let run = TestRunner::new(cases(1)).run(&shuffled, |(world, others, grants)| {
        let World { site, taps } = world;
        let store = Store::filled(&site);
        let mut other = Store::new(&site);
        // A credential that lost its UID is no record of the wire any more: put the ones there were.
        let credentials = site.records.iter().filter(|r| r["type"] == "credential");
        let policy = others.iter().filter(|r| r["type"] == "policy");
        grants.iter().chain(credentials).chain(policy).for_each(|r| other.put(r));
        for tap in &taps {
            prop_assert_eq!(store.decide(&site, tap), other.decide(&site, tap), "{}", told(&site, tap));
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

/// All that an index tells about a holder, in an order of its own.
type Listed = (Vec<(CredentialId, String)>, Vec<(GrantId, String)>);

fn listed(index: &Index) -> BTreeMap<String, Listed> {
    let credentials = |h: &Holder<'_>| {
        let mut all: Vec<_> =
            h.credentials().map(|c| (c.id.as_id(CredentialId::new).unwrap(), format!("{c:?}"))).collect();
        all.sort();
        all
    };
    let grants = |h: &Holder<'_>| {
        let mut all: Vec<_> =
            h.grants().map(|g| (g.id.as_id(GrantId::new).unwrap(), described(index, &g))).collect();
        all.sort();
        all
    };
    index.holders(0).map(|(_, h)| (h.id().to_string(), (credentials(&h), grants(&h)))).collect()
}

fn described(index: &Index, g: &GrantView<'_>) -> String {
    format!("{:?} {:?} {:?} {:?}", index.listed(g), index.terms(g), g.booking, g.capacity)
}

fn described_as_put(g: &Grant) -> String {
    let booking = g.booking.as_ref().map(|b| b.as_str());
    format!("{:?} {:?} {booking:?} {:?}", (&g.doors, &g.zones), g.terms(), g.capacity)
}

/// The holders' grants that are the hosts of a booking.
fn hosts(index: &Index, booking: &str) -> Vec<(String, String)> {
    let mut all: Vec<_> = index.hosts(booking).map(|(h, g)| (h.id().to_string(), g.id.to_string())).collect();
    all.sort();
    all
}

fn fresh(site: &Site, held: &BTreeMap<RecordKey, Record>) -> Store {
    let mut store = Store::new(site);
    held.values().for_each(|r| store.replace(r.clone()));
    store
}

fn changes_lead_where_the_records_do(Fed { site, changes, taps }: Fed) -> Result<(), TestCaseError> {
    let mut store = Store::new(&site);
    // Half of the changes come before the doors are known, as they do around a reload.
    store.index.set_doors([]);
    let mut held = Vec::new();
    for (n, change) in changes.iter().enumerate() {
        if n == changes.len() / 2 {
            store.index.set_doors(doors(&site));
        }
        store.change(change);
        naive::apply(&mut held, change);
    }
    let (fresh, site) = (fresh(&site, &store.held), Site { records: held, ..site });
    for tap in &taps {
        let expected = naive::decide(&site, tap);
        prop_assert_eq!(&store.decide(&site, tap), &expected, "{}", told(&site, tap));
        prop_assert_eq!(&fresh.decide(&site, tap), &expected, "{}", told(&site, tap));
    }
    prop_assert_eq!(listed(&store.index), listed(&fresh.index));
    let count = |what: &str| site.records.iter().filter(|r| r["type"] == what).count();
    for index in [&store.index, &fresh.index] {
        prop_assert_eq!((index.credentials(), index.grants()), (count("credential"), count("grant")));
    }
    for booking in BOOKINGS {
        let booking = name("b", booking);
        prop_assert_eq!(hosts(&store.index, &booking), hosts(&fresh.index, &booking));
    }
    as_put(&store)?;
    emptied(store)
}

/// Every grant is listed under its holder exactly as it was put.
fn as_put(store: &Store) -> Result<(), TestCaseError> {
    let listed = listed(&store.index);
    for record in store.held.values() {
        if let Record::Grant(g) = record {
            let own = listed.get(g.holder.as_str()).and_then(|(_, grants)| {
                grants.iter().find(|(id, _)| *id == g.id).map(|(_, described)| described.clone())
            });
            prop_assert_eq!(own, Some(described_as_put(g)));
        }
    }
    Ok(())
}

/// Taking everything out again leaves nothing.
fn emptied(mut store: Store) -> Result<(), TestCaseError> {
    for old in store.held.values() {
        store.index.apply(Some(old), None);
    }
    let index = &store.index;
    prop_assert_eq!((index.credentials(), index.grants(), index.holders(0).count()), (0, 0, 0));
    prop_assert_eq!(index.policy(), &Policy::default());
    for old in store.held.values() {
        if let Record::Credential(c) = old {
            prop_assert!(c.uid.is_none_or(|uid| index.by_uid(&uid).is_none()));
            prop_assert!(index.by_holder(c.holder.as_str()).is_none());
        }
    }
    prop_assert!(BOOKINGS.into_iter().all(|b| index.hosts(&name("b", b)).next().is_none()));
    Ok(())
}

#[test]
fn an_index_that_changed_is_one_built_from_what_is_left() {
    let run = TestRunner::new(cases(1)).run(&fed(), changes_lead_where_the_records_do);
    run.unwrap_or_else(|error| panic!("{error}"));
}
