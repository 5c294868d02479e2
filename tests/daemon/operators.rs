//! Who may do what, with real users: the kernel says who calls, their groups what they may, and the journal who it was.
//!
//! Users and groups that every Debian has stand for people: `games` is in the group of observers, `news` of
//! technicians, `mail` of administrators, `nobody` in none.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::site::build::Builder;
use crate::site::process::Guarded;
use crate::site::records::card;
use crate::site::terminal::Terminal;
use crate::site::{RECONNECT_LIMIT, Site, eventually, eventually_within};

const GROUPS: &str = "[operators]\nobserver = \"games\"\ntechnician = \"news\"\nadmin = \"mail\"\n\n[clock]";

/// A site whose socket others can reach, and the tool where they can run it. `None` where nobody can be stood in for.
pub struct House {
    pub site: Site,
    latchctl: PathBuf,
}

impl House {
    pub fn running() -> Option<House> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can run latchctl as other users; run this test as root");
            return None;
        }
        let site = Builder::new().edit_once("[clock]", GROUPS).running();
        site.put([card("c-81", "04A1B2C3D4E5F6", "m-17")]);
        fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let latchctl = site.folder.path().join("latchctl");
        fs::copy(env!("CARGO_BIN_EXE_latchctl"), &latchctl).unwrap();
        Some(House { site, latchctl })
    }

    /// Runs the tool as this user with their own groups, as after a login.
    pub fn by(&self, user: &str, arguments: &[&str]) -> (i32, String, String) {
        let group = if user == "nobody" { "nogroup" } else { user };
        self.run(&["--reuid", user, "--regid", group, "--init-groups"], arguments)
    }

    fn run(&self, who: &[&str], arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new("setpriv");
        command.args(who).arg("--").arg(&self.latchctl).arg("--socket").arg(self.site.daemon.socket());
        let Output { status, stdout, stderr } =
            command.args(arguments).stdin(Stdio::null()).current_dir("/").output().expect("setpriv runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().expect("it was killed"), text(stdout), text(stderr))
    }
}

/// A script that is run with the socket, by somebody without a role.
fn as_nobody(script: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]);
    command.args(["/usr/bin/perl", "-MIO::Socket::UNIX", "-e", script]);
    command
}

#[test]
fn each_role_may_what_the_contract_says_and_no_more() {
    let Some(house) = House::running() else { return };
    for (user, verbs) in [
        ("nobody", [4, 4, 4, 4]),
        ("games", [0, 4, 4, 4]),
        ("news", [0, 0, 0, 4]),
        ("mail", [0, 0, 0, 0]),
        ("root", [0, 0, 0, 0]),
    ] {
        let asked = [
            &["status"][..],
            &["sync", "resync"],
            &["door", "access", "room-4"],
            &["door", "lock-down-release", "room-4"],
        ];
        for (arguments, code) in asked.iter().zip(verbs) {
            if *arguments == ["door", "lock-down-release", "room-4"] && code == 0 {
                assert_eq!(house.by(user, &["door", "lock-down", "room-4"]).0, 0, "{user}");
            }
            let said = house.by(user, arguments);
            assert_eq!(said.0, code, "{user} asked {arguments:?}: {said:?}");
            if code == 4 {
                assert!(said.1.is_empty() && said.2.starts_with("latchctl: not permitted: "), "{said:?}");
                assert_eq!(said.2.lines().count(), 1, "{said:?}");
            }
        }
    }
    // What replaces everything is an administrator's; a technician's is not even read.
    let refused = house.by("news", &["restore", "/etc/hostname"]);
    assert!(refused.0 == 4 && refused.2.starts_with("latchctl: not permitted: restore takes"), "{refused:?}");
    // With a backup goes the key that card numbers are hashed under. What is refused leaves no file.
    let folder = tempfile::TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let file = folder.path().join("refused.backup");
    let refused = house.by("news", &["backup", file.to_str().unwrap()]);
    assert_eq!((refused.0, fs::read_dir(folder.path()).unwrap().count()), (4, 0), "{refused:?}");
    let (_, _, said) = house.by("games", &["door", "access", "room-4"]);
    assert!(said.contains("the group news or mail") && said.contains("games (5) is in games only"), "{said}");
    assert!(said.contains("sudo usermod -aG news games"), "{said}");
}

#[test]
fn the_journal_names_who_did_it_and_who_was_refused() {
    let Some(house) = House::running() else { return };
    let from = house.site.last_seq();
    assert_eq!(house.by("news", &["door", "access", "room-4"]).0, 0);
    assert_eq!(house.by("games", &["door", "access", "entrance"]).0, 4);
    let commands = || -> Vec<Value> {
        let journal = house.site.journal().into_iter();
        journal.filter(|e| e["seq"].as_u64() > Some(from) && e["type"] == "operator.command").collect()
    };
    let found = eventually("both in the journal", || Some(commands()).filter(|found| found.len() == 2));
    let told = |event: &Value| ["by", "action", "outcome", "door"].map(|f| event[f].clone());
    assert_eq!(told(&found[0]), ["news (9)", "access", "done", "room-4"].map(|t| json!(t)));
    assert_eq!(told(&found[1]), ["games (5)", "access", "refused", "entrance"].map(|t| json!(t)));
    assert!(found[1]["detail"].as_str().unwrap().contains("takes the group news or mail"), "{found:#?}");
    for _ in 0..20 {
        assert_eq!(house.by("nobody", &["status"]).0, 4);
    }
    let by_nobody = |e: &Value| e["by"].as_str().unwrap().starts_with("nobody ");
    assert_eq!(commands().iter().filter(|e| by_nobody(e)).count(), 5, "a flood fills no journal");
}

#[test]
fn a_supplementary_group_counts_as_well() {
    let Some(house) = House::running() else { return };
    let who = ["--reuid", "nobody", "--regid", "nogroup", "--groups", "news"];
    assert_eq!(house.run(&who, &["door", "access", "room-4"]).0, 0);
    let who = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];
    assert_eq!(house.run(&who, &["door", "access", "room-4"]).0, 4);
    // A user the box does not know has no groups but the process's own.
    let who = ["--reuid", "4242", "--regid", "4242", "--groups", "games"];
    assert_eq!(house.run(&who, &["status"]).0, 0);
    let (code, _, said) = house.run(&["--reuid", "4242", "--regid", "4242", "--clear-groups"], &["status"]);
    assert!(code == 4 && said.contains("uid 4242 is in none of them"), "{said}");
}

#[test]
fn who_may_ask_nothing_keeps_nobody_out() {
    let Some(house) = House::running() else { return };
    // Held open and silent by somebody without a role: each has a few, for as long as an answer takes.
    let hold = "my @open; for (1..200) { push @open, IO::Socket::UNIX->new(Peer => $ARGV[0]) } \
                $| = 1; print qq(held\\n); sleep 600";
    let mut command = as_nobody(hold);
    command.arg(house.site.daemon.socket()).stdout(Stdio::piped()).stdin(Stdio::null()).current_dir("/");
    let mut holder = crate::site::process::Guarded::spawn(&mut command).unwrap();
    let mut out = std::io::BufReader::new(holder.child().stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "held\n");
    assert_eq!(house.by("games", &["status"]).0, 0);
    assert_eq!(house.site.ctl(&["status"]).code, 0);
}

#[test]
fn other_groups_count_after_a_reload_in_open_connections_too() {
    let Some(mut house) = House::running() else { return };
    assert_eq!(house.by("games", &["door", "access", "room-4"]).0, 4);
    let path = house.site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("technician = \"news\"", "technician = \"games\"")).unwrap();
    house.site.daemon.hang_up();
    eventually("right by the new configuration", || {
        (house.by("games", &["door", "access", "room-4"]).0 == 0).then_some(())
    });
    assert_eq!(house.by("news", &["status"]).0, 4);
}

/// A call that goes on, by somebody else.
struct Going {
    latchctl: Guarded,
    said: BufReader<ChildStdout>,
}

impl House {
    fn going(&self, user: &str, arguments: &[&str]) -> Going {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]).arg(&self.latchctl);
        command.arg("--socket").arg(self.site.daemon.socket()).args(arguments).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut latchctl = Guarded::spawn(&mut command).expect("setpriv runs");
        let said = BufReader::new(latchctl.child().stdout.take().unwrap());
        Going { latchctl, said }
    }
}

impl Going {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn ended(mut self) -> (Option<i32>, String) {
        let ended = eventually_within(RECONNECT_LIMIT, "end of what goes on", || self.latchctl.has_ended());
        let mut said = String::new();
        self.latchctl.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (ended.code(), said)
    }
}

#[test]
fn what_goes_on_is_ended_with_the_right_to_it_and_goes_on_for_others() {
    let Some(mut house) = House::running() else { return };
    let from = house.site.last_seq();
    let mut watch = house.going("news", &["reader", "watch", "--json"]);
    let mut test = house.going("news", &["door", "test", "room-4", "--yes", "--timeout", "10m", "--json"]);
    let mut events = house.going("news", &["events", "--follow", "--json"]);
    let mut others = house.going("mail", &["events", "--follow", "--json"]);
    for going in [&mut watch, &mut test, &mut events, &mut others] {
        assert_ne!(going.line(), "");
    }
    let wait = ["credential", "activate", "--reader", "entrance-in", "--override", "--within", "10m"];
    let mut card = house.going("mail", &wait);
    house.site.in_journal(from, "the watch", |event| event["action"] == "reader_watch");
    // It says so when the daemon has said that it waits.
    card.latchctl.child().stderr.as_mut().unwrap().read_exact(&mut [0; 9]).unwrap();
    let path = house.site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replace("technician = \"news\"", "technician = \"daemon\"");
    // Who administered only looks on from now on.
    let changed = changed.replace("observer = \"games\"", "observer = \"mail\"");
    fs::write(&path, changed.replace("admin = \"mail\"", "admin = \"bin\"")).unwrap();
    house.site.daemon.hang_up();
    for (going, what) in
        [(watch, "reader_watch"), (test, "door_test"), (events, "events"), (card, "activate_override")]
    {
        let (code, said) = going.ended();
        assert!(code == Some(4) && said.contains(&format!("not permitted: {what} takes")), "{said}");
        let refused = |event: &Value| event["outcome"] == "refused" && event["action"] == what;
        house.site.in_journal(from, what, refused);
    }
    assert_eq!(others.latchctl.has_ended(), None, "an observer follows what happens");
    // Nobody waits any more: the next tap is a tap.
    house.site.decision("entrance-in", "04A1B2C3D4E5F6");
    loop {
        let line = others.line();
        assert_ne!(line, "", "an observer follows what happens");
        if line.contains("\"access.denied\"") {
            break;
        }
    }
}

#[test]
fn a_screen_that_shows_the_site_ends_with_the_right_to_look() {
    let Some(mut house) = House::running() else { return };
    let socket = house.site.daemon.socket().to_str().unwrap().to_owned();
    let latchctl = house.latchctl.to_str().unwrap().to_owned();
    let look = ["setpriv", "--reuid", "games", "--regid", "games", "--init-groups", "--"];
    let command = [&look[..], &[latchctl.as_str(), "--socket", &socket, "monitor"]].concat();
    let monitor = Terminal::open(house.site.folder.path(), (80, 24), &[], &command);
    monitor.wait_for("the doors", |screen| screen.contains("The entrance"));
    let path = house.site.daemon.config_path().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("observer = \"games\"", "observer = \"bin\"")).unwrap();
    house.site.daemon.hang_up();
    assert_eq!(monitor.ended(), 4);
    // A long sentence at the end of a screen may have scrolled.
    let left = monitor.wait_for("why it ended", |left| left.contains("not permitted: status takes"));
    assert!(!left.contains("The entrance"), "{left}");
}

#[test]
fn a_program_that_says_nothing_is_let_go() {
    let Some(house) = House::running() else { return };
    let socket = house.site.daemon.socket().to_owned();
    let mode = fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o666, "everybody may connect");
    // One of ours, idle: not let go.
    let idle = UnixStream::connect(&socket).unwrap();
    idle.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert!(std::io::Read::read(&mut (&idle), &mut [0]).is_err(), "it was hung up on");
    let silent = "my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]); print sysread($s, my $b, 1)";
    let mut command = as_nobody(silent);
    let said = command.arg(&socket).current_dir("/").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "0", "{said:?}");
}
