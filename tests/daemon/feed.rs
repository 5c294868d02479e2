//! The feed, as wrong as it can get: gaps, repeats, reordering, old lists, snapshots in parts, and garbage.

use serde_json::{Value, json};

use crate::site::feed::{changes, in_step, part, put};
use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing, with};
use crate::site::{Builder, CONTROLLER, Site, eventually, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";

/// A site whose central is this test: it has been given an empty list of epoch 5.
pub fn site() -> (Site, Line) {
    let mut site = Builder::new().without_central().prepared();
    let line = Line::open(&site.broker.url());
    site.daemon.start();
    let first = line.wait_for(0, "sync", |_| true);
    assert_eq!(first["want"], "snapshot", "a new daemon wants everything: {first}");
    line.say("feed", &part(5, 0, "s-empty", (1, 1), &[]));
    in_step(&line, 5, 0, &[]);
    site.wait_until_ready();
    (site, line)
}

#[track_caller]
fn recorded(site: &Site, kind: &str, count: usize) {
    eventually_asking(&format!("record of {count} × {kind}"), || {
        let seen = site.journal().iter().filter(|event| event["type"] == kind).count();
        (seen == count).then_some(())
    });
}

#[test]
fn a_gap_is_asked_for_again_and_again_and_filled() {
    let (site, line) = site();
    let (one, two) = (card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"]));
    let three = card("c-2", "0400000000AAAA", "m-2");
    line.say("feed", &changes(5, 1, &[put(&one)]));
    in_step(&line, 5, 1, &[&one]);
    let mark = line.mark();
    line.say("feed", &changes(5, 3, &[put(&three)]));
    let wants = |sync: &Value| sync["want"] == "changes" && sync["applied"] == 1;
    line.wait_for(mark, "sync", wants);
    recorded(&site, "sync.gap", 1);
    // Nobody answers: it asks again by itself, after about 1 and 2 seconds more.
    eventually_asking("third time of asking", || {
        let asked = line.heard(mark, "sync").iter().filter(|sync| wants(sync)).count();
        (asked >= 3).then_some(())
    });
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "no_grant");
    line.say("feed", &changes(5, 2, &[put(&two), put(&three)]));
    in_step(&line, 5, 3, &[&one, &two, &three]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn repeats_and_old_lists_change_nothing_and_an_overlap_only_its_new_part() {
    let (site, line) = site();
    let (one, two) = (card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"]));
    line.say("feed", &changes(5, 1, &[put(&one), put(&two)]));
    in_step(&line, 5, 2, &[&one, &two]);
    let wrong = put(&standing("g-wrong", "m-1", &["perimeter"]));
    // Already applied, whatever it says now; a lower epoch, as changes and as a snapshot.
    line.say("feed", &changes(5, 1, &[wrong.clone(), wrong.clone()]));
    line.say("feed", &changes(4, 3, std::slice::from_ref(&wrong)));
    line.say("feed", &part(4, 9, "s-old", (1, 1), &[]));
    let three = standing("g-3", "m-3", &["rooms"]);
    line.say("feed", &changes(5, 2, &[wrong, put(&three)]));
    in_step(&line, 5, 3, &[&one, &two, &three]);
    // Deleting what is not there is no error, and a put replaces the whole record.
    let narrower = standing("g-1", "m-1", &["rooms"]);
    let gone = json!({ "delete": { "type": "grant", "id": "never-there" } });
    line.say("feed", &changes(5, 4, &[gone, put(&narrower)]));
    in_step(&line, 5, 5, &[&one, &narrower, &three]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "wrong_door");
}

#[test]
fn a_new_list_without_its_snapshot_is_asked_for() {
    let (_site, line) = site();
    let one = card("c-1", ANNA, "m-1");
    let mark = line.mark();
    line.say("feed", &changes(6, 1, &[put(&one)]));
    line.wait_for(mark, "sync", |sync| sync["want"] == "snapshot");
    line.say("feed", &part(6, 1, "s-6", (1, 1), std::slice::from_ref(&one)));
    in_step(&line, 6, 1, &[&one]);
}

#[test]
fn a_record_that_is_not_understood_is_refused_alone_and_counted() {
    let (site, line) = site();
    let (good, also_good) = (card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"]));
    let refused = [
        json!({ "type": "lift", "id": "l-1", "floors": 3 }),
        card("c-2", "04A1", "m-2"),
        json!({ "type": "grant", "id": "g-2", "kind": "monthly", "holder": "m-1", "doors": ["entrance"] }),
        json!({ "type": "grant", "id": "g-3", "kind": "room", "holder": "m-1", "doors": ["entrance"] }),
        json!({ "type": "grant", "id": "g-4", "kind": "standing", "holder": "m-1" }),
    ];
    let mut all = vec![put(&good)];
    all.extend(refused.iter().map(put));
    all.push(put(&also_good));
    line.say("feed", &changes(5, 1, &all));
    let sync = in_step(&line, 5, 7, &[&good, &also_good]);
    assert_eq!(sync["rejected"], 5, "{sync:#}");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_eq!(site.ask(&["sync"])["rejected"], 5);
    // A field nobody knows is no reason to refuse, and the digest is over the record as received.
    let newer = with(card("c-3", "0400000000AAAA", "m-3"), "colour", "blue");
    line.say("feed", &changes(5, 8, &[put(&newer)]));
    in_step(&line, 5, 8, &[&good, &also_good, &newer]);
}

#[test]
fn garbage_and_other_sites_messages_are_recorded_and_block_nothing() {
    let (site, line) = site();
    let one = card("c-1", ANNA, "m-1");
    line.say_bytes("feed", "no JSON at all", false);
    line.say_bytes("feed", vec![0xFF, 0xFE, 0x00], false);
    line.say("feed", &json!({ "controller": CONTROLLER, "epoch": 5 }));
    let mut elsewhere = changes(5, 1, &[put(&card("c-evil", ANNA, "m-evil"))]);
    elsewhere["controller"] = json!("oslo-2");
    line.say("feed", &elsewhere);
    // It says three and brings one.
    let mut short = changes(5, 1, &[put(&one)]);
    short["last"] = json!(3);
    line.say("feed", &short);
    recorded(&site, "sync.rejected", 5);
    line.say("feed", &changes(5, 1, &[put(&one)]));
    in_step(&line, 5, 1, &[&one]);
    assert_eq!(site.decision("entrance-in", ANNA)["credential"], "c-1");
}

#[test]
fn a_message_of_many_records_is_taken_whole() {
    let (_site, line) = site();
    let grant = |n| with(standing(&format!("g-{n}"), "m-1", &["perimeter"]), "holder", "m".repeat(60));
    let records: Vec<Value> = (0..900).map(grant).collect();
    let all: Vec<Value> = records.iter().map(put).collect();
    let message = changes(5, 1, &all);
    assert!(message.to_string().len() > 100_000);
    line.say("feed", &message);
    in_step(&line, 5, 900, &records.iter().collect::<Vec<_>>());
}

#[test]
fn a_snapshot_replaces_everything_at_once_when_its_last_part_is_in() {
    let (mut site, line) = site();
    let (anna, right) = (card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"]));
    line.say("feed", &changes(5, 1, &[put(&anna), put(&right)]));
    in_step(&line, 5, 2, &[&anna, &right]);
    let other = standing("g-2", "m-2", &["perimeter"]);
    let parts = [std::slice::from_ref(&anna), std::slice::from_ref(&other), &[]];
    let send = |n: usize| line.say("feed", &part(6, 40, "s-new", (n as u64, 3), parts[n - 1]));
    for n in [1, 2] {
        send(n);
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    }
    // Also when it is killed half-way.
    site.daemon.kill();
    let mark = line.mark();
    site.start_again();
    line.wait_for(mark, "sync", |sync| sync["epoch"] == 5 && sync["applied"] == 2);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    for n in [1, 2, 3] {
        send(n);
    }
    in_step(&line, 6, 40, &[&anna, &other]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "no_grant");
    let journal = site.journal();
    let applied = journal.iter().rfind(|event| event["type"] == "sync.snapshot_applied").unwrap();
    assert_eq!((&applied["epoch"], &applied["applied"]), (&json!(6), &json!(40)));
}

#[test]
fn a_part_out_of_order_starts_the_snapshot_over() {
    let (site, line) = site();
    let anna = card("c-1", ANNA, "m-1");
    line.say("feed", &changes(5, 1, &[put(&anna)]));
    in_step(&line, 5, 1, &[&anna]);
    let right = standing("g-1", "m-1", &["perimeter"]);
    for (broken, parts) in [("s-hole", [(1, 3), (3, 3)]), ("s-backwards", [(2, 2), (1, 2)])] {
        let mark = line.mark();
        line.say("feed", &part(6, 9, broken, parts[0], &[]));
        line.say("feed", &part(6, 9, broken, parts[1], &[]));
        line.wait_for(mark, "sync", |sync| sync["want"] == "snapshot" && sync["epoch"] == 5);
    }
    assert_eq!(site.decision("entrance-in", ANNA)["reason"], "no_grant");
    line.say("feed", &part(6, 9, "s-one", (1, 2), std::slice::from_ref(&right)));
    // Another takes over in the middle: only its own records count.
    line.say("feed", &part(6, 9, "s-two", (1, 2), std::slice::from_ref(&anna)));
    line.say("feed", &part(6, 9, "s-two", (2, 2), &[]));
    in_step(&line, 6, 9, &[&anna]);
}

#[test]
fn a_message_that_removes_most_grants_is_applied_and_said_loudly() {
    let (site, line) = site();
    let grants: Vec<Value> = (0..10).map(|n| standing(&format!("g-{n}"), "m-1", &["perimeter"])).collect();
    line.say("feed", &changes(5, 1, &grants.iter().map(put).collect::<Vec<_>>()));
    in_step(&line, 5, 10, &grants.iter().collect::<Vec<_>>());
    let delete = |n: usize| json!({ "delete": { "type": "grant", "id": format!("g-{n}") } });
    line.say("feed", &changes(5, 11, &(0..4).map(delete).collect::<Vec<_>>()));
    in_step(&line, 5, 14, &grants[4..].iter().collect::<Vec<_>>());
    assert!(
        !site.journal().iter().any(|event| event["type"] == "sync.mass_removal"),
        "four of ten are not most"
    );
    line.say("feed", &changes(5, 15, &(4..8).map(delete).collect::<Vec<_>>()));
    in_step(&line, 5, 18, &grants[8..].iter().collect::<Vec<_>>());
    recorded(&site, "sync.mass_removal", 1);
}

/// Nobody answers when it asks here: only what the broker holds can bring it there, and the broker holds a message
/// until it is acknowledged.
#[test]
fn a_kill_in_the_middle_of_the_feed_loses_nothing_the_broker_holds() {
    const ROUNDS: u64 = 6;
    const CHANGES: u64 = 150;
    let (mut site, line) = site();
    let records: Vec<Value> =
        (1..=ROUNDS * CHANGES).map(|n| standing(&format!("g-{n}"), "m-1", &["perimeter"])).collect();
    let (mark, mut number, mut cut_short) = (line.mark(), 0, 0);
    for round in records.chunks(CHANGES as usize) {
        let before = number;
        for record in round {
            number += 1;
            line.say("feed", &changes(5, number, &[put(record)]));
        }
        let applied = |site: &Site| site.ask(&["sync"])["applied"].as_u64().unwrap();
        eventually("first changes", || (applied(&site) > before).then_some(()));
        site.daemon.kill();
        site.daemon.start();
        cut_short += u64::from(applied(&site) < number);
    }
    eprintln!("{cut_short} of {ROUNDS} kills came in the middle");
    in_step(&line, 5, number, &records.iter().collect::<Vec<_>>());
    let asked = line.heard(mark, "sync").iter().any(|sync| sync["want"] == "changes");
    assert!(!asked, "something was lost on the way");
}
