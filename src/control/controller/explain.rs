//! A decision with all that was looked at for it, without opening or recording anything.

use super::{Controller, ExplainError, Subject};
use crate::{
    control::{
        clock::Reading,
        decide::{Look, Moment, look_at},
        index::{CredentialView, Holder},
    },
    domain::{At, ClockTrust, Direction, DoorId, GrantId, Now, Reason},
    wire::control::{
        ClockReport, ExplainReport, GrantReport,
        explain::{CoveringGrant, Explanation, Hours, LookedAt, NextWindow},
    },
};

impl Controller {
    pub fn explain_whole(
        &self,
        reading: Reading,
        door: &DoorId,
        direction: Direction,
        subject: &Subject,
        at: Option<At>,
    ) -> Result<Explanation, ExplainError> {
        let answer = self.explain(reading, door, direction, subject, at)?;
        let now = self.asked_about(reading, at);
        let gone = || ExplainError::Door(door.clone());
        let moment = self.settings.door_no(door).and_then(|no| self.moment(now, no)).ok_or_else(gone)?;
        let settings = self.settings.doors.iter().find(|d| d.id == *door).ok_or_else(gone)?;
        let card = self.card_of(subject);
        let uid_tag = match (subject, &card) {
            (Subject::Uid(uid), None) if !uid.is_random() => Some(self.hasher.hash(uid).tag()),
            _ => None,
        };
        let mut looked_at = LookedAt {
            uid_tag,
            credential: card.and_then(|(holder, view)| self.credential_report(&holder, &view)),
            mode: moment.mode,
            building_hours_only: settings.building_hours_only,
            max_stale_s: settings.max_stale.map(|after| after.as_secs()),
            stale: moment.stale,
            central_at: self.heard.central_at.map(At::floor_ms),
            clock: ClockReport { trust: now.trust, detail: self.clock_said.1.into() },
            grants: 0,
            covering: Vec::new(),
            more: 0,
            next: None,
            staffed: self.desk_hours(&answer, now),
            building: self.building_hours(&answer, now),
        };
        if let Some((holder, _)) = card {
            self.look_at_grants(moment, holder, &mut looked_at);
        }
        Ok(Explanation { answer, looked_at })
    }

    /// The moment that is asked about. With an `at`, the clock counts as right: it is asked what would be then.
    pub(super) fn asked_about(&self, reading: Reading, at: Option<At>) -> Now {
        let now = self.now(reading);
        match at {
            Some(at) => Now { wall: at, trust: ClockTrust::Trusted, ..now },
            None => now,
        }
    }

    pub(super) fn card_of(&self, subject: &Subject) -> Option<(Holder<'_>, CredentialView<'_>)> {
        match subject {
            Subject::Uid(uid) if uid.is_random() => None,
            Subject::Uid(uid) => self.index.by_uid(&self.hasher.hash(uid)),
            Subject::Credential { id, holder } => {
                let holder = self.index.by_holder(holder.as_str())?;
                let credential = holder.credentials().find(|c| c.id.is(id.as_str()))?;
                Some((holder, credential))
            }
        }
    }

    fn look_at_grants(&self, moment: Moment, holder: Holder<'_>, looked_at: &mut LookedAt) {
        let (policy, zone) = (self.index.policy(), self.settings.zone);
        let mut covering: Vec<CoveringGrant> = Vec::new();
        for grant in holder.grants() {
            looked_at.grants += 1;
            let look = look_at(self.facts(), moment, holder, &grant);
            if look == Look::Elsewhere {
                continue;
            }
            let terms = self.index.terms(&grant);
            let coming = terms.coming(policy, zone, moment.now);
            if let Some((opens_at, id)) = coming.zip(grant.id.as_id(GrantId::new))
                && looked_at.next.as_ref().is_none_or(|next| opens_at < next.opens_at)
            {
                let closes_at = terms.open(policy, zone, opens_at).and_then(|window| window.closes_at);
                looked_at.next = Some(NextWindow { grant: id, opens_at, closes_at });
            }
            let Some(report) = self.grant_report(&holder, &grant, moment.now) else { continue };
            let finding = finding(look, coming.is_some(), &report).to_owned();
            covering.push(CoveringGrant { grant: report, finding });
        }
        covering.sort_by(|a, b| {
            let rank =
                |c: &CoveringGrant| (c.finding != "opens", !c.grant.active, c.grant.empty, c.grant.opens_at);
            rank(a).cmp(&rank(b)).then_with(|| a.grant.id.cmp(&b.grant.id))
        });
        looked_at.more = covering.len().saturating_sub(LookedAt::LISTED) as u64;
        covering.truncate(LookedAt::LISTED);
        looked_at.covering = covering;
    }

    /// When the desk could help.
    fn desk_hours(&self, answer: &ExplainReport, now: Now) -> Option<Hours> {
        let needs_desk = [Reason::CredentialNotActivated, Reason::CredentialSuspended];
        needs_desk.iter().any(|reason| reason.as_str() == answer.reason).then(|| {
            let (policy, zone) = (self.index.policy(), self.settings.zone);
            Hours { within: policy.is_staffed(zone, now.wall), next: policy.next_staffed(zone, now.wall) }
        })
    }

    fn building_hours(&self, answer: &ExplainReport, now: Now) -> Option<Hours> {
        (answer.reason == Reason::OutsideBuildingHours.as_str()).then(|| {
            let (policy, zone) = (self.index.policy(), self.settings.zone);
            Hours { within: policy.is_open(zone, now.wall), next: policy.next_open(zone, now.wall) }
        })
    }
}

fn finding(look: Look, opens_later: bool, grant: &GrantReport) -> &'static str {
    match look {
        Look::Elsewhere => "elsewhere",
        Look::Overruled => "door_shut",
        Look::ClockDoubted => Reason::ClockUntrusted.as_str(),
        Look::Stale => Reason::CacheStale.as_str(),
        Look::Fails(reason) => reason.as_str(),
        Look::Passes => "opens",
        Look::Closed if grant.empty => "never_opens",
        Look::Closed if opens_later => "not_yet",
        Look::Closed => "no_longer",
    }
}
