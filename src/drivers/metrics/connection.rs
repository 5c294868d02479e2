//! One connection: one request, one answer, and it ends.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink},
    time::timeout,
};

use super::{
    page::Pages,
    request::{self, MAX_HEAD},
};

/// How long a request may take to come, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read and thrown away after the answer, and for how long: closed on unread bytes, TCP would take the answer
/// back.
const LINGER_BYTES: u64 = 64 << 10;
const LINGER: Duration = Duration::from_secs(1);

/// What comes after the first request is not answered.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, pages: &Pages) {
    let Ok(Some(request)) = timeout(PATIENCE, read(&mut stream)).await else { return };
    let page = match request.is_good {
        Ok(()) => pages.page().await,
        Err(refusal) => Err(refusal),
    };
    let answer = request::answer(request.content, page.as_deref().map_err(|refusal| *refusal));
    let sent = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    };
    if let Ok(Ok(())) = timeout(PATIENCE, sent).await {
        // Whatever comes of it, it is over.
        let _over = timeout(LINGER, copy(&mut stream.take(LINGER_BYTES), &mut sink())).await;
    }
}

/// `None`: it went before it had asked.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<request::Request> {
    let mut head = Vec::new();
    loop {
        let room = MAX_HEAD.saturating_sub(head.len()) as u64;
        let count = (&mut *stream).take(room).read_buf(&mut head).await.ok()?;
        if let Some(request) = request::read(&head) {
            return Some(request);
        }
        if count == 0 {
            return None;
        }
    }
}
