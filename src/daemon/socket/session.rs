//! One connection: requests in, answers out, in order.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

use super::{
    Serving, backup,
    caller::Peer,
    cards, commissioning, explain, journal, log, orders,
    right::{Asked, Right},
};
use crate::{
    control::OperatorRequest,
    domain::DoorId,
    wire::control::{Answer, Code, Envelope, MAX_REQUEST, PROTOCOL, Refusal, Request},
};

/// The connection is gone; nobody is left to tell.
#[derive(Debug, thiserror::Error)]
#[error("the caller has gone: {0}")]
pub struct Gone(#[from] LinesCodecError);

/// A connection, as lines.
pub type Lines = Framed<UnixStream, LinesCodec>;

pub type Done = Result<Value, Refusal>;

/// How long somebody who may ask nothing, or is not known yet, has for a request.
const STRANGERS_WAIT: Duration = Duration::from_secs(5);

pub async fn serve(stream: UnixStream, peer: Peer, serving: Serving) {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_REQUEST));
    if let Err(error) = converse(&mut lines, peer, &serving).await {
        tracing::debug!(%error, "a control session ended");
    }
}

async fn converse(lines: &mut Lines, peer: Peer, serving: &Serving) -> Result<(), Gone> {
    let mut right = Right::of(peer, serving).await;
    loop {
        let is_strangers = right.is_strangers();
        let next = if is_strangers {
            tokio::time::timeout(STRANGERS_WAIT, lines.next()).await.unwrap_or(None)
        } else {
            lines.next().await
        };
        let Some(line) = next else { return Ok(()) };
        let done = match line.map(|line| read(&line)) {
            Ok(Ok(envelope)) => {
                right.logged_in(envelope.login());
                answer_if_permitted(lines, serving, &mut right, envelope.request).await?
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                // The codec reads on to the end of that line, but says first that it has failed.
                let _failed = lines.next().await;
                Err(Refusal::new(Code::Usage, format!("a request has at most {MAX_REQUEST} bytes")))
            }
            Err(error @ LinesCodecError::Io(_)) => return Err(Gone(error)),
        };
        finish(lines, done).await?;
        if is_strangers {
            return Ok(());
        }
    }
}

async fn answer_if_permitted(
    lines: &mut Lines,
    serving: &Serving,
    right: &mut Right<'_>,
    request: Request,
) -> Result<Done, Gone> {
    let asked = Asked::of(&request);
    match right.to(&asked).await {
        Ok(by) => answer(lines, serving, &by, request, (right, &asked)).await,
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Writes a row of a list.
pub async fn item(lines: &mut Lines, row: impl Serialize) -> Result<(), Gone> {
    send(lines, &Answer::Item(json(row))).await
}

async fn finish(lines: &mut Lines, done: Done) -> Result<(), Gone> {
    send(lines, &done.map_or_else(Answer::Error, Answer::Done)).await
}

pub async fn send(lines: &mut Lines, answer: &Answer) -> Result<(), Gone> {
    Ok(lines.send(serde_json::to_string(answer).unwrap_or_default()).await?)
}

pub fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

async fn answer(
    lines: &mut Lines,
    serving: &Serving,
    by: &str,
    request: Request,
    (right, asked): (&mut Right<'_>, &Asked),
) -> Result<Done, Gone> {
    let Serving { site, .. } = serving;
    let settings = &*site.settings();
    Ok(match request {
        Request::Status => Ok(json(site.look(|c, reading| c.status_report(reading)))),
        Request::Doors => return rows(lines, site.look(|c, _| c.door_reports())).await,
        Request::Readers => return rows(lines, site.look(|c, now| c.reader_reports(now))).await,
        Request::ReaderWatch { reader } => {
            let watch = commissioning::readers(lines, site, settings, by, reader);
            return right.during(asked, watch).await;
        }
        Request::WiringTest { of } => {
            return right.during(asked, commissioning::wiring(lines, site, by, of)).await;
        }
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
        Request::Credential { credential } => cards::show(site, &credential).await,
        Request::CredentialActivate(query) => {
            return cards::activate(lines, serving, by, query, (right, asked)).await;
        }
        Request::CredentialSuspend(query) => cards::suspend(site, by, query).await,
        Request::Explain(query) => explain::decision(site, &query).await,
        Request::ExplainWhole(query) => explain::whole(site, &query).await,
        Request::ExplainEvent { seq } => explain::past(site, seq).await,
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
        Request::Log { filter: None } => log::show(site),
        Request::Log { filter: Some(filter) } => log::change(site, by, &filter).await,
        Request::JournalVerify(query) => journal::verify(site, query).await,
        Request::JournalExport { from } => return journal::export(lines, site, from).await,
        Request::JournalCheckpoint => journal::checkpoint(site).await,
        Request::Backup => return backup::backup(lines, site, by).await,
        Request::Restore(first) => return backup::restore(lines, site, by, first, (right, asked)).await,
        Request::Events(query) => return right.during(asked, journal::events(lines, site, query)).await,
    })
}

pub fn read(line: &str) -> Result<Envelope, Refusal> {
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
    let verb =
        value.get("verb").and_then(Value::as_str).map(|verb| verb.chars().take(40).collect::<String>());
    serde_json::from_value(value).map_err(|error: serde_json::Error| {
        let version = env!("CARGO_PKG_VERSION");
        let error = error.to_string();
        let said = match verb {
            None => format!("latchd {version} was asked nothing: a request has a `verb`"),
            // serde's own words list every verb there is.
            Some(verb) if error.starts_with("unknown variant") => {
                format!("latchd {version} does not know the verb {verb:?}")
            }
            Some(verb) => format!("latchd {version} can't read the request {verb:?}: {error}"),
        };
        Refusal::new(Code::Usage, said)
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

pub fn stopping() -> Refusal {
    Refusal::new(Code::Failed, "latchd is stopping")
}

pub fn no_door(door: &DoorId) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no door {door}; `latchctl doors` lists them"))
}
