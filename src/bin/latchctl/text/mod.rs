//! Reports as people read them: pure functions from a report to lines, so that what every verb prints is tested
//! without a daemon.

use std::collections::BTreeMap;

use latchd::{
    domain::{At, DoorId, Zone},
    wire::control::StatusReport,
};

pub mod cards;
pub mod doctor;
pub mod doors;
pub mod events;
pub mod explain;
pub mod looked_at;
pub mod past;
pub mod readers;
pub mod reasons;
mod remedy;
pub mod rights;
#[cfg(test)]
pub mod samples;
pub mod status;
pub mod sync;
mod table;
pub mod taps;
mod times;

/// What the site's own words are: its zone, its clock, its doors' names.
#[derive(Debug, Clone)]
pub struct Site {
    pub zone: Zone,
    pub now: At,
    pub doors: BTreeMap<DoorId, String>,
}

impl Site {
    pub fn of(report: &StatusReport) -> Self {
        Site {
            zone: report.time_zone,
            now: report.now,
            doors: report.doors.iter().map(|d| (d.door.clone(), d.name.clone())).collect(),
        }
    }

    /// A door as people call it.
    pub fn door<'a>(&'a self, door: &'a DoorId) -> &'a str {
        self.doors.get(door).map_or(door.as_str(), String::as_str)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub colour: bool,
}

/// What a colour says. Without colour the words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
    Strong,
}

impl Style {
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => 32,
            Tone::Warning => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
            Tone::Strong => 1,
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text from elsewhere (a door's name, a device's answer) without what would command the terminal.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `1 event`, `2 events`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_used_only_where_it_is_wanted() {
        assert_eq!(Style { colour: true }.paint(Tone::Bad, "forced"), "\x1b[31mforced\x1b[0m");
        assert_eq!(Style { colour: false }.paint(Tone::Bad, "forced"), "forced");
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(tame("a\x1b[2Jb\nc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }
}
