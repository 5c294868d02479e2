//! The store as one file and back: of this controller, whole, or not at all.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::BASE64;
use rustix::process::Signal;
use serde_json::json;

use crate::site::build::Builder;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{LIMIT, Site, eventually, eventually_asking};

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
    // What central has heard of before looks the same: the daemon says when it has it again.
    eventually_asking("what is newer, of central", || {
        (site.ask(&["sync"])["applied"] == site.central().position().applied).then_some(())
    });
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}

/// Dropped, it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_backup_holds_every_change_up_to_its_own_and_none_after_it_while_more_come_in() {
    const ROUNDS: usize = 4;
    const FIRST: u64 = 6000;
    const BURST: usize = 25;
    let site = Site::running();
    site.put([standing("g-1", "m-1", &["perimeter"])]);
    let before = site.ask(&["sync"]);
    let none = before["applied"].as_u64().unwrap();
    // A card a change: how many there are says which changes are in it. So many that a copy is not made in one go.
    // Those that come have their place before those that are there: a copy under way is past it.
    let named =
        |id: &str, number: u64| card(&format!("{id}-{number}"), &format!("04A1B2{number:08X}"), "m-1");
    site.put((0..FIRST).map(|number| named("there", number)));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let add = || {
            for burst in (FIRST..).step_by(BURST) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let records = (burst..).take(BURST).map(|number| named("come", number));
                site.central().put_many(records).unwrap();
                // Not in step: that is said once a second, and all of a copy is made between.
                let is_near = |at: u64| at + 2 * BURST as u64 > site.central().position().applied;
                eventually_asking("changes that are applied", || {
                    site.ask(&["sync"])["applied"].as_u64().filter(|at| is_near(*at))
                });
            }
        };
        scope.spawn(add);
        // However this ends, or nobody would be told that it failed.
        let _over = Over(&is_over);
        let mut last = none;
        for round in 0..ROUNDS {
            let path = site.folder.path().join(format!("{round}.backup"));
            let made = eventually("a backup with changes of since", || {
                fs::remove_file(&path).ok();
                let made = site.ask(&["backup", path.to_str().unwrap()]);
                (made["applied"].as_u64() > Some(last)).then_some(made)
            });
            last = made["applied"].as_u64().unwrap();
            assert_eq!(made["credentials"].as_u64().unwrap(), last - none, "{made}");
        }
    });
    let file = site.folder.path().join(format!("{}.backup", ROUNDS - 1));
    let bytes = fs::read(file).unwrap();
    for plain in [b"04A1B2000000".as_slice(), b"\x04\xA1\xB2\0\0\0"] {
        assert!(!bytes.windows(plain.len()).any(|part| part == plain), "a card's number is in it, in clear");
    }
}

#[test]
fn a_backup_goes_into_no_file_that_somebody_else_made() {
    let site = Site::running();
    let folder = site.folder.path().join("stick");
    fs::create_dir(&folder).unwrap();
    let (path, elsewhere) = (folder.join("oslo.backup"), site.folder.path().join("elsewhere"));
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let refused = site.ctl(&["backup", path.to_str().unwrap()]);
    assert!(refused.code == 1 && refused.err.contains("it is there already"), "{refused:?}");
    fs::remove_file(&path).unwrap();
    // What one that was cut off left behind, or somebody planted to read what comes.
    let planted = folder.join("oslo.backup.part");
    fs::write(&planted, "").unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o666)).unwrap();
    site.ask(&["backup", path.to_str().unwrap()]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((fs::metadata(&planted).unwrap().len(), elsewhere.exists()), (0, false));
    let nowhere = site.ctl(&["backup", folder.join("no/such.backup").to_str().unwrap()]);
    assert!(nowhere.code == 1 && nowhere.err.contains("cannot write "), "{nowhere:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "something is left behind");
}

/// While the daemon stands still, whoever waits for a copy has begun its file.
#[test]
fn a_backup_that_is_given_up_leaves_nothing_behind() {
    let site = Site::running();
    let folder = site.folder.path().join("stick");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("oslo.backup");
    let there = || fs::read_dir(&folder).unwrap().count();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        site.daemon.stand_still();
        let under_way = site.follow(&["backup", path.to_str().unwrap(), "--json"]);
        eventually("a file that is begun", || (there() == 1).then_some(()));
        let ended = under_way.end_by(signal);
        site.daemon.go_on();
        assert_eq!(ended.signal(), Some(signal.as_raw()), "by what it was ended");
        assert_eq!(there(), 0, "{signal:?}");
    }
    site.ask(&["backup", path.to_str().unwrap()]);
}

#[test]
fn a_restore_that_is_cut_off_changes_nothing_and_the_next_one_is_taken() {
    let mut site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let file = site.folder.path().join("one.backup");
    let path = file.to_str().unwrap();
    site.ask(&["backup", path]);
    // Half of it, and then whoever sends it is gone.
    let begun =
        json!({ "protocol": 1, "verb": "restore", "data": BASE64.encode(&fs::read(&file).unwrap()[..100]) });
    let mut cut = UnixStream::connect(site.daemon.socket()).unwrap();
    writeln!(cut, "{begun}").unwrap();
    let mut answer = String::new();
    BufReader::new(&cut).read_line(&mut answer).unwrap();
    assert!(answer.contains("\"bytes\":100"), "{answer}");
    let beside = site.ctl(&["restore", path]);
    assert!(beside.code == 1 && beside.err.contains("another restore is under way"), "{beside:?}");
    drop(cut);
    eventually("end of the one that was cut off", || {
        (!site.state_dir().join(".restore.part").exists()).then_some(())
    });
    // The power goes in the middle of one: what came of it lies there at the next start.
    fs::write(site.state_dir().join(".restore.part"), "half of one").unwrap();
    site.daemon.kill();
    site.start_again();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    let restoring = site.follow(&["restore", path, "--json"]);
    site.daemon.wait_until_it_ends(LIMIT);
    site.start_again();
    restoring.wait_for("the answer", |value| value.get("backup").is_some());
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn what_is_damaged_newer_or_another_controllers_is_refused_and_changes_nothing() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let file = site.folder.path().join("one.backup");
    let path = file.to_str().unwrap();
    site.ask(&["backup", path]);
    let whole = fs::read(&file).unwrap();
    let other = Builder::new().edit_once("\"test-1\"", "\"test-2\"").without_central().running();
    let refused = other.ctl(&["restore", path]);
    assert_eq!(refused.code, 1);
    let said = "nothing was restored: the backup is controller test-1's, this is test-2";
    assert!(refused.err.contains(said), "{}", refused.err);
    assert!(!other.state_dir().join("restore.copy").exists());
    let before = site.last_seq();
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
    let journal = site.journal().into_iter().filter(|event| event["seq"].as_u64() > Some(before));
    let said: Vec<_> = journal.filter(|event| event["action"] == "restore").collect();
    assert!(said.iter().all(|event| event["outcome"] != "done"), "{said:#?}");
}
