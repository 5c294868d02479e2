//! A stretch of network between the daemon and the broker, that can go dead without closing anything.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes connections for as long as the test runs; its threads end with it.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    /// Nothing arrives at the broker.
    mute: Arc<AtomicBool>,
    /// Nothing arrives from it.
    deaf: Arc<AtomicBool>,
}

impl Proxy {
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let own = listener.local_addr().expect("bound").port();
        let (mute, deaf) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (to_broker, from_broker) = (Arc::clone(&mute), Arc::clone(&deaf));
        let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(broker) else { continue };
                let (near_too, far_too) = (near.try_clone().expect("one"), far.try_clone().expect("one"));
                let (one, other) = (Arc::clone(&to_broker), Arc::clone(&from_broker));
                spawn(move || carry(near, far, &one));
                spawn(move || carry(far_too, near_too, &other));
            }
        });
        Proxy { port: own, mute, deaf }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on what is sent arrives nowhere, in both directions, and nobody is told.
    pub fn die(&self) {
        self.deaf.store(true, Ordering::Release);
        self.mute();
    }

    /// From now on nothing the daemon says arrives, and it still hears everything.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::Release);
    }

    pub fn revive(&self) {
        self.mute.store(false, Ordering::Release);
        self.deaf.store(false, Ordering::Release);
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name("proxy".into()).spawn(run).expect("a thread");
}

fn carry(mut from: TcpStream, mut to: TcpStream, dead: &AtomicBool) {
    let mut piece = [0; 4096];
    loop {
        match from.read(&mut piece) {
            Ok(count) if count > 0 => {
                if !dead.load(Ordering::Acquire) && to.write_all(&piece[..count]).is_err() {
                    return;
                }
            }
            _ => {
                if !dead.load(Ordering::Acquire) {
                    // The other end may have gone first.
                    let _ = to.shutdown(Shutdown::Both);
                }
                return;
            }
        }
    }
}
