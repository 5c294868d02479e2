//! What is logged, shown and changed until the next start.

use super::session::{Done, json, stopping};
use crate::{
    control::OperatorRequest,
    daemon::site::Site,
    wire::control::{Code, LogReport, Refusal},
};

pub fn show(site: &Site) -> Done {
    let levels = site.levels();
    Ok(json(LogReport { before: None, now: levels.now(), at_start: levels.at_start() }))
}

/// Recorded before the answer: who turns the log down may have a reason not to be seen.
pub async fn change(site: &Site, by: &str, filter: &str) -> Done {
    let levels = site.levels();
    let before = levels.now();
    levels.change(filter).map_err(|error| Refusal::new(Code::Failed, error.to_string()))?;
    let now = levels.now();
    tracing::info!(by, before, now, "what is logged was changed");
    let detail = format!("{before} before, {now} now");
    let recorded =
        site.request(by.to_owned(), OperatorRequest::Beside { action: "log".into(), detail }).await;
    match recorded {
        Ok(Ok(_)) => Ok(json(LogReport { before: Some(before), now, at_start: levels.at_start() })),
        Ok(Err(why)) => Err(Refusal::new(Code::Failed, why)),
        Err(_) => Err(stopping()),
    }
}
