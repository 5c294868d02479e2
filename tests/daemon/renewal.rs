//! Certificates replaced under a running daemon, and those that are about to end.

use std::fs;

use crate::site::certificates::GOOD;
use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, CONTROLLER, Site, eventually, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";

fn end_of(site: &Site, certificate: &str) -> Option<String> {
    let sync = site.ask(&["sync"]);
    let found = sync["certificates"].as_array()?.iter().find(|one| one["certificate"] == certificate)?;
    Some(found["not_after"].as_str()?.to_owned())
}

#[test]
fn a_replaced_certificate_is_taken_up_when_its_key_fits_and_doors_do_not_notice() {
    let site = Builder::new().secure().running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let onlooker = Line::open(&site.broker.url());
    let mark = onlooker.mark();
    onlooker.wait_for(mark, "status", |status| status["online"] == true);
    let (since, end) = (site.ask(&["sync"])["since"].clone(), end_of(&site, "controller"));

    let new = site.tls().authority.issue(CONTROLLER, &[], (-1, 700));
    fs::write(site.tls().path(&format!("{CONTROLLER}.key")), &new.key).unwrap();
    eventually_asking("word of a key that does not fit", || {
        let log = site.daemon.log_tail(20);
        let said = "does not belong to the certificate in";
        (log.contains(said) && log.contains("the old ones stay in use")).then_some(())
    });
    let sync = site.ask(&["sync"]);
    assert_eq!((&sync["connected"], &sync["since"]), (&serde_json::json!(true), &since));
    assert_eq!(end_of(&site, "controller"), end);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");

    fs::write(site.tls().path(&format!("{CONTROLLER}.pem")), &new.cert).unwrap();
    eventually_asking("connection with the new certificate", || {
        let sync = site.ask(&["sync"]);
        (sync["connected"] == true && sync["since"] != since).then_some(())
    });
    assert_ne!(end_of(&site, "controller"), end);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    // Between the two connections there is none, and nothing claims that there were.
    let said = || {
        let said = onlooker.heard(mark, "status").into_iter().map(|status| status["online"] == true);
        let mut said: Vec<bool> = said.collect();
        said.dedup();
        (said.last() == Some(&true)).then_some(said)
    };
    assert_eq!(eventually("status of the new connection", said), [true, false, true]);
    let goodbye = format!("Received DISCONNECT from {CONTROLLER}");
    assert_eq!(site.broker.log().matches(&goodbye).count(), 1, "it left without a goodbye");
    let since = site.ask(&["sync"])["since"].clone();
    // Only touched: nothing to connect anew for.
    fs::write(site.tls().path(&format!("{CONTROLLER}.pem")), &new.cert).unwrap();
    crate::site::pause("the files are looked at every ten seconds", std::time::Duration::from_secs(12));
    assert_eq!(site.ask(&["sync"])["since"], since);
}

#[test]
fn a_certificate_that_ends_within_a_month_is_warned_of() {
    let mut site = Builder::bare().secure().without_central().prepared();
    site.tls().put(CONTROLLER, CONTROLLER, &[], (-1, 20));
    site.daemon.start();
    site.wait_until_connected();
    let warned = || {
        let log = site.daemon.log_tail(50);
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("expires soon")).collect();
        assert!(warnings.iter().all(|line| line.contains("certificate=\"controller\"")), "{warnings:?}");
        (warnings.len() == 1).then_some(())
    };
    eventually_asking("one warning", warned);
    let said = site.ctl(&["status"]).out;
    assert!(said.contains("the controller's certificate ends in 19 d"), "{said}");
}

#[test]
fn a_check_names_files_that_cannot_serve_and_the_daemon_starts_in_spite_of_them() {
    let mut site = Builder::new().secure().without_central().prepared();
    let check = |site: &Site| {
        let output = site.daemon.refuses(&["check"]);
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = check(&site);
    // Whether this machine has the operators' groups is another matter.
    let warned = said.lines().any(|line| line.contains("warning") && !line.contains("[operators]"));
    assert!(code == Some(0) && !warned, "{said}");
    let [cert, key] = ["pem", "key"].map(|end| site.tls().path(&format!("{CONTROLLER}.{end}")));
    let wrong = [
        (key.clone(), site.tls().authority.issue("x", &[], GOOD).key, "does not belong to the certificate"),
        (key.clone(), "nothing".into(), "holds no private key"),
        (cert.clone(), "-----BEGIN CERTIFICATE-----\nMIIB".into(), "is not whole PEM"),
        (cert.clone(), site.tls().authority.issue(CONTROLLER, &[], (-9, -2)).cert, "does not belong"),
        (site.tls().path("ca.pem"), String::new(), "holds no certificate"),
    ];
    for (path, content, reason) in wrong {
        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, content).unwrap();
        let (code, said) = check(&site);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(reason) && said.contains(path.to_str().unwrap()), "{reason}: {said}");
        fs::write(&path, good).unwrap();
    }
    site.tls().put(CONTROLLER, CONTROLLER, &[], (-9, -2));
    let (code, said) = check(&site);
    assert!(code == Some(1) && said.contains("has expired, on 20"), "{said}");
    // Whether one that is not there will be is not known.
    let aside = cert.with_extension("aside");
    fs::rename(&cert, &aside).unwrap();
    let (code, said) = check(&site);
    fs::rename(&aside, &cert).unwrap();
    let of_cert = format!("warning: can't read {}", cert.display());
    assert!(code == Some(0) && said.contains(&of_cert), "{said}");
    fs::write(&key, "nothing").unwrap();
    site.daemon.start();
    let detail = eventually_asking("word of the key", || {
        let detail = site.ask(&["sync"])["detail"].as_str()?.to_owned();
        (detail != "not connected yet").then_some(detail)
    });
    assert!(detail.contains(key.to_str().unwrap()) && detail.contains("holds no private key"), "{detail}");
    site.wait_until_empty("entrance-in");
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "unknown_credential");
}
