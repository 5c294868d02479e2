//! Verbs of the front desk: one card.

use clap::{Args as Group, Subcommand};
use latchd::domain::{CredentialId, ReaderId};

use super::{help, moment};

const ACTIVATE_USAGE: &str = "\
latchctl credential activate <C> [OPTIONS]
       latchctl credential activate [C] --reader <R> [OPTIONS]";

#[derive(Debug, Subcommand)]
pub enum CredentialVerb {
    /// One card: status, who set it, validity, holder; never a full UID
    #[command(after_help = help::CREDENTIAL_SHOW)]
    Show {
        /// Which card, by its credential's id
        #[arg(value_name = "C")]
        credential: CredentialId,
    },
    /// Activates a card that was handed out, or gives back what the desk has suspended, in staffed hours
    #[command(after_help = help::ACTIVATE, override_usage = ACTIVATE_USAGE)]
    Activate(Activate),
    /// Suspends a card: it opens nothing from now on, whether central is reached or not
    #[command(after_help = help::SUSPEND)]
    Suspend {
        /// Which card, by its credential's id
        #[arg(value_name = "C")]
        credential: CredentialId,
        /// Why, kept in the journal
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Debug, Group)]
pub struct Activate {
    /// Which card, by its credential's id
    #[arg(value_name = "C", required_unless_present = "reader")]
    pub credential: Option<CredentialId>,
    /// The next card that is held to this reader; with C it must be that one. It opens no door
    #[arg(long, value_name = "R")]
    pub reader: Option<ReaderId>,
    /// How long a card is waited for (10s, 2m; 5m at most)
    #[arg(long, value_name = "TIME", value_parser = moment::seconds, requires = "reader", default_value = "30s")]
    pub within: u32,
    /// Outside staffed hours too, which is recorded. Takes an administrator
    #[arg(long = "override")]
    pub overrides: bool,
    /// Why, kept in the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
