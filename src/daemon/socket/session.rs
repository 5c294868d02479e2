//! One connection: requests in, answers out, in order.

use std::rc::Rc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

use super::{journal, orders};
use crate::{
    control::{OperatorRequest, controller::Subject, settings::Settings},
    daemon::site::Site,
    domain::{DoorId, Uid},
    wire::control::{Answer, Code, Envelope, ExplainQuery, MAX_LINE, PROTOCOL, Refusal, Request},
};

/// The connection is gone; nobody is left to tell.
#[derive(Debug, thiserror::Error)]
#[error("the caller has gone: {0}")]
pub struct Gone(#[from] LinesCodecError);

/// A connection, as lines.
pub type Lines = Framed<UnixStream, LinesCodec>;

pub type Done = Result<Value, Refusal>;

pub async fn serve(stream: UnixStream, site: Site, settings: Rc<Settings>) {
    let by = caller(&stream);
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_LINE));
    while let Some(line) = lines.next().await {
        let done = match line {
            Ok(line) => answer(&mut lines, &site, &settings, &by, &line).await,
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                Ok(Err(Refusal::new(Code::Usage, format!("a request has at most {MAX_LINE} bytes"))))
            }
            Err(LinesCodecError::Io(_)) => return,
        };
        let sent = match done {
            Ok(done) => finish(&mut lines, done).await,
            Err(gone) => Err(gone),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a control session ended");
            return;
        }
    }
}

/// Writes a row of a list.
pub async fn item(lines: &mut Lines, row: impl Serialize) -> Result<(), Gone> {
    send(lines, &Answer::Item(json(row))).await
}

async fn finish(lines: &mut Lines, done: Done) -> Result<(), Gone> {
    send(lines, &done.map_or_else(Answer::Error, Answer::Done)).await
}

async fn send(lines: &mut Lines, answer: &Answer) -> Result<(), Gone> {
    Ok(lines.send(serde_json::to_string(answer).unwrap_or_default()).await?)
}

pub fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Who is at the other end, as the journal names them: user name and uid.
fn caller(stream: &UnixStream) -> String {
    let Ok(peer) = stream.peer_cred() else { return "unknown".into() };
    let uid = peer.uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} ({uid})"))
}

async fn answer(
    lines: &mut Lines,
    site: &Site,
    settings: &Settings,
    by: &str,
    line: &str,
) -> Result<Done, Gone> {
    let request = match read(line) {
        Ok(request) => request,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(match request {
        Request::Status => Ok(json(site.look(|c, reading| c.status_report(reading)))),
        Request::Doors => return rows(lines, site.look(|c, _| c.door_reports())).await,
        Request::Readers => return rows(lines, site.look(|c, now| c.reader_reports(now))).await,
        Request::Sync => Ok(json(site.look(|c, _| c.sync_report()))),
        Request::Credentials { holder } => {
            return slices(lines, |from| site.look(|c, _| c.credentials(holder.as_ref(), from))).await;
        }
        Request::Grants(query) => {
            if let Some(door) = query.door.as_ref().filter(|d| settings.door_no(d).is_none()) {
                return Ok(Err(no_door(door)));
            }
            return slices(lines, |from| site.look(|c, reading| c.grants(&query, reading, from))).await;
        }
        Request::Explain(query) => explain(site, &query),
        Request::Door { door } => {
            let report = site.look(|c, _| c.door_reports().into_iter().find(|d| d.door == door));
            report.map(json).ok_or_else(|| no_door(&door))
        }
        Request::DoorOrder { door, order } => orders::one(site, settings, by, door, order).await,
        Request::DoorOrderAll(order) => return orders::all(lines, site, settings, by, order).await,
        Request::SyncResync => {
            let asked = site.request(by.to_owned(), OperatorRequest::Resync).await;
            asked.map_err(|_| stopping()).map(|_| json(site.look(|c, _| c.sync_report())))
        }
        Request::JournalVerify => journal::verify(site).await,
        Request::Events(query) => return journal::events(lines, site, query).await,
    })
}

fn read(line: &str) -> Result<Request, Refusal> {
    let value: Value = serde_json::from_str(line)
        .map_err(|e| Refusal::new(Code::Usage, format!("a request is a JSON object a line: {e}")))?;
    match value.get("protocol").and_then(Value::as_u64) {
        Some(version) if version == u64::from(PROTOCOL) => {}
        other => {
            let other = other.map_or_else(|| "none".to_owned(), |v| v.to_string());
            let said = format!(
                "latchd {} speaks protocol {PROTOCOL}, the request says {other}; install the latchctl that came with this latchd",
                env!("CARGO_PKG_VERSION")
            );
            return Err(Refusal::new(Code::Usage, said));
        }
    }
    serde_json::from_value::<Envelope>(value).map(|envelope| envelope.request).map_err(|e| {
        Refusal::new(
            Code::Usage,
            format!("latchd {} does not know this request: {e}", env!("CARGO_PKG_VERSION")),
        )
    })
}

async fn rows<T: Serialize>(lines: &mut Lines, rows: Vec<T>) -> Result<Done, Gone> {
    for row in rows {
        item(lines, row).await?;
    }
    Ok(Ok(Value::Object(serde_json::Map::new())))
}

/// A long list, a slice at a time: between two, doors have their turn.
async fn slices<T: Serialize>(
    lines: &mut Lines,
    slice: impl Fn(u32) -> (Vec<T>, Option<u32>),
) -> Result<Done, Gone> {
    let mut next = Some(0);
    while let Some(from) = next {
        let (found, rest) = slice(from);
        rows(lines, found).await?.ok();
        next = rest;
        tokio::task::yield_now().await;
    }
    Ok(Ok(Value::Object(serde_json::Map::new())))
}

fn explain(site: &Site, query: &ExplainQuery) -> Done {
    let subject = match (&query.uid, &query.credential) {
        (Some(uid), None) => Subject::Uid(
            Uid::parse(uid).map_err(|e| Refusal::new(Code::Usage, format!("the UID can't be read: {e}")))?,
        ),
        (None, Some(credential)) => Subject::Credential(credential.clone()),
        _ => return Err(Refusal::new(Code::Usage, "explain takes either a uid or a credential")),
    };
    site.look(|c, reading| c.explain(reading, &query.door, query.direction, &subject, query.at))
        .map(json)
        .map_err(|error| Refusal::new(Code::NotFound, error.to_string()))
}

pub fn stopping() -> Refusal {
    Refusal::new(Code::Failed, "latchd is stopping")
}

pub fn no_door(door: &DoorId) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no door {door}; `latchctl doors` lists them"))
}
