//! What people ask: answered from what the controller knows, changing nothing.

use super::{Controller, Link};
use crate::{
    control::{
        clock::Reading,
        decide::decide_credential,
        desk::DeskCard,
        event::CertificateEnd,
        index::{CredentialView, GrantView, Holder, Item},
        restarts::Trouble,
    },
    domain::{
        At, BookingId, CredentialId, Decision, Direction, DoorId, GrantId, HolderId, Now, Terms, Uid, Window,
    },
    wire::control::{
        BoardReport, CertificateReport, ClockReport, CredentialReport, DoorReport, ExplainReport,
        FailingReport, GrantQuery, GrantReport, JournalReport, LastPassage, ReaderReport, RestartsReport,
        StatusReport, SyncReport,
        cards::{AtDesk, CardDone},
    },
};

/// Whose card an explanation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Uid(Uid),
    /// By its id; whose it is has been looked up.
    Credential {
        id: CredentialId,
        holder: HolderId,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    #[error("there is no door {0}")]
    Door(DoorId),
    #[error("there is no credential {0}")]
    Credential(CredentialId),
}

/// Holders looked at in one slice of a list, so that doors never wait for one: about a millisecond.
pub(super) const SLICE: usize = 2000;

impl Controller {
    pub fn status_report(&self, reading: Reading) -> StatusReport {
        let now = self.now(reading);
        StatusReport {
            controller: self.settings.controller.clone(),
            version: self.settings.version.into(),
            time_zone: self.settings.zone,
            now: now.wall.floor_ms(),
            started_at: self.started_at.floor_ms(),
            clock: ClockReport { trust: now.trust, detail: self.clock_said.1.into() },
            sync: self.sync_report(),
            journal: JournalReport {
                journal: self.journal_id.clone(),
                recorded: self.outbox.recorded_through(),
                acknowledged: self.outbox.acknowledged_through(),
                fault: self.journal_fault.clone(),
            },
            store: self.store_report(),
            doors: self.door_reports(),
            readers: self.reader_reports(reading),
            boards: self.board_reports(),
            fire: self.fire_report(),
            configuration: Some(self.configuration_report()),
            failing: self.failing(reading),
        }
    }

    fn failing(&self, reading: Reading) -> Vec<FailingReport> {
        let parts = self.parts.iter().filter_map(|(part, restarts)| Some((part, restarts.at(reading.wall)?)));
        parts
            .map(|(part, trouble)| FailingReport { part: (*part).into(), restarts: restarts(trouble) })
            .collect()
    }

    /// The moment as the controller last judged the clock.
    pub(super) fn now(&self, reading: Reading) -> Now {
        Now { mono: reading.mono, wall: reading.wall, trust: self.clock_said.0 }
    }

    pub fn sync_report(&self) -> SyncReport {
        let position = self.sync.position();
        let Link { connected, since, detail } = self.uplink.clone();
        SyncReport {
            connected,
            broker: self.settings.broker.clone(),
            since: since.map(At::floor_ms),
            detail: detail.filter(|_| !connected),
            epoch: position.epoch,
            applied: position.applied,
            want: self.sync.want().as_str().into(),
            rejected: position.rejected,
            credentials: position.credentials,
            grants: position.grants,
            digest: position.digest.to_string(),
            central_at: self.heard.central_at.map(At::floor_ms),
            stale: self.stale,
            refused: self.refusals.counts().map(|(what, count)| (what.to_owned(), count)).collect(),
            queue: self.outbox.recorded_through() - self.outbox.acknowledged_through(),
            snapshot: self.sync.snapshot_progress(),
            certificates: self.certificate_reports(),
        }
    }

    fn certificate_reports(&self) -> Vec<CertificateReport> {
        let report = |end: &CertificateEnd| CertificateReport {
            certificate: end.of.as_str().into(),
            not_after: end.not_after,
        };
        self.certificates.iter().map(report).collect()
    }

    pub fn door_reports(&self) -> Vec<DoorReport> {
        let doors = self.settings.doors.iter().zip(&self.doors);
        doors
            .map(|(settings, door)| DoorReport {
                door: settings.id.clone(),
                name: settings.name.clone(),
                zones: settings.zones.clone(),
                board: settings.board.clone(),
                mode: door.shown_mode(),
                lock: door.lock,
                contact: door.contact,
                alarm: door.leaf.alarm(),
                fault: door.trouble(),
                last: door.last.clone().map(|p| LastPassage {
                    at: p.at.floor_ms(),
                    holder: p.holder,
                    credential: p.credential,
                }),
            })
            .collect()
    }

    pub fn reader_reports(&self, reading: Reading) -> Vec<ReaderReport> {
        let state = |r: &crate::control::settings::ReaderSettings| self.readers.get(&r.id).cloned();
        self.settings
            .readers
            .iter()
            .map(|r| {
                let state = state(r).unwrap_or_default();
                let restarts = state.restarts.at(reading.wall).map(restarts);
                ReaderReport {
                    reader: r.id.clone(),
                    door: r.door.clone(),
                    direction: r.direction,
                    driver: r.driver.into(),
                    connected: state.link.connected,
                    since: state.link.since.map(At::floor_ms),
                    detail: state.link.detail,
                    last_tap: state.last_tap.map(At::floor_ms),
                    last_reason: state.last_reason,
                    restarts,
                    insecure: r.is_insecure,
                    tamper: state.is_tampered,
                    fault: state.power_fails.then(|| "its power supply fails".to_owned()),
                }
            })
            .collect()
    }

    fn board_reports(&self) -> Vec<BoardReport> {
        self.settings
            .boards
            .iter()
            .map(|b| {
                let link = self.boards.get(&b.id).cloned().unwrap_or_default();
                BoardReport {
                    board: b.id.clone(),
                    url: b.url.clone(),
                    connected: link.connected,
                    since: link.since.map(At::floor_ms),
                    detail: link.detail,
                }
            })
            .collect()
    }

    /// A slice of the credentials, and where the next one begins.
    pub fn credentials(&self, holder: Option<&HolderId>, from: u32) -> (Vec<CredentialReport>, Option<u32>) {
        self.listed(holder, from, |holder, item, rows| {
            if let Item::Credential(c) = item {
                rows.extend(self.credential_report(&holder, &c));
            }
        })
    }

    /// A slice of the grants, with their windows at `query.at` or now.
    pub fn grants(&self, query: &GrantQuery, reading: Reading, from: u32) -> (Vec<GrantReport>, Option<u32>) {
        let at = query.at.unwrap_or(reading.wall);
        let door = query.door.as_ref().and_then(|d| self.settings.door_no(d));
        self.listed(query.holder.as_ref(), from, |holder, item, rows| {
            let Item::Grant(g) = item else { return };
            if door.is_some_and(|d| !self.index.covers(&g, d)) {
                return;
            }
            rows.extend(self.grant_report(&holder, &g, at).filter(|row| row.active || !query.active));
        })
    }

    fn listed<T>(
        &self,
        holder: Option<&HolderId>,
        from: u32,
        mut each: impl FnMut(Holder<'_>, Item<'_>, &mut Vec<T>),
    ) -> (Vec<T>, Option<u32>) {
        let mut rows = Vec::new();
        if let Some(holder) = holder {
            if let Some(holder) = self.index.by_holder(holder.as_str()) {
                holder.items().for_each(|item| each(holder, item, &mut rows));
            }
            return (rows, None);
        }
        for (seen, (n, holder)) in self.index.holders(from).enumerate() {
            if seen == SLICE {
                return (rows, Some(n));
            }
            holder.items().for_each(|item| each(holder, item, &mut rows));
        }
        (rows, None)
    }

    pub(super) fn grant_report(&self, holder: &Holder<'_>, g: &GrantView<'_>, at: At) -> Option<GrantReport> {
        let terms = self.index.terms(g);
        let bounds = terms.bounds(self.index.policy());
        let open = terms.open(self.index.policy(), self.settings.zone, at);
        let window = open.unwrap_or_else(|| self.nearest_window(&terms, bounds, at));
        let (doors, zones) = self.index.listed(g);
        Some(GrantReport {
            id: g.id.as_id(GrantId::new)?,
            kind: g.kind,
            holder: holder.id().as_id(HolderId::new)?,
            doors: doors.to_vec(),
            zones: zones.to_vec(),
            booking: g.booking.and_then(|b| b.as_id(BookingId::new)),
            capacity: g.capacity,
            active: open.is_some(),
            opens_at: window.opens_at,
            closes_at: window.closes_at,
            empty: bounds.is_empty(),
            scheduled: terms.schedule.is_some(),
            override_lockdown: g.override_lockdown,
        })
    }

    /// Of a schedule that is closed now: the next occurrence.
    fn nearest_window(&self, terms: &Terms<'_>, bounds: Window, at: At) -> Window {
        let (policy, zone) = (self.index.policy(), self.settings.zone);
        match terms.schedule {
            None => bounds,
            Some(_) => terms
                .coming(policy, zone, at)
                .and_then(|next| terms.open(policy, zone, next))
                .unwrap_or(bounds),
        }
    }

    /// The decision there would be, without opening or recording anything. With an `at`, the clock counts as right:
    /// it is asked what would be then.
    pub fn explain(
        &self,
        reading: Reading,
        door: &DoorId,
        direction: Direction,
        subject: &Subject,
        at: Option<At>,
    ) -> Result<ExplainReport, ExplainError> {
        let now = self.asked_about(reading, at);
        let door_no = self.settings.door_no(door).ok_or_else(|| ExplainError::Door(door.clone()))?;
        let decision = match subject {
            Subject::Uid(uid) => self.decide_at(now, door_no, uid, &self.hasher.hash(uid)),
            Subject::Credential { id, .. } => {
                let unknown = || ExplainError::Credential(id.clone());
                let (holder, credential) = self.card_of(subject).ok_or_else(unknown)?;
                let moment = self.moment(now, door_no).ok_or_else(|| ExplainError::Door(door.clone()))?;
                decide_credential(self.facts(), moment, holder, &credential)
            }
        };
        Ok(explained(door.clone(), direction, at.unwrap_or_else(|| now.wall.floor_ms()), decision))
    }

    pub(super) fn credential_report(
        &self,
        holder: &Holder<'_>,
        c: &CredentialView<'_>,
    ) -> Option<CredentialReport> {
        let id = c.id.as_id(CredentialId::new)?;
        let at_desk = |card: &DeskCard| AtDesk {
            by: card.stored.by.clone(),
            at: card.stored.at,
            is_override: card.stored.is_override,
            seq: card.stored.seq,
            central: card.central,
        };
        Some(CredentialReport {
            desk: self.desk.cards.get(&id).map(at_desk),
            id,
            holder: holder.id().as_id(HolderId::new)?,
            status: c.status,
            valid_from: c.valid_from,
            valid_until: c.valid_until,
            label: c.label.map(str::to_owned),
            extended_time: c.extended_time,
            uid_tag: c.uid.map(|uid| uid.tag()),
        })
    }

    /// Whose a credential is, looked for in a slice of the holders, and where the next slice begins.
    pub fn search_credential(&self, id: &CredentialId, from: u32) -> (Option<HolderId>, Option<u32>) {
        for (seen, (n, holder)) in self.index.holders(from).enumerate() {
            if seen == SLICE {
                return (None, Some(n));
            }
            if holder.credentials().any(|c| c.id.is(id.as_str())) {
                return (holder.id().as_id(HolderId::new), None);
            }
        }
        (None, None)
    }

    /// What the desk has done to a card by this entry, unless central has said something of it since.
    pub fn card_done(&self, seq: u64) -> Option<CardDone> {
        let (id, card) = self.desk.cards.iter().find(|(_, card)| card.stored.seq == seq)?;
        let (cards, _) = self.credentials(Some(&card.stored.holder), 0);
        let report = cards.into_iter().find(|report| report.id == *id)?;
        Some(CardDone {
            credential: report.id,
            holder: report.holder,
            status: report.status,
            outcome: "done".into(),
            by: card.stored.by.clone(),
            is_override: card.stored.is_override,
            seq,
            valid_from: report.valid_from,
            valid_until: report.valid_until,
        })
    }

    /// The credential whose card has this tag, and whose it is.
    pub fn credential_by_tag(&self, tag: &str) -> Option<(CredentialId, HolderId)> {
        let (holder, credential) = self.index.by_tag(tag)?;
        Some((credential.id.as_id(CredentialId::new)?, holder.id().as_id(HolderId::new)?))
    }

    /// The last `seq` on disk.
    pub fn recorded(&self) -> u64 {
        self.outbox.recorded_through()
    }
}

fn explained(door: DoorId, direction: Direction, at: At, decision: Decision) -> ExplainReport {
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    ExplainReport {
        door,
        direction,
        at,
        decision: text(serde_json::json!(decision.decision)),
        reason: text(serde_json::json!(decision.reason)),
        row: decision.row,
        credential: decision.credential,
        holder: decision.holder,
        grant: decision.grant,
        opens_at: decision.opens_at,
        closes_at: decision.closes_at,
    }
}

fn restarts(trouble: &Trouble) -> RestartsReport {
    RestartsReport {
        count: trouble.count,
        since: trouble.since.floor_ms(),
        last: trouble.last.floor_ms(),
        last_error: trouble.last_error.clone(),
    }
}
