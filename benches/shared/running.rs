//! `latchd` as a process of a bench: the real program in a release build.

use std::{
    fs::{self, File},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use hardware_sim::wait;

const WITHIN: Duration = Duration::from_secs(20);

/// Killed if it was not stopped; and a shell that ends it if we are killed ourselves.
pub struct Daemon(Child, Child);

impl Daemon {
    /// Runs with this configuration, whose socket is `latchd.sock` on the desk.
    pub fn run(config: &str, desk: &Path) -> Self {
        let mut daemon = Daemon::launch(config, desk);
        let socket = desk.join("latchd.sock");
        let ready = wait::until(WITHIN, || {
            assert!(daemon.is_up(), "latchd ended while starting");
            UnixStream::connect(&socket).ok()
        });
        assert!(ready.is_some(), "latchd does not answer on its socket");
        daemon
    }

    /// The same without waiting for anything.
    pub fn launch(config: &str, desk: &Path) -> Self {
        let file = desk.join("latchd.toml");
        fs::write(&file, config).unwrap();
        let log = File::create(desk.join("latchd.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_latchd"))
            .arg("--config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill \"$0\" 2>&-", &child.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Daemon(child, guard)
    }

    pub fn is_up(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// As a power cut would, and gone when this returns.
    pub fn kill(&mut self) {
        self.dismiss_guard();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Bytes it has had written to the device (proc_pid_io(5)).
    pub fn written(&self) -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", self.0.id())).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
        line.parse().unwrap()
    }

    /// What its threads have used of processors so far.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // After the name in brackets, which may hold anything: utime and stime are fields 14 and 15 (proc(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        // Linux counts them in hundredths of a second.
        Duration::from_millis(ticks * 10)
    }

    pub fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.dismiss_guard();
        let ended = wait::until(WITHIN, || self.0.try_wait().unwrap());
        assert!(ended.is_some_and(|status| status.success()), "latchd ended in good order");
    }

    /// Its size in memory, in MiB.
    pub fn now_mib(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The largest it has been, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.status("VmHWM:")
    }

    /// Counts the largest size anew from here on (proc(5), clear_refs).
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5").unwrap();
    }

    fn status(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Before the daemon has gone: its number may soon be another's.
    fn dismiss_guard(&mut self) {
        let _ended = self.1.kill();
        let _reaped = self.1.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.dismiss_guard();
        // Fails where it has ended already, as it should have.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
