//! What holds of every record that was taken, from the feed or from the disk: it is kept as it is, it goes into the
//! index and out of it again, and a decision about it comes to an end.

use latchd::{
    control::{
        decide::{Facts, Moment, decide},
        index::Index,
        let_in::LetIn,
    },
    domain::{At, DoorId, DoorMode, Record, Uid, Zone, ZoneId},
    wire::{
        Digest,
        stored::{StoredRecord, decode, encode},
    },
};

/// The ends of the calendar among them: windows are computed by moving instants.
const TIMES: [&str; 5] = [
    "0000-01-01T00:00:00Z",
    "2026-03-29T01:00:00Z",
    "2026-11-23T09:00:00.000000001Z",
    "2026-12-31T23:59:60Z",
    "9999-12-31T23:59:59.999999999Z",
];

pub fn holds(records: &[Record]) {
    let perimeter = ZoneId::new("perimeter").unwrap();
    let places =
        [("entrance", vec![perimeter]), ("room-4", vec![])].map(|(door, z)| (DoorId::new(door).unwrap(), z));
    let mut index = Index::new(places);
    // As a store keeps them: one of a key, and a UID belongs to the last who claimed it.
    let mut kept: Vec<Record> = Vec::new();
    for record in records {
        let stored = StoredRecord { digest: Digest::default(), record: record.clone() };
        assert_eq!(decode::<StoredRecord>(&encode(&stored).unwrap()).unwrap(), stored, "kept otherwise");
        let old = kept.iter().position(|k| k.key() == record.key()).map(|at| kept.remove(at));
        if let Record::Credential(new) = record {
            for k in &mut kept {
                if let Record::Credential(had) = k
                    && had.uid.is_some()
                    && had.uid == new.uid
                {
                    let before = Record::Credential(had.clone());
                    had.uid = None;
                    index.apply(Some(&before), Some(&Record::Credential(had.clone())));
                }
            }
        }
        index.apply(old.as_ref(), Some(record));
        kept.push(record.clone());
    }
    decided(&index, &kept);
    for record in kept.drain(..) {
        index.apply(Some(&record), None);
    }
    assert_eq!((index.holders(0).count(), index.credentials(), index.grants()), (0, 0, 0));
}

fn decided(index: &Index, kept: &[Record]) {
    let (let_in, zone) = (LetIn::default(), "Europe/Oslo".parse::<Zone>().unwrap());
    let facts = Facts { index, let_in: &let_in, zone };
    let uid = Uid::new(&[4, 1, 2, 3, 4, 5, 6]).unwrap();
    let hashes = kept.iter().filter_map(|record| match record {
        Record::Credential(credential) => credential.uid,
        Record::Grant(_) | Record::Policy(_) => None,
    });
    // Enough of one message: a decision does not depend on how many there are.
    for hash in hashes.take(4) {
        for (n, time) in TIMES.iter().enumerate() {
            let moment = Moment {
                door: index.door(if n.is_multiple_of(2) { "entrance" } else { "room-4" }).unwrap(),
                mode: if n == 3 { DoorMode::LockedDown } else { DoorMode::Locked },
                building_hours_only: n.is_multiple_of(2),
                now: At::parse(time).unwrap(),
                clock_trusted: n != 1,
                stale: n == 4,
            };
            let decision = decide(facts, moment, &uid, &hash);
            assert!(decision.credential.is_some(), "a known card is unknown");
        }
    }
}
