//! Our own files: each distinct schema once, in an order in which parts come before what they are part of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::import::ImportError;
use super::pattern::Pattern;
use super::schema::{Kind, Property, Schema};
use super::table::{Description, Operation};

#[derive(Deserialize)]
struct File {
    release: String,
    schemas: Vec<Row>,
    /// Path → method → numbers of the parameters and of the answer.
    paths: BTreeMap<String, BTreeMap<String, (usize, usize)>>,
}

/// A schema; its parts are numbers of earlier rows.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    r#enum: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    required: BTreeMap<Box<str>, usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    optional: BTreeMap<Box<str>, usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    one_of: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bare_key: Option<Box<str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<Box<str>, Box<str>>,
}

impl Description {
    /// Reads a file of ours.
    pub(super) fn parse_compact(text: &str) -> Result<Self, ImportError> {
        let file: File = serde_json::from_str(text).map_err(ImportError::Unreadable)?;
        let mut schemas: Vec<Arc<Schema>> = Vec::with_capacity(file.schemas.len());
        for row in file.schemas {
            let schema = row.into_schema(&schemas)?;
            schemas.push(Arc::new(schema));
        }
        let mut operations = Vec::new();
        for (path, methods) in file.paths {
            for (word, (parameters, returns)) in methods {
                operations.push(Operation {
                    method: Method::from_bytes(word.as_bytes()).map_err(|_| ImportError::Unknown)?,
                    path: path.clone(),
                    parameters: part(&schemas, parameters)?,
                    returns: part(&schemas, returns)?,
                });
            }
        }
        Ok(Self::new(file.release, operations))
    }

    /// The text of a file of ours, one schema and one path in each line.
    pub fn to_compact(&self) -> String {
        let mut rows = Rows::default();
        let mut paths = Vec::new();
        for place in self.places() {
            let methods = place.operations().map(|operation| {
                let numbers = [rows.number(&operation.parameters), rows.number(&operation.returns)];
                (operation.method.as_str(), numbers)
            });
            let methods: BTreeMap<_, _> = methods.collect();
            paths.push(format!("{}:{}", json(place.path()), json(&methods)));
        }
        let schemas = rows.texts.join(",\n");
        let paths = paths.join(",\n");
        let release = json(self.release());
        format!("{{\"release\":{release},\n\"schemas\":[\n{schemas}\n],\n\"paths\":{{\n{paths}\n}}}}\n")
    }
}

/// `value` as JSON; what is written here is plain data.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn part(schemas: &[Arc<Schema>], number: usize) -> Result<Arc<Schema>, ImportError> {
    schemas.get(number).cloned().ok_or(ImportError::Dangling(number))
}

/// The rows written so far; equal ones once.
#[derive(Default)]
struct Rows {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Rows {
    fn number(&mut self, schema: &Schema) -> usize {
        let row = self.row(schema);
        let text = json(&row);
        let next = self.texts.len();
        let number = *self.numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        number
    }

    fn row(&mut self, schema: &Schema) -> Row {
        let mut row = Row {
            r#type: schema.kind.word().map(str::to_owned),
            format: schema.format.clone(),
            pattern: schema.pattern.as_ref().map(|pattern| pattern.source().to_owned()),
            r#enum: schema.words.clone(),
            minimum: schema.minimum.and_then(number),
            maximum: schema.maximum.and_then(number),
            min_length: schema.min_length,
            max_length: schema.max_length,
            default: schema.default.clone(),
            items: schema.items.as_ref().map(|items| self.number(items)),
            one_of: schema.one_of.iter().map(|one| self.number(one)).collect(),
            keys: schema.keys.as_ref().map(|keys| self.number(keys)),
            bare_key: schema.bare_key.clone(),
            aliases: schema.aliases.clone(),
            ..Row::default()
        };
        for property in &schema.properties {
            let number = self.number(&property.schema);
            let members = if property.is_required {
                &mut row.required
            } else {
                &mut row.optional
            };
            members.insert(property.name.clone(), number);
        }
        row
    }
}

/// `value` without a fraction where it has none.
fn number(value: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "compared with the original right away")]
    let whole = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "equal only where nothing is lost")]
    let is_whole = (whole as f64).total_cmp(&value).is_eq();
    if is_whole {
        Some(whole.into())
    } else {
        Number::from_f64(value)
    }
}

impl Row {
    fn into_schema(self, earlier: &[Arc<Schema>]) -> Result<Schema, ImportError> {
        let mut properties = Vec::with_capacity(self.required.len() + self.optional.len());
        for (members, is_required) in [(self.required, true), (self.optional, false)] {
            for (name, number) in members {
                let schema = part(earlier, number)?;
                properties.push(Property {
                    name,
                    schema,
                    is_required,
                });
            }
        }
        properties.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Schema {
            kind: self.r#type.as_deref().map(Kind::of_word).unwrap_or_default(),
            format: self.format,
            pattern: self.pattern.as_deref().map(Pattern::new),
            words: self.r#enum,
            minimum: self.minimum.and_then(|number| number.as_f64()),
            maximum: self.maximum.and_then(|number| number.as_f64()),
            min_length: self.min_length,
            max_length: self.max_length,
            default: self.default,
            items: self.items.map(|number| part(earlier, number)).transpose()?,
            properties,
            one_of: self
                .one_of
                .into_iter()
                .map(|number| part(earlier, number))
                .collect::<Result<_, _>>()?,
            keys: self.keys.map(|number| part(earlier, number)).transpose()?,
            bare_key: self.bare_key,
            aliases: self.aliases,
        })
    }
}
