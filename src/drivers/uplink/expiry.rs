//! Until when a certificate holds: rustls checks it and does not tell, and an operator wants to know a month ahead.

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::{Certificate, der::Decode};

use crate::domain::At;

/// When a certificate ends to be valid. `None`: it can't be read, which is for the verification to judge.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<At> {
    let certificate = Certificate::from_der(certificate.as_ref()).ok()?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    At::from_parts(i64::try_from(end.as_secs()).ok()?, 0)
}

/// The first of several to end.
pub fn earliest<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Option<At> {
    certificates.into_iter().filter_map(not_after).min()
}

/// Whether an authority's name is that of an issuer in a chain. (That it did sign is verified in the handshake.)
pub fn signs(authority: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> bool {
    let Ok(authority) = Certificate::from_der(authority.as_ref()) else { return false };
    let subject = authority.tbs_certificate().subject();
    chain
        .iter()
        .filter_map(|one| Certificate::from_der(one.as_ref()).ok())
        .any(|one| one.tbs_certificate().issuer() == subject)
}
