//! The files that packages and services are made from, as the programs read them that we can't run at each test.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use serde::Deserialize;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Cross.toml, with the keys cross 0.2.5 has and we use; another is a mistake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cross {
    build: Build,
    target: BTreeMap<String, Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    env: Environment,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Target {
    image: String,
    pre_build: Vec<String>,
    env: Environment,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Environment {
    passthrough: Vec<String>,
}

#[test]
fn cross_builds_for_the_processors_that_packages_are_made_for() {
    let Cross { build, target } = toml::from_str(&read("Cross.toml")).unwrap();
    assert!(build.env.passthrough.iter().any(|v| v == "SOURCE_DATE_EPOCH"));
    let triples = ["aarch64-unknown-linux-gnu", "armv7-unknown-linux-gnueabihf"];
    assert_eq!(target.keys().collect::<Vec<_>>(), triples);
    let script = read("debian/build");
    for (triple, Target { image, pre_build, env }) in target {
        assert!(script.contains(&format!("triple={triple} ")), "debian/build knows no {triple}");
        assert_eq!(image, format!("ghcr.io/cross-rs/{triple}:0.2.5"), "pinned");
        assert!(pre_build.concat().contains("libpcsclite-dev:$CROSS_DEB_ARCH"), "{pre_build:?}");
        assert!(env.passthrough.contains(&"PKG_CONFIG_ALLOW_CROSS=1".to_owned()), "{env:?}");
    }
}

#[test]
fn the_packages_version_is_the_programs() {
    let changelog = read("debian/changelog");
    let first = changelog.split(['(', ')']).nth(1).unwrap_or_default();
    assert_eq!(first, env!("CARGO_PKG_VERSION"), "begin debian/changelog with an entry for this version");
}

#[test]
fn the_configuration_that_the_package_installs_has_no_mistake_and_names_nothing_that_could_be_somebodys() {
    let text = read("debian/latchd.toml");
    let config = latchd::daemon::config::parse(&text).unwrap();
    assert_eq!((config.boards.len(), config.doors.len(), config.readers.len()), (1, 1, 1));
    // A board at another address could be one that opens another door.
    assert!(
        text.contains("url = \"modbus+tcp://127.0.0.1:502\"")
            && text.contains("url = \"mqtts://localhost:8883\"")
    );
    assert!(!text.contains("allow_unsigned"));
}

#[test]
fn the_groups_of_the_configuration_are_those_the_package_makes() {
    let users = read("systemd/latchd.sysusers");
    for group in ["latch-observer", "latch-technician", "latch-admin"] {
        assert!(users.contains(&format!("\ng {group} -\n")), "{group}");
    }
}

/// When the kernel was last asked, by what stands in the file.
fn asked_at_ms(file: &Path) -> Option<u64> {
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    assert!(told["synchronised"].is_boolean() && told["offset_s"].is_f64(), "{told}");
    told["asked_at_ms"].as_u64()
}

#[test]
fn the_kernels_word_on_its_clock_is_written_down_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let mut clock = Command::new(env!("CARGO_BIN_EXE_latchd")).arg("clock").arg(&file).spawn().unwrap();
    let first = hardware_sim::wait::until(Duration::from_secs(20), || asked_at_ms(&file));
    let later = hardware_sim::wait::until(Duration::from_secs(20), || {
        asked_at_ms(&file).filter(|at| Some(*at) > first)
    });
    clock.kill().unwrap();
    let _ = clock.wait().unwrap();
    assert!(first.is_some() && later.is_some(), "{first:?} {later:?}");

    let nowhere = folder.path().join("nowhere").join("told");
    let told = Command::new(env!("CARGO_BIN_EXE_latchd")).arg("clock").arg(&nowhere).output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && said.contains("can't write down in"), "{said}");
}
