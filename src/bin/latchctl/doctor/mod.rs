//! `doctor`: what is wrong with this box, and what to do about it.
//!
//! It asks the daemon if that answers, and reads the configuration with the daemon's own loader, so that it works while
//! the daemon is down. Every look has a limit: a disk, a name server or a pcscd that hangs is a finding, not a wait.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use latchd::{
    daemon::config::{self, Config, ConfigError},
    drivers::clock,
    wire::control::{Request, StatusReport},
};
use serde::Serialize;

use super::{
    ask::typed,
    client::{Client, Patience},
    failure::Failure,
    output::Output,
    text::{self, Style},
};

mod broker;
mod clocks;
mod daemon;
mod devices;
mod disk;
mod mqtt;
mod people;
mod smartcards;
mod system;

use people::Account;
pub use system::said as command;

/// How bad it is. In this order they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Something does not work.
    Problem,
    /// It works, and will not for long, or not for everybody.
    Warning,
    /// Could not be seen by who asks, or is as it may be.
    Note,
    Good,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `clock`.
    pub check: &'static str,
    /// How well it is.
    pub grade: Grade,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn new(check: &'static str, grade: Grade, finding: impl Into<String>) -> Self {
        Finding { check, grade, finding: finding.into(), advice: None }
    }

    fn good(check: &'static str, finding: impl Into<String>) -> Self {
        Finding::new(check, Grade::Good, finding)
    }

    fn note(check: &'static str, finding: impl Into<String>) -> Self {
        Finding::new(check, Grade::Note, finding)
    }

    fn warning(check: &'static str, finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { advice: Some(advice.into()), ..Finding::new(check, Grade::Warning, finding) }
    }

    fn problem(check: &'static str, finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { advice: Some(advice.into()), ..Finding::new(check, Grade::Problem, finding) }
    }
}

/// What is looked at.
#[derive(Debug)]
pub struct Patient {
    /// `/`, but in tests.
    pub root: PathBuf,
    pub path: PathBuf,
    pub config: Option<Config>,
    pub socket: PathBuf,
    /// What the daemon says, if it answers.
    pub status: Result<StatusReport, String>,
    /// Whom the daemon runs as.
    pub account: Option<Account>,
}

impl Patient {
    /// A file of the box.
    fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.file(path)).unwrap_or_default()
    }
}

type Look = fn(&Patient) -> Vec<Finding>;

const LOOKS: [(&str, Look); 8] = [
    ("configuration", daemon::files),
    ("daemon", daemon::service),
    ("devices", devices::look),
    ("pcscd", smartcards::look),
    ("clock", clocks::look),
    ("disk", disk::look),
    ("broker", broker::look),
    ("boards", devices::boards),
];

/// For all looks together.
const WITHIN: Duration = Duration::from_secs(20);
/// For the daemon's own word.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Everything that was found, worst first; and the configuration's own findings first of all.
pub fn examine(path: &Path, socket: &Path) -> (Arc<Patient>, Vec<Finding>) {
    let path = path.to_owned();
    let (config, mut findings) = match config::load(&path) {
        Ok(config) => (Some(config), Vec::new()),
        Err(error) => (None, unreadable(&path, &error)),
    };
    // Unless another was named, the socket that the configuration names.
    let is_default = socket == Path::new(super::args::SOCKET);
    let socket = config.as_ref().filter(|_| is_default).map_or(socket, |config| &config.socket).to_owned();
    let status = ask(&socket);
    let root = PathBuf::from("/");
    let account = Account::of_service(&root);
    let patient = Arc::new(Patient { root, path, config, socket, status, account });
    findings.extend(all(&patient));
    findings.sort_by_key(|finding| finding.grade);
    (patient, findings)
}

/// Every look at once, each on a thread of its own. One that hangs is left behind.
fn all(patient: &Arc<Patient>) -> Vec<Finding> {
    let (found, finds) = channel();
    let mut findings = Vec::new();
    let mut waiting: Vec<&'static str> = Vec::new();
    for (name, look) in LOOKS {
        let (patient, found) = (patient.clone(), found.clone());
        let begun =
            thread::Builder::new().name(name.into()).spawn(move || drop(found.send((name, look(&patient)))));
        match begun {
            Ok(_) => waiting.push(name),
            Err(error) => findings.push(Finding::note(name, format!("could not be looked at: {error}"))),
        }
    }
    drop(found);
    let end = clock::mono().plus(WITHIN);
    while !waiting.is_empty() {
        match finds.recv_timeout(end.since(clock::mono())) {
            Ok((name, more)) => {
                waiting.retain(|waiting| *waiting != name);
                findings.extend(more);
            }
            Err(RecvTimeoutError::Timeout) => {
                findings.extend(waiting.drain(..).map(|name| {
                    let said =
                        format!("looking at it took longer than {} s, and was given up", WITHIN.as_secs());
                    Finding::problem(name, said, "something there hangs: a disk, a name server or a device")
                }));
            }
            // A look that panicked.
            Err(RecvTimeoutError::Disconnected) => {
                findings.extend(waiting.drain(..).map(|name| Finding::note(name, "could not be looked at")));
            }
        }
    }
    findings
}

fn ask(socket: &Path) -> Result<StatusReport, String> {
    let mut client = Client::connect(socket).map_err(|failure| failure.to_string())?;
    client.send(Request::Status, Patience::Prompt).map_err(|failure| failure.to_string())?;
    match client.has_news_within(ASK_WITHIN) {
        Ok(true) => {}
        Ok(false) => {
            let seconds = ASK_WITHIN.as_secs();
            return Err(format!("the daemon at {} gave no answer within {seconds} s", socket.display()));
        }
        Err(failure) => return Err(failure.to_string()),
    }
    client.answer().and_then(typed).map_err(|failure| failure.to_string())
}

fn unreadable(path: &Path, error: &ConfigError) -> Vec<Finding> {
    match error {
        ConfigError::Unreadable { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let said =
                format!("{} can't be read by who asks, so what it names was not looked at", path.display());
            vec![Finding {
                advice: Some("run latchctl doctor as root".into()),
                ..Finding::note("configuration", said)
            }]
        }
        ConfigError::Unreadable { error, .. } => vec![Finding::problem(
            "configuration",
            format!("can't read {}: {error}", path.display()),
            "write one; the package's example is /usr/share/doc/latchd/latchd.toml, and --config FILE names another",
        )],
        ConfigError::Problems { problems, .. } => problems
            .iter()
            .map(|p| {
                let colon = if p.key.is_empty() { "" } else { ": " };
                let said =
                    format!("{}:{}:{}: {}{colon}{}", path.display(), p.line, p.column, p.key, p.message);
                Finding::problem("configuration", said, "mend it, and look with latchd check")
            })
            .collect(),
    }
}

/// Shows what was found. Fails if something is wrong.
pub fn run(path: &Path, socket: &Path, json: bool, style: Style) -> Result<(), Failure> {
    let (patient, findings) = examine(path, socket);
    let mut out = Output::new();
    if json {
        out.json(&findings)?;
    } else {
        out.text(&text::doctor::findings(&findings, &patient.path, style))?;
    }
    out.flush()?;
    let wrong = findings.iter().filter(|finding| finding.grade <= Grade::Warning).count();
    if wrong == 0 { Ok(()) } else { Err(Failure::Told) }
}

#[cfg(test)]
pub mod samples {
    use std::fs;

    use super::*;

    /// A box in a directory, with these files in it.
    pub fn patient(files: &[(&str, &str)], config: Option<&str>) -> (tempfile::TempDir, Patient) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = folder.path().to_owned();
        let patient = Patient {
            account: Account::of_service(&root),
            path: root.join("etc/latchd/latchd.toml"),
            config: config.map(|text| config::parse(text).unwrap()),
            socket: root.join("run/latchd/latchd.sock"),
            status: Err("daemon not reachable".into()),
            root,
        };
        (folder, patient)
    }

    /// What is found, a line each.
    pub fn said(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|f| format!("{:?} {}: {}", f.grade, f.check, f.finding)).collect()
    }

    pub const SITE: &str = "[controller]\nid = \"a\"\ntime_zone = \"UTC\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n\
        allow_unsigned = true\n[[boards]]\nid = \"b\"\nurl = \"modbus+tcp://127.0.0.1:1\"\n[[doors]]\nid = \"d\"\n\
        lock = { board = \"b\", coil = 0 }\n";

    #[test]
    fn a_configuration_that_is_wrong_is_told_with_its_places_and_one_that_is_not_to_be_read_is_not_wrong() {
        let path = Path::new("/etc/latchd/latchd.toml");
        let load = |text: &str| {
            let problems = config::parse(text).unwrap_err();
            unreadable(path, &ConfigError::Problems { path: path.to_owned(), problems })
        };
        let found = load(&SITE.replace("coil = 0", "coil = \"zero\""));
        assert!(found[0].finding.starts_with("/etc/latchd/latchd.toml:12:"), "{found:?}");
        let denied = |kind: std::io::ErrorKind| {
            unreadable(path, &ConfigError::Unreadable { path: path.to_owned(), error: kind.into() })
        };
        assert_eq!(denied(std::io::ErrorKind::PermissionDenied)[0].grade, Grade::Note);
        assert_eq!(denied(std::io::ErrorKind::NotFound)[0].grade, Grade::Problem);
    }

    #[test]
    fn every_look_ends_on_a_bare_box() {
        let (_folder, patient) = patient(&[], Some(SITE));
        let patient = Arc::new(patient);
        let found = all(&patient);
        for (name, _) in LOOKS.iter().filter(|(name, _)| !["devices", "pcscd"].contains(name)) {
            assert!(found.iter().any(|finding| finding.check == *name), "{name}: {found:?}");
        }
        assert!(found.iter().all(|finding| !finding.finding.contains("could not be looked at")), "{found:?}");
    }
}
