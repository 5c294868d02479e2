//! What lies on disk, which a power cut, a bad block or a stranger may have changed: journal files and cache records.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    time::Duration,
};

use latchd::{
    domain::{At, ControllerId, DoorId, Entry, EntryKind},
    drivers::store::{
        journal::{Config, Opened, reader::Reader},
        mark::Mark,
    },
    wire::{
        Digest,
        journal::{check, check_alone, link},
        stored::{Heard, Position, StoredModes, StoredRecord, decode, encode},
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{records, script::Script};

const JOURNAL: &str = "6f0e9c1e-1111-4222-8333-444455556666";
/// Between segments, in a script's text.
const NEXT_SEGMENT: u8 = 0x1E;

/// A journal's folder in any state: it opens or says why not, and what it then is, is whole and stays so.
pub fn journal(bytes: &[u8]) {
    lines(bytes);
    let mut script = Script::new(bytes);
    let segments = match script.byte() % 3 {
        0 => script.rest().split(|byte| *byte == NEXT_SEGMENT).map(<[u8]>::to_vec).collect(),
        kind => vec![written(&mut script, kind == 2)],
    };
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("journal");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("id"), format!("{JOURNAL}\n")).unwrap();
    let (mut first, mut all) = (1, 0);
    for segment in &segments {
        fs::write(folder.join(format!("{first:020}.jsonl")), segment).unwrap();
        first += segment.iter().filter(|byte| **byte == b'\n').count().max(1) as u64;
        all += segment.len();
    }
    opened(state.path(), segments.len(), all);
}

fn open(state: &Path) -> Option<Opened> {
    let config = Config {
        state_dir: state.to_owned(),
        controller: ControllerId::new("oslo-1").unwrap(),
        keep: Duration::from_secs(3600),
        max_events: 1000,
    };
    Opened::open(config, &Mark::default()).ok()
}

fn opened(state: &Path, segments: usize, bytes: usize) {
    let Some(once) = open(state) else { return };
    let (end, id) = (once.end, once.id.clone());
    drop(once);
    let mut reader = Reader::of_state(state);
    let verified = reader.verify(end.seq);
    if segments == 1 {
        let verified = verified.as_ref().expect("what was opened as whole is not");
        assert_eq!(verified.last.map_or(0, |last| last.seq), end.seq);
        let read = reader.read(1, end.seq, usize::MAX, usize::MAX);
        assert_eq!(read.len() as u64, end.seq, "events that are there are not read");
    }
    // Nothing but a torn line goes without a trace.
    let mut kept = 0;
    for file in fs::read_dir(state.join("journal")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        kept += if matches!(name.as_str(), "id" | "acknowledged") {
            0
        } else {
            file.metadata().unwrap().len() as usize
        };
    }
    assert!(kept <= bytes);
    let again = open(state).expect("it opened, and now it does not");
    assert_eq!((again.end, &again.id, &again.torn), (end, &id, &None), "opened again, it is another");
    drop(again);
    goes_on(state, end.seq, end.hash, segments);
}

/// The next event is taken, and the chain holds over it.
fn goes_on(state: &Path, seq: u64, prev: Digest, segments: usize) {
    if segments > 1 || seq == 0 {
        return;
    }
    let line = link(&event(seq + 1, "goes on"), false, prev).line;
    let path = state.join("journal/00000000000000000001.jsonl");
    writeln!(OpenOptions::new().append(true).open(path).unwrap(), "{line}").unwrap();
    let grown = open(state).expect("with one more event it opens");
    assert_eq!((grown.end.seq, grown.torn), (seq + 1, None));
    assert!(Reader::of_state(state).verify(seq + 1).is_ok());
}

fn event(seq: u64, text: &str) -> Entry {
    let door = DoorId::new("entrance").unwrap();
    let at = At::from_parts(1_795_000_000 + (seq % 1_000_000) as i64, 0).unwrap();
    Entry { seq, at, clock: None, kind: EntryKind::LockFault { door, detail: text.into() } }
}

/// A good journal by the script's texts, and what somebody did to it.
fn written(script: &mut Script<'_>, is_altered: bool) -> Vec<u8> {
    let (mut bytes, mut prev) = (Vec::new(), Digest::default());
    for seq in 1..=u64::from(script.byte() % 6) {
        let text = String::from_utf8_lossy(script.chunk()).into_owned();
        let link = link(&event(seq, &text), script.byte().is_multiple_of(4), prev);
        prev = link.hash;
        bytes.extend(link.line.into_bytes());
        bytes.push(b'\n');
    }
    while is_altered && !script.is_over() {
        let (kind, at) = (script.byte() % 4, script.below(bytes.len() + 1));
        match kind {
            0 => bytes.truncate(at),
            1 => {
                let inserted = script.chunk();
                bytes.splice(at..at, inserted.iter().copied());
            }
            2 => {
                let end = (at + usize::from(script.byte())).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= script.byte();
                }
            }
        }
    }
    bytes
}

/// A single line: one that checks is to the byte what linking its content gives.
fn lines(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n').take(20) {
        let Ok((checked, prev)) = check_alone(line) else {
            assert!(check(line, None).is_err());
            continue;
        };
        let text = std::str::from_utf8(line).unwrap();
        let without = text.replacen(&format!("\"hash\":\"{}\",", checked.hash), "", 1);
        assert!(without.len() < text.len() || text.contains("\"hash\""));
        assert!(text.contains(&prev.to_string()) && text.contains(&checked.seq.to_string()));
    }
}

/// What can be read is written and read back the same.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let read = decode::<T>(bytes).ok()?;
    assert_eq!(decode::<T>(&encode(&read).unwrap()).unwrap(), read);
    Some(read)
}

/// Values of the cache, as sled would give them back: read or refused, and what is read can be decided upon.
pub fn cache_records(bytes: &[u8]) {
    again::<Position>(bytes);
    again::<Heard>(bytes);
    again::<StoredModes>(bytes);
    again::<At>(bytes);
    let mut script = Script::new(bytes);
    let mut kept = Vec::new();
    while !script.is_over() {
        kept.extend(again::<StoredRecord>(script.chunk()).map(|stored| stored.record));
    }
    records::holds(&kept);
}
