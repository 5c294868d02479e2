//! `latchctl diagnose`: what leaves the box holds no UID, no key and no password, wherever they were planted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::site::records::card;
use crate::site::{Builder, Site};

const UID: &str = "04C5B6A7D8E9FA";
const OSDP_KEY: [u8; 16] =
    [0xA7, 0x3B, 0x91, 0x5C, 0xE2, 0x44, 0x0D, 0xF8, 0x66, 0x1A, 0xB9, 0x27, 0xC0, 0x5E, 0x83, 0xD1];
const PASSWORD: &str = "correct-horse-battery";

/// A `journalctl` whose log holds what a log must not.
fn planted_log(folder: &Path) -> PathBuf {
    let programs = folder.join("programs");
    fs::create_dir(&programs).unwrap();
    let path = programs.join("journalctl");
    let log = format!(
        "#!/bin/sh\necho 'latchd[1]: tap of {UID} at entrance'\necho 'latchd[1]: uid=04:c5:b6:a7:d8:e9:fa'\n\
         echo 'latchd[1]: mqtt password={PASSWORD}'\necho 'latchd[1]: a plain line that stays'\n"
    );
    fs::write(&path, log).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    programs
}

/// The bundle, taken apart: names and contents.
fn bundle(site: &Site, name: &str, programs: &Path) -> Vec<(String, String)> {
    let file = site.folder.path().join(format!("{name}.tar.gz"));
    let path = format!("{}:{}", programs.display(), std::env::var_os("PATH").unwrap().to_string_lossy());
    let mut diagnose = Command::new(env!("CARGO_BIN_EXE_latchctl"));
    diagnose.arg("--socket").arg(site.daemon.socket()).arg("diagnose").arg(&file);
    diagnose.arg("--config").arg(site.daemon.config_path());
    diagnose.env("PATH", path).env("LATCH_PASSWORD", PASSWORD);
    let said = diagnose.output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = diagnose.output().unwrap();
    assert_eq!(again.status.code(), Some(1), "it is there already: {again:?}");
    let folder = site.folder.path().join(format!("{name}-unpacked"));
    fs::create_dir(&folder).unwrap();
    assert!(Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(&folder).status().unwrap().success());
    let inside = fs::read_dir(folder.join(name)).unwrap().flatten();
    inside
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

fn part<'a>(parts: &'a [(String, String)], name: &str) -> &'a str {
    &parts.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn assert_clean(parts: &[(String, String)], secrets: &[String]) {
    for (name, text) in parts {
        let text = text.to_uppercase();
        for secret in secrets {
            assert!(!text.contains(&secret.to_uppercase()), "{secret} stands in {name}:\n{text}");
        }
    }
}

#[test]
fn what_was_planted_is_in_no_part_of_it_with_the_daemon_and_without() {
    let mut site = Builder::new().osdp("floor-2", 1, Some(OSDP_KEY)).secure().running();
    site.put([card("c-81", UID, "m-17")]);
    site.decision("entrance-in", UID);
    let programs = planted_log(site.folder.path());
    let config = site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("# the broker's old password was {PASSWORD}, the card {UID}\n{text}"))
        .unwrap();
    let key = fs::read_to_string(site.tls().path(&format!("{}.key", crate::site::CONTROLLER))).unwrap();
    let mut secrets: Vec<String> =
        key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect();
    secrets.extend([UID, "04:C5:B6:A7:D8:E9:FA", "FAE9D8A7B6C504", PASSWORD].map(str::to_owned));
    secrets.push(data_encoding::HEXUPPER.encode(&OSDP_KEY));

    let parts = bundle(&site, "running", &programs);
    assert_clean(&parts, &secrets);
    assert!(part(&parts, "status.json").contains("\"test-1\""));
    assert!(
        part(&parts, "events.jsonl").contains("\"uid_tag\"") || part(&parts, "events.jsonl").contains("c-81")
    );
    assert!(part(&parts, "log.txt").contains("a plain line that stays"));
    assert!(part(&parts, "latchd.toml").contains("id = \"test-1\""));
    assert!(part(&parts, "doctor.txt").contains("latchd"));

    assert!(site.daemon.stop().success());
    let broken = fs::read_to_string(&config)
        .unwrap()
        .replace("url = \"mqtts://", &format!("url = \"mqtts://oslo:{PASSWORD}@"));
    fs::write(&config, broken).unwrap();
    let parts = bundle(&site, "stopped", &programs);
    assert_clean(&parts, &secrets);
    assert!(part(&parts, "README.txt").contains("latchd did not answer"));
    assert!(!parts.iter().any(|(name, _)| name == "status.json"));
    assert!(part(&parts, "latchd.toml").contains("mqtts://(removed)@"));
}
