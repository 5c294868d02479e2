//! The decision: one answer, with one reason. A pure function of the index, the site and the moment.
//!
//! The table in `docs/contract/rules.md` ("The decision"), row by row; the first row that applies ends it.

use std::cmp::Reverse;

use super::{
    index::{CredentialView, DoorNo, GrantView, Holder, Index, Name, Room},
    let_in::LetIn,
};
use crate::domain::{
    At, CredentialId, Decision, DoorMode, GrantId, HolderId, Kind, Reason, Status, Uid, UidHash, Window, Zone,
};

/// Where and when a card is shown.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub door: DoorNo,
    pub mode: DoorMode,
    /// The door opens bookings only in the policy's opening hours.
    pub building_hours_only: bool,
    pub now: At,
    pub clock_trusted: bool,
    /// Central was last heard longer ago than the door's `max_stale_s`.
    pub stale: bool,
}

/// What a decision looks at, beside the moment.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub index: &'a Index,
    pub let_in: &'a LetIn,
    pub zone: Zone,
}

/// Decides about a card. `hash` is the UID's keyed hash.
pub fn decide(facts: Facts<'_>, moment: Moment, uid: &Uid, hash: &UidHash) -> Decision {
    if uid.is_random() {
        return Decision::of(Reason::RandomUid);
    }
    match facts.index.by_uid(hash) {
        None => Decision::of(Reason::UnknownCredential),
        Some((holder, credential)) => decide_credential(facts, moment, holder, &credential),
    }
}

/// Decides from row 3 on: the card is known.
pub fn decide_credential(
    facts: Facts<'_>,
    moment: Moment,
    holder: Holder<'_>,
    credential: &CredentialView<'_>,
) -> Decision {
    let answer = match refused_card(credential, moment.now) {
        Some(reason) => Decision::of(reason),
        None => decide_holder(facts, moment, holder),
    };
    Decision {
        credential: credential.id.as_id(CredentialId::new),
        holder: holder.id().as_id(HolderId::new),
        ..answer
    }
}

/// Rows 3 and 4.
fn refused_card(credential: &CredentialView<'_>, now: At) -> Option<Reason> {
    match credential.status {
        Status::Issued => Some(Reason::CredentialNotActivated),
        Status::Suspended => Some(Reason::CredentialSuspended),
        Status::Lost => Some(Reason::CredentialLost),
        Status::Revoked => Some(Reason::CredentialRevoked),
        Status::Active if credential.valid_from.is_some_and(|from| now < from) => {
            Some(Reason::CredentialNotYetValid)
        }
        Status::Active if credential.valid_until.is_some_and(|until| now >= until) => {
            Some(Reason::CredentialExpired)
        }
        Status::Active => None,
    }
}

/// A covering grant, and the window it is open in now.
struct Covering<'a> {
    grant: GrantView<'a>,
    open: Option<Window>,
    unbounded: bool,
}

/// Rows 5 to 11.
fn decide_holder(facts: Facts<'_>, moment: Moment, holder: Holder<'_>) -> Decision {
    let mut has_any = false;
    let mut covering: Vec<Covering<'_>> = Vec::new();
    for grant in holder.grants() {
        has_any = true;
        if facts.index.covers(&grant, moment.door) {
            covering.push(stand(facts, moment, grant));
        }
    }
    // Row 5; from here on only grants that override a lockdown count while there is one.
    let shut = match moment.mode {
        DoorMode::LockedDown => Some(Reason::DoorLockedDown),
        DoorMode::Blocked => Some(Reason::DoorBlocked),
        DoorMode::Locked | DoorMode::Unlocked | DoorMode::Accessed | DoorMode::LockedOpen => None,
    };
    if let Some(reason) = shut {
        covering.retain(|c| c.grant.override_lockdown);
        if covering.iter().all(|c| c.open.is_none()) {
            return Decision::of(reason);
        }
    }
    if covering.is_empty() {
        return Decision::of(if has_any { Reason::WrongDoor } else { Reason::NoGrant });
    }
    let has_unbounded = covering.iter().any(|c| c.unbounded);
    if !moment.clock_trusted && !has_unbounded {
        return Decision::of(Reason::ClockUntrusted);
    }
    if moment.stale && !has_unbounded {
        return Decision::of(Reason::CacheStale);
    }
    among_open(facts, moment, holder, &covering)
}

/// Where a grant stands; without a clock, or with a cache too old for the door, only unbounded ones count as open.
fn stand<'a>(facts: Facts<'a>, moment: Moment, grant: GrantView<'a>) -> Covering<'a> {
    let terms = facts.index.terms(&grant);
    let unbounded = terms.is_unbounded();
    let counts = unbounded || moment.clock_trusted && !moment.stale;
    let open = counts.then(|| terms.open(facts.index.policy(), facts.zone, moment.now)).flatten();
    Covering { grant, open, unbounded }
}

/// Rows 9 to 11: the best of the grants that pass, or why the best of the open ones does not.
fn among_open(facts: Facts<'_>, moment: Moment, holder: Holder<'_>, covering: &[Covering<'_>]) -> Decision {
    let mut best_passing: Option<(Rank<'_>, &GrantView<'_>, Window)> = None;
    let mut best_failing: Option<(Rank<'_>, Reason)> = None;
    for c in covering {
        let Some(window) = c.open else { continue };
        let rank = Rank::of(&window, c.grant.id);
        match failing_check(facts, moment, holder, &c.grant) {
            None if best_passing.as_ref().is_none_or(|(best, ..)| rank > *best) => {
                best_passing = Some((rank, &c.grant, window));
            }
            Some(reason) if best_failing.as_ref().is_none_or(|(best, _)| rank > *best) => {
                best_failing = Some((rank, reason));
            }
            _ => {}
        }
    }
    if let Some((rank, grant, window)) = best_passing {
        let reason = if grant.kind == Kind::Standing { Reason::Standing } else { Reason::InWindow };
        return Decision {
            grant: rank.grant(),
            opens_at: window.opens_at,
            closes_at: window.closes_at,
            ..Decision::of(reason)
        };
    }
    match best_failing {
        Some((rank, reason)) => Decision { grant: rank.grant(), ..Decision::of(reason) },
        None => none_open(facts, moment, covering),
    }
}

/// Row 9.
fn none_open(facts: Facts<'_>, moment: Moment, covering: &[Covering<'_>]) -> Decision {
    let (policy, zone, now) = (facts.index.policy(), facts.zone, moment.now);
    let terms = || covering.iter().map(|c| facts.index.terms(&c.grant));
    match terms().filter_map(|t| t.coming(policy, zone, now)).min() {
        Some(opens_at) => Decision { opens_at: Some(opens_at), ..Decision::of(Reason::TooEarly) },
        None => {
            let closes_at = terms().filter_map(|t| t.past(policy, zone, now)).max();
            Decision { closes_at, ..Decision::of(Reason::TooLate) }
        }
    }
}

/// Row 10, for one open grant.
fn failing_check(
    facts: Facts<'_>,
    moment: Moment,
    holder: Holder<'_>,
    grant: &GrantView<'_>,
) -> Option<Reason> {
    if grant.kind == Kind::Guest {
        let (mut of_booking, mut of_holder) = (Room::default(), Room::default());
        let booking = grant.booking.map_or("", |booking| booking.text(&mut of_booking));
        let mut hosts = facts.index.hosts(booking).peekable();
        if hosts.peek().is_none() {
            return Some(Reason::HostBookingMissing);
        }
        // Of several hosts' grants, the tightest limit holds; one without `capacity` sets none.
        let capacity = hosts.filter_map(|(_, host)| host.capacity).min();
        if capacity.is_some_and(|c| !facts.let_in.has_room(booking, holder.id().text(&mut of_holder), c)) {
            return Some(Reason::CapacityReached);
        }
    }
    let exempt = grant.kind == Kind::Standing || !moment.building_hours_only || !moment.clock_trusted;
    (!exempt && !facts.index.policy().is_open(facts.zone, moment.now)).then_some(Reason::OutsideBuildingHours)
}

/// Which of two open grants is the better one: the latest `closes_at` (never closing is latest), then the smallest
/// id, byte by byte.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    never_closes: bool,
    closes_at: Option<At>,
    id: Reverse<Name<'a>>,
}

impl<'a> Rank<'a> {
    fn of(window: &Window, id: Name<'a>) -> Self {
        Rank { never_closes: window.closes_at.is_none(), closes_at: window.closes_at, id: Reverse(id) }
    }

    fn grant(&self) -> Option<GrantId> {
        self.id.0.as_id(GrantId::new)
    }
}

/// What one grant comes to at a door, for whoever asks why: the same steps as the decision takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It does not cover the door.
    Elsewhere,
    /// The door is locked down or blocked, and it overrides neither.
    Overruled,
    ClockDoubted,
    Stale,
    /// Not open at that moment.
    Closed,
    /// Open, and row 10 stands against it.
    Fails(Reason),
    Passes,
}

/// Looks at one grant.
pub fn look_at(facts: Facts<'_>, moment: Moment, holder: Holder<'_>, grant: &GrantView<'_>) -> Look {
    if !facts.index.covers(grant, moment.door) {
        return Look::Elsewhere;
    }
    let is_shut = matches!(moment.mode, DoorMode::LockedDown | DoorMode::Blocked);
    if is_shut && !grant.override_lockdown {
        return Look::Overruled;
    }
    let Covering { open, unbounded, .. } = stand(facts, moment, *grant);
    match open {
        Some(_) => failing_check(facts, moment, holder, grant).map_or(Look::Passes, Look::Fails),
        None if !unbounded && !moment.clock_trusted => Look::ClockDoubted,
        None if !unbounded && moment.stale => Look::Stale,
        None => Look::Closed,
    }
}
