//! `credential`: one card, and what became of it at the desk.

use latchd::{
    domain::Status,
    wire::control::{
        CredentialReport,
        cards::{AwaitsCard, CardDone},
    },
};

use super::{
    Site, Style,
    rights::status_tone,
    table::{Cell, pairs},
    tame,
};

pub fn card(card: &CredentialReport, site: &Site, style: Style) -> String {
    let desk = card.desk.as_ref();
    let set = desk.map_or_else(String::new, |desk| {
        let over = if desk.is_override { ", outside staffed hours" } else { "" };
        let at = site.zone.show(desk.at);
        format!("set at the desk by {}{over}, {at} (journal entry {})", desk.by, desk.seq)
    });
    let central = desk.map_or_else(String::new, |desk| match desk.central {
        Some(status) => format!("{}, until it says something of this card again", status.as_str()),
        None => "has not said anything of it since the cache was lost".to_owned(),
    });
    let validity = |at: Option<latchd::domain::At>| at.map(|at| site.zone.show(at)).unwrap_or_default();
    pairs(
        &[
            ("credential", card.id.as_str().into()),
            ("holder", card.holder.as_str().into()),
            ("status", Cell::toned(status_tone(card.status), card.status.as_str())),
            ("desk", set.into()),
            ("central says", central.into()),
            ("valid from", validity(card.valid_from).into()),
            ("valid until", validity(card.valid_until).into()),
            ("label", card.label.as_deref().unwrap_or_default().into()),
            (
                "UID tag",
                card.uid_tag.as_deref().unwrap_or("none: its card belongs to a later credential").into(),
            ),
            ("extended time", if card.extended_time { "yes" } else { "" }.into()),
        ],
        style,
    )
}

/// What stands on the terminal while the reader is waited for.
pub fn awaits(wait: &AwaitsCard) -> String {
    let AwaitsCard { waiting, within_s } = wait;
    tame(&format!("Hold the card to {waiting} within {within_s} s (Ctrl-C gives up). It opens no door."))
}

pub fn done(done: &CardDone, site: &Site, _: Style) -> String {
    let what = if done.status == Status::Active { "activated" } else { "suspended" };
    let over = if done.is_override { ", outside staffed hours" } else { "" };
    let mut said =
        format!("{} of {} is {what}{over} (journal entry {})", done.credential, done.holder, done.seq);
    if done.status == Status::Active {
        let early = done.valid_from.filter(|from| *from > site.now);
        let over = done.valid_until.filter(|until| *until <= site.now);
        if let Some(from) = early {
            said += &format!("; it counts only from {}", site.zone.show(from));
        } else if let Some(until) = over {
            said += &format!("; but it stopped counting {}: central has to extend it", site.zone.show(until));
        }
    }
    tame(&said) + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    fn site() -> Site {
        Site::of(&samples::normal())
    }

    #[test]
    fn a_card_as_central_has_it() {
        let mut cards = samples::credentials();
        insta::assert_snapshot!(card(&cards.remove(1), &site(), PLAIN), @r"
        credential  c-81
        holder      m-17
        status      active
        valid from  Thu 2026-01-01 01:00:00 CET
        label       blue card
        UID tag     9f3a01c2
        ");
    }

    #[test]
    fn a_card_that_the_desk_has_set_says_what_central_says() {
        let mut own = samples::credentials().remove(2);
        own.status = Status::Active;
        own.desk = serde_json::from_value(
            json!({"by": "anna (1000)", "at": "2026-11-23T07:59:00Z", "override": true,
            "seq": 77, "central": "issued"}),
        )
        .unwrap();
        own.uid_tag = None;
        insta::assert_snapshot!(card(&own, &site(), PLAIN), @r"
        credential     c-82
        holder         m-17
        status         active
        desk           set at the desk by anna (1000), outside staffed hours, Mon 2026-11-23 08:59:00 CET (journal entry 77)
        central says   issued, until it says something of this card again
        UID tag        none: its card belongs to a later credential
        extended time  yes
        ");
    }

    #[test]
    fn what_became_of_it_is_a_line_with_what_else_is_in_the_way() {
        let outcome = |more: serde_json::Value| {
            let mut value = json!({"credential": "c-82", "holder": "m-17", "status": "active", "outcome": "done",
                "by": "anna (1000)", "override": false, "seq": 77});
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            done(&serde_json::from_value(value).unwrap(), &site(), PLAIN)
        };
        let all = [
            outcome(json!({})),
            outcome(json!({"override": true})),
            outcome(json!({"status": "suspended"})),
            outcome(json!({"valid_from": "2026-12-01T00:00:00Z"})),
            outcome(json!({"valid_until": "2026-10-31T23:00:00Z"})),
        ];
        insta::assert_snapshot!(all.concat(), @r"
        c-82 of m-17 is activated (journal entry 77)
        c-82 of m-17 is activated, outside staffed hours (journal entry 77)
        c-82 of m-17 is suspended (journal entry 77)
        c-82 of m-17 is activated (journal entry 77); it counts only from Tue 2026-12-01 01:00:00 CET
        c-82 of m-17 is activated (journal entry 77); but it stopped counting Sun 2026-11-01 00:00:00 CET: central has to extend it
        ");
        let wait = AwaitsCard { waiting: "desk".parse().unwrap(), within_s: 30 };
        insta::assert_snapshot!(awaits(&wait), @r"
        Hold the card to desk within 30 s (Ctrl-C gives up). It opens no door.
        ");
    }
}
