//! What is logged, on its way to whoever takes it: bounded, and never waited for.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    },
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::fields::{Entries, Entry};

/// Lines that may wait. With [`LONGEST`] that is at most 4 MiB, and a burst at a start of 64 doors is some hundreds.
const LINES: usize = 1024;
/// The longest line, in bytes; what is longer is cut, and ends in an ellipsis.
pub const LONGEST: usize = 4096;
/// How long the end waits for what is still to be written.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Something for the thread.
#[derive(Debug)]
pub enum Item {
    Line(Vec<u8>),
    Entry(Entries, Entry),
    /// Say so when all before it is written.
    Flush(std::sync::mpsc::Sender<()>),
}

/// The thread's end, held by whoever may end the log.
#[derive(Debug)]
pub struct Queue(Lines);

/// Where lines are put.
#[derive(Debug, Clone)]
pub struct Lines {
    items: SyncSender<Item>,
    dropped: Dropped,
}

/// How many lines were not taken.
#[derive(Debug, Clone, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// Starts the thread, which writes lines to `out`, and lives as long as the process: the log has no owner but it.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Queue> {
        Queue::of(LINES, out)
    }

    /// The same with another limit.
    pub fn of(limit: usize, out: impl Write + Send + 'static) -> io::Result<Queue> {
        let (items, waiting) = sync_channel(limit);
        let dropped = Dropped::default();
        let counted = dropped.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || write(waiting, &counted, out))?;
        Ok(Queue(Lines { items, dropped }))
    }

    pub fn sender(&self) -> Lines {
        self.0.clone()
    }

    pub fn dropped(&self) -> Dropped {
        self.0.dropped.clone()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let (done, written) = channel();
        // A full queue is one that nobody takes from: there is nothing to wait for.
        if self.0.items.try_send(Item::Flush(done)).is_ok() {
            let _in_time = written.recv_timeout(FLUSH_WITHIN);
        }
    }
}

impl Lines {
    pub fn put(&self, item: Item) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.items.try_send(item) {
            self.dropped.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(items: Receiver<Item>, dropped: &Dropped, mut out: impl Write) {
    let mut said = 0;
    for item in items {
        // Nobody is left to be told that standard error is gone.
        match item {
            Item::Line(line) => _ = out.write_all(&line),
            Item::Entry(to, entry) => to.write(&entry),
            Item::Flush(done) => _ = (out.flush(), done.send(())),
        }
        let count = dropped.count();
        if count > said {
            let line = format!("{} lines of the log were left out: nobody took them in time\n", count - said);
            _ = out.write_all(line.as_bytes());
            said = count;
        }
    }
}

/// A line that is being put together.
#[derive(Debug)]
pub struct Line {
    bytes: Vec<u8>,
    to: Lines,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.len() > LONGEST {
            bytes = cut(String::from_utf8_lossy(&bytes).into_owned()).into_bytes();
            bytes.push(b'\n');
        }
        self.to.put(Item::Line(bytes));
    }
}

/// At most [`LONGEST`] bytes of a text.
pub fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let mut end = LONGEST - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bytes: Vec::new(), to: self.clone() }
    }
}
