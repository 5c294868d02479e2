//! What stands around a request.

use serde::{Deserialize, Serialize};

use super::{PROTOCOL, Request};

/// Longest name of a login that is read, in characters.
const LOGIN_MOST: usize = 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub protocol: u32,
    /// Who logged in before they became root, as by `sudo`: `anna (1000)`. Counts from root alone, who could say anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    #[serde(flatten)]
    pub request: Request,
}

impl Envelope {
    /// In the version of the protocol that is ours.
    pub fn of(request: Request, login: Option<String>) -> Self {
        Envelope { protocol: PROTOCOL, login, request }
    }

    /// Who logged in, as it may stand in the journal.
    pub fn login(&self) -> Option<String> {
        let tame = |login: &String| login.chars().filter(|c| !c.is_control()).take(LOGIN_MOST).collect();
        self.login.as_ref().map(tame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_short_and_commands_no_terminal() {
        let said = |login: &str| Envelope::of(Request::Status, Some(login.into())).login().unwrap();
        assert_eq!(said("anna (1000)"), "anna (1000)");
        assert_eq!(said("an\u{1b}[2Jna\n"), "an[2Jna");
        assert_eq!(said(&"x".repeat(1000)).len(), LOGIN_MOST);
    }

    #[test]
    fn one_from_a_tool_that_says_no_login_is_read_as_ever() {
        let read: Envelope = serde_json::from_str(r#"{"protocol":1,"verb":"status"}"#).unwrap();
        assert_eq!(read, Envelope::of(Request::Status, None));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"protocol":1,"verb":"status"}"#);
    }
}
