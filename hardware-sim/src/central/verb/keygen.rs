//! `latch-sim central keygen`: makes a key, and says what the controllers must be told to trust it.

use crate::jws::{KeyError, SecretKey, Signer};
use crate::until_told::say;
use std::path::PathBuf;

/// Make a key to sign with, and print what latchd's configuration needs to trust it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to put it: the Ed25519 seed as base64url, mode 0600; never over another
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the controllers know it by
    #[arg(long, value_name = "KID")]
    kid: String,
}

impl Args {
    /// Makes and prints.
    ///
    /// # Errors
    /// The file is there already, or can't be made.
    pub fn run(self) -> Result<(), KeyError> {
        let key = SecretKey::generate()?;
        key.write_new(&self.file)?;
        say(Signer::new(&self.kid, key).trusted_key_toml().trim_end());
        Ok(())
    }
}
