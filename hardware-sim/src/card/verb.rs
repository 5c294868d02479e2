//! `latch-sim card`: one card in a virtual reader, until told to stop or its time is over.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Card, CardError};
use crate::uid::CardUid;
use crate::until_told::{length_of_time, say, told_to_stop};

/// A contactless card in a virtual PC/SC reader, through the real pcscd
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where vpcd waits for a card; the port is in its reader.conf (35963 for the packaged one)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:35963")]
    vpcd: SocketAddr,
    /// 4 to 10 bytes in hex, such as 04A1B2C3D4E5F6
    #[arg(long)]
    uid: CardUid,
    /// How long the card stays, such as 2s or 800ms; without it until SIGINT or SIGTERM
    #[arg(long = "for", value_name = "TIME", value_parser = length_of_time)]
    stay: Option<Duration>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error(transparent)]
    Card(#[from] CardError),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        let card = Card::insert(self.vpcd, self.uid)?;
        say(format_args!("card at {}", self.vpcd));
        told_to_stop(self.stay).map_err(VerbError::Signals)?;
        let read = card.wait_until_read(1, Duration::ZERO);
        say(if read { "card removed; its UID was read" } else { "card removed; nobody read its UID" });
        Ok(())
    }
}
