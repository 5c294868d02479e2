//! A real mosquitto, private to a test: on the loopback, on a port of its own, forgetting everything when it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use super::eventually;
use super::process::Guarded;

/// Where Debian and its kin put it; `sbin` is not on everybody's path.
const MOSQUITTO: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];

/// Below the ports the kernel gives to outgoing connections: one of those could take a stopped broker's place.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// A broker that can be stopped and started again in the same place.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    /// Where it speaks TLS, if it does.
    secure_port: Option<u16>,
    conf: PathBuf,
    log: PathBuf,
    openssl: Option<PathBuf>,
    running: Option<Guarded>,
}

/// The listener that ships, as a test uses it: its own directory and port, and beside it one without TLS, by which
/// the test's central and onlookers come in.
const LISTENER: &str = include_str!("../../config/broker/latch.conf");
const ACCESS: &str = include_str!("../../config/broker/latch.acl");

impl Broker {
    /// One that does not run yet.
    pub fn prepare(folder: &Path) -> Broker {
        let port = free_port();
        let conf = folder.join("mosquitto.conf");
        // `user root`: as root it would otherwise become another user, who can't write into this directory.
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n");
        fs::write(&conf, text).expect("the test's directory is writable");
        Broker {
            port,
            secure_port: None,
            conf,
            log: folder.join("mosquitto.log"),
            openssl: None,
            running: None,
        }
    }

    /// The listener of `config/broker` on the loopback, with the certificates of `tls`, beside a plain one.
    pub fn prepare_secure(folder: &Path, tls: &Path) -> Broker {
        let secure_port = free_port();
        fs::write(tls.join("latch.acl"), ACCESS).expect("the test's directory is writable");
        let mut broker = Broker::prepare(folder);
        broker.secure_port = Some(secure_port);
        let secure = LISTENER
            .replace("/etc/mosquitto/latch", tls.to_str().expect("a path in UTF-8"))
            .replace("listener 8883", &format!("listener {secure_port} 127.0.0.1"));
        let plain = fs::read_to_string(&broker.conf).expect("just written");
        fs::write(&broker.conf, format!("{secure}\n{plain}")).expect("the test's directory is writable");
        broker
    }

    /// Changes its configuration, for its next start.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.conf).expect("its configuration");
        assert!(text.contains(from), "the broker's configuration has no {from:?}");
        fs::write(&self.conf, text.replace(from, to)).expect("its configuration");
    }

    /// Has OpenSSL speak nothing newer than this (`TLSv1.2`).
    pub fn speak_at_most(&mut self, version: &str) {
        let path = self.conf.with_extension("openssl");
        let text = format!(
            "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = {version}\n"
        );
        fs::write(&path, text).expect("the test's directory is writable");
        self.openssl = Some(path);
    }

    pub fn secure_url(&self) -> String {
        format!("mqtts://localhost:{}", self.secure_port.expect("prepared with TLS"))
    }

    pub fn secure_port(&self) -> u16 {
        self.secure_port.expect("prepared with TLS")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Adds to its configuration.
    pub fn configure(&self, text: &str) {
        let conf = fs::read_to_string(&self.conf).expect("its configuration");
        fs::write(&self.conf, conf + text).expect("the test's directory is writable");
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        let program = MOSQUITTO.iter().find(|path| Path::new(path).exists());
        let program = program.expect("mosquitto is needed for this test: apt-get install mosquitto");
        let log = File::options().create(true).append(true).open(&self.log).expect("its log");
        let also_log = log.try_clone().expect("its log");
        let mut command = Command::new(program);
        command.arg("-v").arg("-c").arg(&self.conf).stdin(Stdio::null()).stdout(log).stderr(also_log);
        if let Some(openssl) = &self.openssl {
            command.env("OPENSSL_CONF", openssl);
        }
        self.running = Some(Guarded::spawn(&mut command).expect("mosquitto starts"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        eventually("answer from mosquitto", || {
            if let Some(status) = self.running.as_mut().expect("just started").has_ended() {
                panic!("mosquitto ended while starting, with {status}:\n{}", self.log());
            }
            TcpStream::connect(address).ok()
        });
    }

    /// Ends it at once, with every session and message it held.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

/// A port nobody listens on, another one at each call.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Other test processes may run on this machine: each begins elsewhere.
    let begin =
        u16::try_from(u64::from(std::process::id()) * 97 % u64::from(count)).expect("less than count");
    for _ in 0..count {
        let port = PORTS.start + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        // Asked, not bound: a child that another test forks at that moment would hold what was bound until it is its program.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
    panic!("no free port in {PORTS:?}")
}
