//! `explain`: one sentence that a member could be told, then what a technician looks up.

use latchd::{
    domain::Kind,
    wire::control::{CredentialReport, ExplainReport, GrantReport},
};

use super::{
    Site, Style, Tone,
    readers::way,
    reasons::{self, Facts},
    table::{Cell, pairs},
    tame, times,
};

/// What the report names, looked up beside it; what could not be is left out.
#[derive(Debug, Clone, Default)]
pub struct Named {
    pub credential: Option<CredentialReport>,
    pub grant: Option<GrantReport>,
}

pub fn explain(report: &ExplainReport, named: &Named, site: &Site, style: Style) -> String {
    format!("{}\n\n{}", tame(&sentence(report, named, site)), facts(report, named, site, style))
}

/// What a technician looks up.
pub fn facts(report: &ExplainReport, named: &Named, site: &Site, style: Style) -> String {
    let granted = report.decision == "granted";
    let tone = if granted { Tone::Good } else { Tone::Bad };
    let rule = format!("{}, row {}: {}", report.reason, report.row, reasons::row(report.row));
    let door = format!("{} ({}), {}", site.door(&report.door), report.door, way(report.direction));
    let time = |at| Cell::from(site.zone.show(at));
    let none = Cell::default;
    pairs(
        &[
            ("decision", Cell::toned(tone, &report.decision)),
            ("reason", rule.into()),
            ("door", door.into()),
            ("at", time(report.at)),
            ("credential", report.credential.as_ref().map_or_else(none, |c| card(c.as_str(), named))),
            ("holder", report.holder.as_ref().map_or_else(none, |h| h.as_str().into())),
            ("grant", report.grant.as_ref().map_or_else(none, |g| grant(g.as_str(), named))),
            ("opens", report.opens_at.map_or_else(none, time)),
            ("closes", report.closes_at.map_or_else(none, time)),
        ],
        style,
    )
}

/// What a member could be told.
pub fn sentence(report: &ExplainReport, named: &Named, site: &Site) -> String {
    let Some(reason) = reasons::named(&report.reason) else {
        return format!("{}: {} (a reason this latchctl does not know).", report.decision, report.reason);
    };
    // Asked about another day, "at 09:30" could mean that day or today.
    let about_today = site.zone.date(report.at) == site.zone.date(site.now);
    let say = if about_today { times::spoken } else { times::dated };
    let spoken = |at| say(site.zone, at, site.now);
    let card = named.credential.as_ref();
    let from = report.opens_at.or(card.and_then(|c| c.valid_from).filter(|t| *t > report.at));
    let until = report.closes_at.or(card.and_then(|c| c.valid_until).filter(|t| *t <= report.at));
    reasons::sentence(
        reason,
        &Facts {
            door: site.door(&report.door),
            right: &right(report, named),
            from: from.map(spoken).as_deref(),
            until: until.map(spoken).as_deref(),
        },
    )
}

/// What the grant is to its holder.
fn right(report: &ExplainReport, named: &Named) -> String {
    let Some(grant) = &named.grant else {
        return match &report.grant {
            Some(id) => format!("this card's booking {id}"),
            None => "this card's booking".into(),
        };
    };
    let name = grant.booking.as_ref().map_or(grant.id.as_str(), |b| b.as_str());
    match grant.kind {
        Kind::Room => format!("this card's room booking {name}"),
        Kind::Desk => format!("this card's desk booking {name}"),
        Kind::Guest => format!("this guest's booking {name}"),
        Kind::Standing => format!("this card's standing access {}", grant.id),
    }
}

fn card(id: &str, named: &Named) -> Cell {
    match &named.credential {
        Some(card) => format!("{id} ({})", card.status.as_str()).into(),
        None => id.into(),
    }
}

fn grant(id: &str, named: &Named) -> Cell {
    let Some(grant) = &named.grant else { return id.into() };
    let booking = grant.booking.as_ref().map(|b| format!(", booking {b}")).unwrap_or_default();
    let schedule = if grant.scheduled { ", weekly schedule" } else { "" };
    format!("{id} ({}{booking}{schedule})", grant.kind.as_str()).into()
}

#[cfg(test)]
mod tests {
    use latchd::domain::At;
    use serde_json::json;

    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    fn report(mut more: serde_json::Value) -> ExplainReport {
        let base = json!({"door": "entrance", "direction": "in", "at": "2026-11-23T08:00:00Z", "row": 9,
            "decision": "denied", "credential": "c-81", "holder": "m-17", "reason": "too_early"});
        for (key, value) in base.as_object().unwrap() {
            more.as_object_mut().unwrap().entry(key).or_insert(value.clone());
        }
        serde_json::from_value(more).unwrap()
    }

    fn site() -> Site {
        Site::of(&samples::normal())
    }

    fn known() -> Named {
        Named {
            credential: samples::credentials().into_iter().find(|c| c.id.as_str() == "c-81"),
            grant: samples::grants().into_iter().find(|g| g.id.as_str() == "g-9"),
        }
    }

    #[test]
    fn too_early_says_when() {
        let report = report(json!({"grant": "g-9", "opens_at": "2026-11-23T08:30:00Z"}));
        insta::assert_snapshot!(explain(&report, &known(), &site(), PLAIN), @r"
        Not yet: this card's room booking b-7 opens Main entrance at 09:30.

        decision    denied
        reason      too_early, row 9: no covering grant is open now
        door        Main entrance (entrance), in
        at          Mon 2026-11-23 09:00:00 CET
        credential  c-81 (active)
        holder      m-17
        grant       g-9 (room, booking b-7)
        opens       Mon 2026-11-23 09:30:00 CET
        ");
    }

    #[test]
    fn asked_about_another_day_it_says_which() {
        let report = report(json!({"grant": "g-9", "at": "2026-11-24T08:00:00Z", "reason": "too_late",
            "closes_at": "2026-11-23T11:30:00Z"}));
        insta::assert_snapshot!(explain(&report, &known(), &site(), PLAIN).lines().next().unwrap(), @"No longer: this card's room booking b-7 stopped opening Main entrance at 12:30 on Mon 23 Nov.");
    }

    #[test]
    fn granted_says_until_when() {
        let report = report(json!({"grant": "g-9", "decision": "granted", "reason": "in_window", "row": 11,
            "opens_at": "2026-11-23T08:30:00Z", "closes_at": "2026-11-24T11:00:00Z"}));
        insta::assert_snapshot!(explain(&report, &known(), &site(), PLAIN), @r"
        Yes: this card's room booking b-7 opens Main entrance, and stops doing so at 12:00 on Tue 24 Nov.

        decision    granted
        reason      in_window, row 11: a covering grant is open now and passes every check
        door        Main entrance (entrance), in
        at          Mon 2026-11-23 09:00:00 CET
        credential  c-81 (active)
        holder      m-17
        grant       g-9 (room, booking b-7)
        opens       Mon 2026-11-23 09:30:00 CET
        closes      Tue 2026-11-24 12:00:00 CET
        ");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut report = report(json!({"decision": "denied", "reason": "unknown_credential", "row": 2}));
        (report.credential, report.holder) = (None, None);
        insta::assert_snapshot!(explain(&report, &Named::default(), &site(), PLAIN), @r"
        No: this card is not known here. Please ask the front desk to register it.

        decision  denied
        reason    unknown_credential, row 2: no credential has this UID
        door      Main entrance (entrance), in
        at        Mon 2026-11-23 09:00:00 CET
        ");
    }

    #[test]
    fn an_expired_card_says_since_when() {
        let report = report(json!({"reason": "credential_expired", "row": 4}));
        let mut named = known();
        named.credential.as_mut().unwrap().valid_until = Some(At::parse("2026-10-31T23:00:00Z").unwrap());
        insta::assert_snapshot!(explain(&report, &named, &site(), PLAIN).lines().next().unwrap(), @"No longer: this card stopped counting at 00:00 on Sun 1 Nov. Please ask the front desk to extend it.");
    }

    #[test]
    fn a_newer_daemons_reason_is_shown_as_it_is() {
        let report = report(json!({"reason": "full_moon", "row": 12}));
        insta::assert_snapshot!(explain(&report, &Named::default(), &site(), PLAIN), @r"
        denied: full_moon (a reason this latchctl does not know).

        decision    denied
        reason      full_moon, row 12: a row this latchctl does not know
        door        Main entrance (entrance), in
        at          Mon 2026-11-23 09:00:00 CET
        credential  c-81
        holder      m-17
        ");
    }
}
