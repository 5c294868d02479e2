//! What can be done at the site and is checked at once: tap a card, walk through, book, cancel.
//!
//! Each check compares three witnesses: the event central received (or, without a broker, the journal as `latchctl` shows
//! it), the coil of the board, and the contact of the door.

use super::DemoError;
use super::cast::Person;
use super::config::{BOARD, DOORS, Door, STRIKE_S};
use super::interrupt::Interrupt;
use super::narrator::{Narrator, clock, holds};
use super::site::Site;
use crate::board::{CoilChange, Walk};
use crate::jws::{self, SecretKey};
use crate::uid::CardUid;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an event, a sync or a strike may take before it counts as missing.
const SOON: Duration = Duration::from_secs(5);
/// How long a person holds a door open: longer than the board is polled, so that it is seen.
const OPEN_FOR: Duration = Duration::from_millis(500);
/// How long a card is away before it is held to the same reader again: a person is no faster, and a reader takes a card
/// that flickers for one that lies there.
const AWAY: Duration = Duration::from_millis(600);
/// What a strike may last beyond its time.
const STRIKE_SLACK: Duration = Duration::from_millis(200);

/// What a tap should come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The door is released.
    Granted {
        /// `in_window` or `standing`.
        reason: &'static str,
        /// By which grant.
        grant: &'static str,
    },
    /// The door stays shut.
    Denied {
        /// Why.
        reason: &'static str,
        /// From when on it would open, where the answer says so.
        opens_at: Option<DateTime<Utc>>,
    },
}

impl Expect {
    fn decision(self) -> &'static str {
        match self {
            Expect::Granted { .. } => "granted",
            Expect::Denied { .. } => "denied",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Expect::Granted { reason, .. } | Expect::Denied { reason, .. } => reason,
        }
    }
}

/// The answer a tap should have had, for the books at the end of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The event's type.
    pub kind: String,
    /// The door.
    pub door: String,
    /// The reason.
    pub reason: String,
}

/// The site in play.
#[derive(Debug)]
pub struct Play {
    /// The site.
    pub site: Site,
    /// Says what happens.
    pub narrator: Narrator,
    /// What every tap so far should have come to, in order.
    pub answers: Vec<Answer>,
    /// Doors that central had opened once by a command.
    pub opened: Vec<String>,
    /// When a card was taken away from a door's reader.
    taken_away: BTreeMap<(&'static str, &'static str), Instant>,
    interrupt: Interrupt,
}

impl Play {
    /// With the curtain still down.
    #[must_use]
    pub fn new(site: Site, narrator: Narrator, interrupt: Interrupt) -> Play {
        Play {
            site,
            narrator,
            answers: Vec::new(),
            opened: Vec::new(),
            taken_away: BTreeMap::new(),
            interrupt,
        }
    }

    /// Somebody taps; if let in, walks through. Everything that can be seen of it is checked.
    pub fn tap(&mut self, who: Person, door: Door, expect: Expect) -> Result<(), DemoError> {
        self.interrupt.check()?;
        let uid: CardUid = who.uid.parse()?;
        if !self.site.board.wait_for_coil(door.at, false, SOON) {
            self.narrator.check("the strike is off before the tap", Err("it is still energised".to_owned()));
        }
        if let Some(at) = self.taken_away.get(&(door.id, who.uid)) {
            crate::wait::until(AWAY, || (at.elapsed() >= AWAY).then_some(()));
        }
        let mark = self.site.central.mark();
        let (tapped, tapped_at) = (crate::time::now(), crate::wait::wall_now());
        self.narrator.act(who.name, &format!("taps at {}", door.name));
        let held = self.site.readers.hold(door, &uid)?;
        let heard = self.hear(mark, tapped_at, |event| is_answer(event) && text(event, "door") == door.id);
        drop(held);
        self.taken_away.insert((door.id, who.uid), crate::time::now());
        self.answers.push(Answer {
            kind: format!("access.{}", expect.decision()),
            door: door.id.to_owned(),
            reason: expect.reason().to_owned(),
        });
        self.check_answer(who, expect, heard.as_ref());
        if heard.is_none() {
            return Err(DemoError::Silent { what: "a tap" });
        }
        match expect {
            Expect::Granted { .. } => self.check_released(who, door, tapped, tapped_at, mark)?,
            Expect::Denied { .. } => {
                let rises = self.rises(door, tapped);
                self.narrator.check(
                    "the strike did not move",
                    holds(rises == 0, || format!("released {rises} times")),
                );
            }
        }
        self.interrupt.check()
    }

    fn check_answer(&mut self, who: Person, expect: Expect, heard: Option<&Value>) {
        let (expected, seen) = match expect {
            Expect::Granted { reason, grant } => (
                format!("granted, {reason} by {grant}"),
                heard.map(|event| {
                    format!("{}, {} by {}", decision(event), text(event, "reason"), text(event, "grant"))
                }),
            ),
            Expect::Denied { reason, opens_at } => {
                let opening = |opens_at: Option<String>| {
                    opens_at.map_or(String::new(), |at| format!(", opens at {at}"))
                };
                let at = |event: &Value| instant(event, "opens_at").map(clock);
                (
                    format!("denied, {reason}{}", opening(opens_at.map(clock))),
                    heard.map(|event| {
                        format!("{}, {}{}", decision(event), text(event, "reason"), opening(at(event)))
                    }),
                )
            }
        };
        let outcome = match (&seen, heard) {
            (Some(seen), Some(event)) if *seen == expected => check_person(who, expect, event),
            (Some(seen), _) => Err(seen.clone()),
            (None, _) => Err(format!("no answer recorded within {SOON:?}")),
        };
        self.narrator.check(&expected, outcome);
    }

    fn check_released(
        &mut self,
        who: Person,
        door: Door,
        tapped: Instant,
        tapped_at: DateTime<Utc>,
        mark: usize,
    ) -> Result<(), DemoError> {
        let rise = self.site.board.wait_for_coil_change(tapped, door.at, true, SOON);
        let Some(rise) = rise else {
            self.narrator.check("the strike was released", Err("its coil stayed off".to_owned()));
            return Ok(());
        };
        let walk = self.site.board.walk_through(usize::from(door.at), OPEN_FOR)?;
        let after = rise.at.saturating_duration_since(tapped).as_millis();
        let passed = holds(walk == Walk::Through, || "the door did not give".to_owned());
        self.narrator.check(
            &format!("the strike is energised {after} ms after the tap; {} walks in", who.name),
            passed,
        );
        let swung = ["door.opened", "door.closed"].map(|kind| {
            self.hear(mark, tapped_at, |event| text(event, "type") == kind && text(event, "door") == door.id)
        });
        let seen = holds(swung.iter().all(Option::is_some), || {
            format!("opened {}, closed {}", swung[0].is_some(), swung[1].is_some())
        });
        self.narrator.check("the door opened and closed again", seen);
        self.check_strike_ends(door, rise);
        Ok(())
    }

    fn check_strike_ends(&mut self, door: Door, rise: CoilChange) {
        let limit = Duration::from_secs(u64::from(STRIKE_S)) + STRIKE_SLACK;
        let fall = self.site.board.wait_for_coil_change(rise.at, door.at, false, SOON);
        let lasted = fall.map(|fall| fall.at.saturating_duration_since(rise.at));
        let in_time = lasted.is_some_and(|lasted| lasted <= limit);
        // Said only when wrong; the books at the end say it once for all.
        if !in_time {
            let instead = lasted.map_or("still on".to_owned(), |lasted| format!("it lasted {lasted:?}"));
            self.narrator.check(&format!("the strike ends within {limit:?}"), Err(instead));
        }
    }

    /// Times the door's strike was released since then.
    #[must_use]
    pub fn rises(&self, door: Door, since: Instant) -> usize {
        let history = self.site.board.coil_history();
        history.iter().filter(|change| change.coil == door.at && change.on && change.at >= since).count()
    }

    /// The daemon has found what it is wired to, so that the first tap finds a reader that listens.
    pub fn check_connected(&mut self) -> Result<(), DemoError> {
        let wanted = DOORS.iter().map(|door| ("reader.connected", "reader", door.reader));
        let wanted: Vec<_> = wanted.chain([("board.connected", "board", BOARD)]).collect();
        let found = |(kind, field, id): &(&str, &str, &str)| {
            let is_it = |event: &Value| text(event, "type") == *kind && text(event, field) == *id;
            self.site.central.wait_for_event(is_it, SOON).is_some()
        };
        let missing: Vec<&str> = wanted.iter().filter(|one| !found(one)).map(|(_, _, id)| *id).collect();
        let seen = holds(missing.is_empty(), || format!("not {}", missing.join(", ")));
        let all_there = seen.is_ok();
        self.narrator.check("central hears that latchd has found its board and its three readers", seen);
        if all_there {
            self.interrupt.check()
        } else {
            Err(DemoError::Silent { what: "what it is wired to" })
        }
    }

    /// Waits for an event: at central, or with the broker away in the journal, as `latchctl events` shows it.
    pub fn hear(&self, mark: usize, since: DateTime<Utc>, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        if self.site.broker_runs() {
            return self.site.central.wait_for_event_after(mark, wanted, SOON);
        }
        let since = since.trunc_subsecs(3);
        let since_text = crate::central::bookings::instant_text(since);
        crate::wait::until(SOON, || {
            let events = self.site.tool.json_lines(&["events", "--since", &since_text]).ok()?;
            events
                .into_iter()
                .find(|event| instant(event, "at").is_some_and(|at| at >= since) && wanted(event))
        })
    }

    /// Central puts records, and the controller says that it holds them.
    pub fn book(&mut self, what: &str, records: Vec<Value>) -> Result<(), DemoError> {
        self.interrupt.check()?;
        self.narrator.act("central", what);
        self.site.central.put_many(records)?;
        self.check_synced()
    }

    /// Central gives a command, and the controller says that it is done.
    pub fn command(&mut self, what: &str, action: &str, door: &str) -> Result<(), DemoError> {
        self.interrupt.check()?;
        self.narrator.act("central", what);
        let id = self.site.central.command(action, door, None)?;
        if action == "access" {
            self.opened.push(door.to_owned());
        }
        let seen = match self.site.central.wait_for_result(&id, SOON) {
            Some(result) => holds(text(&result, "outcome") == "done", || result.to_string()),
            None => Err("no answer".to_owned()),
        };
        self.narrator.check(&format!("the controller answers that {action} is done"), seen);
        Ok(())
    }

    /// Somebody who can write to the broker, and has not central's key, publishes a record as central would.
    pub fn forge(&mut self, what: &str, record: &Value) -> Result<(), DemoError> {
        self.interrupt.check()?;
        self.narrator.act("a stranger", what);
        let central = &self.site.central;
        let (mark, since) = (central.mark(), crate::wait::wall_now());
        let at = central.position();
        let (epoch, next) = (at.epoch, at.applied + 1);
        let controller = central.controller();
        let message = json!({ "controller": controller, "epoch": epoch, "first": next, "last": next,
                              "changes": [{ "put": record }] });
        let forged = jws::sign(super::site::KID, &SecretKey::generate()?, message.to_string().as_bytes());
        let sent = central.publish_raw("feed", forged);
        let heard = self.hear(mark, since, |event| text(event, "type") == "sync.rejected");
        let why = heard.as_ref().map_or("no such event", |event| text(event, "detail")).to_owned();
        let seen = holds(sent && why.contains("signature"), || why);
        self.narrator.check("the controller refuses it, and central hears of it", seen);
        Ok(())
    }

    /// Central deletes a grant, and the controller says that it no longer holds it.
    pub fn cancel(&mut self, what: &str, grant: &str) -> Result<(), DemoError> {
        self.interrupt.check()?;
        self.narrator.act("central", what);
        self.site.central.delete("grant", grant);
        self.check_synced()
    }

    /// The controller holds what central holds, by number and by digest.
    pub fn check_synced(&mut self) -> Result<(), DemoError> {
        let started = crate::time::now();
        let synced = self.site.central.wait_synced(SOON);
        let took = started.elapsed().as_millis();
        let ours = self.site.central.position();
        let expected =
            format!("the controller holds the same records (change {}, same digest)", ours.applied);
        match synced {
            Ok(_) => {
                self.narrator.check(&format!("{expected}, said {took} ms later"), Ok(()));
                Ok(())
            }
            Err(error) => {
                self.narrator.check(&expected, Err(error.to_string()));
                Err(DemoError::Silent { what: "a change of the feed" })
            }
        }
    }

    /// What `latchctl explain` says of a person at a door, now or then.
    pub fn explain(
        &mut self,
        who: Person,
        door: Door,
        at: Option<DateTime<Utc>>,
        expect: Expect,
    ) -> Result<(), DemoError> {
        self.interrupt.check()?;
        let at_text = at.map(crate::central::bookings::instant_text);
        let mut arguments = vec!["explain", "--door", door.id, "--credential", who.credential];
        if let Some(at) = &at_text {
            arguments.extend(["--at", at]);
        }
        let when = at.map_or("now".to_owned(), |at| format!("at {}", clock(at)));
        let expected = format!("latchctl explain, {when}: {}, {}", expect.decision(), expect.reason());
        let seen = match self.site.tool.json(&arguments) {
            Ok(said) => {
                let (decision, reason) = (text(&said, "decision"), text(&said, "reason"));
                let same = decision == expect.decision() && reason == expect.reason();
                holds(same, || format!("it says {decision}, {reason}"))
            }
            Err(error) => Err(crate::orders::chain(&error)),
        };
        self.narrator.check(&expected, seen);
        Ok(())
    }

    /// Lets the time come.
    pub fn wait_until(&mut self, instant: DateTime<Utc>) -> Result<(), DemoError> {
        let left = (instant - crate::wait::wall_now()).to_std().unwrap_or_default();
        let came = crate::wait::until(left + SOON, || {
            (self.interrupt.is_set() || crate::wait::wall_now() >= instant).then_some(())
        });
        self.interrupt.check()?;
        came.ok_or(DemoError::ClockStands)
    }
}

/// The event must name the person it should, and nobody where there is nobody to name.
fn check_person(who: Person, expect: Expect, event: &Value) -> Result<(), String> {
    let unknown = expect.reason() == "unknown_credential";
    let (credential, holder) = (text(event, "credential"), text(event, "holder"));
    if unknown {
        let tag = text(event, "uid_tag");
        return holds(credential.is_empty() && tag.len() == 8, || {
            format!("credential {credential:?}, uid_tag {tag:?}")
        });
    }
    holds(credential == who.credential && holder == who.holder, || {
        format!("for credential {credential:?} of {holder:?}, not {:?} of {:?}", who.credential, who.holder)
    })
}

/// Whether this is the answer to a tap.
#[must_use]
pub fn is_answer(event: &Value) -> bool {
    matches!(text(event, "type"), "access.granted" | "access.denied")
}

fn decision(event: &Value) -> &str {
    text(event, "type").trim_start_matches("access.")
}

/// A field's text; empty if it has none.
#[must_use]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn instant(value: &Value, field: &str) -> Option<DateTime<Utc>> {
    text(value, field).parse().ok()
}
