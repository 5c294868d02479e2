//! Orders to doors over the socket: to one, or to all of them at once, each answered when its board has confirmed.

use std::time::Duration;

use tokio::sync::oneshot;

use super::session::{Done, Gone, Lines, item, json, no_door, stopping};
use crate::{
    control::{OperatorAnswer, OperatorRequest, settings::Settings},
    daemon::site::Site,
    domain::{DoorAction, DoorId, DoorOrder},
    wire::control::{Code, CommandDone, CommandFailed, OrderQuery, Refusal},
};

/// How long a board may take to confirm before the technician is told that it did not.
const CONFIRM: Duration = Duration::from_secs(10);

pub async fn one(site: &Site, settings: &Settings, by: &str, door: DoorId, query: OrderQuery) -> Done {
    if settings.door_no(&door).is_none() {
        return Err(no_door(&door));
    }
    let order = read(&query)?;
    let answer = ask(site, by, &door, order, query.reason);
    answered(&door, order, answer).await.map(json)
}

/// Every door is told before any is waited for.
pub async fn all(
    lines: &mut Lines,
    site: &Site,
    settings: &Settings,
    by: &str,
    query: OrderQuery,
) -> Result<Done, Gone> {
    let order = match read(&query) {
        Ok(order) => order,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let doors = settings.doors.iter().map(|d| &d.id);
    let asked: Vec<_> = doors.map(|door| (door, ask(site, by, door, order, query.reason.clone()))).collect();
    for (door, answer) in asked {
        match answered(door, order, answer).await {
            Ok(done) => item(lines, done).await?,
            Err(error) => item(lines, CommandFailed { door: door.clone(), error }).await?,
        }
    }
    Ok(Ok(serde_json::json!({})))
}

fn read(query: &OrderQuery) -> Result<DoorOrder, Refusal> {
    let action = DoorAction::parse(&query.action)
        .ok_or_else(|| Refusal::new(Code::Usage, format!("no door knows the action {:?}", query.action)))?;
    DoorOrder::new(action, query.for_s)
        .map_err(|why| Refusal::new(Code::Failed, format!("{action} was refused: {why}")))
}

fn ask(
    site: &Site,
    by: &str,
    door: &DoorId,
    order: DoorOrder,
    reason: Option<String>,
) -> oneshot::Receiver<OperatorAnswer> {
    site.request(by.to_owned(), OperatorRequest::Door { door: door.clone(), order, reason })
}

async fn answered(
    door: &DoorId,
    order: DoorOrder,
    answer: oneshot::Receiver<OperatorAnswer>,
) -> Result<CommandDone, Refusal> {
    let failed = |why: String| Refusal::new(Code::Failed, why);
    match tokio::time::timeout(CONFIRM, answer).await {
        Ok(Ok(Ok(seq))) => {
            let (action, outcome) = (order.action.as_str().into(), "done".into());
            Ok(CommandDone { door: door.clone(), action, outcome, seq })
        }
        Ok(Ok(Err(why))) => Err(failed(why)),
        Ok(Err(_)) => Err(stopping()),
        Err(_) => Err(failed(format!("{door}: the board did not confirm in time"))),
    }
}
