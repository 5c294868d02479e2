//! How far a daemon that has just been started believes the clock, by what the one before it saw; and that the box's own
//! time-zone data has no say.
//!
//! The kernel here is whatever the tests run on. What an earlier daemon saw of a kernel that said "synchronised" is written
//! where it would have written it.

use std::fs;
use std::path::Path;

use chrono::{TimeDelta, Utc};
use hardware_sim::wait::wall_now;
use latchd::wire::Digest;
use serde_json::{Value, json};

use crate::site::records::{card, room, standing, with};
use crate::site::{Builder, RECONNECT_LIMIT, Site};

const DAY: i64 = 86_400;

/// A site that needs network time, with a booking that is on.
fn booked() -> Site {
    let site = Builder::bare().edit("require_sync = false", "require_sync = true").running();
    site.put([card("c-1", "04A1B2C3D4E5F6", "m-1"), room("g-1", "m-1", "b-1", &["room-4"], (-600, 3600))]);
    site
}

fn number(path: &str) -> f64 {
    fs::read_to_string(path).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// What a daemon notes of a clock that was synchronised so many seconds ago, and has been set forward by some since.
fn held(ago_s: i64, set_s: i64) -> Value {
    let up_s = number("/proc/uptime");
    let offset_ms = wall_now().timestamp_millis() - (up_s * 1000.0) as i64 - set_s * 1000;
    json!({ "boot": boot(), "at_s": (up_s as i64 - ago_s).max(0), "offset_ms": offset_ms })
}

/// Puts it into the high-water mark, as whole as the daemon's own.
fn note(state: &Path, clock: Value) {
    let path = state.join("high-water");
    let mut mark: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    mark.as_object_mut().unwrap().remove("check");
    mark["clock"] = clock;
    mark["check"] = Digest::of(&mark).to_string().into();
    fs::write(path, mark.to_string()).unwrap();
}

fn trust(site: &Site) -> (String, String) {
    let clock = site.ask(&["status"])["clock"].clone();
    let text = |field: &str| clock[field].as_str().unwrap_or_default().to_owned();
    (text("trust"), text("detail"))
}

fn decision(site: &Site) -> String {
    let said = site.ask(&["explain", "--door", "room-4", "--credential", "c-1"]);
    said["decision"].as_str().unwrap().to_owned()
}

#[test]
fn a_daemon_that_is_restarted_holds_the_clock_over_as_the_one_before_it_did() {
    let mut site = booked();
    if trust(&site).0 == "trusted" {
        eprintln!("SKIPPED: this machine's clock is synchronised, so nothing is held over");
        return;
    }
    assert_eq!(
        (decision(&site).as_str(), trust(&site).1.as_str()),
        ("denied", "not synchronised since start")
    );
    site.daemon.stop();
    let up_s = number("/proc/uptime") as i64;
    note(&site.state_dir(), held(up_s.min(3 * DAY), 0));
    // More than once: what was seen is not forgotten by a daemon that sees nothing new.
    for _ in 0..2 {
        site.daemon.start();
        site.wait_until_connected();
        assert_eq!(trust(&site), ("holdover".into(), "synchronised within the hold-over".into()));
        assert_eq!(decision(&site), "granted");
        let newest = site.journal().pop().unwrap();
        assert_eq!(newest["clock"], "holdover", "{newest}");
        site.daemon.stop();
    }
    // Somebody set it while no daemon was there.
    note(&site.state_dir(), held(60, 3600));
    site.daemon.start();
    assert_eq!(trust(&site), ("untrusted".into(), "it jumped, and is not synchronised".into()));
    assert_eq!(decision(&site), "denied");
    site.daemon.kill();
    // The machine was started anew since.
    note(&site.state_dir(), with(held(60, 0), "boot", "00000000-0000-4000-8000-000000000000"));
    site.daemon.start();
    assert_eq!(trust(&site), ("untrusted".into(), "not synchronised since start".into()));
    assert_eq!(decision(&site), "denied");
}

#[test]
fn the_hold_over_ends_when_it_would_have_without_the_restart() {
    let mut site = booked();
    site.daemon.stop();
    let text = fs::read_to_string(site.daemon.config_path()).unwrap();
    let up_s = number("/proc/uptime") as i64;
    let text =
        text.replace("require_sync = true", &format!("require_sync = true\nholdover_s = {}", up_s / 2));
    fs::write(site.daemon.config_path(), text).unwrap();
    note(&site.state_dir(), held(up_s / 2 + 60, 0));
    site.daemon.start();
    let (trust, why) = trust(&site);
    if trust != "trusted" {
        assert_eq!(
            (trust.as_str(), why.as_str()),
            ("untrusted", "not synchronised for longer than clock.holdover_s")
        );
    }
}

/// The rules of zones are compiled in: a box whose tzdata is old, new, or not there decides the same.
#[test]
fn the_boxs_own_time_zone_data_makes_no_difference() {
    let mut site = Builder::bare().running();
    let schedule = json!([{ "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "09:00", "to": "10:00" }]);
    let grant = with(standing("g-1", "m-1", &["perimeter"]), "schedule", schedule);
    site.put([card("c-1", "04A1B2C3D4E5F6", "m-1"), grant]);
    // On both sides of the change to winter time, in local time, with and without what the box thinks of it.
    let midnight = (Utc::now() + TimeDelta::days(1)).date_naive();
    let mut answers = Vec::new();
    for (zone, data) in [("", ""), ("Pacific/Apia", "/nowhere"), ("nonsense", "/etc")] {
        if !zone.is_empty() {
            site.daemon.stop();
            site.daemon.set("TZ", zone);
            site.daemon.set("TZDIR", data);
            site.daemon.start();
            site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
        }
        let asked = |at: String| {
            site.ask(&["explain", "--door", "entrance", "--credential", "c-1", "--at", &at])["decision"]
                .clone()
        };
        let days = [0, 60, 120, 180, 240, 300].map(|days| midnight + TimeDelta::days(days));
        answers.push(
            days.map(|day| ["08:59", "09:01", "09:59", "10:01"].map(|time| asked(format!("{day} {time}")))),
        );
    }
    let [first, rest @ ..] = answers.as_slice() else { unreachable!() };
    assert!(first.iter().all(|day| *day == ["denied", "granted", "granted", "denied"]), "{first:?}");
    assert!(rest.iter().all(|other| other == first), "{rest:?}");
}
