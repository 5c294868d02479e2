//! The contract's examples (`tests/vectors/*.json`), each case to the letter.

use latchd::{
    control::{
        decide::{Facts, Moment, decide},
        index::Index,
        let_in::LetIn,
    },
    domain::{At, BookingId, DoorId, DoorMode, HolderId, Record, Uid, UidHash, Zone, ZoneId},
    wire::{UidHasher, record::record},
};
use serde_json::{Map, Value};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("`{field}` of {value}"))
}

fn doors(site: &Value) -> Vec<(DoorId, Vec<ZoneId>, bool)> {
    let zones = |d: &Value| {
        d["zones"].as_array().unwrap().iter().map(|z| ZoneId::new(z.as_str().unwrap()).unwrap()).collect()
    };
    site["doors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (DoorId::new(text(d, "id")).unwrap(), zones(d), d["building_hours_only"] == true))
        .collect()
}

/// Puts the records in order, a later credential taking the UID of an earlier one, as the store does.
fn filled(doors: &[(DoorId, Vec<ZoneId>, bool)], records: &Value, hasher: &UidHasher) -> Index {
    let mut index = Index::new(doors.iter().map(|(door, zones, _)| (door.clone(), zones.clone())));
    let mut owners: Vec<(UidHash, Record)> = Vec::new();
    for value in records.as_array().unwrap() {
        let new = record(value, hasher).unwrap();
        if let Record::Credential(c) = &new {
            let uid = c.uid.unwrap();
            if let Some(at) = owners.iter().position(|(owned, _)| *owned == uid) {
                let (_, old) = owners.remove(at);
                let Record::Credential(mut loser) = old.clone() else { unreachable!() };
                loser.uid = None;
                index.apply(Some(&old), Some(&Record::Credential(loser)));
            }
            owners.push((uid, new.clone()));
        }
        index.apply(None, Some(&new));
    }
    index
}

fn run(file: &str) {
    let set: Value = serde_json::from_str(file).unwrap();
    let hasher = UidHasher::new(&[7; 32]);
    let doors = doors(&set["site"]);
    let index = filled(&doors, &set["records"], &hasher);
    let zone: Zone = text(&set["site"], "time_zone").parse().unwrap();
    for case in set["cases"].as_array().unwrap() {
        let (mut let_in, now) = (LetIn::default(), At::parse(text(case, "at")).unwrap());
        for guest in case["let_in"].as_array().into_iter().flatten() {
            let booking = BookingId::new(text(guest, "booking")).unwrap();
            let_in.add(booking, HolderId::new(text(guest, "holder")).unwrap(), now);
        }
        let mode = case.get("mode").map_or(DoorMode::Locked, |m| serde_json::from_value(m.clone()).unwrap());
        let door = index.door(text(case, "door")).unwrap();
        let moment = Moment {
            door,
            mode,
            building_hours_only: doors[usize::from(door.0)].2,
            now,
            clock_trusted: case["clock"] != "untrusted",
            stale: false,
        };
        let uid = Uid::parse(text(case, "uid")).unwrap();
        let facts = Facts { index: &index, let_in: &let_in, zone };
        let answer = serde_json::to_value(decide(facts, moment, &uid, &hasher.hash(&uid))).unwrap();
        let expected: &Map<String, Value> = case["expect"].as_object().unwrap();
        assert_eq!(answer.as_object().unwrap(), expected, "{}", case["name"]);
    }
}

#[test]
fn room_and_desk() {
    run(include_str!("vectors/room-and-desk.json"));
}

#[test]
fn cards() {
    run(include_str!("vectors/cards.json"));
}

#[test]
fn guests() {
    run(include_str!("vectors/guests.json"));
}

#[test]
fn lockdown_and_clock() {
    run(include_str!("vectors/lockdown-and-clock.json"));
}

#[test]
fn policy_and_calendar() {
    run(include_str!("vectors/policy-and-calendar.json"));
}
