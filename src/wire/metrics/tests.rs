//! The page as a parser of the format sees it, from a site with one of everything.

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    domain::{
        At, ClockTrust, Contact, ControllerId, Direction, DoorAlarm, DoorId, DoorMode, LockState, Zone,
    },
    wire::control::{
        BoardReport, CertificateReport, ClockReport, DoorReport, FireReport, JournalReport, ReaderReport,
        StoreReport, SyncReport,
    },
};

fn at() -> At {
    At::parse("2026-11-23T09:00:00.500Z").unwrap()
}

fn sync() -> SyncReport {
    SyncReport {
        connected: true,
        broker: "mqtts://broker.example".into(),
        since: Some(at()),
        detail: None,
        epoch: 4,
        applied: 912,
        want: "changes".into(),
        rejected: 2,
        credentials: 3,
        grants: 5,
        digest: String::new(),
        central_at: Some(at()),
        stale: false,
        refused: BTreeMap::new(),
        queue: 7,
        snapshot: Some((3, 10)),
        certificates: vec![CertificateReport { certificate: "controller".into(), not_after: at() }],
    }
}

fn status() -> StatusReport {
    StatusReport {
        controller: ControllerId::new("oslo-1").unwrap(),
        version: "1.2.3".into(),
        time_zone: "Europe/Oslo".parse::<Zone>().unwrap(),
        now: at(),
        started_at: at(),
        clock: ClockReport { trust: ClockTrust::Holdover, detail: String::new() },
        sync: sync(),
        journal: JournalReport {
            journal: "uuid".into(),
            recorded: 100,
            acknowledged: 93,
            fault: Some("no space".into()),
        },
        store: StoreReport::default(),
        doors: vec![DoorReport {
            door: DoorId::new("entrance").unwrap(),
            name: "The \"entrance\"".into(),
            zones: Vec::new(),
            board: BoardId::new("b-1").unwrap(),
            mode: DoorMode::LockedDown,
            lock: LockState::Secure,
            contact: Contact::Open,
            alarm: DoorAlarm::HeldOpen,
            fault: Some("no echo".into()),
            last: None,
        }],
        readers: vec![ReaderReport {
            reader: ReaderId::new("entrance-in").unwrap(),
            door: DoorId::new("entrance").unwrap(),
            direction: Direction::In,
            driver: "pn532".into(),
            connected: true,
            since: None,
            detail: None,
            last_tap: None,
            last_reason: None,
            insecure: false,
            tamper: true,
            fault: None,
            restarts: None,
        }],
        boards: vec![BoardReport {
            board: BoardId::new("b-1").unwrap(),
            url: "modbus+tcp://10.0.0.20".into(),
            connected: false,
            since: None,
            detail: None,
        }],
        configuration: None,
        failing: Vec::new(),
        fire: Some(FireReport {
            raised: true,
            since: Some(at()),
            input: None,
            board: BoardId::new("b-1").unwrap(),
            doors: Vec::new(),
        }),
    }
}

fn measured() -> Measured {
    let mut counts = Counts::default();
    counts.decisions.insert(Reason::TooEarly, 3);
    counts.readers.insert(ReaderId::new("entrance-in").unwrap(), LinkCount { connections: 2, losses: 1 });
    for ms in [1, 2, 3, 4000] {
        counts.tap_release.observe(Duration::from_millis(ms));
    }
    Measured {
        status: status(),
        counts,
        refused: vec![("signature", 0), ("epoch", 4)],
        unrecorded: 1,
        heard_ago: Some(Duration::from_millis(1500)),
    }
}

fn around() -> Surroundings {
    Surroundings {
        queues: vec![
            Queue { name: "events", length: 1, limit: Some(1024) },
            Queue { name: "cache", length: 0, limit: None },
        ],
        dropped: vec![("uplink_messages", 0)],
        stores: vec![Store { name: "journal", bytes: 4096 }],
        available_bytes: Some(1 << 30),
        clock: Some(KernelClock { synchronised: true, offset_s: -0.000_25, max_error_s: 0.5 }),
        resident_bytes: None,
    }
}

/// The page's line for a sample.
fn value<'p>(page: &'p str, sample: &str) -> Option<&'p str> {
    page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
}

#[test]
fn a_page_says_what_was_measured() {
    let page = page(&measured(), &around());
    for (sample, expected) in [
        ("latchd_build_info{controller=\"oslo-1\",version=\"1.2.3\"}", "1"),
        ("process_start_time_seconds", "1795424400.5"),
        ("latchd_decisions_total{decision=\"denied\",reason=\"too_early\"}", "3"),
        ("latchd_decisions_total{decision=\"granted\",reason=\"in_window\"}", "0"),
        ("latchd_door_mode{door=\"entrance\",mode=\"locked_down\"}", "1"),
        ("latchd_door_mode{door=\"entrance\",mode=\"locked\"}", "0"),
        ("latchd_door_alarm{door=\"entrance\",alarm=\"held_open\"}", "1"),
        ("latchd_door_contact{door=\"entrance\",contact=\"open\"}", "1"),
        ("latchd_door_lock{door=\"entrance\",lock=\"released\"}", "0"),
        ("latchd_door_fault{door=\"entrance\"}", "1"),
        ("latchd_reader_connected{reader=\"entrance-in\",door=\"entrance\",driver=\"pn532\"}", "1"),
        ("latchd_reader_losses_total{reader=\"entrance-in\"}", "1"),
        ("latchd_board_connected{board=\"b-1\"}", "0"),
        ("latchd_board_command_failures_total{board=\"b-1\"}", "0"),
        ("latchd_fire_alarm", "1"),
        ("latchd_reader_tamper{reader=\"entrance-in\",door=\"entrance\"}", "1"),
        ("latchd_journal_unacknowledged_events", "7"),
        ("latchd_journal_unrecorded_events", "1"),
        ("latchd_journal_fault", "1"),
        ("latchd_sync_age_seconds", "1.5"),
        ("latchd_sync_snapshot_stored_parts", "3"),
        ("latchd_messages_refused_total{kind=\"epoch\"}", "4"),
        ("latchd_certificate_expiry_timestamp_seconds{certificate=\"controller\"}", "1795424400.5"),
        ("latchd_clock_trust{trust=\"holdover\"}", "1"),
        ("latchd_clock_offset_seconds", "-0.00025"),
        ("latchd_store_size_bytes{store=\"journal\"}", "4096"),
        ("latchd_queue_limit{queue=\"events\"}", "1024"),
    ] {
        assert_eq!(value(&page, sample), Some(expected), "{sample}\n{page}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let page = page(&Measured { heard_ago: None, ..measured() }, &Surroundings::default());
    for name in [
        "latchd_sync_age_seconds",
        "process_resident_memory_bytes",
        "latchd_clock_offset_seconds",
        "latchd_store_available_bytes",
    ] {
        assert!(page.contains(&format!("# TYPE {name} gauge")), "{name} is not even named");
        assert_eq!(value(&page, name), None);
    }
    assert!(!page.contains("latchd_queue_limit{queue=\"cache\"}"));
}

#[test]
fn a_histogram_cumulates_and_a_time_on_the_edge_of_a_bucket_is_in_it() {
    let page = page(&measured(), &around());
    let bucket = |end: &str| value(&page, &format!("latchd_tap_release_seconds_bucket{{le=\"{end}\"}}"));
    assert_eq!(
        ["0.001", "0.002", "0.005", "2", "+Inf"].map(bucket).map(Option::unwrap),
        ["1", "2", "3", "3", "4"]
    );
    assert_eq!(value(&page, "latchd_tap_release_seconds_sum"), Some("4.006"));
    assert_eq!(value(&page, "latchd_tap_release_seconds_count"), Some("4"));
}

#[test]
fn every_family_is_there_once_with_its_help_and_no_sample_is_there_twice() {
    let page = page(&measured(), &around());
    let mut families = BTreeSet::new();
    let mut samples = BTreeSet::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(help) = line.strip_prefix("# HELP ") else {
            let sample = line.rsplit_once(' ').expect("a sample and its value").0;
            assert!(samples.insert(sample), "{sample} is there twice");
            continue;
        };
        let (name, sentence) = help.split_once(' ').expect("a name and its help");
        assert!(sentence.ends_with('.') || sentence.ends_with('1'), "{name}: {sentence}");
        assert!(families.insert(name), "{name} is there twice");
        assert!(lines.next().is_some_and(|line| line.starts_with(&format!("# TYPE {name} "))), "{name}");
    }
    assert!(families.len() > 40, "{families:#?}");
}

#[test]
fn labels_are_escaped_as_the_format_wants_it() {
    let mut page = text::Page::default();
    page.gauge("m", "H.").sample(&[("a", "x\\y"), ("b", "\"\n")], 1);
    assert_eq!(page.text(), "# HELP m H.\n# TYPE m gauge\nm{a=\"x\\\\y\",b=\"\\\"\\n\"} 1\n");
}

/// No name of a person, no card, no board's address; only ids of the configuration and names of closed sets.
#[test]
fn labels_name_nobody() {
    let page = page(&measured(), &around());
    let known = [
        "controller",
        "version",
        "decision",
        "reason",
        "door",
        "mode",
        "lock",
        "contact",
        "alarm",
        "reader",
        "driver",
        "board",
        "kind",
        "certificate",
        "trust",
        "store",
        "queue",
        "what",
        "le",
    ];
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let labels = line.split_once('{').map_or("", |(_, rest)| rest);
        for label in labels.split("\",").filter_map(|label| label.split_once('=')) {
            assert!(known.contains(&label.0), "{line}");
        }
    }
}
