//! Cables pulled, noise on the line, and devices that come later than the daemon.

use std::time::Duration;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, RECONNECT_LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";

fn with_anna() -> Site {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

#[test]
fn a_reader_whose_cable_is_pulled_is_said_and_works_when_it_is_back() {
    let site = with_anna();
    let mark = site.central().mark();
    site.reader("entrance-in").unplug();
    let lost = site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    assert!(lost["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{lost:#}");
    let readers = site.ask(&["readers"]);
    let shown =
        |id: &str| readers.as_array().unwrap().iter().find(|reader| reader["reader"] == id).unwrap().clone();
    assert_eq!(
        (&shown("entrance-in")["connected"], &shown("room-4-in")["connected"]),
        (&false.into(), &true.into())
    );
    assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
    let mark = site.central().mark();
    site.reader("entrance-in").plug_in().unwrap();
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    site.wait_until_empty("entrance-in");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn noise_on_the_line_and_bytes_in_pieces_stop_no_reader() {
    let site = with_anna();
    let reader = site.reader("entrance-in");
    // Half a frame, a frame of nobody's with a wrong checksum, the start of a very long one.
    for noise in
        [&[0x00, 0x00, 0xFF, 0x05][..], &[0x00, 0xFF, 0x03, 0xFD, 0xD5, 0x4B, 0x01, 0x00, 0x00], &[0xAA; 300]]
    {
        reader.noise(noise);
        site.wait_until_ready();
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    }
    reader.nonsense_once();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    reader.split_frames(true);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_reader_that_hangs_is_said_and_works_when_it_answers_again() {
    let site = with_anna();
    let mark = site.central().mark();
    site.reader("entrance-in").hang(true);
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    let mark = site.central().mark();
    site.reader("entrance-in").hang(false);
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    site.wait_until_empty("entrance-in");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_daemon_that_starts_before_everything_else_waits_for_it() {
    let mut site = Builder::new().nothing_up();
    site.board.stop().unwrap();
    for (_, reader) in &site.pn532 {
        reader.unplug();
    }
    site.daemon.start();
    let status = eventually_asking("status of a daemon alone", || {
        let said = site.ctl(&["status", "--json"]);
        (said.code == 0).then(|| said.json())
    });
    for list in ["readers", "boards"] {
        assert!(status[list].as_array().unwrap().iter().all(|one| one["connected"] == false), "{status:#}");
    }
    assert_eq!(status["sync"]["connected"], false);
    assert_eq!(site.ctl(&["door", "access", "entrance"]).code, 1, "it opened a door it has no board for");
    site.board.restart().unwrap();
    for (_, reader) in &site.pn532 {
        reader.plug_in().unwrap();
    }
    site.broker.start();
    site.wait_until_ready();
    site.central().wait_connected(LIMIT).unwrap();
    site.central().wait_synced(RECONNECT_LIMIT).unwrap();
    assert_eq!(site.board.coil_history(), [], "what was refused is done now");
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil(0, true, Duration::from_secs(5)));
}
