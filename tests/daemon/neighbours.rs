//! The broker that ships (`config/broker`): a controller can neither read nor write another's topics, nor be another.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use hardware_sim::central::Central;
use serde_json::json;

use crate::site::certificates::Authority;
use crate::site::daemon::Daemon;
use crate::site::process::Guarded;
use crate::site::witness::MARK_OF_MOSQUITTO_PUB;
use crate::site::{Builder, CONTROLLER, LIMIT, RECONNECT_LIMIT, Site, eventually, signer};

const OTHER: &str = "test-2";

/// The second controller: the same configuration, under its own name and without doors.
fn other(site: &Site, folder: &Path) -> Daemon {
    site.tls().put(OTHER, OTHER, &[], crate::site::certificates::GOOD);
    let text = fs::read_to_string(site.daemon.config_path()).unwrap();
    let text = text.split("[[boards]]").next().unwrap().replace(CONTROLLER, OTHER);
    let from = |name: &str| format!("{:?}", site.folder.path().join(name));
    let to = |name: &str| format!("{:?}", folder.join(name));
    let text = text.replace(&from("state"), &to("state")).replace(&from("latchd.sock"), &to("latchd.sock"));
    Daemon::prepare(folder, &text, None)
}

/// `mosquitto_pub` or `_sub` with a client's certificate, through the listener that ships.
fn client(site: &Site, program: &str, id: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    let tls = site.tls();
    command.args(["-V", "5", "-q", "1", "-h", "localhost", "-p", &site.broker.secure_port().to_string()]);
    command.arg("--cafile").arg(tls.path("ca.pem"));
    command
        .arg("--cert")
        .arg(tls.path(&format!("{id}.pem")))
        .arg("--key")
        .arg(tls.path(&format!("{id}.key")));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[track_caller]
fn publish(site: &Site, id: &str, topic: &str, payload: &str) -> Output {
    let mut command = client(site, "mosquitto_pub", id, &["-t", topic, "-m", payload]);
    command.args(MARK_OF_MOSQUITTO_PUB).output().expect("mosquitto-clients")
}

/// What a subscriber prints, `topic payload` a line, for as long as it lives.
struct Ear {
    _process: Guarded,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    fn open(command: &mut Command) -> Ear {
        let mut process =
            Guarded::spawn(command.arg("-v").stdout(Stdio::piped())).expect("mosquitto-clients");
        let out = std::io::BufReader::new(process.child().stdout.take().expect("piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        // It ends with the process.
        let listen = move || {
            for line in std::io::BufRead::lines(out).map_while(Result::ok) {
                heard.lock().expect("nobody panics with it").push(line);
            }
        };
        std::thread::Builder::new().name("ear".into()).spawn(listen).expect("a thread");
        Ear { _process: process, lines }
    }

    fn heard(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        eventually(text, || self.heard().iter().any(|line| line.contains(text)).then_some(()));
    }
}

#[test]
fn two_controllers_work_and_neither_can_read_write_or_be_the_other() {
    let mut site = Builder::bare().secure().running();
    let folder = tempfile::tempdir().unwrap();
    let mut second = other(&site, folder.path());
    let central = Central::builder(&site.broker.url(), OTHER).signer(signer()).start().unwrap();
    second.start();
    central.wait_synced(RECONNECT_LIMIT).expect("the second controller is in step");
    site.central().wait_synced(LIMIT).expect("and the first still is");

    // Somebody has the first controller's certificate and key.
    site.daemon.stop();
    let ear = Ear::open(&mut client(
        &site,
        "mosquitto_sub",
        CONTROLLER,
        &["-i", OTHER, "-t", "#", "-t", "latch/v1/test-2/#"],
    ));
    ear.wait_for("latch/v1/test-1/status");
    let secret = json!({"controller": OTHER, "marker": "for the second only"});
    let plain = |topic: &str, payload: &str| {
        let port = site.broker.port().to_string();
        let arguments = ["-V", "5", "-q", "1", "-h", "127.0.0.1", "-p", &port, "-t", topic, "-m", payload];
        let mut command = Command::new("mosquitto_pub");
        let done = command.args(arguments).args(MARK_OF_MOSQUITTO_PUB).status().expect("mosquitto-clients");
        assert!(done.success());
    };
    plain("latch/v1/test-2/ack", &secret.to_string());
    plain("latch/v1/test-1/other", "after it");
    ear.wait_for("after it");
    let others: Vec<String> =
        ear.heard().into_iter().filter(|line| !line.starts_with("latch/v1/test-1/")).collect();
    assert_eq!(others, [""; 0], "it reads what is not its own");
    drop(ear);

    let port = site.broker.port().to_string();
    let watch =
        ["-V", "5", "-h", "127.0.0.1", "-p", &port, "-t", "latch/v1/+/feed", "-t", "latch/v1/+/command"];
    let watcher = Ear::open(Command::new("mosquitto_sub").args(watch));
    // A subscriber says nothing when it stands: what arrives does.
    eventually("the watcher", || {
        plain("latch/v1/none/feed", "begin");
        watcher.heard().first().cloned()
    });
    for topic in ["latch/v1/test-2/feed", "latch/v1/test-2/command"] {
        let output = publish(&site, CONTROLLER, topic, "forged");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Not authorized"), "{topic}: {said}");
    }
    let own = publish(&site, CONTROLLER, "latch/v1/test-1/feed", "its own");
    assert!(own.status.success());
    watcher.wait_for("latch/v1/test-1/feed its own");
    assert!(!watcher.heard().iter().any(|line| line.contains("forged")), "{:?}", watcher.heard());
    let log = second.log_tail(1000);
    assert!(!log.contains("no connection to the broker"), "the second one was disturbed:\n{log}");

    // And a certificate of nobody's authority opens nothing at all.
    Authority::new("another authority")
        .issue(OTHER, &[], crate::site::certificates::GOOD)
        .write(&site.tls().folder, "thief");
    assert!(!publish(&site, "thief", "latch/v1/test-2/feed", "forged").status.success());
}

/// The commands of its README, as they stand there.
#[test]
fn certificates_made_as_the_readme_says_work() {
    const README: &str = include_str!("../../config/broker/README.md");
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("left out: there is no openssl here");
        return;
    }
    let mut site = Builder::bare().secure().prepared();
    let blocks: String =
        README.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.contains("broker=broker.example") && blocks.contains("for id in oslo-1 central"));
    let script = blocks.replace("broker=broker.example", "broker=localhost").replace("oslo-1", CONTROLLER);
    let made = Command::new("sh")
        .args(["-e", "-u", "-c", &script])
        .current_dir(&site.tls().folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    site.broker.stop();
    site.broker.start();
    // As it came (PKCS#8), and in the older form that openssl makes too (SEC1).
    for turned in [false, true] {
        let key = site.tls().path(&format!("{CONTROLLER}.key"));
        if turned {
            let turn =
                Command::new("openssl").args(["ec", "-in"]).arg(&key).arg("-out").arg(&key).output().unwrap();
            assert!(turn.status.success(), "{}", String::from_utf8_lossy(&turn.stderr));
        }
        assert_eq!(fs::read_to_string(&key).unwrap().contains("BEGIN EC PRIVATE KEY"), turned);
        assert_eq!(site.daemon.refuses(&["check"]).status.code(), Some(0));
    }
    site.daemon.start();
    site.wait_until_connected();
    let said = publish(&site, "central", &format!("latch/v1/{CONTROLLER}/feed"), "from central");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
