//! Five million events: what a start costs with them, what it takes to find some and to check them all, and the room.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    process::Command,
};

use latchd::{
    domain::{
        At, CredentialId, Decision, Direction, DoorId, Entry, EntryKind, GrantId, HolderId, Passage,
        ReaderId, Reason,
    },
    drivers::store::journal::SEGMENT_BYTES,
    wire::{Digest, journal::link},
};

use super::{
    figures::{Row, median},
    large::{self, Place, now},
    people::{Ids, Site},
};

const EVENTS: u64 = 5_000_000;
const STARTS: usize = 5;
/// The first of them: four weeks ago, and two a second.
const BEGIN_S: i64 = 28 * 86_400;

pub fn rows(disk: &Path, desk: &Path) -> Vec<Row> {
    let desk = desk.join("history");
    fs::create_dir_all(&desk).unwrap();
    let place = Place { state: disk.join("history"), devices: large::DOOR.into(), desk };
    large::fill(&place.state, Site { grants: 10_000, ids: Ids::Short });
    let without = starts(&place);
    let begin = now();
    let bytes = write(&place.state.join("journal"));
    eprintln!("{EVENTS} events written in {:.0} s", begin.elapsed().as_secs_f64());
    // Until the first start has noted in the cache how far the journal has been read.
    let first = start(&place);
    let with = starts(&place);
    let mut daemon = place.launch();
    place.first_decision(&mut daemon);
    let tool = |words: &[&str]| {
        let begin = now();
        let done = Command::new(env!("CARGO_BIN_EXE_latchctl"))
            .arg("--socket")
            .arg(place.desk.join("latchd.sock"))
            .args(words)
            .output()
            .unwrap();
        let took = begin.elapsed().as_secs_f64();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        let lines = done.stdout.iter().filter(|byte| **byte == b'\n').count();
        eprintln!("{words:?}: {lines} lines in {took:.2} s");
        took
    };
    let middle = At::from_parts(wall_s() - BEGIN_S / 2, 0).unwrap().to_string();
    let rows = vec![
        Row::seen("kill → decision, 10,000 grants, no events", without, "ms"),
        Row::seen("the same with 5,000,000 events, the first time", first, "ms"),
        Row::seen("the same, later", with, "ms"),
        Row::seen("latchd with 5,000,000 events, at rest", daemon.now_mib(), "MiB"),
        Row::seen("5,000,000 events on disk", bytes as f64 / (1 << 20) as f64, "MiB"),
        Row::seen("latchctl events --limit 20", tool(&["events", "--limit", "20"]), "s"),
        Row::seen(
            "latchctl events --since (two weeks) --limit 20",
            tool(&["events", "--since", &middle, "--limit", "20"]),
            "s",
        ),
        Row::seen("latchctl journal verify", tool(&["journal", "verify"]), "s"),
    ];
    rows
}

fn starts(place: &Place) -> f64 {
    median((0..STARTS).map(|_| start(place)))
}

fn start(place: &Place) -> f64 {
    let begin = now();
    let mut daemon = place.launch();
    let decided = place.first_decision(&mut daemon);
    daemon.kill();
    (decided - begin).as_secs_f64() * 1000.0
}

fn wall_s() -> i64 {
    latchd::drivers::clock::wall().secs()
}

/// Continues the journal that is there, as its own thread would; says how long it has become.
fn write(journal: &Path) -> u64 {
    let (mut seq, mut prev) = end_of(journal);
    let (mut total, begin_s) = (0, wall_s() - BEGIN_S);
    while seq < EVENTS {
        let path = journal.join(format!("{:020}.jsonl", seq + 1));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
        let mut len = 0;
        while len < SEGMENT_BYTES && seq < EVENTS {
            seq += 1;
            let linked = link(&entry(seq, begin_s), false, prev);
            file.write_all(linked.line.as_bytes()).unwrap();
            file.write_all(b"\n").unwrap();
            len += linked.line.len() as u64 + 1;
            prev = linked.hash;
        }
        file.flush().unwrap();
        total += len;
    }
    fs::write(journal.join("acknowledged"), format!("{EVENTS}\n")).unwrap();
    total
}

fn end_of(journal: &Path) -> (u64, Digest) {
    let files = fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    let last = files.filter(|file| file.extension().is_some_and(|e| e == "jsonl")).max().unwrap();
    let text = fs::read_to_string(last).unwrap();
    let event: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    (event["seq"].as_u64().unwrap(), Digest::parse(event["hash"].as_str().unwrap()).unwrap())
}

/// A granted tap, as most events are.
fn entry(seq: u64, begin_s: i64) -> Entry {
    let n = seq % 300_000;
    let decision = Decision {
        credential: CredentialId::new(&format!("c-{n}")).ok(),
        holder: HolderId::new(&format!("m-{n}")).ok(),
        grant: GrantId::new(&format!("g-{n}")).ok(),
        ..Decision::of(Reason::Standing)
    };
    let passage = Passage::of(
        DoorId::new(&format!("door-{}", seq % 64)).unwrap(),
        ReaderId::new(&format!("door-{}-in", seq % 64)).unwrap(),
        Direction::In,
        decision,
    );
    let at = At::from_parts(begin_s + (seq * BEGIN_S as u64 / EVENTS) as i64, 0).unwrap();
    Entry { seq, at, clock: None, kind: EntryKind::AccessGranted(passage) }
}
