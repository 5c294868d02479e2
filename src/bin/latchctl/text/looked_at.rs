//! `explain`, whole: the sentence, then what was looked at in the rules' order, each covering grant and why it does not
//! open, the nearest window, and what would have to be different.

#[cfg(test)]
mod tests;

use std::time::Duration;

use latchd::{
    domain::{ClockTrust, DoorMode, Reason},
    wire::control::{
        CredentialReport,
        explain::{CoveringGrant, Explanation, LookedAt},
    },
};

use super::{
    Site, Style, Tone, count,
    explain::{self, Named},
    reasons,
    table::{Cell, Table},
    tame, times,
};

/// So long the answer and the site's clock may lie apart, and still be of the same moment.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

pub fn explanation(whole: &Explanation, site: &Site, style: Style) -> String {
    let Explanation { answer, .. } = whole;
    let named = named(whole);
    let story = Story { whole, site };
    let mut parts = vec![tame(&explain::sentence(answer, &named, site)), story.steps(style)];
    parts.extend(story.grants(style));
    parts.extend(story.remedy().map(|remedy| format!("To open: {}", tame(&remedy))));
    parts.push(explain::facts(answer, &named, site, style));
    parts.iter().map(|part| part.trim_end().to_owned() + "\n").collect::<Vec<_>>().join("\n")
}

/// What the decision names.
pub fn named(whole: &Explanation) -> Named {
    let Explanation { answer, looked_at } = whole;
    let mut listed = looked_at.covering.iter().map(|covering| &covering.grant);
    // Too early says when and not by which grant: the one that opens then is meant.
    let meant = answer.grant.as_ref().or(looked_at
        .next
        .as_ref()
        .map(|next| &next.grant)
        .filter(|_| answer.reason == "too_early"));
    Named {
        credential: looked_at.credential.clone(),
        grant: listed.find(|grant| Some(&grant.id) == meant).cloned(),
    }
}

/// One explanation, as it is told.
pub struct Story<'a> {
    pub whole: &'a Explanation,
    pub site: &'a Site,
}

impl Story<'_> {
    pub fn looked_at(&self) -> &LookedAt {
        &self.whole.looked_at
    }

    pub fn door(&self) -> &str {
        self.site.door(&self.whole.answer.door)
    }

    pub fn at(&self, at: latchd::domain::At) -> String {
        let about_today = self.site.zone.date(self.whole.answer.at) == self.site.zone.date(self.site.now);
        let say = if about_today { times::spoken } else { times::dated };
        say(self.site.zone, at, self.site.now)
    }

    /// Rows of the rules as they were gone through: those before the one that decided did not apply.
    fn steps(&self, style: Style) -> String {
        let decided = self.whole.answer.row;
        let granted = self.whole.answer.decision == "granted";
        let mut table = Table::new(&["LOOKED AT", "ROW", ""]);
        for row in 1..=decided.min(11) {
            let passed = row < decided || granted;
            let mark = if passed { Cell::toned(Tone::Good, "ok") } else { Cell::toned(Tone::Bad, "NO") };
            let said = if passed { self.passed(row) } else { self.failed(row) };
            table.row(vec![mark, row.to_string().into(), said.into()]);
        }
        table.show(style)
    }

    /// Whether another time was asked about than now: the answer and the site's clock were asked for one after the other.
    fn is_of_another_time(&self) -> bool {
        let (at, now) = (self.whole.answer.at, self.site.now);
        at.since(now).max(now.since(at)) > ASKED_WITHIN
    }

    fn passed(&self, row: u8) -> String {
        let looked = self.looked_at();
        let card = looked.credential.as_ref();
        let asked_as_if = self.is_of_another_time() && looked.clock.trust == ClockTrust::Trusted;
        match row {
            1 => "the card has a number of its own".into(),
            2 => card.map_or_else(
                || "the card is known".into(),
                |c| format!("the card is known: {} of {}", c.id, c.holder),
            ),
            3 => "the card is active".to_owned() + &by_desk(card),
            4 => validity(card, |at| self.at(at)),
            5 => self.mode_passed(),
            6 => format!(
                "{} of the holder's {} cover{} {}",
                self.covering(),
                count(looked.grants, "grant"),
                if self.covering() == 1 { "s" } else { "" },
                self.door()
            ),
            7 if looked.clock.trust == ClockTrust::Untrusted => {
                "the clock is not trusted, but a grant without any bound needs none".into()
            }
            7 if asked_as_if => "the clock counts as right, for a time that was asked about".into(),
            7 => format!("the clock is trusted ({})", looked.clock.detail),
            8 => self.freshness(),
            9 => format!(
                "{} now",
                if self.open() == 1 {
                    "1 of them is open".to_owned()
                } else {
                    format!("{} of them are open", self.open())
                }
            ),
            10 if looked.building_hours_only => {
                "nothing stands against it: guests, the room's capacity, the building's hours".into()
            }
            10 => "nothing stands against it: guests, the room's capacity".into(),
            _ => self
                .whole
                .answer
                .grant
                .as_ref()
                .map_or_else(|| "it opens".into(), |grant| format!("the best of them is {grant}")),
        }
    }

    fn failed(&self, row: u8) -> String {
        let looked = self.looked_at();
        let card = looked.credential.as_ref();
        match row {
            1 => "the card makes up a number for each tap".into(),
            2 => match &looked.uid_tag {
                Some(tag) => format!("no credential has this card's number (UID tag {tag})"),
                None => "no credential has this card's number".into(),
            },
            3 => {
                card.map_or_else(
                    || "the card is not active".into(),
                    |c| format!("the card is {}", c.status.as_str()),
                ) + &by_desk(card)
            }
            4 => validity(card, |at| self.at(at)),
            5 => match looked.mode {
                DoorMode::Blocked => {
                    format!("{} is blocked, and no grant that overrides that is open now", self.door())
                }
                DoorMode::LockedDown
                | DoorMode::Locked
                | DoorMode::Unlocked
                | DoorMode::Accessed
                | DoorMode::LockedOpen => {
                    format!("{} is locked down, and no grant that overrides that is open now", self.door())
                }
            },
            6 if looked.grants == 0 => "the holder has no grant at all: nothing is booked".into(),
            6 => format!("none of the holder's {} covers {}", count(looked.grants, "grant"), self.door()),
            7 => format!(
                "the clock is not trusted ({}), and no grant without any bound covers {}",
                looked.clock.detail,
                self.door()
            ),
            8 => self.freshness(),
            9 if self.covering() == 1 => "it is not open now".into(),
            9 => "none of them is open now".into(),
            10 => format!(
                "what is open now has something against it: {}",
                reason_in_words(&self.whole.answer.reason)
            ),
            _ => reasons::row(row).into(),
        }
    }

    fn covering(&self) -> u64 {
        self.looked_at().covering.len() as u64 + self.looked_at().more
    }

    fn open(&self) -> usize {
        self.looked_at().covering.iter().filter(|c| c.grant.active).count()
    }

    fn mode_passed(&self) -> String {
        let door = self.door();
        match self.looked_at().mode {
            DoorMode::LockedDown => format!("{door} is locked down, and a grant overrides that"),
            DoorMode::Blocked => format!("{door} is blocked, and a grant overrides that"),
            DoorMode::Unlocked | DoorMode::LockedOpen => {
                format!("{door} is open to everybody just now; a tap is decided all the same")
            }
            DoorMode::Locked | DoorMode::Accessed => format!("{door} is neither blocked nor locked down"),
        }
    }

    fn freshness(&self) -> String {
        let looked = self.looked_at();
        let Some(max) = looked.max_stale_s else {
            return format!("{} opens however long central is away", self.door());
        };
        let heard = looked.central_at.map_or_else(
            || "central was never heard".to_owned(),
            |at| format!("central was last heard {}", self.at(at)),
        );
        let max = times::span(std::time::Duration::from_secs(max));
        match looked.stale {
            true => format!("{heard}, and {} takes {max} at most", self.door()),
            false => format!("{heard}; {} takes up to {max}", self.door()),
        }
    }

    fn grants(&self, style: Style) -> Option<String> {
        let looked = self.looked_at();
        if looked.covering.is_empty() {
            return None;
        }
        let mut table = Table::new(&[
            "GRANT".to_owned(),
            "KIND".into(),
            "BOOKING".into(),
            self.site.heading("OPENS"),
            self.site.heading("CLOSES"),
            "WHY".into(),
        ]);
        for covering in &looked.covering {
            table.row(self.grant(covering));
        }
        let mut shown = table.show(style);
        if looked.more > 0 {
            shown += &format!("and {} more\n", looked.more);
        }
        if let Some(next) = looked.next.as_ref().filter(|_| self.whole.answer.decision != "granted") {
            let until = next
                .closes_at
                .map_or_else(|| "without an end".into(), |at| format!("until {}", self.site.zone.show(at)));
            let next = tame(&format!(
                "Next: from {} {until}, by {}",
                self.site.zone.show(next.opens_at),
                next.grant
            ));
            shown += &format!("\n{next}\n");
        }
        Some(shown)
    }

    fn grant(&self, covering: &CoveringGrant) -> Vec<Cell> {
        let CoveringGrant { grant, finding } = covering;
        let tone = if finding == "opens" { Tone::Good } else { Tone::Warning };
        let (opens, closes) = match grant.empty {
            true => (String::new(), String::new()),
            false => (
                grant.opens_at.map_or_else(|| "always".into(), |t| self.site.brief(t)),
                grant.closes_at.map_or_else(|| "never".into(), |t| self.site.brief(t)),
            ),
        };
        let schedule = if grant.scheduled { ", weekly schedule" } else { "" };
        vec![
            grant.id.as_str().into(),
            grant.kind.as_str().into(),
            grant.booking.as_ref().map(|b| b.as_str()).unwrap_or_default().into(),
            opens.into(),
            closes.into(),
            Cell::toned(tone, &format!("{}{schedule}", self.why(covering))),
        ]
    }

    fn why(&self, CoveringGrant { grant, finding }: &CoveringGrant) -> String {
        let asked = self.whole.answer.at;
        match finding.as_str() {
            "opens" => "opens".into(),
            "not_yet" => grant.opens_at.filter(|at| *at > asked).map_or_else(
                || "not yet".into(),
                |at| format!("not yet: opens in {}", times::span(at.since(asked))),
            ),
            "no_longer" => grant.closes_at.filter(|at| *at <= asked).map_or_else(
                || "no longer".into(),
                |at| format!("no longer: closed {} before", times::span(asked.since(at))),
            ),
            "never_opens" => "never opens: its own bounds leave nothing of its time".into(),
            "door_shut" => "overrides no lockdown".into(),
            other => reason_in_words(other),
        }
    }
}

fn by_desk(card: Option<&CredentialReport>) -> String {
    let desk = card.and_then(|card| card.desk.as_ref());
    desk.map_or_else(String::new, |desk| {
        let central =
            desk.central.map_or_else(String::new, |status| format!("; central says {}", status.as_str()));
        format!(", set at the desk by {}{central}", desk.by)
    })
}

fn validity(card: Option<&CredentialReport>, at: impl Fn(latchd::domain::At) -> String) -> String {
    let bounds = card.map_or((None, None), |card| (card.valid_from, card.valid_until));
    match bounds {
        (None, None) => "the card counts without a bound".into(),
        (Some(from), None) => format!("the card counts from {}", bare(&at(from))),
        (None, Some(until)) => format!("the card counts until {}", bare(&at(until))),
        (Some(from), Some(until)) => {
            format!("the card counts from {} until {}", bare(&at(from)), bare(&at(until)))
        }
    }
}

/// `at 09:30` behind another preposition.
fn bare(spoken: &str) -> &str {
    spoken.strip_prefix("at ").unwrap_or(spoken)
}

/// A reason as a cause, within a line.
fn reason_in_words(reason: &str) -> String {
    match reasons::named(reason) {
        Some(Reason::HostBookingMissing) => "the host's booking is not there".into(),
        Some(Reason::CapacityReached) => "as many guests have come as the room holds".into(),
        Some(Reason::OutsideBuildingHours) => "the building is closed".into(),
        Some(Reason::ClockUntrusted) => "the clock is not trusted, and it has bounds".into(),
        Some(Reason::CacheStale) => "central was not heard for too long, and it has bounds".into(),
        _ => reason.replace('_', " "),
    }
}
