//! What goes on at the site while its disk is cut: everything that makes the daemon write, all at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use hardware_sim::central::bookings::instant_text;
use hardware_sim::wait::wall_now;
use serde_json::{Value, json};

use super::promised::Known;
use crate::site::records::{card, guest, room, standing, with};
use crate::site::{CONTROLLER, Site, pause};
use hardware_sim::world::Lot;

/// Those who may go in at the entrance, one after the other: a card must be away before it is held up again.
const MEMBERS: usize = 8;
/// Bookings with room for the host and one guest, of whom two come.
pub const BOOKINGS: usize = 40;
/// Records that are put and deleted all the time.
const RECORDS: u64 = 400;
const SNAPSHOT_EVERY: u64 = 60;
/// How soon is noticed that power is gone.
const LOOK_UP: Duration = Duration::from_millis(200);
/// How often is looked for the answer to a command.
const LOOKS: usize = 25;

pub fn member(n: usize) -> String {
    format!("04AA00{:02X}", n % MEMBERS)
}

/// The first who comes of a booking, or the second.
pub fn guest_of(booking: usize, second: bool) -> String {
    format!("04{}{booking:04X}", if second { "BB" } else { "DD" })
}

pub fn booking(n: usize) -> String {
    format!("b-{n}")
}

/// Who is known from the start.
pub fn booked(site: &Site) {
    let mut records: Vec<Value> = Vec::new();
    for n in 0..MEMBERS {
        records.push(card(&format!("c-m{n}"), &member(n), &format!("m-{n}")));
        records.push(standing(&format!("g-m{n}"), &format!("m-{n}"), &["perimeter"]));
    }
    let time = (-600, 36_000);
    for n in 0..BOOKINGS {
        let booking = booking(n);
        records.push(with(room(&format!("g-h{n}"), "host", &booking, &["room-4"], time), "capacity", 2));
        for second in [false, true] {
            let name = format!("{n}-{}", u8::from(second));
            records.push(card(&format!("c-g{name}"), &guest_of(n, second), &format!("guest-{name}")));
            records.push(guest(&format!("g-g{name}"), &format!("guest-{name}"), &booking, &["room-4"], time));
        }
    }
    site.put(records);
}

/// A life's doings, until they are to end.
pub struct Doings<'a> {
    pub site: &'a Site,
    pub known: &'a Known,
    pub over: &'a AtomicBool,
    /// The next guest, over all lives.
    pub guests: &'a AtomicUsize,
    pub seed: u64,
}

impl Doings<'_> {
    fn go_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// A card, as long as somebody lives who reads it.
    fn tap(&self, reader: &str, uid: &str) {
        let mut is_read = false;
        while self.go_on() && !is_read {
            is_read = self.site.tap_if_listing(reader, uid, LOOK_UP);
        }
    }

    /// Changes of the feed, now and then all of it.
    pub fn changes(&self) {
        let mut lot = Lot::new(self.seed);
        let central = self.site.central();
        for round in 1_u64.. {
            if !self.go_on() {
                return;
            }
            let n = lot.of(0..RECORDS);
            let (id, holder) = (format!("x-{n}"), format!("h-{}", n / 4));
            if lot.one_in(4) {
                central.delete(if n.is_multiple_of(2) { "credential" } else { "grant" }, &id);
            } else if n.is_multiple_of(2) {
                let uid = format!("04CC{:08X}", lot.of(0..1 << 32));
                central.put(card(&id, &uid, &holder)).expect("a record");
            } else {
                let time = (-(lot.of(0..600) as i64), 3600);
                let booking = format!("bx-{n}");
                central.put(room(&id, &holder, &booking, &["rooms"], time)).expect("a record");
            }
            // Only this thread changes anything, so the two belong together.
            let (place, digest) = (central.position().applied, central.digest());
            self.known.digests.lock().expect("nobody panics with it").insert(place, digest);
            if round % SNAPSHOT_EVERY == 0 {
                central.snapshot();
            }
            pause("changes come one by one", Duration::from_millis(lot.of(1..25)));
        }
    }

    /// Members at the entrance.
    pub fn taps(&self) {
        for n in 0.. {
            if !self.go_on() {
                return;
            }
            self.tap("entrance-in", &member(n));
            pause("nobody else is at the door yet", Duration::from_millis(60));
        }
    }

    /// The first guest of each booking, at its room.
    pub fn arrivals(&self) {
        while self.go_on() {
            let n = self.guests.fetch_add(1, Ordering::Relaxed);
            if n >= BOOKINGS {
                return;
            }
            self.tap("room-4-in", &guest_of(n, false));
            pause("guests come one by one", Duration::from_millis(300));
        }
    }

    /// A technician, who opens a door, and locks another down and releases it.
    pub fn orders(&self) {
        for n in 0.. {
            if !self.go_on() {
                return;
            }
            // What it says when power goes in the middle of it is nobody's promise.
            let _ = self.site.ctl(&["door", "access", "floor-2"]);
            let (action, mode) =
                if n % 2 == 0 { ("lock_down", "locked_down") } else { ("lock_down_release", "locked") };
            {
                let mut gym = self.known.gym.lock().expect("nobody panics with it");
                gym.under_way = true;
                gym.orders += 1;
            }
            let done = self.ordered(action);
            let mut gym = self.known.gym.lock().expect("nobody panics with it");
            if done {
                gym.confirmed = mode.into();
                gym.under_way = false;
            }
        }
    }

    fn ordered(&self, action: &str) -> bool {
        let request = json!({ "protocol": 1, "verb": "door_order", "door": "gym", "action": action });
        super::copy::ask(self.site.daemon.socket(), &request).is_ok()
    }

    /// Central opens a door, once each.
    pub fn commands(&self) {
        for n in 0.. {
            if !self.go_on() {
                return;
            }
            let at = |s| instant_text(wall_now() + TimeDelta::seconds(s));
            let id = format!("cmd-{:x}-{n}", self.seed);
            let body = json!({ "controller": CONTROLLER, "id": id, "issued_at": at(-1), "expires_at": at(120),
                               "by": "anna@central", "action": "access", "door": "floor-2" });
            let central = self.site.central();
            let said = central.publish("command", &body);
            let look = |_| central.wait_for_result(&id, LOOK_UP);
            let result = (0..LOOKS).take_while(|_| said && self.go_on()).find_map(look);
            if result.is_some_and(|result| result["outcome"] == "done") {
                *self.known.command.lock().expect("nobody panics with it") = Some(body);
            }
            pause("commands come one by one", Duration::from_millis(150));
        }
    }
}
