//! Coming up, going down, and what the broker keeps of it for whoever looks later.

use serde_json::json;

use crate::site::line::Line;
use crate::site::records::{card, instant, standing};
use crate::site::{CONTROLLER, Site};

const ANNA: &str = "04A1B2C3D4E5F6";

#[test]
fn status_and_doors_are_kept_by_the_broker_with_every_field() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let applied = site.central().position().applied;
    let said = Line::open(&site.broker.url());
    said.wait_for(0, "status", |status| status["applied"] == applied);
    // Another, who comes later.
    let line = Line::open(&site.broker.url());
    let status = line.wait_for_heard(0, |heard| heard.topic == "status");
    assert!(status.retained, "{status:?}");
    let status = status.body;
    assert_eq!((&status["controller"], &status["online"]), (&json!(CONTROLLER), &json!(true)));
    instant(&status["since"]);
    let own = site.ask(&["status"]);
    assert_eq!((&status["version"], &status["journal"]), (&own["version"], &own["journal"]["journal"]));
    assert_eq!(status["epoch"], site.central().position().epoch);
    assert_eq!(status["applied"], applied);
    for number in ["recorded", "acknowledged"] {
        assert!(status[number].is_u64(), "{number} in {status:#}");
    }
    assert_eq!(status["clock"], "trusted");
    for (door, _, _) in crate::site::DOORS {
        let heard = line.wait_for_heard(0, |heard| heard.topic == format!("door/{door}"));
        assert!(heard.retained, "{heard:?}");
        let said = heard.body;
        instant(&said["at"]);
        let expected = json!({ "controller": CONTROLLER, "door": door, "mode": "locked", "lock": "secure",
                               "contact": "closed", "alarm": "none", "at": said["at"] });
        assert_eq!(said, expected);
    }
}

#[test]
fn a_clean_stop_is_recorded_and_the_broker_says_offline() {
    let mut site = Site::running();
    let mark = site.central().mark();
    let status = site.daemon.stop();
    assert_eq!(status.code(), Some(0), "SIGTERM is no failure");
    let line = Line::open(&site.broker.url());
    let last = line.wait_for_heard(0, |heard| heard.topic == "status");
    assert_eq!((last.retained, last.body), (true, json!({ "controller": CONTROLLER, "online": false })));
    assert_eq!(site.ctl(&["status"]).code, 3);
    assert!(!site.daemon.socket().exists(), "the socket was left behind");
    site.start_again();
    let stopped = site.at_central(mark, "controller.stopped");
    let started = site.at_central(mark, "controller.started");
    assert_eq!(started["version"], site.ask(&["status"])["version"]);
    assert!(stopped["seq"].as_u64() < started["seq"].as_u64());
    line.wait_for(1, "status", |status| status["online"] == true);
}

#[test]
fn a_killed_daemon_is_said_to_be_offline_by_its_will() {
    let mut site = Site::running();
    let line = Line::open(&site.broker.url());
    line.wait_for(0, "status", |status| status["online"] == true);
    let mark = line.mark();
    site.daemon.kill();
    let will = line.wait_for(mark, "status", |status| status["online"] == false);
    assert_eq!(will, json!({ "controller": CONTROLLER, "online": false }));
    let later = Line::open(&site.broker.url());
    let kept = later.wait_for_heard(0, |heard| heard.topic == "status");
    assert_eq!((kept.retained, &kept.body["online"]), (true, &json!(false)));
    site.start_again();
    line.wait_for(mark, "status", |status| status["online"] == true);
    assert!(!site.journal().iter().any(|event| event["type"] == "controller.stopped"));
}
