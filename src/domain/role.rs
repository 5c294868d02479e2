//! What somebody at the control socket may do (operator, "Configuration").

use std::fmt;

use serde::{Deserialize, Serialize};

/// From the least to the most: each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Observer,
    /// And opens doors, activates cards, tests wiring.
    Technician,
    /// And locks down, overrides, restores.
    Admin,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Observer, Role::Technician, Role::Admin];

    /// As in the configuration's `[operators]`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Observer => "observer",
            Role::Technician => "technician",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_the_names_of_the_configuration_and_each_may_more() {
        let names = Role::ALL.map(|role| (role.to_string(), serde_json::json!(role)));
        let expected = ["observer", "technician", "admin"].map(|name| (name.to_owned(), name.into()));
        assert_eq!(names, expected);
        assert!(Role::ALL.is_sorted());
    }
}
