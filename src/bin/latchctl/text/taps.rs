//! `reader watch`: cards in a technician's hand, as readers see them.

use latchd::wire::control::{CardSeen, ReaderNews};

use super::{
    Site, Style, Tone,
    readers::way,
    table::{Cell, pairs},
    tame,
};

/// One thing that happened.
pub fn news(news: &ReaderNews, site: &Site, style: Style) -> String {
    match news {
        ReaderNews::Reader { reader, door, direction, driver, connected, detail, .. } => {
            let state = if *connected {
                style.paint(Tone::Good, "connected")
            } else {
                style.paint(Tone::Bad, "lost")
            };
            let detail = detail.as_deref().map(|detail| format!(": {}", tame(detail))).unwrap_or_default();
            let (door, way) = (site.door(door), way(*direction));
            format!("{reader} ({driver}, {way} at {}) is {state}{detail}\n", tame(door))
        }
        ReaderNews::Tap(card) => tap(card, site, style),
        ReaderNews::Unreadable { at, reader, detail } => {
            let said = format!("something in the field could not be read: {}", tame(detail));
            format!("{}  {reader}  {}\n", site.brief(*at), style.paint(Tone::Warning, &said))
        }
        ReaderNews::Missed { count } => {
            let said = format!("{count} more came faster than they could be shown");
            format!("{}\n", style.paint(Tone::Warning, &said))
        }
    }
}

fn tap(card: &CardSeen, site: &Site, style: Style) -> String {
    let CardSeen { at, reader, uid, length, reversed, decision, reason, seq, .. } = card;
    let tone = if decision == "granted" { Tone::Good } else { Tone::Bad };
    let head =
        format!("{}  {reader}  {} ({length} bytes)\n", site.brief(*at), style.paint(Tone::Strong, uid));
    let rows = [
        ("  reversed", Cell::from(reversed.as_str())),
        ("  card", whose(card)),
        ("  decision", Cell::toned(tone, &format!("{decision}, {reason} (event {seq})"))),
    ];
    head + &pairs(&rows, style)
}

fn whose(card: &CardSeen) -> Cell {
    let CardSeen { reader, credential, holder, random, reversed_credential, .. } = card;
    if let Some(credential) = credential {
        let of = holder.as_ref().map(|holder| format!(" of {holder}")).unwrap_or_default();
        return format!("{credential}{of}").into();
    }
    if let Some(credential) = reversed_credential {
        let text = format!(
            "none as read, but reversed it is {credential}: turn uid_order round at reader {reader} and restart latchd"
        );
        return Cell::toned(Tone::Warning, &text);
    }
    if *random {
        return Cell::toned(
            Tone::Warning,
            "makes up a UID for each tap: it can't be told from others, and opens nothing",
        );
    }
    "no credential has this UID".into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::samples, *};

    fn shown(value: Value) -> String {
        let site = Site::of(&samples::normal());
        news(&serde_json::from_value(value).unwrap(), &site, Style { colour: false })
    }

    fn tapped(more: &Value) -> Value {
        let mut tap = json!({"what": "tap", "at": "2026-11-23T07:59:58Z", "reader": "entrance-in", "door": "entrance",
            "direction": "in", "uid": "04A1B2C3D4E5F6", "reversed": "F6E5D4C3B2A104", "length": 7, "random": false,
            "decision": "denied", "reason": "unknown_credential", "seq": 512});
        tap.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tap
    }

    #[test]
    fn taps_of_every_kind() {
        let known =
            json!({"decision": "granted", "reason": "in_window", "credential": "c-81", "holder": "m-17"});
        let reversed = json!({"reversed_credential": "c-81"});
        let random = json!({"uid": "08A1B2C3", "reversed": "C3B2A108", "length": 4, "random": true, "reason": "random_uid"});
        let all: String =
            [known, json!({}), reversed, random].iter().map(|more| shown(tapped(more))).collect();
        insta::assert_snapshot!(all, @r"
        08:59:58  entrance-in  04A1B2C3D4E5F6 (7 bytes)
          reversed  F6E5D4C3B2A104
          card      c-81 of m-17
          decision  granted, in_window (event 512)
        08:59:58  entrance-in  04A1B2C3D4E5F6 (7 bytes)
          reversed  F6E5D4C3B2A104
          card      no credential has this UID
          decision  denied, unknown_credential (event 512)
        08:59:58  entrance-in  04A1B2C3D4E5F6 (7 bytes)
          reversed  F6E5D4C3B2A104
          card      none as read, but reversed it is c-81: turn uid_order round at reader entrance-in and restart latchd
          decision  denied, unknown_credential (event 512)
        08:59:58  entrance-in  08A1B2C3 (4 bytes)
          reversed  C3B2A108
          card      makes up a UID for each tap: it can't be told from others, and opens nothing
          decision  denied, random_uid (event 512)
        ");
    }

    #[test]
    fn readers_that_come_and_go_and_what_could_not_be_read() {
        let reader = |connected: bool, detail: &str| {
            shown(
                json!({"what": "reader", "at": "2026-11-23T07:59:58Z", "reader": "entrance-in", "door": "entrance",
                "direction": "in", "driver": "pn532", "connected": connected, "detail": detail}),
            )
        };
        let torn = json!({"what": "unreadable", "at": "2026-11-23T07:59:58Z", "reader": "entrance-in",
            "detail": "the card was gone too soon"});
        let all = reader(true, "PN532 1.6 on /dev/ttyUSB0")
            + &reader(false, "the line has vanished")
            + &shown(torn)
            + &shown(json!({"what": "missed", "count": 3}));
        insta::assert_snapshot!(all, @r"
        entrance-in (pn532, in at Main entrance) is connected: PN532 1.6 on /dev/ttyUSB0
        entrance-in (pn532, in at Main entrance) is lost: the line has vanished
        08:59:58  entrance-in  something in the field could not be read: the card was gone too soon
        3 more came faster than they could be shown
        ");
    }
}
