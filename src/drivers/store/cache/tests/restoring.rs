//! A backup that takes the cache's place, and a power cut between any two of the steps that takes.

use std::fs;

use super::{ladder::copied, *};
use crate::drivers::store::{
    cache::{copy, restoring},
    key::UID_KEY,
};

/// What a cut may have left done, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Staged,
    KeyBeside,
    OwnKeyAside,
    KeyWritten,
    CacheAside,
    CopyAside,
}

/// A site with a key of its own and a backup of it from before, as an interrupted restore left it.
fn interrupted(done: Done) -> Site {
    let (site, _) = copied();
    let in_it = |name: &str| site.0.path().join(name);
    fs::copy(in_it(copy::FILE), in_it(copy::RESTORE_FILE)).unwrap();
    fs::write(in_it(UID_KEY), if done < Done::KeyWritten { [9; 32] } else { [0; 32] }).unwrap();
    let aside = |name: &str| fs::rename(in_it(name), in_it(&format!("{name}.replaced-20261126"))).unwrap();
    if matches!(done, Done::KeyBeside | Done::OwnKeyAside) {
        fs::write(in_it("uid.key.restored"), [0; 32]).unwrap();
    }
    if done == Done::OwnKeyAside {
        aside(UID_KEY);
    }
    if done >= Done::CacheAside {
        aside("cache");
    }
    if done >= Done::CopyAside {
        aside(copy::FILE);
    }
    site
}

#[test]
fn a_restore_that_was_cut_off_anywhere_is_gone_on_with_at_the_next_start() {
    for done in [
        Done::Staged,
        Done::KeyBeside,
        Done::OwnKeyAside,
        Done::KeyWritten,
        Done::CacheAside,
        Done::CopyAside,
    ] {
        let site = interrupted(done);
        let said = restoring::adopt(site.0.path(), "oslo-1").unwrap().expect("one is staged").unwrap();
        assert!(said.starts_with("a backup was restored"), "{done:?}: {said}");
        assert_eq!(fs::read(site.0.path().join(UID_KEY)).unwrap(), [0; 32], "{done:?}");
        let (_, loaded) = site.start();
        assert_eq!(loaded.position.applied, 900, "{done:?}");
        let names = site.names();
        assert!(names.contains(&"cache.replaced".to_owned()), "{done:?}: {names:?}");
        for gone in [copy::RESTORE_FILE, "uid.key.restored"] {
            assert!(!names.contains(&gone.to_owned()), "{done:?}: {names:?}");
        }
        assert_eq!(restoring::adopt(site.0.path(), "oslo-1").unwrap(), None, "{done:?}: once");
    }
}

#[test]
fn a_staged_backup_that_was_damaged_since_is_set_aside_and_the_cache_stays() {
    let site = interrupted(Done::Staged);
    let staged = site.0.path().join(copy::RESTORE_FILE);
    let bytes = fs::read(&staged).unwrap();
    fs::write(&staged, &bytes[..bytes.len() - 1]).unwrap();
    let said = restoring::adopt(site.0.path(), "oslo-1").unwrap().expect("one is staged").unwrap_err();
    assert!(said.starts_with("a backup was not restored: ") && said.contains("it ends too early"), "{said}");
    assert_eq!(fs::read(site.0.path().join(UID_KEY)).unwrap(), [9; 32], "the key is still the own one");
    let (_, loaded) = site.start();
    assert_eq!(loaded.position.applied, 900);
}

#[test]
fn where_the_key_can_not_be_written_the_backup_is_not_taken_up_and_what_was_there_holds() {
    let site = interrupted(Done::Staged);
    // In its way, as a full disk would be.
    fs::create_dir(site.0.path().join(".uid.key.restored.new")).unwrap();
    let said = restoring::adopt(site.0.path(), "oslo-1").unwrap().expect("one is staged").unwrap_err();
    assert!(said.starts_with("a backup was not restored: ") && said.contains("not-restored"), "{said}");
    assert_eq!(fs::read(site.0.path().join(UID_KEY)).unwrap(), [9; 32], "the key is still the own one");
    assert_eq!(restoring::adopt(site.0.path(), "oslo-1").unwrap(), None, "it is out of the way");
    let (_, loaded) = site.start();
    assert_eq!(loaded.position.applied, 900);
}

#[test]
fn the_key_of_a_backup_that_was_never_taken_up_does_not_come_with_the_next() {
    let site = interrupted(Done::KeyWritten);
    fs::write(site.0.path().join("uid.key.restored"), [7; 32]).unwrap();
    restoring::adopt(site.0.path(), "oslo-1").unwrap().expect("one is staged").unwrap();
    assert_eq!(fs::read(site.0.path().join(UID_KEY)).unwrap(), [0; 32]);
}
