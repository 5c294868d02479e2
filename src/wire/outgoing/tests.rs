//! What is said on MQTT, byte for byte in the shapes of the contract's samples.

use serde_json::{Value, json};

use super::*;

fn own() -> ControllerId {
    ControllerId::new("oslo-1").unwrap()
}

fn at() -> At {
    At::parse("2026-11-23T08:31:07.412Z").unwrap()
}

/// The JSON that was sent, and that it is the same value as the sample's.
fn check(said: &str, sample: Value) {
    assert_eq!(serde_json::from_str::<Value>(said).unwrap(), sample);
}

#[test]
fn sync_tells_position_wants_and_the_digest_in_hex() {
    let position = Position {
        epoch: 3,
        applied: 1203,
        rejected: 2,
        credentials: 812,
        grants: 2100,
        digest: Digest([0xC0; 32]),
    };
    for (want, name) in [(Want::Nothing, "nothing"), (Want::Changes, "changes"), (Want::Snapshot, "snapshot")]
    {
        check(
            &to_json(&Sync::of(own(), &position, want)),
            json!({"controller": "oslo-1", "epoch": 3, "applied": 1203, "want": name, "rejected": 2,
                "records": {"credentials": 812, "grants": 2100}, "digest": "c0".repeat(32)}),
        );
        assert_eq!(want.as_str(), name);
    }
}

#[test]
fn status_tells_versions_and_positions() {
    let status = Status {
        controller: own(),
        online: true,
        since: at(),
        version: "0.1.0",
        epoch: 3,
        applied: 1203,
        journal: "6f".into(),
        recorded: 501,
        acknowledged: 498,
        clock: ClockTrust::Holdover.into(),
        store: "good",
        checkpoint: None,
    };
    check(
        &to_json(&status),
        json!({"controller": "oslo-1", "online": true, "since": "2026-11-23T08:31:07.412Z", "version": "0.1.0",
            "epoch": 3, "applied": 1203, "journal": "6f", "recorded": 501, "acknowledged": 498,
            "clock": "trusted", "store": "good"}),
    );
    assert_eq!(json!(Clock::from(ClockTrust::Untrusted)), "untrusted");
    assert_eq!(json!(Clock::from(ClockTrust::Trusted)), "trusted");
}

#[test]
fn the_will_says_offline_and_nothing_else() {
    check(&to_json(&Offline::of(own())), json!({"controller": "oslo-1", "online": false}));
}

#[test]
fn a_door_is_said_in_the_contracts_words() {
    let state = DoorState {
        controller: own(),
        door: DoorId::new("entrance").unwrap(),
        mode: DoorMode::Locked,
        lock: LockState::Secure,
        contact: Contact::Closed,
        alarm: DoorAlarm::None,
        at: at(),
    };
    check(
        &to_json(&state),
        json!({"controller": "oslo-1", "door": "entrance", "mode": "locked", "lock": "secure",
            "contact": "closed", "alarm": "none", "at": "2026-11-23T08:31:07.412Z"}),
    );
    let modes = [
        DoorMode::Locked,
        DoorMode::Unlocked,
        DoorMode::Accessed,
        DoorMode::Blocked,
        DoorMode::LockedDown,
        DoorMode::LockedOpen,
    ];
    assert_eq!(
        json!(modes),
        json!(["locked", "unlocked", "accessed", "blocked", "locked_down", "locked_open"])
    );
    let contacts = [Contact::Open, Contact::Closed, Contact::Unknown];
    assert_eq!(json!(contacts), json!(["open", "closed", "unknown"]));
    let alarms = [DoorAlarm::None, DoorAlarm::Forced, DoorAlarm::HeldOpen];
    assert_eq!(json!(alarms), json!(["none", "forced", "held_open"]));
}

#[test]
fn events_go_out_as_they_stand_in_the_journal() {
    let lines = [r#"{"seq":501,"prev":"9a0c","hash":"51fe"}"#, r#"{"seq":502}"#];
    let said = events(&own(), "6f", lines);
    let expected =
        format!(r#"{{"controller":"oslo-1","journal":"6f","events":[{},{}]}}"#, lines[0], lines[1]);
    assert_eq!(said, expected);
    check(&events(&own(), "6f", []), json!({"controller": "oslo-1", "journal": "6f", "events": []}));
}
