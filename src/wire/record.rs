//! The feed's records (wire, "Records"): JSON to domain, checked; the UID becomes its hash on the way in.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value;

use super::{
    UidHasher,
    fields::{FieldError, Fields},
};
use crate::domain::{
    BookingId, Credential, CredentialId, DoorId, Grant, GrantId, HolderId, Interval, Kind, Policy, Record,
    RecordKey, Schedule, Status, Uid, ZoneId,
    policy::{Exception, Margins, NaiveDateKey},
    zone::DAY_MIN,
};

const TYPES: &str = "credential, grant, policy";
const HH_MM: &str = "a wall time, 00:00 to 24:00";
/// Longest label a credential may carry, in bytes: it is shown to technicians, and kept in memory.
const MAX_LABEL: usize = 256;

/// Reads and checks a record.
pub fn record(value: &Value, hasher: &UidHasher) -> Result<Record, FieldError> {
    let fields = Fields::of(value, "record")?;
    match fields.text("type")? {
        "credential" => credential(fields, hasher).map(Record::Credential),
        "grant" => grant(fields).map(Record::Grant),
        "policy" => policy(fields).map(Record::Policy),
        other => Err(unknown("type", other, TYPES)),
    }
}

/// Reads which record a `delete` names.
pub fn key(value: &Value) -> Result<RecordKey, FieldError> {
    let fields = Fields::of(value, "delete")?;
    match fields.text("type")? {
        "credential" => fields.id("id", CredentialId::new).map(RecordKey::Credential),
        "grant" => fields.id("id", GrantId::new).map(RecordKey::Grant),
        "policy" => policy_id(fields).map(|()| RecordKey::Policy),
        other => Err(unknown("type", other, TYPES)),
    }
}

fn unknown(field: &'static str, value: &str, expected: &'static str) -> FieldError {
    FieldError::Unknown { field, value: value.chars().take(40).collect(), expected }
}

fn policy_id(fields: Fields<'_>) -> Result<(), FieldError> {
    match fields.text("id")? {
        "site" => Ok(()),
        other => Err(unknown("id", other, "site")),
    }
}

fn credential(fields: Fields<'_>, hasher: &UidHasher) -> Result<Credential, FieldError> {
    let uid = Uid::parse(fields.text("uid")?)
        .map_err(|_| FieldError::Wrong { field: "uid", expected: "4 to 10 bytes in hexadecimal" })?;
    let status = fields.text("status")?;
    let status = Status::ALL
        .into_iter()
        .find(|s| s.as_str() == status)
        .ok_or_else(|| unknown("status", status, "issued, active, suspended, lost, revoked"))?;
    let label = fields.optional_text("label")?;
    if label.is_some_and(|l| l.len() > MAX_LABEL) {
        return Err(FieldError::Wrong { field: "label", expected: "a text of at most 256 bytes" });
    }
    Ok(Credential {
        id: fields.id("id", CredentialId::new)?,
        uid: Some(hasher.hash(&uid)),
        holder: fields.id("holder", HolderId::new)?,
        status,
        valid_from: fields.at("valid_from")?,
        valid_until: fields.at("valid_until")?,
        label: label.map(str::to_owned),
        extended_time: fields.flag("extended_time")?,
    })
}

fn grant(fields: Fields<'_>) -> Result<Grant, FieldError> {
    let kind = fields.text("kind")?;
    let kind = Kind::ALL
        .into_iter()
        .find(|k| k.as_str() == kind)
        .ok_or_else(|| unknown("kind", kind, "room, desk, guest, standing"))?;
    let most = u64::from(u32::MAX);
    let grant = Grant {
        id: fields.id("id", GrantId::new)?,
        kind,
        holder: fields.id("holder", HolderId::new)?,
        doors: fields.ids("doors", DoorId::new)?,
        zones: fields.ids("zones", ZoneId::new)?,
        starts_at: fields.at("starts_at")?,
        ends_at: fields.at("ends_at")?,
        booked_at: fields.at("booked_at")?,
        not_before: fields.at("not_before")?,
        not_after: fields.at("not_after")?,
        booking: fields.optional_id("booking", BookingId::new)?,
        capacity: fields
            .optional_number("capacity", 1, most, "a whole number, 1 or more")?
            .and_then(|n| u32::try_from(n).ok()),
        schedule: fields.get("schedule").map(|v| schedule(v, "schedule")).transpose()?,
        override_lockdown: fields.flag("override_lockdown")?,
    };
    check_grant(&grant)?;
    Ok(grant)
}

fn check_grant(grant: &Grant) -> Result<(), FieldError> {
    if grant.doors.is_empty() && grant.zones.is_empty() {
        return Err(FieldError::Rule("a grant lists at least one door or zone"));
    }
    if grant.kind != Kind::Standing {
        grant.starts_at.ok_or(FieldError::Missing("starts_at"))?;
        grant.ends_at.ok_or(FieldError::Missing("ends_at"))?;
        if grant.schedule.is_some() {
            return Err(FieldError::Rule("only a standing grant has a `schedule`"));
        }
    }
    if matches!((grant.starts_at, grant.ends_at), (Some(s), Some(e)) if s >= e) {
        return Err(FieldError::Rule("`starts_at` is not before `ends_at`"));
    }
    if grant.kind == Kind::Guest && grant.booking.is_none() {
        return Err(FieldError::Missing("booking"));
    }
    Ok(())
}

fn policy(fields: Fields<'_>) -> Result<Policy, FieldError> {
    policy_id(fields)?;
    let exceptions = fields.list("exceptions")?.unwrap_or_default();
    Ok(Policy {
        room: margins(fields, "room", Margins::ROOM)?,
        desk: margins(fields, "desk", Margins::DESK)?,
        guest: margins(fields, "guest", Margins::NONE)?,
        opening_hours: fields.get("opening_hours").map(|v| schedule(v, "opening_hours")).transpose()?,
        staffed_hours: fields.get("staffed_hours").map(|v| schedule(v, "staffed_hours")).transpose()?,
        exceptions: exceptions.iter().map(exception).collect::<Result<BTreeMap<_, _>, _>>()?,
    })
}

fn margins(fields: Fields<'_>, kind: &'static str, default: Margins) -> Result<Margins, FieldError> {
    let Some(value) = fields.get(kind) else { return Ok(default) };
    let own = Fields::of(value, kind)?;
    let seconds = |field, default| {
        own.optional_number(field, 0, u64::from(Margins::MAX_S), "a number of seconds, 0 to 86400")
            .map(|n| n.map_or(default, |n| n as u32))
    };
    Ok(Margins {
        opens_before_s: seconds("opens_before_s", default.opens_before_s)?,
        closes_after_s: seconds("closes_after_s", default.closes_after_s)?,
        min_notice_s: seconds("min_notice_s", default.min_notice_s)?,
    })
}

fn exception(value: &Value) -> Result<(NaiveDateKey, Exception), FieldError> {
    let fields = Fields::of(value, "exceptions")?;
    let date: NaiveDate = fields
        .text("date")?
        .parse()
        .map_err(|_| FieldError::Wrong { field: "date", expected: "a date such as 2026-12-24" })?;
    let exception = Exception {
        name: fields.optional_text("name")?.map(str::to_owned),
        opening_hours: spans(fields, "opening_hours")?,
        staffed_hours: spans(fields, "staffed_hours")?,
    };
    Ok((NaiveDateKey::from(date), exception))
}

/// `[["09:00","12:00"]]`
fn spans(fields: Fields<'_>, field: &'static str) -> Result<Option<Vec<(u16, u16)>>, FieldError> {
    let wrong = || FieldError::Wrong { field, expected: "a list of pairs of wall times" };
    let Some(list) = fields.list(field)? else { return Ok(None) };
    let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([from, to]) => Ok((
            minute(from.as_str(), DAY_MIN - 1).ok_or_else(wrong)?,
            minute(to.as_str(), DAY_MIN).ok_or_else(wrong)?,
        )),
        _ => Err(wrong()),
    };
    list.iter().map(pair).collect::<Result<_, _>>().map(Some)
}

/// A list of `{"days":["mon","tue"],"from":"07:00","to":"19:00"}`.
pub fn schedule(value: &Value, field: &'static str) -> Result<Schedule, FieldError> {
    let list = value.as_array().ok_or(FieldError::Wrong { field, expected: "a list of intervals" })?;
    list.iter().map(interval).collect::<Result<_, _>>().map(Schedule)
}

fn interval(value: &Value) -> Result<Interval, FieldError> {
    let fields = Fields::of(value, "schedule")?;
    let mut days = 0;
    for day in fields.list("days")?.ok_or(FieldError::Missing("days"))? {
        days |= 1 << weekday(day.as_str().unwrap_or_default())?;
    }
    let time = |field, most| {
        minute(Some(fields.text(field)?), most).ok_or(FieldError::Wrong { field, expected: HH_MM })
    };
    Ok(Interval { days, from_min: time("from", DAY_MIN - 1)?, to_min: time("to", DAY_MIN)? })
}

fn weekday(name: &str) -> Result<u8, FieldError> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    NAMES
        .iter()
        .position(|n| *n == name)
        .map(|n| n as u8)
        .ok_or_else(|| unknown("days", name, "mon, tue, wed, thu, fri, sat, sun"))
}

/// `HH:MM` as minutes since midnight, if not later than `most`.
fn minute(text: Option<&str>, most: u16) -> Option<u16> {
    let two =
        |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u16>().ok());
    let (hours, minutes) = text?.split_once(':')?;
    let (hours, minutes) = (two(hours)??, two(minutes)??);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= most).then_some(total)
}
