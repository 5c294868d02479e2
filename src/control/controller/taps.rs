//! A tap: decide, record, release. And what readers say about themselves.

use super::{Controller, Waiting, Wanted};
use crate::{
    control::{
        decide::{Facts, Moment, decide},
        door::Passed,
        event::{Action, ReaderEvent},
        feedback::Feedback,
        index::DoorNo,
    },
    domain::{Decision, EntryKind, Now, Passage, ReaderId, Reason, Uid, UidHash},
};

impl Controller {
    pub(super) fn reader_says(&mut self, now: Now, reader: ReaderId, what: ReaderEvent) {
        match what {
            ReaderEvent::Tap(uid) => self.tap(now, &reader, &uid),
            ReaderEvent::Connected { detail } => {
                tracing::info!(%reader, detail, "reader connected");
                self.note_reader(now, &reader, true, &detail);
                self.record(now, EntryKind::ReaderConnected { reader, detail });
            }
            ReaderEvent::Lost { detail } => self.reader_lost(now, reader, detail),
            ReaderEvent::Restarted { detail } => {
                tracing::debug!(%reader, detail, "reader started over");
                if let Some(state) = self.readers.get_mut(&reader) {
                    state.restarts.note(now.wall, detail);
                }
            }
            ReaderEvent::Tamper { is_tampered, detail } => {
                tracing::warn!(%reader, detail, "reader tamper");
                if let Some(state) = self.readers.get_mut(&reader) {
                    state.is_tampered = is_tampered;
                }
                self.record(now, EntryKind::ReaderTamper { reader, detail });
            }
            // Nobody did anything: this is for whoever looks after the reader, and not for the journal.
            ReaderEvent::Power { is_failing } => {
                tracing::warn!(%reader, is_failing, "the reader's power supply");
                if let Some(state) = self.readers.get_mut(&reader) {
                    state.power_fails = is_failing;
                }
            }
            ReaderEvent::Unreadable { detail } => {
                tracing::debug!(%reader, detail, "something in the field could not be read");
                self.counters.unreadable(&reader);
                self.feedback(&reader, Feedback::Fault);
            }
        }
    }

    pub(super) fn reader_lost(&mut self, now: Now, reader: ReaderId, detail: String) {
        tracing::warn!(%reader, detail, "reader lost");
        self.note_reader(now, &reader, false, &detail);
        self.record(now, EntryKind::ReaderLost { reader, detail });
    }

    fn note_reader(&mut self, now: Now, reader: &ReaderId, connected: bool, detail: &str) {
        self.counters.reader(reader, connected);
        if let Some(state) = self.readers.get_mut(reader) {
            state.link.connected = connected;
            state.link.since = Some(now.wall);
            state.link.detail = Some(detail.to_owned());
        }
    }

    fn tap(&mut self, now: Now, reader: &ReaderId, uid: &Uid) {
        if self.shown_at_desk(now, reader, uid) {
            return;
        }
        let Some(settings) = self.settings.reader(reader) else { return };
        let (door_id, direction) = (settings.door.clone(), settings.direction);
        let Some(door) = self.settings.door_no(&door_id) else { return };
        let hash = self.hasher.hash(uid);
        let decision = self.decide_at(now, door, uid, &hash);
        if let Some(state) = self.readers.get_mut(reader) {
            state.last_tap = Some(now.wall);
            state.last_reason =
                serde_json::to_value(decision.reason).ok().and_then(|v| v.as_str().map(str::to_owned));
        }
        let reason = decision.reason;
        self.counters.decided(reason);
        let granted = decision.is_granted();
        let (grant, holder, credential) =
            (decision.grant.clone(), decision.holder.clone(), decision.credential.clone());
        let mut passage = Passage::of(door_id, reader.clone(), direction, decision);
        if !granted {
            if reason == Reason::UnknownCredential {
                passage.uid_tag = Some(hash.tag());
            }
            self.record(now, EntryKind::AccessDenied(passage));
            self.feedback(reader, refusal(reason));
            return;
        }
        let hold = self.hold(door, &hash);
        let seq = self.record(now, EntryKind::AccessGranted(passage));
        self.counters.tapped(now.mono, seq);
        if let Some(state) = self.door(door) {
            state.last = Some(Passed { at: now.wall, holder: holder.clone(), credential });
        }
        let deadline = now.mono.plus(self.settings.release_wait);
        let wanted = Wanted::Passage { hold, reader: Some(reader.clone()) };
        self.waiting.insert(seq, Waiting { door, wanted, asker: None, deadline });
        if let (Some(holder), Some(grant)) = (holder, grant) {
            self.note_guest(now, door, &holder, &grant);
        }
        self.first_person(now, door, direction);
    }

    pub(super) fn decide_at(&self, now: Now, door: DoorNo, uid: &Uid, hash: &UidHash) -> Decision {
        match self.moment(now, door) {
            Some(moment) => decide(self.facts(), moment, uid, hash),
            None => Decision::of(Reason::WrongDoor),
        }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts { index: &self.index, let_in: &self.let_in, zone: self.settings.zone }
    }

    pub(super) fn moment(&self, now: Now, door: DoorNo) -> Option<Moment> {
        let settings = self.settings.doors.get(usize::from(door.0))?;
        Some(Moment {
            door,
            mode: self.doors.get(usize::from(door.0))?.mode(),
            building_hours_only: settings.building_hours_only,
            now: now.wall,
            clock_trusted: now.trust.is_trusted(),
            stale: settings.max_stale.is_some_and(|after| self.is_stale(now, after)),
        })
    }

    /// How long the strike is driven for the holder of this card.
    fn hold(&self, door: DoorNo, hash: &UidHash) -> std::time::Duration {
        let extended = self.index.by_uid(hash).is_some_and(|(_, credential)| credential.extended_time);
        self.settings
            .doors
            .get(usize::from(door.0))
            .map_or_else(Default::default, |d| if extended { d.extended } else { d.strike })
    }

    pub(super) fn feedback(&mut self, reader: &ReaderId, feedback: Feedback) {
        self.actions.push(Action::Feedback { reader: reader.clone(), feedback });
    }
}

/// What a refused member is shown.
fn refusal(reason: Reason) -> Feedback {
    match reason {
        Reason::TooEarly | Reason::TooLate | Reason::OutsideBuildingHours => Feedback::WrongTime,
        Reason::DoorLockedDown | Reason::DoorBlocked => Feedback::NotNow,
        // The card may well be right: it is the controller that doesn't know.
        Reason::ClockUntrusted | Reason::CacheStale => Feedback::Fault,
        Reason::RandomUid
        | Reason::UnknownCredential
        | Reason::CredentialNotActivated
        | Reason::CredentialSuspended
        | Reason::CredentialLost
        | Reason::CredentialRevoked
        | Reason::CredentialNotYetValid
        | Reason::CredentialExpired
        | Reason::NoGrant
        | Reason::WrongDoor
        | Reason::HostBookingMissing
        | Reason::CapacityReached
        | Reason::InWindow
        | Reason::Standing => Feedback::Denied,
    }
}
