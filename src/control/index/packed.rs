//! How one holder's credentials and grants lie in memory: one run of bytes, about 33 a grant.
//!
//! A million grants as structs with owned texts would be 300 MB. Written by this file only, so a reader that runs off
//! the end has met a defect here; it ends the iteration, and the property tests compare with the records put in.
//!
//! ```text
//!  holder:     id  (item)*                    id: length byte, ASCII; or 0xFF, the 16 bytes of a UUID
//!  item:       length, kind byte, body        numbers: LEB128; instants: see `put_at`
//!  credential: id  uid(16)? flags from? until? label?
//!  grant:      id  flags cover instants* booking? capacity? schedule?
//! ```

use super::name::{self, Name};
use crate::domain::{At, Credential, Grant, Kind, Status, UidHash};

/// Instants are kept relative to this one (2026-01-01), which makes those near it short.
const BASE_S: i64 = 1_767_225_600;

const CREDENTIAL: u8 = 0;
const GRANT: u8 = 1;
/// In place of an id's length, which is 64 at most.
const UUID: u8 = 0xFF;

/// A credential as it lies in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialView<'a> {
    pub id: Name<'a>,
    pub uid: Option<UidHash>,
    pub status: Status,
    pub valid_from: Option<At>,
    pub valid_until: Option<At>,
    pub label: Option<&'a str>,
    pub extended_time: bool,
}

/// A grant as it lies in a run; `cover` and `schedule` are the index's numbers for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantView<'a> {
    pub id: Name<'a>,
    pub kind: Kind,
    pub override_lockdown: bool,
    pub cover: u32,
    pub starts_at: Option<At>,
    pub ends_at: Option<At>,
    pub booked_at: Option<At>,
    pub not_before: Option<At>,
    pub not_after: Option<At>,
    pub booking: Option<Name<'a>>,
    pub capacity: Option<u32>,
    pub schedule: Option<u32>,
}

/// One thing of a holder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Credential(CredentialView<'a>),
    Grant(GrantView<'a>),
}

/// Begins a run for a holder.
pub fn holder(id: &str) -> Vec<u8> {
    let mut run = Vec::with_capacity(id.len() + 1);
    put_name(&mut run, id);
    run
}

/// Whose run this is, and the items behind it.
pub fn open(run: &[u8]) -> (Name<'_>, Items<'_>) {
    let mut cursor = Cursor(run);
    let id = cursor.name().unwrap_or(Name::of_text(""));
    (id, Items(cursor))
}

/// The run without the item of this kind and id, or `None` when it is not there.
pub fn without(run: &[u8], kind: ItemKind, id: &str) -> Option<Vec<u8>> {
    let mut items = open(run).1;
    loop {
        let before = run.len() - items.0.0.len();
        let (tag, body) = items.raw()?;
        if tag == kind as u8 && Cursor(body).name()?.is(id) {
            let after = run.len() - items.0.0.len();
            return Some([run.get(..before)?, run.get(after..)?].concat());
        }
    }
}

/// The run with another status of this credential, or `None` when it is not there.
pub fn with_status(run: &[u8], id: &str, status: Status) -> Option<Vec<u8>> {
    let mut items = open(run).1;
    loop {
        let (tag, body) = items.raw()?;
        let mut body = Cursor(body);
        if tag == CREDENTIAL && body.name()?.is(id) {
            // Behind the id: the byte whose lowest bits are the status.
            let flags = run.len() - items.0.0.len() - body.0.len();
            let mut changed = run.to_vec();
            let byte = changed.get_mut(flags)?;
            let position = Status::ALL.iter().position(|s| *s == status).unwrap_or(0) as u8;
            *byte = (*byte & !0b111) + position;
            return Some(changed);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ItemKind {
    Credential = CREDENTIAL,
    Grant = GRANT,
}

pub fn credential(c: &Credential) -> Vec<u8> {
    let mut out = vec![CREDENTIAL];
    put_name(&mut out, c.id.as_str());
    let status = Status::ALL.iter().position(|s| *s == c.status).unwrap_or(0) as u8;
    out.push(
        status
            + bit(3, c.uid.is_some())
            + bit(4, c.valid_from.is_some())
            + bit(5, c.valid_until.is_some())
            + bit(6, c.label.is_some())
            + bit(7, c.extended_time),
    );
    if let Some(uid) = c.uid {
        out.extend_from_slice(&uid.0);
    }
    let mut base = BASE_S;
    for t in [c.valid_from, c.valid_until].into_iter().flatten() {
        base = put_at(&mut out, base, t);
    }
    if let Some(label) = &c.label {
        put_number(&mut out, label.len() as u64);
        out.extend_from_slice(label.as_bytes());
    }
    framed(&out)
}

pub fn grant(g: &Grant, cover: u32, schedule: Option<u32>) -> Vec<u8> {
    let mut out = vec![GRANT];
    put_name(&mut out, g.id.as_str());
    let instants = [g.starts_at, g.ends_at, g.booked_at, g.not_before, g.not_after];
    let kind = Kind::ALL.iter().position(|k| *k == g.kind).unwrap_or(0) as u16;
    let bounds: u16 = instants.iter().zip(2..).map(|(t, n)| u16::from(t.is_some()) << n).sum();
    let flags = kind
        + bounds
        + (u16::from(g.override_lockdown) << 7)
        + (u16::from(g.booking.is_some()) << 8)
        + (u16::from(g.capacity.is_some()) << 9)
        + (u16::from(schedule.is_some()) << 10);
    out.extend_from_slice(&flags.to_le_bytes());
    put_number(&mut out, u64::from(cover));
    let mut base = BASE_S;
    for t in instants.into_iter().flatten() {
        base = put_at(&mut out, base, t);
    }
    if let Some(booking) = &g.booking {
        put_name(&mut out, booking.as_str());
    }
    for n in [g.capacity, schedule].into_iter().flatten() {
        put_number(&mut out, u64::from(n));
    }
    framed(&out)
}

fn bit(n: u8, set: bool) -> u8 {
    u8::from(set) << n
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 2);
    put_number(&mut out, body.len() as u64);
    out.extend_from_slice(body);
    out
}

fn put_name(out: &mut Vec<u8>, text: &str) {
    if let Some(bytes) = name::packed(text) {
        out.push(UUID);
        out.extend_from_slice(&bytes);
    } else {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
}

fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Seconds from `base`, zigzag, with the lowest bit set when nanoseconds follow. Returns the base for the next one.
fn put_at(out: &mut Vec<u8>, base: i64, t: At) -> i64 {
    let delta = t.secs() - base;
    let zigzag = ((delta << 1) ^ (delta >> 63)) as u64;
    put_number(out, (zigzag << 1) + u64::from(t.nanos() != 0));
    if t.nanos() != 0 {
        put_number(out, u64::from(t.nanos()));
    }
    t.secs()
}

/// Reads a run from front to back.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a>(Cursor<'a>);

impl<'a> Items<'a> {
    fn raw(&mut self) -> Option<(u8, &'a [u8])> {
        let len = self.0.number()? as usize;
        let (&tag, body) = self.0.take(len)?.split_first()?;
        Some((tag, body))
    }

    /// The bodies of the items of one kind; the others are stepped over unread.
    fn of(mut self, kind: ItemKind) -> impl Iterator<Item = Cursor<'a>> {
        std::iter::from_fn(move || self.raw())
            .filter(move |(tag, _)| *tag == kind as u8)
            .map(|(_, body)| Cursor(body))
    }

    pub fn credentials(self) -> impl Iterator<Item = CredentialView<'a>> {
        self.of(ItemKind::Credential).map_while(Cursor::credential)
    }

    pub fn grants(self) -> impl Iterator<Item = GrantView<'a>> {
        self.of(ItemKind::Grant).map_while(Cursor::grant)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self.raw()? {
            (CREDENTIAL, body) => Cursor(body).credential().map(Item::Credential),
            (_, body) => Cursor(body).grant().map(Item::Grant),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    fn take_array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(front)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&b, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(b)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            n += u64::from(b & 0x7F) << shift;
            if b & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn str(&mut self, len: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn name(&mut self) -> Option<Name<'a>> {
        match self.byte()? {
            UUID => Some(Name::of_uuid(self.take_array()?)),
            len => Some(Name::of_text(self.str(usize::from(len))?)),
        }
    }

    /// Outside `Option` of the flag: `None` is a run that ended too soon.
    fn at(&mut self, present: bool, base: &mut i64) -> Option<Option<At>> {
        if !present {
            return Some(None);
        }
        let n = self.number()?;
        let zigzag = n >> 1;
        let secs = *base + ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        let nanos = if n & 1 == 1 { self.number()? as u32 } else { 0 };
        *base = secs;
        Some(At::from_parts(secs, nanos))
    }

    fn optional_number(&mut self, present: bool) -> Option<Option<u32>> {
        if present { self.number().map(|n| Some(n as u32)) } else { Some(None) }
    }

    fn credential(mut self) -> Option<CredentialView<'a>> {
        let id = self.name()?;
        let flags = self.byte()?;
        let has = |n: u8| flags >> n & 1 == 1;
        let uid = if has(3) { Some(UidHash(*self.take_array()?)) } else { None };
        let mut base = BASE_S;
        let valid_from = self.at(has(4), &mut base)?;
        let valid_until = self.at(has(5), &mut base)?;
        let label = if has(6) {
            let len = self.number()? as usize;
            Some(self.str(len)?)
        } else {
            None
        };
        let status = *Status::ALL.get(usize::from(flags & 7))?;
        Some(CredentialView { id, uid, status, valid_from, valid_until, label, extended_time: has(7) })
    }

    fn grant(mut self) -> Option<GrantView<'a>> {
        let id = self.name()?;
        let flags = u16::from_le_bytes(*self.take_array()?);
        let has = |n: u16| flags >> n & 1 == 1;
        let cover = self.number()? as u32;
        let mut base = BASE_S;
        let mut at = |n| self.at(has(n), &mut base);
        let (starts_at, ends_at, booked_at, not_before, not_after) = (at(2)?, at(3)?, at(4)?, at(5)?, at(6)?);
        let booking = if has(8) { Some(self.name()?) } else { None };
        let capacity = self.optional_number(has(9))?;
        let schedule = self.optional_number(has(10))?;
        let kind = *Kind::ALL.get(usize::from(flags & 3))?;
        Some(GrantView {
            id,
            kind,
            override_lockdown: has(7),
            cover,
            starts_at,
            ends_at,
            booked_at,
            not_before,
            not_after,
            booking,
            capacity,
            schedule,
        })
    }
}
