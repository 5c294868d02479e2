//! The daemon as a process: started, killed, stopped and started again over the same state.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::eventually;
use rustix::process::Signal;

use super::process::Guarded;

/// From SIGTERM to gone.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// `latchd --config CONFIG`, or the place where it will run.
#[derive(Debug)]
pub struct Daemon {
    config: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    /// For `PCSCLITE_CSOCK_NAME`.
    pcscd: Option<PathBuf>,
    environment: Vec<(&'static str, String)>,
    /// The user it runs as, if not as the test does.
    user: Option<u32>,
    running: Option<Guarded>,
}

impl Daemon {
    pub fn prepare(folder: &Path, config: &str, pcscd: Option<PathBuf>) -> Daemon {
        let path = folder.join("latchd.toml");
        fs::write(&path, config).expect("the test's directory is writable");
        Daemon {
            config: path,
            socket: folder.join("latchd.sock"),
            log: folder.join("latchd.log"),
            pcscd,
            environment: Vec::new(),
            user: None,
            running: None,
        }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn config_path(&self) -> &Path {
        &self.config
    }

    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Starts it and waits until it answers on its socket.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        self.wait_for_an_answer();
    }

    /// The same with arguments, and its log where the test has it.
    #[track_caller]
    pub fn start_with(&mut self, arguments: &[&str], log: Stdio) {
        assert!(self.running.is_none(), "it runs already");
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running = Some(Guarded::spawn(&mut command).expect("latchd starts"));
        self.wait_for_an_answer();
    }

    #[track_caller]
    fn wait_for_an_answer(&mut self) {
        let socket = self.socket.clone();
        eventually("answer on the daemon's socket", || {
            if let Some(status) = self.running.as_mut().expect("just started").has_ended() {
                panic!("latchd ended while starting, with {status}:\n{}", self.log_tail(40));
            }
            UnixStream::connect(&socket).ok()
        });
    }

    /// Starts it without waiting for anything.
    #[track_caller]
    pub fn spawn(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(&self.log).expect("its log");
        let also_log = log.try_clone().expect("its log");
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log).stderr(also_log);
        self.running = Some(Guarded::spawn(&mut command).expect("latchd starts"));
    }

    /// Runs it to its end: for a daemon that should refuse to start. One that does start is killed, and that is a
    /// failure.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Guarded::spawn(&mut command).expect("latchd starts");
        let status = eventually("end of a daemon that must not start", || child.has_ended());
        let mut output = Output { status, stdout: Vec::new(), stderr: Vec::new() };
        let (stdout, stderr) = (child.child().stdout.take(), child.child().stderr.take());
        // It has ended, so both pipes end too.
        std::io::copy(&mut stdout.expect("piped"), &mut output.stdout).expect("its output");
        std::io::copy(&mut stderr.expect("piped"), &mut output.stderr).expect("its output");
        output
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
        command.arg("--config").arg(&self.config);
        if let Some(socket) = &self.pcscd {
            command.env(hardware_sim::pcscd::SOCKET_VARIABLE, socket);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// What it finds in its environment, at its next start.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// Whom it runs as, from its next start on; that takes root.
    pub fn run_as(&mut self, user: u32) {
        self.user = Some(user);
    }

    /// Its process id.
    #[track_caller]
    pub fn id(&mut self) -> u32 {
        self.running.as_mut().expect("it runs").child().id()
    }

    /// `kill -9`, while others still look at it; [`Daemon::kill`] is to follow.
    #[track_caller]
    pub fn strike_down(&self) {
        self.running.as_ref().expect("it runs").signal(Signal::KILL);
    }

    /// `kill -9`.
    #[track_caller]
    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// SIGHUP: it is to read its configuration again.
    pub fn hang_up(&mut self) {
        self.running.as_mut().expect("it runs").signal(Signal::HUP);
    }

    /// Where it stands: it answers nobody, and lets nobody in, until [`Daemon::go_on`].
    #[track_caller]
    pub fn stand_still(&self) {
        self.running.as_ref().expect("it runs").signal(Signal::STOP);
    }

    #[track_caller]
    pub fn go_on(&self) {
        self.running.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Waits for a daemon that ends by itself.
    #[track_caller]
    pub fn wait_until_it_ends(&mut self, limit: Duration) {
        let running = self.running.as_mut().expect("it runs");
        let ended = hardware_sim::wait::until(limit, || running.has_ended());
        assert!(ended.is_some_and(|status| status.success()), "it did not end by itself: {ended:?}");
        self.running = None;
    }

    /// SIGTERM, and what it ended with.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let ended = self.running.take().expect("it runs").terminate(STOP_WITHIN);
        ended.unwrap_or_else(|| panic!("latchd was still there {STOP_WITHIN:?} after SIGTERM"))
    }

    /// The TCP ports it listens on.
    #[track_caller]
    pub fn listening(&mut self) -> Vec<u16> {
        let id = self.id();
        let files = fs::read_dir(format!("/proc/{id}/fd")).expect("our own child's files").flatten();
        let links = files.filter_map(|file| fs::read_link(file.path()).ok());
        let sockets: Vec<String> = links.filter_map(|link| Some(link.to_str()?.to_owned())).collect();
        let table = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/net/{name}")));
        let lines = table.iter().flatten().flat_map(|text| text.lines().skip(1));
        let listening = lines.filter_map(|line| {
            // local address, remote address, state (0A: LISTEN), …, inode
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_ours =
                fields.get(3) == Some(&"0A") && sockets.contains(&format!("socket:[{}]", fields.get(9)?));
            let port = fields.get(1)?.rsplit(':').next()?;
            is_ours.then(|| u16::from_str_radix(port, 16).ok()).flatten()
        });
        listening.collect()
    }

    /// The last lines it wrote.
    pub fn log_tail(&self, count: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(count);
        lines.iter().skip(from).map(|line| format!("{line}\n")).collect()
    }
}
