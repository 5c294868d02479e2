//! `journal verify`, `export` and `checkpoint`: the journal itself, rather than what is in it.

use std::{fs, path::Path};

use latchd::wire::{
    checkpoint::Checkpoint,
    control::{Request, VerifyQuery, VerifyReport},
};
use serde_json::Value;

use super::{
    args::JournalVerb,
    ask::{Session, typed},
    client::Patience,
    failure::Failure,
    text,
};

/// Most signatures that one request carries: it is one line of limited length, and each speaks for all events before it.
const MOST: usize = 120;

impl Session {
    pub(super) fn journal(&mut self, verb: JournalVerb) -> Result<(), Failure> {
        match verb {
            JournalVerb::Verify { against } => self.verify(against.as_deref()),
            JournalVerb::Export { from } => self.export(from),
            JournalVerb::Checkpoint => {
                let made = self.done(Request::JournalCheckpoint, Patience::Prompt)?;
                self.out.json(&made)
            }
        }
    }

    fn verify(&mut self, against: Option<&Path>) -> Result<(), Failure> {
        let query = VerifyQuery { against: against.map_or_else(|| Ok(Vec::new()), checkpoints)? };
        let answer = self.done(Request::JournalVerify(query), Patience::Long)?;
        if self.json {
            return self.out.json(&answer);
        }
        let report: VerifyReport = typed(answer)?;
        self.out.text(&text::sync::verified(&report, self.style))
    }

    /// As it stands in the files: a line that was read and written again would not be what was hashed.
    fn export(&mut self, from: Option<u64>) -> Result<(), Failure> {
        let out = &mut self.out;
        self.client.ask(Request::JournalExport { from }, Patience::Long, &mut |line| {
            let Some(line) = line.as_str() else {
                return Err(Failure::Unreadable("an event that is no text".into()));
            };
            out.text(line).and_then(|()| out.text("\n"))
        })?;
        Ok(())
    }
}

/// The newest signatures in a file: objects of their own, or in the `checkpoint` of another object.
fn checkpoints(path: &Path) -> Result<Vec<Checkpoint>, Failure> {
    let failed = |why: String| Failure::Checkpoints { path: path.to_owned(), why };
    let text = fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut value: Value =
            serde_json::from_str(line).map_err(|e| failed(format!("line {} is no JSON: {e}", n + 1)))?;
        let inner = value.get_mut("checkpoint").map(Value::take).unwrap_or(value);
        let read = serde_json::from_value(inner)
            .map_err(|e| failed(format!("line {} is no checkpoint of a journal: {e}", n + 1)))?;
        found.push(read);
    }
    if found.is_empty() {
        return Err(failed("there is no checkpoint in it".into()));
    }
    let from = found.len().saturating_sub(MOST);
    Ok(found.split_off(from))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use latchd::{
        domain::{At, ControllerId},
        wire::{
            Digest,
            checkpoint::Place,
            control::{Envelope, MAX_REQUEST},
        },
    };

    use super::*;

    const LINE: &str = r#"{"at":"2026-11-23T08:31:07Z","controller":"oslo-1","hash":"0000000000000000000000000000000000000000000000000000000000000000","journal":"6f","key":"k","seq":501,"signature":"s"}"#;

    fn read(text: &str) -> Result<Vec<u64>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let read = checkpoints(file.path()).map_err(|e| e.to_string())?;
        Ok(read.iter().map(|c| c.seq).collect())
    }

    #[test]
    fn signatures_stand_alone_or_in_a_status_message() {
        let status = format!("{{\"online\":true,\"checkpoint\":{LINE}}}");
        assert_eq!(read(&format!("{LINE}\n\n{status}\n")), Ok(vec![501, 501]));
        assert!(read("").unwrap_err().ends_with(": there is no checkpoint in it"));
        assert!(read("{}").unwrap_err().contains(": line 1 is no checkpoint of a journal: "));
        assert!(read("seq 7").unwrap_err().contains(": line 1 is no JSON: "));
        assert_eq!(read(&format!("{LINE}\n").repeat(MOST + 1)).unwrap().len(), MOST);
    }

    #[test]
    fn as_many_signatures_as_are_sent_fit_into_one_request() {
        let place = Place {
            controller: ControllerId::new(&"x".repeat(64)).unwrap(),
            journal: "6fa459ea-ee8a-3ca4-894e-db77e160355e".into(),
            seq: u64::MAX,
            hash: Digest::default(),
            at: At::parse("2026-11-23T08:31:07.123Z").unwrap(),
        };
        let longest = Checkpoint::sign(place, &SigningKey::from_bytes(&[7; 32]));
        let query = VerifyQuery { against: vec![longest; MOST] };
        let request = Envelope::of(Request::JournalVerify(query), Some("x".repeat(64)));
        let bytes = serde_json::to_string(&request).unwrap().len();
        assert!(bytes < MAX_REQUEST, "{bytes}");
    }
}
