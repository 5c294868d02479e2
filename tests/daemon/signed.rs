//! A broker nobody trusts: what it forges, alters, replays or keeps back opens no door and undoes nothing.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hardware_sim::jws::{SecretKey, Signer, compact, sign, sign_with_header};
use serde_json::{Value, json};

use crate::site::feed::{changes, in_step, part, put};
use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, CONTROLLER, LIMIT, Site, eventually_asking, eventually_within, signer};

const ANNA: &str = "04A1B2C3D4E5F6";

/// A site that believes [`signer`], and is in step with an empty list of epoch 5.
fn site() -> (Site, Line) {
    let mut site = Builder::new().without_central().signed().prepared();
    let line = Line::open(&site.broker.url());
    site.daemon.start();
    line.wait_for(0, "sync", |sync| sync["want"] == "snapshot");
    say(&line, "feed", &part(5, 0, "s-empty", (1, 1), &[]));
    in_step(&line, 5, 0, &[]);
    site.wait_until_ready();
    (site, line)
}

fn signed(message: &Value) -> String {
    signer().sign(message.to_string().as_bytes())
}

fn say(line: &Line, topic: &str, message: &Value) {
    line.say_bytes(topic, signed(message), false);
}

/// What a broker can make of a message without central's key.
fn forgeries(message: &Value) -> Vec<(&'static str, String)> {
    let payload = message.to_string().into_bytes();
    let stranger = SecretKey::from_seed([66; 32]);
    let Signer { kid, key } = signer();
    let good = signed(message);
    let (head, _) = good.rsplit_once('.').unwrap();
    let header = |header: Value| sign_with_header(&header, &stranger, &payload);
    let honest = |header: Value| sign_with_header(&header, &key, &payload);
    // One letter of the payload exchanged, under the signature of the original.
    let altered = String::from_utf8(payload.clone()).unwrap().replacen("m-1", "m-2", 1);
    let parts: Vec<&str> = good.split('.').collect();
    let altered = format!("{}.{}.{}", parts[0], BASE64URL_NOPAD.encode(altered.as_bytes()), parts[2]);
    let none = json!({ "alg": "none", "kid": kid }).to_string();
    let all = vec![
        ("plain JSON", message.to_string()),
        ("a stranger's key", sign(&kid, &stranger, &payload)),
        ("a key nobody knows", header(json!({ "alg": "EdDSA", "kid": "stranger" }))),
        ("no key named", honest(json!({ "alg": "EdDSA" }))),
        ("another algorithm", honest(json!({ "alg": "HS256", "kid": kid }))),
        ("no algorithm", compact(none.as_bytes(), &payload, b"")),
        ("none with a good signature", honest(json!({ "alg": "none", "kid": kid }))),
        ("an extension", honest(json!({ "alg": "EdDSA", "kid": kid, "crit": ["exp"], "exp": 1 }))),
        ("an altered byte", altered),
        ("a signature cut off", head.to_owned()),
        ("a signature of nothing", format!("{head}.")),
        ("a part too many", format!("{good}.{}", parts[2])),
        ("padding", format!("{good}==")),
    ];
    all
}

fn refused(site: &Site, kind: &str) -> u64 {
    site.ask(&["sync"])["refused"][kind].as_u64().unwrap_or(0)
}

fn rejections(site: &Site, kind: &str) -> Vec<String> {
    let journal = site.journal();
    let events = journal.iter().filter(|event| event["type"] == kind);
    events.map(|event| event["detail"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn nothing_a_broker_forges_on_the_feed_opens_a_door_and_each_is_counted_and_recorded() {
    let (site, line) = site();
    let records = [put(&card("c-1", ANNA, "m-1")), put(&standing("g-1", "m-1", &["perimeter"]))];
    let message = changes(5, 1, &records);
    let forged = forgeries(&message);
    for (_, text) in &forged {
        line.say_bytes("feed", text.as_str(), false);
    }
    eventually_asking("refusal of every forgery", || {
        (refused(&site, "signature") == forged.len() as u64).then_some(())
    });
    // Signed, but for a neighbour.
    let mut neighbours = message.clone();
    neighbours["controller"] = json!("oslo-2");
    say(&line, "feed", &neighbours);
    eventually_asking("refusal of another's", || (refused(&site, "controller") == 1).then_some(()));
    let said = eventually_asking("record of each", || {
        Some(rejections(&site, "sync.rejected")).filter(|said| said.len() == forged.len() + 1)
    });
    assert!(said.iter().any(|why| why.contains("`alg` = \"none\"")), "{said:#?}");
    assert!(said.iter().any(|why| why.contains("the key \"stranger\" is not among")), "{said:#?}");
    assert!(said.iter().any(|why| why == "meant for controller \"oslo-2\""), "{said:#?}");
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "unknown_credential");
    // The same from central.
    say(&line, "feed", &message);
    line.wait_for(0, "sync", |sync| sync["applied"] == 2);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn nothing_a_broker_forges_acknowledges_an_event_or_opens_a_door_by_command() {
    let (site, line) = site();
    let recorded = site.ask(&["status"])["journal"]["recorded"].as_u64().unwrap();
    let journal = line.wait_for(0, "events", |_| true)["journal"].clone();
    let ack = json!({ "controller": CONTROLLER, "journal": journal, "through": recorded, "m-1": "m-1" });
    let now = hardware_sim::wait::wall_now();
    let at = |s: i64| hardware_sim::central::bookings::instant_text(now + chrono::TimeDelta::seconds(s));
    let command = json!({ "controller": CONTROLLER, "id": "cmd-m-1", "issued_at": at(-1), "expires_at": at(120),
        "by": "m-1", "action": "access", "door": "entrance" });
    let (acks, commands) = (forgeries(&ack), forgeries(&command));
    let mark = line.mark();
    acks.iter().for_each(|(_, text)| line.say_bytes("ack", text.as_str(), false));
    commands.iter().for_each(|(_, text)| line.say_bytes("command", text.as_str(), false));
    let all = (acks.len() as u64, commands.len() as u64);
    eventually_asking("refusal of every forgery", || {
        ((refused(&site, "signature"), refused(&site, "command")) == all).then_some(())
    });
    assert_eq!(site.ask(&["status"])["journal"]["acknowledged"], 0);
    eventually_asking("record of each", || {
        (rejections(&site, "command.rejected").len() == commands.len()).then_some(())
    });
    let reasons = line.heard(mark, "result").into_iter().map(|result| result["reason"].clone());
    assert!(reasons.into_iter().all(|reason| reason == "bad_signature"));
    let driven = site.board.wait_for_coil(0, true, Duration::ZERO);
    assert!(!driven, "a forged command drove the strike");
    // The same from central.
    say(&line, "ack", &ack);
    eventually_asking("acknowledgement", || {
        (site.ask(&["status"])["journal"]["acknowledged"] == recorded).then_some(())
    });
    say(&line, "command", &command);
    line.wait_for(mark, "result", |result| result["outcome"] == "done");
    assert!(site.board.wait_for_coil(0, true, LIMIT) || site.board.wait_for_coil(0, false, LIMIT));
    assert!(
        site.journal().iter().any(|event| event["type"] == "command.executed" && event["id"] == "cmd-m-1")
    );
}

#[test]
fn a_revocation_stands_whatever_is_replayed() {
    let (site, line) = site();
    let anna = card("c-1", ANNA, "m-1");
    let right = standing("g-1", "m-1", &["perimeter"]);
    let revoked = crate::site::records::with(anna.clone(), "status", "revoked");
    // All that central ever says: the broker keeps every word of it.
    let said = [
        part(6, 10, "s-old", (1, 2), std::slice::from_ref(&anna)),
        part(6, 10, "s-old", (2, 2), std::slice::from_ref(&right)),
        changes(6, 11, &[put(&right)]),
        changes(6, 12, &[put(&revoked)]),
    ];
    said.iter().for_each(|message| say(&line, "feed", message));
    in_step(&line, 6, 12, &[&revoked, &right]);
    for order in [[0, 1, 2], [2, 0, 1], [1, 1, 0]] {
        for n in order {
            say(&line, "feed", &said[n]);
        }
    }
    // An older list, and the first ever.
    say(&line, "feed", &part(5, 0, "s-empty", (1, 1), &[]));
    say(&line, "feed", &changes(5, 1, &[put(&anna)]));
    let counts = || (refused(&site, "epoch") + refused(&site, "repeat")) >= 7;
    eventually_asking("refusal of what is old", || counts().then_some(()));
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "credential_revoked");
    in_step(&line, 6, 12, &[&revoked, &right]);
    assert!(
        rejections(&site, "sync.rejected").iter().any(|why| why.contains("came again, where 12 is applied"))
    );
}

/// What it keeps back is missed as soon as anything later comes, and central can see it before.
#[test]
fn what_is_kept_back_is_missed() {
    let (site, line) = site();
    let anna = card("c-1", ANNA, "m-1");
    say(&line, "feed", &changes(5, 1, &[put(&anna)]));
    let before = in_step(&line, 5, 1, &[&anna]);
    // Central's second change does not come. What the controller says of itself stays as it was.
    let mark = line.mark();
    say(&line, "feed", &changes(5, 3, &[put(&standing("g-1", "m-1", &["perimeter"]))]));
    let asked = line.wait_for(mark, "sync", |sync| sync["want"] == "changes");
    assert_eq!((&asked["applied"], &asked["digest"]), (&json!(1), &before["digest"]));
    eventually_asking("record of the gap", || {
        (rejections(&site, "sync.gap") == ["changes 2 to 2 are missing"]).then_some(())
    });
    // Even where nothing later comes: that there is something.
    let mark = line.mark();
    say(
        &line,
        "feed",
        &json!({ "controller": CONTROLLER, "epoch": 5, "first": 10, "last": 9, "changes": [] }),
    );
    line.wait_for(mark, "sync", |sync| sync["want"] == "changes" && sync["applied"] == 1);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "no_grant");
}

#[test]
fn keys_are_changed_without_a_restart_a_new_connection_or_a_word_lost() {
    let mut site = Builder::new().running();
    let since = site.ask(&["sync"])["since"].clone();
    let file = site.daemon.config_path().to_owned();
    let old = std::fs::read_to_string(&file).unwrap();
    let next = Signer::new("central-next", SecretKey::from_seed([2; 32]));
    let both = old.replace("\n[clock]", &format!("\n{}\n[clock]", next.trusted_key_toml()));
    let only = old.replace(&signer().trusted_key_toml(), &next.trusted_key_toml());
    assert!(both != old && only != old);
    let reload = |site: &mut Site, text: &str, word: &str| {
        let before = site.daemon.log_tail(usize::MAX).matches(word).count();
        std::fs::write(&file, text).unwrap();
        site.daemon.hang_up();
        eventually_within(LIMIT, word, || {
            (site.daemon.log_tail(usize::MAX).matches(word).count() > before).then_some(())
        });
    };
    const IN_FORCE: &str = "was read again, and is in force";
    reload(&mut site, &both, IN_FORCE);
    site.put([card("c-1", ANNA, "m-1")]);
    site.central().set_signer(Some(next.clone()));
    site.put([standing("g-1", "m-1", &["perimeter"])]);
    reload(&mut site, &only, IN_FORCE);
    site.put([standing("g-2", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_eq!(site.ask(&["sync"])["since"], since, "it connected anew");

    // The old key is not believed any more.
    site.central().set_signer(Some(signer()));
    site.central().put(standing("g-3", "m-1", &["perimeter"])).unwrap();
    eventually_asking("refusal of the old key", || (refused(&site, "signature") >= 1).then_some(()));
    // A file with a mistake, or one that asks for more than can be changed, changes nothing.
    reload(&mut site, &old.replace("[clock]", "[clok]"), "the old one stays in force");
    reload(
        &mut site,
        &only.replace("latchd.sock", "other.sock"),
        "controller.socket changed, which takes a restart",
    );
    site.central().set_signer(Some(next));
    site.put([standing("g-4", "m-1", &["perimeter"])]);
    assert_eq!(site.ask(&["sync"])["since"], since);
}

#[test]
fn a_changed_broker_is_gone_to_without_a_restart() {
    let mut site = Builder::new().running();
    let since = site.ask(&["sync"])["since"].clone();
    let file = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&file).unwrap();
    let other = text.replace("mqtt://127.0.0.1", "mqtt://localhost");
    assert_ne!(text, other);
    std::fs::write(&file, other).unwrap();
    site.daemon.hang_up();
    eventually_asking("connection to the other address", || {
        let sync = site.ask(&["sync"]);
        let is_new = sync["connected"] == true && sync["since"] != since;
        (is_new && sync["broker"].as_str()?.contains("localhost")).then_some(())
    });
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}
