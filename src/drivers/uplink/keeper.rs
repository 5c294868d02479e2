//! What the link logs in with, kept fresh: files that were replaced are taken up, and a set that is not whole is not.
//!
//! Each look compares what the files look like; only a changed set is read. One that does not fit (half of it
//! replaced) leaves the last good one in use and is said once. The password is read before every connect.

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::certificates::{FileError, Files, Loaded, Stamp, read};
use crate::{
    control::event::CertificateEnd,
    domain::{At, Mono},
};

/// How often the files are looked at while the link is up.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long before its end a certificate is warned of.
const WARN_AHEAD: Duration = Duration::from_secs(30 * 86_400);
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// User name at the broker, and where the password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub username: String,
    pub password_file: Option<PathBuf>,
}

/// User name and password at the broker.
#[derive(Clone)]
pub struct Login {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.username)
    }
}

impl Account {
    pub fn login(&self) -> Result<Login, FileError> {
        let password = match &self.password_file {
            None => String::new(),
            Some(path) => {
                let text = read("password_file", path)?;
                let text = String::from_utf8(text).map_err(|_| FileError::NotText { path: path.clone() })?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        Ok(Login { username: self.username.clone(), password })
    }
}

/// What one connection is made with.
#[derive(Debug, Clone)]
pub struct Ready {
    /// `None`: a plain connection.
    pub tls: Option<Loaded>,
    pub login: Option<Login>,
}

#[derive(Debug)]
pub struct Keeper {
    files: Option<Files>,
    account: Option<Account>,
    good: Option<(Stamp, Loaded)>,
    /// A set that did not fit, said already.
    refused: Option<Stamp>,
    /// What the broker showed last.
    broker: Option<Arc<Vec<CertificateDer<'static>>>>,
    warned: Option<Mono>,
    told: Vec<CertificateEnd>,
}

impl Keeper {
    pub fn new(files: Option<Files>, account: Option<Account>) -> Keeper {
        Keeper { files, account, good: None, refused: None, broker: None, warned: None, told: Vec::new() }
    }

    /// Before a connect.
    pub fn ready(&mut self) -> Result<Ready, FileError> {
        self.look()?;
        let login = self.account.as_ref().map(Account::login).transpose()?;
        Ok(Ready { tls: self.good.as_ref().map(|(_, loaded)| loaded.clone()), login })
    }

    /// Whether there is a new set of certificates since the last look, good to connect with.
    pub fn is_replaced(&mut self) -> bool {
        // Without a good set there was no connection to look from.
        self.look().unwrap_or(false)
    }

    fn look(&mut self) -> Result<bool, FileError> {
        let Some(files) = &self.files else { return Ok(false) };
        let stamp = files.stamp();
        let is_known = self.good.as_ref().is_some_and(|(good, _)| *good == stamp);
        if is_known || self.refused.as_ref() == Some(&stamp) {
            return Ok(false);
        }
        let digest = self.good.as_ref().map(|(_, loaded)| loaded.digest);
        match files.load() {
            Ok(loaded) => {
                let is_new = digest != Some(loaded.digest);
                if is_new && digest.is_some() {
                    tracing::info!("the certificates were replaced");
                }
                self.good = Some((stamp, loaded));
                self.refused = None;
                Ok(is_new)
            }
            Err(error) if digest.is_some() => {
                tracing::warn!(%error, "the certificates were replaced by what can't be used; the old ones stay in use");
                self.refused = Some(stamp);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what the broker showed.
    pub fn met(&mut self, broker: Option<Arc<Vec<CertificateDer<'static>>>>) {
        self.broker = broker.or(self.broker.take());
    }

    /// When the certificates in use end, the first first.
    pub fn ends(&self) -> Vec<CertificateEnd> {
        let broker = self.broker.as_ref().map(|chain| chain.as_slice());
        self.good.as_ref().map(|(_, loaded)| loaded.ends(broker)).unwrap_or_default()
    }

    /// The same, if not as told before.
    pub fn news(&mut self) -> Option<Vec<CertificateEnd>> {
        let ends = self.ends();
        let is_new = ends != self.told;
        self.told.clone_from(&ends);
        is_new.then_some(ends)
    }

    /// Warns of ends that are near, once a day.
    pub fn warn(&mut self, now: At, mono: Mono) {
        for CertificateEnd { of, not_after } in self.due(now, mono) {
            let days = not_after.since(now).as_secs() / 86_400;
            if not_after <= now {
                tracing::error!(certificate = of.as_str(), %not_after, "expired; the broker can't be reached");
            } else {
                tracing::warn!(certificate = of.as_str(), %not_after, days, "expires soon; renew it");
            }
        }
    }

    fn due(&mut self, now: At, mono: Mono) -> Vec<CertificateEnd> {
        if self.warned.is_some_and(|last| mono.since(last) < WARN_EVERY) {
            return Vec::new();
        }
        let near: Vec<CertificateEnd> =
            self.ends().into_iter().filter(|end| end.not_after.since(now) <= WARN_AHEAD).collect();
        if !near.is_empty() {
            self.warned = Some(mono);
        }
        near
    }
}
