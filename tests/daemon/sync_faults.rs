//! The sync path among faults, with the real broker: it is killed with a message under way, the daemon between receipt
//! and disk and between disk and acknowledgement, and two centrals talk at once. Nothing is lost, nothing counts twice:
//! the digest is that of just those records, and the journal's chain is whole.
//!
//! `LATCHD_RECORDS` is how many records make a large snapshot (default 4,000; the contract speaks of 250,000), and
//! `LATCHD_KILLS` how often the daemon is killed in a stream of changes (default 12).

use std::collections::BTreeSet;
use std::time::Duration;

use hardware_sim::time;
use serde_json::Value;

use super::feed::site as site_of_empty_list;
use crate::site::chain::assert_chain;
use crate::site::feed::{changes, in_step, part, put};
use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::proxy::Proxy;
use crate::site::records::{card, room, standing};
use crate::site::{Builder, RECONNECT_LIMIT, Site, eventually, eventually_asking, eventually_within, pause};

const ANNA: &str = "04A1B2C3D4E5F6";

fn asked_for(variable: &str, default: usize) -> usize {
    crate::asked::number(variable).map_or(default, |asked| usize::try_from(asked).expect("no more than fit"))
}

/// A broker says that a client is gone as soon as it has read what came of it.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

fn many() -> usize {
    asked_for("LATCHD_RECORDS", 4000)
}

/// So many cards with a booking each.
fn bulk(count: usize) -> Vec<Value> {
    let of = |n: usize| {
        let holder = format!("m-bulk-{n}");
        let booking = room(&format!("g-bulk-{n}"), &holder, &format!("b-{n}"), &["rooms"], (3600, 7200));
        [card(&format!("c-bulk-{n}"), &format!("04{n:012X}"), &holder), booking]
    };
    (0..count / 2).flat_map(of).collect()
}

/// A large site where Anna may come in, its central in this process.
fn large_site() -> Site {
    let site = Site::running();
    let anna = [card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])];
    site.central().put_many(bulk(many()).into_iter().chain(anna)).expect("records");
    site.central().wait_synced(RECONNECT_LIMIT * 4).expect("the daemon is in step");
    site
}

/// Parts stored and parts in all of the snapshot that comes in just now.
fn progress(site: &Site) -> Option<(u64, u64)> {
    let sync = site.ask(&["sync"]);
    Some((sync["snapshot"][0].as_u64()?, sync["snapshot"][1].as_u64()?))
}

/// Both sides hold the same, say the same of it, and central has every event once, in order.
#[track_caller]
fn all_is_well(site: &Site) {
    site.central().wait_synced(RECONNECT_LIMIT * 4).expect("the daemon is in step");
    let last = site.last_seq();
    let arrived = || (site.central().events().len() as u64 >= last).then_some(());
    eventually_within(RECONNECT_LIMIT * 2, "arrival of every event", arrived);
    assert_chain(&site.central().events());
    assert_eq!(site.central().violations(), []);
    assert_eq!(site.ask(&["sync"])["digest"], site.central().digest());
}

/// Kills the broker while a snapshot comes in, and has everything back in step.
fn broker_killed_in_a_snapshot(persistence: &str) {
    let mut site = large_site();
    site.broker.edit("persistence false", persistence);
    let mut killed_at = Vec::new();
    for _ in 0..3 {
        site.broker.stop();
        site.broker.start();
        site.wait_until_connected();
        site.central().wait_connected(RECONNECT_LIMIT).expect("central is connected");
        site.central().snapshot();
        let begun = eventually_asking("snapshot that comes in", || progress(&site));
        site.broker.stop();
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        killed_at.push(begun);
    }
    site.broker.start();
    eprintln!("{persistence:?}: the broker was killed at these parts: {killed_at:?}");
    all_is_well(&site);
}

#[test]
fn a_broker_killed_in_a_snapshot_that_forgets_everything_loses_nothing() {
    broker_killed_in_a_snapshot("persistence false");
}

#[test]
fn a_broker_killed_in_a_snapshot_that_comes_back_with_an_old_state_loses_nothing() {
    let folder = tempfile::tempdir().expect("a directory");
    // What it had when it last wrote it down; it does so after every few messages.
    let location = folder.path().display();
    broker_killed_in_a_snapshot(&format!(
        "persistence true\npersistence_location {location}/\nautosave_on_changes true\nautosave_interval 7"
    ));
    assert!(folder.path().join("mosquitto.db").exists(), "it kept nothing");
}

/// Each message that is not understood is an event.
#[test]
fn a_broker_killed_with_events_under_way_loses_none_and_central_gets_each_once() {
    const GARBAGE: usize = 700;
    let mut site = Site::running();
    site.central().set_acking(false);
    let line = Line::open(&site.broker.url());
    for _ in 0..GARBAGE {
        line.say_bytes("feed", "garbage", false);
    }
    eventually_asking("record of every message refused", || {
        (site.last_seq() >= GARBAGE as u64).then_some(())
    });
    let (mut at_broker, mut at_central) = (0, 0);
    for round in 0..4 {
        site.broker.stop();
        let before = (events_at(&site), site.central().repeats() + site.central().events().len() as u64);
        site.broker.start();
        site.wait_until_connected();
        pause("the broker dies a little later each time", Duration::from_millis(round * 8));
        site.broker.stop();
        at_broker += u64::from(events_at(&site) > before.0);
        let heard = site.central().repeats() + site.central().events().len() as u64;
        at_central += u64::from(heard > before.1);
    }
    eprintln!("4 kills: events had come to the broker in {at_broker}, and to central in {at_central}");
    site.central().set_acking(true);
    site.broker.start();
    all_is_well(&site);
}

/// Messages with events that the broker has received, by its log.
fn events_at(site: &Site) -> usize {
    let log = site.broker.log();
    log.lines()
        .filter(|line| line.contains("Received PUBLISH from test-1") && line.contains("/events'"))
        .count()
}

/// Messages of the feed that the broker has sent, each once, and those that were acknowledged to it, by its log.
fn sent_and_acknowledged(site: &Site) -> (usize, usize) {
    let (mut under_way, mut sent, mut acknowledged) = (BTreeSet::new(), 0, 0);
    for line in site.broker.log().lines() {
        if let Some((_, what)) = line.split_once("Sending PUBLISH to test-1 (d") {
            // d0, q1, r0, m7, 'latch/v1/test-1/feed', … (169 bytes))
            let id = what.split(", m").nth(1).and_then(|rest| rest.split(',').next()).expect("an id");
            if what.contains("/feed'") && under_way.insert(id.to_owned()) {
                sent += 1;
            }
        } else if let Some((_, what)) = line.split_once("Received PUBACK from test-1 (Mid: ") {
            let id = what.split([',', ')']).next().expect("an id");
            acknowledged += usize::from(under_way.remove(id));
        }
    }
    (sent, acknowledged)
}

/// How far the feed was on disk when the daemon started last, by the first event of that run.
fn found_at_start(site: &Site) -> usize {
    let journal = site.journal();
    let started = journal.iter().rfind(|event| event["type"] == "controller.started").expect("a start");
    let detail = started["detail"].as_str().expect("a text");
    let at = detail.split("feed at ").nth(1).and_then(|rest| rest.split(' ').next());
    at.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no position in {detail:?}"))
}

fn applied(site: &Site) -> usize {
    usize::try_from(site.ask(&["sync"])["applied"].as_u64().unwrap()).unwrap()
}

/// Where the daemon was when it was killed, judged from what the broker had sent and got back, and from what is on disk.
/// Several messages are under way at once, so one kill can come between both.
#[derive(Debug, Default)]
struct Phases {
    with_nothing_under_way: usize,
    between_receipt_and_disk: usize,
    between_disk_and_acknowledgement: usize,
    /// The broker did not say that it was gone.
    unnoticed: usize,
}

#[test]
fn a_daemon_killed_anywhere_in_a_stream_of_changes_loses_nothing_the_broker_holds() {
    const CHANGES: usize = 40;
    let kills = asked_for("LATCHD_KILLS", 12);
    let (mut site, line) = site_of_empty_list();
    // The empty list was the first message.
    let (_, first) = sent_and_acknowledged(&site);
    let all: Vec<Value> =
        (1..=kills * CHANGES).map(|n| standing(&format!("g-{n}"), "m-1", &["perimeter"])).collect();
    let (mark, mut number, mut phases) = (line.mark(), 0, Phases::default());
    for (round, records) in all.chunks(CHANGES).enumerate() {
        let was = applied(&site);
        for record in records {
            number += 1;
            line.say("feed", &changes(5, number as u64, &[put(record)]));
        }
        eventually("first changes", || (applied(&site) > was).then_some(()));
        // Anywhere in what one change takes.
        pause("the moment it dies is the point", Duration::from_micros(700 * round as u64 % 9000));
        let ends = ["Client test-1 closed", "Bad socket read/write on client test-1"];
        let is_end = |line: &str| ends.iter().any(|end| line.contains(end));
        let gone = || site.broker.log().lines().filter(|line| is_end(line)).count();
        let before = gone();
        site.daemon.kill();
        // By then the broker has read all that was acknowledged. At times mosquitto, which was writing to it just then,
        // notices only when it comes back: what it has not read counts as not acknowledged, and that asks for less.
        let told = hardware_sim::wait::until(TOLD_WITHIN, || (gone() > before).then_some(()));
        phases.unnoticed += usize::from(told.is_none());
        let (sent, acknowledged) = sent_and_acknowledged(&site);
        site.daemon.start();
        let (on_disk, sent, acknowledged) = (found_at_start(&site), sent - first, acknowledged - first);
        assert!(acknowledged <= on_disk, "{acknowledged} acknowledged, and {on_disk} on disk");
        phases.between_disk_and_acknowledgement += usize::from(on_disk > acknowledged);
        phases.between_receipt_and_disk += usize::from(sent > on_disk);
        phases.with_nothing_under_way += usize::from(sent == acknowledged);
    }
    eprintln!("{kills} kills: {phases:?}");
    in_step(&line, 5, number as u64, &all.iter().collect::<Vec<_>>());
    let asked = line.heard(mark, "sync").iter().any(|sync| sync["want"] == "changes");
    assert!(!asked, "something was lost on the way");
    assert_chain(&site.journal());
}

/// The acknowledgements are swallowed on their way, so this kill comes after the disk and before them, each time.
#[test]
fn a_daemon_killed_between_disk_and_acknowledgement_applies_nothing_twice() {
    let mut site = Builder::new().without_central().prepared();
    let line = Line::open(&site.broker.url());
    let proxy = Proxy::to(site.broker.port());
    let path = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    let through = format!("mqtt://127.0.0.1:{}", proxy.port());
    std::fs::write(&path, text.replace(&site.broker.url(), &through)).unwrap();
    site.daemon.start();
    line.wait_for(0, "sync", |sync| sync["want"] == "snapshot");
    line.say("feed", &part(5, 0, "s-empty", (1, 1), &[]));
    in_step(&line, 5, 0, &[]);
    let records: Vec<Value> = (1..=12).map(|n| standing(&format!("g-{n}"), "m-1", &["perimeter"])).collect();
    for (round, record) in (1..).zip(&records) {
        proxy.mute();
        let (sent, acknowledged) = sent_and_acknowledged(&site);
        line.say("feed", &changes(5, round, &[put(record)]));
        eventually("the change on disk", || (applied(&site) as u64 == round).then_some(()));
        site.daemon.kill();
        assert_eq!(sent_and_acknowledged(&site), (sent + 1, acknowledged), "sent, and not acknowledged");
        proxy.revive();
        site.daemon.start();
        eventually("the acknowledgement of the repeat", || {
            (sent_and_acknowledged(&site).1 > acknowledged).then_some(())
        });
        in_step(&line, 5, round, &records[..round as usize].iter().collect::<Vec<_>>());
    }
    assert_chain(&site.journal());
}

#[test]
fn doors_open_while_a_large_snapshot_comes_in_and_it_is_whole() {
    let site = large_site();
    let (start, mut taps, mut during) = (time::now(), 0, 0);
    let in_force = || site.journal().iter().filter(|e| e["type"] == "sync.snapshot_applied").count();
    let (before, mut sent) = (in_force(), 0);
    // One may be over before anybody has looked: then another.
    eventually_asking("snapshot that comes in", || {
        if in_force() == before + sent {
            site.central().snapshot();
            sent += 1;
        }
        progress(&site)
    });
    loop {
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        taps += 1;
        match progress(&site) {
            Some(_) => during += 1,
            None => break,
        }
    }
    eprintln!(
        "{} records, {taps} taps in {:?}, {during} of them while parts came in",
        many(),
        start.elapsed()
    );
    all_is_well(&site);
    assert_eq!(in_force(), before + sent);
}

#[test]
fn of_two_centrals_that_talk_at_once_the_later_list_counts() {
    let (site, old) = site_of_empty_list();
    let new = Line::open(&site.broker.url());
    let records: Vec<Value> = (1..=6).map(|n| standing(&format!("g-{n}"), "m-1", &["perimeter"])).collect();
    let wrong = standing("g-wrong", "m-1", &["perimeter"]);
    // Parts and changes of both, in turns: each list's snapshot is cut off by the other's, over and over.
    for round in 0..4 {
        for n in 1..=3 {
            old.say("feed", &part(5, 50, &format!("s-old-{round}"), (n, 3), std::slice::from_ref(&wrong)));
            let two = &records[n as usize * 2 - 2..n as usize * 2];
            new.say("feed", &part(6, 6, &format!("s-new-{round}"), (n, 3), two));
            old.say("feed", &changes(5, round + 1, &[put(&wrong)]));
        }
    }
    for n in 1..=3 {
        new.say("feed", &part(6, 6, "s-last", (n, 3), &records[n as usize * 2 - 2..n as usize * 2]));
    }
    in_step(&new, 6, 6, &records.iter().collect::<Vec<_>>());
    // The old one goes on, and nobody minds.
    old.say("feed", &part(5, 60, "s-late", (1, 1), std::slice::from_ref(&wrong)));
    old.say("feed", &changes(5, 61, &[put(&wrong)]));
    new.say("feed", &changes(6, 7, &[put(&records[0])]));
    in_step(&new, 6, 7, &records.iter().collect::<Vec<_>>());
    assert_chain(&site.journal());
}
