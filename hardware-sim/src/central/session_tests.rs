//! The protocol's tests: a session spoken to by hand, without a broker.

use super::feed::Position;
use super::ledger::Violation;
use super::session::Session;
use crate::jws::{self, SecretKey, Signer};
use serde_json::{Value, json};

fn grant(id: &str) -> Value {
    json!({ "type": "grant", "id": id, "kind": "standing", "holder": "m-1", "zones": ["perimeter"] })
}

/// Connected, with three grants put and their messages already gone.
fn session() -> Session {
    let mut session = Session::new("demo-1", 7);
    session.connected();
    for id in ["g-1", "g-2", "g-3"] {
        session.feed.put(grant(id)).unwrap();
    }
    session.flush();
    sent(&mut session);
    session
}

/// Everything waiting to be published, as (topic, body).
fn sent(session: &mut Session) -> Vec<(String, Value)> {
    std::iter::from_fn(|| session.next_outgoing())
        .map(|message| (message.topic, serde_json::from_slice(&message.payload).unwrap()))
        .collect()
}

fn sync(epoch: u64, applied: u64, want: &str) -> Vec<u8> {
    json!({ "controller": "demo-1", "epoch": epoch, "applied": applied, "want": want, "rejected": 0,
            "records": { "credentials": 0, "grants": 0 }, "digest": "" })
    .to_string()
    .into_bytes()
}

fn status(epoch: u64, since: &str) -> Vec<u8> {
    json!({ "controller": "demo-1", "online": true, "since": since, "epoch": epoch }).to_string().into_bytes()
}

#[test]
fn changes_go_out_as_they_are_made_while_the_link_stands() {
    let mut session = session();
    session.feed.delete("grant", "g-2");
    session.flush();
    session.flush();
    let messages = sent(&mut session);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].1["first"], 4);
}

#[test]
fn what_a_lost_link_may_have_swallowed_is_sent_again() {
    let mut session = session();
    session.received("sync", &sync(7, 1, "nothing"), false);
    session.disconnected();
    session.feed.put(grant("g-4")).unwrap();
    session.flush();
    assert_eq!(sent(&mut session), []);
    session.connected();
    let messages = sent(&mut session);
    assert_eq!((&messages[0].1["first"], &messages[0].1["last"]), (&json!(2), &json!(4)));
}

#[test]
fn a_want_for_changes_is_answered_with_what_comes_after_applied() {
    let mut session = session();
    session.received("sync", &sync(7, 2, "changes"), false);
    assert_eq!(sent(&mut session)[0].1["changes"][0]["put"]["id"], "g-3");
}

#[test]
fn a_want_repeated_while_its_answer_is_under_way_is_not_answered_twice() {
    let mut session = session();
    session.received("sync", &sync(7, 0, "snapshot"), false);
    session.received("sync", &sync(7, 0, "snapshot"), false);
    assert_eq!(sent(&mut session).len(), 1);
}

#[test]
fn a_new_controller_gets_a_snapshot() {
    let mut session = session();
    session.received("sync", &sync(0, 0, "snapshot"), false);
    let messages = sent(&mut session);
    assert_eq!(messages[0].1["last"], 3);
    assert_eq!(messages[0].1["records"].as_array().unwrap().len(), 3);
}

#[test]
fn a_controller_with_a_higher_epoch_is_outbid() {
    let mut session = session();
    session.received("sync", &sync(40, 12, "nothing"), false);
    assert_eq!(sent(&mut session)[0].1["epoch"], 41);
    assert_eq!(session.feed.position(), Position { epoch: 41, applied: 3 });
}

#[test]
fn a_controller_that_was_online_first_is_offered_a_snapshot_unasked() {
    let mut session = session();
    session.received("status", &status(5, "a"), true);
    assert_eq!(sent(&mut session)[0].1["snapshot"]["part"], 1);
    session.received("status", &status(5, "a"), false);
    assert_eq!(sent(&mut session), []);
}

#[test]
fn a_controller_that_comes_back_behind_is_caught_up_though_it_asks_for_nothing() {
    let mut session = session();
    session.received("status", &status(7, "a"), false);
    session.received("sync", &sync(7, 2, "nothing"), false);
    assert_eq!(sent(&mut session)[0].1["first"], 3);
}

#[test]
fn a_controller_on_its_way_through_the_changes_is_left_alone_until_it_stalls() {
    let mut session = session();
    session.received("sync", &sync(7, 1, "nothing"), false);
    session.received("sync", &sync(7, 2, "nothing"), false);
    assert_eq!(sent(&mut session), []);
    session.received("sync", &sync(7, 2, "nothing"), false);
    assert_eq!(sent(&mut session)[0].1["first"], 3);
}

#[test]
fn other_records_at_the_same_change_are_a_violation() {
    let mut session = session();
    let mut good = json!({ "controller": "demo-1", "epoch": 7, "applied": 3, "want": "nothing", "rejected": 0,
                           "records": { "credentials": 0, "grants": 3 }, "digest": session.feed.digest() });
    session.received("sync", good.to_string().as_bytes(), false);
    assert_eq!(session.violations, []);
    good["digest"] = json!("00");
    session.received("sync", good.to_string().as_bytes(), false);
    assert!(matches!(&session.violations[..], [Violation::Differs { what: "digest", applied: 3, .. }]));
}

#[test]
fn events_are_acknowledged_unless_acknowledging_is_off_and_then_once_it_is_on_again() {
    let mut session = session();
    let mut event = json!({ "seq": 1, "type": "door.opened", "prev": super::digest::FIRST_PREV });
    event["hash"] = json!(super::digest::event_hash(&event));
    let events = json!({ "controller": "demo-1", "journal": "j-1", "events": [event] }).to_string();
    session.set_acking(false);
    session.received("events", events.as_bytes(), false);
    assert_eq!(sent(&mut session), []);
    session.set_acking(true);
    let ack = json!({ "controller": "demo-1", "journal": "j-1", "through": 1 });
    assert_eq!(sent(&mut session), [("ack".to_owned(), ack.clone())]);
    session.received("events", events.as_bytes(), false);
    assert_eq!(sent(&mut session), [("ack".to_owned(), ack)]);
    assert_eq!(session.ledger.repeats(), 1);
}

#[test]
fn what_is_not_json_or_of_another_controller_is_a_violation_and_changes_nothing() {
    let mut session = session();
    session.received("events", b"\xff", false);
    session.received("sync", br#"{"controller":"demo-2","want":"snapshot"}"#, false);
    assert_eq!(session.violations.len(), 2);
    assert_eq!(sent(&mut session), []);
    assert_eq!(session.last_sync, None);
}

#[test]
fn doors_and_results_are_kept_as_they_come() {
    let mut session = session();
    let door = json!({ "controller": "demo-1", "door": "entrance", "mode": "locked" });
    session.received("door/entrance", door.to_string().as_bytes(), true);
    session.received("result", br#"{"controller":"demo-1","id":"cmd-1","outcome":"done"}"#, false);
    assert_eq!(session.doors["entrance"], door);
    assert_eq!(session.results[0]["outcome"], "done");
}

fn signer(kid: &str, seed: u8) -> Signer {
    Signer::new(kid, SecretKey::from_seed([seed; 32]))
}

#[test]
fn a_want_for_changes_at_the_head_is_answered_by_an_empty_message() {
    let mut session = session();
    session.received("sync", &sync(7, 3, "changes"), false);
    let expected = json!({ "controller": "demo-1", "epoch": 7, "first": 4, "last": 3, "changes": [] });
    assert_eq!(sent(&mut session), [("feed".to_owned(), expected)]);
}

#[test]
fn a_controller_that_knows_changes_central_lost_is_given_a_higher_epoch() {
    let mut session = session();
    session.received("sync", &sync(7, 5, "nothing"), false);
    assert_eq!(sent(&mut session)[0].1["epoch"], 8);
    let mut session = self::session();
    let status = json!({ "controller": "demo-1", "online": true, "since": "a", "epoch": 7, "applied": 4 });
    session.received("status", status.to_string().as_bytes(), true);
    assert_eq!(sent(&mut session)[0].1["epoch"], 8);
}

#[test]
fn a_controller_found_online_and_behind_is_caught_up_unasked() {
    let mut session = session();
    let status = json!({ "controller": "demo-1", "online": true, "since": "a", "epoch": 7, "applied": 2 });
    session.received("status", status.to_string().as_bytes(), true);
    assert_eq!(sent(&mut session)[0].1["first"], 3);
}

#[test]
fn everything_of_centrals_own_is_signed_as_it_leaves_and_what_is_raw_is_not() {
    let mut session = session();
    session.set_signer(Some(signer("old", 1)));
    session.feed.put(grant("g-4")).unwrap();
    session.flush();
    let command = json!({ "controller": "demo-1", "id": "cmd-1", "action": "access" });
    assert!(session.queue_own("command", &command));
    assert!(session.queue_raw("feed", b"{}".to_vec()));
    let feed = String::from_utf8(session.next_outgoing().unwrap().payload).unwrap();
    assert_eq!(jws::parts(&feed).unwrap().header, json!({ "alg": "EdDSA", "kid": "old" }));
    let payload = jws::verified(&feed, &signer("old", 1).key.public_key()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap()["first"], 4);
    // The key is changed while the command still waits.
    session.set_signer(Some(signer("new", 2)));
    let ordered = String::from_utf8(session.next_outgoing().unwrap().payload).unwrap();
    assert_eq!(jws::parts(&ordered).unwrap().header["kid"], "new");
    let payload = jws::verified(&ordered, &signer("new", 2).key.public_key()).unwrap();
    assert_eq!(payload, command.to_string().as_bytes());
    assert_eq!(session.next_outgoing().unwrap().payload, b"{}");
}

#[test]
fn a_snapshot_wanted_before_the_subscriptions_are_confirmed_is_sent_once_they_are() {
    let mut session = Session::new("demo-1", 7);
    session.received("status", &status(5, "a"), true);
    session.received("sync", &sync(0, 0, "snapshot"), false);
    assert_eq!(sent(&mut session), []);
    session.connected();
    let messages = sent(&mut session);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].1["snapshot"]["part"], 1);
}

#[test]
fn a_want_is_answered_though_something_else_waits_to_be_sent() {
    let mut session = session();
    assert!(session.queue_own("ack", &json!({ "controller": "demo-1", "journal": "j-1", "through": 1 })));
    session.received("sync", &sync(0, 0, "snapshot"), false);
    assert_eq!(sent(&mut session).last().unwrap().1["snapshot"]["part"], 1);
}
