//! Files that come, change, do not fit and end, in a directory of the test.

use std::{fs, path::Path, time::SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::{
    control::event::CertificateOf,
    drivers::{
        clock,
        uplink::{certificates::IdentityFiles, tls::TlsMin},
    },
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let end = clock::wall().plus_s(days * 86_400 + 60);
    params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(end.secs().cast_unsigned())).into();
    params
}

fn authority(name: &str, days: i64) -> Issuer {
    let mut params = params(name, days);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &Issuer, days: i64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params("x", days).signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

struct Rig {
    folder: TempDir,
    authority: Issuer,
    keeper: Keeper,
}

impl Rig {
    /// An authority for 400 days and a certificate for 200, as files.
    fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let authority = authority("one", 400);
        let at = |name: &str| folder.path().join(name);
        let identity = Some(IdentityFiles { cert: at("own.pem"), key: at("own.key") });
        let files = Files { ca: at("ca.pem"), identity, min: TlsMin::V13 };
        let rig = Rig { keeper: Keeper::new(Some(files), None), folder, authority };
        rig.write("ca.pem", &rig.authority.pem());
        rig.replace(200);
        rig
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn replace(&self, days: i64) {
        let (cert, key) = issue(&self.authority, days);
        self.write("own.pem", &cert);
        self.write("own.key", &key);
    }

    /// Whose certificate ends in how many days.
    fn ends(&self) -> Vec<(CertificateOf, u64)> {
        let days = |end: &CertificateEnd| end.not_after.since(clock::wall()).as_secs() / 86_400;
        self.keeper.ends().iter().map(|end| (end.of, days(end))).collect()
    }
}

use CertificateOf::{Authority, Broker, Controller};

#[test]
fn a_set_is_taken_up_when_it_is_whole_and_the_old_one_serves_until_then() {
    let mut rig = Rig::new();
    rig.keeper.ready().unwrap();
    assert_eq!(rig.ends(), [(Controller, 200), (Authority, 400)]);
    assert!(!rig.keeper.is_replaced());
    let (cert, key) = issue(&rig.authority, 300);
    rig.write("own.pem", &cert);
    for _ in 0..2 {
        assert!(!rig.keeper.is_replaced(), "half of a set");
    }
    rig.keeper.ready().unwrap();
    assert_eq!(rig.ends(), [(Controller, 200), (Authority, 400)]);
    rig.write("own.key", &key);
    assert!(rig.keeper.is_replaced());
    assert!(!rig.keeper.is_replaced());
    assert_eq!(rig.ends(), [(Controller, 300), (Authority, 400)]);
    fs::remove_file(rig.path().join("ca.pem")).unwrap();
    assert!(!rig.keeper.is_replaced());
    rig.keeper.ready().unwrap();
}

#[test]
fn without_a_good_set_there_is_a_reason_until_there_is_one() {
    let mut rig = Rig::new();
    rig.write("own.key", "");
    for _ in 0..2 {
        assert!(rig.keeper.ready().unwrap_err().to_string().contains("holds no private key"));
    }
    rig.replace(10);
    assert!(rig.keeper.ready().unwrap().tls.is_some());
}

#[test]
fn keys_of_every_usual_form_are_read() {
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    for form in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
        let text = format!("-----BEGIN {form}-----\nMAA=\n-----END {form}-----\n");
        assert!(PrivateKeyDer::from_pem_slice(text.as_bytes()).is_ok(), "{form}");
    }
    let mut rig = Rig::new();
    rig.write(
        "own.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert!(rig.keeper.ready().unwrap_err().to_string().contains("without a pass phrase"));
}

#[test]
fn the_authority_that_counts_is_the_one_the_brokers_certificate_is_of() {
    let mut rig = Rig::new();
    rig.write("ca.pem", &format!("{}{}", authority("old", 5).pem(), rig.authority.pem()));
    rig.keeper.ready().unwrap();
    assert_eq!(rig.ends(), [(Authority, 5), (Controller, 200)], "which one is not known yet");
    let shown = CertificateDer::from_pem_slice(issue(&rig.authority, 40).0.as_bytes()).unwrap();
    rig.keeper.met(Some(Arc::new(vec![shown])));
    assert_eq!(rig.ends(), [(Broker, 40), (Controller, 200), (Authority, 400)]);
    rig.keeper.met(None);
    assert_eq!(rig.ends().len(), 3, "known from the last connection");
    assert_eq!(rig.keeper.news().map(|ends| ends.len()), Some(3));
    assert_eq!(rig.keeper.news(), None, "told once");
}

#[test]
fn an_end_within_thirty_days_is_due_once_a_day() {
    let mut rig = Rig::new();
    rig.replace(40);
    rig.keeper.ready().unwrap();
    let hours = |n: u64| Mono(Duration::from_secs(n * 3600));
    let day = |n: i64| clock::wall().plus_s(n * 86_400);
    assert_eq!(rig.keeper.due(day(9), hours(0)), []);
    assert_eq!(rig.keeper.due(day(11), hours(1)).len(), 1);
    assert_eq!(rig.keeper.due(day(11), hours(24)), []);
    assert_eq!(rig.keeper.due(day(12), hours(25)).len(), 1);
    assert_eq!(rig.keeper.due(day(390), hours(100)).len(), 2, "both, and one of them is over");
}

#[test]
fn a_password_is_read_each_time_without_its_line_end() {
    let rig = Rig::new();
    let path = rig.path().join("password");
    let account = Account { username: "oslo-1".into(), password_file: Some(path.clone()) };
    let mut keeper = Keeper::new(None, Some(account));
    let missing = keeper.ready().unwrap_err().to_string();
    assert!(missing.contains("password_file") && missing.contains("No such file"), "{missing}");
    for password in ["one\n", "two\r\n", " three "] {
        fs::write(&path, password).unwrap();
        let ready = keeper.ready().unwrap();
        let login = ready.login.unwrap();
        assert_eq!(login.password, password.trim_end_matches(['\r', '\n']));
        assert!(!format!("{login:?}").contains(&login.password));
        assert!(ready.tls.is_none());
    }
}
