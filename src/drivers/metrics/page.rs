//! The page, asked of the doors one request at a time and not too often, however many scrape it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, oneshot},
    time::{Instant, timeout},
};

use super::{Asks, Snapshot, measure::Measure, request::Refusal};
use crate::{
    drivers::clock,
    wire::metrics::{self, Surroundings},
};

/// A page that is not older is shown again: what a flood of scrapes costs the door loop is four looks a second.
const FRESH: Duration = Duration::from_millis(250);
/// How long the door loop may take. It answers in a millisecond, unless something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Pages(Mutex<Source>);

#[derive(Debug)]
struct Source {
    asks: Asks,
    measure: Measure,
    last: Option<(Instant, Arc<str>)>,
}

impl Pages {
    pub fn new(asks: Asks, measure: Measure) -> Pages {
        Pages(Mutex::new(Source { asks, measure, last: None }))
    }

    /// Who waits here for another's page is given that one.
    pub async fn page(&self) -> Result<Arc<str>, Refusal> {
        let mut source = self.0.lock().await;
        if let Some((at, page)) = source.last.as_ref().filter(|(at, _)| clock::instant() - *at < FRESH) {
            tracing::trace!(?at, "a page is shown again");
            return Ok(page.clone());
        }
        let snapshot = source.snapshot().await?;
        let around = source.measure.surroundings().await;
        let Snapshot { measured, queues, dropped } = snapshot;
        let page: Arc<str> = metrics::page(&measured, &Surroundings { queues, dropped, ..around }).into();
        source.last = Some((clock::instant(), page.clone()));
        Ok(page)
    }
}

impl Source {
    async fn snapshot(&self) -> Result<Snapshot, Refusal> {
        let (ask, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(ask).await.ok()?;
            answer.await.ok()
        };
        timeout(PATIENCE, asked).await.ok().flatten().ok_or(Refusal::Unavailable)
    }
}
