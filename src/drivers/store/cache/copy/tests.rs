//! Copies: whole and as of one position whatever changes meanwhile, and never believed when anything is wrong with them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use proptest::prelude::*;

use super::*;
use crate::drivers::store::cache::small::Small;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn header() -> Header {
    Header {
        controller: "oslo-1".into(),
        schema: SCHEMA,
        uid_check: crate::wire::UidHasher::new(&[7; 32]).check(),
        uid_key: [7; KEY_LEN],
        journal: "6f".into(),
        begun_at: At::parse("2026-11-23T09:00:00Z").unwrap(),
    }
}

fn end() -> End {
    let position = Position { epoch: 3, applied: 1203, ..Position::default() };
    End { position, at: header().begun_at }
}

fn small() -> Small {
    let mut small = Small::default();
    small.put("modes", b"entrance".to_vec(), vec![1, 2, 3]);
    small.put("desk", b"c-1".to_vec(), Vec::new());
    small
}

/// A tree in memory, for as long as the test goes.
fn tree() -> sled::Tree {
    let db = sled::Config::new().temporary(true).open().unwrap();
    db.open_tree("records.1").unwrap()
}

fn key(n: u8) -> Vec<u8> {
    format!("g{n:03}").into_bytes()
}

/// Writes a copy of `before` in slices; between two of them, changes are made.
fn write(
    dir: &std::path::Path,
    slice: usize,
    before: &Records,
    changes: &[(u8, Option<u8>)],
) -> (PathBuf, Records) {
    let tree = tree();
    let mut now = before.clone();
    for (key, value) in before {
        tree.insert(key.clone(), value.clone()).unwrap();
    }
    tree.insert("m", "a position, which is no record").unwrap();
    let mut writing = Writing::begin(dir, FILE, &header()).unwrap();
    let mut changes = changes.iter();
    while writing.slice(&tree, slice).unwrap() {
        let Some((n, value)) = changes.next() else { continue };
        let value = value.map(|v| vec![v]);
        match &value {
            Some(value) => {
                tree.insert(key(*n), value.clone()).unwrap();
                now.insert(key(*n), value.clone());
            }
            None => {
                tree.remove(key(*n)).unwrap();
                now.remove(&key(*n));
            }
        }
        assert!(writing.amend(BTreeMap::from([(key(*n), value), (b"m".to_vec(), Some(vec![0]))])));
    }
    writing.finish(&small(), &end()).unwrap();
    (dir.join(FILE), now)
}

fn read(path: &std::path::Path) -> Result<Records, CopyError> {
    let copy = GoodCopy::open(path, "oslo-1")?;
    assert_eq!((&copy.small, copy.end, &copy.header), (&small(), end(), &header()));
    copy.records()?.collect()
}

fn some_records(count: u8) -> Records {
    (0..count).map(|n| (key(n), vec![n; usize::from(n)])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_is_as_of_its_end_whatever_changes_while_it_is_written(
        slice in 1..8usize,
        before in 0..30u8,
        changes in prop::collection::vec((0..40u8, prop::option::of(any::<u8>())), 0..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (path, expected) = write(dir.path(), slice, &some_records(before), &changes);
        prop_assert_eq!(read(&path).unwrap(), expected);
    }
}

#[test]
fn a_copy_with_any_bit_wrong_or_any_end_missing_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, expected) = write(dir.path(), 3, &some_records(9), &[(2, Some(7)), (4, None)]);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(read(&path).is_err(), "a bit of byte {at}");
    }
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(read(&path).is_err(), "cut to {len}");
    }
    fs::write(&path, [whole.as_slice(), &[0]].concat()).unwrap();
    assert!(read(&path).unwrap_err().to_string().ends_with("something stands behind its end"));
    fs::write(&path, &whole).unwrap();
    assert_eq!(read(&path).unwrap(), expected);
}

#[test]
fn whose_copy_it_is_can_be_read_by_itself_and_another_controllers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = write(dir.path(), 3, &some_records(9), &[]);
    assert_eq!(super::header(&path).unwrap(), header());
    let error = GoodCopy::open(&path, "bergen-1").unwrap_err();
    assert_eq!(
        (error.aside(), error.to_string().ends_with("cache.copy is controller oslo-1's, this is bergen-1")),
        (Some("foreign"), true)
    );
    fs::write(&path, "something else").unwrap();
    assert!(super::header(&path).unwrap_err().to_string().ends_with("is no copy of a latchd's store"));
    fs::remove_file(&path).unwrap();
    assert!(super::header(&path).unwrap_err().is_missing());
}

#[test]
fn a_copy_that_is_given_up_leaves_the_one_before_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (path, expected) = write(dir.path(), 3, &some_records(9), &[]);
    let mut writing = Writing::begin(dir.path(), FILE, &header()).unwrap();
    writing.slice(&tree(), 3).unwrap();
    drop(writing);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(read(&path).unwrap(), expected);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "the key is in it");
}
