//! The files TLS needs: the broker's authorities, our certificate, its key. Read whole, checked together.
//!
//! They are replaced under a running daemon, by hand or by a renewal that writes one after the other: what is read
//! is used only when all of it is there and the key fits the certificate.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::{
    ClientConfig, Error, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use super::{
    expiry,
    tls::{self, Identity, TlsMin},
};
use crate::{
    control::event::{CertificateEnd, CertificateOf},
    domain::At,
};

/// Where they are. All PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// One authority or several, while one takes over from another.
    pub ca: PathBuf,
    pub identity: Option<IdentityFiles>,
    pub min: TlsMin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// Our certificate first, then those between it and the authority.
    pub cert: PathBuf,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("can't read {path} (mqtt.{key}): {error}", path = .path.display())]
    Unreadable { key: &'static str, path: PathBuf, error: std::io::Error },
    #[error("{path} (mqtt.{key}) is larger than {FILE_BYTES_MAX} bytes; is it the right file?", path = .path.display())]
    TooLarge { key: &'static str, path: PathBuf },
    #[error("{path} (mqtt.{key}) is not whole PEM: it is cut short or damaged", path = .path.display())]
    NotPem { key: &'static str, path: PathBuf },
    #[error("{path} (mqtt.password_file) is not text in UTF-8", path = .path.display())]
    NotText { path: PathBuf },
    #[error("{path} (mqtt.{key}) holds no certificate; expected PEM with BEGIN CERTIFICATE", path = .path.display())]
    NoCertificate { key: &'static str, path: PathBuf },
    #[error(
        "{path} (mqtt.key_file) holds no private key; expected PEM, PKCS#8, SEC1 or PKCS#1, without a pass phrase",
        path = .path.display()
    )]
    NoKey { path: PathBuf },
    #[error("{path} (mqtt.ca_file) holds a certificate that can't be an authority: {detail}", path = .path.display())]
    NoAuthority { path: PathBuf, detail: String },
    #[error(
        "the key in {key} (mqtt.key_file) does not belong to the certificate in {cert} (mqtt.cert_file)",
        key = .key.display(), cert = .cert.display()
    )]
    Mismatch { key: PathBuf, cert: PathBuf },
    #[error(
        "the certificate in {cert} or its key in {key} can't be used: {detail}",
        key = .key.display(), cert = .cert.display()
    )]
    Unusable { key: PathBuf, cert: PathBuf, detail: String },
    #[error("the certificate in {path} (mqtt.{key}) has expired, on {not_after}", path = .path.display())]
    Expired { key: &'static str, path: PathBuf, not_after: At },
}

impl FileError {
    /// It is not there, or not to be read by whoever asks: not known to be wrong.
    pub fn is_unseen(&self) -> bool {
        matches!(self, FileError::Unreadable { .. })
    }
}

/// Larger than any bundle of authorities.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A whole and fitting set.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub client: Arc<ClientConfig>,
    pub authorities: Arc<Vec<CertificateDer<'static>>>,
    /// Until when our own certificate holds, and the first of those it comes with.
    pub own_end: Option<At>,
    /// Of the contents, to tell a replaced file from one that was only touched.
    pub digest: [u8; 32],
}

/// What a set of files looks like from outside, cheap enough to look at every few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<Option<[i64; 5]>>);

impl Files {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
        std::iter::once(self.ca.as_path()).chain(identity)
    }

    pub fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let seen = fs::metadata(path).ok()?;
            let [dev, ino, size] = [seen.dev(), seen.ino(), seen.size()].map(u64::cast_signed);
            // A file changed in place within one tick of the clock still has another change time in nanoseconds.
            Some([dev, ino, size, seen.ctime(), seen.ctime_nsec()])
        };
        Stamp(self.paths().map(of).collect())
    }

    pub fn load(&self) -> Result<Loaded, FileError> {
        let mut digest = Sha256::new();
        let authorities = certificates("ca_file", &self.ca, &mut digest)?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|error| FileError::NoAuthority {
                path: self.ca.clone(),
                detail: error.to_string(),
            })?;
        }
        let identity = self.identity.as_ref().map(|files| files.load(&mut digest)).transpose()?;
        let own_end = identity.as_ref().and_then(|(chain, _)| expiry::earliest(chain));
        let client = tls::client(roots, identity, self.min).map_err(|error| self.misfit(&error))?;
        let authorities = Arc::new(authorities);
        Ok(Loaded { client: Arc::new(client), authorities, own_end, digest: digest.finalize().into() })
    }

    fn misfit(&self, error: &Error) -> FileError {
        // Without an identity nothing is left that can fail.
        let none = || IdentityFiles { cert: self.ca.clone(), key: self.ca.clone() };
        let IdentityFiles { cert, key } = self.identity.clone().unwrap_or_else(none);
        if matches!(error, Error::InconsistentKeys(_)) {
            return FileError::Mismatch { key, cert };
        }
        FileError::Unusable { key, cert, detail: error.to_string() }
    }

    /// What `latchd check` says of them.
    pub fn check(&self, now: At) -> Result<(), FileError> {
        let loaded = self.load()?;
        let of_authority = expiry::earliest(loaded.authorities.iter()).map(|end| ("ca_file", &self.ca, end));
        let own = self.identity.as_ref().zip(loaded.own_end);
        let own = own.map(|(files, end)| ("cert_file", &files.cert, end));
        match [own, of_authority].into_iter().flatten().find(|(_, _, end)| *end <= now) {
            Some((key, path, not_after)) => Err(FileError::Expired { key, path: path.clone(), not_after }),
            None => Ok(()),
        }
    }
}

impl IdentityFiles {
    fn load(&self, digest: &mut Sha256) -> Result<Identity, FileError> {
        let chain = certificates("cert_file", &self.cert, digest)?;
        let text = read("key_file", &self.key)?;
        digest.update(&text);
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let path = self.key.clone();
            // What the library says of the others may quote a line of it.
            let is_none = matches!(error, pem::Error::NoItemsFound);
            if is_none { FileError::NoKey { path } } else { FileError::NotPem { key: "key_file", path } }
        })?;
        Ok((chain, key))
    }
}

impl Loaded {
    /// When what is in use ends: ours, and the authority's that signed the broker's (all of the file's while the
    /// broker's is not known). The broker's own comes from the handshake.
    pub fn ends(&self, broker: Option<&[CertificateDer<'_>]>) -> Vec<CertificateEnd> {
        let signed_by = |one: &&CertificateDer<'_>| broker.is_none_or(|chain| expiry::signs(one, chain));
        let authority = self.authorities.iter().filter(signed_by).filter_map(expiry::not_after).min();
        let ends = [
            (CertificateOf::Controller, self.own_end),
            (CertificateOf::Authority, authority),
            (CertificateOf::Broker, broker.and_then(expiry::earliest)),
        ];
        let mut ends: Vec<CertificateEnd> = ends
            .into_iter()
            .filter_map(|(of, end)| end.map(|not_after| CertificateEnd { of, not_after }))
            .collect();
        ends.sort_by_key(|end| end.not_after);
        ends
    }
}

/// A small file whole. A secret's is never longer, and nothing endless is read.
pub fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |error| FileError::Unreadable { key, path: path.to_owned(), error };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { key, path: path.to_owned() });
    }
    Ok(text)
}

fn certificates(
    key: &'static str,
    path: &Path,
    digest: &mut Sha256,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(key, path)?;
    digest.update(&text);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|_| FileError::NotPem { key, path: path.to_owned() })?;
    if found.is_empty() {
        return Err(FileError::NoCertificate { key, path: path.to_owned() });
    }
    Ok(found)
}
