//! Any amount of anything from any side: bounded memory, and no door that waits.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;

use hardware_sim::time;

use crate::site::broker::free_port;
use crate::site::line::Line;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
/// What queues, buffers and the allocator may take beyond what the daemon has at rest, in KiB.
const MOST_KIB: u64 = 48 * 1024;

/// The most memory it has ever had, and what it has, in KiB.
fn memory(site: &mut Site) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", site.daemon.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    (field("VmHWM:"), field("VmRSS:"))
}

/// Writes as much as is taken without waiting.
fn push(stream: &mut UnixStream, bytes: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.write(bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[test]
fn floods_from_every_side_take_bounded_memory_and_hold_up_no_door() {
    let port = free_port();
    let mut site = Builder::new().metrics(port).running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    let (_, at_rest) = memory(&mut site);
    // The control socket: requests without an end, and answers that nobody reads.
    let mut callers: Vec<UnixStream> =
        (0..600).map(|_| UnixStream::connect(site.daemon.socket()).unwrap()).collect();
    let endless = vec![b'x'; 64 << 10];
    let questions = b"{\"protocol\":1,\"verb\":\"status\"}\n".repeat(500);
    for round in 0..3 {
        for (n, caller) in callers.iter_mut().enumerate() {
            push(caller, if (n + round) % 2 == 0 { &endless } else { &questions });
        }
    }
    // The broker: what is no message, as long as the broker lets it be.
    let line = Line::open(&site.broker.url());
    line.wait_connected();
    for n in 0..300 {
        line.say_bytes("feed", vec![b'{'; 100 << 10], false);
        line.say_bytes("command", vec![b'['; 10 << 10], false);
        line.say_bytes(if n % 2 == 0 { "ack" } else { "feed" }, "nonsense", false);
    }
    // The metrics: connections that ask nothing.
    let _guests: Vec<TcpStream> =
        (0..100).filter_map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()).collect();
    // The readers: cards of nobody.
    for n in 0..20 {
        site.tap("room-4-in", &format!("04BADBAD{n:06X}"));
    }
    let before = time::now();
    site.tap("entrance-in", ANNA);
    site.board.wait_for_coil_change(before, 0, true, LIMIT).expect("the strike is energised");
    let (most, now) = memory(&mut site);
    eprintln!("{at_rest} KiB at rest, {most} at most, {now} in the flood");
    assert!(most < at_rest + MOST_KIB, "{at_rest} KiB at rest, {most} KiB at most");
    // They go, and everybody is served as before.
    drop(callers);
    let status = eventually_asking("status after the flood", || {
        let said = site.ctl(&["status", "--json"]);
        (said.code == 0).then(|| said.json())
    });
    assert_eq!(status["sync"]["connected"], true);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
}
