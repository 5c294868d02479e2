//! TLS to the broker: certificates of both sides, every refusal with its reason, files replaced under a running daemon.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::site::certificates::{Authority, Days, GOOD};
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, CONTROLLER, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const EXPIRED: Days = (-30, -1);
const NOT_YET: Days = (2, 30);

/// What the daemon says of its link, when it says that there is none.
#[track_caller]
fn refusal(site: &Site) -> String {
    eventually_asking("reason for having no broker", || {
        let sync = site.ask(&["sync"]);
        assert_eq!(sync["connected"], false, "it is connected all the same");
        let detail = sync["detail"].as_str().filter(|detail| *detail != "not connected yet")?;
        Some(detail.to_owned())
    })
}

#[track_caller]
fn assert_refused(site: &Site, reason: &str) {
    let said = refusal(site);
    assert!(said.contains(reason), "expected {reason:?}, and it says {said:?}");
}

/// The daemon started with this change of its configuration, and its reason for having no link; then it is gone again.
#[track_caller]
fn assert_refused_with(site: &mut Site, (from, to): (&str, &str), reason: &str) {
    let path = site.daemon.config_path().to_owned();
    let good = fs::read_to_string(&path).unwrap();
    assert!(good.contains(from), "no {from:?} in {good}");
    fs::write(&path, good.replace(from, to)).unwrap();
    site.daemon.start();
    assert_refused(site, reason);
    site.daemon.kill();
    fs::write(&path, good).unwrap();
}

fn key(name: &str, path: &Path) -> String {
    format!("{name} = {path:?}")
}

#[test]
fn with_a_certificate_each_the_controller_is_in_step_and_says_when_they_end() {
    let site = Builder::new().secure().running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    let said = site.ask(&["sync"]);
    let certificates = said["certificates"].as_array().unwrap();
    let mut names: Vec<&Value> = certificates.iter().map(|one| &one["certificate"]).collect();
    names.sort_by_key(|name| name.as_str());
    assert_eq!(names, ["authority", "broker", "controller"]);
    let ends: Vec<&str> = certificates.iter().map(|one| one["not_after"].as_str().unwrap()).collect();
    assert!(ends.is_sorted() && ends[0] > "2026-01-01", "{ends:?}");
    assert!(site.broker.log().contains(&format!("u'{CONTROLLER}'")), "its name is its certificate's");
}

#[test]
fn a_broker_whose_certificate_does_not_fit_is_refused_with_the_reason() {
    let mut site = Builder::bare().secure().without_central().prepared();
    let ca = key("ca_file", &site.tls().path("ca.pem"));
    let other = site.tls().path("other-ca.pem");
    fs::write(&other, Authority::new("another authority").pem()).unwrap();
    let url = format!("{:?}", site.broker.secure_url());
    let plain = format!("\"mqtts://localhost:{}\"", site.broker.port());
    let address = format!("\"mqtts://127.0.0.1:{}\"", site.broker.secure_port());
    assert_refused_with(
        &mut site,
        (&ca, &key("ca_file", &other)),
        "signed by none of the authorities in mqtt.ca_file",
    );
    assert_refused_with(
        &mut site,
        (&url, &address),
        "not for 127.0.0.1, the name in mqtt.url; it is for localhost",
    );
    assert_refused_with(&mut site, (&url, &plain), "hung up in the TLS handshake");
    assert_refused_with(
        &mut site,
        (&url, "\"mqtts://localhost:1\""),
        "can't connect to 127.0.0.1:1: Connection refused",
    );
    assert_refused_with(&mut site, (&url, "\"mqtts://nobody.invalid\""), "can't resolve nobody.invalid");
    let missing = key("ca_file", Path::new("/nowhere/ca.pem"));
    assert_refused_with(
        &mut site,
        (&ca, &missing),
        "can't read /nowhere/ca.pem (mqtt.ca_file): No such file",
    );
    for (days, reason) in [
        (EXPIRED, "the broker's certificate has expired, on 20"),
        (NOT_YET, "is the clock of this box right? It says 20"),
    ] {
        site.broker.stop();
        site.tls().put("broker", "localhost", &["localhost"], days);
        site.broker.start();
        assert_refused_with(&mut site, ("", ""), reason);
    }
}

#[test]
fn a_controller_whose_certificate_does_not_fit_is_refused_with_the_reason() {
    let mut site = Builder::bare().secure().without_central().prepared();
    let own = |site: &Site| {
        let [cert, private] = ["pem", "key"].map(|end| site.tls().path(&format!("{CONTROLLER}.{end}")));
        format!("{}\n{}", key("cert_file", &cert), key("key_file", &private))
    };
    let own = own(&site);
    assert_refused_with(&mut site, (&own, ""), "wants a client certificate; set mqtt.cert_file");
    site.tls().put(CONTROLLER, CONTROLLER, &[], EXPIRED);
    assert_refused_with(
        &mut site,
        ("", ""),
        "the broker refused our certificate (mqtt.cert_file): it has expired",
    );
    Authority::new("another authority").issue(CONTROLLER, &[], GOOD).write(&site.tls().folder, CONTROLLER);
    assert_refused_with(&mut site, ("", ""), "does not know the authority that signed it");
}

#[test]
fn a_broker_that_speaks_tls_1_2_only_is_taken_only_where_the_file_says_so() {
    let mut site = Builder::bare().secure().prepared();
    site.broker.stop();
    site.broker.edit("tls_version tlsv1.3", "");
    site.broker.speak_at_most("TLSv1.2");
    site.broker.start();
    assert_refused_with(&mut site, ("", ""), "mqtt.tls_min = \"1.2\" would allow");
    let path = site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("ca_file", "tls_min = \"1.2\"\nca_file")).unwrap();
    site.daemon.start();
    site.wait_until_connected();
}

#[test]
fn a_user_name_and_a_password_do_where_the_broker_has_them() {
    let mut site = Builder::bare().secure().prepared();
    let passwords = site.tls().path("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args([CONTROLLER, "open sesame"])
        .status();
    assert!(made.unwrap().success(), "mosquitto_passwd comes with mosquitto");
    site.broker.stop();
    site.broker.edit(
        "require_certificate true\nuse_identity_as_username true",
        &format!("password_file {}", passwords.display()),
    );
    site.broker.start();
    let password = site.tls().path("password");
    fs::write(&password, "open says me\n").unwrap();
    let path = site.daemon.config_path().to_owned();
    let lines = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> =
        lines.lines().filter(|l| !l.starts_with("cert_file") && !l.starts_with("key_file")).collect();
    let login = format!("username = {CONTROLLER:?}\npassword_file = {password:?}\nca_file");
    fs::write(&path, kept.join("\n").replace("ca_file", &login)).unwrap();
    site.daemon.start();
    assert_refused(&site, "NotAuthorized");
    // It is read before each connect.
    fs::write(&password, "open sesame\n").unwrap();
    site.wait_until_connected();
}

#[test]
fn a_password_on_its_way_in_clear_is_warned_of_but_on_the_box_itself() {
    let mut site = Builder::bare().without_central().prepared();
    let password = site.folder.path().join("password");
    fs::write(&password, "open sesame").unwrap();
    let path = site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    let login = format!("username = \"x\"\npassword_file = {password:?}\nallow_unsigned");
    let text = text.replace("allow_unsigned", &login);
    let warned = "the broker's password goes over the network in clear";
    for (url, is_warned) in [(site.broker.url(), false), ("mqtt://nobody.invalid".into(), true)] {
        fs::write(&path, text.replace(&site.broker.url(), &url)).unwrap();
        site.daemon.start();
        assert_eq!(site.daemon.log_tail(100).contains(warned), is_warned, "{url}");
        site.daemon.kill();
    }
}
