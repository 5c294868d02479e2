//! Random sites for the properties: doors, cards, grants, calendars and taps, crowded around the instants at which an
//! answer changes. Ids come from small sets, so that records meet, replace and contradict each other.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::{Duration, Offset as _};
use chrono_tz::Tz;
use proptest::{collection::vec, option::weighted, prelude::*, sample::Index as Pick, sample::select};
use serde_json::{Value, json};

use hardware_sim::naive::{Instant, Site, Tap, apply, instant, windows, written};

#[derive(Debug, Clone)]
pub struct World {
    pub site: Site,
    pub taps: Vec<Tap>,
}

/// A site without records, and a feed that fills it: each change as `{"put"}` or `{"delete"}`.
#[derive(Debug, Clone)]
pub struct Fed {
    pub site: Site,
    pub changes: Vec<Value>,
    pub taps: Vec<Tap>,
}

const ZONES: [Tz; 7] = [
    Tz::Europe__Oslo,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::America__Santiago,
    Tz::Asia__Kathmandu,
    Tz::UTC,
];

const UIDS: [&str; 7] = [
    "04000000000001",
    "04a1b2c3",
    "0102030405060708090A",
    "08123456789ABC",
    "0004A1B2C3",
    // made up for each tap
    "08123456",
    // nobody's
    "04FFFFFFFFFFFF",
];

const DOORS: [&str; 4] = ["entrance", "floor-2", "gym", "room-4"];
/// Numbers of the bookings there are.
pub const BOOKINGS: std::ops::Range<i32> = 0..2;
const PLACES: [&str; 6] = ["perimeter", "rooms", "amenities", "room-4", "nowhere", "floor"];

/// The instants around which a zone's worlds lie: its clock changes, and an ordinary Monday.
static ANCHORS: LazyLock<Vec<(Tz, Instant)>> = LazyLock::new(|| {
    let monday: Instant = "2026-11-23T09:00:00Z".parse().unwrap();
    let ordinary = ZONES.into_iter().map(|zone| (zone, monday));
    let changing = ZONES.into_iter().flat_map(|zone| {
        // 2011: Samoa crosses the date line.
        let years = ["2011-12-01T00:00:00Z", "2026-01-01T00:00:00Z"];
        years.into_iter().flat_map(move |from| changes(zone, from.parse().unwrap())).map(move |at| (zone, at))
    });
    ordinary.chain(changing).collect()
});

fn changes(zone: Tz, from: Instant) -> Vec<Instant> {
    let offset = |at: Instant| at.with_timezone(&zone).offset().fix();
    let half_hours = (0..365 * 48).map(|n| from + Duration::minutes(30 * n));
    half_hours.filter(|at| offset(*at) != offset(*at - Duration::minutes(30))).collect()
}

fn jitter() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => Just(Duration::zero()),
        2 => select(vec![-1, 1]).prop_map(Duration::milliseconds),
        2 => select(vec![-1, 1]).prop_map(Duration::seconds),
        1 => (-90_000_i64..90_000).prop_map(Duration::milliseconds),
    ]
}

/// An instant of a record: within three days of the anchor, mostly on the hour, so that many meet.
fn near(anchor: Instant) -> impl Strategy<Value = Instant> {
    let jitter = prop_oneof![9 => Just(Duration::zero()), 1 => jitter()];
    let quarters = prop_oneof![2 => (-40_i64..40).prop_map(|hours| 4 * hours), 1 => -300_i64..300];
    (quarters, jitter).prop_map(move |(quarters, by)| anchor + Duration::minutes(15 * quarters) + by)
}

/// A bound of a standing grant: now and then as far away as the calendar goes.
fn bound(anchor: Instant) -> impl Strategy<Value = Instant> {
    let far = ["2031-02-03T04:05:06.789Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"];
    prop_oneof![
        8 => near(anchor),
        1 => select(far.map(|t| t.parse::<Instant>().unwrap()).to_vec()),
    ]
}

fn optional(chance: f64, at: impl Strategy<Value = Instant>) -> impl Strategy<Value = Value> {
    weighted(chance, at).prop_map(|at| at.map_or(Value::Null, written))
}

fn text(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// A wall time; the clocks change between midnight and three.
fn minute() -> impl Strategy<Value = u32> {
    prop_oneof![4 => (0..96_u32).prop_map(|q| q * 15), 2 => 0..240_u32, 1 => 0..1440_u32]
}

/// From and to; now and then equal, to midnight by either name, or into the next day.
fn hours() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        8 => (minute(), minute()),
        1 => minute().prop_map(|m| (m, m)),
        1 => (minute(), select(vec![0, 1440])),
    ]
    .prop_map(|(from, to)| (text(from), text(to)))
}

fn schedule() -> impl Strategy<Value = Value> {
    let days = prop_oneof![1 => Just(127_u8), 1 => (0..7).prop_map(|n| 1_u8 << n), 2 => 1..128_u8];
    let interval = (days, hours()).prop_map(|(days, (from, to))| {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let days: Vec<_> = (0..7).filter(|n| days >> n & 1 == 1).map(|n| names[n]).collect();
        json!({ "days": days, "from": from, "to": to })
    });
    (vec(interval, 1..4), prop::bool::weighted(0.05))
        .prop_map(|(intervals, is_empty)| Value::from(if is_empty { Vec::new() } else { intervals }))
}

fn margins() -> impl Strategy<Value = Value> {
    let seconds = || weighted(0.5, select(vec![0, 60, 900, 1800, 3600, 20_000, 86_400]));
    (seconds(), seconds(), seconds()).prop_map(|(before, after, notice)| {
        json!({ "opens_before_s": before, "closes_after_s": after, "min_notice_s": notice })
    })
}

fn policy(zone: Tz, anchor: Instant) -> impl Strategy<Value = Value> {
    let today = anchor.with_timezone(&zone).date_naive();
    let exception = weighted(0.8, vec(hours(), 0..3));
    let exceptions = proptest::collection::btree_map(-3_i64..4, exception, 0..3);
    let of = |chance, s| weighted(chance, s);
    (of(0.5, margins()), of(0.5, margins()), of(0.3, margins()), weighted(0.7, schedule()), exceptions)
        .prop_map(move |(room, desk, guest, opening_hours, exceptions): (_, _, _, _, BTreeMap<_, _>)| {
            let exceptions: Vec<Value> = exceptions
                .into_iter()
                .map(|(day, hours)| {
                    json!({ "date": (today + Duration::days(day)).to_string(), "opening_hours": hours })
                })
                .collect();
            json!({ "type": "policy", "id": "site", "room": room, "desk": desk, "guest": guest,
                    "opening_hours": opening_hours, "exceptions": exceptions })
        })
}

fn credential(anchor: Instant) -> impl Strategy<Value = Value> {
    let status =
        prop_oneof![12 => Just("active"), 4 => select(vec!["issued", "suspended", "lost", "revoked"])];
    let label = weighted(0.2, "[a-zæøå ]{0,40}");
    let uid = select(&UIDS[..UIDS.len() - 1]);
    (0..6, uid, 0..4, status, optional(0.15, near(anchor)), optional(0.15, near(anchor)), label).prop_map(
        |(id, uid, holder, status, from, until, label)| {
            json!({ "type": "credential", "id": name("c", id), "uid": uid, "holder": name("h", holder),
                    "status": status, "valid_from": from, "valid_until": until, "label": label })
        },
    )
}

/// Ids of either form in which an index keeps them.
pub fn name(what: &str, n: i32) -> String {
    if n % 2 == 0 {
        format!("{what}-{n}")
    } else {
        format!("0d9c2b64-5f1e-4c0a-9b7d-00000000{:02x}{n:02}", what.as_bytes()[0])
    }
}

/// Ids whose order byte by byte is not that of their numbers, nor of a dictionary.
fn grant_id() -> impl Strategy<Value = String> {
    let uuid = "0d9c2b64-5f1e-4c0a-9b7d-00000000000";
    (select(vec!["g-", "G-", "g_", "g:1", uuid, &uuid[1..], "0D9C2B64-5F1E-4C0A-9B7D-00000000000"]), 0..12)
        .prop_map(|(head, n)| format!("{head}{n}"))
}

fn places() -> impl Strategy<Value = (Vec<&'static str>, Vec<&'static str>)> {
    let two = |from: &'static [&'static str]| vec(select(from), 0..3);
    (two(&DOORS), two(&PLACES)).prop_map(|(doors, zones)| {
        if doors.is_empty() && zones.is_empty() { (doors, vec!["perimeter"]) } else { (doors, zones) }
    })
}

fn grant(anchor: Instant) -> impl Strategy<Value = Value> {
    let booking = || BOOKINGS.prop_map(|n| name("b", n));
    let booked = (near(anchor), 1..120_i64, optional(0.4, near(anchor)), weighted(0.7, booking()), booking());
    let booked = (select(vec!["room", "room", "desk", "guest", "guest", "guest"]), booked).prop_map(
        |(kind, (starts, quarters, booked_at, some, always))| {
            let booking = if kind == "guest" { Some(always) } else { some };
            json!({ "kind": kind, "starts_at": written(starts),
                    "ends_at": written(starts + Duration::minutes(15 * quarters)),
                    "booked_at": booked_at, "booking": booking })
        },
    );
    let standing = (optional(0.3, bound(anchor)), optional(0.3, bound(anchor)), weighted(0.5, schedule()))
        .prop_map(|(starts_at, mut ends_at, schedule)| {
            if instant(&ends_at).is_some_and(|end| instant(&starts_at).is_some_and(|start| start >= end)) {
                ends_at = Value::Null;
            }
            json!({ "kind": "standing", "starts_at": starts_at, "ends_at": ends_at, "schedule": schedule })
        });
    let window = prop_oneof![3 => booked, 2 => standing];
    let narrowing = (optional(0.12, near(anchor)), optional(0.12, near(anchor)));
    let rest = (weighted(0.6, 1..5), weighted(0.3, any::<bool>()));
    (grant_id(), 0..4, places(), window, narrowing, rest).prop_map(
        |(id, holder, (doors, zones), mut grant, (not_before, not_after), (capacity, override_lockdown))| {
            let more = json!({ "type": "grant", "id": id, "holder": name("h", holder), "doors": doors,
                "zones": zones, "not_before": not_before, "not_after": not_after, "capacity": capacity,
                "override_lockdown": override_lockdown });
            grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            grant
        },
    )
}

/// A booking with two hosts and two guests: by chance alone they would seldom meet.
fn party(anchor: Instant) -> impl Strategy<Value = Vec<Value>> {
    let capacities = vec(weighted(0.8, 1..5), 2);
    (near(anchor), 8..200_i64, capacities, vec(0..4, 4)).prop_map(
        |(starts, quarters, capacities, holders)| {
            let ends = starts + Duration::minutes(15 * quarters);
            let grant = |(n, holder): (usize, i32)| {
                let (kind, capacity) =
                    if n < 2 { ("room", json!(capacities.get(n))) } else { ("guest", Value::Null) };
                json!({ "type": "grant", "id": format!("p-{n}"), "kind": kind, "holder": name("h", holder),
                    "zones": ["perimeter", "rooms"], "booking": name("b", 0), "capacity": capacity,
                    "starts_at": written(starts), "ends_at": written(ends) })
            };
            holders.into_iter().enumerate().map(grant).collect()
        },
    )
}

fn site(zone: Tz) -> Site {
    let doors = json!([
        { "id": "entrance", "zones": ["perimeter"] },
        { "id": "floor-2", "zones": ["floor", "perimeter"] },
        { "id": "gym", "zones": ["amenities", "perimeter"], "building_hours_only": true },
        { "id": "room-4", "zones": ["rooms", "room-4"], "building_hours_only": true },
    ]);
    Site { zone, doors: doors.as_array().unwrap().clone(), records: Vec::new() }
}

/// Everything about a tap but when: that depends on the records.
type Unscheduled = (Tap, Pick, bool, Duration);

fn tap(anchor: Instant) -> impl Strategy<Value = Unscheduled> {
    let mode = prop_oneof![12 => Just("locked"), 2 => Just("locked_down"), 2 => Just("blocked"),
        2 => select(vec!["unlocked", "accessed", "locked_open"])];
    let let_in = vec((BOOKINGS, 0..4), 0..5);
    let trusted = prop::bool::weighted(0.9);
    let when = (any::<Pick>(), prop::bool::weighted(0.75), jitter());
    let uid = prop_oneof![9 => select(&UIDS[..5]), 1 => select(&UIDS[5..])];
    (select(DOORS.to_vec()), uid, mode, trusted, prop::bool::weighted(0.1), let_in, when).prop_map(
        move |(door, uid, mode, clock_trusted, stale, let_in, (pick, at_edge, by))| {
            let let_in = let_in.into_iter().map(|(b, h)| (name("b", b), name("h", h))).collect();
            let (door, uid, mode) = (door.into(), uid.into(), mode.into());
            (Tap { door, uid, at: anchor, mode, clock_trusted, stale, let_in }, pick, at_edge, by)
        },
    )
}

/// Every instant of the records, and every edge of a window, within ten days of the anchor.
fn edges(site: &Site, records: &[Value], anchor: Instant) -> Vec<Instant> {
    const FIELDS: [&str; 7] =
        ["starts_at", "ends_at", "booked_at", "not_before", "not_after", "valid_from", "valid_until"];
    let policy = records.iter().find(|r| r["type"] == "policy").cloned().unwrap_or(Value::Null);
    let written = records.iter().flat_map(|r| FIELDS.iter().filter_map(|f| instant(&r[*f])));
    let computed = records
        .iter()
        .filter(|r| r["type"] == "grant")
        .flat_map(|grant| windows(site.zone, &policy, grant, anchor))
        .flat_map(|(opens, closes)| opens.into_iter().chain(closes));
    written.chain(computed).filter(|at| (*at - anchor).abs() < Duration::days(10)).collect()
}

fn scheduled(site: &Site, records: &[Value], anchor: Instant, taps: Vec<Unscheduled>) -> Vec<Tap> {
    let edges = edges(site, records, anchor);
    let at = |pick: Pick, at_edge: bool| match edges.is_empty() || !at_edge {
        true => anchor + Duration::minutes(15 * (pick.index(400) as i64 - 200)),
        false => *pick.get(&edges),
    };
    taps.into_iter().map(|(tap, pick, at_edge, by)| Tap { at: at(pick, at_edge) + by, ..tap }).collect()
}

fn anchors() -> impl Strategy<Value = (Tz, Instant)> {
    any::<Pick>().prop_map(|pick| *pick.get(&ANCHORS))
}

/// A site with records, and taps at it.
pub fn world() -> impl Strategy<Value = World> {
    anchors().prop_flat_map(|(zone, anchor)| {
        let few = (
            vec(credential(anchor), 3..9),
            vec(grant(anchor), 1..16),
            weighted(0.7, policy(zone, anchor)),
            weighted(0.3, party(anchor)),
        );
        let records = few
            .prop_map(|(credentials, grants, policy, party)| {
                let party = party.into_iter().flatten();
                credentials.into_iter().chain(grants).chain(policy).chain(party).collect::<Vec<_>>()
            })
            .prop_shuffle();
        (records, vec(tap(anchor), 16)).prop_map(move |(records, taps)| {
            let mut site = site(zone);
            let taps = scheduled(&site, &records, anchor, taps);
            site.records = records;
            World { site, taps }
        })
    })
}

/// A site, a feed of puts, replacements and deletions, and taps at what is left of them.
pub fn fed() -> impl Strategy<Value = Fed> {
    anchors().prop_flat_map(|(zone, anchor)| {
        let gone = |what: &'static str| move |id: String| json!({ "delete": { "type": what, "id": id } });
        let change = prop_oneof![
            8 => grant(anchor).prop_map(|r| json!({ "put": r })),
            5 => credential(anchor).prop_map(|r| json!({ "put": r })),
            1 => policy(zone, anchor).prop_map(|r| json!({ "put": r })),
            3 => grant_id().prop_map(gone("grant")),
            2 => (0..6).prop_map(|n| name("c", n)).prop_map(gone("credential")),
            1 => Just("site".to_owned()).prop_map(gone("policy")),
        ];
        (vec(change, 1..60), vec(tap(anchor), 8)).prop_map(move |(changes, taps)| {
            let (site, mut held) = (site(zone), Vec::new());
            changes.iter().for_each(|change| apply(&mut held, change));
            let taps = scheduled(&site, &held, anchor, taps);
            Fed { site, changes, taps }
        })
    })
}

/// One record of any type, as central sends it.
pub fn record() -> impl Strategy<Value = Value> {
    anchors().prop_flat_map(|(zone, anchor)| {
        prop_oneof![grant(anchor).boxed(), credential(anchor).boxed(), policy(zone, anchor).boxed()]
    })
}
