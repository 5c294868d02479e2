//! The site's margins, hours and calendar, synced like everything else.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Kind, Schedule};

/// How far a kind's window reaches beyond its booking, and how long before it must be booked. Each 0 to 86,400 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Margins {
    pub opens_before_s: u32,
    pub closes_after_s: u32,
    pub min_notice_s: u32,
}

impl Margins {
    pub const NONE: Margins = Margins { opens_before_s: 0, closes_after_s: 0, min_notice_s: 0 };
    pub const ROOM: Margins = Margins { opens_before_s: 1800, closes_after_s: 1800, min_notice_s: 0 };
    pub const DESK: Margins = Margins { opens_before_s: 3600, closes_after_s: 0, min_notice_s: 0 };
    /// Longest margin or notice a policy may set.
    pub const MAX_S: u32 = 86_400;
}

/// What differs on one date; `None` means as on any such weekday.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exception {
    pub name: Option<String>,
    /// Wall-clock intervals in minutes, as in [`super::Interval`].
    pub opening_hours: Option<Vec<(u16, u16)>>,
    pub staffed_hours: Option<Vec<(u16, u16)>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub room: Margins,
    pub desk: Margins,
    pub guest: Margins,
    /// `None`: always open.
    pub opening_hours: Option<Schedule>,
    /// `None`: Monday to Friday 09:00–17:00.
    pub staffed_hours: Option<Schedule>,
    pub exceptions: BTreeMap<NaiveDateKey, Exception>,
}

/// A calendar date, stored as its day number so that binary forms stay small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NaiveDateKey(i32);

impl From<NaiveDate> for NaiveDateKey {
    fn from(date: NaiveDate) -> Self {
        use chrono::Datelike as _;
        NaiveDateKey(date.num_days_from_ce())
    }
}

/// What holds when no policy has been synced.
impl Default for Policy {
    fn default() -> Self {
        Policy {
            room: Margins::ROOM,
            desk: Margins::DESK,
            guest: Margins::NONE,
            opening_hours: None,
            staffed_hours: None,
            exceptions: BTreeMap::new(),
        }
    }
}

impl Policy {
    pub fn margins(&self, kind: Kind) -> Margins {
        match kind {
            Kind::Room => self.room,
            Kind::Desk => self.desk,
            Kind::Guest => self.guest,
            Kind::Standing => Margins::NONE,
        }
    }
}
