//! How a conversation begins: who it is, the handshake where there is a key, what it can, how it is. Each step is one
//! exchange, one after the other; what goes wrong at any of them ends the attempt.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ended, Peripheral};
use crate::{
    drivers::reader::osdp::{
        Trouble,
        exchange::{Answer, Wire},
        identity::{Abilities, describe},
        key_file,
    },
    wire::osdp::{Cap, Channel, Command, Heard, Id, LStatR, LocalStatus, PdCap, PdId, Reply},
};

/// Times each step is tried; it begins anew anyway.
const HANDSHAKE_TRIES: u8 = 2;

/// Why there is no conversation.
pub(super) enum Failure {
    Ended(Ended),
    Trouble(Trouble),
}

impl<T: Into<Trouble>> From<T> for Failure {
    fn from(trouble: T) -> Self {
        Failure::Trouble(trouble.into())
    }
}

impl Peripheral {
    /// Begins a conversation. What it says of itself counts only once it is secure, where it is to be.
    pub(super) async fn begin<L>(&mut self, wire: &mut Wire<L>) -> Result<(String, Option<LStatR>), Failure>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        self.channel = Channel::new(self.config.address);
        let mut id = self.identity(wire, 1).await?;
        if let Some(path) = self.config.key_file.clone() {
            let key = key_file::read_beside(path).await?;
            let mut chance = [0; 8];
            getrandom::fill(&mut chance).map_err(Trouble::Chance)?;
            let challenge = self.channel.challenge(&key, chance)?;
            self.answer(wire, &challenge, HANDSHAKE_TRIES, "the challenge").await?;
            let proof = self.channel.prove()?;
            self.answer(wire, &proof, HANDSHAKE_TRIES, "the proof").await?;
            id = self.identity(wire, HANDSHAKE_TRIES).await?;
        }
        let capabilities = self.ask(wire, &Command::Cap(Cap::standard()), "what it can").await?;
        let capabilities = if let Reply::PdCap(capabilities) = capabilities {
            capabilities
        } else if let Reply::Nak(_) = capabilities {
            // From before there were any.
            PdCap::new(Vec::new())
        } else {
            return Err(Trouble::Nonsense("what it can").into());
        };
        let status = self.ask(wire, &Command::LocalStatus(LocalStatus), "its status").await?;
        let status = if let Reply::LStatR(status) = status { Some(status) } else { None };
        self.abilities = Abilities::of(&capabilities);
        let channel = if self.channel.is_secure() { "secure channel" } else { "clear text, insecure" };
        let (address, port) = (self.config.address, &self.port);
        Ok((format!("OSDP address {address} on {port}, {channel}: {}", describe(&id, &capabilities)), status))
    }

    async fn identity<L>(&mut self, wire: &mut Wire<L>, tries: u8) -> Result<PdId, Failure>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        const WHAT: &str = "who it is";
        let question = self.channel.say(&Command::Id(Id::standard()))?;
        let reply = self.answer(wire, &question, tries, WHAT).await?;
        if let Reply::PdId(id) = reply {
            return Ok(id);
        }
        let refused = matches!(reply, Reply::Nak(_));
        let why = "to say who it is; does it want a secure channel (key_file)?";
        Err(if refused { Trouble::Nak(why) } else { Trouble::Nonsense(WHAT) }.into())
    }

    async fn ask<L>(
        &mut self,
        wire: &mut Wire<L>,
        command: &Command,
        what: &'static str,
    ) -> Result<Reply, Failure>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        let question = self.channel.say(command)?;
        self.answer(wire, &question, HANDSHAKE_TRIES, what).await
    }

    async fn answer<L>(
        &mut self,
        wire: &mut Wire<L>,
        question: &[u8],
        tries: u8,
        what: &'static str,
    ) -> Result<Reply, Failure>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        let mut trouble = Trouble::Silent(self.baud);
        for _ in 0..tries {
            let answer = wire.exchange(&mut self.channel, question).await;
            match answer.map_err(|fault| Failure::Ended(fault.into()))? {
                Answer::Heard(Heard::Reply(reply)) => return Ok(reply),
                Answer::Heard(Heard::Unknown(_)) => return Err(Trouble::Nonsense(what).into()),
                Answer::Heard(Heard::Refused(refusal)) => return Err(refusal.into()),
                Answer::Heard(Heard::Busy) => trouble = Trouble::Busy,
                Answer::Heard(Heard::NotOurs) | Answer::Silent => {}
            }
        }
        Err(trouble.into())
    }
}
