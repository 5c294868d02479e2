//! The endpoint by bytes: what is answered, and what it costs whoever is asked when many come and few are well-behaved.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    net::TcpStream,
    sync::mpsc::{Receiver, channel},
};

use super::{
    request::{Content, MAX_HEAD, Refusal, Request, answer, read},
    *,
};
use crate::{drivers::clock, wire::metrics::Counts};

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

fn good(content: Content) -> Option<Request> {
    Some(Request { content, is_good: Ok(()) })
}

fn refused(why: Refusal) -> Option<Request> {
    Some(Request { content: Content::Wanted, is_good: Err(why) })
}

#[test]
fn only_the_page_is_shown_and_only_to_be_read() {
    let head = |line: &str| read(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(head("GET /metrics"), good(Content::Wanted));
    assert_eq!(head("GET /metrics?name=up"), good(Content::Wanted));
    assert_eq!(head("HEAD /metrics"), good(Content::Unwanted));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        assert_eq!(head(&format!("{method} /metrics")), refused(Refusal::MethodNotAllowed), "{method}");
    }
    for path in ["/", "/metrics/", "/Metrics", "/../metrics", "http://a/metrics", "*"] {
        assert_eq!(head(&format!("GET {path}")), refused(Refusal::NotFound), "{path}");
    }
    assert_eq!(head("HEAD /").map(|r| r.content), Some(Content::Unwanted));
}

#[test]
fn a_request_in_pieces_goes_on_and_one_without_end_does_not() {
    for end in 0..GET.len() {
        assert_eq!(read(&GET[..end]), None, "{end}");
    }
    assert_eq!(read(GET), good(Content::Wanted));
    let long = [b"GET /metrics HTTP/1.1\r\nA: ".as_slice(), &[b'a'; MAX_HEAD]].concat();
    assert_eq!(read(&long[..MAX_HEAD - 1]), None);
    assert_eq!(read(&long[..MAX_HEAD]), refused(Refusal::TooLarge));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    assert_eq!(read(many.as_bytes()), refused(Refusal::TooLarge));
    for nonsense in
        [b"\x16\x03\x01\x02\x00".as_slice(), b"GET\r\n\r\n", b"GET /metrics HTTP/2\r\n\r\n", &[0; 100]]
    {
        assert_eq!(read(nonsense), refused(Refusal::Malformed), "{nonsense:?}");
    }
}

#[test]
fn an_answer_says_how_long_it_is_and_that_it_is_the_last() {
    let text = |content, page| String::from_utf8(answer(content, page)).unwrap();
    let page = text(Content::Wanted, Ok("a 1\n"));
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{page}");
    assert!(page.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\na 1\n"), "{page}");
    let head = text(Content::Unwanted, Ok("a 1\n"));
    assert!(head.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\n"), "{head}");
    let refused = text(Content::Wanted, Err(Refusal::MethodNotAllowed));
    assert!(
        refused.starts_with("HTTP/1.1 405 ") && refused.contains("\r\nAllow: GET, HEAD\r\n"),
        "{refused}"
    );
}

fn snapshot() -> Snapshot {
    let measured = Measured {
        status: status(),
        counts: Counts::default(),
        refused: Vec::new(),
        unrecorded: 0,
        heard_ago: None,
    };
    Snapshot { measured, queues: Vec::new(), dropped: Vec::new() }
}

/// As the control socket would say it; from JSON, which is shorter than all of its fields.
fn status() -> crate::wire::control::StatusReport {
    let sync = serde_json::json!({"connected": false, "broker": "b", "epoch": 0, "applied": 0, "want": "", "rejected": 0,
        "credentials": 0, "grants": 0, "digest": "", "stale": true, "queue": 0});
    serde_json::from_value(serde_json::json!({"controller": "oslo-1", "version": "0", "time_zone": "UTC",
        "now": "2026-11-23T09:00:00Z", "started_at": "2026-11-23T09:00:00Z",
        "clock": {"trust": "trusted", "detail": ""}, "sync": sync,
        "journal": {"journal": "", "recorded": 0, "acknowledged": 0}, "doors": [], "readers": [], "boards": []}))
    .unwrap()
}

/// Doors that answer at once, and count how often they were asked.
async fn doors(mut asks: Receiver<Ask>, asked: Arc<AtomicUsize>) {
    while let Some(ask) = asks.recv().await {
        asked.fetch_add(1, Ordering::Relaxed);
        let _gone = ask.send(snapshot());
    }
}

fn pages(asks: Asks) -> page::Pages {
    let config = Config { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), stores: Vec::new() };
    page::Pages::new(asks, measure::Measure::new(Arc::new(config)))
}

#[tokio::test(start_paused = true)]
async fn many_scrapes_at_once_are_one_question_to_the_doors() {
    let (ask, asks) = channel(1);
    let asked = Arc::new(AtomicUsize::new(0));
    let pages = Arc::new(pages(ask));
    let scraping = async {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let pages = pages.clone();
            all.spawn(async move { pages.page().await });
        }
        assert!(all.join_all().await.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_millis(250)).await;
        pages.page().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2, "an old page is not shown");
    };
    tokio::select! {
        () = scraping => {}
        () = doors(asks, asked.clone()) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn doors_that_do_not_answer_are_not_waited_for() {
    let (ask, _nobody_looks) = channel(1);
    let pages = pages(ask);
    let from = clock::instant();
    assert_eq!(pages.page().await, Err(Refusal::Unavailable));
    assert_eq!(clock::instant() - from, Duration::from_secs(2));
    // The first question still waits; the next one finds no room.
    assert_eq!(pages.page().await, Err(Refusal::Unavailable));
    assert_eq!(clock::instant() - from, Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_or_takes_nothing_is_let_go() {
    let (ask, asks) = channel(1);
    let pages = pages(ask);
    let from = clock::instant();
    let strangers = async {
        let (mut idle, served) = duplex(64);
        idle.write_all(&GET[..10]).await.unwrap();
        connection::serve(served, &pages).await;
        assert_eq!(clock::instant() - from, Duration::from_secs(5));
        let (mut deaf, served) = duplex(64);
        deaf.write_all(GET).await.unwrap();
        connection::serve(served, &pages).await;
        assert_eq!(clock::instant() - from, Duration::from_secs(10));
    };
    tokio::select! {
        () = strangers => {}
        () = doors(asks, Arc::default()) => {}
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Connects as soon as somebody listens.
async fn connect(listen: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(listen).await {
            Ok(stream) => return stream,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// The endpoint with doors that answer, for as long as the test goes on.
async fn while_served(listen: SocketAddr, test: impl Future<Output = ()>) {
    let (ask, asks) = channel(1);
    tokio::select! {
        () = test => {}
        () = run(Config { listen, stores: Vec::new() }, ask) => panic!("the endpoint has ended"),
        () = doors(asks, Arc::default()) => {}
    }
}

#[tokio::test]
async fn a_body_that_nobody_wants_does_not_cost_the_answer() {
    let listen = free_address();
    while_served(listen, async {
        let mut caller = connect(listen).await;
        caller.write_all(b"POST /metrics HTTP/1.1\r\nContent-Length: 100\r\n\r\n").await.unwrap();
        caller.write_all(&[b'x'; 50_000]).await.unwrap();
        let mut said = String::new();
        caller.read_to_string(&mut said).await.expect("an end, and no reset");
        assert!(said.starts_with("HTTP/1.1 405 "), "{said}");
    })
    .await;
}

/// More connections than there may be, twice over: whoever asks is answered.
#[tokio::test]
async fn idle_connections_make_room_for_who_asks() {
    let listen = free_address();
    while_served(listen, async {
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(connect(listen).await);
        }
        let mut caller = connect(listen).await;
        caller.write_all(GET).await.unwrap();
        let mut said = String::new();
        caller.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
        let mut nothing = [0];
        assert_eq!(idle[0].read(&mut nothing).await.unwrap_or(0), 0, "the oldest was kept");
        let newest = idle.last_mut().unwrap().read(&mut nothing);
        assert!(tokio::time::timeout(Duration::ZERO, newest).await.is_err(), "a newer one had to go");
    })
    .await;
}

#[tokio::test]
async fn the_endpoint_ends_when_nobody_takes_its_questions() {
    let (ask, asks) = channel(1);
    drop(asks);
    let config = Config { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), stores: Vec::new() };
    tokio::time::timeout(Duration::from_secs(20), run(config, ask)).await.unwrap();
}

#[tokio::test]
async fn stores_are_measured_with_all_that_lies_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("cache/blobs")).unwrap();
    std::fs::write(path("cache/db"), [0; 1000]).unwrap();
    std::fs::write(path("cache/blobs/1"), [0; 234]).unwrap();
    let stores = vec![("cache", path("cache")), ("journal", path("journal"))];
    let config = Config { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), stores };
    let around = measure::Measure::new(Arc::new(config)).surroundings().await;
    let sizes: Vec<(&str, u64)> = around.stores.iter().map(|s| (s.name, s.bytes)).collect();
    assert_eq!(sizes, [("cache", 1234)], "what is not there has no size");
    assert!(around.available_bytes.is_some_and(|room| room > 0));
    assert!(around.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
}
