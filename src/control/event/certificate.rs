//! Until when the certificates of the link hold: told by the link, shown to people.

use crate::domain::At;

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateOf {
    /// The one the controller shows.
    Controller,
    /// The authority the broker's is signed by.
    Authority,
    Broker,
}

impl CertificateOf {
    /// As the control socket says it.
    pub fn as_str(self) -> &'static str {
        match self {
            CertificateOf::Controller => "controller",
            CertificateOf::Authority => "authority",
            CertificateOf::Broker => "broker",
        }
    }
}

/// Until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateEnd {
    pub of: CertificateOf,
    pub not_after: At,
}
