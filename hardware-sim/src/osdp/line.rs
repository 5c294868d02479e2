//! Drives the readers of one line in real time: the pty's bytes in, their answers out. They only ever answer, so there
//! is nothing to wait for but the host.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::device::Device;
use super::seen::Seen;
use crate::pty::{Pty, PtyError};
use crate::time;
use crate::watched::Watched;

/// A pty that nobody has open hangs up all the time: how often to look whether somebody has.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: Duration::from_millis(5).as_nanos() as i64 };

/// The readers with their line.
#[derive(Debug)]
pub(super) struct Line {
    pub devices: Vec<Device>,
    pub ending: bool,
    pty: Option<Arc<Pty>>,
    hung_up: bool,
}

impl Line {
    pub fn new(devices: Vec<Device>) -> Self {
        Self { devices, ending: false, pty: None, hung_up: false }
    }

    pub fn plug(&mut self, path: &Path) -> Result<(), PtyError> {
        if self.pty.is_none() {
            self.pty = Some(Arc::new(Pty::open(path)?));
            self.hung_up = false;
            self.note(&Seen::Plugged);
        }
        Ok(())
    }

    pub fn unplug(&mut self) {
        if let Some(pty) = self.pty.take() {
            // The thread may hold the pty a moment longer; the path goes now.
            pty.unlink();
            self.devices.iter_mut().for_each(Device::restart);
            self.note(&Seen::Unplugged);
        }
    }

    fn note(&mut self, what: &Seen) {
        let now = time::now();
        self.devices.iter_mut().for_each(|device| device.record.add(now, what.clone()));
    }
}

/// The thread: until the line is ending.
pub(super) fn drive(line: &Watched<Line>, woken: &UnixStream) {
    while !line.look(|line| line.ending) {
        let (pty, hung_up) = line.look(|line| (line.pty.clone(), line.hung_up));
        let waker = PollFd::new(woken, PollFlags::IN);
        // A signal, and a pty nobody has open: everything is looked at again.
        let _ = match pty.as_ref().filter(|_| !hung_up) {
            Some(pty) => poll(&mut [waker, PollFd::new(&pty.master, PollFlags::IN)], None),
            None => poll(&mut [waker], hung_up.then_some(&LOOK_EVERY)),
        };
        drain(woken);
        if let Some(pty) = pty {
            receive(line, &pty);
        }
    }
}

fn drain(mut woken: &UnixStream) {
    let mut waste = [0; 64];
    while matches!(woken.read(&mut waste), Ok(read) if read > 0) {}
}

fn receive(line: &Watched<Line>, pty: &Arc<Pty>) {
    let mut bytes = [0; 512];
    let read = rustix::io::read(&pty.master, &mut bytes);
    line.change(|line| {
        if !line.pty.as_ref().is_some_and(|now| Arc::ptr_eq(now, pty)) {
            // Unplugged meanwhile.
            return;
        }
        line.hung_up = !matches!(read, Ok(_) | Err(Errno::AGAIN | Errno::INTR));
        let heard = bytes.get(..read.unwrap_or(0)).unwrap_or_default();
        let now = time::now();
        for device in &mut line.devices {
            let said = device.receive(now, heard);
            // What does not fit is lost, as on a line that nobody reads.
            let _ = rustix::io::write(&pty.master, &said);
        }
    });
}
