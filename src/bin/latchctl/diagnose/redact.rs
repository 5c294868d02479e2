//! Takes out of a text what must not leave the box: UIDs, keys, passwords, and whatever looks like one.
//!
//! Rather too much than too little: a support case can ask again, and what was sent can't be called back.

use std::{fs, path::Path};

use latchd::daemon::config::{Config, ReaderDriver};
use regex_lite::Regex;
use serde_json::Value;

/// What stands in its place.
pub const REMOVED: &str = "(removed)";

/// Fields of reports and events that hold hashes or numbers of ours, and no secret.
const OURS: [&str; 6] = ["uid_tag", "hash", "prev", "digest", "journal", "public_key"];

/// Shorter ones would take out words that only happen to be the same.
const SHORTEST_SECRET: usize = 6;

#[derive(Debug)]
pub struct Redactor {
    rules: Vec<(Regex, &'static str)>,
    /// What stands in the files that the configuration names: taken out wherever it turns up.
    secrets: Vec<String>,
}

/// Each a shape, and what stays of it.
const RULES: [(&str, &str); 8] = [
    (r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)", "(removed)"),
    // Who logs in, in a URL.
    (r#"([a-z][a-z0-9+.-]*://)[^/\s@"']+@"#, "${1}(removed)@"),
    // The same without the scheme, as an error may quote it.
    (r#"[^\s/@"':]+:[^\s/@"']+@"#, "(removed)@"),
    // password = x, PASSWORD=x, "token": "x"; password_file = names a file.
    (
        r#"(?i)\b([a-z0-9_.-]*(?:password|passwd|passphrase|passcode|secret|token|scbk|pin))("?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s,;]+)"#,
        "${1}${2}(removed)",
    ),
    // Bytes in hexadecimal: a UID has 8 to 20 digits, a key 32 or more.
    (r"\b(?:0[xX])?[0-9A-Fa-f]{8,}\b", "(removed)"),
    // The same with separators, as reader programs show it.
    (r"\b[0-9A-Fa-f]{2}(?:[: -][0-9A-Fa-f]{2}){3,}\b", "(removed)"),
    // As a list of numbers.
    (r"\[\s*\d{1,3}(?:,\s*\d{1,3}){3,}\s*\]", "(removed)"),
    // Keys in base64.
    (r"\b[A-Za-z0-9+][A-Za-z0-9+_-]{39,}={0,2}", "(removed)"),
];

impl Redactor {
    /// With the secrets that this configuration's files hold, as far as who asks may read them.
    pub fn new(config: Option<&Config>) -> Self {
        let rules = RULES.iter().filter_map(|(rule, stays)| Some((Regex::new(rule).ok()?, *stays))).collect();
        let secrets = config.map(secrets).unwrap_or_default();
        Redactor { rules, secrets }
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, REMOVED);
        }
        for (rule, stays) in &self.rules {
            text = rule.replace_all(&text, *stays).into_owned();
        }
        text
    }

    /// A report or an event: field by field, so that hashes of ours stay.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(fields) => {
                for (_, value) in fields.iter_mut().filter(|(name, _)| !OURS.contains(&name.as_str())) {
                    self.json(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A configuration file, line by line: comments go as a whole, for nobody knows what people write there.
    pub fn configuration(&self, text: &str) -> String {
        text.lines()
            .map(|line| {
                let bare = without_comment(line).trim_end();
                let is_public = bare.trim_start().starts_with("public_key");
                let kept = if is_public { bare.to_owned() } else { self.text(bare) };
                kept + "\n"
            })
            .collect()
    }
}

/// A line up to its comment. A `#` in a text begins none.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if std::mem::take(&mut is_escaped) => {}
            (Some('"'), '\\') => is_escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return line.get(..at).unwrap_or_default(),
            (None, _) => {}
        }
    }
    line
}

/// The content of every file that holds a secret.
fn secrets(config: &Config) -> Vec<String> {
    let password = config.mqtt.account.iter().filter_map(|account| account.password_file.as_deref());
    let key = config.mqtt.broker.tls.iter().filter_map(|tls| tls.identity.as_ref().map(|i| i.key.as_path()));
    let readers = config.readers.iter().filter_map(|reader| match &reader.driver {
        ReaderDriver::Osdp { key_file, .. } => key_file.as_deref(),
        ReaderDriver::Pcsc { .. } | ReaderDriver::Pn532 { .. } => None,
    });
    let files: Vec<&Path> = password.chain(key).chain(readers).collect();
    let texts = files.into_iter().filter_map(|path| fs::read_to_string(path).ok());
    // Each line by itself too: a line of a key is as good as a part of it.
    let lines = texts.flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
    let mut secrets: Vec<String> = lines.filter(|line| line.len() >= SHORTEST_SECRET).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(text: &str) -> String {
        Redactor::new(None).text(text)
    }

    #[test]
    fn every_rule_can_be_read() {
        assert_eq!(Redactor::new(None).rules.len(), RULES.len());
    }

    #[test]
    fn what_looks_like_a_uid_a_key_or_a_password_is_gone() {
        for secret in [
            "uid 04A1B2C3D4E5F6 at entrance",
            "uid=04a1b2c3",
            "card 04:A1:B2:C3:D4:E5:F6",
            "card 04 a1 b2 c3",
            "card 04-A1-B2-C3-D4-E5-F6",
            "bytes [4, 161, 178, 195, 212]",
            "0x04A1B2C3",
            "key 00112233445566778899aabbccddeeff",
            "mqtt_password=hunter2",
            "password: hunter2, and more",
            "{\"token\": \"hunter2\"}",
            "Environment=LATCH_SECRET='hunter2 too'",
            "mqtts://oslo:hunter2@broker.example:8883",
            "\"oslo:hunter2@localhost\" is not a host",
            "key cwM4AsBW9YqK8vjEkYp7fbfDKw2vW7mqrIZRREUhLeA=",
            "a\n-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\nb",
        ] {
            let said = redacted(secret);
            assert!(said.contains(REMOVED), "{said}");
            for part in ["hunter2", "A1", "a1", "161", "aabb", "cwM4", "MC4C"] {
                assert!(!said.contains(part), "{part}: {said}");
            }
        }
        assert_eq!(
            redacted("mqtts://oslo:hunter2@broker.example:8883"),
            "mqtts://(removed)@broker.example:8883"
        );
    }

    #[test]
    fn what_support_needs_stays() {
        for text in [
            "2026-11-26T08:15:04.128748Z  INFO latchd::daemon::start: restored credentials=812 grants=2100",
            "PN532 firmware 1.6 on /dev/serial/by-id/usb-FTDI_FT232R-if00-port0",
            "modbus+tcp://10.0.0.20:502, unit 1",
            "password_file = \"/etc/latchd/mqtt.password\"",
            "key_file = \"/etc/latchd/oslo-1.key\"",
            "board lost: no route to host (os error 113)",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn a_configuration_loses_its_comments_and_keeps_public_keys() {
        let text = "# old: hunter2\n[mqtt] # x\nurl = \"mqtt://a:b@c\" # hunter2\npublic_key = \"cwM4AsBW9YqK8vjEkYp7fbfDKw2vW7mqrIZRREUhLeA\"\nname = \"a # b\"\nother = 'it''s # c' # d\n";
        assert_eq!(
            Redactor::new(None).configuration(text),
            "\n[mqtt]\nurl = \"mqtt://(removed)@c\"\npublic_key = \"cwM4AsBW9YqK8vjEkYp7fbfDKw2vW7mqrIZRREUhLeA\"\nname = \"a # b\"\nother = 'it''s # c'\n"
        );
    }

    #[test]
    fn in_reports_hashes_of_ours_stay_and_texts_do_not() {
        let mut event = json!({"seq": 9, "uid_tag": "9f3a01c2", "hash": "51fe".repeat(16), "detail": "UID 04A1B2C3",
            "list": ["04A1B2C3D4E5F6"]});
        Redactor::new(None).json(&mut event);
        assert_eq!(
            event,
            json!({"seq": 9, "uid_tag": "9f3a01c2", "hash": "51fe".repeat(16), "detail": "UID (removed)",
                "list": ["(removed)"]})
        );
    }
}
