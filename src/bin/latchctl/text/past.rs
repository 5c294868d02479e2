//! `explain --event`: what was decided then, by the event's own facts; what would be by today's records; and whether
//! something has changed since.

use latchd::{
    domain::{At, Direction, DoorId},
    wire::control::{
        ExplainReport,
        explain::{Explanation, PastExplanation},
    },
};
use serde_json::Value;

use super::{
    Site, Style,
    explain::{self, Named},
    looked_at, reasons, tame,
};

pub fn past(past: &PastExplanation, site: &Site, style: Style) -> String {
    let PastExplanation { event, then, now } = past;
    let seq = event.get("seq").and_then(Value::as_u64).unwrap_or_default();
    let Some(report) = decided(event) else {
        return format!("event {seq} can't be read by this latchctl: see latchctl events --json\n");
    };
    let when = site.zone.show(report.at);
    let mut said =
        vec![format!("Event {seq}, {when}: {}", explain::sentence(&report, &Named::default(), site))];
    if event.get("clock").and_then(Value::as_str) == Some("untrusted") {
        said.push("The clock was not trusted then: the time may be wrong.".into());
    }
    match then {
        None if report.credential.is_none() => {
            said.push("The card was not known then, and is not now.".into());
        }
        None => said.push("The card or the door is not here any more, so it can't be decided anew.".into()),
        Some(then) => said.extend(since(&report, then, site)),
    }
    if let Some(now) = now {
        said.push(format!("Now: {}", explain::sentence(&now.answer, &looked_at::named(now), site)));
    }
    let sentences: String = said.iter().map(|line| tame(line) + "\n").collect();
    format!("{sentences}\n{}", explain::facts(&report, &Named::default(), site, style))
}

/// The decision as the journal has it.
fn decided(event: &Value) -> Option<ExplainReport> {
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    let at = |field: &str| text(field).and_then(|at| At::parse(at).ok());
    let id = |field: &str| event.get(field).cloned();
    let reason = text("reason")?;
    Some(ExplainReport {
        door: DoorId::new(text("door")?).ok()?,
        direction: id("direction").and_then(|d| serde_json::from_value(d).ok()).unwrap_or(Direction::In),
        at: at("at")?,
        decision: text("type")?.strip_prefix("access.")?.to_owned(),
        reason: reason.to_owned(),
        row: reasons::named(reason).map_or(0, |reason| reason.row()),
        credential: id("credential").and_then(|v| serde_json::from_value(v).ok()),
        holder: id("holder").and_then(|v| serde_json::from_value(v).ok()),
        grant: id("grant").and_then(|v| serde_json::from_value(v).ok()),
        opens_at: at("opens_at"),
        closes_at: at("closes_at"),
    })
}

/// What differs between then and what today's records say of then.
fn since(then: &ExplainReport, today: &Explanation, site: &Site) -> Vec<String> {
    let answer = &today.answer;
    let mut said = Vec::new();
    if then.credential.is_none() {
        let owner = answer.credential.as_ref().map(|c| c.as_str()).unwrap_or_default();
        said.push(format!("The card has become known since: it is {owner}."));
    } else if (&then.decision, &then.reason) == (&answer.decision, &answer.reason) {
        said.push("By what is known now, the same tap would have been decided alike.".into());
    } else {
        let sentence = explain::sentence(answer, &looked_at::named(today), site);
        said.push(format!(
            "By what is known now, the same tap would have been decided otherwise ({}): {sentence}",
            answer.reason
        ));
        said.push("So the card, its grants, the policy or the door's mode have changed since.".into());
    }
    let Some(grant) = &then.grant else { return said };
    let listed = today.looked_at.covering.iter().find(|c| c.grant.id == *grant).map(|c| &c.grant);
    match listed {
        None if today.looked_at.more == 0 => {
            said.push(format!("Grant {grant} is gone since, or no longer covers {}.", site.door(&then.door)));
        }
        Some(listed)
            if then.decision == "granted"
                && (listed.opens_at, listed.closes_at) != (then.opens_at, then.closes_at) =>
        {
            let shown =
                |at: Option<At>, none: &str| at.map_or_else(|| none.to_owned(), |at| site.zone.show(at));
            said.push(format!(
                "Grant {grant} has changed since: it was open from {} until {}, and is from {} until {} now.",
                shown(then.opens_at, "ever"),
                shown(then.closes_at, "further notice"),
                shown(listed.opens_at, "ever"),
                shown(listed.closes_at, "further notice"),
            ));
        }
        _ => {}
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    fn event() -> Value {
        json!({"seq": 501, "at": "2026-11-22T08:31:07.412Z", "type": "access.granted", "door": "entrance",
            "reader": "entrance-in", "direction": "in", "credential": "c-81", "holder": "m-17", "grant": "g-9",
            "reason": "in_window", "opens_at": "2026-11-22T08:30:00Z", "closes_at": "2026-11-22T11:30:00Z"})
    }

    fn today(at: &str, decision: &str, reason: &str, row: u8, closes: Option<&str>) -> Explanation {
        let mut grant = serde_json::to_value(&samples::grants()[2]).unwrap();
        grant["opens_at"] = json!("2026-11-22T08:30:00Z");
        grant["finding"] = json!("opens");
        grant["closes_at"] = json!(closes);
        let covering = closes.map_or_else(|| json!([]), |_| json!([grant]));
        serde_json::from_value(json!({
            "answer": {"door": "entrance", "direction": "in", "at": at, "decision": decision, "reason": reason,
                "row": row, "credential": "c-81", "holder": "m-17"},
            "looked_at": {"mode": "locked", "building_hours_only": false, "stale": false,
                "clock": {"trust": "trusted", "detail": "synchronised"}, "grants": 1, "covering": covering, "more": 0},
        }))
        .unwrap()
    }

    fn shown(event: Value, then: Option<Explanation>, now: Option<Explanation>) -> String {
        past(&PastExplanation { event, then, now }, &Site::of(&samples::normal()), PLAIN)
    }

    #[test]
    fn a_decision_that_would_be_the_same_is_said_to_be() {
        let then = today("2026-11-22T08:31:07Z", "granted", "in_window", 11, Some("2026-11-22T11:30:00Z"));
        let now = today("2026-11-23T08:00:00Z", "denied", "too_late", 9, Some("2026-11-22T11:30:00Z"));
        insta::assert_snapshot!(shown(event(), Some(then), Some(now)), @r"
        Event 501, Sun 2026-11-22 09:31:07 CET: Yes: this card's booking g-9 opens Main entrance, and stops doing so at 12:30 on Sun 22 Nov.
        By what is known now, the same tap would have been decided alike.
        Now: No: nothing that this card's holder has booked opens Main entrance, now or later.

        decision    granted
        reason      in_window, row 11: a covering grant is open now and passes every check
        door        Main entrance (entrance), in
        at          Sun 2026-11-22 09:31:07 CET
        credential  c-81
        holder      m-17
        grant       g-9
        opens       Sun 2026-11-22 09:30:00 CET
        closes      Sun 2026-11-22 12:30:00 CET
        ");
    }

    #[test]
    fn what_has_changed_since_is_said_plainly() {
        let moved = today("2026-11-22T08:31:07Z", "granted", "in_window", 11, Some("2026-11-22T15:00:00Z"));
        let gone = today("2026-11-22T08:31:07Z", "denied", "no_grant", 6, None);
        let sentences = |then| {
            let text = shown(event(), Some(then), None);
            text.split("\n\n").next().unwrap().to_owned() + "\n"
        };
        insta::assert_snapshot!(sentences(moved) + &sentences(gone), @r"
        Event 501, Sun 2026-11-22 09:31:07 CET: Yes: this card's booking g-9 opens Main entrance, and stops doing so at 12:30 on Sun 22 Nov.
        By what is known now, the same tap would have been decided alike.
        Grant g-9 has changed since: it was open from Sun 2026-11-22 09:30:00 CET until Sun 2026-11-22 12:30:00 CET, and is from Sun 2026-11-22 09:30:00 CET until Sun 2026-11-22 16:00:00 CET now.
        Event 501, Sun 2026-11-22 09:31:07 CET: Yes: this card's booking g-9 opens Main entrance, and stops doing so at 12:30 on Sun 22 Nov.
        By what is known now, the same tap would have been decided otherwise (no_grant): No: this card's holder has no booking here, and bookings are what opens doors.
        So the card, its grants, the policy or the door's mode have changed since.
        Grant g-9 is gone since, or no longer covers Main entrance.
        ");
    }

    #[test]
    fn a_card_that_was_unknown_then_or_is_gone_now_is_said_to_be() {
        let mut stranger = event();
        for field in ["credential", "holder", "grant", "opens_at", "closes_at"] {
            stranger.as_object_mut().unwrap().remove(field);
        }
        stranger["type"] = json!("access.denied");
        stranger["reason"] = json!("unknown_credential");
        stranger["uid_tag"] = json!("9f3a01c2");
        let known = today("2026-11-22T08:31:07Z", "denied", "no_grant", 6, None);
        let sentences = |event: Value, then| {
            let text = shown(event, then, None);
            text.split("\n\n").next().unwrap().to_owned() + "\n"
        };
        let all =
            [sentences(stranger.clone(), None), sentences(stranger, Some(known)), sentences(event(), None)];
        insta::assert_snapshot!(all.concat(), @r"
        Event 501, Sun 2026-11-22 09:31:07 CET: No: this card is not known here. Please ask the front desk to register it.
        The card was not known then, and is not now.
        Event 501, Sun 2026-11-22 09:31:07 CET: No: this card is not known here. Please ask the front desk to register it.
        The card has become known since: it is c-81.
        Event 501, Sun 2026-11-22 09:31:07 CET: Yes: this card's booking g-9 opens Main entrance, and stops doing so at 12:30 on Sun 22 Nov.
        The card or the door is not here any more, so it can't be decided anew.
        ");
        assert_eq!(
            shown(json!({"seq": 7}), None, None),
            "event 7 can't be read by this latchctl: see latchctl events --json\n"
        );
    }
}
