//! Rows of Proxmox in the keys and forms that this service promises.

use serde_json::{Map, Value};

use crate::http::targets::complete;
use crate::proxmox::{Error, Property, Resource, wire};

/// A row as Proxmox sends it, or as we answer it.
pub(super) type Row = Map<String, Value>;

/// What a key holds.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Whole,
    Share,
    /// Yes, no, or not said.
    Flag,
    /// Yes, or else no.
    Switch,
    /// A property string as an object.
    Options,
}

/// A key that every row of a kind has; null where Proxmox sent nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    form: Form,
    /// What Proxmox calls it, best first; empty where it has the same name.
    theirs: &'static [&'static str],
}

/// A text.
pub(super) const fn text(name: &'static str) -> Field {
    Field::new(name, Form::Text)
}

/// A whole number.
pub(super) const fn whole(name: &'static str) -> Field {
    Field::new(name, Form::Whole)
}

/// A number with a fraction.
pub(super) const fn share(name: &'static str) -> Field {
    Field::new(name, Form::Share)
}

/// Yes, no, or not said.
pub(super) const fn flag(name: &'static str) -> Field {
    Field::new(name, Form::Flag)
}

/// Yes, or else no: Proxmox leaves the key out for no.
pub(super) const fn switch(name: &'static str) -> Field {
    Field::new(name, Form::Switch)
}

/// A property string as an object.
pub(super) const fn pairs(name: &'static str) -> Field {
    Field::new(name, Form::Options)
}

impl Field {
    const fn new(name: &'static str, form: Form) -> Self {
        Self {
            name,
            form,
            theirs: &[],
        }
    }

    /// The same field, under other names in Proxmox.
    pub(super) const fn from(mut self, theirs: &'static [&'static str]) -> Self {
        self.theirs = theirs;
        self
    }

    fn is_read_from(&self, key: &str) -> bool {
        self.name == key || self.theirs.contains(&key)
    }

    fn read(&self, row: &Row) -> Value {
        let own = [self.name];
        let keys = if self.theirs.is_empty() { &own } else { self.theirs };
        let sent = keys.iter().filter_map(|key| row.get(*key));
        let value = sent.into_iter().find(|value| !value.is_null()).unwrap_or(&Value::Null);
        let read = match self.form {
            Form::Text => wire::text_of(value).map(Value::from),
            Form::Whole => wire::number_of::<i64>(value).map(Value::from),
            Form::Share => wire::number_of::<f64>(value).map(Value::from),
            Form::Flag => wire::flag_of(value).map(Value::from),
            Form::Switch => wire::flag_of(value).map(|flag| Value::from(flag.unwrap_or_default())),
            Form::Options => return options_of(value),
        };
        // A form that Proxmox never sends there is passed on, unless a reader would take it for a list of rows.
        read.unwrap_or_else(|_| scalar(value))
    }
}

fn options_of(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let pairs = Property::parse(text);
            let pairs = pairs.pairs().map(|(key, value)| (key.to_owned(), Value::from(value)));
            Value::Object(pairs.collect())
        }
        Value::Null => Value::Object(Row::new()),
        Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// `value`, or null in place of a list or an object.
pub(super) fn scalar(value: &Value) -> Value {
    if value.is_array() || value.is_object() {
        Value::Null
    } else {
        value.clone()
    }
}

/// `fields` of `row`, in their order.
pub(super) fn shaped(row: &Row, fields: &[Field]) -> Row {
    let pair = |field: &Field| (field.name.to_owned(), field.read(row));
    fields.iter().map(pair).collect()
}

/// What `row` holds beside `fields`.
pub(super) fn further<'a>(row: &'a Row, fields: &[Field]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    row.iter()
        .filter(|(key, value)| !value.is_null() && !fields.iter().any(|field| field.is_read_from(key)))
}

/// `row` below the name of its cluster.
pub(super) fn of_cluster(cluster: &str, row: Row) -> Row {
    let name = ("cluster_name".to_owned(), Value::from(cluster));
    std::iter::once(name).chain(row).collect()
}

/// `row` with the marks of a row that could be read.
pub(super) fn good(mut row: Row) -> Value {
    row.insert("status".to_owned(), Value::from("ok"));
    row.insert("error".to_owned(), Value::Null);
    Value::Object(row)
}

/// The row that stands for a cluster that could not be read: every field null.
pub(super) fn failed(cluster: &str, fields: &[Field], error: &str) -> Value {
    let empty = fields.iter().map(|field| (field.name.to_owned(), Value::Null));
    let mut row = of_cluster(cluster, empty.collect());
    row.insert("status".to_owned(), Value::from("error"));
    row.insert("error".to_owned(), Value::from(error));
    Value::Object(row)
}

/// A list of which no row may be missing.
pub(super) async fn rows(place: Resource) -> Result<Vec<Row>, Error> {
    complete(place.plain_path().unwrap_or_default(), place.get_rows().await?)
}

/// No rows where the release does not offer the call.
pub(super) fn none_where_absent<T>(read: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    match read {
        Err(Error::NotImplemented { .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// Nothing where the object is not there, or the release does not offer the call.
pub(super) fn nothing_where_absent<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotImplemented { .. } | Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
