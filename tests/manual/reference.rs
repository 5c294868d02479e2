//! `docs/latchctl.md`: the help of every verb, and what each prints at a site, at an empty one, and when it fails.
//!
//! The text is what the tool printed once; each run holds it against what the tool prints now. What changes from run to
//! run (times, ages, numbers, the widths of columns) does not count; words, order and the names in JSON do.
//! `LATCHD_BLESS=1 cargo test --test it manual::reference` writes it anew, for a person to read through.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hardware_sim::board::Walk;
use serde_json::{Value, json};

use super::calls::*;
use crate::daemon::operators::House;
use crate::site::ctl::Said;
use crate::site::people::assert_decided;
use crate::site::process::Guarded;
use crate::site::records::{card, card_with_status, room, standing, with};
use crate::site::{LIMIT, Site, eventually, eventually_asking};

/// What stands above it is written by hand.
const FROM_HERE: &str = "<!-- From here on: tests/manual/reference.rs -->\n";
const BARE: &str = r#"
controller = { id = "test-1", time_zone = "Europe/Oslo", state_dir = "{}/state", socket = "{}/latchd.sock" }
mqtt = { url = "mqtt://127.0.0.1:1", allow_unsigned = true }
clock = { require_sync = false }
"#;

const SOCKET: &str = "/run/latchd/latchd.sock";

const RESTRICTED: [&str; 2] = ["By somebody who may only look:", "By somebody who may not even that:"];

/// What these print is what this machine is like; they have tests of their own.
const OF_THE_BOX: &[&str] = &["doctor", "diagnose", "man"];

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/latchctl.md")
}

fn latchctl(folder: &Path) -> Command {
    let mut latchctl = Command::new(env!("CARGO_BIN_EXE_latchctl"));
    latchctl.current_dir(folder).env("COLUMNS", "100").env_remove("LATCHCTL_SOCKET");
    latchctl
}

/// The verbs below these words, by the help of them.
fn verbs(words: &[String], help: &str) -> Vec<Vec<String>> {
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(|name| words.iter().cloned().chain([name.to_owned()]).collect()).collect()
}

fn help(folder: &Path, words: &[String]) -> String {
    let output = latchctl(folder).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// One call as it stands in a terminal.
fn shown(arguments: &[&str], said: &Said, site: Option<&Site>) -> String {
    let quoted =
        arguments.iter().map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).into() });
    let mut text = format!("$ latchctl {}\n", quoted.collect::<Vec<String>>().join(" "));
    if arguments.contains(&"--json") {
        said.out.lines().for_each(|line| match serde_json::from_str::<Value>(line) {
            Ok(document) => writeln!(text, "{document:#}").unwrap(),
            Err(_) => writeln!(text, "{line}").unwrap(),
        });
    } else {
        text.push_str(&said.out);
    }
    text.push_str(&said.err);
    if said.code != 0 {
        writeln!(text, "(exit status {})", said.code).unwrap();
    }
    site.map_or(text.clone(), |site| at_home(&text, site))
}

/// With the places of a real box in place of a test's folder.
fn at_home(text: &str, site: &Site) -> String {
    let folder = site.folder.path().display().to_string();
    [
        (site.daemon.socket().display().to_string(), SOCKET),
        (site.state_dir().display().to_string(), "/var/lib/latchd"),
        (site.daemon.config_path().display().to_string(), "/etc/latchd/latchd.toml"),
        (folder, "/dev/latchd"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (here, there)| text.replace(here, there))
}

fn a_site() -> Site {
    let site = Site::running();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let hours = json!([{ "days": days, "from": "00:00", "to": "24:00" }]);
    site.put([
        json!({ "type": "policy", "id": "site", "staffed_hours": hours }),
        with(card("c-anna", ANNA, "m-anna"), "label", "Anna's card"),
        card_with_status("c-new", "04A1B2C3D4E5F8", "m-new", "issued"),
        card_with_status("c-lost", "04A1B2C3D4E5F9", "m-new", "lost"),
        standing("g-anna", "m-anna", &["perimeter"]),
        room("g-room", "m-anna", "b-7", &["room-4"], (-3600, 3600)),
    ]);
    site.wait_until_ready();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_decided(&site.decision("room-4-in", STRANGER), "access.denied", "unknown_credential");
    // A strike that is still on is told with the time it has left.
    eventually_asking("the door's locking again", || {
        site.ask(&["doors"]).as_array().unwrap().iter().all(|door| door["lock"] == "secure").then_some(())
    });
    site
}

/// The calls of one verb at each site, under a heading each.
fn sections(all: &[(&str, Vec<(Call, String)>)], verb: &str, text: &mut String) {
    for (heading, calls) in all {
        let of_it: Vec<&str> =
            calls.iter().filter(|(call, _)| call[0] == verb).map(|(_, shown)| shown.as_str()).collect();
        if !of_it.is_empty() {
            write!(text, "\n{heading}\n\n```text\n{}```\n", of_it.join("\n")).unwrap();
        }
    }
}

/// What somebody at the door does, while these run.
fn at_the_door(site: &Site) -> Vec<(Call, String)> {
    let commanded = |action: &str, count: usize| {
        let is_it = |event: &Value| event["type"] == "operator.command" && event["action"] == action;
        let done = || site.journal().iter().filter(|event| is_it(event)).count();
        eventually("what latchctl has ordered", || (done() >= count).then_some(()));
    };
    let accesses = site.journal().iter().filter(|event| event["action"] == "access").count();
    let run = |call: &Call, hands: &dyn Fn()| {
        let said = std::thread::scope(|scope| {
            let running = scope.spawn(|| site.ctl(call));
            hands();
            running.join().expect("latchctl")
        });
        (*call, shown(call, &said, Some(site)))
    };
    let tested = run(&AT_THE_DOOR[0], &|| {
        commanded("access", accesses + 2);
        eventually("door that opens", || site.board.prop_open(0).ok().filter(|walk| *walk == Walk::Through));
        eventually("the door, seen open", || (site.ask(&["doors"])[0]["contact"] == "open").then_some(()));
        site.board.close(0).unwrap();
        eventually("the door, seen shut", || (site.ask(&["doors"])[0]["contact"] == "closed").then_some(()));
        site.board.press_rex(0, Duration::from_secs(1)).unwrap();
    });
    let watched = run(&AT_THE_DOOR[1], &|| {
        commanded("reader_watch", 1);
        site.tap("entrance-in", ANNA);
    });
    vec![tested, watched]
}

/// The backup that was made before, put back; the daemon ends with it, and is started again.
fn restored(site: &mut Site) -> (Call, String) {
    const CALL: Call = &["restore", "oslo-1.backup"];
    let child = latchctl(site.folder.path())
        .arg("--socket")
        .arg(site.daemon.socket())
        .args(CALL)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    site.daemon.wait_until_it_ends(LIMIT);
    site.start_again();
    (CALL, shown(CALL, &child.wait_with_output().unwrap().into(), Some(site)))
}

/// With the groups a box has in place of those that stand in for them, and with a name for who is in one.
fn with_their_groups(text: String) -> String {
    let stand_ins = [
        ("group games, news or mail", "group latch-observer, latch-technician or latch-admin"),
        ("group news or mail", "group latch-technician or latch-admin"),
        ("group mail", "group latch-admin"),
        ("games (5) is in games only", "eva (1004) is in latch-observer only"),
        ("nobody (65534)", "carl (1005)"),
        ("-aG games nobody", "-aG latch-observer carl"),
        ("-aG news games", "-aG latch-technician eva"),
        ("-aG mail games", "-aG latch-admin eva"),
    ];
    stand_ins.iter().fold(text, |text, (here, there)| text.replace(here, there))
}

/// At a box where nobody has configured anything yet.
fn unconfigured() -> Vec<(Call, String)> {
    let folder = tempfile::TempDir::new().unwrap();
    let (config, socket) = (folder.path().join("latchd.toml"), folder.path().join("latchd.sock"));
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(&config, BARE.replace("{}", folder.path().to_str().unwrap())).unwrap();
    let mut latchd = Command::new(env!("CARGO_BIN_EXE_latchd"));
    latchd.arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let _latchd = Guarded::spawn(&mut latchd).unwrap();
    let run =
        |call: &Call| latchctl(folder.path()).arg("--socket").arg(&socket).args(*call).output().unwrap();
    eventually("a daemon that answers", || run(&["doors"].as_slice()).status.success().then_some(()));
    WITH_NOTHING_CONFIGURED.iter().map(|call| (*call, shown(call, &run(call).into(), None))).collect()
}

/// By people of fewer rights. Only root can stand in for them.
fn by_others() -> Option<[Vec<(Call, String)>; 2]> {
    let house = House::running()?;
    let by = |user: &str, calls: &[Call]| {
        let run = |call: &Call| {
            let (code, out, err) = house.by(user, call);
            (*call, with_their_groups(shown(call, &Said { code, out, err }, Some(&house.site))))
        };
        calls.iter().map(run).collect()
    };
    Some([by("games", BY_AN_OBSERVER), by("nobody", BY_A_STRANGER)])
}

/// The page without the sections under a heading.
fn without(text: &str, heading: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&format!("\n{heading}\n\n```text\n")) {
        kept.push_str(before);
        rest = after.split_once("```\n").map_or("", |(_, after)| after);
    }
    kept + rest
}

fn made() -> String {
    let (mut site, empty) = (a_site(), Site::running());
    let at = |site: &Site, calls: &[Call]| -> Vec<(Call, String)> {
        let run = |call: &Call| {
            let output = latchctl(site.folder.path())
                .arg("--socket")
                .arg(site.daemon.socket())
                .args(*call)
                .output()
                .unwrap();
            (*call, shown(call, &output.into(), Some(site)))
        };
        calls.iter().map(run).collect()
    };
    let mut there = at(&site, AT_A_SITE);
    there.push(restored(&mut site));
    site.wait_until_ready();
    let by_hand = at_the_door(&site);
    let by_nobody = at(&site, WITH_NOBODY_THERE);
    let nothing = at(&empty, AT_AN_EMPTY_ONE);
    let folder = tempfile::TempDir::new().unwrap();
    let alone = WITHOUT_A_DAEMON.iter().map(|call| {
        let output = latchctl(folder.path()).args(["--socket", SOCKET]).args(*call).output().unwrap();
        (*call, shown(call, &output.into(), None))
    });
    let mut all = vec![
        ("At a site:", there),
        ("With somebody at the door:", by_hand),
        ("With nobody there:", by_nobody),
        ("At a box that central has told nothing yet:", nothing),
        ("At a box where nothing is configured yet:", unconfigured()),
        ("Where no daemon runs:", alone.collect()),
    ];
    all.extend(by_others().into_iter().flat_map(|by| RESTRICTED.into_iter().zip(by)));
    let mut text = format!("\n```text\n{}```\n", help(folder.path(), &[]));
    for verb in verbs(&[], &help(folder.path(), &[])) {
        let own = help(folder.path(), &verb);
        write!(text, "\n## {}\n\n```text\n{own}```\n", verb[0]).unwrap();
        for below in verbs(&verb, &own) {
            write!(
                text,
                "\n```text\n$ latchctl {} --help\n{}```\n",
                below.join(" "),
                help(folder.path(), &below)
            )
            .unwrap();
        }
        sections(&all, &verb[0], &mut text);
    }
    text
}

/// What counts of a line: not its numbers, keys and ages, how many of a thing there are, or the widths of columns.
fn kept(line: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for run in line.split_inclusive(|c: char| !is_of_a_word(c)) {
        let word = run.trim_end_matches(|c| !is_of_a_word(c));
        let word = counted(word);
        let is_unit = ["ms", "s", "min", "h", "d"].contains(&word.as_str());
        let follows_a_number = kept.last().is_some_and(|last| last == "#");
        if !(follows_a_number && (is_unit || word == "#")) {
            kept.extend(Some(word).filter(|word| !word.is_empty()));
        }
        kept.extend(run.chars().last().filter(|c| !is_of_a_word(*c) && !c.is_whitespace()).map(String::from));
    }
    // A time with seconds or without, of today or with its date.
    let mut kept = kept.join(" ");
    for several in ["# : #", "# on #", "# #"] {
        while kept.contains(several) {
            kept = kept.replace(several, "#");
        }
    }
    kept
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// A word without what is another at each run.
fn counted(word: &str) -> String {
    let is_key =
        word.len() >= 40 || (word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-'));
    let of_a_calendar =
        "Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec CET CEST";
    if is_key || of_a_calendar.split(' ').any(|name| name == word) {
        return "#".into();
    }
    let mut kept = String::new();
    for c in word.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if !(c == '#' && kept.ends_with('#')) {
            kept.push(c);
        }
    }
    // One event, two events.
    if kept.len() > 2 { kept.trim_end_matches('s').to_owned() } else { kept }
}

/// The verbs that do something, by the tool's own help: those that have none below them.
fn leaves(folder: &Path, words: &[String]) -> Vec<Vec<String>> {
    let below = verbs(words, &help(folder, words));
    // `sync` is a verb by itself, too.
    let own = (below.is_empty() || words == ["sync"]).then(|| words.to_vec());
    own.into_iter().chain(below.iter().flat_map(|words| leaves(folder, words))).collect()
}

#[test]
fn every_verb_is_shown_and_fails_somewhere_in_the_reference() {
    let folder = tempfile::TempDir::new().unwrap();
    let shown = || AT_A_SITE.iter().chain(AT_THE_DOOR).chain(AT_AN_EMPTY_ONE).chain(WITHOUT_A_DAEMON);
    for verb in leaves(folder.path(), &[]) {
        let is_it = |call: &&Call| call.iter().take(verb.len()).eq(&verb);
        let is_of_the_box = OF_THE_BOX.contains(&verb[0].as_str());
        assert!(is_of_the_box || shown().any(|call| is_it(&call)), "{verb:?} is not shown");
        let fails = WITHOUT_A_DAEMON.iter().any(|call| call[0] == verb[0]) || verb[0] == "completions";
        assert!(is_of_the_box || fails, "{verb:?} is not shown to fail");
    }
}

#[test]
fn what_the_reference_shows_is_what_the_tool_prints() {
    let made = made();
    let page = page();
    let text = fs::read_to_string(&page).unwrap();
    let (by_hand, documented) = text.split_once(FROM_HERE).expect("the mark is there");
    if std::env::var_os("LATCHD_BLESS").is_some() {
        fs::write(&page, format!("{by_hand}{FROM_HERE}{made}")).unwrap();
        return;
    }
    let is_whole = RESTRICTED.iter().all(|heading| made.contains(heading));
    let documented = match is_whole {
        true => documented.to_owned(),
        false => RESTRICTED.iter().fold(documented.to_owned(), |text, heading| without(&text, heading)),
    };
    let (now, then): (Vec<&str>, Vec<&str>) = (made.lines().collect(), documented.lines().collect());
    for (number, (now, then)) in now.iter().zip(&then).enumerate() {
        let place = by_hand.lines().count() + number + 2;
        assert_eq!(
            kept(now),
            kept(then),
            "docs/latchctl.md:{place} is not what latchctl prints:\n now: {now}\nthen: {then}\n\
             (LATCHD_BLESS=1 cargo test --test it manual::reference writes it anew)"
        );
    }
    assert_eq!(now.len(), then.len(), "docs/latchctl.md ends otherwise than what latchctl prints");
}
