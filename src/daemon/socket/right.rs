//! What the other end of a session may ask, looked at again while the session goes on: who is taken out of a group, or
//! whose group the configuration names no longer, loses it there too, and a stream of theirs is ended.

use std::time::Duration;

use super::{
    Serving,
    caller::{Caller, Peer, look_up},
    session::{Done, Gone},
};
use crate::{
    control::OperatorRequest,
    domain::{DoorId, Mono, Role},
    drivers::clock,
    wire::control::{Refusal, Request},
};

/// How long what was found out about a caller counts for their next request.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody may go on with what has no end of its own.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What was asked, as far as a right to it goes: the request itself is used up by answering it.
#[derive(Debug)]
pub struct Asked {
    needs: Role,
    action: String,
    door: Option<DoorId>,
}

impl Asked {
    pub fn of(request: &Request) -> Self {
        Asked { needs: request.needs(), action: request.action().to_owned(), door: request.door().cloned() }
    }
}

#[derive(Debug)]
pub struct Right<'a> {
    serving: &'a Serving,
    peer: Peer,
    caller: Result<Caller, Refusal>,
    /// Who became root, where root says so.
    login: Option<String>,
    looked_at: Mono,
}

impl<'a> Right<'a> {
    pub async fn of(peer: Peer, serving: &'a Serving) -> Self {
        let caller = look_up(peer, serving.groups.current()).await;
        Right { serving, peer, caller, login: None, looked_at: clock::mono() }
    }

    /// Who is behind root, by the tool's own word: root could say anything, and so is asked.
    pub fn logged_in(&mut self, login: Option<String>) {
        self.login = login.filter(|_| self.peer.is_root());
    }

    /// Somebody who may ask nothing, or who is not known yet.
    pub fn is_strangers(&self) -> bool {
        !self.caller.as_ref().is_ok_and(|caller| caller.role.is_some())
    }

    /// Who asks, as the journal names them, if they may ask this. A refusal is recorded.
    pub async fn to(&mut self, asked: &Asked) -> Result<String, Refusal> {
        if clock::mono().since(self.looked_at) >= KNOWN_FOR {
            self.caller = look_up(self.peer, self.serving.groups.current()).await;
            self.looked_at = clock::mono();
        }
        self.permitted(asked)
    }

    /// Resolves when they may no longer go on with this, with what they are told. Recorded as any refusal is.
    pub async fn ends(&mut self, asked: &Asked) -> Refusal {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(refusal) = self.to(asked).await {
                return refusal;
            }
        }
    }

    /// Something that goes on, until it ends or the right to it does. A line that was being written then is written on.
    pub async fn during(
        &mut self,
        asked: &Asked,
        stream: impl Future<Output = Result<Done, Gone>>,
    ) -> Result<Done, Gone> {
        tokio::select! {
            done = stream => done,
            refusal = self.ends(asked) => Ok(Err(refusal)),
        }
    }

    fn permitted(&self, asked: &Asked) -> Result<String, Refusal> {
        let Asked { needs, action, door } = asked;
        let Serving { site, groups } = self.serving;
        let caller = self.caller.as_ref().map_err(Refusal::clone)?;
        let may = caller.may(*needs, action, &groups.current());
        if let Err(refusal) = &may {
            tracing::warn!(by = caller.by, action, "somebody was turned away");
            let turned_away = OperatorRequest::TurnedAway {
                uid: self.peer.uid,
                action: action.clone(),
                door: door.clone().filter(|door| site.settings().door_no(door).is_some()),
                detail: refusal.message.clone(),
            };
            // Answered with the refusal: nobody waits for what the journal says.
            drop(site.request(caller.by.clone(), turned_away));
        }
        let by = &caller.by;
        may.map(|()| self.login.as_ref().map_or(by.clone(), |login| format!("{by}, logged in as {login}")))
    }
}
