//! `latch-sim central`: books, cancels and looks on by hand, against any broker and a real controller.

use super::bookings::{self, Booking, BookingError, Kind};
use super::{Central, CentralError, FeedError};
use crate::orders::{Handler, OrdersError};
use crate::until_told::{say, told_to_stop};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the printing thread looks whether central is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const ORDERS: &str = "\
Orders, one a line, on standard input:
  card HOLDER UID [STATUS]              hand out a card (active)
  book room|desk ZONES HOLDER START LENGTH [CAPACITY]
                                        zones with commas; START is now, +45m or RFC 3339; LENGTH is 90m, 2h
  guest BOOKING ZONES HOLDER START LENGTH
  standing ZONES HOLDER                 for good
  cancel GRANT                          delete a grant
  put JSON | delete TYPE ID             any record
  snapshot | new-epoch | acking on|off
  status | doors | records | events [N] | violations
Each is answered by `ok`, or by `error:` and a sentence.";

/// A central that books rooms and desks, keeps the feed, stores and acknowledges events
#[derive(Debug, clap::Args)]
#[command(after_help = ORDERS)]
pub struct Args {
    /// The MQTT 5 broker, such as mqtt://127.0.0.1:1883
    #[arg(long, value_name = "URL")]
    broker: String,
    /// The controller to be central for: the id in its configuration
    #[arg(long, value_name = "ID")]
    controller: String,
    /// Cards and bookings to start with, as CSV: kind,holder,uid,zones,starts_at,ends_at,booking,capacity
    #[arg(long, value_name = "FILE")]
    bookings: Option<PathBuf>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Central itself.
    #[error(transparent)]
    Central(#[from] CentralError),
    /// The bookings file.
    #[error(transparent)]
    Bookings(#[from] BookingError),
    /// A record in it.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Standard input.
    #[error(transparent)]
    Orders(#[from] OrdersError),
    /// The process around it.
    #[error("cannot wait for signals or print")]
    Process(#[source] std::io::Error),
}

impl Args {
    /// Runs until SIGINT or SIGTERM.
    ///
    /// # Errors
    /// A wrong URL or bookings file.
    pub fn run(self) -> Result<(), VerbError> {
        let records = match &self.bookings {
            Some(path) => bookings::read_file(path, this_second())?,
            None => Vec::new(),
        };
        let central = Arc::new(Central::start(&self.broker, &self.controller)?);
        central.put_many(records)?;
        say(format_args!(
            "central for {} on {}, epoch {}; plain JSON, unsigned",
            self.controller,
            self.broker,
            central.position().epoch
        ));
        let watched = Arc::downgrade(&central);
        std::thread::Builder::new()
            .name("sim-print".into())
            .spawn(move || print(&watched))
            .map_err(VerbError::Process)?;
        let (ordered, orders) = (Arc::downgrade(&central), Orders::default());
        let handler: Handler = Arc::new(move |line| {
            orders.carry_out(&*ordered.upgrade().ok_or("central is shutting down")?, line)
        });
        crate::orders::from_stdin(handler)?;
        told_to_stop(None).map_err(VerbError::Process)
    }
}

/// Prints events, violations and the link's state as they come.
fn print(central: &Weak<Central>) {
    let (mut events, mut violations, mut stood) = (0, 0, false);
    while let Some(central) = central.upgrade() {
        let stands = central.is_connected();
        if stands != stood {
            say(if stands { "connected to the broker" } else { "lost the broker; trying again" });
            stood = stands;
        }
        // Waits for one, then prints all.
        let _ = central.wait_for_event_after(events, |_| true, LOOK_EVERY);
        for event in central.events().iter().skip(events) {
            events += 1;
            say(format_args!("event {event}"));
        }
        for violation in central.violations().iter().skip(violations) {
            violations += 1;
            say(format_args!("VIOLATION {violation}"));
        }
    }
}

/// Carries out orders, and numbers what is booked by them.
#[derive(Debug, Default)]
pub struct Orders {
    booked: AtomicU64,
}

impl Orders {
    /// One line: what came of it, or a sentence why not.
    ///
    /// # Errors
    /// A line that is no order, or one that central can't carry out.
    pub fn carry_out(&self, central: &Central, line: &str) -> Result<String, String> {
        order(central, || self.booked.fetch_add(1, Ordering::SeqCst) + 1, line)
    }
}

fn order(central: &Central, next: impl Fn() -> u64, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["card", holder, uid] => {
            put(central, bookings::credential(&format!("c-{uid}"), uid, holder, "active"))
        }
        ["card", holder, uid, status] => {
            put(central, bookings::credential(&format!("c-{uid}"), uid, holder, status))
        }
        ["book", kind @ ("room" | "desk"), rest @ ..] => book(central, kind, next(), None, rest),
        ["guest", booking, rest @ ..] => book(central, "guest", next(), Some(booking), rest),
        ["standing", zones, holder] => {
            let grant = grant_of(Kind::Standing, next(), zones, holder);
            put(central, grant.record()).map(|_| format!("grant {}", grant.id))
        }
        ["cancel", grant] => Ok(deleted(central, "grant", grant)),
        ["put", ..] => {
            let text = line.strip_prefix("put").unwrap_or_default();
            put(central, serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?)
        }
        ["delete", record_type, id] => Ok(deleted(central, record_type, id)),
        ["snapshot"] => {
            central.snapshot();
            Ok(String::new())
        }
        ["new-epoch"] => Ok(format!("epoch {}", central.new_epoch().epoch)),
        ["acking", on @ ("on" | "off")] => {
            central.set_acking(*on == "on");
            Ok(String::new())
        }
        ["events", last @ ..] => {
            let events = central.events();
            let count = last.first().and_then(|count| count.parse().ok()).unwrap_or(20);
            Ok(lines(events.get(events.len().saturating_sub(count)..).unwrap_or_default()))
        }
        [look] => looked(central, look).ok_or_else(|| unknown(line)),
        _ => Err(unknown(line)),
    }
}

fn unknown(line: &str) -> String {
    format!("no such order, or not like this: {line}; see latch-sim central --help")
}

fn looked(central: &Central, what: &str) -> Option<String> {
    match what {
        "status" => Some(format!(
            "central at {:?}, digest {}\ncontroller's status {}\ncontroller's sync {:?}",
            central.position(),
            central.digest(),
            central.status().unwrap_or_default(),
            central.last_sync()
        )),
        "doors" => Some(lines(&central.doors())),
        "records" => Some(lines(&central.records())),
        "violations" => {
            Some(central.violations().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

fn lines(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn grant_of(kind: Kind, number: u64, zones: &str, holder: &str) -> Booking {
    Booking {
        id: format!("g-hand-{number}"),
        kind,
        holder: holder.to_owned(),
        zones: zones.split(',').map(str::to_owned).collect(),
        time: None,
        booking: None,
        capacity: None,
    }
}

fn book(
    central: &Central,
    kind: &str,
    number: u64,
    booking: Option<&str>,
    rest: &[&str],
) -> Result<String, String> {
    let ([zones, holder, start, length], capacity) = match rest {
        [zones, holder, start, length] => ([zones, holder, start, length], None),
        [zones, holder, start, length, capacity] => ([zones, holder, start, length], Some(capacity)),
        _ => return Err("expected ZONES HOLDER START LENGTH; see latch-sim central --help".into()),
    };
    let say = |error: BookingError| error.to_string();
    let start = bookings::instant(start, this_second()).map_err(say)?;
    let end = start + bookings::length(length).map_err(say)?;
    let booking = booking.map_or_else(|| format!("b-hand-{number}"), str::to_owned);
    let grant = Booking {
        time: Some((start, end)),
        booking: Some(booking.clone()),
        capacity: capacity
            .map(|count| count.parse().map_err(|_| format!("{count} is no capacity")))
            .transpose()?,
        ..grant_of(kind.parse().map_err(say)?, number, zones, holder)
    };
    put(central, grant.record()).map(|_| {
        let (from, to) = (bookings::instant_text(start), bookings::instant_text(end));
        format!("grant {} of booking {booking}, from {from} to {to} before margins", grant.id)
    })
}

/// Bookings are made to the second.
fn this_second() -> DateTime<Utc> {
    crate::wait::wall_now().trunc_subsecs(0)
}

fn put(central: &Central, record: Value) -> Result<String, String> {
    central.put(record).map(|number| format!("change {number}")).map_err(|error| error.to_string())
}

fn deleted(central: &Central, record_type: &str, id: &str) -> String {
    let number = central.delete(record_type, id);
    format!("change {number}")
}
