//! Two programs of different versions at one socket: each is answered with a sentence, and nothing breaks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::site::{LIMIT, Site, eventually};

/// A connection, by hand.
struct Raw(BufReader<UnixStream>);

impl Raw {
    fn to(site: &Site) -> Raw {
        let stream = UnixStream::connect(site.daemon.socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Raw(BufReader::new(stream))
    }

    fn ask(&mut self, line: &str) -> Value {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e} in the answer to {line}: {answer:?}"))
    }

    fn refused(&mut self, line: &str) -> String {
        let answer = self.ask(line);
        assert_eq!(answer["error"]["code"], "usage", "{line}: {answer}");
        answer["error"]["message"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_latchctl_of_another_version_is_answered_with_a_sentence_and_may_go_on() {
    let site = Site::running();
    let mut raw = Raw::to(&site);
    let own = env!("CARGO_PKG_VERSION");
    for (protocol, shown) in [(json!(0), "0"), (json!(2), "2"), (json!(99), "99"), (json!("1"), "none")] {
        let said = raw.refused(&json!({"protocol": protocol, "verb": "status"}).to_string());
        let sentence =
            format!("latchd {own} speaks protocol 1, the request says {shown}; install the latchctl that");
        assert!(said.starts_with(&sentence), "{said}");
    }
    assert!(raw.refused(r#"{"verb":"status"}"#).contains("the request says none"));
    // Whatever a protocol to come looks like, its version is looked at first.
    let said = raw.refused(r#"{"protocol":3,"call":["status",{}]}"#);
    assert!(said.contains("speaks protocol 1, the request says 3"), "{said}");
    assert_eq!(raw.ask(r#"{"protocol":1,"verb":"sync"}"#)["done"]["want"], "nothing", "the line still works");
}

#[test]
fn a_verb_of_a_newer_latchctl_is_said_by_name_and_nothing_else_is_listed() {
    let site = Site::running();
    let mut raw = Raw::to(&site);
    let own = env!("CARGO_PKG_VERSION");
    let said = raw.refused(r#"{"protocol":1,"verb":"make_coffee","sugar":2}"#);
    assert_eq!(said, format!("latchd {own} does not know the verb \"make_coffee\""));
    let said = raw.refused(r#"{"protocol":1}"#);
    assert_eq!(said, format!("latchd {own} was asked nothing: a request has a `verb`"));
    let said = raw.refused(r#"{"protocol":1,"verb":"door"}"#);
    assert!(
        said.starts_with(&format!("latchd {own} can't read the request \"door\": missing field `door`")),
        "{said}"
    );
    for line in ["what?", "[]", "{\"protocol\":1,", "GET / HTTP/1.1"] {
        let said = raw.refused(line);
        assert!(!said.contains('\n') && !said.is_empty(), "{line}: {said}");
    }
    let answer = raw.ask(r#"{"protocol":1,"verb":"sync","since":"a field of tomorrow"}"#);
    assert_eq!(answer["done"]["want"], "nothing", "a field that is not known is ignored: {answer}");
}

#[test]
fn a_request_without_an_end_is_refused_and_the_connection_goes_on() {
    let site = Site::running();
    let mut raw = Raw::to(&site);
    let said = raw.refused(&format!("{{\"protocol\":1,\"verb\":\"{}\"}}", "x".repeat(64 << 10)));
    assert_eq!(said, "a request has at most 65536 bytes");
    assert_eq!(raw.ask(r#"{"protocol":1,"verb":"sync"}"#)["done"]["want"], "nothing");
}

#[test]
fn callers_who_follow_events_and_go_make_room_though_nothing_happens() {
    let site = Site::running();
    site.in_journal(0, "first event", |event| event["type"] == "controller.started");
    // As many as there are places.
    let following: Vec<Raw> = (0..64)
        .map(|_| {
            let mut raw = Raw::to(&site);
            let heard = raw.ask(r#"{"protocol":1,"verb":"events","limit":1,"follow":true}"#);
            assert!(heard["item"]["seq"].is_u64(), "{heard}");
            raw
        })
        .collect();
    drop(following);
    eventually("answer to the next caller", || (site.ctl(&["status"]).code == 0).then_some(()));
}
