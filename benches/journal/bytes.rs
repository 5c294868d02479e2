//! What an event costs the device: the real daemon, a reader, a board, and cards one after the other.

use std::{fs, path::Path};

use hardware_sim::pn532::Pn532;

use super::{
    board::Board,
    figures::Row,
    large::{self, Place},
    most,
    people::{Ids, Site},
    taps::Hand,
};

const TAPS: usize = 100;
const KIB_MOST: f64 = 8.0;

pub fn rows(disk: &Path, desk: &Path) -> Vec<Row> {
    let (board, desk) = (Board::start(), desk.join("bytes"));
    fs::create_dir_all(&desk).unwrap();
    let reader = Pn532::start(&desk.join("reader")).unwrap();
    let place = Place {
        state: disk.join("bytes"),
        devices: large::door_and_reader(&board.address().to_string(), reader.path()),
        desk,
    };
    // The cards that the hand holds are nobody's: denied at once, and then there is nothing to wait for but the disk.
    large::fill(&place.state, Site { grants: 1000, ids: Ids::Short });
    let mut daemon = place.launch();
    place.first_decision(&mut daemon);
    let mut hand = Hand::new();
    let before = (daemon.written(), events(&place.state));
    for _ in 0..TAPS {
        hand.show(&reader);
    }
    large::rest(std::time::Duration::from_secs(2));
    let count = events(&place.state) - before.1;
    assert!(count >= TAPS, "{count} events of {TAPS} cards");
    let bytes = (daemon.written() - before.0) as f64 / count as f64;
    vec![most("written to the device an event, one at a time", KIB_MOST, bytes / 1024.0, "KiB")]
}

fn events(state: &Path) -> usize {
    let files = fs::read_dir(state.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let segments = files.filter(|file| file.extension().is_some_and(|e| e == "jsonl"));
    segments.map(|file| fs::read_to_string(file).unwrap().lines().count()).sum()
}
