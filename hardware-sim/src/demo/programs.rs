//! The two real programs the demo runs: `latchd` as a child process, and `latchctl` as a technician would type it.

use serde_json::Value;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// From start to answering on the control socket.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// From SIGTERM to gone; what takes longer is killed, and counts as a failure.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Why a program of ours could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Not beside `latch-sim`.
    #[error("{program} is not in {folder}; build it (cargo build --workspace --bins), or give --bin-dir")]
    Missing {
        /// `latchd` or `latchctl`.
        program: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The system refused.
    #[error("{program} could not be started")]
    Start {
        /// Which.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The daemon ended instead of coming up.
    #[error("latchd ended while starting, with {status}")]
    Ended {
        /// How.
        status: ExitStatus,
    },
    /// The daemon does not answer.
    #[error("latchd does not answer on {socket} after {READY_WITHIN:?}")]
    NotReady {
        /// Its control socket.
        socket: PathBuf,
    },
    /// `latchctl` said no, or something that is not JSON.
    #[error("latchctl {arguments}: {why}")]
    Tool {
        /// What it was asked.
        arguments: String,
        /// What it said.
        why: String,
    },
}

/// Finds a program in the folder.
///
/// # Errors
/// It is not there.
pub fn find(folder: &Path, program: &'static str) -> Result<PathBuf, ProgramError> {
    let path = folder.join(program);
    if path.is_file() { Ok(path) } else { Err(ProgramError::Missing { program, folder: folder.to_owned() }) }
}

/// The daemon; dropping it stops it.
#[derive(Debug)]
pub struct Daemon {
    /// A shell that ends the daemon when our end of its pipe closes, even if we are killed.
    guard: Option<Child>,
    child: Child,
    stopped: Option<Result<ExitStatus, String>>,
}

impl Daemon {
    /// Starts `latchd --config CONFIG` with its output in `log`, and waits until its control socket answers.
    ///
    /// # Errors
    /// It can't be started, ends at once, or does not answer.
    pub fn start(
        program: &Path,
        config: &Path,
        socket: &Path,
        log: &Path,
        environment: &[(&'static str, PathBuf)],
    ) -> Result<Daemon, ProgramError> {
        let failed = |source| ProgramError::Start { program: program.to_owned(), source };
        let out = File::create(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        // A group of its own: Ctrl-C at the terminal is for the demo, which then stops the daemon in good order.
        let child = Command::new(program)
            .arg("--config")
            .arg(config)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut daemon = Daemon { guard: None, child, stopped: None };
        daemon.guard = Some(guard_of(&daemon.child).map_err(failed)?);
        let ready = crate::wait::until(READY_WITHIN, || match daemon.child.try_wait() {
            Ok(Some(status)) => {
                daemon.stopped = Some(Ok(status));
                Some(Err(ProgramError::Ended { status }))
            }
            Ok(None) | Err(_) => UnixStream::connect(socket).ok().map(|_| Ok(())),
        });
        ready.unwrap_or_else(|| Err(ProgramError::NotReady { socket: socket.to_owned() }))?;
        Ok(daemon)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as a service manager does; kills it if it doesn't. How it ended, or why that is not known.
    pub fn stop(&mut self) -> Result<ExitStatus, String> {
        // The guard first: the number of a process that has ended may soon be another's.
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
        if let Some(stopped) = &self.stopped {
            return stopped.clone();
        }
        let stopped = self.terminate();
        self.stopped = Some(stopped.clone());
        stopped
    }

    fn terminate(&mut self) -> Result<ExitStatus, String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| format!("SIGTERM could not be sent: {error}"))?;
        let ended = crate::wait::until(STOP_WITHIN, || self.child.try_wait().ok().flatten());
        ended.ok_or_else(|| {
            let killed = self.child.kill().and_then(|()| self.child.wait());
            format!("still there {STOP_WITHIN:?} after SIGTERM; killed: {killed:?}")
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Whoever wants to know how it ended has called stop.
        let _ = self.stop();
    }
}

fn guard_of(child: &Child) -> io::Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg("read -r _; kill -TERM \"$0\"")
        .arg(child.id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// The last lines of a file that may not exist.
#[must_use]
pub fn last_lines(file: &Path, count: usize) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).map(|line| (*line).to_owned()).collect()
}

/// The technician's tool, at one daemon.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The program.
    pub program: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
}

impl Tool {
    /// Runs a verb with `--json`: one document.
    ///
    /// # Errors
    /// It exits with another status than 0, or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, ProgramError> {
        let text = self.run(arguments)?;
        serde_json::from_str(&text)
            .map_err(|error| self.failed(arguments, format!("no JSON ({error}): {text}")))
    }

    /// The same for a verb that prints a document a line.
    ///
    /// # Errors
    /// As there.
    pub fn json_lines(&self, arguments: &[&str]) -> Result<Vec<Value>, ProgramError> {
        let text = self.run(arguments)?;
        let parse = |line: &str| {
            serde_json::from_str(line)
                .map_err(|error| self.failed(arguments, format!("no JSON ({error}): {line}")))
        };
        text.lines().map(parse).collect()
    }

    fn run(&self, arguments: &[&str]) -> Result<String, ProgramError> {
        let output = Command::new(&self.program)
            .arg("--socket")
            .arg(&self.socket)
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| ProgramError::Start { program: self.program.clone(), source })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(self.failed(arguments, format!("{}: {}", output.status, said.trim())))
        }
    }

    fn failed(&self, arguments: &[&str], why: String) -> ProgramError {
        ProgramError::Tool { arguments: arguments.join(" "), why }
    }
}
