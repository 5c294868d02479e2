//! Everything that comes and goes, again and again: what the daemon holds for it goes with it.
//!
//! Every run takes a dozen rounds; `LATCHD_ROUNDS=1000` asks for more.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;

use crate::asked;
use crate::site::broker::free_port;
use crate::site::metrics::scrape;
use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, RECONNECT_LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const ROUNDS: u64 = 12;
/// What the allocator and the runtime settle into.
const WARM_UP: u64 = 4;
/// What memory may have grown by beyond that, in KiB: far less than a page a round of a long run.
const MOST_KIB: u64 = 4096;

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holds {
    threads: usize,
    files: usize,
    kib: u64,
}

fn holds(site: &mut Site) -> Holds {
    let id = site.daemon.id();
    let count = |what: &str| fs::read_dir(format!("/proc/{id}/{what}")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.split_whitespace().next().unwrap().parse().unwrap();
    Holds { threads: count("task"), files: count("fd"), kib }
}

/// A round: the board and a reader go and come back, callers come who go in the middle, and the configuration is read again
/// with another name for the broker, so that the link is made anew. Left to itself, a link that is cut each second would
/// wait longer each time.
fn round(site: &mut Site, metrics: u16, number: u64) {
    let (one, other) =
        if number.is_multiple_of(2) { ("127.0.0.1", "localhost") } else { ("localhost", "127.0.0.1") };
    let text = fs::read_to_string(site.daemon.config_path()).unwrap();
    assert!(text.contains(&format!("mqtt://{one}:")));
    fs::write(
        site.daemon.config_path(),
        text.replace(&format!("mqtt://{one}:"), &format!("mqtt://{other}:")),
    )
    .unwrap();
    let since = site.ask(&["sync"])["since"].clone();
    site.daemon.hang_up();
    eventually_asking("another connection to the broker", || {
        let sync = site.ask(&["sync"]);
        (sync["connected"] == true && sync["since"] != since).then_some(())
    });
    let (pn532, osdp) = (site.reader("entrance-in"), site.osdp.as_ref().unwrap());
    osdp.unplug();
    // One that comes and goes each second is waited for longer each time.
    let with_pn532 = number.is_multiple_of(12);
    if with_pn532 {
        pn532.unplug();
    }
    site.board.drop_connections().unwrap();
    let mut callers: Vec<UnixStream> =
        (0..8).map(|_| UnixStream::connect(site.daemon.socket()).unwrap()).collect();
    for (n, caller) in callers.iter_mut().enumerate() {
        let asked = [
            "{\"protocol\":1,\"verb\":\"events\",\"limit\":1,\"follow\":true}\n",
            "{\"protocol\":1,",
            "?\n",
            "",
        ][n % 4];
        // One that is turned away may be gone already.
        let _ = caller.write_all(asked.as_bytes());
    }
    let silent = TcpStream::connect((Ipv4Addr::LOCALHOST, metrics)).unwrap();
    scrape(metrics);
    drop((callers, silent));
    osdp.plug_in().unwrap();
    if with_pn532 {
        pn532.plug_in().unwrap();
    }
    site.wait_until_connected();
}

#[test]
fn what_comes_and_goes_for_ever_leaves_nothing_behind() {
    let metrics = free_port();
    let mut site = Builder::bare().pn532("entrance").osdp("room-4", 1, None).metrics(metrics).prepared();
    // One heap: with one a thread, freed pieces lie about in each for a while, and hide what is kept.
    site.daemon.set("MALLOC_ARENA_MAX", "1");
    site.daemon.start();
    site.wait_until_ready();
    site.central().wait_synced(RECONNECT_LIMIT).expect("the daemon is in step");
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    for number in 0..WARM_UP {
        round(&mut site, metrics, number);
    }
    let before = holds(&mut site);
    let rounds = asked::number("LATCHD_ROUNDS").unwrap_or(ROUNDS);
    for number in 0..rounds {
        round(&mut site, metrics, number);
    }
    // The runtime keeps a few threads for blocking calls for a while, and not one a round.
    let after = eventually_asking("end of what was begun for a while", || {
        let now = holds(&mut site);
        (now.files <= before.files + 3 && now.threads <= before.threads + 4).then_some(now)
    });
    eprintln!("{rounds} rounds: {before:?} before, {after:?} after");
    assert!(after.kib <= before.kib + MOST_KIB, "{before:?}, and after {rounds} rounds {after:?}");
    site.wait_until_ready();
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert_eq!(site.ctl(&["journal", "verify"]).code, 0);
}
