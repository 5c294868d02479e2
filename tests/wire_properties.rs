//! Properties of what comes in and what is kept: no record, however broken, stops the daemon, and no line of a journal
//! is changed, removed, repeated or moved without being found.

use latchd::{
    control::index::Index,
    domain::{
        At, BookingId, ControllerId, DoorId, Entry, EntryKind, HolderId,
        entry::{ClockNote, SyncNote},
    },
    wire::{
        Digest, UidHasher,
        canonical::canonical,
        feed,
        journal::{ChainError, Checked, check, link},
        record::{key, record},
        stored::{StoredRecord, decode, encode},
    },
};
use proptest::{
    collection::vec,
    option::weighted,
    prelude::*,
    sample::{Index as Pick, select},
};
use serde_json::{Value, json};

use crate::worlds;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Values that a field was not made for.
fn foreign() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        " ",
        "24:00",
        "24:01",
        "00:60",
        "-1:00",
        "２２:00",
        "sat",
        "site",
        "standing",
        "\u{0}",
        "é",
        "04A1B2C",
        "2026-02-30T00:00:00Z",
        "2026-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "+99999-01-01T00:00:00Z",
        "2026-11-23T09:00:00+01:00",
        "2026-02-30",
        "-262143-01-01",
        "262142-12-31",
    ];
    let numbers = [json!(-1), json!(0), json!(0.5), json!(4_294_967_296_u64), json!(u64::MAX), json!(1e308)];
    let lists =
        [json!([]), json!({}), json!([[]]), json!([["09:00"]]), json!([null]), json!(true), json!(null)];
    prop_oneof![
        3 => select(texts.map(Value::from).to_vec()),
        2 => select(numbers.to_vec()),
        2 => select(lists.to_vec()),
        1 => ".{0,80}".prop_map(Value::from),
        1 => (60_usize..300).prop_map(|n| "x".repeat(n).into()),
    ]
}

/// Every place in a value, deepest first.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| places(v, &format!("{at}/{k}"), found)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, v)| places(v, &format!("{at}/{n}"), found))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.push(at.to_owned());
}

/// A good record with one of its fields, however deep, made into something else.
fn broken() -> impl Strategy<Value = Value> {
    (worlds::record(), any::<Pick>(), foreign()).prop_map(|(mut record, pick, foreign)| {
        let mut all = Vec::new();
        places(&record, "", &mut all);
        *record.pointer_mut(&all[pick.index(all.len())]).unwrap() = foreign;
        record
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_broken_record_is_taken_or_refused_and_stops_nothing(value in broken()) {
        let hasher = UidHasher::new(&[7; 32]);
        let _ = key(&value);
        let Ok(taken) = record(&value, &hasher) else { return Ok(()) };
        // What was taken can be kept, and goes in and out of the index.
        let stored = StoredRecord { digest: Digest::of(&value), record: taken.clone() };
        prop_assert_eq!(&decode::<StoredRecord>(&encode(&stored).unwrap()).unwrap(), &stored);
        let mut index = Index::new([(DoorId::new("entrance").unwrap(), Vec::new())]);
        index.apply(None, Some(&taken));
        for (_, holder) in index.holders(0) {
            prop_assert_eq!(holder.items().count(), 1);
        }
        index.apply(Some(&taken), None);
        prop_assert_eq!((index.holders(0).count(), index.credentials(), index.grants()), (0, 0, 0));
    }

    #[test]
    fn a_broken_record_in_a_message_leaves_the_others_alone(values in vec(broken(), 1..4), good in worlds::record()) {
        let controller = ControllerId::new("oslo-1").unwrap();
        let mut changes: Vec<Value> = values.iter().map(|v| json!({ "put": v })).collect();
        changes.push(json!({ "put": good }));
        let message = json!({ "controller": "oslo-1", "epoch": 1, "first": 1, "last": changes.len(), "changes": changes });
        let read = feed::feed(message.to_string().as_bytes(), &controller, &UidHasher::new(&[7; 32])).unwrap();
        let feed::Body::Changes { items, .. } = read.body else { panic!("changes were sent") };
        prop_assert_eq!(items.len(), changes.len());
        prop_assert!(items.last().unwrap().is_ok());
    }

    #[test]
    fn bytes_that_are_no_message_are_refused(bytes in vec(any::<u8>(), 0..200)) {
        let (controller, hasher) = (ControllerId::new("oslo-1").unwrap(), UidHasher::new(&[7; 32]));
        prop_assert!(feed::feed(&bytes, &controller, &hasher).is_err());
        prop_assert!(feed::ack(&bytes, &controller).is_err());
        prop_assert!(check(&bytes, None).is_err());
    }
}

fn kind() -> impl Strategy<Value = EntryKind> {
    // Control characters too: they stand escaped in a line.
    let text = || prop_oneof!["[a-z \"\\\\]{0,20}", ".{0,20}", "[\u{0}-\u{1f}\u{7f}é]{0,6}"];
    let door = || select(vec!["entrance", "room-4"]).prop_map(|d| DoorId::new(d).unwrap());
    prop_oneof![
        (any::<u64>(), text())
            .prop_map(|(count, detail)| EntryKind::StoreRecovered { count: count >> 12, detail }),
        door().prop_map(|door| EntryKind::DoorOpened { door }),
        (door(), text()).prop_map(|(door, detail)| EntryKind::LockFault { door, detail }),
        (0..900_u64, text())
            .prop_map(|(applied, detail)| { EntryKind::SyncGap(SyncNote { epoch: 3, applied, detail }) }),
        (door(), 0..9).prop_map(|(door, n)| EntryKind::GuestArrived {
            door,
            holder: HolderId::new(&format!("h-{n}")).unwrap(),
            booking: BookingId::new("b-1").unwrap(),
            host: HolderId::new("h-host").unwrap(),
        }),
    ]
}

/// A journal's lines, from a first number on.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let clock = weighted(0.2, select(vec![ClockNote::Holdover, ClockNote::Untrusted]));
    let entries = vec((kind(), clock, any::<bool>(), 0..86_400_000_i64), 3..8);
    (1..2_000_u64, entries).prop_map(|(first, entries)| {
        let mut prev = Digest::default();
        let chain = |(n, (kind, clock, late, ms))| {
            let at = At::from_parts(1_795_000_000 + ms / 1000, (ms % 1000) as u32 * 1_000_000).unwrap();
            let link = link(&Entry { seq: first + n, at, clock, kind }, late, prev);
            prev = link.hash;
            link.line.into_bytes()
        };
        (0_u64..).zip(entries).map(chain).collect()
    })
}

/// Checks the lines one after the other, and that they end where they did: the last hash is known from elsewhere
/// (central's acknowledgement, the next event), without which a cut-off tail could not be told.
fn intact(lines: &[Vec<u8>], first: u64, last: Digest) -> bool {
    let mut before: Option<Checked> = None;
    for line in lines {
        match check(line, before) {
            Ok(own) if before.is_some() || own.seq == first => before = Some(own),
            Ok(_) | Err(_) => return false,
        }
    }
    before.is_some_and(|own| own.hash == last)
}

/// Where a journal's lines begin and end.
fn ends(lines: &[Vec<u8>]) -> (u64, Digest) {
    let all: Vec<Value> = lines.iter().map(|l| serde_json::from_slice(l).unwrap()).collect();
    (all[0]["seq"].as_u64().unwrap(), Digest::parse(all.last().unwrap()["hash"].as_str().unwrap()).unwrap())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_untouched_journal_checks(lines in lines()) {
        let (first, last) = ends(&lines);
        prop_assert!(intact(&lines, first, last));
    }

    #[test]
    fn a_single_altered_byte_is_found(lines in lines(), line in any::<Pick>(), at in any::<Pick>(), by in 1..=255_u8) {
        let ((first, last), mut altered) = (ends(&lines), lines);
        let line = line.index(altered.len());
        let at = at.index(altered[line].len());
        altered[line][at] ^= by;
        let told = String::from_utf8_lossy(&altered[line]).into_owned();
        prop_assert!(!intact(&altered, first, last), "byte {at} of line {line}: {told}");
    }

    #[test]
    fn a_removed_a_repeated_and_a_moved_line_are_found(lines in lines(), one in any::<Pick>(), two in any::<Pick>()) {
        let (first, last) = ends(&lines);
        let (one, two) = (one.index(lines.len()), two.index(lines.len()));
        let mut removed = lines.clone();
        removed.remove(one);
        prop_assert!(!intact(&removed, first, last));
        let mut repeated = lines.clone();
        repeated.insert(two, lines[one].clone());
        prop_assert!(!intact(&repeated, first, last));
        let mut swapped = lines.clone();
        swapped.swap(one, two);
        prop_assert_eq!(intact(&swapped, first, last), one == two);
    }

    /// A forger who makes the altered line's own hash anew is found at the next line, and one who makes all those
    /// after it anew at the end.
    #[test]
    fn a_line_with_a_forged_hash_is_found(lines in lines(), pick in any::<Pick>(), anew in any::<Pick>()) {
        let ((first, last), from) = (ends(&lines), pick.index(lines.len()));
        let until = from + 1 + anew.index(lines.len() - from);
        let (mut forged, mut prev) = (lines.clone(), None);
        for (n, line) in lines.iter().enumerate().take(until).skip(from) {
            let mut value: Value = serde_json::from_slice(line).unwrap();
            let object = value.as_object_mut().unwrap();
            object.remove("hash");
            match prev {
                None => object.insert("late".into(), json!("never")),
                Some(prev) => object.insert("prev".into(), json!(format!("{prev}"))),
            };
            let hash = Digest::of(&value);
            value["hash"] = json!(hash.to_string());
            prev = Some(hash);
            forged[n] = canonical(&value);
            prop_assert!(check(&forged[n], None).is_ok());
        }
        prop_assert!(!intact(&forged, first, last));
    }
}

/// A JSON library reads the same content from other bytes, and of a key that is there twice one value or the other:
/// only the journal's own spelling is whole.
#[test]
fn another_spelling_of_the_same_content_is_found() {
    let entry = Entry {
        seq: 1,
        at: At::parse("2026-11-23T09:00:00Z").unwrap(),
        clock: None,
        kind: EntryKind::LockFault { door: DoorId::new("entrance").unwrap(), detail: "\u{1b}".into() },
    };
    let line = link(&entry, false, Digest::default()).line;
    assert!(check(line.as_bytes(), None).is_ok());
    let spelt = line.replace("\\u001b", "\\u001B");
    assert_ne!(line, spelt);
    assert!(check(spelt.as_bytes(), None).is_err(), "a byte was altered: {spelt}");
    assert!(check(format!("{line} ").as_bytes(), None).is_err());
    let twice = line.replacen('{', "{\"door\":\"room-4\",", 1);
    assert_eq!(check(twice.as_bytes(), None), Err(ChainError::Form));
}

/// A writer that leaves a number out, or gives one twice, makes a chain whose hashes are right.
#[test]
fn a_wrong_number_in_a_right_chain_is_found() {
    let entry = |seq| Entry {
        seq,
        at: At::parse("2026-11-23T09:00:00Z").unwrap(),
        clock: None,
        kind: EntryKind::DoorOpened { door: DoorId::new("entrance").unwrap() },
    };
    let first = link(&entry(7), false, Digest::default());
    let before = Some(check(first.line.as_bytes(), None).unwrap());
    for (seq, is_next) in [(6, false), (7, false), (8, true), (9, false)] {
        let line = link(&entry(seq), false, first.hash).line;
        let found = check(line.as_bytes(), before).map(|own| own.seq);
        let expected = if is_next { Ok(8) } else { Err(ChainError::Number { found: seq, expected: 8 }) };
        assert_eq!(found, expected);
    }
}
