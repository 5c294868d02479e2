//! An authority for tests, and certificates of it: good ones, and those that are wrong in one way each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// One that signs.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// In days from now, when a certificate begins and ends to be valid.
pub type Days = (i64, i64);
pub const GOOD: Days = (-1, 365);

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = params(name, GOOD);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// One for a client (no names), or for a broker by these names or addresses.
    pub fn issue(&self, common_name: &str, names: &[&str], days: Days) -> Pair {
        let mut params = params(common_name, days);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        params.subject_alt_names = CertificateParams::new(names).expect("names").subject_alt_names;
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn params(common_name: &str, (from, until): Days) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = day(from).into();
    params.not_after = day(until).into();
    params
}

fn day(from_now: i64) -> SystemTime {
    let at = latchd::drivers::clock::wall().plus_s(from_now * 86_400);
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.secs()).expect("after 1970"))
}

impl Pair {
    /// As `{name}.pem` and `{name}.key`.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&cert, &self.cert).expect("the test's directory is writable");
        fs::write(&key, &self.key).expect("the test's directory is writable");
        (cert, key)
    }
}

/// What a site needs: an authority, the broker's certificate, the controller's. In `tls/` below the site's folder.
#[derive(Debug)]
pub struct Tls {
    pub folder: PathBuf,
    pub authority: Authority,
}

impl Tls {
    pub fn prepare(site: &Path, controller: &str) -> Tls {
        let folder = site.join("tls");
        fs::create_dir(&folder).expect("the test's directory is writable");
        let authority = Authority::new("test authority");
        fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
        let tls = Tls { folder, authority };
        tls.put("broker", "localhost", &["localhost"], GOOD);
        tls.put(controller, controller, &[], GOOD);
        tls
    }

    /// Issues one and writes it.
    pub fn put(&self, file: &str, common_name: &str, names: &[&str], days: Days) -> Pair {
        let pair = self.authority.issue(common_name, names, days);
        pair.write(&self.folder, file);
        pair
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }
}
