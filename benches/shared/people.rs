//! The people of a large site, their cards and their bookings: the same in every run, in the mix that a coworking
//! company has. Cards first, then grants in an order that is not their holders', as a snapshot brings them.

use latchd::{
    domain::{
        At, BookingId, Credential, CredentialId, DoorId, Grant, GrantId, HolderId, Interval, Kind, Record,
        Schedule, Status, Uid, ZoneId,
    },
    wire::UidHasher,
};
use serde_json::{Value, json};

pub const DOORS: u32 = 64;

/// 2026-11-23T09:30:00Z, a Monday.
const NOW_S: i64 = 1_795_426_200;

/// A sequence that is the same in every run (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % u64::from(below)) as u32
    }
}

/// Whose card it is, by the holder's number: what makes the mix of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Booked,
    NotNow,
    Guest,
    Staff,
    WrongDoor,
    Suspended,
}

fn role(holder: u32) -> Role {
    match holder % 20 {
        0..=10 => Role::Booked,
        11..=13 => Role::NotNow,
        14 | 15 => Role::Guest,
        16 | 17 => Role::Staff,
        18 => Role::WrongDoor,
        _ => Role::Suspended,
    }
}

/// How long the ids are: as short as a counter's, or a UUID each.
#[derive(Clone, Copy)]
pub enum Ids {
    Short,
    Uuid,
}

impl Ids {
    pub fn text(self, kind: &str, n: u32) -> String {
        match self {
            Ids::Short => format!("{kind}-{n}"),
            Ids::Uuid => {
                let mut dice = Dice(u64::from(n) << 8 | u64::from(kind.as_bytes()[0]));
                let mut part = |mask: u32| dice.roll(u32::MAX) & mask;
                let (a, b, c) = (part(u32::MAX), part(0xFFFF), part(0xFFF));
                let (d, e, f) = (part(0x3FFF) | 0x8000, part(0xFFFF), part(u32::MAX));
                format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:04x}{f:08x}")
            }
        }
    }
}

/// A site of so many grants, and three tenths as many cards.
#[derive(Clone, Copy)]
pub struct Site {
    pub grants: u32,
    pub ids: Ids,
}

impl Site {
    pub fn holders(self) -> u32 {
        self.grants * 3 / 10
    }

    pub fn holder(self, n: u32) -> HolderId {
        HolderId::new(&self.ids.text("m", n)).unwrap()
    }

    fn credential(self, n: u32, hasher: &UidHasher) -> Credential {
        let status = if role(n) == Role::Suspended { Status::Suspended } else { Status::Active };
        Credential {
            id: CredentialId::new(&self.ids.text("c", n)).unwrap(),
            uid: Some(hasher.hash(&uid(n))),
            holder: self.holder(n),
            status,
            valid_from: Some(at(-300 * 86_400 + i64::from(n % 200) * 86_400)),
            valid_until: n.is_multiple_of(4).then(|| at(38 * 86_400)),
            label: None,
            extended_time: false,
        }
    }

    /// The first grant of each holder is what makes their answer; the others, by lot, are bookings of other days.
    fn grant(self, n: u32, dice: &mut Dice) -> Grant {
        let is_first = n < self.holders();
        let holder = if is_first { n } else { dice.roll(self.holders()) };
        let role = role(holder);
        let days = if is_first && role != Role::NotNow { 0 } else { 1 + i64::from(dice.roll(60)) };
        let sign = if dice.roll(2) == 0 { -1 } else { 1 };
        let starts = sign * days * 86_400 - 1800;
        let kind = match (role, is_first) {
            (Role::Staff, true) => Kind::Standing,
            (Role::Guest, true) => Kind::Guest,
            _ if dice.roll(3) == 0 => Kind::Desk,
            _ => Kind::Room,
        };
        // A guest comes with the booking of the holder of a multiple of 20 below, who is one of the booked.
        let booking = if kind == Kind::Guest { holder / 20 * 20 } else { n };
        let kind = if is_first && holder.is_multiple_of(20) { Kind::Room } else { kind };
        let is_standing = kind == Kind::Standing;
        Grant {
            id: GrantId::new(&self.ids.text("g", n)).unwrap(),
            kind,
            holder: self.holder(holder),
            doors: Vec::new(),
            zones: zones(role, dice),
            starts_at: (!is_standing).then(|| at(starts)),
            ends_at: (!is_standing).then(|| at(starts + 5400)),
            booked_at: (!is_standing).then(|| at(starts - 86_400 - i64::from(dice.roll(86_400)))),
            not_before: None,
            not_after: None,
            booking: matches!(kind, Kind::Room | Kind::Guest)
                .then(|| BookingId::new(&self.ids.text("b", booking)).unwrap()),
            capacity: (kind == Kind::Room).then(|| 4 + holder % 8),
            schedule: is_standing.then(|| shift(holder)),
            override_lockdown: false,
        }
    }

    /// All of them, in the order a snapshot brings them.
    pub fn records(self, hasher: &UidHasher) -> impl Iterator<Item = Record> {
        let mut dice = Dice(1);
        let credentials = (0..self.holders()).map(move |n| Record::Credential(self.credential(n, hasher)));
        let grants = (0..self.grants).map(move |n| {
            // A number coprime to the sizes walks through all of them.
            let n = (u64::from(n) * 7_368_787 % u64::from(self.grants)) as u32;
            Record::Grant(self.grant(n, &mut dice))
        });
        credentials.chain(grants)
    }

    /// The same as the wire has them.
    pub fn texts(self) -> impl Iterator<Item = String> {
        // In the feed a card comes with its UID; what that hashes to is nobody's business here.
        let hasher = UidHasher::new(&[7; 32]);
        let records: Vec<Record> = self.records(&hasher).collect();
        (0..).zip(records).map(|(n, record)| text(n, &record))
    }
}

pub fn at(from_now_s: i64) -> At {
    At::from_parts(NOW_S + from_now_s, 0).unwrap()
}

pub fn uid(n: u32) -> Uid {
    let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
    Uid::new(&[4, a, b, c, d, 0x80, 0x81]).unwrap()
}

/// Four entrances, 12 floors of five rooms each.
pub fn door(n: u32) -> (DoorId, Vec<ZoneId>) {
    let zone = |text: String| ZoneId::new(&text).unwrap();
    match n {
        0..4 => (DoorId::new(&format!("entrance-{n}")).unwrap(), vec![zone("perimeter".into())]),
        _ => {
            let (floor, id) = ((n - 4) / 5, format!("room-{n}"));
            (DoorId::new(&id).unwrap(), vec![zone(format!("floor-{floor}")), zone(id)])
        }
    }
}

fn zones(role: Role, dice: &mut Dice) -> Vec<ZoneId> {
    let room = 4 + dice.roll(DOORS - 4);
    let own = [format!("floor-{}", (room - 4) / 5), format!("room-{room}")];
    let perimeter = (role != Role::WrongDoor).then(|| "perimeter".to_owned());
    perimeter.into_iter().chain(own).map(|text| ZoneId::new(&text).unwrap()).collect()
}

/// One of a dozen shifts, in local time; some are on now, some not.
fn shift(holder: u32) -> Schedule {
    let from = (4 + holder / 20 % 12 * 2) as u16 % 24 * 60;
    let weekdays = Interval { days: 0b1_1111, from_min: from, to_min: (from + 8 * 60) % (24 * 60) };
    Schedule(vec![weekdays, Interval { days: 0b110_0000, from_min: 8 * 60, to_min: 12 * 60 }])
}

/// A record as JSON; `n`: the number of the card, where it is one.
fn text(n: u32, record: &Record) -> String {
    let some = |at: Option<At>| at.map(|at| at.to_string());
    let all = match record {
        Record::Credential(c) => json!({ "type": "credential", "id": c.id.as_str(), "uid": uid(n).reveal(),
            "holder": c.holder.as_str(), "status": c.status.as_str(), "valid_from": some(c.valid_from),
            "valid_until": some(c.valid_until) }),
        Record::Grant(g) => json!({ "type": "grant", "id": g.id.as_str(), "kind": g.kind.as_str(),
            "holder": g.holder.as_str(), "zones": g.zones, "starts_at": some(g.starts_at),
            "ends_at": some(g.ends_at), "booked_at": some(g.booked_at), "booking": g.booking,
            "capacity": g.capacity, "schedule": g.schedule.as_ref().map(days) }),
        Record::Policy(_) => unreachable!("there is none among the people"),
    };
    // What is not there is left out, as central leaves it out.
    let Value::Object(all) = all else { unreachable!("written so above") };
    Value::Object(all.into_iter().filter(|(_, value)| !value.is_null()).collect()).to_string()
}

fn days(schedule: &Schedule) -> Vec<Value> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let interval = |i: &Interval| {
        let days: Vec<&str> = (0..7).filter(|n| i.days >> n & 1 == 1).map(|n| NAMES[n]).collect();
        json!({ "days": days, "from": time(i.from_min), "to": time(i.to_min) })
    };
    schedule.0.iter().map(interval).collect()
}
