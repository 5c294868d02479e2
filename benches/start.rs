//! How soon a daemon that was killed decides again (targets, "start" and "small site").
//!
//! Each site's cache is written once, by the daemon's own store. Then the daemon is killed and started anew, the sites
//! taking turns; what is timed is from the kill to the arrival of the answer to the first `explain` that lets a known card in.
//! Its files are in the kernel's cache, as they are after a crash. That, and the reading of the answer, is in the figure;
//! what an init system waits before it starts a service again is not.
//!
//! `-- UUID 1000000` and the like: only sites whose name has these words.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[path = "tap/board.rs"]
mod board;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/figures.rs"]
mod figures;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/large.rs"]
mod large;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/people.rs"]
mod people;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/running.rs"]
mod running;
#[allow(dead_code, reason = "other benches ask for more")]
#[path = "tap/taps.rs"]
mod taps;

use std::{fs, path::Path, time::Duration};

use hardware_sim::pn532::{Pn532, Seen};
use serde_json::json;

use self::{
    board::Board,
    figures::{Machine, Row, Target, median, print_table, save},
    large::{Place, now},
    people::{Ids, Site},
    running::Daemon,
};

const ROUNDS: usize = 7;
const WITHIN: Duration = Duration::from_secs(20);

/// A kind of site, what its start may take in seconds, and what is looked at.
struct Kind {
    what: &'static str,
    site: Site,
    most_s: Option<f64>,
}

const KINDS: [Kind; 5] = [
    Kind { what: "1,000 grants", site: short(1000), most_s: Some(0.05) },
    Kind { what: "10,000 grants", site: short(10_000), most_s: Some(0.3) },
    Kind { what: "100,000 grants", site: short(100_000), most_s: None },
    Kind { what: "1,000,000 grants", site: short(1_000_000), most_s: Some(2.0) },
    Kind {
        what: "1,000,000 grants, UUID ids",
        site: Site { grants: 1_000_000, ids: Ids::Uuid },
        most_s: Some(2.0),
    },
];

const fn short(grants: u32) -> Site {
    Site { grants, ids: Ids::Short }
}

/// One site with its daemon, and what was seen of it.
struct Measured {
    kind: &'static Kind,
    place: Place,
    daemon: Daemon,
    reader: Pn532,
    /// Milliseconds from the kill to the first decision, and from the start until the reader looks for cards.
    decisions: Vec<f64>,
    looks: Vec<f64>,
}

impl Measured {
    fn begin(kind: &'static Kind, disk: &Path, desk: &Path, board: &Board) -> Self {
        let name = kind.what.replace([' ', ','], "");
        let (state, desk) = (disk.join(&name), desk.join(&name));
        fs::create_dir_all(&desk).unwrap();
        let begin = now();
        large::fill(&state, kind.site);
        eprintln!("{}: filled in {:.1} s", kind.what, begin.elapsed().as_secs_f64());
        let reader = Pn532::start(&desk.join("reader")).unwrap();
        let place = Place {
            state,
            devices: large::door_and_reader(&board.address().to_string(), reader.path()),
            desk,
        };
        // The first start tidies up behind whoever wrote the cache; only what comes later is alike.
        let mut daemon = place.launch();
        place.first_decision(&mut daemon);
        Measured { kind, place, daemon, reader, decisions: Vec::new(), looks: Vec::new() }
    }

    fn round(&mut self) {
        let seen = self.reader.seen_since(0, Duration::ZERO).last().map_or(0, |entry| entry.number + 1);
        let killed = now();
        self.daemon.kill();
        let started = now();
        self.daemon = self.place.launch();
        let decided = self.place.first_decision(&mut self.daemon);
        let looks = hardware_sim::wait::until(WITHIN, || {
            let news = self.reader.seen_since(seen, Duration::ZERO);
            news.iter().find(|entry| entry.what == Seen::Command(LIST)).map(|entry| entry.at)
        });
        self.decisions.push((decided - killed).as_secs_f64() * 1000.0);
        self.looks.push((looks.unwrap() - started).as_secs_f64() * 1000.0);
    }

    fn rows(&self) -> Vec<Row> {
        let (decision, look) = (median(self.decisions.iter().copied()), median(self.looks.iter().copied()));
        let row = |what: &str, measured| Row {
            what: format!("{what}, {}", self.kind.what),
            target: self.kind.most_s.map(|s| Target::AtMost(s * 1000.0)),
            measured,
            unit: "ms",
        };
        vec![row("kill → decision", decision), row("start → reader looks", look)]
    }
}

/// InListPassiveTarget: the daemon asks for a card.
const LIST: u8 = 0x4A;

fn main() {
    // On the disk that the build is on: the system's temporary folder may be in memory. It, on the other hand, has a
    // path short enough for a socket.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    // cargo adds options of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let board = Board::start();
    let asked =
        KINDS.iter().filter(|kind| words.iter().all(|word| kind.what.replace(',', "").contains(word)));
    let mut sites: Vec<Measured> =
        asked.map(|kind| Measured::begin(kind, disk.path(), desk.path(), &board)).collect();
    let machine = Machine::look(disk.path());
    for _ in 0..ROUNDS {
        sites.iter_mut().for_each(Measured::round);
    }
    let rows: Vec<Row> = sites.iter().flat_map(Measured::rows).collect();
    print_table(&rows);
    println!("\nmedians of {ROUNDS} rounds, the sites taking turns; three tenths as many cards as grants");
    machine.print();
    for site in &sites {
        println!("  {}: {:.0?} ms", site.kind.what, site.decisions);
    }
    let all: Vec<_> = sites.iter().map(|s| json!({ "site": s.kind.what, "ms": s.decisions })).collect();
    save("start", &rows, &machine, json!({ "rounds": all }));
}
