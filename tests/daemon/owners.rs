//! The daemon as a user of its own, and files that are not its: what it needs and may not read is said by name, and left
//! as it is; what it can do without keeps no door shut.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::site::records::{card, standing};
use crate::site::{Builder, RECONNECT_LIMIT, Site, eventually_asking};

/// Nobody in particular; not root, which may read everything.
const USER: u32 = 65_534;
const ROOT: u32 = 0;

/// All under a folder, and the folder itself.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() && !path.is_symlink() {
            found.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

fn give(path: &Path, user: u32) {
    for path in all(path) {
        if !path.is_symlink() {
            chown(&path, Some(user), Some(user)).unwrap();
        }
    }
}

/// A site whose daemon runs as somebody else, with a card that may come in; stopped. `None`, and said, without root.
fn stopped() -> Option<Site> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can run the daemon as another user; nothing was tested here");
        return None;
    }
    let mut site = Builder::bare().prepared();
    give(site.folder.path(), USER);
    site.daemon.run_as(USER);
    site.daemon.start();
    site.wait_until_connected();
    site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
    site.put([card("c-1", "04A1B2C3D4E5F6", "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    site.daemon.stop();
    Some(site)
}

/// What stands in every file of the state directory, but for what any start writes.
fn contents(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = all(&site.state_dir()).into_iter().filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn refused(site: &Site) -> String {
    let refused = site.daemon.refuses(&[]);
    let said = String::from_utf8([refused.stdout, refused.stderr].concat()).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.to_lowercase().contains("permission denied"), "{said}");
    said
}

/// The card is known, without central.
fn is_known(site: &Site) {
    let said = site.ask(&["explain", "--door", "entrance", "--credential", "c-1"]);
    assert_eq!(said["decision"], "granted", "{said}");
}

fn last_segment(site: &Site) -> PathBuf {
    let segments = all(&site.state_dir().join("journal")).into_iter();
    segments.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).max().unwrap()
}

#[test]
fn a_state_directory_that_is_not_the_daemons_is_named_and_left_alone() {
    let Some(mut site) = stopped() else { return };
    let (state, before) = (site.state_dir(), contents(&site));
    chown(&state, Some(ROOT), Some(ROOT)).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    let said = refused(&site);
    assert!(said.contains(state.to_str().unwrap()), "{said}");
    chown(&state, Some(USER), Some(USER)).unwrap();
    assert_eq!(contents(&site), before);
    site.broker.stop();
    site.daemon.start();
    is_known(&site);
}

/// As after somebody ran the daemon, or copied a state, as root.
#[test]
fn a_file_of_another_user_that_it_needs_is_named_with_what_to_do_and_nothing_is_touched() {
    let Some(mut site) = stopped() else { return };
    site.broker.stop();
    let state = site.state_dir();
    let (own, mut wrong) = (state.to_str().unwrap(), Vec::new());
    for path in [
        state.join("lock"),
        state.join("uid.key"),
        state.join("journal.key"),
        state.join("high-water"),
        state.join("cache"),
        state.join("cache/db"),
        state.join("journal"),
        state.join("journal/id"),
        last_segment(&site),
    ] {
        let (before, mode) = (contents(&site), fs::metadata(&path).unwrap().permissions());
        chown(&path, Some(ROOT), Some(ROOT)).unwrap();
        let closed = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(&path, Permissions::from_mode(closed)).unwrap();
        let said = refused(&site);
        // sled does not say which of its files it was.
        let named = if path.ends_with("cache/db") { path.parent().unwrap() } else { &path };
        if !said.contains(named.to_str().unwrap()) || !said.contains(&format!("chown -R latchd {own},")) {
            wrong.push(format!("{}: {said}", path.display()));
        }
        chown(&path, Some(USER), Some(USER)).unwrap();
        fs::set_permissions(&path, mode).unwrap();
        let after = contents(&site);
        if after != before {
            let changed = after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes));
            wrong.push(format!(
                "{} changed {:?}",
                path.display(),
                changed.map(|(p, _)| p).collect::<Vec<_>>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    site.daemon.start();
    is_known(&site);
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
}

#[test]
fn a_file_of_another_user_that_it_can_do_without_keeps_nobody_out() {
    let Some(mut site) = stopped() else { return };
    let state = site.state_dir();
    for name in ["cache.copy", "journal/acknowledged", "journal/checkpoints"] {
        let path = state.join(name);
        chown(&path, Some(ROOT), Some(ROOT)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        site.daemon.start();
        is_known(&site);
        site.wait_until_connected();
        site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
        let recorded = site.last_seq();
        eventually_asking("acknowledgement", || {
            (site.ask(&["status"])["journal"]["acknowledged"].as_u64() >= Some(recorded)).then_some(())
        });
        let checked = site.ctl(&["journal", "verify"]);
        assert_eq!(checked.code, 0, "{name}: {}", checked.err);
        site.daemon.stop();
        if path.exists() {
            give(&path, USER);
        }
    }
}
