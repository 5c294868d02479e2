//! SIGTERM, while everybody the daemon speaks with hangs: it is gone within the time systemd and people count on.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use hardware_sim::pcscd::SOCKET_VARIABLE;
use hardware_sim::time;

use crate::site::broker::free_port;
use crate::site::{Builder, LIMIT, eventually};

const FOLLOW: &[u8] = b"{\"protocol\":1,\"verb\":\"events\",\"follow\":true}\n";
const STATUS: &[u8] = b"{\"protocol\":1,\"verb\":\"status\"}\n";

/// Accepts, and says nothing.
fn mute_tcp() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

#[test]
fn with_a_hung_broker_board_pcscd_and_callers_it_is_gone_within_five_seconds() {
    let broker = mute_tcp();
    let port = free_port();
    let pcsc = "\n[[readers]]\nid = \"gym-in\"\ndoor = \"gym\"\ndriver = \"pcsc\"\nname = \"ACS*\"\n";
    let mut site = Builder::new()
        .without_central()
        .metrics(port)
        .edit_once("\n[[readers]]", &format!("{pcsc}\n[[readers]]"))
        .nothing_up();
    let text = std::fs::read_to_string(site.daemon.config_path()).unwrap();
    let url = format!("mqtt://127.0.0.1:{}", broker.local_addr().unwrap().port());
    let text = text.replace(&site.broker.url(), &url);
    std::fs::write(site.daemon.config_path(), text).unwrap();
    let pcscd = site.folder.path().join("pcscd.comm");
    let _mute = UnixListener::bind(&pcscd).unwrap();
    site.daemon.set(SOCKET_VARIABLE, pcscd.to_str().unwrap());
    site.daemon.start();
    let (_broker, _) = broker.accept().expect("the daemon comes to the broker");
    site.board.go_silent();
    // Callers: idle, in the middle of a request, following, and one who asks and asks and reads nothing.
    let connect = || UnixStream::connect(site.daemon.socket()).unwrap();
    let idle: Vec<UnixStream> = (0..10).map(|_| connect()).collect();
    let mut half = connect();
    half.write_all(&STATUS[..10]).unwrap();
    let mut follower = connect();
    follower.write_all(FOLLOW).unwrap();
    let mut deaf = connect();
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while deaf.write_all(STATUS).is_ok() {}
    let metrics = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
    let guests: Vec<TcpStream> = (0..10).map(|_| eventually("metrics", metrics)).collect();
    let told = time::now();
    assert_eq!(site.daemon.stop().code(), Some(0), "{}", site.daemon.log_tail(20));
    let took = told.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    eprintln!("gone after {took:?}");
    assert!(!site.daemon.socket().exists());
    drop((idle, half, follower, deaf, guests));
    // What was recorded is whole.
    site.board.clear_faults();
    site.daemon.start();
    let verified = || (site.ctl(&["journal", "verify"]).code == 0).then_some(());
    assert!(hardware_sim::wait::until(LIMIT, verified).is_some());
}
