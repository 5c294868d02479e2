//! The day that is played: bookings placed around the real now, so that the edges of their windows come within seconds.
//!
//! A room opens 30 minutes before its booking and a guest's card at its very start, so "in six seconds" is a booking that
//! starts in 30 minutes and 6 seconds, or a guest's in 6 seconds.

use super::DemoError;
use super::cast::{ADA, BO, CHRIS, DAG, EVE, INES, Person, STRANGER};
use super::config::{ENTRANCE, FLOOR_2, ROOM_4};
use super::narrator::{clock, holds};
use super::play::{Expect, Play, text};
use crate::central::bookings::{Booking, Kind, credential};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::Value;
use std::time::Duration;

/// From booking to the edge of its window: time enough to tap too early, on a slow machine too.
const EDGE_IN: TimeDelta = TimeDelta::seconds(5);
/// How long before its start the default policy opens a room.
const ROOM_OPENS_BEFORE: TimeDelta = TimeDelta::minutes(30);
/// How long the daemon may take to find the broker again.
const RECONNECT_WITHIN: Duration = Duration::from_secs(20);
/// A controller that is back before central is sends to nobody, and again after 30 s without progress (wire, "events
/// and ack").
const RESENT_WITHIN: Duration = Duration::from_secs(35);
const IN_WINDOW: &str = "in_window";

/// Morning: who has no booking, and who needs none.
pub fn morning(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("Morning");
    let cleaner = grant("g-ines", Kind::Standing, INES, &["perimeter", "community-floor"], None);
    let cards = [ADA, BO, CHRIS, DAG, INES].map(card).into_iter().chain([cleaner.record()]).collect();
    play.book("hands out five cards; Ines, who cleans, may come at any time", cards)?;
    play.tap(STRANGER, ENTRANCE, denied("unknown_credential"))?;
    play.tap(INES, ENTRANCE, Expect::Granted { reason: "standing", grant: "g-ines" })
}

/// Bookings: too early, in the window, and a desk beside.
pub fn bookings(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("Bookings");
    let opens_at = edge();
    let starts_at = opens_at + ROOM_OPENS_BEFORE;
    let booked = grant("g-ada", Kind::Room, ADA, &["perimeter", "room-4"], Some(hour_from(starts_at)));
    let what =
        format!("books room 4 for Ada from {}; her card opens from {}", clock(starts_at), clock(opens_at));
    play.book(&what, vec![Booking { capacity: Some(6), ..booked }.record()])?;
    let too_early = Expect::Denied { reason: "too_early", opens_at: Some(opens_at) };
    let granted = Expect::Granted { reason: IN_WINDOW, grant: "g-ada" };
    play.tap(ADA, ENTRANCE, too_early)?;
    play.explain(ADA, ENTRANCE, Some(opens_at - TimeDelta::seconds(1)), too_early)?;
    play.explain(ADA, ENTRANCE, Some(opens_at), granted)?;
    let desk = grant("g-bo", Kind::Desk, BO, &["community-floor"], Some(hour_from(now())));
    play.book("books a desk on floor 2 for Bo, from now", vec![desk.record()])?;
    play.tap(BO, FLOOR_2, Expect::Granted { reason: IN_WINDOW, grant: "g-bo" })?;
    play.wait_until(opens_at)?;
    play.tap(ADA, ENTRANCE, granted)
}

/// A guest: not before the booking, and only with a host.
pub fn guest(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("A guest");
    let starts_at = edge();
    let time = Some(hour_from(starts_at));
    let host = grant("g-dag", Kind::Room, DAG, &["room-4"], time);
    let visit = grant("g-chris", Kind::Guest, CHRIS, &["room-4"], time);
    let (host, visit) = (host.of_booking("b-dag"), visit.of_booking("b-dag"));
    let what = format!("books room 4 for Dag and his guest Chris from {}", clock(starts_at));
    play.book(&what, vec![Booking { capacity: Some(3), ..host }.record(), visit.record()])?;
    play.tap(CHRIS, ROOM_4, Expect::Denied { reason: "too_early", opens_at: Some(starts_at) })?;
    play.tap(DAG, ROOM_4, Expect::Granted { reason: IN_WINDOW, grant: "g-dag" })?;
    play.wait_until(starts_at)?;
    let (mark, since) = (play.site.central.mark(), now());
    play.tap(CHRIS, ROOM_4, Expect::Granted { reason: IN_WINDOW, grant: "g-chris" })?;
    let arrived = play.hear(mark, since, |event| text(event, "type") == "guest.arrived");
    let told = arrived.map_or(Err("no such event".to_owned()), |event| {
        let named = text(&event, "holder") == CHRIS.holder && text(&event, "host") == DAG.holder;
        holds(named, || event.to_string())
    });
    play.narrator.check("central hears that Dag's guest has arrived", told);
    Ok(())
}

/// A booking that is taken back opens nothing.
pub fn cancellation(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("A cancelled booking");
    play.cancel("cancels Bo's desk", "g-bo")?;
    play.explain(BO, FLOOR_2, None, denied("no_grant"))?;
    play.tap(BO, FLOOR_2, denied("no_grant"))
}

/// Somebody at the broker who is not central, and central's own word.
pub fn commands(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("A stranger at the broker, and a lockdown");
    let dearest = grant("g-forged", Kind::Standing, BO, &["community-floor"], None);
    play.forge("gives Bo floor 2 for good, under a key of their own", &dearest.record())?;
    play.tap(BO, FLOOR_2, denied("no_grant"))?;
    play.command("locks the house down", "lock_down", "*")?;
    play.tap(INES, ENTRANCE, denied("door_locked_down"))?;
    play.command("releases the lockdown", "lock_down_release", "*")?;
    play.tap(INES, ENTRANCE, Expect::Granted { reason: "standing", grant: "g-ines" })?;
    play.command("opens floor 2 for a courier", "access", FLOOR_2.id)
}

/// The broker is gone: doors go on as before, with what they know.
pub fn offline(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("The broker goes away");
    play.narrator.act("broker", "is stopped");
    play.site.stop_broker();
    let refused = std::net::TcpStream::connect(play.site.broker_url().trim_start_matches("mqtt://")).is_err();
    play.narrator.check("nobody listens on its port any more", holds(refused, || "somebody does".to_owned()));
    let desk = grant("g-eve", Kind::Desk, EVE, &["community-floor"], Some(hour_from(now())));
    play.narrator.act("central", "books a desk for Eve, a new member, and can't tell anyone yet");
    play.site.central.put_many([card(EVE), desk.record()])?;
    play.tap(ADA, ROOM_4, Expect::Granted { reason: IN_WINDOW, grant: "g-ada" })?;
    play.tap(EVE, FLOOR_2, denied("unknown_credential"))?;
    play.tap(INES, FLOOR_2, Expect::Granted { reason: "standing", grant: "g-ines" })?;
    play.tap(STRANGER, ENTRANCE, denied("unknown_credential"))
}

/// The broker is back: what happened is told, what was booked is heard.
pub fn back_online(play: &mut Play) -> Result<(), DemoError> {
    play.narrator.heading("The broker comes back");
    play.narrator.act("broker", "is started again, empty");
    play.site.start_broker()?;
    let expected = play.answers.len();
    let central = &play.site.central;
    let connected = central.wait_connected(RECONNECT_WITHIN);
    let arrived = || (super::books::answers_of(&central.events()).len() >= expected).then_some(());
    let all = crate::wait::until(RESENT_WITHIN, arrived).is_some();
    let seen = connected.map_err(|error| error.to_string()).and_then(|()| {
        holds(all, || {
            format!(
                "after {RESENT_WITHIN:?} there are {} of them",
                super::books::answers_of(&central.events()).len()
            )
        })
    });
    play.narrator.check(&format!("central has the answers of all {expected} taps of the day"), seen);
    let synced = central.wait_synced(RECONNECT_WITHIN).map(drop).map_err(|error| error.to_string());
    play.narrator.check("the controller has caught up with what was booked meanwhile", synced);
    play.tap(EVE, FLOOR_2, Expect::Granted { reason: IN_WINDOW, grant: "g-eve" })
}

fn denied(reason: &'static str) -> Expect {
    Expect::Denied { reason, opens_at: None }
}

fn card(person: Person) -> Value {
    credential(person.credential, person.uid, person.holder, "active")
}

fn grant(
    id: &str,
    kind: Kind,
    person: Person,
    zones: &[&str],
    time: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Booking {
    Booking {
        id: id.to_owned(),
        kind,
        holder: person.holder.to_owned(),
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        time,
        booking: None,
        capacity: None,
    }
}

fn now() -> DateTime<Utc> {
    crate::wait::wall_now().trunc_subsecs(0)
}

/// The next edge of a window, on a whole second.
fn edge() -> DateTime<Utc> {
    now() + EDGE_IN + TimeDelta::seconds(1)
}

fn hour_from(start: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    (start, start + TimeDelta::hours(1))
}
