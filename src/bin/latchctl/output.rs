//! Standard output, as one who is asked may close it: a closed pipe ends us quietly, a full disk does not.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;

#[derive(Debug)]
pub struct Output {
    to: io::BufWriter<io::StdoutLock<'static>>,
}

impl Output {
    pub fn new() -> Self {
        Output { to: io::BufWriter::with_capacity(1 << 16, io::stdout().lock()) }
    }

    /// Text that brings its own line ends.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.to.write_all(text.as_bytes()).map_err(Failure::output)
    }

    /// One JSON document on a line of its own.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.part(value)?;
        self.text("\n")
    }

    fn part(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, value).map_err(|e| Failure::output(e.into()))
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(Failure::output)
    }
}

/// A JSON array written as its items come, so that a million grants need no memory. Left open when the answer breaks
/// off: half a list must not look like a whole one.
#[derive(Debug, Default)]
pub struct Array {
    begun: bool,
}

impl Array {
    pub fn item(&mut self, out: &mut Output, value: &impl Serialize) -> Result<(), Failure> {
        out.text(if self.begun { ",\n" } else { "[" })?;
        self.begun = true;
        out.part(value)
    }

    pub fn end(self, out: &mut Output) -> Result<(), Failure> {
        out.text(if self.begun { "]\n" } else { "[]\n" })
    }
}
