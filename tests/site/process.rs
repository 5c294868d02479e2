//! A child process that can't outlive the test, however the test ends: a shell holds the other end of a pipe, and
//! kills the child when that closes.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A child and its guard. Dropped, it is killed.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    guard: Child,
}

impl Guarded {
    pub fn spawn(command: &mut Command) -> io::Result<Guarded> {
        let mut child = command.spawn()?;
        let guard = Command::new("sh")
            .arg("-c")
            .arg("read -r _; kill -9 \"$0\" 2>/dev/null")
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Guarded { child, guard }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    /// As a power cut or the kernel's out-of-memory killer would.
    pub fn kill(mut self) {
        self.end();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child still runs");
    }

    /// Asks it to end, and waits; `None` if it did not within the limit, and had to be killed.
    pub fn terminate(mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        hardware_sim::wait::until(limit, || self.has_ended())
    }

    /// The guard first: the number of a child that has been waited for may soon be another's.
    fn end(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}
