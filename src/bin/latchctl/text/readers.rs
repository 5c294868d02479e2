//! `readers`: lost ones first.

use latchd::{
    domain::Direction,
    wire::control::{ReaderReport, StatusReport},
};

use super::{
    Site, Style, Tone,
    table::{Cell, Table},
};

pub fn readers(readers: &[ReaderReport], site: &Site, style: Style) -> String {
    if readers.is_empty() {
        return "no readers: the configuration has no [[readers]]\n".into();
    }
    let mut sorted: Vec<&ReaderReport> = readers.iter().collect();
    sorted.sort_by(|a, b| a.connected.cmp(&b.connected).then_with(|| a.reader.cmp(&b.reader)));
    let mut table = Table::new(&[
        "READER".to_owned(),
        "DOOR".into(),
        "WAY".into(),
        "DRIVER".into(),
        "STATE".into(),
        site.heading("SINCE"),
        "LAST TAP".into(),
        "CAME OF IT".into(),
        "DETAIL".into(),
    ]);
    for reader in sorted {
        table.row(vec![
            reader.reader.as_str().into(),
            reader.door.as_str().into(),
            way(reader.direction).into(),
            reader.driver.as_str().into(),
            state(reader),
            reader.since.map(|t| site.brief(t)).unwrap_or_default().into(),
            reader.last_tap.map(|t| site.brief(t)).unwrap_or_default().into(),
            reader.last_reason.as_deref().unwrap_or_default().into(),
            detail(reader, site).into(),
        ]);
    }
    table.show(style)
}

/// Readers and boards in one table, and the worst that each row says; lost ones first.
pub fn devices(report: &StatusReport, site: &Site) -> (String, Vec<Tone>) {
    let plain = Style { colour: false };
    let mut rows: Vec<(Tone, Vec<Cell>)> = Vec::new();
    for reader in &report.readers {
        let (tone, said) = state_of(reader);
        let last = reader.last_tap.map(|at| format!("tap {}", site.brief(at))).unwrap_or_default();
        let what = format!("reader {}", reader.reader);
        rows.push((tone, vec![what.into(), said.into(), last.into(), detail(reader, site).into()]));
    }
    for board in &report.boards {
        let (tone, said) = if board.connected { (Tone::Good, "connected") } else { (Tone::Bad, "lost") };
        let detail = board.detail.clone().unwrap_or_else(|| board.url.clone());
        let what = format!("board {}", board.board);
        rows.push((tone, vec![what.into(), said.into(), "".into(), detail.into()]));
    }
    let rank = |tone: Tone| match tone {
        Tone::Bad => 0,
        Tone::Warning => 1,
        Tone::Plain | Tone::Good | Tone::Faint | Tone::Strong => 2,
    };
    rows.sort_by_key(|(tone, _)| rank(*tone));
    let mut table = Table::new(&["DEVICE", "STATE", "LAST", "DETAIL"]);
    let is_none = rows.is_empty();
    let tones = rows
        .into_iter()
        .map(|(tone, row)| {
            table.row(row);
            if tone == Tone::Good { Tone::Plain } else { tone }
        })
        .collect();
    (if is_none { String::new() } else { table.show(plain) }, tones)
}

/// Once or twice may be a plug that was moved: a cable to be changed is more than that.
const WORTH_SAYING: u64 = 3;

/// That it keeps failing, if it does.
pub fn restarts(reader: &ReaderReport, site: &Site) -> Option<String> {
    let restarts = reader.restarts.as_ref().filter(|restarts| restarts.count >= WORTH_SAYING)?;
    let (count, since, last) = (restarts.count, site.brief(restarts.since), site.brief(restarts.last));
    Some(format!("started over {count} times since {since}, last at {last}: {}", restarts.last_error))
}

fn detail(reader: &ReaderReport, site: &Site) -> String {
    let parts = [reader.detail.clone(), restarts(reader, site)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

pub fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

fn state(reader: &ReaderReport) -> Cell {
    let (tone, said) = state_of(reader);
    Cell::toned(tone, &said)
}

fn state_of(reader: &ReaderReport) -> (Tone, String) {
    let wrong = [
        (!reader.connected, "lost"),
        (reader.tamper, "tampered"),
        (reader.fault.is_some(), "fault"),
        (reader.insecure, "insecure"),
    ];
    let said: Vec<&str> = wrong.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
    match (said.is_empty(), reader.connected && !reader.tamper) {
        (true, _) => (Tone::Good, "connected".into()),
        (false, true) => (Tone::Warning, said.join(", ")),
        (false, false) => (Tone::Bad, said.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use latchd::{domain::At, wire::control::RestartsReport};

    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn readers_normal() {
        let report = samples::normal();
        insta::assert_snapshot!(readers(&report.readers, &Site::of(&report), PLAIN), @r"
        READER       DOOR      WAY  DRIVER  STATE      SINCE (CET)  LAST TAP  CAME OF IT  DETAIL
        entrance-in  entrance  in   pcsc    connected  05:48:01     08:59:58  in_window   ACS ACR1252 Dual Reader 00 00
        room-4-in    room-4    in   pn532   connected  05:48:01                           PN532 1.6 on /dev/ttyUSB0
        ");
    }

    #[test]
    fn readers_that_keep_failing() {
        let mut report = samples::normal();
        let restarts = |count| {
            Some(RestartsReport {
                count,
                since: At::parse("2026-11-23T07:12:00Z").unwrap(),
                last: At::parse("2026-11-23T07:59:30Z").unwrap(),
                last_error: "PN532 on /dev/ttyUSB0: the line has vanished".into(),
            })
        };
        report.readers[0].restarts = restarts(2);
        report.readers[1].restarts = restarts(12);
        insta::assert_snapshot!(readers(&report.readers, &Site::of(&report), PLAIN), @r"
        READER       DOOR      WAY  DRIVER  STATE      SINCE (CET)  LAST TAP  CAME OF IT  DETAIL
        entrance-in  entrance  in   pcsc    connected  05:48:01     08:59:58  in_window   ACS ACR1252 Dual Reader 00 00
        room-4-in    room-4    in   pn532   connected  05:48:01                           PN532 1.6 on /dev/ttyUSB0; started over 12 times since 08:12, last at 08:59:30: PN532 on /dev/ttyUSB0: the line has vanished
        ");
    }

    #[test]
    fn readers_empty() {
        insta::assert_snapshot!(readers(&[], &Site::of(&samples::empty()), PLAIN), @"no readers: the configuration has no [[readers]]");
    }

    #[test]
    fn a_reader_that_was_opened_and_one_in_clear_text_are_shown() {
        let mut report = samples::normal();
        (report.readers[0].tamper, report.readers[0].insecure) = (true, true);
        report.readers[1].insecure = true;
        report.readers[1].fault = Some("its power supply fails".into());
        insta::assert_snapshot!(readers(&report.readers, &Site::of(&report), PLAIN), @r"
        READER       DOOR      WAY  DRIVER  STATE               SINCE (CET)  LAST TAP  CAME OF IT  DETAIL
        entrance-in  entrance  in   pcsc    tampered, insecure  05:48:01     08:59:58  in_window   ACS ACR1252 Dual Reader 00 00
        room-4-in    room-4    in   pn532   fault, insecure     05:48:01                           PN532 1.6 on /dev/ttyUSB0
        ");
    }

    #[test]
    fn readers_failing() {
        let report = samples::failing();
        insta::assert_snapshot!(readers(&report.readers, &Site::of(&report), PLAIN), @r"
        READER       DOOR      WAY  DRIVER  STATE      SINCE (CET)  LAST TAP  CAME OF IT  DETAIL
        room-4-in    room-4    in   pn532   lost       08:12                              no answer on /dev/ttyUSB0
        entrance-in  entrance  in   pcsc    connected  05:48:01     08:59:58  in_window   ACS ACR1252 Dual Reader 00 00
        ");
    }
}
