//! The front desk's verbs: one card is shown, activated, suspended.

use latchd::wire::control::{
    Request,
    cards::{ActivateQuery, AwaitsCard, CardDone, SuspendQuery},
};

use super::{Session, typed};
use crate::{
    args::desk::{Activate, CredentialVerb},
    client::Patience,
    failure::Failure,
    text,
};

impl Session {
    pub fn credential(&mut self, verb: CredentialVerb) -> Result<(), Failure> {
        match verb {
            CredentialVerb::Show { credential } => {
                self.single(Request::Credential { credential }, text::cards::card)
            }
            CredentialVerb::Suspend { credential, reason } => {
                let query = SuspendQuery { credential, reason };
                self.single(Request::CredentialSuspend(query), text::cards::done)
            }
            CredentialVerb::Activate(activate) => self.activate(activate),
        }
    }

    fn activate(&mut self, asked: Activate) -> Result<(), Failure> {
        let Activate { credential, reader, within, overrides, reason } = asked;
        let within_s = reader.is_some().then_some(within);
        let patience = within_s.map_or(Patience::Prompt, Patience::Card);
        // First, so that nothing can fail once it is done.
        let site = if self.json { None } else { Some(self.site()?) };
        let query = ActivateQuery { credential, reader, within_s, overrides, reason };
        let done = self.client.ask(Request::CredentialActivate(query), patience, &mut |item| {
            let wait: AwaitsCard = typed(item)?;
            // Beside the answer, which may be read by a program.
            eprintln!("{}", text::cards::awaits(&wait));
            Ok(())
        })?;
        match site {
            None => self.out.json(&done),
            Some(site) => self.out.text(&text::cards::done(&typed::<CardDone>(done)?, &site, self.style)),
        }
    }
}
