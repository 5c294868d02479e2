//! `explain --batch`: many questions over one connection, asked ahead of their answers within a bounded window.
//!
//! ```text
//!  standard input ─► [feeder thread] ─► socket ─► latchd ─► [this thread] ─► standard output
//!                          └─────── slots, at most WINDOW ───────▲   one for each line, in order
//! ```
//!
//! One side writes while the other reads, so that neither daemon nor we can wait for each other with full buffers.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread,
};

use latchd::{
    domain::{At, CredentialId, Direction, DoorId, Uid},
    wire::control::{Answer, Code, ExplainQuery, ExplainReport, MAX_LINE, Refusal, Request},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    client::{self, Client},
    failure::Failure,
    moment,
    output::Output,
};

/// Questions asked and not yet answered, at most: enough to keep the daemon busy, too few to fill a socket's buffer.
const WINDOW: usize = 256;

/// What stands in the place of one line.
#[derive(Debug)]
enum Slot {
    /// The daemon was asked.
    Asked,
    /// It could not be.
    Refused(Refusal),
    /// Standard input broke off.
    Broken(io::Error),
}

/// A line of standard input. Unknown fields are ignored, as on the wire.
#[derive(Debug, Deserialize)]
struct Question {
    door: DoorId,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    credential: Option<CredentialId>,
    #[serde(default)]
    direction: Option<Direction>,
    #[serde(default)]
    at: Option<String>,
}

/// Answers standard input, a line for a line.
pub fn run(client: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let (slots, answered) = sync_channel(WINDOW);
    let feeder = Feeder { socket: BufWriter::with_capacity(1 << 16, client.sender()?), slots };
    // Not joined: when the daemon goes away, it may hang in a read of standard input until the process ends.
    thread::Builder::new()
        .name("batch-feeder".into())
        .spawn(move || feeder.feed(BufReader::with_capacity(1 << 16, io::stdin())))
        .map_err(Failure::Input)?;
    answer(client, out, &answered)
}

fn answer(client: &mut Client, out: &mut Output, slots: &Receiver<Slot>) -> Result<(), Failure> {
    let (mut asked, mut failed) = (0, 0);
    while let Some(slot) = next(slots, out)? {
        asked += 1;
        let answer = match slot {
            Slot::Refused(refusal) => Answer::Error(refusal),
            Slot::Broken(error) => return Err(Failure::Input(error)),
            Slot::Asked => {
                if !client.has_line() {
                    out.flush()?;
                }
                client.next()?
            }
        };
        match answer {
            Answer::Done(report) => out.json(&explained(report)?)?,
            Answer::Error(refusal) => {
                failed += 1;
                out.json(&json!({ "error": refusal }))?;
            }
            Answer::Item(_) => return Err(Failure::Unreadable("an item where none belongs".into())),
        }
    }
    out.flush()?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Some { failed, asked, what: "lines could not be answered" }),
    }
}

/// The next slot; what is answered so far is shown before waiting for it.
fn next(slots: &Receiver<Slot>, out: &mut Output) -> Result<Option<Slot>, Failure> {
    match slots.try_recv() {
        Ok(slot) => Ok(Some(slot)),
        Err(TryRecvError::Disconnected) => Ok(None),
        Err(TryRecvError::Empty) => {
            out.flush()?;
            Ok(slots.recv().ok())
        }
    }
}

/// Exactly the fields of the contract, in its order.
pub fn explained(report: serde_json::Value) -> Result<ExplainReport, Failure> {
    serde_json::from_value(report).map_err(|e| Failure::Unreadable(e.to_string()))
}

#[derive(Debug)]
struct Feeder {
    socket: BufWriter<UnixStream>,
    slots: SyncSender<Slot>,
}

impl Feeder {
    fn feed<R: Read>(mut self, mut lines: BufReader<R>) {
        for number in 1_u64.. {
            if !lines.buffer().contains(&b'\n') && self.socket.flush().is_err() {
                break;
            }
            let slot = match read_line(&mut lines) {
                Ok(None) => break,
                Ok(Some(line)) => match question(&line) {
                    Ok(request) => {
                        if !self.put(Slot::Asked) || self.socket.write_all(&request).is_err() {
                            break;
                        }
                        continue;
                    }
                    Err(why) => Slot::Refused(Refusal::new(Code::Usage, format!("line {number}: {why}"))),
                },
                Err(error) => Slot::Broken(error),
            };
            if !self.put(slot) {
                break;
            }
        }
        // What could not be sent is noticed by whoever waits for its answer.
        let _ = self.socket.flush();
    }

    /// False when nobody waits for answers any more. What was asked is on its way before this waits for room.
    fn put(&mut self, slot: Slot) -> bool {
        match self.slots.try_send(slot) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(slot)) => self.socket.flush().is_ok() & self.slots.send(slot).is_ok(),
        }
    }
}

/// A line without its end, cut at the limit and read over to its end; `None` when there are no more.
fn read_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if lines.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() == MAX_LINE {
        lines.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

fn question(line: &[u8]) -> Result<Vec<u8>, String> {
    let expected = r#"expected {"door":…,"uid":…,"direction":"in"|"out","at":…}"#;
    if line.len() >= MAX_LINE {
        return Err(format!("longer than {MAX_LINE} bytes; {expected}"));
    }
    let asked: Question = serde_json::from_slice(line).map_err(|e| format!("{e}; {expected}"))?;
    let at = asked.at.map(|text| instant(&text)).transpose()?;
    if let Some(uid) = &asked.uid {
        Uid::parse(uid).map_err(|e| e.to_string())?;
    }
    if asked.uid.is_some() == asked.credential.is_some() {
        return Err(format!("needs either `uid` or `credential`; {expected}"));
    }
    let query = ExplainQuery {
        door: asked.door,
        uid: asked.uid,
        credential: asked.credential,
        direction: asked.direction.unwrap_or_default(),
        at,
    };
    client::line(Request::Explain(query)).map_err(|e| e.to_string())
}

fn instant(text: &str) -> Result<At, String> {
    moment::exact(text).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        format!("`at` {text:?} is not an instant; expected RFC 3339, such as 2026-11-23T09:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_says_what_was_expected() {
        let refused = |line: &str| question(line.as_bytes()).unwrap_err();
        assert!(refused("").contains("expected {"));
        assert!(refused(r#"{"uid":"04A1B2C3"}"#).contains("missing field `door`"));
        assert!(refused(r#"{"door":"d"}"#).contains("either `uid` or `credential`"));
        assert!(refused(r#"{"door":"d","uid":"04A1B2C3","at":"soon"}"#).contains("RFC 3339"));
        let odd = refused(r#"{"door":"d","uid":"04A1B2C"}"#);
        assert!(odd.contains("hexadecimal") && !odd.contains("04A1B2C\""), "a UID is not repeated: {odd}");
    }

    #[test]
    fn a_good_line_becomes_a_request() {
        let asked = |line: &str| String::from_utf8(question(line.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            asked(r#"{"door":"d","uid":"04A1B2C3","direction":null,"at":"2026-11-23T09:00:00+01:00","x":1}"#),
            "{\"protocol\":1,\"verb\":\"explain\",\"door\":\"d\",\"uid\":\"04A1B2C3\",\"direction\":\"in\",\
             \"at\":\"2026-11-23T08:00:00Z\"}\n"
        );
    }

    #[test]
    fn a_line_too_long_is_read_over() {
        let mut text = vec![b'x'; MAX_LINE + 5];
        text.extend(b"\nnext\nlast");
        let mut lines = BufReader::new(text.as_slice());
        assert_eq!(read_line(&mut lines).unwrap().unwrap().len(), MAX_LINE);
        assert_eq!(read_line(&mut lines).unwrap().unwrap(), b"next");
        assert_eq!(read_line(&mut lines).unwrap().unwrap(), b"last");
        assert_eq!(read_line(&mut lines).unwrap(), None);
    }
}
