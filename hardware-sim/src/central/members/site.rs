//! What there is to sell: locations with their hours, rooms and desks, the plans, and the members known from the start.
//!
//! It is a TOML file that people write (`--site FILE`); everything that happens afterwards is in the books. A location is a
//! controller: its id is the controller's, and its zones mean nothing anywhere else.

use super::calendar::{Exception, Interval};
use crate::uid::CardUid;
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Room credits a month, unless the plan says otherwise.
const CREDITS_A_MONTH: u32 = 5;

/// Why a site file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The system's reason.
    #[error("site file {path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No TOML, or a key or value nobody knows.
    #[error("site file {path}: {why}")]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, and what the reader of TOML says.
        why: String,
    },
    /// Well written, and contradicts itself.
    #[error("site file {path}: {why}")]
    Sense {
        /// The file.
        path: PathBuf,
        /// All of it, one a line.
        why: String,
    },
}

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What members pay for; without any there is one, `member`.
    #[serde(default)]
    pub plans: Vec<Plan>,
    /// Each is a controller.
    pub locations: Vec<Location>,
    /// Who is a member already.
    #[serde(default)]
    pub members: Vec<KnownMember>,
}

/// What a membership includes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The plan's name.
    pub id: String,
    /// Credits included in each month. What is left of them is gone with the month.
    #[serde(default = "credits_a_month")]
    pub credits_a_month: u32,
    /// What a credit beyond them costs, in whole `currency`.
    #[serde(default)]
    pub credit_price: u32,
    /// Of the price.
    #[serde(default)]
    pub currency: String,
}

fn credits_a_month() -> u32 {
    CREDITS_A_MONTH
}

/// One location: one controller, one feed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// The controller's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its IANA time zone: days, hours and months are its own.
    #[serde(deserialize_with = "time_zone")]
    pub time_zone: Tz,
    /// The zones that every booking opens beside its own: the way in.
    pub perimeter: Vec<String>,
    /// Open around the clock: bookings may lie at any time.
    #[serde(default)]
    pub open_24h: bool,
    /// Otherwise, when.
    #[serde(default)]
    pub opening_hours: Vec<Interval>,
    /// When somebody is at the front desk.
    #[serde(default = "Interval::office_hours")]
    pub staffed_hours: Vec<Interval>,
    /// Days that are not like their weekday.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
    /// Meeting rooms.
    #[serde(default)]
    pub rooms: Vec<Room>,
    /// Desks.
    #[serde(default)]
    pub desks: Vec<Desk>,
}

/// A meeting room.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Its id at the location.
    pub id: String,
    /// The zone its door lies in.
    pub zone: String,
    /// How many people, the host included.
    pub capacity: u32,
    /// Credits for each hour begun.
    #[serde(default = "one")]
    pub credits_per_hour: u32,
}

fn one() -> u32 {
    1
}

/// A desk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desk {
    /// Its id at the location.
    pub id: String,
    /// The zone it stands in.
    pub zone: String,
}

/// A member the file knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownMember {
    /// The holder's id.
    pub id: String,
    /// What people call them.
    #[serde(default)]
    pub name: String,
    /// Their location.
    pub home: String,
    /// Their plan; without one, the first.
    pub plan: Option<String>,
    /// Their cards' numbers.
    #[serde(default)]
    pub cards: Vec<CardUid>,
    /// Whether they have been at the front desk: their cards are active.
    #[serde(default)]
    pub visited: bool,
}

fn time_zone<'de, D: Deserializer<'de>>(from: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(from)?;
    let wrong = || serde::de::Error::custom(format!("{name} is no IANA time zone, such as Europe/Oslo"));
    name.parse().map_err(|_| wrong())
}

impl Site {
    /// Reads and checks a site file.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn read(path: &Path) -> Result<Site, SiteError> {
        let read = |source| SiteError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        // The reader's own text quotes the line, and there may be a card's number in it.
        let form = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let why = format!("line {}: {}", before.matches('\n').count() + 1, error.message());
            SiteError::Form { path: path.to_owned(), why }
        };
        let site: Site = toml::from_str(&text).map_err(form)?;
        let site = site.with_a_plan();
        let faults = site.faults();
        if faults.is_empty() {
            return Ok(site);
        }
        Err(SiteError::Sense { path: path.to_owned(), why: faults.join("\n") })
    }

    /// The same, with a plan if it had none.
    #[must_use]
    pub fn with_a_plan(mut self) -> Site {
        if self.plans.is_empty() {
            self.plans.push(Plan {
                id: "member".to_owned(),
                credits_a_month: CREDITS_A_MONTH,
                credit_price: 0,
                currency: String::new(),
            });
        }
        self
    }

    /// The location with that id.
    #[must_use]
    pub fn location(&self, id: &str) -> Option<&Location> {
        self.locations.iter().find(|location| location.id == id)
    }

    /// The plan with that name, or the first.
    #[must_use]
    pub fn plan(&self, id: Option<&str>) -> Option<&Plan> {
        match id {
            Some(id) => self.plans.iter().find(|plan| plan.id == id),
            None => self.plans.first(),
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = twice("plan", self.plans.iter().map(|plan| plan.id.as_str()));
        faults.extend(twice("location", self.locations.iter().map(|location| location.id.as_str())));
        faults.extend(twice("member", self.members.iter().map(|member| member.id.as_str())));
        let cards: Vec<String> =
            self.members.iter().flat_map(|member| &member.cards).map(ToString::to_string).collect();
        if cards.iter().collect::<BTreeSet<_>>().len() < cards.len() {
            faults.push("a card's number is there twice; a card is one person's".to_owned());
        }
        for location in &self.locations {
            let of = format!("of location {}", location.id);
            faults.extend(twice(&format!("room {of}"), location.rooms.iter().map(|room| room.id.as_str())));
            faults.extend(twice(&format!("desk {of}"), location.desks.iter().map(|desk| desk.id.as_str())));
            if location.perimeter.is_empty() {
                faults.push(format!("perimeter {of} has no zone; nobody could come in"));
            }
            if !location.open_24h && location.opening_hours.is_empty() {
                faults.push(format!("opening_hours {of} are missing; give some, or open_24h = true"));
            }
            if location.begins_at_24() {
                faults.push(format!(
                    "hours {of} begin at 24:00, which only ends a day; write 00:00 of the next"
                ));
            }
            let empty = location.rooms.iter().filter(|room| room.capacity == 0);
            faults.extend(empty.map(|room| format!("room {} {of} has room for nobody", room.id)));
        }
        for member in &self.members {
            if !is_id(&member.id) {
                faults.push(format!("member {:?} is no id; use 1 to 32 of A-Z a-z 0-9 . _ -", member.id));
            }
            if self.location(&member.home).is_none() {
                faults.push(format!("home {} of member {} is no location here", member.home, member.id));
            }
            if self.plan(member.plan.as_deref()).is_none() {
                faults.push(format!("member {} has a plan that is not here", member.id));
            }
        }
        faults
    }
}

fn twice<'a>(what: &str, ids: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids.filter(|id| !seen.insert(*id)).map(|id| format!("{what} {id} is there twice")).collect()
}

/// Half of what the wire allows, so that a booking's and a card's ids can be made of it.
pub(super) fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}
