//! Cards at the desk over the socket: shown, activated, suspended.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{io::Interest, net::UnixStream, sync::oneshot};

use super::{
    Serving,
    right::{Asked, Right},
    session::{Done, Gone, Lines, item, json, stopping},
};
use crate::{
    control::{CardOrder, OperatorAnswer, OperatorRequest},
    daemon::site::Site,
    domain::{CredentialId, HolderId, Status},
    wire::control::{
        Code, Refusal,
        cards::{ActivateQuery, AwaitsCard, SuspendQuery},
    },
};

/// How long the disk may take.
const CONFIRM: Duration = Duration::from_secs(10);

pub async fn show(site: &Site, credential: &CredentialId) -> Done {
    let holder = holder_of(site, credential).await?;
    let found = site.look(|c, _| {
        let (cards, _) = c.credentials(Some(&holder), 0);
        cards.into_iter().find(|card| card.id == *credential)
    });
    found.map(json).ok_or_else(|| no_credential(credential))
}

pub async fn suspend(site: &Site, by: &str, query: SuspendQuery) -> Done {
    let SuspendQuery { credential, reason } = query;
    let holder = holder_of(site, &credential).await?;
    let status = Status::Suspended;
    let order = CardOrder { credential, holder, status, may_override: false, reason };
    answered(site, site.request(by.to_owned(), OperatorRequest::Card(order))).await
}

pub async fn activate(
    lines: &mut Lines,
    serving: &Serving,
    by: &str,
    query: ActivateQuery,
    still: (&mut Right<'_>, &Asked),
) -> Result<Done, Gone> {
    match query.reader {
        Some(_) => with_card(lines, serving, by, query, still).await,
        None => Ok(by_id(&serving.site, by, query).await),
    }
}

async fn by_id(site: &Site, by: &str, query: ActivateQuery) -> Done {
    let ActivateQuery { credential, overrides: may_override, reason, .. } = query;
    let Some(credential) = credential else {
        return Err(Refusal::new(Code::Usage, "activating takes a credential, a reader, or both"));
    };
    let holder = holder_of(site, &credential).await?;
    let order = CardOrder { credential, holder, status: Status::Active, may_override, reason };
    answered(site, site.request(by.to_owned(), OperatorRequest::Card(order))).await
}

/// Waits for a card at a reader. Whoever gives up, or may no longer, takes the wait with them: no later tap is theirs.
async fn with_card(
    lines: &mut Lines,
    serving: &Serving,
    by: &str,
    query: ActivateQuery,
    (right, asked): (&mut Right<'_>, &Asked),
) -> Result<Done, Gone> {
    static WAITS: AtomicU64 = AtomicU64::new(0);
    let site = &serving.site;
    let Some(reader) = query.reader.clone() else { return Ok(by_id(site, by, query).await) };
    if site.settings().reader(&reader).is_none() {
        let said = format!("there is no reader {reader}; `latchctl readers` lists them");
        return Ok(Err(Refusal::new(Code::NotFound, said)));
    }
    if let Some(credential) = &query.credential
        && let Err(refusal) = holder_of(site, credential).await
    {
        return Ok(Err(refusal));
    }
    let within_s = query.within_s.unwrap_or(ActivateQuery::WITHIN_S).min(ActivateQuery::LONGEST_WITHIN_S);
    let id = WAITS.fetch_add(1, Ordering::Relaxed);
    let request = OperatorRequest::AwaitCard {
        id,
        reader: reader.clone(),
        credential: query.credential,
        may_override: query.overrides,
        reason: query.reason,
        within: Duration::from_secs(within_s.into()),
    };
    let mut answer = site.request(by.to_owned(), request);
    if let Ok(refused) = answer.try_recv() {
        return Ok(done(site, refused));
    }
    let waited = async {
        item(lines, AwaitsCard { waiting: reader, within_s }).await?;
        tokio::select! {
            biased;
            answer = &mut answer => Ok(Ok(answer)),
            () = hung_up(lines.get_ref()) => Ok(Err(stopping())),
            refusal = right.ends(asked) => Ok(Err(refusal)),
        }
    };
    match waited.await {
        Ok(Ok(answer)) => Ok(answer.map_err(|_| stopping()).and_then(|answer| done(site, answer))),
        ended => {
            drop(site.request(by.to_owned(), OperatorRequest::StopWaiting { id }));
            ended.map(|ended| ended.and(Err(stopping())))
        }
    }
}

/// Resolves when the other end has closed; what it sends meanwhile stays unread.
async fn hung_up(stream: &UnixStream) {
    match stream.ready(Interest::READABLE).await {
        Ok(ready) if !ready.is_read_closed() => std::future::pending().await,
        Ok(_) | Err(_) => {}
    }
}

async fn answered(site: &Site, answer: oneshot::Receiver<OperatorAnswer>) -> Done {
    match tokio::time::timeout(CONFIRM, answer).await {
        Ok(Ok(answer)) => done(site, answer),
        Ok(Err(_)) => Err(stopping()),
        Err(_) => Err(Refusal::new(Code::Failed, "the disk did not confirm in time")),
    }
}

fn done(site: &Site, answer: OperatorAnswer) -> Done {
    let seq = answer.map_err(|why| Refusal::new(Code::Failed, why))?;
    let card = site.look(|c, _| c.card_done(seq));
    card.map(json)
        .ok_or_else(|| Refusal::new(Code::Failed, "it was done, and central has changed it again since"))
}

/// Whose it is. A slice of the holders at a time: between two, doors have their turn.
pub async fn holder_of(site: &Site, credential: &CredentialId) -> Result<HolderId, Refusal> {
    let mut next = Some(0);
    while let Some(from) = next {
        let (found, rest) = site.look(|c, _| c.search_credential(credential, from));
        if let Some(holder) = found {
            return Ok(holder);
        }
        next = rest;
        tokio::task::yield_now().await;
    }
    Err(no_credential(credential))
}

fn no_credential(credential: &CredentialId) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!("there is no credential {credential}; `latchctl credentials` lists them"),
    )
}
