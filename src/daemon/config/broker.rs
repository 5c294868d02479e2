//! The broker's address, and what its TLS needs: keys that make sense only together, or only with `mqtts://`.

use std::path::PathBuf;

use super::{
    sections::{address, choice, without_login},
    table::Table,
};
use crate::drivers::uplink::{
    certificates::{Files, IdentityFiles},
    tls::TlsMin,
    transport::Address,
};

const PLAIN_PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    pub url: String,
    pub address: Address,
    /// Of `mqtts://`.
    pub tls: Option<Files>,
}

impl Broker {
    pub fn read(table: &Table<'_>) -> Option<Broker> {
        let url = if table.exists() {
            table.parsed("url", "a broker's address such as mqtts://broker.example:8883", |text| {
                scheme(text).map(|found| (text.to_owned(), found))
            })
        } else {
            None
        };
        let is_tls = url.as_ref().map(|url| url.value.1.1);
        let tls = tls(table, is_tls);
        let (url, (address, is_tls)) = url?.value;
        Some(Broker { url, address, tls: tls.filter(|_| is_tls) })
    }
}

/// The place, and whether it is TLS that is spoken there.
fn scheme(text: &str) -> Result<(Address, bool), String> {
    without_login(text)?;
    let (scheme, port, is_tls) = match text.split_once("://") {
        Some(("mqtt", _)) => ("mqtt", PLAIN_PORT, false),
        Some(("mqtts", _)) => ("mqtts", TLS_PORT, true),
        _ => return Err(format!("{text:?} does not begin with mqtts:// or mqtt://")),
    };
    let (host, port) = address(text, scheme, port)?;
    Ok((Address { host, port }, is_tls))
}

const TLS_KEYS: [&str; 4] = ["ca_file", "cert_file", "key_file", "tls_min"];

/// `is_tls`: unless the URL is wrong anyway.
fn tls(table: &Table<'_>, is_tls: Option<bool>) -> Option<Files> {
    for key in TLS_KEYS {
        if table.has(key) && is_tls == Some(false) {
            table.problem(key, &table.place(key), "is for TLS only; expected a url with mqtts:// beside it");
        }
    }
    let path = |key| table.has(key).then(|| table.path(key, ""));
    let (ca, cert, key) = (path("ca_file"), path("cert_file"), path("key_file"));
    let min = choice(table, "tls_min", &[("1.3", TlsMin::V13), ("1.2", TlsMin::V12)]).unwrap_or_default();
    if ca.is_none() && is_tls == Some(true) {
        table.problem(
            "ca_file",
            table.span(),
            "missing; expected the PEM file of the authority that signs the broker's certificate \
             (for a public one, the system's: /etc/ssl/certs/ca-certificates.crt)",
        );
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some(IdentityFiles { cert, key }),
        (Some(_), None) => lonely(table, "cert_file", "key_file"),
        (None, Some(_)) => lonely(table, "key_file", "cert_file"),
        (None, None) => None,
    };
    Some(Files { ca: ca.unwrap_or_else(PathBuf::new), identity, min })
}

fn lonely<T>(table: &Table<'_>, key: &'static str, other: &str) -> Option<T> {
    table.problem(key, &table.place(key), format!("needs a {other} beside it"));
    None
}
