//! Prometheus' text format, 0.0.4: each family once, with its HELP and TYPE before its samples.

use std::fmt::{Display, Write as _};

use super::{BUCKETS_MS, Histogram};

/// A page being written.
#[derive(Debug, Default)]
pub struct Page(String);

/// A family that is being written.
#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

/// Label names and their values.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// One that only grows while the daemon runs.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// In seconds.
    pub fn histogram(&mut self, name: &'static str, help: &'static str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let mut count = 0;
        let ends = BUCKETS_MS.iter().map(|ms| (*ms as f64 / 1000.0).to_string()).chain(["+Inf".into()]);
        for (end, bucket) in ends.zip(histogram.buckets) {
            count += bucket;
            self.line(name, "_bucket", &[("le", end.as_str())], count);
        }
        self.line(name, "_sum", &[], histogram.sum.as_secs_f64());
        self.line(name, "_count", &[], count);
    }

    pub fn text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // A String takes everything that is written to it.
        let _full = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: self, name }
    }

    fn line(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        for (n, (label, value)) in labels.iter().enumerate() {
            self.0.push(if n == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            value.chars().for_each(|c| self.escaped(c));
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _full = writeln!(self.0, " {value}");
    }

    fn escaped(&mut self, c: char) {
        match c {
            '\\' => self.0.push_str("\\\\"),
            '"' => self.0.push_str("\\\""),
            '\n' => self.0.push_str("\\n"),
            c => self.0.push(c),
        }
    }
}

impl Family<'_> {
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.page.line(self.name, "", labels, value);
        self
    }

    /// The family's only sample, without labels.
    pub fn is(&mut self, value: impl Display) {
        self.sample(&[], value);
    }

    /// The same, if it is known.
    pub fn is_known(&mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.is(value);
        }
    }

    /// A sample a state: 1 for the one that is, 0 for those that are not.
    pub fn states(
        &mut self,
        (label, id): (&'static str, &str),
        state: &'static str,
        all: impl Iterator<Item = &'static str>,
        is: &str,
    ) {
        for one in all {
            self.sample(&[(label, id), (state, one)], u8::from(one == is));
        }
    }
}
