//! `credentials` and `grants`: who may pass, as central has said it.

use latchd::{
    domain::Status,
    wire::control::{CredentialReport, GrantReport},
};

use super::{
    Site, Style, Tone,
    table::{Cell, Table},
};

/// Whether a list was asked for as a whole, so that an empty one is explained rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Everything,
    Some,
}

pub fn credentials(credentials: &[CredentialReport], asked: Asked, site: &Site, style: Style) -> String {
    if credentials.is_empty() {
        return none("credentials", asked);
    }
    let mut sorted: Vec<&CredentialReport> = credentials.iter().collect();
    sorted.sort_by(|a, b| a.holder.cmp(&b.holder).then_with(|| a.id.cmp(&b.id)));
    let mut table = Table::new(&[
        "CREDENTIAL".to_owned(),
        "HOLDER".into(),
        "STATUS".into(),
        site.heading("FROM"),
        site.heading("UNTIL"),
        "UID TAG".into(),
        "LABEL".into(),
        "NOTE".into(),
    ]);
    for card in sorted {
        let over = card.valid_until.is_some_and(|until| until <= site.now);
        let early = card.valid_from.is_some_and(|from| from > site.now);
        let notes = [
            over.then_some("expired"),
            early.then_some("not yet valid"),
            card.desk.is_some().then_some("set at the desk"),
            card.uid_tag.is_none().then_some("its card belongs to a later credential"),
            card.extended_time.then_some("extended time"),
        ];
        table.row(vec![
            card.id.as_str().into(),
            card.holder.as_str().into(),
            Cell::toned(status_tone(card.status), card.status.as_str()),
            card.valid_from.map(|t| site.brief(t)).unwrap_or_default().into(),
            card.valid_until.map(|t| site.brief(t)).unwrap_or_default().into(),
            card.uid_tag.as_deref().unwrap_or_default().into(),
            card.label.as_deref().unwrap_or_default().into(),
            notes.into_iter().flatten().collect::<Vec<_>>().join(", ").into(),
        ]);
    }
    table.show(style)
}

pub fn status_tone(status: Status) -> Tone {
    match status {
        Status::Active => Tone::Good,
        Status::Issued => Tone::Plain,
        Status::Suspended => Tone::Warning,
        Status::Lost | Status::Revoked => Tone::Bad,
    }
}

pub fn grants(grants: &[GrantReport], asked: Asked, site: &Site, style: Style) -> String {
    if grants.is_empty() {
        return none("grants", asked);
    }
    let mut sorted: Vec<&GrantReport> = grants.iter().collect();
    sorted.sort_by(|a, b| {
        (!a.active, a.empty, a.opens_at).cmp(&(!b.active, b.empty, b.opens_at)).then_with(|| a.id.cmp(&b.id))
    });
    let mut table = Table::new(&[
        "GRANT".to_owned(),
        "KIND".into(),
        "HOLDER".into(),
        "STATE".into(),
        site.heading("OPENS"),
        site.heading("CLOSES"),
        "DOORS".into(),
        "ZONES".into(),
        "BOOKING".into(),
        "CAPACITY".into(),
        "NOTE".into(),
    ]);
    for grant in sorted {
        table.row(grant_row(grant, site));
    }
    table.show(style)
}

fn grant_row(grant: &GrantReport, site: &Site) -> Vec<Cell> {
    let state = match (grant.active, grant.empty) {
        (true, _) => Cell::toned(Tone::Good, "open"),
        (false, true) => Cell::toned(Tone::Warning, "never opens"),
        (false, false) => Cell::toned(Tone::Faint, "closed"),
    };
    let (opens, closes) = if grant.empty {
        (String::new(), String::new())
    } else {
        (
            grant.opens_at.map_or_else(|| "always".into(), |t| site.brief(t)),
            grant.closes_at.map_or_else(|| "never".into(), |t| site.brief(t)),
        )
    };
    let notes = [
        grant.scheduled.then_some("weekly schedule"),
        grant.override_lockdown.then_some("overrides lockdown"),
    ];
    vec![
        grant.id.as_str().into(),
        grant.kind.as_str().into(),
        grant.holder.as_str().into(),
        state,
        opens.into(),
        closes.into(),
        grant.doors.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(" ").into(),
        grant.zones.iter().map(|z| z.as_str()).collect::<Vec<_>>().join(" ").into(),
        grant.booking.as_ref().map(|b| b.as_str()).unwrap_or_default().into(),
        grant.capacity.map(|c| c.to_string()).unwrap_or_default().into(),
        notes.into_iter().flatten().collect::<Vec<_>>().join(", ").into(),
    ]
}

fn none(things: &str, asked: Asked) -> String {
    match asked {
        Asked::Everything => format!("no {things}; nothing has been synced yet? see latchctl sync\n"),
        Asked::Some => format!("no {things} match\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn credentials_of_every_status() {
        let site = Site::of(&samples::normal());
        let text = credentials(&samples::credentials(), Asked::Everything, &site, PLAIN);
        insta::assert_snapshot!(text, @r"
        CREDENTIAL  HOLDER  STATUS  FROM (CET)       UNTIL (CET)      UID TAG   LABEL      NOTE
        c-70        m-12    active                   Sun 1 Nov 00:00                       expired, its card belongs to a later credential
        c-81        m-17    active  Thu 1 Jan 01:00                   9f3a01c2  blue card
        c-82        m-17    issued                                    77ab01c2             extended time
        c-90        m-20    lost                                      0b77aa10
        ");
    }

    #[test]
    fn grants_open_first_then_by_when_they_open() {
        let site = Site::of(&samples::normal());
        let text = grants(&samples::grants(), Asked::Everything, &site, PLAIN);
        insta::assert_snapshot!(text, @r"
        GRANT    KIND      HOLDER  STATE        OPENS (CET)  CLOSES (CET)      DOORS            ZONES  BOOKING  CAPACITY  NOTE
        g-staff  standing  m-1     open         always       never                              all                       overrides lockdown
        g-9      room      m-17    closed       09:30        12:30             entrance room-4         b-7      6
        g-11     guest     v-3     closed       10:00        12:00             entrance room-4         b-7
        g-clean  standing  m-5     closed       22:00        Tue 24 Nov 06:00                   all                       weekly schedule
        g-none   desk      m-6     never opens                                 entrance
        ");
    }

    #[test]
    fn an_empty_list_says_so_in_a_sentence() {
        let site = Site::of(&samples::empty());
        let all = [Asked::Everything, Asked::Some]
            .map(|asked| credentials(&[], asked, &site, PLAIN) + &grants(&[], asked, &site, PLAIN));
        insta::assert_snapshot!(all.concat(), @r"
        no credentials; nothing has been synced yet? see latchctl sync
        no grants; nothing has been synced yet? see latchctl sync
        no credentials match
        no grants match
        ");
    }
}
