//! What is logged when, the queue when nobody takes from it, and what an entry for systemd's journal holds.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::Context};

use super::{
    fields::{Entries, Fields},
    queue::{Item, LONGEST, cut},
    *,
};

const LIMIT: Duration = Duration::from_secs(10);

/// Each write goes to the test, which may leave the writer waiting.
struct Piped(Sender<String>, Receiver<()>);

impl Write for Piped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(String::from_utf8_lossy(bytes).into_owned()).ok();
        // Until the test allows it, or has gone.
        self.1.recv().ok();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(text: &str) -> Item {
    Item::Line(text.as_bytes().to_vec())
}

#[test]
fn who_does_not_read_the_log_costs_lines_and_holds_up_nobody() {
    let (written, seen) = channel();
    let (go, allowed) = channel();
    let queue = Queue::of(2, Piped(written, allowed)).unwrap();
    let lines = queue.sender();
    lines.put(line("first"));
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "first");
    // The thread waits in that write: two more have room, three have none.
    ["second", "third", "fourth", "fifth", "sixth"].into_iter().for_each(|text| lines.put(line(text)));
    assert_eq!(queue.dropped().count(), 3);
    (0..9).for_each(|_| go.send(()).unwrap());
    let said: Vec<String> = (0..3).map(|_| seen.recv_timeout(LIMIT).unwrap()).collect();
    assert_eq!(said, ["3 lines of the log were left out: nobody took them in time\n", "second", "third"]);
    lines.put(line("seventh"));
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "seventh", "what was left out is said once");
    drop(queue);
}

#[test]
fn the_end_waits_for_what_is_still_to_be_written_and_not_for_ever() {
    let (written, seen) = channel();
    let (go, allowed) = channel();
    (0..2).for_each(|_| go.send(()).unwrap());
    let queue = Queue::of(8, Piped(written, allowed)).unwrap();
    queue.sender().put(line("one"));
    queue.sender().put(line("two"));
    drop(queue);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["one", "two"]);
    let (written, _seen) = channel();
    let (_go, never) = channel();
    let hung = Queue::of(1, Piped(written, never)).unwrap();
    (0..3).for_each(|_| hung.sender().put(line("nobody reads this")));
    drop(hung);
}

#[test]
fn a_line_has_a_longest() {
    assert_eq!(cut("short".into()), "short");
    let long = cut("å".repeat(LONGEST));
    assert!(long.len() <= LONGEST && long.ends_with('…') && long.starts_with('å'), "{} bytes", long.len());
}

#[test]
fn a_filter_is_a_level_or_modules_with_levels_and_anything_else_is_said_to_be_wrong() {
    for good in ["info", "WARN", "off", "latchd=debug", "warn,latchd::drivers=trace", " info , rumqttc=off "]
    {
        assert!(read(good).is_ok(), "{good:?}");
    }
    for (bad, why) in [
        ("inof", "\"inof\" is no level"),
        ("", "it is empty"),
        (" , ", "it is empty"),
        ("latchd=loud", "level filter"),
        ("info,latchd", "\"latchd\" is no level"),
    ] {
        let said = read(bad).unwrap_err().to_string();
        assert!(said.contains(why) && said.contains("expected a level"), "{bad:?}: {said}");
    }
    let long = read(&format!("latchd={}", "x".repeat(LONGEST_FILTER))).unwrap_err().to_string();
    assert!(long.contains("longer than") && long.len() < 400, "{long}");
}

#[test]
fn levels_change_while_running_and_a_wrong_filter_changes_nothing() {
    let (layer, filter) = reload::Layer::new(read("warn").unwrap());
    let (written, seen) = channel();
    let _log = tracing::subscriber::set_default(Registry::default().with(layer).with(Seen(written)));
    let texts = Texts { first: "warn".into(), now: "warn".into() };
    let levels = Levels { filter, texts: Arc::new(Mutex::new(texts)), dropped: queue::Dropped::default() };
    let told = || {
        tracing::warn!("a warning");
        tracing::debug!("a detail");
        seen.try_iter().map(|fields: Vec<(String, String)>| fields[0].1.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(), ["a warning"]);
    levels.change("debug").unwrap();
    assert_eq!(told(), ["a warning", "a detail"]);
    assert!(levels.change("loud").is_err());
    assert_eq!((told().len(), levels.now(), levels.at_start()), (2, "debug".into(), "warn".into()));
    levels.change("error").unwrap();
    assert_eq!(told(), [""; 0]);
}

/// A layer that tells the test all fields of an event.
struct Seen(Sender<Vec<(String, String)>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct All(Vec<(String, String)>);
        impl Visit for All {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.push((field.name().into(), format!("{value:?}")));
            }
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.push((field.name().into(), value.into()));
            }
        }
        let mut all = All(Vec::new());
        event.record(&mut all);
        self.0.send(all.0).ok();
    }
}

#[test]
fn an_entry_of_the_journal_has_its_facts_as_fields_and_in_its_message() {
    let (written, seen) = channel();
    let queue = Queue::start(io::sink()).unwrap();
    let fields = Fields::new(Entries::of(Seen(written)), queue.sender());
    let _log = tracing::subscriber::set_default(Registry::default().with(fields));
    let (board, detail) = ("board-1", "no \"answer\"");
    tracing::warn!(%board, detail, count = 3, "board lost");
    let mut entry = seen.recv_timeout(LIMIT).unwrap();
    entry.sort();
    let expected = [
        ("board", "board-1"),
        ("count", "3"),
        ("detail", "no \"answer\""),
        ("message", "board lost board=board-1 detail=\"no \\\"answer\\\"\" count=3"),
    ];
    assert_eq!(entry, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn standard_error_is_the_journals_only_where_both_numbers_agree() {
    let file = Some((8, 4711));
    assert!(is_connected_to(Some("8:4711"), file));
    for other in [None, Some(""), Some("8"), Some("8:4712"), Some("9:4711"), Some("8:4711:1"), Some("a:b")] {
        assert!(!is_connected_to(other, file), "{other:?}");
    }
    assert!(!is_connected_to(Some("8:4711"), None) && !is_connected_to(None, None));
}
