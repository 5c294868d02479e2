//! `[operators]`: which Unix group has which role at the control socket.

use super::table::Table;
use crate::domain::Role;

/// A group for each role. Whether they exist is the box's business (`latchd check` looks), and changes while we run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operators {
    pub observer: String,
    pub technician: String,
    pub admin: String,
}

/// Longest name `groupadd` takes; a directory service takes a few times as much.
const LONGEST: usize = 32;

impl Operators {
    pub fn read(table: &Table<'_>) -> Operators {
        let default = Operators::default();
        let group = |key, default: String| {
            let found = table.has(key).then(|| table.parsed(key, "the name of a Unix group", group_name));
            found.flatten().map_or(default, |found| found.value)
        };
        let operators = Operators {
            observer: group("observer", default.observer),
            technician: group("technician", default.technician),
            admin: group("admin", default.admin),
        };
        table.end();
        operators
    }

    pub fn group(&self, role: Role) -> &str {
        match role {
            Role::Observer => &self.observer,
            Role::Technician => &self.technician,
            Role::Admin => &self.admin,
        }
    }

    /// The groups with this role or a higher one, as a sentence lists them.
    pub fn who_may(&self, role: Role) -> String {
        let mut groups: Vec<&str> =
            Role::ALL.into_iter().filter(|r| *r >= role).map(|r| self.group(r)).collect();
        groups.dedup();
        match groups.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => String::new(),
        }
    }
}

impl Default for Operators {
    fn default() -> Self {
        Operators {
            observer: "latch-observer".into(),
            technician: "latch-technician".into(),
            admin: "latch-admin".into(),
        }
    }
}

/// What `/etc/group` could hold; a directory service may have spaces and a domain in its names.
fn group_name(text: &str) -> Result<String, String> {
    let is_foreign = |c: char| c.is_control() || matches!(c, ':' | ',');
    let is_good = !text.trim().is_empty() && !text.contains(is_foreign) && text.trim() == text;
    match text.chars().count() {
        length if length > 4 * LONGEST => Err(format!("has {length} characters")),
        _ if is_good => Ok(text.to_owned()),
        _ => Err(format!("{text:?} can't be one")),
    }
}
