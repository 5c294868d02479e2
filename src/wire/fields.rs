//! Reading a JSON object field by field, with errors that name the field and what was expected.

use serde_json::{Map, Value};

use crate::domain::{At, IdError};

/// Why a message or record was refused. Never holds a value that could be a UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{field}` is not {expected}")]
    Wrong { field: &'static str, expected: &'static str },
    #[error("`{field}`: {error}")]
    Id { field: &'static str, error: IdError },
    #[error("`{field}` = {value:?} is not one of {expected}")]
    Unknown { field: &'static str, value: String, expected: &'static str },
    #[error("{0}")]
    Rule(&'static str),
}

/// An object, and typed ways to its fields. `null` counts as left out.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(&'a Map<String, Value>);

type Read<T> = Result<T, FieldError>;

impl<'a> Fields<'a> {
    pub fn of(value: &'a Value, what: &'static str) -> Read<Self> {
        value.as_object().map(Fields).ok_or(FieldError::Wrong { field: what, expected: "an object" })
    }

    pub fn get(&self, field: &'static str) -> Option<&'a Value> {
        self.0.get(field).filter(|v| !v.is_null())
    }

    pub fn need(&self, field: &'static str) -> Read<&'a Value> {
        self.get(field).ok_or(FieldError::Missing(field))
    }

    pub fn text(&self, field: &'static str) -> Read<&'a str> {
        self.need(field)?.as_str().ok_or(FieldError::Wrong { field, expected: "a text" })
    }

    pub fn optional_text(&self, field: &'static str) -> Read<Option<&'a str>> {
        self.optional(field, "a text", Value::as_str)
    }

    pub fn id<T>(&self, field: &'static str, new: fn(&str) -> Result<T, IdError>) -> Read<T> {
        new(self.text(field)?).map_err(|error| FieldError::Id { field, error })
    }

    pub fn optional_id<T>(
        &self,
        field: &'static str,
        new: fn(&str) -> Result<T, IdError>,
    ) -> Read<Option<T>> {
        if self.get(field).is_some() { self.id(field, new).map(Some) } else { Ok(None) }
    }

    pub fn ids<T>(&self, field: &'static str, new: fn(&str) -> Result<T, IdError>) -> Read<Vec<T>> {
        let wrong = || FieldError::Wrong { field, expected: "a list of ids" };
        self.list(field)?
            .unwrap_or_default()
            .iter()
            .map(|v| {
                let text = v.as_str().ok_or_else(wrong)?;
                new(text).map_err(|error| FieldError::Id { field, error })
            })
            .collect()
    }

    pub fn list(&self, field: &'static str) -> Read<Option<&'a [Value]>> {
        self.optional(field, "a list", |v| v.as_array().map(Vec::as_slice))
    }

    pub fn at(&self, field: &'static str) -> Read<Option<At>> {
        let expected = "an instant: RFC 3339 in UTC, such as 2026-11-23T09:00:00Z";
        self.optional(field, expected, |v| v.as_str().and_then(|t| At::parse(t).ok()))
    }

    pub fn number(&self, field: &'static str) -> Read<u64> {
        self.need(field)?.as_u64().ok_or(FieldError::Wrong { field, expected: "a whole number, 0 or more" })
    }

    pub fn optional_number(
        &self,
        field: &'static str,
        least: u64,
        most: u64,
        expected: &'static str,
    ) -> Read<Option<u64>> {
        self.optional(field, expected, |v| v.as_u64().filter(|n| (least..=most).contains(n)))
    }

    pub fn flag(&self, field: &'static str) -> Read<bool> {
        Ok(self.optional(field, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    pub fn has(&self, field: &'static str) -> bool {
        self.get(field).is_some()
    }

    fn optional<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Read<Option<T>> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(FieldError::Wrong { field, expected }),
        }
    }
}
