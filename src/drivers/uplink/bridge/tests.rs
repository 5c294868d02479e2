//! The bridge between two streams of the test: who may come to it, what it carries, and how it ends.

use std::process::{Command, Stdio};

use tokio::{
    io::{DuplexStream, duplex},
    net::TcpListener,
};

use super::*;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

fn bridge(port: u16) -> Bridge {
    Bridge::listen(Address { host: "localhost".into(), port }, None, KEEP_ALIVE).unwrap()
}

/// Both ends of a bridge that carries, the broker's and rumqttc's.
fn carried()
-> (DuplexStream, UnixStream, watch::Sender<Duration>, tokio::task::JoinHandle<Result<(), TransportError>>) {
    let (far, near) = duplex(1024);
    let (client, local) = UnixStream::pair().unwrap();
    let (told, silence) = watch::channel(silence(KEEP_ALIVE));
    let run = async move { carry(Box::new(near), local, silence, "broker").await };
    (far, client, told, tokio::spawn(run))
}

#[tokio::test]
async fn only_this_process_gets_in() {
    let bridge = bridge(1);
    let name = bridge.name().to_owned();
    let accepted = tokio::spawn(accept(bridge.listener));
    let address = format!("ABSTRACT-CONNECT:{}", name.trim_start_matches('\0'));
    let mut command = Command::new("socat");
    // -T: one that is let in hears nothing, and must end all the same.
    command
        .args(["-T", "2", "-u", &address, "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let stranger = tokio::task::spawn_blocking(move || command.status());
    stranger.await.unwrap().expect("socat is needed for this test");
    assert!(!accepted.is_finished(), "a stranger got in");
    let own = UnixStream::connect(&name).await.unwrap();
    accepted.await.unwrap().unwrap();
    assert!(UnixStream::connect(&name).await.is_err(), "a second one got in");
    drop(own);
}

#[tokio::test]
async fn what_is_said_on_one_side_arrives_on_the_other_whole_and_in_order() {
    let (mut far, mut client, _told, task) = carried();
    let said: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let copy = said.clone();
    let talk = tokio::spawn(async move {
        far.write_all(&copy).await.unwrap();
        let mut heard = vec![0; copy.len()];
        far.read_exact(&mut heard).await.unwrap();
        (far, heard == copy)
    });
    let mut heard = vec![0; said.len()];
    client.read_exact(&mut heard).await.unwrap();
    client.write_all(&heard).await.unwrap();
    let (far, is_same) = talk.await.unwrap();
    assert!(is_same && heard == said);
    drop(far);
    assert_eq!(client.read(&mut heard).await.unwrap(), 0);
    assert!(matches!(task.await.unwrap(), Err(TransportError::Closed)));
}

#[tokio::test]
async fn a_broker_that_pours_out_is_read_no_further_than_a_few_pieces_ahead() {
    let (mut far, client, _told, _task) = carried();
    let mut poured = 0;
    // Nobody reads: when nothing goes in any more for a while, it is full.
    while let Ok(written) = timeout(Duration::from_millis(200), far.write(&[7; 1024])).await {
        poured += written.unwrap();
        assert!(poured <= 128 * 1024, "{poured} bytes lie in the bridge");
    }
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn the_brokers_silence_ends_it_after_one_and_a_half_keep_alives_as_last_agreed() {
    let (mut far, _client, told, task) = carried();
    let start = clock::instant();
    tokio::time::sleep(Duration::from_secs(40)).await;
    far.write_all(b"x").await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    told.send_replace(silence(Duration::from_secs(10)));
    let end = task.await.unwrap();
    assert!(matches!(end, Err(TransportError::Silent(after)) if after == Duration::from_secs(15)), "{end:?}");
    assert_eq!((clock::instant() - start).as_secs(), 55);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_ends_it_too() {
    let (mut far, client, _told, task) = carried();
    let start = clock::instant();
    let pour = tokio::spawn(async move {
        let mut client = client;
        // More than fits anywhere.
        _ = client.write_all(&vec![0; 4 << 20]).await;
    });
    // It talks all the same.
    let talk = tokio::spawn(async move {
        while far.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let end = task.await.unwrap();
    assert!(matches!(end, Err(TransportError::Stuck(_))), "{end:?}");
    assert!(clock::instant() - start < KEEP_ALIVE * 2);
    pour.abort();
    talk.abort();
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_at_each_and_a_refusal_names_the_place() {
    // On one of localhost's addresses only, if it has two.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let link = bridge(port).open().await.unwrap();
    drop(link);
    drop(listener);
    let refused = bridge(port).open().await.unwrap_err().to_string();
    assert!(refused.starts_with("can't connect to ") && refused.contains(&port.to_string()), "{refused}");
    assert!(refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn the_broker_may_ask_for_more_pings_and_not_for_fewer_or_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut link = bridge(listener.local_addr().unwrap().port()).open().await.unwrap();
    for (asked, agreed_s) in [(None, 30), (Some(10), 10), (Some(600), 30), (Some(0), 30)] {
        assert_eq!(link.agree(asked), Duration::from_secs(agreed_s), "{asked:?}");
        assert_eq!(*link.silence.borrow(), Duration::from_millis(agreed_s * 1500));
    }
}

#[test]
fn a_reason_counts_in_the_short_form_at_the_end_only() {
    assert_eq!(last_word(&[0xE0, 1, 0x8E]), Some(0x8E));
    assert_eq!(last_word(&[0xD0, 0, 0xE0, 1, 0x8B]), Some(0x8B));
    for other in [&[0xE0, 2, 0x8E, 0][..], &[0xE0, 1, 0x00], &[0xE0, 1, 0x8E, 0xD0, 0], &[0x8E], &[]] {
        assert_eq!(last_word(other), None, "{other:x?}");
    }
}
