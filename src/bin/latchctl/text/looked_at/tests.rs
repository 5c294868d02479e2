//! What `explain` shows of each reason, whole and in its parts that differ.

use serde_json::{Value, json};

use super::{super::samples, *};

const PLAIN: Style = Style { colour: false };

fn grant(id: &str, finding: &str) -> Value {
    let mut own =
        serde_json::to_value(samples::grants().into_iter().find(|g| g.id.as_str() == id).unwrap()).unwrap();
    own["finding"] = json!(finding);
    own
}

/// At 09:00 on Monday 23 November, at the main entrance, with a card that is known.
fn shown(answer: Value, looked_at: Value) -> String {
    let mut whole = json!({
        "answer": {"door": "entrance", "direction": "in", "at": "2026-11-23T08:00:00Z", "credential": "c-81",
            "holder": "m-17"},
        "looked_at": {"mode": "locked", "building_hours_only": false, "stale": false,
            "central_at": "2026-11-23T07:59:48Z", "clock": {"trust": "trusted", "detail": "synchronised"},
            "grants": 0, "covering": [], "more": 0,
            "credential": samples::credentials().into_iter().find(|c| c.id.as_str() == "c-81").unwrap()},
    });
    for (part, more) in [("answer", answer), ("looked_at", looked_at)] {
        for (field, value) in more.as_object().unwrap() {
            if value.is_null() {
                whole[part].as_object_mut().unwrap().remove(field);
            } else {
                whole[part][field] = value.clone();
            }
        }
    }
    explanation(&serde_json::from_value(whole).unwrap(), &Site::of(&samples::normal()), PLAIN)
}

fn denied(row: u8, reason: &str) -> Value {
    json!({"decision": "denied", "row": row, "reason": reason})
}

#[test]
fn too_early_shows_what_was_looked_at_each_grant_and_the_nearest_window() {
    let text = shown(
        json!({"decision": "denied", "row": 9, "reason": "too_early", "opens_at": "2026-11-23T08:30:00Z"}),
        json!({"grants": 3, "covering": [grant("g-9", "not_yet"), grant("g-clean", "not_yet"), grant("g-none", "never_opens")],
            "next": {"grant": "g-9", "opens_at": "2026-11-23T08:30:00Z", "closes_at": "2026-11-23T11:30:00Z"}}),
    );
    insta::assert_snapshot!(text, @r"
    Not yet: this card's room booking b-7 opens Main entrance at 09:30.

    LOOKED AT  ROW
    ok         1    the card has a number of its own
    ok         2    the card is known: c-81 of m-17
    ok         3    the card is active
    ok         4    the card counts from 01:00 on Thu 1 Jan
    ok         5    Main entrance is neither blocked nor locked down
    ok         6    3 of the holder's 3 grants cover Main entrance
    ok         7    the clock is trusted (synchronised)
    ok         8    Main entrance opens however long central is away
    NO         9    none of them is open now

    GRANT    KIND      BOOKING  OPENS (CET)  CLOSES (CET)      WHY
    g-9      room      b-7      09:30        12:30             not yet: opens in 30 min
    g-clean  standing           22:00        Tue 24 Nov 06:00  not yet: opens in 13 h, weekly schedule
    g-none   desk                                              never opens: its own bounds leave nothing of its time

    Next: from Mon 2026-11-23 09:30:00 CET until Mon 2026-11-23 12:30:00 CET, by g-9

    To open: wait until it opens at 09:30 (in 30 min), or have the booking begin earlier

    decision    denied
    reason      too_early, row 9: no covering grant is open now
    door        Main entrance (entrance), in
    at          Mon 2026-11-23 09:00:00 CET
    credential  c-81 (active)
    holder      m-17
    opens       Mon 2026-11-23 09:30:00 CET
    ");
}

#[test]
fn granted_says_by_which_and_nothing_that_would_have_to_be_different() {
    let text = shown(
        json!({"decision": "granted", "row": 11, "reason": "standing", "grant": "g-staff"}),
        json!({"grants": 1, "covering": [grant("g-staff", "opens")], "max_stale_s": 86400}),
    );
    insta::assert_snapshot!(text, @r"
    Yes: this card's standing access g-staff opens Main entrance, without an end.

    LOOKED AT  ROW
    ok         1    the card has a number of its own
    ok         2    the card is known: c-81 of m-17
    ok         3    the card is active
    ok         4    the card counts from 01:00 on Thu 1 Jan
    ok         5    Main entrance is neither blocked nor locked down
    ok         6    1 of the holder's 1 grant covers Main entrance
    ok         7    the clock is trusted (synchronised)
    ok         8    central was last heard at 08:59:48; Main entrance takes up to 1 d
    ok         9    1 of them is open now
    ok         10   nothing stands against it: guests, the room's capacity
    ok         11   the best of them is g-staff

    GRANT    KIND      OPENS (CET)  CLOSES (CET)  WHY
    g-staff  standing  always       never         opens

    decision    granted
    reason      standing, row 11: a covering grant is open now and passes every check
    door        Main entrance (entrance), in
    at          Mon 2026-11-23 09:00:00 CET
    credential  c-81 (active)
    holder      m-17
    grant       g-staff (standing)
    ");
}

#[test]
fn a_card_that_is_not_known_ends_it_at_the_second_row() {
    let mut answer = denied(2, "unknown_credential");
    (answer["credential"], answer["holder"]) = (Value::Null, Value::Null);
    let text = shown(answer, json!({"credential": null, "uid_tag": "9f3a01c2"}));
    insta::assert_snapshot!(text, @r"
    No: this card is not known here. Please ask the front desk to register it.

    LOOKED AT  ROW
    ok         1    the card has a number of its own
    NO         2    no credential has this card's number (UID tag 9f3a01c2)

    To open: central has to know this card as somebody's: it is registered there, and comes with the feed

    decision  denied
    reason    unknown_credential, row 2: no credential has this UID
    door      Main entrance (entrance), in
    at        Mon 2026-11-23 09:00:00 CET
    ");
}

#[test]
fn a_card_that_is_not_activated_is_sent_to_the_desk_with_its_hours() {
    let issued = samples::credentials().into_iter().find(|c| c.id.as_str() == "c-82").unwrap();
    let hours =
        |within: bool| json!({"within": within, "next": ["2026-11-23T08:00:00Z", "2026-11-23T16:00:00Z"]});
    let text = |within| {
        let answer = json!({"decision": "denied", "row": 3, "reason": "credential_not_activated", "credential": "c-82"});
        let whole = shown(answer, json!({"credential": issued, "staffed": hours(within)}));
        whole
            .lines()
            .filter(|line| line.contains("NO ") || line.starts_with("To open"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(format!("{}\n{}", text(true), text(false)), @r"
    NO         3    the card is issued
    To open: activate the card at the desk: latchctl credential activate c-82 (the desk is staffed)
    NO         3    the card is issued
    To open: activate the card at the desk: latchctl credential activate c-82 (the desk is staffed next Mon 2026-11-23 09:00:00 CET to 17:00:00; before that an administrator adds --override)
    ");
}

/// The row that decided, and what would have to be different.
fn one(row: u8, reason: &str, looked_at: Value) -> String {
    let whole = shown(denied(row, reason), looked_at);
    let kept = |line: &&str| line.contains("NO ") || line.starts_with("To open");
    whole.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_reason_says_why_and_what_would_have_to_be_different() {
    let by_desk = json!({"by": "anna (1000)", "at": "2026-11-23T07:00:00Z", "override": false, "seq": 7, "central": "active"});
    let mut suspended = serde_json::to_value(&samples::credentials()[1]).unwrap();
    suspended["status"] = json!("suspended");
    let central = suspended.clone();
    suspended["desk"] = by_desk;
    let host = json!({"grants": 1, "covering": [grant("g-11", "capacity_reached")]});
    let building = json!({"grants": 1, "covering": [grant("g-9", "outside_building_hours")], "building_hours_only": true,
        "building": {"within": false, "next": ["2026-11-24T06:00:00Z", "2026-11-24T21:00:00Z"]}});
    let all = [
        one(1, "random_uid", json!({"credential": null})),
        one(3, "credential_suspended", json!({"credential": suspended, "staffed": {"within": true}})),
        one(3, "credential_suspended", json!({"credential": central, "staffed": {"within": true}})),
        one(3, "credential_lost", json!({"credential": samples::credentials()[0]})),
        one(4, "credential_expired", json!({"credential": samples::credentials()[3]})),
        one(5, "door_locked_down", json!({"mode": "locked_down"})),
        one(5, "door_blocked", json!({"mode": "blocked"})),
        one(6, "no_grant", json!({})),
        one(6, "wrong_door", json!({"grants": 3})),
        one(
            7,
            "clock_untrusted",
            json!({"grants": 1, "covering": [grant("g-9", "clock_untrusted")],
            "clock": {"trust": "untrusted", "detail": "not synchronised since the start"}}),
        ),
        one(
            8,
            "cache_stale",
            json!({"grants": 1, "covering": [grant("g-9", "cache_stale")], "stale": true, "max_stale_s": 3600}),
        ),
        one(9, "too_late", json!({"grants": 1, "covering": [grant("g-9", "no_longer")]})),
        one(10, "host_booking_missing", host.clone()),
        one(10, "capacity_reached", host),
        one(10, "outside_building_hours", building),
    ];
    insta::assert_snapshot!(all.concat(), @r"
    NO         1    the card makes up a number for each tap
    To open: a card with a number of its own has to be used
    NO         3    the card is suspended, set at the desk by anna (1000); central says active
    To open: the desk suspended it, and can give it back: latchctl credential activate c-81 (the desk is staffed)
    NO         3    the card is suspended
    To open: central has to lift the suspension
    NO         3    the card is lost
    To open: another card has to be handed out; only central changes this one
    NO         4    the card counts until 00:00 on Sun 1 Nov
    To open: central has to extend the card
    NO         5    Main entrance is locked down, and no grant that overrides that is open now
    To open: end the lockdown: latchctl door lock-down-release entrance
    NO         5    Main entrance is blocked, and no grant that overrides that is open now
    To open: end the block: latchctl door unblock entrance
    NO         6    the holder has no grant at all: nothing is booked
    To open: book something here that takes in Main entrance
    NO         6    none of the holder's 3 grants covers Main entrance
    To open: book something that takes in Main entrance: what is booked does not
    NO         7    the clock is not trusted (not synchronised since the start), and no grant without any bound covers Main entrance
    To open: the clock has to be set and synchronised: latchctl status says what is wrong with it
    NO         8    central was last heard at 08:59:48, and Main entrance takes 1 h at most
    To open: central has to be heard again: latchctl sync says what is in the way
    NO         9    it is not open now
    To open: book Main entrance again, or for longer
    NO         10   what is open now has something against it: the host's booking is not there
    To open: the host's booking has to be there again, and the guest invited to it
    NO         10   what is open now has something against it: as many guests have come as the room holds
    To open: the host's room has to hold more; who has been let in once may come and go
    NO         10   what is open now has something against it: the building is closed
    To open: wait until the building is open, next Tue 2026-11-24 07:00:00 CET to 22:00:00; only standing grants pass outside its hours
    ");
}
