//! A TOML table that is read key by key, and remembers what nobody asked for.

use std::{cell::RefCell, collections::BTreeSet, ops::Range, path::PathBuf, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Problem;

/// A key the parser has asked for, whether it was there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// As in TOML: `doors[2].lock.coil`.
    pub key: String,
    pub kind: Kind,
    /// For people, as in errors.
    pub expected: String,
}

/// What is taken for a key, and what it is where it is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    Path { default: Option<String> },
    Flag { default: Option<bool> },
    Number { range: (u64, u64), default: Option<u64> },
    OneOf { values: Vec<serde_json::Value> },
    Texts,
    Table,
    Tables,
}

/// All mistakes of a file, gathered while it is read, and all that was looked for in it.
#[derive(Debug)]
pub struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<Problem>>,
    asked: RefCell<Vec<Asked>>,
    known: RefCell<BTreeSet<String>>,
}

impl<'t> Problems<'t> {
    pub fn new(text: &'t str) -> Self {
        Problems { text, found: RefCell::default(), asked: RefCell::default(), known: RefCell::default() }
    }

    /// What was asked for, in order, each key once.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// Every key that was so much as looked for.
    #[cfg(test)]
    pub fn known(&self) -> Vec<String> {
        self.known.borrow().iter().cloned().collect()
    }

    pub fn add(&self, span: &Range<usize>, key: impl Into<String>, message: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        self.found.borrow_mut().push(Problem {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            key: key.into(),
            message: message.into(),
        });
    }

    pub fn sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|p| (p.line, p.column));
        found
    }
}

/// A value together with where it stands.
#[derive(Debug, Clone)]
pub struct Found<T> {
    pub value: T,
    pub span: Range<usize>,
    pub key: String,
}

/// Where it stands makes no difference to what it says.
impl<T: PartialEq> PartialEq for Found<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// One table. Every key that exists must be asked for before `end`, which says the rest is unknown.
#[derive(Debug)]
pub struct Table<'a> {
    problems: &'a Problems<'a>,
    path: String,
    span: Range<usize>,
    content: Option<&'a DeTable<'a>>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Table<'a> {
    pub fn root(problems: &'a Problems<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Table {
            problems,
            path: String::new(),
            span: 0..0,
            content: Some(table.get_ref()),
            known: RefCell::default(),
        }
    }

    pub fn problem(&self, key: &str, span: &Range<usize>, message: impl Into<String>) {
        self.problems.add(span, self.key(key), message);
    }

    /// A mistake in a value that was found.
    pub fn add<T>(&self, found: &Found<T>, message: impl Into<String>) {
        self.problems.add(&found.span, found.key.clone(), message);
    }

    pub fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// A key below this table, as in TOML: `doors[2].lock.coil`.
    pub fn key(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().insert(key);
        self.problems.known.borrow_mut().insert(self.key(key));
        self.content?.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| v)
    }

    /// Says what is taken for a key. Who said it first is right: it knows more than whom it asks.
    pub fn ask(&self, key: &'static str, kind: Kind, expected: &str) {
        let key = self.key(key);
        let mut asked = self.problems.asked.borrow_mut();
        if asked.iter().all(|other| other.key != key) {
            asked.push(Asked { key, kind, expected: expected.to_owned() });
        }
    }

    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn missing(&self, key: &'static str, expected: &str) {
        if self.content.is_some() {
            self.problem(key, &self.span, format!("missing; expected {expected}"));
        }
    }

    /// Reads a value with `read`; a wrong one is a problem and counts as absent.
    pub fn optional<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> Option<Found<T>> {
        let value = self.get(key)?;
        let span = value.span();
        match read(value.get_ref()) {
            Some(value) => Some(Found { value, span, key: self.key(key) }),
            None => {
                self.problem(key, &span, format!("{} is not {expected}", shown(value.get_ref())));
                None
            }
        }
    }

    pub fn needed<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> Option<Found<T>> {
        if !self.has(key) {
            self.missing(key, expected);
        }
        self.optional(key, expected, read)
    }

    /// A text that `new` accepts; what it says otherwise is part of the problem.
    pub fn parsed<T, E: std::fmt::Display>(
        &self,
        key: &'static str,
        expected: &str,
        new: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Found<T>> {
        self.ask(key, Kind::Text, expected);
        let text = self.needed(key, expected, |v| v.as_str().map(str::to_owned))?;
        match new(&text.value) {
            Ok(value) => Some(Found { value, span: text.span, key: text.key }),
            Err(error) => {
                self.problem(key, &text.span, format!("{error}; expected {expected}"));
                None
            }
        }
    }

    pub fn text(&self, key: &'static str, expected: &str) -> Option<Found<String>> {
        self.ask(key, Kind::Text, expected);
        self.optional(key, expected, |v| v.as_str().map(str::to_owned))
    }

    pub fn path(&self, key: &'static str, default: &str) -> PathBuf {
        let said = Some(default.to_owned()).filter(|default| !default.is_empty());
        self.ask(key, Kind::Path { default: said }, "an absolute path");
        let found = self.text(key, "a path, as a text");
        if let Some(found) = found.as_ref().filter(|f| !f.value.starts_with('/')) {
            self.problem(key, &found.span, format!("{:?} is not an absolute path", found.value));
        }
        PathBuf::from(found.map_or_else(|| default.to_owned(), |f| f.value))
    }

    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        self.ask(key, Kind::Flag { default: Some(default) }, "true or false");
        self.optional(key, "true or false", DeValue::as_bool).map_or(default, |f| f.value)
    }

    /// Whether a key is there, and its value not what it should be.
    pub fn is_other(&self, key: &'static str, is: impl Fn(&DeValue<'a>) -> bool) -> bool {
        self.get(key).is_some_and(|value| !is(value.get_ref()))
    }

    /// A whole number within the range, both ends included.
    pub fn number(&self, key: &'static str, range: (u64, u64), unit: &str) -> Option<Found<u64>> {
        let expected = format!("{unit}, {} to {}", range.0, range.1);
        self.ask(key, Kind::Number { range, default: None }, &expected);
        self.optional(key, &expected, |v| integer(v).filter(|n| (range.0..=range.1).contains(n)))
    }

    pub fn number_or(&self, key: &'static str, range: (u64, u64), unit: &str, default: u64) -> u64 {
        let expected = format!("{unit}, {} to {}", range.0, range.1);
        self.ask(key, Kind::Number { range, default: Some(default) }, &expected);
        self.number(key, range, unit).map_or(default, |f| f.value)
    }

    pub fn seconds(&self, key: &'static str, range: (u64, u64), default: u64) -> Duration {
        Duration::from_secs(self.number_or(key, range, "a number of seconds", default))
    }

    /// A table below this one. One that is missing reads as empty.
    pub fn table(&self, key: &'static str) -> Table<'a> {
        self.ask(key, Kind::Table, "");
        let value = self.get(key);
        let content = value.and_then(|v| v.get_ref().as_table());
        if let Some(wrong) = value.filter(|_| content.is_none()) {
            self.problem(key, &wrong.span(), format!("{} is not a table", shown(wrong.get_ref())));
        }
        Table {
            problems: self.problems,
            path: self.key(key),
            span: value.map_or_else(|| self.span.clone(), Spanned::span),
            content,
            known: RefCell::default(),
        }
    }

    /// Like `table`, but missing is a problem.
    pub fn needed_table(&self, key: &'static str, expected: &str) -> Table<'a> {
        self.ask(key, Kind::Table, expected);
        if !self.has(key) {
            self.missing(key, expected);
        }
        self.table(key)
    }

    /// A list of tables: `[[doors]]`.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        self.ask(key, Kind::Tables, "");
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.problem(
                key,
                &value.span(),
                format!("{} is not a list of tables; write [[{key}]]", shown(value.get_ref())),
            );
            return Vec::new();
        };
        let table = |(n, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{n}]", self.key(key));
            let content = item.get_ref().as_table();
            if content.is_none() {
                self.problems.add(&item.span(), path.clone(), "is not a table");
            }
            Table { problems: self.problems, path, span: item.span(), content, known: RefCell::default() }
        };
        list.iter().enumerate().map(table).collect()
    }

    /// The ids in a list of tables, whatever else is in them.
    pub fn ids(&self, key: &'static str) -> Vec<&'a str> {
        let list = self.get(key).and_then(|v| v.get_ref().as_array());
        let id = |item: &'a Spanned<DeValue<'a>>| item.get_ref().as_table()?.get("id")?.get_ref().as_str();
        list.into_iter().flat_map(|list| list.iter()).filter_map(id).collect()
    }

    /// Where a key's value stands, or where the table does that lacks it.
    pub fn place(&self, key: &'static str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Texts in a list.
    pub fn texts(&self, key: &'static str) -> Vec<Found<String>> {
        let expected = "a list of texts";
        self.ask(key, Kind::Texts, expected);
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.problem(key, &value.span(), format!("{} is not {expected}", shown(value.get_ref())));
            return Vec::new();
        };
        list.iter()
            .filter_map(|item| match item.get_ref().as_str() {
                Some(text) => Some(Found { value: text.to_owned(), span: item.span(), key: self.key(key) }),
                None => {
                    self.problem(key, &item.span(), format!("{} is not a text", shown(item.get_ref())));
                    None
                }
            })
            .collect()
    }

    pub fn exists(&self) -> bool {
        self.content.is_some()
    }

    /// Says every key that nobody asked for. To be called when all known keys have been.
    pub fn end(&self) {
        let known = self.known.borrow();
        for (key, _) in self.content.into_iter().flat_map(DeTable::iter) {
            let name = key.get_ref().as_ref();
            if !known.contains(name) {
                let list: Vec<&str> = known.iter().copied().collect();
                self.problem(name, &key.span(), format!("unknown key; expected one of {}", list.join(", ")));
            }
        }
    }
}

/// TOML's integers in any base, if not negative.
fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value as a person would recognise it in the file.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        DeValue::Integer(n) => n.as_str().to_owned(),
        DeValue::Float(n) => n.as_str().to_owned(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
