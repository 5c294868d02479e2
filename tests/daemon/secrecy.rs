//! A full UID opens doors for whoever copies it: it stands in no file, no log, no event and no answer.

use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing, with};
use crate::site::{Builder, Site};

/// Of a card that is known, one that is not, and one refused; no bytes that turn up by chance.
const PLANTED: [&str; 4] = ["04C5B6A7D8E9FA", "D3E4F5A6", "04E7D6C5B4A39281F0BE", "04B7C8D9EAFB1C"];

/// How a UID can be written: both cases, with colons, its bytes, and its bytes the other way round.
fn shapes(uid: &str) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = uid.parse::<hardware_sim::uid::CardUid>().unwrap().as_bytes().to_vec();
    let colons = |uid: &str| {
        uid.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two)).collect::<Vec<_>>().join(":")
    };
    let lower = uid.to_lowercase();
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    let backwards_hex: String = backwards.iter().map(|byte| format!("{byte:02X}")).collect();
    let as_list = format!("{bytes:?}");
    vec![
        uid.as_bytes().to_vec(),
        lower.as_bytes().to_vec(),
        colons(uid).into_bytes(),
        colons(&lower).into_bytes(),
        backwards_hex.to_lowercase().into_bytes(),
        backwards_hex.into_bytes(),
        as_list.into_bytes(),
        bytes,
        backwards,
    ]
}

fn assert_absent(what: &str, bytes: &[u8]) {
    for uid in PLANTED {
        for shape in shapes(uid) {
            let at = bytes.windows(shape.len()).position(|window| window == shape);
            if let Some(at) = at {
                let around = bytes.get(at.saturating_sub(120)..(at + 120).min(bytes.len())).unwrap();
                panic!("{uid} stands in {what}, byte {at}: …{}…", String::from_utf8_lossy(around));
            }
        }
    }
}

#[test]
fn no_uid_stands_in_a_file_a_log_an_event_or_an_answer() {
    let [known, unknown, conflicted, refused] = PLANTED;
    let mut site = Builder::new().pcsc("floor-2", 0).running();
    let line = Line::open(&site.broker.url());
    site.put([
        with(card("c-1", known, "m-1"), "label", "blue tag"),
        card("c-2", conflicted, "m-2"),
        card("c-3", conflicted, "m-3"),
        standing("g-1", "m-1", &["perimeter", "community-floor"]),
    ]);
    // Refused records, and a message that is not understood, with a UID in each.
    site.put_wrong(with(card("c-4", refused, "m-4"), "status", "sleepy"));
    site.put_wrong(with(card("c-5", refused, "m-5"), "holder", "no such id!"));
    line.say_bytes("feed", format!("{{\"uid\":\"{refused}\""), false);
    site.in_journal(0, "message refused", |event| event["type"] == "sync.rejected");

    assert_decided(&site.decision("entrance-in", known), "access.granted", "standing");
    assert_decided(&site.decision("entrance-in", unknown), "access.denied", "unknown_credential");
    assert_decided(&site.decision("room-4-in", conflicted), "access.denied", "no_grant");
    assert_decided(&site.pcsc_decision(0, "floor-2-in", known), "access.granted", "standing");
    for verb in [
        &["status"][..],
        &["doors"],
        &["readers"],
        &["credentials"],
        &["grants"],
        &["events"],
        &["sync"],
        &["journal", "verify"],
        &["explain", "--door", "entrance", "--uid", known],
        &["explain", "--door", "entrance", "--uid", unknown],
    ] {
        for arguments in [verb.to_vec(), [verb, &["--json"]].concat()] {
            let said = site.ctl(&arguments);
            assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
            assert_absent(&format!("the answer to {arguments:?}"), said.out.as_bytes());
        }
    }
    let wrong = site.ctl(&["explain", "--door", "cellar", "--uid", known]);
    assert_absent("an error", wrong.err.as_bytes());
    at_rest(&site, "while it runs");
    assert!(site.daemon.stop().success());
    at_rest(&site, "after a clean stop");
    for topic in ["events", "sync", "status", "result", "door/entrance"] {
        for body in line.heard(0, topic) {
            assert_absent(&format!("what it said on {topic}"), body.to_string().as_bytes());
        }
    }
    assert!(!line.events(0).is_empty());
}

fn at_rest(site: &Site, when: &str) {
    let files = site.bytes_on_disk();
    assert!(files.len() > 2, "what state is there? {files:?}");
    for (path, bytes) in files {
        assert_absent(&format!("{} {when}", path.display()), &bytes);
    }
}
