//! `latch-sim reader`: which reader it is. Each kind has its own arguments and orders beside its device.

use crate::{osdp, pn532};

/// A card reader on a serial line
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    reader: Reader,
}

#[derive(Debug, clap::Subcommand)]
enum Reader {
    Pn532(pn532::verb::Args),
    Osdp(osdp::verb::Args),
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error(transparent)]
    Pn532(#[from] pn532::verb::VerbError),
    #[error(transparent)]
    Osdp(#[from] osdp::verb::VerbError),
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        match self.reader {
            Reader::Pn532(args) => Ok(args.run()?),
            Reader::Osdp(args) => Ok(args.run()?),
        }
    }
}
