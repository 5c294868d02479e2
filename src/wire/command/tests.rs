//! Messages on `command`, as central may write them and as it may not.

use serde_json::json;

use super::*;

/// The contract's example.
fn message() -> Value {
    json!({"controller": "oslo-1", "id": "cmd-7", "issued_at": "2026-11-23T09:00:00Z",
        "expires_at": "2026-11-23T09:01:00Z", "by": "anna@central", "action": "access", "door": "entrance"})
}

fn with(field: &str, value: Value) -> Value {
    let mut message = message();
    message[field] = value;
    message
}

fn read(message: &Value) -> Result<Command, Unread> {
    command(message.to_string().as_bytes(), false, &Trust::Anyone, &ControllerId::new("oslo-1").unwrap())
}

fn refused(message: &Value) -> (&'static str, String) {
    let Unread { why, .. } = read(message).unwrap_err();
    (why.reason(), why.to_string())
}

#[test]
fn the_contracts_example_is_understood() {
    let order = DoorOrder::new(DoorAction::Access, None).unwrap();
    let expected = Command {
        id: CommandId::new("cmd-7").unwrap(),
        issued_at: At::parse("2026-11-23T09:00:00Z").unwrap(),
        expires_at: At::parse("2026-11-23T09:01:00Z").unwrap(),
        by: "anna@central".into(),
        order: Order::Doors { order, doors: Doors::One(DoorId::new("entrance").unwrap()) },
    };
    assert_eq!(read(&message()), Ok(expected));
}

#[test]
fn every_action_of_the_table_is_known_for_one_door_and_for_all() {
    for action in DoorAction::ALL {
        for door in ["entrance", "*"] {
            let mut message = with("action", json!(action.as_str()));
            message["door"] = json!(door);
            let Order::Doors { order, doors } = read(&message).unwrap().order else { unreachable!() };
            assert_eq!((order.action, doors.to_string()), (action, door.to_owned()));
        }
    }
    let mut resync = with("action", json!("resync"));
    resync.as_object_mut().unwrap().remove("door");
    assert_eq!(read(&resync).unwrap().order, Order::Resync);
    let mut timed = with("action", json!("unlock"));
    timed["for_s"] = json!(90);
    let Order::Doors { order, .. } = read(&timed).unwrap().order else { unreachable!() };
    assert_eq!(order.for_s(), Some(90));
}

#[test]
fn who_gave_it_may_be_left_out_and_unknown_fields_are_ignored() {
    let mut message = with("colour", json!("blue"));
    message.as_object_mut().unwrap().remove("by");
    assert_eq!(read(&message).unwrap().by, "central");
}

#[test]
fn a_command_that_is_not_understood_says_why() {
    for (message, reason, expected) in [
        (json!(7), "malformed", "`message` is not an object"),
        (with("controller", json!("bergen-1")), "other_controller", "meant for controller \"bergen-1\""),
        (with("id", json!("")), "malformed", "`id`: an id has 1 to 64 characters, this one has 0"),
        (with("id", Value::Null), "malformed", "`id` is missing"),
        (with("issued_at", Value::Null), "malformed", "`issued_at` is missing"),
        (with("expires_at", Value::Null), "malformed", "`expires_at` is missing"),
        (
            with("expires_at", json!("soon")),
            "malformed",
            "`expires_at` is not an instant: RFC 3339 in UTC, such as 2026-11-23T09:00:00Z",
        ),
        (with("by", json!("b".repeat(129))), "malformed", "`by` is not a name of 1 to 128 bytes"),
        (with("action", Value::Null), "malformed", "`action` is missing"),
        (with("action", json!("explode")), "unknown_action", "there is no action \"explode\""),
        (with("door", Value::Null), "malformed", "`door` is missing"),
        (with("door", json!("a/b")), "malformed", "`door`: an id is made of A-Z a-z 0-9 . _ : -, not '/'"),
        (with("for_s", json!(30)), "for_s_not_taken", "only unlock and lock_open take a time (for_s)"),
        (with("for_s", json!(-1)), "malformed", "`for_s` is not a number of seconds"),
    ] {
        assert_eq!(refused(&message), (reason, expected.to_owned()), "{message}");
    }
}

#[test]
fn what_can_be_read_of_a_refused_one_is_kept_for_its_answer() {
    let unread = |message: Value| {
        let Unread { id, action, .. } = read(&message).unwrap_err();
        (id.map(|id| id.to_string()), action)
    };
    assert_eq!(unread(with("action", json!("explode"))), (Some("cmd-7".into()), Some("explode".into())));
    assert_eq!(unread(with("id", json!("a/b"))), (None, Some("access".into())));
    assert_eq!(unread(json!({"action": "x".repeat(100)})).1, Some("x".repeat(40)));
}

#[test]
fn a_retained_one_is_refused_however_good_it_is() {
    let own = ControllerId::new("oslo-1").unwrap();
    let Unread { id, why, .. } =
        command(message().to_string().as_bytes(), true, &Trust::Anyone, &own).unwrap_err();
    assert_eq!((id.unwrap().as_str(), why.reason()), ("cmd-7", "retained"));
}

#[test]
fn with_keys_one_that_is_not_signed_is_refused_and_still_answered() {
    let trust = Trust::Keys(Vec::new());
    let own = ControllerId::new("oslo-1").unwrap();
    let Unread { id, why, .. } = command(message().to_string().as_bytes(), false, &trust, &own).unwrap_err();
    assert_eq!((id.unwrap().as_str(), why.reason()), ("cmd-7", "bad_signature"));
}

#[test]
fn a_result_is_written_as_the_contract_has_it() {
    let result = |outcome, reason, refused| {
        let controller = ControllerId::new("oslo-1").unwrap();
        let id = CommandId::new("cmd-7").unwrap();
        json!(CommandResult { controller, id, outcome, reason, refused })
    };
    let done = json!({"controller": "oslo-1", "id": "cmd-7", "outcome": "done"});
    assert_eq!(result(Outcome::Done, None, Vec::new()), done);
    let side = RefusedDoor { door: DoorId::new("side").unwrap(), reason: "door_locked_open" };
    let partly = json!({"controller": "oslo-1", "id": "cmd-7", "outcome": "done", "reason": "partly",
        "refused": [{"door": "side", "reason": "door_locked_open"}]});
    assert_eq!(result(Outcome::Done, Some("partly"), vec![side]), partly);
    let refused = json!({"controller": "oslo-1", "id": "cmd-7", "outcome": "refused", "reason": "expired"});
    assert_eq!(result(Outcome::Refused, Some("expired"), Vec::new()), refused);
}
