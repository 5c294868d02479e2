//! Requests about the journal. Its files are read on the blocking pool: doors never wait for a disk.

use std::{collections::VecDeque, time::Duration};

use futures_util::StreamExt as _;
use serde_json::Value;

use super::session::{Done, Gone, Lines, item, json, stopping};
use crate::{
    daemon::site::Site,
    domain::At,
    drivers::store::journal::reader::{Line, Reader, Verified},
    wire::control::{Code, EventQuery, Refusal, StatusReport, VerifyQuery, VerifyReport},
};

/// Events read at a time.
const SLICE: usize = 1000;

/// How long a signature may take, on a disk that is slow.
const SIGN_WITHIN: Duration = Duration::from_secs(8);

pub async fn verify(site: &Site, query: VerifyQuery) -> Done {
    let (through, journal, controller) = site.look(|c, reading| {
        let StatusReport { journal, controller, .. } = c.status_report(reading);
        (journal.recorded, journal.journal, controller)
    });
    let reader = Reader::of_state(&site.state_dir());
    let asked = query.against.len() as u64;
    let id = journal.clone();
    let checked =
        tokio::task::spawn_blocking(move || reader.verify_signed(through, (&id, &controller), query.against))
            .await;
    match checked {
        Ok(Ok(Verified { events, first, last, lost, signed, not_kept })) => {
            let report = VerifyReport {
                checkpoints: signed,
                against: asked - not_kept,
                not_kept,
                journal,
                events,
                first,
                last: last.map(|l| l.seq),
                hash: last.map(|l| l.hash).unwrap_or_default().to_string(),
                lost,
            };
            Ok(serde_json::to_value(report).unwrap_or_default())
        }
        Ok(Err(error)) => Err(Refusal::new(Code::Failed, format!("the journal is not whole: {error}"))),
        Err(error) => Err(Refusal::new(Code::Failed, format!("the journal could not be checked: {error}"))),
    }
}

/// Signs the journal's end as it is now.
pub async fn checkpoint(site: &Site) -> Done {
    let through = site.look(|c, _| c.recorded());
    if through == 0 {
        return Err(Refusal::new(Code::Failed, "there is no event yet that could be signed"));
    }
    let mut signed = site.signed();
    site.sign_journal();
    let made = tokio::time::timeout(SIGN_WITHIN, signed.wait_for(|seq| *seq >= through)).await;
    match (made, site.look(|c, _| c.checkpoint().cloned())) {
        (Ok(Ok(_)), Some(checkpoint)) => Ok(json(checkpoint)),
        (Ok(Err(_)), _) => Err(stopping()),
        (Ok(Ok(_)) | Err(_), _) => {
            let why = "the journal was not signed in time; its disk may be failing (latchctl status)";
            Err(Refusal::new(Code::Failed, why))
        }
    }
}

/// Lines as they stand in the files, damaged ones too.
pub async fn export(lines: &mut Lines, site: &Site, from: Option<u64>) -> Result<Done, Gone> {
    let through = site.look(|c, _| c.recorded());
    let mut reader = Reader::of_state(&site.state_dir());
    let mut next = from.unwrap_or(0);
    while next <= through {
        let (read, came_to) = slice(reader, next, through).await;
        reader = read.0;
        for line in read.1 {
            item(lines, line.text).await?;
        }
        next = came_to;
    }
    Ok(Ok(serde_json::json!({ "through": through })))
}

pub async fn events(lines: &mut Lines, site: &Site, query: EventQuery) -> Result<Done, Gone> {
    let mut recorded = site.recorded();
    let mut through = *recorded.borrow_and_update();
    let mut reader = Reader::of_state(&site.state_dir());
    let mut next = first(&mut reader, &query, through);
    match query.limit {
        Some(limit) => {
            let limit = limit as usize;
            let mut newest: VecDeque<Line> = VecDeque::new();
            while next <= through {
                let (read, came_to) = slice(reader, next, through).await;
                reader = read.0;
                newest.extend(read.1.into_iter().filter(|l| matches(l, &query)));
                newest.drain(..newest.len().saturating_sub(limit));
                next = came_to;
            }
            for line in newest {
                item(lines, line.value()).await?;
            }
        }
        None => (reader, next) = send(lines, reader, &query, next, through).await?,
    }
    if !query.follow {
        return Ok(Ok(Value::Object(serde_json::Map::new())));
    }
    loop {
        tokio::select! {
            changed = recorded.changed() => if changed.is_err() { break },
            // Whoever has gone is not kept until something happens: that may be tomorrow, and there are 64 places.
            _ = lines.next() => break,
        }
        through = *recorded.borrow_and_update();
        (reader, next) = send(lines, reader, &query, next, through).await?;
    }
    Ok(Ok(Value::Object(serde_json::Map::new())))
}

async fn send(
    lines: &mut Lines,
    mut reader: Reader,
    query: &EventQuery,
    mut next: u64,
    through: u64,
) -> Result<(Reader, u64), Gone> {
    while next <= through {
        let (read, came_to) = slice(reader, next, through).await;
        reader = read.0;
        next = came_to;
        for line in read.1.iter().filter(|l| matches(l, query)) {
            item(lines, line.value()).await?;
        }
    }
    Ok((reader, next))
}

/// Some lines, and the number behind them.
async fn slice(mut reader: Reader, from: u64, through: u64) -> ((Reader, Vec<Line>), u64) {
    let dir = reader.dir().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let lines = reader.read(from, through, SLICE, usize::MAX);
        (reader, lines)
    });
    let (reader, lines) = read.await.unwrap_or_else(|_| (Reader::new(&dir), Vec::new()));
    let next = lines.last().map_or(through + 1, |l| l.seq + 1);
    ((reader, lines), next)
}

/// Where to begin: with `since`, the first event not before it, found by halving (times rise with numbers, but for
/// clocks that were set back).
fn first(reader: &mut Reader, query: &EventQuery, through: u64) -> u64 {
    let kept = reader.first().unwrap_or(1).max(1);
    let Some(since) = query.since else {
        let filtered = query.door.is_some() || query.kind.is_some();
        return match query.limit {
            Some(limit) if !filtered => kept.max((through + 1).saturating_sub(u64::from(limit))),
            _ => kept,
        };
    };
    let (mut low, mut high) = (kept, through + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let before = reader.event(middle).and_then(|l| l.at()).is_some_and(|at| at < since);
        if before { low = middle + 1 } else { high = middle }
    }
    low
}

fn matches(line: &Line, query: &EventQuery) -> bool {
    if query.since.is_none() && query.door.is_none() && query.kind.is_none() {
        return true;
    }
    let Some(event) = line.value() else { return false };
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    let at = text("at").and_then(|t| At::parse(t).ok());
    let kind = text("type").unwrap_or_default();
    let door = |d: &str| {
        let listed = event.get("doors").and_then(Value::as_array);
        text("door") == Some(d) || listed.is_some_and(|l| l.iter().any(|v| v == d))
    };
    query.since.is_none_or(|since| at.is_some_and(|at| at >= since))
        && query.door.as_ref().is_none_or(|d| door(d.as_str()))
        && query.kind.as_ref().is_none_or(|k| {
            kind == k || kind.strip_prefix(k.as_str()).is_some_and(|rest| rest.starts_with('.'))
        })
}
