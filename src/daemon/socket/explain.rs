//! Why a door would open, or not; and why it did, or did not, by the journal.

use serde_json::Value;

use super::{
    cards::holder_of,
    session::{Done, json},
};
use crate::{
    control::controller::{ExplainError, Subject},
    daemon::site::Site,
    domain::{At, CredentialId, Direction, DoorId, HolderId, Uid},
    drivers::store::journal::reader::Reader,
    wire::control::{
        Code, ExplainQuery, Refusal,
        explain::{Explanation, PastExplanation},
    },
};

/// The decision alone.
pub async fn decision(site: &Site, query: &ExplainQuery) -> Done {
    let subject = subject(site, query).await?;
    let explained =
        site.look(|c, reading| c.explain(reading, &query.door, query.direction, &subject, query.at));
    explained.map(json).map_err(not_found)
}

/// With all that was looked at.
pub async fn whole(site: &Site, query: &ExplainQuery) -> Done {
    let subject = subject(site, query).await?;
    look(site, &query.door, query.direction, &subject, query.at).map(json).map_err(not_found)
}

fn look(
    site: &Site,
    door: &DoorId,
    direction: Direction,
    subject: &Subject,
    at: Option<At>,
) -> Result<Explanation, ExplainError> {
    site.look(|c, reading| c.explain_whole(reading, door, direction, subject, at))
}

fn not_found(error: ExplainError) -> Refusal {
    Refusal::new(Code::NotFound, error.to_string())
}

async fn subject(site: &Site, query: &ExplainQuery) -> Result<Subject, Refusal> {
    match (&query.uid, &query.credential) {
        (Some(uid), None) => Uid::parse(uid)
            .map(Subject::Uid)
            .map_err(|e| Refusal::new(Code::Usage, format!("the UID can't be read: {e}"))),
        (None, Some(id)) => {
            let holder =
                holder_of(site, id).await.map_err(|_| not_found(ExplainError::Credential(id.clone())))?;
            Ok(Subject::Credential { id: id.clone(), holder })
        }
        _ => Err(Refusal::new(Code::Usage, "explain takes either a uid or a credential")),
    }
}

/// A decision that stands in the journal, beside what would be decided by what is known today.
pub async fn past(site: &Site, seq: u64) -> Done {
    let mut event = event(site, seq).await?;
    // What came of a passage leads to its decision.
    if let Some(of) = event.get("of").and_then(Value::as_u64) {
        event = self::event(site, of).await?;
    }
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    let kind = text("type").unwrap_or_default();
    if !matches!(kind, "access.granted" | "access.denied") {
        let said = format!(
            "event {seq} is {kind}, which decided about no card; explain takes access.granted and access.denied \
             (latchctl events --type access)"
        );
        return Err(Refusal::new(Code::Failed, said));
    }
    let door = text("door").and_then(|door| DoorId::new(door).ok());
    let at = text("at").and_then(|at| At::parse(at).ok());
    let direction =
        event.get("direction").and_then(|d| serde_json::from_value(d.clone()).ok()).unwrap_or_default();
    let subject = subject_of(site, &event).await;
    let today = |at: Option<At>| {
        let (door, subject) = door.as_ref().zip(subject.as_ref())?;
        look(site, door, direction, subject, at).ok()
    };
    let (then, now) = (at.and_then(|at| today(Some(at))), today(None));
    Ok(json(PastExplanation { event, then, now }))
}

/// Whose card it was, as far as it is here still; of one that was unknown, whose it has become.
async fn subject_of(site: &Site, event: &Value) -> Option<Subject> {
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    if let Some(id) = text("credential").and_then(|id| CredentialId::new(id).ok()) {
        let holder = match holder_of(site, &id).await {
            Ok(holder) => holder,
            // Gone: what would be decided for nobody's card says nothing.
            Err(_) => return None,
        };
        return Some(Subject::Credential { id, holder });
    }
    let tag = text("uid_tag")?;
    let (id, holder): (CredentialId, HolderId) = site.look(|c, _| c.credential_by_tag(tag))?;
    Some(Subject::Credential { id, holder })
}

async fn event(site: &Site, seq: u64) -> Result<Value, Refusal> {
    let newest = *site.recorded().borrow();
    if seq == 0 || seq > newest {
        let said = format!("there is no event {seq}: the newest in the journal is {newest}");
        return Err(Refusal::new(Code::NotFound, said));
    }
    let dir = site.state_dir();
    let read =
        tokio::task::spawn_blocking(move || Reader::of_state(&dir).event(seq).and_then(|line| line.value()));
    read.await.ok().flatten().ok_or_else(|| {
        let said = format!("event {seq} is not kept any more, or can't be read (latchctl journal verify)");
        Refusal::new(Code::NotFound, said)
    })
}
