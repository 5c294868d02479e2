//! Stores that were lost or damaged, and disks that take nothing: doors go on opening for those who were known, what
//! was recovered is said, nothing is deleted, and central makes up for the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, RECONNECT_LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const BEN: &str = "04A1B2C3D4E5F7";

/// Anna may come in, and the cache was copied since.
fn with_copy(builder: Builder) -> Site {
    let mut site = builder.running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    site.daemon.stop();
    assert!(site.state_dir().join("cache.copy").exists(), "a clean stop copies the cache");
    site
}

fn flip(path: &Path, every: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes.iter_mut().skip(every / 2).step_by(every).for_each(|b| *b ^= 0x5A);
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, keep: impl FnOnce(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

fn last_segment(state: &Path) -> PathBuf {
    let entries = fs::read_dir(state.join("journal")).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).max().unwrap()
}

/// A damage: what it is, what is done, what `store.recovered` says, and what is still there under which name.
struct Damage {
    what: &'static str,
    done: fn(&Path),
    /// Empty: sled may mend it by itself, and then nothing was lost.
    said: &'static str,
    kept: Option<&'static str>,
}

const DAMAGES: [Damage; 12] = [
    Damage {
        what: "the cache is gone",
        done: |state| fs::remove_dir_all(state.join("cache")).unwrap(),
        said: "cache: the cache is gone; its copy of ",
        kept: None,
    },
    Damage {
        what: "the database is cut in half",
        done: |state| cut(&state.join("cache/db"), |len| len / 2),
        said: "",
        kept: Some("cache.damaged-"),
    },
    Damage {
        what: "the database is zeros",
        done: |state| {
            let len = fs::metadata(state.join("cache/db")).unwrap().len() as usize;
            fs::write(state.join("cache/db"), vec![0; len]).unwrap();
        },
        said: "",
        kept: Some("cache.damaged-"),
    },
    Damage {
        what: "the database's bits are flipped",
        done: |state| flip(&state.join("cache/db"), 97),
        said: "",
        kept: Some("cache.damaged-"),
    },
    Damage {
        what: "the cache is of a newer latchd",
        done: |state| {
            let db = sled::open(state.join("cache")).unwrap();
            db.open_tree("meta").unwrap().insert("schema", vec![99]).unwrap();
            db.flush().unwrap();
        },
        said: "it has layout 99, this latchd reads up to ",
        kept: Some("cache.newer-"),
    },
    Damage {
        what: "the cache is empty without a word",
        done: |state| {
            let db = sled::open(state.join("cache")).unwrap();
            for name in db.tree_names() {
                db.open_tree(name).unwrap().clear().unwrap();
            }
            db.flush().unwrap();
        },
        said: "it does not say what it is",
        kept: Some("cache.damaged-"),
    },
    Damage {
        what: "the UID key is gone",
        done: |state| fs::remove_file(state.join("uid.key")).unwrap(),
        said: "uid.key was gone, and is taken from the cache's copy",
        kept: None,
    },
    Damage {
        what: "the UID key is altered",
        done: |state| fs::write(state.join("uid.key"), [9; 32]).unwrap(),
        said: "uid.key was altered, and is taken from the cache's copy",
        kept: Some("uid.key.damaged-"),
    },
    Damage {
        what: "the high-water mark is garbage",
        done: |state| fs::write(state.join("high-water"), "?").unwrap(),
        said: "the high-water mark can't be read; set aside as high-water.damaged-",
        kept: Some("high-water.damaged-"),
    },
    Damage {
        what: "the journal's key is cut",
        done: |state| cut(&state.join("journal.key"), |_| 7),
        said: "journal.key had 7 bytes, not 32; set aside as ",
        kept: Some("journal.key.damaged-"),
    },
    Damage {
        what: "the journal's last event is gone",
        done: |state| {
            let path = last_segment(state);
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            fs::write(&path, lines[..lines.len() - 1].concat()).unwrap();
        },
        said: " had been recorded: 1 events are missing; the journal goes on as ",
        kept: None,
    },
    Damage {
        what: "the journal is gone",
        done: |state| fs::remove_dir_all(state.join("journal")).unwrap(),
        said: " takes its place",
        kept: None,
    },
];

fn is_there(state: &Path, beginning: &str) -> bool {
    let mut names = fs::read_dir(state).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.any(|name| name.starts_with(beginning))
}

/// What was recorded since the daemon was started last.
fn last_start(site: &Site) -> Vec<Value> {
    let mut events = site.journal();
    let start =
        events.iter().rposition(|event| event["type"] == "controller.started").expect("it was started");
    events.split_off(start)
}

fn recovered(site: &Site, said: &str) -> Value {
    eventually_asking(said, || {
        let told = |event: &Value| event["detail"].as_str().is_some_and(|detail| detail.contains(said));
        last_start(site).into_iter().find(|event| event["type"] == "store.recovered" && told(event))
    })
}

#[test]
fn whatever_is_damaged_a_member_who_was_known_comes_in_and_it_is_said() {
    let mut site = with_copy(Builder::new());
    // Central is of no help while the doors are tried.
    site.broker.stop();
    for Damage { what, done, said, kept } in DAMAGES {
        eprintln!("{what}");
        done(&site.state_dir());
        site.start_again();
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        let is_said =
            !said.is_empty() || last_start(&site).iter().any(|event| event["type"] == "store.recovered");
        if is_said {
            recovered(&site, said);
            assert!(
                kept.is_none_or(|name| is_there(&site.state_dir(), name)),
                "{what}: {kept:?} is not there"
            );
        }
        eventually_asking("good store", || (site.ask(&["status"])["store"]["state"] == "good").then_some(()));
        site.daemon.stop();
    }
    site.broker.start();
    site.start_again();
    site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}

#[test]
fn without_cache_and_copy_nobody_comes_in_until_central_has_said_who_may() {
    let mut site = with_copy(Builder::new());
    site.broker.stop();
    fs::write(site.state_dir().join("cache/db"), [0xA5; 9000]).unwrap();
    cut(&site.state_dir().join("cache.copy"), |len| len - 1);
    site.start_again();
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "unknown_credential");
    let said = recovered(&site, "no card opens until it is in");
    assert_eq!(said["count"], 0);
    assert!(
        is_there(&site.state_dir(), "cache.copy.damaged-") && is_there(&site.state_dir(), "cache.damaged-")
    );
    site.broker.start();
    // Central goes by what it heard last, which was said before the loss: so the daemon is asked.
    eventually_asking("everything that central has", || {
        (site.ask(&["sync"])["applied"] == site.central().position().applied).then_some(())
    });
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn an_older_state_that_was_put_back_is_noticed_and_central_is_asked_for_the_rest() {
    let mut site = with_copy(Builder::new());
    let (cache, earlier) = (site.state_dir().join("cache"), site.folder.path().join("earlier"));
    copy_folder(&cache, &earlier);
    site.start_again();
    site.put([card("c-2", BEN, "m-2"), standing("g-2", "m-2", &["perimeter"])]);
    site.daemon.stop();
    // As a disk image that was put back has it: the copy beside it is an older one, too.
    fs::remove_dir_all(&cache).unwrap();
    fs::rename(&earlier, &cache).unwrap();
    fs::remove_file(site.state_dir().join("cache.copy")).unwrap();
    let (mark, last) = (site.central().mark(), site.central().position());
    site.start_again();
    let said = site.at_central(mark, "store.recovered");
    assert!(
        said["detail"].as_str().unwrap().contains(&format!("where change {} of epoch", last.applied)),
        "{said}"
    );
    site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon has what it had");
    assert_decided(&site.decision("entrance-in", BEN), "access.granted", "standing");
    // A command that was issued before the loss may have been carried out before it.
    let id = site.central().command("access", "entrance", None).expect("a command");
    let answer = site.central().wait_for_result(&id, RECONNECT_LIMIT).expect("an answer");
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("refused"), &json!("store_recovered")));
}

/// Nothing on the box knows of it, and central drops what comes under numbers that it has: events would be lost for good.
#[test]
fn a_whole_machine_that_was_put_back_is_noticed_by_what_central_has_and_the_next_start_sends_everything() {
    let mut site = with_copy(Builder::new());
    let (state, earlier) = (site.state_dir(), site.folder.path().join("earlier"));
    copy_folder(&state, &earlier);
    site.start_again();
    for _ in 0..4 {
        site.decision("entrance-in", ANNA);
    }
    let last = site.last_seq();
    site.at_central_where(0, "access.granted", |event| event["seq"].as_u64() >= Some(last - 8));
    eventually_asking("all at central", || {
        let has = site.central().events().iter().filter_map(|event| event["seq"].as_u64()).max();
        (has >= Some(last)).then_some(())
    });
    site.daemon.kill();
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&earlier, &state).unwrap();
    site.start_again();
    let said = site.in_journal(0, "word of it", |event| {
        event["type"] == "store.recovered"
            && event["detail"]
                .as_str()
                .unwrap()
                .contains("; restart latchd, so that it goes on under another id")
    });
    let lost = site.decision("entrance-in", ANNA);
    site.daemon.stop();
    let mark = site.central().mark();
    site.start_again();
    for event in [said, lost] {
        site.at_central_where(mark, event["type"].as_str().unwrap(), |other| other["hash"] == event["hash"]);
    }
    recovered(&site, "; the journal goes on as ");
    let checked = site.ctl(&["journal", "verify"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn another_controllers_state_is_refused_and_left_alone() {
    let site = with_copy(Builder::new());
    let text = fs::read_to_string(site.daemon.config_path()).unwrap();
    fs::write(site.daemon.config_path(), text.replace("id = \"test-1\"", "id = \"other-1\"")).unwrap();
    let before = fs::read(site.state_dir().join("cache/db")).unwrap();
    let refused = site.daemon.refuses(&[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(
        said.contains("the state directory is controller test-1's (") && said.contains("this is other-1; "),
        "{said}"
    );
    assert_eq!(fs::read(site.state_dir().join("cache/db")).unwrap(), before);
}

#[test]
fn a_signature_kept_elsewhere_tells_a_journal_that_was_written_anew() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    site.decision("entrance-in", ANNA);
    let file = site.folder.path().join("kept.jsonl");
    let kept = site.ctl(&["journal", "checkpoint"]);
    assert_eq!(kept.code, 0, "{}", kept.err);
    // Central has one with each status message, too.
    let at_central = eventually_asking("signature at central", || {
        site.central().status().filter(|status| status["checkpoint"]["seq"] == kept.json()["seq"])
    });
    fs::write(&file, format!("{}{at_central}\n", kept.out)).unwrap();
    let path = file.to_str().unwrap();
    site.decision("entrance-in", ANNA);
    let whole = site.ask(&["journal", "verify", "--against", path]);
    assert_eq!(whole["against"], 2, "{whole}");
    // What is exported is what stands in the files, to the byte.
    let exported = site.ctl(&["journal", "export", "--from", "2"]);
    let text = fs::read_to_string(last_segment(&site.state_dir())).unwrap();
    let (_, behind_first) = text.split_once('\n').unwrap();
    assert!(exported.out.lines().count() > 3 && behind_first.starts_with(&exported.out));
    // Another chain, as whole as the first: the one of a journal of its own, under this one's id.
    let mut forged = kept.json();
    forged["hash"] = "0".repeat(64).into();
    fs::write(&file, forged.to_string()).unwrap();
    let refused = site.ctl(&["journal", "verify", "--against", path]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("can't be believed: its signature is not that of its content"),
        "{}",
        refused.err
    );
    let nothing = site.ctl(&["journal", "verify", "--against", "/nowhere"]);
    assert_eq!((nothing.code, nothing.err.contains("cannot compare with /nowhere: ")), (1, true));
}
