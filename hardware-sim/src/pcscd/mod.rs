//! A real pcscd of one's own, with virtual readers: no service, no root, nothing shared with the machine's pcscd.
//!
//! pcscd takes a listening socket from systemd as descriptor 3; a shell hands ours over the same way (what std can
//! give a child without `unsafe` is its standard input). Clients find it by the environment variable
//! `PCSCLITE_CSOCK_NAME`, which the library reads once a process: one pcscd for each process under test. A copy of
//! the vpcd driver has two slots, so each two readers have a copy of their own. Readers with lamps have a driver of
//! our own (see `lamps`).

mod lamps;
mod probe;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

pub use lamps::{Escape, LampReader};

/// Where Debian and its kin put them.
const PCSCD: [&str; 3] = ["/usr/sbin/pcscd", "/usr/local/sbin/pcscd", "/usr/bin/pcscd"];
const DRIVER: [&str; 2] =
    ["/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so"];

/// What clients must have in their environment: [`PrivatePcscd::socket`].
pub const SOCKET_VARIABLE: &str = "PCSCLITE_CSOCK_NAME";

const SLOTS: usize = 2;
/// pcscd has places for 16.
const READERS_MAX: usize = 16;
const START_LIMIT: Duration = Duration::from_secs(10);
const END_LIMIT: Duration = Duration::from_secs(2);
/// Ports found free may be taken before vpcd has them.
const STARTS: usize = 5;

#[derive(Debug, thiserror::Error)]
pub enum PcscdError {
    #[error("pcscd is not installed; apt-get install pcscd")]
    NoPcscd,
    #[error("pcscd's driver for virtual readers is not installed; apt-get install vsmartcard-vpcd")]
    NoDriver,
    #[error("the driver for readers with lamps is not built; cargo build -p sim-ifd")]
    NoLampDriver,
    #[error("pcscd has places for 1 to 16 readers, not {0}")]
    Readers(usize),
    #[error("cannot prepare {what} for pcscd")]
    Prepare { what: &'static str, source: io::Error },
    #[error("pcscd did not come up with its readers; it said: {said}")]
    NotUp { said: String, source: io::Error },
    #[error("cannot signal pcscd; it has ended by itself")]
    Ended,
}

/// A running pcscd. It ends when dropped, and also when this process is killed.
#[derive(Debug)]
pub struct PrivatePcscd {
    folder: TempDir,
    pcscd: PathBuf,
    ports: Vec<u16>,
    readers: usize,
    lamps: Vec<LampReader>,
    running: Option<Running>,
}

/// The process, and a shell that ends it and clears up when our end of a pipe closes, however we end.
#[derive(Debug)]
struct Running {
    pcscd: Child,
    guard: Child,
}

impl PrivatePcscd {
    /// Starts one with so many readers (with an odd number there is one more, always empty), and waits until it
    /// answers.
    pub fn start(readers: usize) -> Result<Self, PcscdError> {
        Self::start_with(readers, &[])
    }

    /// The same with readers that have lamps and a buzzer beside them, one for each of these names. What a driver
    /// makes of a reader it knows by its name, so a name says which make it is.
    pub fn start_with(readers: usize, lamps: &[&str]) -> Result<Self, PcscdError> {
        let all = readers.next_multiple_of(SLOTS) + lamps.len();
        if !(1..=READERS_MAX).contains(&all) {
            return Err(PcscdError::Readers(all));
        }
        let pcscd = installed(&PCSCD).ok_or(PcscdError::NoPcscd)?;
        let driver = installed(&DRIVER).ok_or(PcscdError::NoDriver)?;
        let mut last = PcscdError::Ended;
        for _ in 0..STARTS {
            let folder =
                tempfile::Builder::new().prefix("pcscd-").tempdir().map_err(prepare("a directory"))?;
            let ports = free_ports(readers.div_ceil(SLOTS)).map_err(prepare("ports"))?;
            configure(folder.path(), &driver, &ports).map_err(prepare("its configuration"))?;
            let lamps = LampReader::configure_all(folder.path(), lamps)?;
            let mut started = Self { folder, pcscd: pcscd.clone(), ports, readers, lamps, running: None };
            match started.launch() {
                Ok(()) => return Ok(started),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// For `PCSCLITE_CSOCK_NAME`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Where a card goes into reader `index`.
    #[must_use]
    pub fn vpcd_addr(&self, index: usize) -> Option<SocketAddr> {
        let first = self.ports.get(index / SLOTS).filter(|_| index < self.readers)?;
        let port = first.checked_add(u16::try_from(index % SLOTS).ok()?)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The name under which applications see reader `index`.
    #[must_use]
    pub fn reader_name(&self, index: usize) -> Option<String> {
        (index < self.readers).then(|| name(index))
    }

    /// The reader with lamps of this number.
    #[must_use]
    pub fn lamps(&self, index: usize) -> Option<&LampReader> {
        self.lamps.get(index)
    }

    /// What pcscd has printed.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pcscd.id())
    }

    /// Kills it as a crash would. Its socket is gone, and its cards are thrown out.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.pcscd.kill();
            running.reap();
        }
        let _ = fs::remove_file(self.socket());
    }

    /// Ends it, if it still runs, and starts it again: the same socket, ports and reader names.
    pub fn restart(&mut self) -> Result<(), PcscdError> {
        self.end();
        self.launch()
    }

    /// Stops it in its tracks: it accepts and never answers.
    pub fn pause(&self) -> Result<(), PcscdError> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> Result<(), PcscdError> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), PcscdError> {
        let running = self.running.as_ref().ok_or(PcscdError::Ended)?;
        kill_process(Pid::from_child(&running.pcscd), signal).map_err(|_| PcscdError::Ended)
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
        let _ = fs::remove_file(self.socket());
    }

    fn launch(&mut self) -> Result<(), PcscdError> {
        let socket = self.socket();
        let listener = UnixListener::bind(&socket).map_err(prepare("its socket"))?;
        let log = File::create(self.folder.path().join("log")).map_err(prepare("its log"))?;
        let also_log = log.try_clone().map_err(prepare("its log"))?;
        let pcscd = Command::new("sh")
            .arg("-c")
            .arg("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" --foreground -c \"$1\" 3<&0 </dev/null")
            .arg(&self.pcscd)
            .arg(self.folder.path().join("readers"))
            .env_remove("LISTEN_FDNAMES")
            .stdin(OwnedFd::from(listener))
            .stdout(log)
            .stderr(also_log)
            .spawn()
            .map_err(prepare("its process"))?;
        self.running =
            Some(Running::guarded(pcscd, self.folder.path()).map_err(prepare("the guard of its process"))?);
        let with_lamps = self.lamps.iter().filter(|lamps| lamps.is_listed()).map(LampReader::name);
        let wanted: Vec<String> = (0..self.readers).map(name).chain(with_lamps).collect();
        probe::wait_for_readers(&socket, &wanted, START_LIMIT).map_err(|source| {
            self.end();
            PcscdError::NotUp { said: self.said().trim().replace('\n', "; "), source }
        })
    }
}

impl Drop for PrivatePcscd {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    fn guarded(mut pcscd: Child, folder: &Path) -> io::Result<Self> {
        let guard = Command::new("sh")
            .arg("-c")
            .arg("read -r _; kill -CONT \"$0\"; kill -TERM \"$0\"; rm -rf -- \"$1\"")
            .arg(pcscd.id().to_string())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { pcscd, guard }),
            Err(error) => {
                let _ = pcscd.kill();
                let _ = pcscd.wait();
                Err(error)
            }
        }
    }

    /// Politely, so that it takes its files away; then not.
    fn end(mut self) {
        let pid = Pid::from_child(&self.pcscd);
        // Opened before the process is reaped, so it can only be this one.
        if let (Ok(handle), Ok(limit)) = (pidfd_open(pid, PidfdFlags::empty()), Timespec::try_from(END_LIMIT))
        {
            let _ = kill_process(pid, Signal::CONT);
            let _ = kill_process(pid, Signal::TERM);
            let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit));
        }
        let _ = self.pcscd.kill();
        self.reap();
    }

    /// The guard first: the number of a reaped process may soon be another's.
    fn reap(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.pcscd.wait();
    }
}

fn prepare(what: &'static str) -> impl Fn(io::Error) -> PcscdError {
    move |source| PcscdError::Prepare { what, source }
}

fn installed(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|place| place.exists())
}

fn friendly_name(driver: usize) -> String {
    format!("Latch Sim {}", char::from(b'A' + u8::try_from(driver).unwrap_or_default()))
}

fn name(index: usize) -> String {
    // pcscd adds the number among readers of one name, and the slot.
    format!("{} 00 {:02}", friendly_name(index / SLOTS), index % SLOTS)
}

/// A file for each driver copy, as in /etc/reader.conf.d.
fn configure(folder: &Path, driver: &Path, ports: &[u16]) -> io::Result<()> {
    let readers = folder.join("readers");
    fs::create_dir(&readers)?;
    for (number, port) in ports.iter().enumerate() {
        let copy = folder.join(format!("libifdvpcd-{number}.so"));
        fs::copy(driver, &copy)?;
        let entry = format!(
            "FRIENDLYNAME \"{}\"\nDEVICENAME /dev/null:{port}\nLIBPATH {}\nCHANNELID {port}\n",
            friendly_name(number),
            copy.display(),
        );
        fs::write(readers.join(format!("vpcd-{number}")), entry)?;
    }
    Ok(())
}

/// So many ports whose next is free too: vpcd takes one a slot, on every address.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..100 * count {
        if ports.len() == count {
            break;
        }
        let first = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = first.local_addr()?.port();
        let second = port.checked_add(1).map(|next| TcpListener::bind((Ipv4Addr::UNSPECIFIED, next)));
        if let Some(Ok(second)) = second {
            ports.push(port);
            held.push((first, second));
        }
    }
    if ports.len() == count {
        Ok(ports)
    } else {
        Err(io::Error::other("no two free ports beside each other"))
    }
}

#[cfg(test)]
mod tests;
