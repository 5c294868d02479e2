//! What `latchd check` finds beyond the configuration's text: files it names that can't serve.
//!
//! The daemon itself starts in spite of them: doors go on from the cache, and the link says why there is none.

use super::config::{Config, ReaderDriver};
use crate::drivers::{clock, reader::osdp::key_file};

/// A sentence for each file that can't be used as it is.
#[derive(Debug, Default)]
pub struct Findings {
    /// There, and wrong.
    pub mistakes: Vec<String>,
    /// Not there, or not to be read by who asks: the box may be another one, or the service may be given it later.
    pub unseen: Vec<String>,
}

pub fn check(config: &Config) -> Findings {
    let tls = config.mqtt.broker.tls.as_ref().map(|files| files.check(clock::wall()));
    let login = config.mqtt.account.as_ref().map(|account| account.login().map(|_| ()));
    let mut findings = Findings::default();
    for error in [tls, login].into_iter().flatten().filter_map(Result::err) {
        let list = if error.is_unseen() { &mut findings.unseen } else { &mut findings.mistakes };
        list.push(error.to_string());
    }
    readers(config, &mut findings);
    findings
}

/// The keys of OSDP readers.
fn readers(config: &Config, findings: &mut Findings) {
    for reader in &config.readers {
        let ReaderDriver::Osdp { key_file: Some(path), .. } = &reader.driver else { continue };
        if let Err(error) = key_file::read(path) {
            let list = if error.is_unseen() { &mut findings.unseen } else { &mut findings.mistakes };
            list.push(format!("reader {}: {error}", reader.id.value));
        }
        findings
            .unseen
            .extend(key_file::too_open(path).map(|said| format!("reader {}: {said}", reader.id.value)));
    }
}
