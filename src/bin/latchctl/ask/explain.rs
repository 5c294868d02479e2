//! `explain`: a decision there would be, with all that was looked at; or one that was made.

use latchd::wire::control::{
    CredentialReport, ExplainQuery, ExplainReport, GrantQuery, GrantReport, Request,
    explain::{Explanation, PastExplanation},
};
use serde_json::json;

use super::{Session, typed};
use crate::{
    args::Explain,
    batch,
    client::Patience,
    failure::Failure,
    moment::Meaning,
    text::{self, explain::Named},
};

impl Session {
    pub fn explain(&mut self, asked: Explain) -> Result<(), Failure> {
        if let Some(seq) = asked.event {
            return self.explain_event(seq);
        }
        let Some(door) = asked.door else { return Err(Failure::Usage("--door is missing".into())) };
        let at = self.instant(asked.at, Meaning::Today)?;
        let direction = asked.direction.into();
        let query = ExplainQuery { door, uid: asked.uid, credential: asked.credential, direction, at };
        if self.json {
            let report = batch::explained(self.done(Request::Explain(query), Patience::Prompt)?)?;
            return self.out.json(&report);
        }
        match self.done(Request::ExplainWhole(query.clone()), Patience::Prompt) {
            Ok(whole) => {
                let whole: Explanation = typed(whole)?;
                let site = self.site()?;
                self.out.text(&text::looked_at::explanation(&whole, &site, self.style))
            }
            // An older daemon says the decision alone.
            Err(Failure::OtherProtocol(_)) => self.explain_briefly(query),
            Err(failure) => Err(failure),
        }
    }

    fn explain_briefly(&mut self, query: ExplainQuery) -> Result<(), Failure> {
        let report = batch::explained(self.done(Request::Explain(query), Patience::Prompt)?)?;
        let named = self.named(&report)?;
        let site = self.site()?;
        self.out.text(&text::explain::explain(&report, &named, &site, self.style))
    }

    /// Looks up what an explanation names. That it is gone meanwhile is no failure.
    fn named(&mut self, report: &ExplainReport) -> Result<Named, Failure> {
        let mut named = Named::default();
        let Some(holder) = report.holder.clone() else { return Ok(named) };
        if let Some(id) = &report.credential {
            let cards: Vec<CredentialReport> =
                self.rows(Request::Credentials { holder: Some(holder.clone()) })?;
            named.credential = cards.into_iter().find(|card| card.id == *id);
        }
        if let Some(id) = &report.grant {
            let query = GrantQuery { holder: Some(holder), at: Some(report.at), ..GrantQuery::default() };
            let grants: Vec<GrantReport> = self.rows(Request::Grants(query))?;
            named.grant = grants.into_iter().find(|grant| grant.id == *id);
        }
        Ok(named)
    }

    fn explain_event(&mut self, seq: u64) -> Result<(), Failure> {
        let answer = self.done(Request::ExplainEvent { seq }, Patience::Prompt)?;
        let past: PastExplanation = typed(answer)?;
        if self.json {
            let answer = |whole: &Option<Explanation>| whole.as_ref().map(|whole| whole.answer.clone());
            let mut shown = json!({ "event": past.event });
            for (field, whole) in [("then", answer(&past.then)), ("now", answer(&past.now))] {
                if let (Some(object), Some(whole)) = (shown.as_object_mut(), whole) {
                    object.insert(field.into(), json!(whole));
                }
            }
            return self.out.json(&shown);
        }
        let site = self.site()?;
        self.out.text(&text::past::past(&past, &site, self.style))
    }
}
