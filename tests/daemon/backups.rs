//! The store as one file and back: of this controller, whole, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{LIMIT, RECONNECT_LIMIT, Site};

const ANNA: &str = "04A1B2C3D4E5F6";
const BEN: &str = "04A1B2C3D4E5F7";

#[test]
fn a_backup_is_put_back_whole_the_journal_goes_on_and_central_makes_up_for_the_rest() {
    let mut site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let file = site.folder.path().join("oslo.backup");
    let path = file.to_str().unwrap();
    let made = site.ask(&["backup", path]);
    assert_eq!(
        (&made["credentials"], &made["grants"], &made["controller"]),
        (&json!(1), &json!(1), &json!("test-1"))
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "the key is in it");
    let again = site.ctl(&["backup", path]);
    assert_eq!((again.code, again.err.contains("cannot write ")), (1, true), "{}", again.err);
    // Ben came, and all that was lost on the box; central can't be reached.
    site.put([card("c-2", BEN, "m-2"), standing("g-2", "m-2", &["perimeter"])]);
    site.lose_broker();
    let before = site.last_seq();
    let restoring = site.follow(&["restore", path, "--json"]);
    site.daemon.wait_until_it_ends(LIMIT);
    assert!(site.state_dir().join("restore.copy").exists(), "nothing is staged");
    site.start_again();
    let done = restoring.wait_for("the answer", |value| value.get("backup").is_some());
    assert_eq!((&done["backup"]["at"], &done["backup"]["grants"]), (&made["at"], &json!(1)));
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_decided(&site.decision("entrance-in", BEN), "access.denied", "unknown_credential");
    let said = site.in_journal(before, "what was restored", |event| event["type"] == "store.recovered");
    assert!(
        said["detail"].as_str().unwrap().contains("a backup was restored, and what was is set aside as "),
        "{said}"
    );
    let by = site.in_journal(before, "who restored it", |event| event["action"] == "restore");
    assert_eq!(by["outcome"], "done");
    site.broker.start();
    site.central().wait_synced(RECONNECT_LIMIT).expect("central has sent what is newer");
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}

#[test]
fn what_is_damaged_newer_or_another_controllers_is_refused_and_changes_nothing() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let file = site.folder.path().join("one.backup");
    let path = file.to_str().unwrap();
    site.ask(&["backup", path]);
    let whole = fs::read(&file).unwrap();
    let altered = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (bytes, said) in [
        (altered(whole.len() / 2), "is damaged"),
        (whole[..whole.len() - 1].to_vec(), "it ends too early"),
        (altered(13), "is of a newer latchd"),
        (b"something else".to_vec(), "is no copy of a latchd's store"),
        (Vec::new(), "is no copy of a latchd's store"),
    ] {
        fs::write(&file, bytes).unwrap();
        let refused = site.ctl(&["restore", path]);
        assert_eq!(refused.code, 1, "{}", refused.err);
        assert!(
            refused.err.contains("nothing was restored: ") && refused.err.contains(said),
            "{}",
            refused.err
        );
        assert!(!site.state_dir().join("restore.copy").exists());
    }
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}
