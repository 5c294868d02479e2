//! What systemd hears: a socket of the test's is where systemd's would be.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use hardware_sim::time;

use crate::site::process::Guarded;
use crate::site::{Builder, LIMIT, Site};

/// What the daemon is told of the watchdog: it says something at half of it.
const WITHIN: Duration = Duration::from_millis(600);

/// Where systemd would listen.
struct Systemd(UnixDatagram);

impl Systemd {
    /// Prepares a site whose daemon takes this for systemd.
    fn over(site: &mut Site) -> Systemd {
        let path = site.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        site.daemon.set("NOTIFY_SOCKET", path.to_str().unwrap());
        site.daemon.set("WATCHDOG_USEC", WITHIN.as_micros().to_string());
        Systemd(socket)
    }

    /// The next thing said within so long.
    fn heard(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 512];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned())
    }

    /// The next thing but the watchdog's.
    #[track_caller]
    fn next(&self) -> String {
        loop {
            let said = self.heard(LIMIT).expect("a word for systemd");
            if said != "WATCHDOG=1" {
                return said;
            }
        }
    }

    #[track_caller]
    fn is_fed(&self) {
        assert_eq!(self.heard(LIMIT).as_deref(), Some("WATCHDOG=1"));
    }
}

#[test]
fn systemd_hears_that_doors_work_that_the_file_is_read_again_and_that_the_end_has_begun() {
    let mut site = Builder::bare().without_central().nothing_up();
    let systemd = Systemd::over(&mut site);
    site.daemon.spawn();
    assert_eq!(systemd.next(), "READY=1");
    UnixStream::connect(site.daemon.socket()).expect("who is ready answers on its socket");
    (0..3).for_each(|_| systemd.is_fed());
    site.daemon.hang_up();
    let reloading = systemd.next();
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(usec.parse::<u64>().is_ok(), "{reloading}");
    assert_eq!(systemd.next(), "READY=1");
    // A file that is refused is an answer, too.
    std::fs::write(site.daemon.config_path(), "nonsense").unwrap();
    site.daemon.hang_up();
    assert!(systemd.next().starts_with("RELOADING=1\n"));
    assert_eq!(systemd.next(), "READY=1");
    assert_eq!(site.daemon.stop().code(), Some(0));
    assert_eq!(systemd.next(), "STOPPING=1");
}

/// Stops one thread of a process, and lets it go on at the end of its input.
const STOP_ONE_THREAD: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
thread, seize, interrupt, detach, wall = int(sys.argv[1]), 0x4206, 0x4207, 17, 0x40000000
for request in (seize, interrupt):
    if libc.ptrace(request, thread, None, None):
        sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(thread, wall)
print('stopped', flush=True)
sys.stdin.readline()
libc.ptrace(detach, thread, None, None)
";

#[test]
fn a_loop_that_stands_still_feeds_no_watchdog_though_every_other_thread_goes_on() {
    let mut site = Builder::bare().without_central().nothing_up();
    let systemd = Systemd::over(&mut site);
    site.daemon.spawn();
    assert_eq!(systemd.next(), "READY=1");
    systemd.is_fed();
    // The loop runs on the main thread, whose number is the process's.
    let mut command = Command::new("python3");
    command.args(["-c", STOP_ONE_THREAD]).arg(site.daemon.id().to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut stopper = Guarded::spawn(&mut command).expect("python3");
    let mut said = String::new();
    let out = stopper.child().stdout.take().unwrap();
    BufReader::new(out).read_line(&mut said).unwrap();
    assert_eq!(said.trim(), "stopped", "the loop's thread could not be stopped");
    // What was on its way.
    while systemd.heard(Duration::from_millis(50)).is_some() {}
    assert_eq!(systemd.heard(WITHIN * 4), None, "somebody else feeds the watchdog");
    stopper.child().stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let since = time::now();
    systemd.is_fed();
    assert!(since.elapsed() < LIMIT);
    assert_eq!(site.daemon.stop().code(), Some(0));
}
