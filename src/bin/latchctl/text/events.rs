//! `events`: one line each, of types known today and of those to come: what has no column stands at the end.

use latchd::domain::At;
use serde_json::{Map, Value};

use super::{Site, Style, Tone, tame};

/// Columns are fixed, because a stream can't wait for its widest line: the longest type today is 22.
const TYPE_WIDTH: usize = 22;

pub fn event(event: &Value, site: &Site, style: Style) -> String {
    let none = Map::new();
    let fields = event.as_object().unwrap_or(&none);
    let text = |name: &str| fields.get(name).map(value).unwrap_or_default();
    let at = fields.get("at").and_then(Value::as_str);
    let when = match at.and_then(|at| At::parse(at).ok()) {
        Some(at) => site.zone.show(at),
        None => at.unwrap_or("no time").to_owned(),
    };
    let kind = text("type");
    let shown = format!("{kind:<TYPE_WIDTH$}");
    let parts = [place(fields, site), who(fields), text("reason"), rest(fields)];
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).map(|p| tame(&p)).collect();
    let seq = style.paint(Tone::Faint, &tame(&format!("#{:<6}", text("seq"))));
    let line =
        format!("{} {seq} {} {}", tame(&when), style.paint(tone(&kind), &tame(&shown)), said.join("  "));
    line.trim_end().to_owned() + "\n"
}

/// The same for a screen that has little room: without the date.
pub fn short(event: &Value, site: &Site) -> String {
    let none = Map::new();
    let fields = event.as_object().unwrap_or(&none);
    let text = |name: &str| fields.get(name).map(value).unwrap_or_default();
    let at = fields.get("at").and_then(Value::as_str).and_then(|at| At::parse(at).ok());
    let when = at.map(|at| site.brief(at)).unwrap_or_default();
    let parts = [place(fields, site), who(fields), text("reason"), rest(fields)];
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    tame(&format!("{when:<8} #{} {} {}", text("seq"), text("type"), said.join("  "))).trim_end().to_owned()
}

/// How much it matters.
pub fn tone_of(event: &Value) -> Tone {
    tone(event.get("type").and_then(Value::as_str).unwrap_or_default())
}

fn tone(kind: &str) -> Tone {
    match kind {
        "access.granted" | "access.taken" => Tone::Good,
        "access.denied" | "door.held_open" | "sync.stale" => Tone::Warning,
        "door.forced"
        | "door.lock_fault"
        | "fire.raised"
        | "reader.lost"
        | "reader.tamper"
        | "board.lost"
        | "clock.untrusted"
        | "journal.overwritten"
        | "store.recovered" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// `Main entrance (entrance-in, in)`, or the device.
fn place(fields: &Map<String, Value>, site: &Site) -> String {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let how: Vec<&str> = [text("reader"), text("direction")].into_iter().flatten().collect();
    match (text("door"), text("board")) {
        (Some(door), _) => {
            let name = site.doors.get(door).map_or(door, String::as_str);
            if how.is_empty() { name.to_owned() } else { format!("{name} ({})", how.join(", ")) }
        }
        (None, Some(board)) => board.to_owned(),
        (None, None) => how.join(", "),
    }
}

/// The holder, with the card and the grant; an unknown card's tag; or who commanded.
fn who(fields: &Map<String, Value>) -> String {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let of: Vec<&str> = [text("credential"), text("grant")].into_iter().flatten().collect();
    let tag = text("uid_tag").map(|tag| format!("unknown card {tag}"));
    match text("holder").map(str::to_owned).or(tag).or(text("by").map(|by| format!("by {by}"))) {
        Some(who) if of.is_empty() => who,
        Some(who) => format!("{who} ({})", of.join(", ")),
        None => of.join(", "),
    }
}

/// Fields without a place of their own, as `name=value`; the chain's are left to `--json`.
fn rest(fields: &Map<String, Value>) -> String {
    const SHOWN: [&str; 15] = [
        "seq",
        "at",
        "type",
        "prev",
        "hash",
        "door",
        "reader",
        "direction",
        "board",
        "holder",
        "credential",
        "grant",
        "uid_tag",
        "reason",
        "detail",
    ];
    let by_shown = ["holder", "uid_tag"].iter().all(|name| !fields.contains_key(*name));
    let rest = fields
        .iter()
        .filter(|(name, _)| !(SHOWN.contains(&name.as_str()) || (by_shown && *name == "by")))
        .map(|(name, own)| format!("{name}={}", value(own)));
    rest.chain(fields.get("detail").map(value)).collect::<Vec<_>>().join(" ")
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn events_one_line_each() {
        let site = Site::of(&samples::normal());
        let text: String = samples::events().iter().map(|e| event(e, &site, PLAIN)).collect();
        insta::assert_snapshot!(text, @r"
        Mon 2026-11-23 08:00:00 CET #1      controller.started     version=0.1.0 after a clean stop
        Mon 2026-11-23 09:31:07 CET #501    access.granted         Main entrance (entrance-in, in)  m-17 (c-81, g-9)  in_window  late=true
        Mon 2026-11-23 09:31:08 CET #502    access.denied          Main entrance (entrance-in, in)  unknown card 9f3a01c2  unknown_credential
        Mon 2026-11-23 09:31:09 CET #503    door.opened            Main entrance
        Mon 2026-11-23 09:31:10 CET #504    operator.command       Møterom 4  by anna (1000)  delivery  action=access outcome=done
        Mon 2026-11-23 09:31:11 CET #505    reader.lost            room-4-in  clock=holdover no answer
        Mon 2026-11-23 09:31:12 CET #506    sync.snapshot_applied  applied=0 epoch=4 812 credentials
        ");
    }

    #[test]
    fn what_is_no_event_is_still_a_line() {
        let site = Site::of(&samples::empty());
        let text: String =
            [Value::Null, serde_json::json!({"at": "soon", "type": "moon.rose", "phase": [1]})]
                .iter()
                .map(|e| event(e, &site, PLAIN))
                .collect();
        insta::assert_snapshot!(text, @r"
        no time #
        soon #       moon.rose              phase=[1]
        ");
    }
}
