//! TLS to the broker: what is offered, and what each refusal means in a sentence.
//!
//! The broker's certificate is always verified, against the authorities of the configuration and no others, for the
//! name in the URL and against the box's clock. There is no way to switch that off. A clock that is wrong therefore
//! keeps the link down (a box that boots in 1970, until network time has set it); the sentence says so.

use std::{fmt, io, sync::Arc};

use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, PeerIncompatible, RootCertStore,
    SupportedProtocolVersion,
    client::Resumption,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    version::{TLS12, TLS13},
};

use crate::domain::At;

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMin {
    V12,
    #[default]
    V13,
}

const V12_UP: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const V13_UP: &[&SupportedProtocolVersion] = &[&TLS13];

impl TlsMin {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            TlsMin::V12 => V12_UP,
            TlsMin::V13 => V13_UP,
        }
    }
}

/// A certificate chain, the own one first, and the key to it.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What every connection is made with. An error is about the identity: its certificate or its key.
pub fn client(roots: RootCertStore, identity: Option<Identity>, min: TlsMin) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(min.versions())?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    // A session that is resumed is not verified again: a certificate that has ended since would do.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Why TLS with the broker failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TlsError {
    #[error(
        "the broker's certificate is signed by none of the authorities in mqtt.ca_file; \
         is that the file for this broker?"
    )]
    UnknownIssuer,
    #[error("the broker's certificate is not for {host}, the name in mqtt.url{}", listed(.presented))]
    WrongName { host: String, presented: Vec<String> },
    #[error("the broker's certificate has expired{}; it must be renewed there", dated(", on", .not_after))]
    Expired { not_after: Option<At> },
    #[error(
        "the broker's certificate is not valid yet{}; is the clock of this box right?{}",
        dated(", only from", .not_before), dated(" It says", .now)
    )]
    NotYetValid { not_before: Option<At>, now: Option<At> },
    #[error("the broker's certificate can't be accepted: {0}")]
    Unacceptable(String),
    #[error("the broker speaks no TLS version we may; mqtt.tls_min = \"1.2\" would allow 1.2 beside 1.3")]
    Version,
    #[error("the broker wants a client certificate; set mqtt.cert_file and mqtt.key_file")]
    CertificateWanted,
    #[error("the broker refused our certificate (mqtt.cert_file): {0}")]
    Refused(&'static str),
    #[error("the broker and we have no cipher in common, or it wants a client certificate and got none")]
    NothingInCommon,
    #[error("what answers there does not speak TLS; is it the broker's plain port, for mqtt://?")]
    NotTls,
    #[error("TLS with the broker failed: {0}")]
    Other(String),
}

fn listed(names: &[String]) -> String {
    // The library says `DnsName("broker.example")`. What is presented comes from a stranger: cut it.
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inner.trim_matches('"').chars().take(80).collect()
    };
    let named: Vec<String> = names.iter().take(5).map(bare).collect();
    if named.is_empty() { String::new() } else { format!("; it is for {}", named.join(", ")) }
}

fn dated(before: &str, at: &Option<At>) -> String {
    at.map(|at| format!("{before} {}", at.floor_ms())).unwrap_or_default()
}

impl TlsError {
    /// What an I/O error of a TLS stream says, if it is TLS that says it.
    pub fn within(error: &io::Error, host: &str) -> Option<TlsError> {
        error.get_ref()?.downcast_ref::<Error>().map(|error| TlsError::of(error, host))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's other errors say what they say")]
    pub fn of(error: &Error, host: &str) -> TlsError {
        match error {
            Error::InvalidCertificate(error) => certificate(error, host),
            Error::AlertReceived(alert) => alerted(*alert),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => TlsError::Version,
            Error::InvalidMessage(_) => TlsError::NotTls,
            other => TlsError::Other(other.to_string()),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's other errors say what they say")]
fn certificate(error: &CertificateError, host: &str) -> TlsError {
    match error {
        CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
        CertificateError::NotValidForName => {
            TlsError::WrongName { host: host.to_owned(), presented: Vec::new() }
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsError::WrongName { host: host.to_owned(), presented: presented.clone() }
        }
        CertificateError::Expired => TlsError::Expired { not_after: None },
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsError::Expired { not_after: instant(not_after) }
        }
        CertificateError::NotValidYet => TlsError::NotYetValid { not_before: None, now: None },
        CertificateError::NotValidYetContext { time, not_before } => {
            TlsError::NotYetValid { not_before: instant(not_before), now: instant(time) }
        }
        other => TlsError::Unacceptable(other.to_string()),
    }
}

fn instant(time: &UnixTime) -> Option<At> {
    At::from_parts(i64::try_from(time.as_secs()).ok()?, 0)
}

/// What the broker said when it hung up. Under TLS 1.3 it judges our certificate after we think we are connected.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the protocol's other alerts are faults of one side's software"
)]
fn alerted(alert: AlertDescription) -> TlsError {
    match alert {
        AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => TlsError::Version,
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            TlsError::CertificateWanted
        }
        AlertDescription::CertificateExpired => {
            TlsError::Refused("it has expired, or the clock there is wrong")
        }
        AlertDescription::CertificateRevoked => TlsError::Refused("it has been revoked"),
        AlertDescription::UnknownCA => {
            TlsError::Refused("the broker does not know the authority that signed it")
        }
        AlertDescription::AccessDenied => TlsError::Refused("it may not connect here"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => TlsError::Refused("it is not acceptable there"),
        AlertDescription::HandshakeFailure => TlsError::NothingInCommon,
        other => TlsError::Other(fmt::format(format_args!("the broker sent the alert {other:?}"))),
    }
}
