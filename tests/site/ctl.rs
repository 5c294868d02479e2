//! `latchctl`, as a technician types it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::Value;

use super::process::Guarded;
use super::{RECONNECT_LIMIT, Site, eventually};

/// What came of one call.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The one document of `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "latchctl failed: {}", self.err);
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("not one document of JSON ({e}): {}", self.out))
    }

    /// A document a line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        self.out.lines().map(parse).collect()
    }
}

impl Site {
    /// Runs it with the site's socket.
    pub fn ctl(&self, arguments: &[&str]) -> Said {
        self.ctl_with_input(arguments, "")
    }

    pub fn ctl_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self.latchctl(arguments).stdin(Stdio::piped()).spawn().expect("latchctl starts");
        let mut to = child.stdin.take().expect("piped");
        // Written beside, for it answers while it reads.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // It may end before it has read everything.
                let _ = to.write_all(input.as_bytes());
            });
            child.wait_with_output().expect("latchctl ends")
        });
        output.into()
    }

    /// The document it answers with.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        self.ctl(&[arguments, &["--json"]].concat()).json()
    }

    /// Starts a call that goes on until it is dropped.
    pub fn follow(&self, arguments: &[&str]) -> Follower {
        let mut command = self.latchctl(arguments);
        let mut child = Guarded::spawn(command.stdin(Stdio::null())).expect("latchctl starts");
        let out = listen(child.child().stdout.take().expect("piped"));
        let err = listen(child.child().stderr.take().expect("piped"));
        Follower { child, out, err }
    }

    fn latchctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchctl"));
        command.arg("--socket").arg(self.daemon.socket()).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

type Lines = Arc<Mutex<Vec<String>>>;

/// What a process writes, as it comes. Ends with the process.
fn listen(pipe: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let heard = Arc::clone(&lines);
    let listen = move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            heard.lock().expect("nobody panics with it").push(line);
        }
    };
    std::thread::Builder::new().name("follower".into()).spawn(listen).expect("a thread");
    lines
}

impl From<Output> for Said {
    #[track_caller]
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code().expect("latchctl was killed"),
            out: String::from_utf8(output.stdout).expect("latchctl writes UTF-8"),
            err: String::from_utf8(output.stderr).expect("latchctl writes UTF-8"),
        }
    }
}

/// A stream under way.
#[derive(Debug)]
pub struct Follower {
    child: Guarded,
    out: Lines,
    err: Lines,
}

impl Follower {
    pub fn lines(&self) -> Vec<String> {
        self.out.lock().expect("nobody panics with it").clone()
    }

    /// Ends it by a signal, and says how it ended.
    #[track_caller]
    pub fn end_by(mut self, signal: Signal) -> ExitStatus {
        self.child.signal(signal);
        eventually("the end of latchctl", || self.child.has_ended())
    }

    /// Waits until these words stand on its standard error.
    #[track_caller]
    pub fn wait_for_words(&self, words: &str) {
        let mut heard = Vec::new();
        let found = hardware_sim::wait::until(RECONNECT_LIMIT, || {
            heard = self.err.lock().expect("nobody panics with it").clone();
            heard.iter().any(|line| line.contains(words)).then_some(())
        });
        assert!(found.is_some(), "latchctl never said {words:?}, but {heard:?} and {:?}", self.lines());
    }

    /// Waits for a line of JSON that satisfies the condition.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let lines = self.lines();
            lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|value| wanted(value))
        })
    }
}
