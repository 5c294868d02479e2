//! A library that panics under the driver: one reader is lost for a moment, and said so.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// A line, or one at which the serial library panics.
enum Fragile {
    Whole(DuplexStream),
    Broken,
}

impl Fragile {
    fn whole(&mut self) -> Pin<&mut DuplexStream> {
        match self {
            Fragile::Whole(line) => Pin::new(line),
            Fragile::Broken => panic!("as a library does that has a bug"),
        }
    }
}

impl AsyncRead for Fragile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.whole().poll_read(cx, buf)
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.whole().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole().poll_shutdown(cx)
    }
}

impl Line for Fragile {
    fn discard(self) {}
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_said_as_a_loss_and_the_reader_is_started_over() {
    let (ours, theirs) = duplex(4096);
    let mut lines = VecDeque::from([Fragile::Broken, Fragile::Whole(theirs)]);
    let open = move || lines.pop_front().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into());
    let (sender, mut events) = mpsc::channel(16);
    let reader = ReaderId::new("r").unwrap();
    let uid_order = UidOrder::AsRead;
    let config = Config { reader, port: "/dev/ttyX".into(), baud: 115_200, uid_order };
    let _task = Handle { task: task::spawn(Driver::new(config, sender).run(open)) };
    let mut next = async || match events.recv().await {
        Some(Event::Reader { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let detail = "its driver has failed; report this, with the log".to_owned();
    assert_eq!(next().await, ReaderEvent::Lost { detail: detail.clone() });
    assert_eq!(next().await, ReaderEvent::Restarted { detail });
    Played { line: ours }.begin().await;
    assert!(matches!(next().await, ReaderEvent::Connected { .. }));
}
