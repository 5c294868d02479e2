//! The worked example of central's side, in Python, keeps the real daemon in step: `docs/examples/central.py`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::blocks;
use crate::site::process::Guarded;
use crate::site::records::{card, standing};
use crate::site::{Builder, CONTROLLER, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(file)
}

/// What ran, or what it said instead.
#[track_caller]
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

/// A command of the manual's chapter on central's side: the one with these words.
#[track_caller]
fn shown(words: &str) -> String {
    let commands = blocks::of_kind("central.md", "example");
    let found = commands.into_iter().find(|command| command.text.contains(words));
    found.unwrap_or_else(|| panic!("docs/manual/central.md shows no command with {words:?}")).text
}

fn shell(text: &str, folder: &Path) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-euc", text]).current_dir(folder);
    shell
}

/// A Python with what the example needs, as the manual has one make it, once a build folder: the requirements name exact
/// versions.
fn environment() -> PathBuf {
    let make = shown("-m venv");
    let wanted = format!("{make}\n{}", std::fs::read_to_string(example("requirements.txt")).unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("central-example");
    let (env, made) = (folder.join("env"), folder.join("made-for"));
    if std::fs::read_to_string(&made).is_ok_and(|had| had == wanted) {
        return env;
    }
    if env.exists() {
        std::fs::remove_dir_all(&env).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(example("requirements.txt"), folder.join("requirements.txt")).unwrap();
    run(&mut shell(&make, &folder));
    std::fs::write(made, wanted).unwrap();
    env
}

/// A folder as the manual has it: the program, and `env`.
struct Example {
    folder: TempDir,
}

/// The example as a process. Dropped, it is killed.
struct Running {
    _child: Guarded,
    input: ChildStdin,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Example {
    fn new() -> Example {
        let folder = TempDir::new().unwrap();
        symlink(environment(), folder.path().join("env")).unwrap();
        symlink(example("central.py"), folder.path().join("central.py")).unwrap();
        Example { folder }
    }

    /// Makes the key, and the lines for the daemon's configuration.
    fn keygen(&self) -> String {
        run(&mut shell(&shown("central.py keygen"), self.folder.path()))
    }

    fn start(&self, site: &Site, store: &str) -> Running {
        let command = shown("central.py run")
            .replace("localhost:1883", &format!("127.0.0.1:{}", site.broker.port()))
            .replace("--controller oslo-1", &format!("--controller {CONTROLLER}"))
            .replace("oslo-1.db", store);
        // The shell gives its place to the example, which is what is to be killed.
        let mut command = shell(&format!("exec {command}"), self.folder.path());
        let mut child = Guarded::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let input = child.child().stdin.take().unwrap();
        let out = BufReader::new(child.child().stdout.take().unwrap());
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        // It ends with the process.
        let listen = move || {
            for line in out.lines().map_while(Result::ok) {
                heard.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        };
        std::thread::Builder::new().name("example".into()).spawn(listen).unwrap();
        Running { _child: child, input, said }
    }
}

impl Running {
    fn tell(&mut self, line: &Value) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn put(&mut self, record: &Value) {
        self.tell(&json!({ "put": record }));
    }

    /// Everything of a kind that it said.
    fn said(&self, kind: &str) -> Vec<Value> {
        self.said.lock().unwrap().iter().filter_map(|line| line.get(kind)).cloned().collect()
    }

    #[track_caller]
    fn wait_for(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = eventually_asking(kind, || self.said(kind).into_iter().find(|value| wanted(value)));
        assert_eq!(self.said("alarm"), Vec::<Value>::new());
        found
    }

    /// Until the controller says that it has so many grants.
    #[track_caller]
    fn in_step(&self, grants: u64) -> Value {
        self.wait_for("sync", |sync| sync["records"]["grants"] == grants)
    }
}

#[test]
fn a_central_in_python_books_hears_every_event_commands_and_finds_its_way_back() {
    let example = Example::new();
    let keys = format!("allow_unsigned = false\n\n{}", example.keygen());
    let mut site = Builder::new().without_central().edit("allow_unsigned = true\n", &keys).prepared();
    let mut central = example.start(&site, "central.db");
    // Events that nobody hears are said again after the contract's 30 s only.
    central.wait_for("listening", |_| true);
    site.daemon.start();
    central.put(&card("c-anna", ANNA, "m-anna"));
    central.put(&standing("g-anna", "m-anna", &["perimeter"]));
    let first = central.in_step(1);
    site.wait_until_ready();

    let decided = site.decision("entrance-in", ANNA);
    assert_eq!((&decided["type"], &decided["credential"]), (&json!("access.granted"), &json!("c-anna")));
    assert_eq!(central.wait_for("event", |event| event["seq"] == decided["seq"]), decided);
    central.tell(&json!({ "command": { "action": "access", "door": "room-4", "by": "anna@central" } }));
    central.wait_for("result", |result| result["outcome"] == "done");
    let acknowledged = || {
        let journal = &site.ask(&["status"])["journal"];
        (journal["recorded"] == journal["acknowledged"]).then(|| journal["recorded"].as_u64().unwrap())
    };
    let last = eventually_asking("acknowledgement of everything", acknowledged);
    let numbers: Vec<u64> = central.said("event").iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<u64>>());

    // Killed, and started again with its store: what was put meanwhile arrives, and no event comes twice.
    drop(central);
    let mut central = example.start(&site, "central.db");
    central.put(&standing("g-other", "m-other", &["rooms"]));
    let second = central.in_step(2);
    assert_eq!(second["epoch"], first["epoch"]);
    central.tell(&json!({ "delete": { "type": "grant", "id": "g-anna" } }));
    central.wait_for("sync", |sync| sync["records"]["grants"] == 1 && sync["applied"] == 4);
    assert_eq!(site.decision("entrance-in", ANNA)["reason"], "no_grant");
    assert!(central.said("event").iter().all(|event| event["seq"].as_u64() > Some(last)));

    // With an empty store it begins another list, which the controller takes.
    drop(central);
    let central = example.start(&site, "new.db");
    let third = central.in_step(0);
    assert!(third["epoch"].as_u64() > second["epoch"].as_u64(), "{third} after {second}");
    assert_eq!(site.ask(&["grants"]), json!([]));
}
