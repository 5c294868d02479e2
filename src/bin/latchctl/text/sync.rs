//! `sync`, `journal verify`, `log`: how far central and the controller agree, and what is logged.

use latchd::wire::control::{CertificateReport, LogReport, SyncReport, VerifyReport};

use super::{
    Site, Style, Tone, count,
    table::{Cell, pairs},
    tame,
};

pub fn sync(report: &SyncReport, site: &Site, style: Style) -> String {
    let snapshot = parts(report);
    pairs(
        &[
            ("broker", link(report, site)),
            ("central", heard(report, site).into()),
            ("position", position(report).into()),
            ("snapshot", snapshot.unwrap_or_default().into()),
            ("refused", Cell::toned(refused_tone(report), &refused(report))),
            ("queue", format!("{} not yet acknowledged by central", count(report.queue, "event")).into()),
            ("digest", report.digest.as_str().into()),
            ("certificates", certificates(report, site)),
        ],
        style,
    )
}

/// Days before a certificate's end from which it is a problem.
const SOON_DAYS: u64 = 30;

/// When the link's certificates end, the first first.
fn certificates(report: &SyncReport, site: &Site) -> Cell {
    let said: Vec<String> = report.certificates.iter().map(|one| ends(one, site)).collect();
    let tones = report.certificates.iter().map(|one| tone_of(one, site));
    let tone = tones.max_by_key(|tone| (*tone == Tone::Bad, *tone == Tone::Warning));
    Cell::toned(tone.unwrap_or(Tone::Plain), &said.join("; "))
}

/// "broker's ends in 12 d (Sat 5 Dec)".
fn ends(one: &CertificateReport, site: &Site) -> String {
    let CertificateReport { certificate, not_after } = one;
    let day = site.brief(*not_after);
    if *not_after <= site.now {
        return format!("{certificate}'s has ended ({day})");
    }
    format!("{certificate}'s {} ({day})", left(one, site))
}

fn left(one: &CertificateReport, site: &Site) -> String {
    format!("ends in {} d", days_left(one, site))
}

fn days_left(one: &CertificateReport, site: &Site) -> u64 {
    one.not_after.since(site.now).as_secs() / 86_400
}

fn tone_of(one: &CertificateReport, site: &Site) -> Tone {
    match one.not_after <= site.now {
        true => Tone::Bad,
        false if days_left(one, site) < SOON_DAYS => Tone::Warning,
        false => Tone::Plain,
    }
}

/// Certificates that need a person, as sentences.
pub fn endings(report: &SyncReport, site: &Site) -> Vec<(Tone, String)> {
    let near = report.certificates.iter().map(|one| (tone_of(one, site), one));
    near.filter(|(tone, _)| *tone != Tone::Plain)
        .map(|(tone, one)| {
            let day = site.brief(one.not_after);
            let when = if tone == Tone::Bad { "has ended".into() } else { left(one, site) };
            (tone, format!("the {}'s certificate {when} ({day}): renew it", one.certificate))
        })
        .collect()
}

fn parts(report: &SyncReport) -> Option<String> {
    report.snapshot.map(|(stored, all)| format!("{stored} of {all} parts stored"))
}

/// How far a snapshot that is waited for has come, in a few words.
pub fn place(report: &SyncReport) -> String {
    let unreached = || match &report.detail {
        Some(why) => format!("not connected to {}: {}", report.broker, tame(why)),
        None => format!("not connected to {}", report.broker),
    };
    let absent = || if report.connected { "central has not begun".to_owned() } else { unreached() };
    parts(report).unwrap_or_else(absent)
}

/// After `sync resync --wait`.
pub fn arrived(report: &SyncReport, site: &Site, style: Style) -> String {
    format!("the snapshot is in force\n\n{}", sync(report, site, style))
}

/// After `sync resync`.
pub fn asked(report: &SyncReport, site: &Site, style: Style) -> String {
    let when = if report.connected {
        "a snapshot has been asked for; latchctl sync shows it arrive"
    } else {
        "a snapshot will be asked for as soon as the broker is reached"
    };
    format!("{when}\n\n{}", sync(report, site, style))
}

fn refused_tone(report: &SyncReport) -> Tone {
    if report.rejected > 0 || !report.refused.is_empty() { Tone::Warning } else { Tone::Plain }
}

/// Records refused since the last snapshot, and messages since the daemon started.
fn refused(report: &SyncReport) -> String {
    let kinds: Vec<String> =
        report.refused.iter().map(|(what, messages)| format!("{messages} {}", tame(what))).collect();
    let messages = if kinds.is_empty() { String::new() } else { format!("; messages: {}", kinds.join(", ")) };
    format!("{}{messages}", count(report.rejected, "record"))
}

/// The connection to the broker.
pub fn link(report: &SyncReport, site: &Site) -> Cell {
    let since = report.since.map(|t| format!(" since {}", site.brief(t))).unwrap_or_default();
    let why = report.detail.as_ref().filter(|_| !report.connected);
    let why = why.map(|d| format!(": {d}")).unwrap_or_default();
    match report.connected {
        true => Cell::toned(Tone::Plain, &format!("connected to {}{since}", report.broker)),
        false => Cell::toned(Tone::Bad, &format!("not connected to {}{since}{why}", report.broker)),
    }
}

/// When central was last heard.
pub fn heard(report: &SyncReport, site: &Site) -> String {
    let late = if report.stale { ", longer ago than sync.stale_after_s" } else { "" };
    match report.central_at {
        Some(at) => format!("last heard {} ({}){late}", site.ago(at), site.brief(at)),
        None => "never heard".into(),
    }
}

/// Where in the feed, with what.
pub fn position(report: &SyncReport) -> String {
    let held = format!("{}, {}", count(report.credentials, "credential"), count(report.grants, "grant"));
    let wants = match report.want.as_str() {
        "nothing" => String::new(),
        "changes" => ", waiting for changes".into(),
        "snapshot" => ", waiting for a snapshot".into(),
        newer => format!(", wants {newer}"),
    };
    format!("epoch {}, change {}{wants}; {held}", report.epoch, report.applied)
}

pub fn verified(report: &VerifyReport, style: Style) -> String {
    let (Some(first), Some(last)) = (report.first, report.last) else {
        return format!("journal {} is empty\n", tame(&report.journal));
    };
    let intact = style.paint(Tone::Good, "the chain is intact");
    let lost = match report.lost {
        0 => String::new(),
        lost => {
            let lost = format!("{} could not be written while the disk failed", count(lost, "event"));
            format!("{}; see latchctl events --type journal\n", style.paint(Tone::Warning, &lost))
        }
    };
    let signed = match (report.checkpoints, report.against) {
        (0, _) => "no signature stands under it yet".to_owned(),
        (1, 0) => "1 signature under it agrees".to_owned(),
        (all, 0) => format!("{} under it agree", count(all, "signature")),
        (all, given) => format!("{} under it agree, {given} of them from the file", count(all, "signature")),
    };
    let not_kept = match report.not_kept {
        0 => String::new(),
        n => {
            let said = format!(
                "{} of the file can't be compared: those events are no longer kept",
                count(n, "signature")
            );
            format!("{}\n", style.paint(Tone::Warning, &said))
        }
    };
    format!(
        "{intact}: {}, {first} to {last}, journal {}\n{lost}{signed}\n{not_kept}last hash {}\n\
         latchctl journal checkpoint signs it: kept elsewhere, a rewritten journal is noticed\n",
        count(report.events, "event"),
        tame(&report.journal),
        tame(&report.hash),
    )
}

pub fn log(report: &LogReport, _: &Site, _: Style) -> String {
    let LogReport { before, now, at_start } = report;
    let again = format!("after the next start it is {at_start} again");
    let said = match before {
        Some(before) if before == now => format!("the log is {now}, as it was"),
        Some(before) if now == at_start => format!("the log is {now} now, and was {before}"),
        Some(before) => format!("the log is {now} now, and was {before}; {again}"),
        None if now == at_start => format!("the log is {now}"),
        None => format!("the log is {now}; {again}"),
    };
    tame(&said) + "\n"
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn sync_normal_empty_failing() {
        let all = [samples::normal(), samples::empty(), samples::failing()]
            .map(|report| sync(&report.sync, &Site::of(&report), PLAIN));
        insta::assert_snapshot!(all.join("---\n"), @r"
        broker    connected to mqtts://broker.example:8883 since 05:48:02
        central   last heard 12 s ago (08:59:48)
        position  epoch 3, change 1203; 812 credentials, 2100 grants
        refused   0 records
        queue     0 events not yet acknowledged by central
        digest    c0ff
        ---
        broker    connected to mqtt://127.0.0.1:1883
        central   never heard
        position  epoch 0, change 0, waiting for a snapshot; 0 credentials, 0 grants
        refused   0 records
        queue     0 events not yet acknowledged by central
        ---
        broker    not connected to mqtts://broker.example:8883 since Sat 21 Nov 21:10: connection refused
        central   last heard 1 d 11 h ago (Sat 21 Nov 21:09:58), longer ago than sync.stale_after_s
        position  epoch 3, change 1203, waiting for changes; 812 credentials, 2100 grants
        snapshot  4 of 12 parts stored
        refused   2 records; messages: 2 records, 1 signature
        queue     21 events not yet acknowledged by central
        digest    c0ff
        ");
    }

    #[test]
    fn a_snapshot_is_asked_for_now_or_later() {
        let all = [samples::normal(), samples::failing()]
            .map(|report| asked(&report.sync, &Site::of(&report), PLAIN).lines().next().unwrap().to_owned());
        insta::assert_snapshot!(all.join("\n"), @r"
        a snapshot has been asked for; latchctl sync shows it arrive
        a snapshot will be asked for as soon as the broker is reached
        ");
    }

    #[test]
    fn how_far_a_snapshot_has_come_is_its_parts_or_why_there_are_none() {
        let mut report = samples::failing().sync;
        let mut said = vec![place(&report)];
        report.snapshot = None;
        said.push(place(&report));
        report.connected = true;
        said.push(place(&report));
        insta::assert_snapshot!(said.join("\n"), @r"
        4 of 12 parts stored
        not connected to mqtts://broker.example:8883: connection refused
        central has not begun
        ");
    }

    #[test]
    fn certificates_say_how_long_they_hold_and_which_need_a_person() {
        let mut report = samples::normal();
        let end = |certificate: &str, not_after: &str| CertificateReport {
            certificate: certificate.into(),
            not_after: latchd::domain::At::parse(not_after).unwrap(),
        };
        report.sync.certificates = vec![
            end("controller", "2026-11-23T07:59:59Z"),
            end("broker", "2026-12-23T07:59:59Z"),
            end("authority", "2026-12-23T08:00:00Z"),
        ];
        let site = Site::of(&report);
        let shown = sync(&report.sync, &site, PLAIN).lines().last().unwrap().to_owned();
        let endings: Vec<String> = endings(&report.sync, &site).into_iter().map(|(_, text)| text).collect();
        insta::assert_snapshot!(format!("{shown}\n{}", endings.join("\n")), @r"
        certificates  controller's has ended (08:59:59); broker's ends in 29 d (Wed 23 Dec 08:59:59); authority's ends in 30 d (Wed 23 Dec 09:00)
        the controller's certificate has ended (08:59:59): renew it
        the broker's certificate ends in 29 d (Wed 23 Dec 08:59:59): renew it
        ");
    }

    #[test]
    fn a_verified_journal_says_what_to_note() {
        let report = |first, last, lost| VerifyReport {
            journal: "6f1c".into(),
            events: 501,
            first,
            last,
            hash: "51fe".into(),
            lost,
            checkpoints: u64::from(first.is_some()) * 2,
            against: lost / 3,
            not_kept: lost / 3,
        };
        let all = [report(Some(1), Some(501), 0), report(Some(1), Some(504), 3), report(None, None, 0)];
        let all: String = all.iter().map(|report| verified(report, PLAIN)).collect();
        insta::assert_snapshot!(all, @r"
        the chain is intact: 501 events, 1 to 501, journal 6f1c
        2 signatures under it agree
        last hash 51fe
        latchctl journal checkpoint signs it: kept elsewhere, a rewritten journal is noticed
        the chain is intact: 501 events, 1 to 504, journal 6f1c
        3 events could not be written while the disk failed; see latchctl events --type journal
        2 signatures under it agree, 1 of them from the file
        1 signature of the file can't be compared: those events are no longer kept
        last hash 51fe
        latchctl journal checkpoint signs it: kept elsewhere, a rewritten journal is noticed
        journal 6f1c is empty
        ");
    }

    #[test]
    fn what_is_logged_is_said_with_what_it_was_and_what_it_will_be() {
        let site = Site::of(&samples::normal());
        let said = |before: Option<&str>, now: &str| {
            let report =
                LogReport { before: before.map(str::to_owned), now: now.into(), at_start: "info".into() };
            log(&report, &site, PLAIN)
        };
        let all = [
            said(None, "info"),
            said(None, "debug"),
            said(Some("info"), "debug"),
            said(Some("debug"), "info"),
            said(Some("debug"), "debug"),
        ];
        insta::assert_snapshot!(all.concat(), @r"
        the log is info
        the log is debug; after the next start it is info again
        the log is debug now, and was info; after the next start it is info again
        the log is info now, and was debug
        the log is debug, as it was
        ");
    }
}
