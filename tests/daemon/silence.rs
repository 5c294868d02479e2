//! A broker that is there and one that is not: by its bytes, not by its answers to pings.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hardware_sim::time;
use serde_json::json;

use crate::site::proxy::Proxy;
use crate::site::{Builder, CONTROLLER, LIMIT, eventually, eventually_asking, pause};

/// The shortest there is.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

#[test]
fn a_link_that_went_dead_is_noticed_within_one_and_a_half_keep_alives_and_comes_back() {
    let mut site = Builder::bare().secure().without_central().prepared();
    let proxy = Proxy::to(site.broker.secure_port());
    let path = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    let through = format!("localhost:{}\"\nkeep_alive_s = {}", proxy.port(), KEEP_ALIVE.as_secs());
    let direct = format!("localhost:{}\"", site.broker.secure_port());
    std::fs::write(&path, text.replace(&direct, &through)).unwrap();
    site.daemon.start();
    site.wait_until_connected();
    proxy.die();
    let died = time::now();
    eventually_asking("notice of a dead link", || (site.ask(&["sync"])["connected"] == false).then_some(()));
    let took = died.elapsed();
    assert!(took < KEEP_ALIVE * 2, "it was believed in for {took:?}");
    assert!(site.daemon.log_tail(20).contains("the broker has been silent for 7.5 s"));
    proxy.revive();
    site.wait_until_connected();
}

/// Answers the connect and the subscription, never a ping, and says something meaningless all the time.
#[derive(Debug, Default)]
struct Babbler {
    is_silent: AtomicBool,
    pings: AtomicUsize,
}

impl Babbler {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        loop {
            let mut kind = [0];
            match stream.read(&mut kind) {
                Ok(0) => return Ok(()),
                Ok(_) => self.answer(kind[0], &mut stream)?,
                // That was the time-out.
                Err(_) if self.is_silent.load(Ordering::Acquire) => {}
                Err(_) => stream.write_all(&babble())?,
            }
        }
    }

    fn answer(&self, kind: u8, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7F) << shift;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        match kind >> 4 {
            // With "server keep alive" 0: no pings are wanted, and none must not mean all the time.
            1 => stream.write_all(&[0x20, 6, 0, 0, 3, 0x13, 0, 0]),
            8 => stream.write_all(&[0x90, 5, body[0], body[1], 0, 1, 1]),
            12 => {
                self.pings.fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A message with QoS 0 on a topic of no meaning.
fn babble() -> Vec<u8> {
    let topic = format!("latch/v1/{CONTROLLER}/other");
    let length = u8::try_from(2 + topic.len() + 1).unwrap();
    [&[0x30, length, 0, length - 3], topic.as_bytes(), &[0]].concat()
}

#[test]
fn a_broker_whose_answer_to_a_ping_is_late_is_kept_while_it_says_anything_at_all() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let babbler = Arc::new(Babbler::default());
    let served = Arc::clone(&babbler);
    let serve = move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // It ends when the daemon has hung up.
            let _ = served.serve(stream);
        }
    };
    std::thread::Builder::new().name("babbler".into()).spawn(serve).unwrap();
    let mut site = Builder::bare()
        .without_central()
        .edit("allow_unsigned", "keep_alive_s = 5\nallow_unsigned")
        .nothing_up();
    let path = site.daemon.config_path().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&site.broker.url(), &format!("mqtt://127.0.0.1:{port}"))).unwrap();
    site.daemon.start();
    eventually("connection to the babbler", || (site.ask(&["sync"])["connected"] == true).then_some(()));
    let since = site.ask(&["sync"])["since"].clone();
    pause("no ping is answered in more than two keep-alives", KEEP_ALIVE * 5 / 2);
    let sync = site.ask(&["sync"]);
    assert_eq!((&sync["connected"], &sync["since"]), (&json!(true), &since), "{}", site.daemon.log_tail(5));
    let pings = babbler.pings.load(Ordering::Acquire);
    assert!((2..=5).contains(&pings), "{pings} pings in two and a half keep-alives");
    babbler.is_silent.store(true, Ordering::Release);
    eventually("word of the silence", || {
        site.daemon.log_tail(5).contains("the broker has been silent for 7.5 s").then_some(())
    });
    assert!(KEEP_ALIVE * 3 < LIMIT);
}
