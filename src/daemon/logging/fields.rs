//! Entries for systemd's journal: each fact a field of its own, and all of them in the message too.
//!
//! `journalctl -u latchd` shows messages alone, and a technician who reads "board lost" there must see which and why;
//! with `LATCHD_BOARD=board-1` it finds what is about that board. The journal is spoken to on the log's own thread,
//! so what was logged is copied here first.

use std::{fmt, fmt::Write as _, sync::Arc};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Value, Visit},
};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt as _};

use super::queue::{Item, Lines, cut};

/// `tracing` allows so many fields.
const MOST_FIELDS: usize = 32;
const MESSAGE: &str = "message";

/// Where entries go: a journal. No `Dispatch`, which would have a say in what is logged at all.
#[derive(Clone)]
pub struct Entries(Arc<dyn Subscriber + Send + Sync>);

/// What was logged, copied.
#[derive(Debug)]
pub struct Entry {
    metadata: &'static Metadata<'static>,
    fields: Vec<(Field, String)>,
}

/// Copies events, and puts them in the queue.
#[derive(Debug)]
pub struct Fields {
    to: Entries,
    queue: Lines,
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entries")
    }
}

impl Entries {
    pub fn of(layer: impl Layer<Registry> + Send + Sync + 'static) -> Self {
        Entries(Arc::new(Registry::default().with(layer)))
    }

    pub fn write(&self, entry: &Entry) {
        let values = entry.fields.iter().map(|(field, value)| (field, Some(value as &dyn Value)));
        let mut values = values.take(MOST_FIELDS);
        let Some(first) = values.next() else { return };
        // The shape that `tracing` takes; what is not there is `None` of a field that is.
        let mut all = [(first.0, None); MOST_FIELDS];
        for (place, value) in all.iter_mut().zip(std::iter::once(first).chain(values)) {
            *place = value;
        }
        let values = entry.metadata.fields().value_set(&all);
        self.0.event(&Event::new(entry.metadata, &values));
    }
}

impl Entry {
    fn of(event: &Event<'_>) -> Entry {
        let mut copied = Copied::default();
        event.record(&mut copied);
        let Copied { mut message, shown, mut fields } = copied;
        message.push_str(&shown);
        fields.extend(event.metadata().fields().field(MESSAGE).map(|field| (field, cut(message))));
        Entry { metadata: event.metadata(), fields }
    }
}

impl<S: Subscriber> Layer<S> for Fields {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.queue.put(Item::Entry(self.to.clone(), Entry::of(event)));
    }
}

impl Fields {
    pub fn new(to: Entries, queue: Lines) -> Self {
        Fields { to, queue }
    }
}

/// An event's fields, as they are read.
#[derive(Debug, Default)]
struct Copied {
    message: String,
    /// All but the message, as plain lines show them.
    shown: String,
    fields: Vec<(Field, String)>,
}

impl Copied {
    fn keep(&mut self, field: &Field, value: String, shown: fmt::Arguments<'_>) {
        if field.name() == MESSAGE {
            self.message = value;
            return;
        }
        _ = write!(self.shown, " {}={shown}", field.name());
        self.fields.push((field.clone(), cut(value)));
    }
}

impl Visit for Copied {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned(), format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"), format_args!("{value:?}"));
    }
}
