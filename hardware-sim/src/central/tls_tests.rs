//! Central over TLS, to a mosquitto that asks for certificates.

use super::live_tests::Mosquitto;
use super::tls::TlsFiles;
use super::{Central, CentralError};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// An authority, a broker's certificate and a client's, as files.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path) -> Authority {
        fs::create_dir_all(folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        for (name, purpose) in [
            ("broker", ExtendedKeyUsagePurpose::ServerAuth),
            ("central", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            // With the authority's own name, which is the default, it would pass for signed by itself.
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![purpose];
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Authority { folder: folder.to_owned() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// With mutual TLS on the loopback.
    fn broker(&self) -> Mosquitto {
        Mosquitto::with(&format!(
            "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
            self.file("ca.pem").display(),
            self.file("broker.pem").display(),
            self.file("broker.key").display()
        ))
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            ca: self.file("ca.pem"),
            identity: Some((self.file("central.pem"), self.file("central.key"))),
        }
    }
}

fn url(broker: &Mosquitto, host: &str) -> String {
    broker.url.replace("mqtt://127.0.0.1", &format!("mqtts://{host}"))
}

/// Why central does not connect.
fn refused(url: &str, files: TlsFiles) -> String {
    let central = Central::builder(url, "demo-1").tls(files).start().unwrap();
    let why = crate::wait::until(LIMIT, || central.why_not_connected());
    assert!(!central.is_connected());
    why.expect("a reason")
}

#[test]
fn central_speaks_to_a_broker_that_asks_for_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let broker = authority.broker();
    let central =
        Central::builder(&url(&broker, "localhost"), "demo-1").tls(authority.files()).start().unwrap();
    central.wait_connected(LIMIT).unwrap();
    assert_eq!(central.why_not_connected(), None);
}

#[test]
fn a_broker_of_another_authority_or_another_name_is_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("ours"));
    let other = Authority::new(&folder.path().join("other"));
    let broker = authority.broker();
    let why = refused(&url(&broker, "localhost"), TlsFiles { ca: other.file("ca.pem"), ..authority.files() });
    assert!(why.contains("invalid peer certificate"), "{why}");
    let why = refused(&url(&broker, "127.0.0.1"), authority.files());
    assert!(why.contains("not valid for name"), "{why}");
}

#[test]
fn central_without_its_certificate_is_not_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let broker = authority.broker();
    // What is read of the reason depends on who hangs up first.
    let why = refused(&url(&broker, "localhost"), TlsFiles { identity: None, ..authority.files() });
    assert!(why.contains("the TLS connection to localhost failed"), "{why}");
}

#[test]
fn tls_needs_an_authority_and_an_authority_needs_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let half = Central::start("mqtts://localhost", "demo-1").unwrap_err();
    assert!(matches!(half, CentralError::Tls(_)), "{half}");
    let half = Central::builder("mqtt://localhost", "demo-1").tls(authority.files()).start().unwrap_err();
    assert!(half.to_string().contains("give --ca with mqtts://"), "{half}");
    let missing = TlsFiles { ca: authority.file("nowhere.pem"), identity: None };
    let wrong = Central::builder("mqtts://localhost", "demo-1").tls(missing).start().unwrap_err();
    assert!(wrong.to_string().contains("nowhere.pem can't be used"), "{wrong}");
}
