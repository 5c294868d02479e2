//! The metrics: of the real daemon, as Prometheus takes them, and of no trouble to doors whoever asks for them.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::site::broker::free_port;
use crate::site::metrics::{assert_promtool, http, promtool, scrape, wait_for};
use crate::site::people::assert_decided;
use crate::site::process::Guarded;
use crate::site::records::{card, standing};
use crate::site::{Builder, Site, eventually, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const STRANGER: &str = "04FFFFFFFFFFFF";
const RULES: &str = include_str!("../../config/prometheus/latchd.rules.yml");
const DASHBOARD: &str = include_str!("../../config/grafana/latchd.json");

fn with_anna(builder: Builder) -> Site {
    let site = builder.running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

#[test]
fn a_scrape_says_what_was_decided_and_how_long_it_took_and_everything_rules_and_dashboard_ask_for() {
    let port = free_port();
    let site = with_anna(Builder::new().secure().metrics(port));
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_decided(&site.decision("entrance-in", STRANGER), "access.denied", "unknown_credential");
    let scrape = wait_for(port, "latchd_tap_strike_seconds_count", 1.0);
    scrape.assert("latchd_decisions_total{decision=\"granted\",reason=\"standing\"}", 1.0);
    scrape.assert("latchd_decisions_total{decision=\"denied\",reason=\"unknown_credential\"}", 1.0);
    scrape.assert("latchd_decisions_total{decision=\"denied\",reason=\"too_early\"}", 0.0);
    scrape.assert("latchd_tap_release_seconds_count", 1.0);
    let took = |name: &str| scrape.value(&format!("latchd_tap_{name}_seconds_sum")).unwrap();
    assert!(0.0 < took("release") && took("release") <= took("strike") && took("strike") < 20.0);
    scrape.assert("latchd_broker_connected", 1.0);
    scrape.assert("latchd_clock_trust{trust=\"untrusted\"}", 0.0);
    scrape.assert("latchd_sync_grants", 1.0);
    let ends = |of: &str| {
        scrape.value(&format!("latchd_certificate_expiry_timestamp_seconds{{certificate=\"{of}\"}}")).unwrap()
    };
    let told = site.ask(&["sync"])["certificates"].clone();
    for certificate in told.as_array().unwrap() {
        let end: chrono::DateTime<chrono::Utc> = certificate["not_after"].as_str().unwrap().parse().unwrap();
        assert_eq!(ends(certificate["certificate"].as_str().unwrap()), end.timestamp() as f64);
    }
    assert!(["controller", "authority", "broker"].map(ends).iter().all(|end| *end > 0.0));
    for secret in [ANNA, STRANGER, "c-1", "m-1", "g-1"] {
        assert!(!scrape.0.contains(secret), "{secret} is in\n{}", scrape.0);
    }
    assert_promtool(&["check", "metrics"], &scrape.0);
    let unhelpful = scrape.0.replace("# HELP latchd_sync_epoch", "# latchd_sync_epoch");
    assert!(!promtool(&["check", "metrics"], &unhelpful).status.success(), "promtool finds nothing at all");
    for text in [RULES, DASHBOARD] {
        let names = names(text);
        assert!(names.len() > 15, "{names:?}");
        let missing: Vec<_> = names.into_iter().filter(|name| !scrape.has(name)).collect();
        assert!(missing.is_empty(), "nothing says {missing:?} in\n{}", scrape.0);
    }
}

/// The metrics of ours that a text names.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("latchd_") || word.starts_with("process_")).collect()
}

#[test]
fn a_lost_reader_and_a_lost_board_are_seen_and_so_is_their_return() {
    let port = free_port();
    let site = Builder::new().metrics(port).running();
    let reader = "latchd_reader_connected{reader=\"entrance-in\",door=\"entrance\",driver=\"pn532\"}";
    let board = "latchd_board_connected{board=\"board-1\"}";
    wait_for(port, reader, 1.0).assert(board, 1.0);
    site.reader("entrance-in").unplug();
    let lost = wait_for(port, reader, 0.0);
    lost.assert("latchd_reader_losses_total{reader=\"entrance-in\"}", 1.0);
    lost.assert("latchd_reader_losses_total{reader=\"room-4-in\"}", 0.0);
    site.reader("entrance-in").plug_in().unwrap();
    wait_for(port, reader, 1.0).assert("latchd_reader_connections_total{reader=\"entrance-in\"}", 2.0);
    site.board.stop().unwrap();
    let lost = wait_for(port, board, 0.0);
    lost.assert("latchd_board_losses_total{board=\"board-1\"}", 1.0);
    lost.assert("latchd_door_lock{door=\"entrance\",lock=\"unknown\"}", 1.0);
    site.board.restart().unwrap();
    wait_for(port, board, 1.0).assert("latchd_board_connections_total{board=\"board-1\"}", 2.0);
}

#[test]
fn only_the_page_is_shown_and_only_to_be_read() {
    let port = free_port();
    let _site = Builder::new().metrics(port).running();
    let page = scrape(port);
    let ask = |line: &str| http(port, &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n")).unwrap();
    let (status, headers, content) = ask("HEAD /metrics");
    assert_eq!((status.as_str(), content.as_str()), ("HTTP/1.1 200 OK", ""));
    assert!(headers.contains("Content-Type: text/plain; version=0.0.4"), "{headers}");
    assert!(page.has("latchd_build_info"));
    assert_eq!(ask("GET /").0, "HTTP/1.1 404 Not Found");
    let (status, headers, _) = ask("DELETE /metrics");
    assert_eq!(status, "HTTP/1.1 405 Method Not Allowed");
    assert!(headers.contains("Allow: GET, HEAD"), "{headers}");
    assert_eq!(http(port, "\u{16}\u{3}\u{1}\r\n\r\n").unwrap().0, "HTTP/1.1 400 Bad Request");
}

#[test]
fn who_floods_the_endpoint_is_no_trouble_to_a_door_or_to_prometheus() {
    let port = free_port();
    let site = with_anna(Builder::new().metrics(port));
    scrape(port);
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the endpoint listens");
    let mut idle: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    for _ in 0..3 {
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
        scrape(port);
        idle.extend((0..50).map(|_| connect()));
    }
    assert!(site.daemon.log_tail(usize::MAX).contains("too many connections for metrics"));
    wait_for(port, "latchd_decisions_total{decision=\"granted\",reason=\"standing\"}", 6.0);
}

#[test]
fn without_an_address_nothing_listens() {
    let port = free_port();
    let mut without = Site::running();
    assert_eq!(without.daemon.listening(), [0; 0]);
    let mut with = Builder::new().metrics(port).running();
    scrape(port);
    assert_eq!(with.daemon.listening(), [port], "or this test sees nothing");
}

#[test]
fn a_port_that_is_taken_is_said_and_tried_again_while_doors_work() {
    let port = free_port();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let site = with_anna(Builder::new().metrics(port));
    let said = format!("metrics can't be served at 127.0.0.1:{port}: Address already in use");
    eventually("word of the port that is taken", || {
        site.daemon.log_tail(usize::MAX).contains(&said).then_some(())
    });
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    drop(other);
    let scrape = wait_for(port, "latchd_decisions_total{decision=\"granted\",reason=\"standing\"}", 1.0);
    assert!(scrape.has("latchd_build_info"));
    assert_eq!(site.daemon.log_tail(usize::MAX).matches(&said).count(), 1, "it is said once");
}

#[test]
fn an_endpoint_with_guests_is_no_reason_to_stay_when_told_to_stop() {
    let port = free_port();
    let mut site = Builder::new().metrics(port).running();
    scrape(port);
    let _idle: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
    assert_eq!(site.daemon.stop().code(), Some(0));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "somebody still listens");
}

#[test]
fn alert_rules_are_good_say_what_to_do_and_fire_when_they_should() {
    assert_promtool(&["check", "rules", "config/prometheus/latchd.rules.yml"], "");
    assert_promtool(&["test", "rules", "tests/fixtures/prometheus/latchd.rules.test.yml"], "");
    let count = |word: &str| RULES.matches(word).count();
    let alerts = count("- alert: ");
    assert!(alerts > 15 && count("  summary: ") == alerts && count("  action: ") == alerts);
}

#[test]
fn the_scrape_example_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("latchd.rules.yml"), RULES).unwrap();
    fs::write(place("scrape.yml"), include_str!("../../config/prometheus/scrape.yml")).unwrap();
    assert_promtool(&["check", "config", place("scrape.yml").to_str().unwrap()], "");
}

/// The whole way: what a reader's cable does is an alert in a Prometheus that was set up as the example says.
#[test]
fn a_real_prometheus_scrapes_it_and_raises_the_alert_of_a_reader_that_is_unplugged() {
    let (port, web) = (free_port(), free_port());
    let site = Builder::new().metrics(port).running();
    let scrape = include_str!("../../config/prometheus/scrape.yml")
        .replace("127.0.0.1:9184", &format!("127.0.0.1:{port}"))
        .replace("scrape_interval: 15s", "scrape_interval: 1s");
    let folder = site.folder.path();
    fs::write(folder.join("latchd.rules.yml"), RULES).unwrap();
    fs::write(folder.join("scrape.yml"), format!("global: {{ evaluation_interval: 1s }}\n{scrape}")).unwrap();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", folder.join("scrape.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{web}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _prometheus = Guarded::spawn(&mut command).expect("prometheus starts: apt-get install prometheus");
    let ask = |path: &str| -> Option<Value> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        serde_json::from_str(&http(web, &request).ok()?.2).ok()
    };
    eventually_asking("answer by Prometheus that the controller is up", || {
        let answer = ask("/api/v1/query?query=up")?;
        (answer["data"]["result"][0]["value"][1] == "1").then_some(())
    });
    let raised = || -> Option<Vec<Value>> {
        let answer = ask("/api/v1/alerts")?;
        let all = answer["data"]["alerts"].as_array()?.iter().map(|alert| alert["labels"].clone());
        Some(all.filter(|labels| labels["alertname"] == "LatchdReaderLost").collect())
    };
    assert_eq!(raised(), Some(Vec::new()));
    site.reader("entrance-in").unplug();
    let labels = eventually_asking("alert of the lost reader", || raised()?.pop());
    assert_eq!((&labels["reader"], &labels["door"]), (&json!("entrance-in"), &json!("entrance")));
}

/// Each of its questions as a rule: then promtool reads it.
#[test]
fn the_dashboards_questions_can_be_asked() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one number");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let rules: Vec<Value> = targets
        .enumerate()
        .map(|(n, target)| {
            let asked = target["expr"].as_str().unwrap();
            let asked = asked.replace("$__rate_interval", "5m").replace("$instance", ".+");
            json!({ "record": format!("question:{n}"), "expr": asked })
        })
        .collect();
    assert!(rules.len() > 30, "only {} questions", rules.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("questions.yml");
    // JSON is YAML.
    fs::write(&path, json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()).unwrap();
    assert_promtool(&["check", "rules", path.to_str().unwrap()], "");
}
