//! OSDP readers on an RS-485 line (a pty): the peripheral's side of OSDP 2.2 with its own codec and its own secure
//! channel, for a driver that must not know the difference.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! use hardware_sim::osdp::Osdp;
//! let line = Osdp::start(Path::new("line"), &[(1, Some([7; 16])), (2, None)])?; // the daemon opens ./line
//! line.wait_until_asked(1, Duration::from_secs(5));
//! line.tap(1, &"04A1B2C3D4E5F6".parse()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod device;
mod line;
mod packet;
mod secure;
mod seen;
pub mod verb;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use device::Fault;
pub use seen::{Beeps, Color, Light, Seen};

use crate::pty::PtyError;
use crate::record::Entry;
use crate::uid::CardUid;
use crate::watched::Watched;
use device::Device;
use line::Line;

/// A reader's own key.
pub type Key = [u8; 16];

#[derive(Debug, thiserror::Error)]
pub enum OsdpError {
    #[error(transparent)]
    Pty(#[from] PtyError),
    #[error("cannot start the line's thread")]
    Thread(#[source] io::Error),
}

/// A line with running readers. They and its path end when dropped.
#[derive(Debug)]
pub struct Osdp {
    path: PathBuf,
    line: Arc<Watched<Line>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Osdp {
    /// Plugs a line in, at `path`, with a reader at each address. One with a key insists on the secure channel.
    pub fn start(path: &Path, readers: &[(u8, Option<Key>)]) -> Result<Self, OsdpError> {
        let devices = readers.iter().map(|&(address, key)| Device::new(address, key)).collect();
        let line = Arc::new(Watched::new(Line::new(devices)));
        line.change(|line| line.plug(path))?;
        let (wake, woken) = UnixStream::pair().map_err(OsdpError::Thread)?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(OsdpError::Thread)?;
        }
        let driven = Arc::clone(&line);
        let thread = std::thread::Builder::new()
            .name("sim-osdp".into())
            .spawn(move || line::drive(&driven, &woken))
            .map_err(OsdpError::Thread)?;
        Ok(Self { path: path.into(), line, wake, thread: Some(thread) })
    }

    /// What a configuration names as `port`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Holds a card up: told once, at the next poll.
    pub fn tap(&self, address: u8, uid: &CardUid) {
        let bytes = uid.as_bytes();
        self.card(address, u16::try_from(8 * bytes.len()).unwrap_or(u16::MAX), bytes);
    }

    /// The same with any bits.
    pub fn card(&self, address: u8, bits: u16, data: &[u8]) {
        self.at(address, |device| device.card(crate::time::now(), bits, data));
    }

    pub fn tamper(&self, address: u8, tampered: bool) {
        self.at(address, |device| device.tamper(tampered));
    }

    pub fn fail_power(&self, address: u8, fails: bool) {
        self.at(address, |device| device.fail_power(fails));
    }

    /// Makes it go wrong in one way, or well again.
    pub fn fault(&self, address: u8, fault: Fault) {
        self.at(address, |device| device.fault = fault);
    }

    /// Switches it off and on.
    pub fn restart(&self, address: u8) {
        self.at(address, Device::restart);
    }

    /// Pulls the adapter's plug: the path is gone, and an open descriptor hangs up.
    pub fn unplug(&self) {
        self.act(Line::unplug);
    }

    /// Plugs it in again, at the same path.
    pub fn plug_in(&self) -> Result<(), PtyError> {
        self.act(|line| line.plug(&self.path))
    }

    /// Whether the secure channel is open.
    #[must_use]
    pub fn is_secure(&self, address: u8) -> bool {
        self.line.look(|line| line.devices.iter().any(|d| d.address == address && d.is_secure()))
    }

    /// Waits until the host asks it for cards, and has heard that there is none.
    #[must_use]
    pub fn wait_until_asked(&self, address: u8, limit: Duration) -> bool {
        let asked =
            |line: &Line| line.devices.iter().any(|d| d.address == address && d.idle_polls > 1).then_some(());
        self.line.wait(limit, asked).is_some()
    }

    /// Waits for something at a reader, from line `number` of its record on; the number after it.
    #[must_use]
    pub fn wait_for(
        &self,
        address: u8,
        number: u64,
        limit: Duration,
        seen: impl Fn(&Seen) -> bool,
    ) -> Option<u64> {
        self.line.wait(limit, |line| {
            let device = line.devices.iter().find(|device| device.address == address)?;
            let mut entries = device.record.iter().filter(|entry| entry.number >= number);
            entries.find(|entry| seen(&entry.what)).map(|entry| entry.number + 1)
        })
    }

    /// Everything at a reader from line `number` on, or, if there is nothing yet, what comes within `limit`.
    #[must_use]
    pub fn seen_since(&self, address: u8, number: u64, limit: Duration) -> Vec<Entry<Seen>> {
        let some = |line: &Line| {
            let device = line.devices.iter().find(|device| device.address == address)?;
            (device.record.next_number() > number).then(|| device.record.since(number))
        };
        self.line.wait(limit, some).unwrap_or_default()
    }

    fn at(&self, address: u8, act: impl FnOnce(&mut Device)) {
        self.act(|line| {
            if let Some(device) = line.devices.iter_mut().find(|device| device.address == address) {
                act(device);
            }
        });
    }

    /// Acts now, and has the thread look again.
    fn act<R>(&self, act: impl FnOnce(&mut Line) -> R) -> R {
        let result = self.line.change(act);
        // A full pipe has woken it already.
        let _ = (&self.wake).write(&[0]);
        result
    }
}

impl Drop for Osdp {
    fn drop(&mut self) {
        self.act(|line| {
            line.unplug();
            line.ending = true;
        });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
