//! Sample reports for the snapshots: a site on a good day, a box fresh from the shelf, and a bad day.

use latchd::wire::control::{CredentialReport, GrantReport, StatusReport};
use serde_json::{Value, json};

fn report(value: Value) -> StatusReport {
    serde_json::from_value(value).unwrap()
}

pub fn normal() -> StatusReport {
    report(json!({
        "controller": "oslo-1", "version": "0.1.0", "time_zone": "Europe/Oslo",
        "now": "2026-11-23T08:00:00Z", "started_at": "2026-11-23T04:48:00Z",
        "clock": {"trust": "trusted", "detail": "synchronised, off by 0.2 ms"},
        "sync": {"connected": true, "broker": "mqtts://broker.example:8883", "since": "2026-11-23T04:48:02Z",
            "epoch": 3, "applied": 1203, "want": "nothing", "rejected": 0, "credentials": 812, "grants": 2100,
            "digest": "c0ff", "central_at": "2026-11-23T07:59:48Z", "stale": false, "queue": 0},
        "journal": {"journal": "6f1c", "recorded": 501, "acknowledged": 501},
        "doors": [
            {"door": "room-4", "name": "Møterom 4", "zones": ["room-4"], "board": "board-1", "mode": "locked",
                "lock": "secure", "contact": "closed", "alarm": "none"},
            {"door": "entrance", "name": "Main entrance", "zones": ["perimeter", "all"], "board": "board-1",
                "mode": "accessed", "lock": "released", "contact": "closed", "alarm": "none",
                "last": {"at": "2026-11-23T07:59:58Z", "holder": "m-17", "credential": "c-81"}},
        ],
        "readers": [
            {"reader": "entrance-in", "door": "entrance", "direction": "in", "driver": "pcsc", "connected": true,
                "since": "2026-11-23T04:48:01Z", "detail": "ACS ACR1252 Dual Reader 00 00",
                "last_tap": "2026-11-23T07:59:58Z", "last_reason": "in_window"},
            {"reader": "room-4-in", "door": "room-4", "direction": "in", "driver": "pn532", "connected": true,
                "since": "2026-11-23T04:48:01Z", "detail": "PN532 1.6 on /dev/ttyUSB0"},
        ],
        "boards": [{"board": "board-1", "url": "modbus+tcp://10.0.0.20:502", "connected": true,
            "since": "2026-11-23T04:48:01Z"}],
    }))
}

pub fn empty() -> StatusReport {
    report(json!({
        "controller": "new-1", "version": "0.1.0", "time_zone": "UTC",
        "now": "2026-11-23T08:00:00Z", "started_at": "2026-11-23T07:59:55Z",
        "clock": {"trust": "trusted", "detail": "synchronised"},
        "sync": {"connected": true, "broker": "mqtt://127.0.0.1:1883", "epoch": 0, "applied": 0, "want": "snapshot",
            "rejected": 0, "credentials": 0, "grants": 0, "digest": "", "stale": false, "queue": 0},
        "journal": {"journal": "6f1c", "recorded": 0, "acknowledged": 0},
        "doors": [], "readers": [], "boards": [],
    }))
}

pub fn failing() -> StatusReport {
    let mut value = serde_json::to_value(normal()).unwrap();
    value["clock"] = json!({"trust": "untrusted", "detail": "not synchronised since the start"});
    value["journal"]["fault"] = json!("no space left on /var/lib/latchd");
    value["journal"]["acknowledged"] = json!(480);
    value["store"] =
        json!({"state": "failing", "since": "2026-11-23T07:12:00Z", "detail": "no space left on device"});
    value["sync"] = json!({"connected": false, "broker": "mqtts://broker.example:8883",
        "since": "2026-11-21T20:10:00Z", "detail": "connection refused", "epoch": 3, "applied": 1203,
        "want": "changes", "rejected": 2, "refused": {"records": 2, "signature": 1}, "credentials": 812, "grants": 2100, "digest": "c0ff",
        "central_at": "2026-11-21T20:09:58Z", "stale": true, "queue": 21, "snapshot": [4, 12]});
    value["doors"][0]["alarm"] = json!("forced");
    value["doors"][0]["contact"] = json!("open");
    value["doors"][1]["alarm"] = json!("held_open");
    value["doors"][1]["contact"] = json!("open");
    value["doors"].as_array_mut().unwrap().extend([
        json!({"door": "cellar", "name": "Cellar", "zones": [], "board": "board-2", "mode": "locked",
            "lock": "unknown", "contact": "unknown", "alarm": "none", "fault": "coil 2 did not read back as driven"}),
        json!({"door": "atrium", "name": "Atrium", "zones": [], "board": "board-1", "mode": "locked_down",
            "lock": "secure", "contact": "closed", "alarm": "none"}),
    ]);
    value["readers"][1]["connected"] = json!(false);
    value["readers"][1]["since"] = json!("2026-11-23T07:12:00Z");
    value["readers"][1]["detail"] = json!("no answer on /dev/ttyUSB0");
    value["boards"].as_array_mut().unwrap().push(json!({"board": "board-2",
        "url": "modbus+tcp://10.0.0.21:502", "connected": false, "since": "2026-11-22T23:00:00Z",
        "detail": "no route to host"}));
    report(value)
}

pub fn credentials() -> Vec<CredentialReport> {
    serde_json::from_value(json!([
        {"id": "c-90", "holder": "m-20", "status": "lost", "extended_time": false, "uid_tag": "0b77aa10"},
        {"id": "c-81", "holder": "m-17", "status": "active", "extended_time": false, "uid_tag": "9f3a01c2",
            "valid_from": "2026-01-01T00:00:00Z", "label": "blue card"},
        {"id": "c-82", "holder": "m-17", "status": "issued", "extended_time": true, "uid_tag": "77ab01c2"},
        {"id": "c-70", "holder": "m-12", "status": "active", "extended_time": false,
            "valid_until": "2026-10-31T23:00:00Z"},
    ]))
    .unwrap()
}

pub fn grants() -> Vec<GrantReport> {
    serde_json::from_value(json!([
        {"id": "g-staff", "kind": "standing", "holder": "m-1", "zones": ["all"], "active": true,
            "override_lockdown": true},
        {"id": "g-11", "kind": "guest", "holder": "v-3", "doors": ["entrance", "room-4"], "booking": "b-7",
            "active": false, "opens_at": "2026-11-23T09:00:00Z", "closes_at": "2026-11-23T11:00:00Z",
            "override_lockdown": false},
        {"id": "g-9", "kind": "room", "holder": "m-17", "doors": ["entrance", "room-4"], "booking": "b-7",
            "capacity": 6, "active": false, "opens_at": "2026-11-23T08:30:00Z",
            "closes_at": "2026-11-23T11:30:00Z", "override_lockdown": false},
        {"id": "g-clean", "kind": "standing", "holder": "m-5", "zones": ["all"], "active": false, "scheduled": true,
            "opens_at": "2026-11-23T21:00:00Z", "closes_at": "2026-11-24T05:00:00Z", "override_lockdown": false},
        {"id": "g-none", "kind": "desk", "holder": "m-6", "doors": ["entrance"], "active": false, "empty": true,
            "override_lockdown": false},
    ]))
    .unwrap()
}

pub fn events() -> Vec<Value> {
    let chain = |mut event: Value| {
        event["prev"] = json!("9a0c");
        event["hash"] = json!("51fe");
        event
    };
    [
        json!({"seq": 1, "at": "2026-11-23T07:00:00Z", "type": "controller.started", "version": "0.1.0",
            "detail": "after a clean stop"}),
        json!({"seq": 501, "at": "2026-11-23T08:31:07.412Z", "type": "access.granted", "door": "entrance",
            "reader": "entrance-in", "direction": "in", "credential": "c-81", "holder": "m-17", "grant": "g-9",
            "reason": "in_window", "late": true}),
        json!({"seq": 502, "at": "2026-11-23T08:31:08Z", "type": "access.denied", "door": "entrance",
            "reader": "entrance-in", "direction": "in", "uid_tag": "9f3a01c2", "reason": "unknown_credential"}),
        json!({"seq": 503, "at": "2026-11-23T08:31:09Z", "type": "door.opened", "door": "entrance"}),
        json!({"seq": 504, "at": "2026-11-23T08:31:10Z", "type": "operator.command", "by": "anna (1000)",
            "action": "access", "outcome": "done", "door": "room-4", "reason": "delivery"}),
        json!({"seq": 505, "at": "2026-11-23T08:31:11Z", "type": "reader.lost", "reader": "room-4-in",
            "detail": "no answer", "clock": "holdover"}),
        json!({"seq": 506, "at": "2026-11-23T08:31:12Z", "type": "sync.snapshot_applied", "epoch": 4, "applied": 0,
            "detail": "812 credentials"}),
    ]
    .into_iter()
    .map(chain)
    .collect()
}
