//! `latchctl doctor` beside the real daemon: what it finds while that runs, while it does not, and while what it looks at
//! hangs.

use std::net::TcpListener;

use serde_json::Value;

use crate::site::{Builder, Site};

/// What is found of one check. The box that tests run on has findings of its own, of its clock and its service.
fn found(site: &Site, check: &str) -> Vec<Value> {
    let config = site.daemon.config_path().to_str().unwrap();
    let said = site.ctl(&["doctor", "--json", "--config", config]);
    assert!(said.err.is_empty() && [0, 1].contains(&said.code), "{said:?}");
    let all: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let is_wrong = |finding: &&Value| ["problem", "warning"].contains(&finding["grade"].as_str().unwrap());
    assert_eq!(said.code, i32::from(all.iter().any(|finding| is_wrong(&finding))), "{all:#?}");
    for finding in all.iter().filter(is_wrong) {
        assert!(finding["advice"].is_string(), "what to do is not said: {finding:#}");
    }
    all.into_iter().filter(|finding| finding["check"] == check).collect()
}

#[track_caller]
fn assert_says(found: &[Value], grade: &str, text: &str) {
    let says =
        |finding: &Value| finding["grade"] == grade && finding["finding"].as_str().unwrap().contains(text);
    assert!(found.iter().any(says), "no {grade} {text:?} in {found:#?}");
}

#[test]
fn a_running_daemons_word_is_taken_and_without_it_each_thing_is_looked_at() {
    let mut site = Site::running();
    assert_says(&found(&site, "daemon"), "good", "answers");
    assert_says(&found(&site, "broker"), "good", "connected to mqtt://");
    assert_says(&found(&site, "boards"), "good", "board-1: connected, says latchd");
    assert!(site.daemon.stop().success());
    assert_says(&found(&site, "daemon"), "problem", "latchd can't be asked");
    assert_says(&found(&site, "configuration"), "good", "is valid");
    assert_says(&found(&site, "broker"), "good", "lets us in");
    assert_says(&found(&site, "boards"), "good", "takes connections");
    assert_says(&found(&site, "disk"), "good", "MiB free");
    site.broker.stop();
    site.board.stop().unwrap();
    assert_says(&found(&site, "broker"), "problem", "Connection refused");
    assert_says(&found(&site, "boards"), "problem", "Connection refused");
    let config = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[journal]", "[journals]").replace("coil = 0", "coil = \"zero\""))
        .unwrap();
    assert_says(&found(&site, "configuration"), "problem", "coil");
}

#[test]
fn a_broker_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let site = Builder::new().without_central().prepared();
    let config = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let url = text.lines().find(|line| line.starts_with("url = \"mqtt://")).unwrap();
    std::fs::write(&config, text.replace(url, &format!("url = \"mqtt://127.0.0.1:{port}\""))).unwrap();
    assert_says(&found(&site, "broker"), "problem", "connected, but no answer to MQTT");
}

#[test]
fn with_tls_the_step_that_fails_is_named() {
    let mut site = Builder::new().secure().running();
    assert!(site.daemon.stop().success());
    assert_says(&found(&site, "broker"), "good", "lets us in");
    assert_says(&found(&site, "certificate"), "good", "this controller's certificate holds until");
    let key = site.tls().path(&format!("{}.key", crate::site::CONTROLLER));
    let ca = site.tls().path("ca.pem");
    std::fs::copy(&ca, &key).unwrap();
    assert_says(&found(&site, "configuration"), "problem", "key_file");
}
