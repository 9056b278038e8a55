//! Descriptions from elsewhere: the API viewer of a live host (`apidoc.js`), or an OpenAPI document made from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value};

use super::pattern::Pattern;
use super::schema::{Kind, Property, Schema};
use super::table::{Description, Operation, object};
use crate::proxmox::wire;

/// Where the tree begins in `apidoc.js`.
const TREE: &str = "apiSchema";
/// A default text longer than this is prose.
const LONGEST_DEFAULT: usize = 40;

/// How a schema tells which members may be absent.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// By `required`, a list beside the members.
    OpenApi,
    /// By `optional` in each member.
    Perl,
}

/// Why a text is no description.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is neither JSON nor `apidoc.js`.
    #[error("the text is no API description")]
    Unreadable(#[source] serde_json::Error),
    /// It holds JSON of another kind.
    #[error("the text holds no API description: neither a tree of paths nor `paths`")]
    Unknown,
    /// A number points nowhere.
    #[error("the description is damaged: schema {0} is used before it is defined")]
    Dangling(usize),
    /// There is nothing in it.
    #[error("the description holds no operations")]
    Empty,
}

impl Description {
    /// Reads `text` in any form: a file of ours, `apidoc.js` of a live host, or an OpenAPI document. `release` names it
    /// where the text does not.
    ///
    /// # Errors
    ///
    /// [`ImportError`] where the text is something else.
    pub fn parse(text: &str, release: &str) -> Result<Self, ImportError> {
        let description = match tree_text(text) {
            Some(tree) => from_tree(&first_value(tree)?, release),
            None if text.trim_start().starts_with('[') => from_tree(&first_value(text)?, release),
            None => from_document(text, release)?,
        };
        if description.is_empty() {
            return Err(ImportError::Empty);
        }
        Ok(description)
    }
}

/// The text from the tree on, where `text` is a script.
fn tree_text(text: &str) -> Option<&str> {
    let after = text.split_once(TREE)?.1;
    let tree = after.trim_start().strip_prefix('=')?.trim_start();
    tree.starts_with('[').then_some(tree)
}

/// The first JSON value in `text`; a script goes on behind it.
fn first_value(text: &str) -> Result<Value, ImportError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    values
        .next()
        .unwrap_or(Ok(Value::Null))
        .map_err(ImportError::Unreadable)
}

fn from_document(text: &str, release: &str) -> Result<Description, ImportError> {
    let document: Value = serde_json::from_str(text).map_err(ImportError::Unreadable)?;
    if document.get("schemas").is_some() {
        return Description::parse_compact(text);
    }
    let paths = document
        .get("paths")
        .and_then(Value::as_object)
        .ok_or(ImportError::Unknown)?;
    let told = document.pointer("/info/version").and_then(Value::as_str);
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (word, operation) in item.as_object().into_iter().flatten() {
            operations.extend(method(word).map(|method| from_openapi(method, path, operation)));
        }
    }
    Ok(Description::new(told.unwrap_or(release).to_owned(), operations))
}

fn method(word: &str) -> Option<Method> {
    match word.to_ascii_uppercase().as_str() {
        "GET" => Some(Method::GET),
        "POST" => Some(Method::POST),
        "PUT" => Some(Method::PUT),
        "DELETE" => Some(Method::DELETE),
        _ => None,
    }
}

fn from_openapi(method: Method, path: &str, operation: &Value) -> Operation {
    let mut properties = Vec::new();
    for parameter in operation
        .get("parameters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let is_required = flag(parameter.get("required"));
        properties.push(property(Dialect::OpenApi, name, parameter.get("schema"), is_required));
    }
    let body = operation.pointer("/requestBody/content").and_then(Value::as_object);
    let body = body.and_then(|content| content.values().next()?.get("schema"));
    properties.extend(
        body.into_iter()
            .flat_map(|body| schema(Dialect::OpenApi, body).properties),
    );
    let answer = operation.pointer("/responses/200/content/application~1json/schema");
    Operation {
        method,
        path: path.to_owned(),
        parameters: Arc::new(object(properties)),
        returns: Arc::new(
            answer
                .map(|answer| schema(Dialect::OpenApi, answer))
                .unwrap_or_default(),
        ),
    }
}

fn from_tree(tree: &Value, release: &str) -> Description {
    let told = |value| schema(Dialect::Perl, value);
    let mut operations = Vec::new();
    let mut nodes: Vec<&Value> = tree.as_array().into_iter().flatten().collect();
    while let Some(node) = nodes.pop() {
        nodes.extend(node.get("children").and_then(Value::as_array).into_iter().flatten());
        let path = node.get("path").and_then(Value::as_str).unwrap_or_default();
        for (word, info) in node.get("info").and_then(Value::as_object).into_iter().flatten() {
            let Some(method) = method(word) else { continue };
            let parameters = info.get("parameters").map(told).unwrap_or_default();
            operations.push(Operation {
                method,
                path: path.to_owned(),
                parameters: Arc::new(object(parameters.properties)),
                returns: Arc::new(info.get("returns").map(told).unwrap_or_default()),
            });
        }
    }
    Description::new(release.to_owned(), operations)
}

/// A property; what fits one of several forms is optional in some of them, so it is never required.
fn property(dialect: Dialect, name: &str, value: Option<&Value>, is_required: bool) -> Property {
    let schema = value.map(|value| schema(dialect, value)).unwrap_or_default();
    Property {
        name: name.into(),
        is_required: is_required && schema.one_of.is_empty(),
        schema: Arc::new(schema),
    }
}

fn schema(dialect: Dialect, value: &Value) -> Schema {
    let part = |value| schema(dialect, value);
    let number = |key| value.get(key).and_then(|value| wire::number_of(value).ok().flatten());
    let length = |key| value.get(key).and_then(|value| wire::number_of(value).ok().flatten());
    let text = |key| value.get(key).and_then(Value::as_str);
    let keys = value.get("x-pve-property-string").or_else(|| value.get("format"));
    let words = value.get("enum").and_then(Value::as_array).into_iter().flatten();
    let mut schema = Schema {
        kind: kind(value),
        format: text("format").map(Into::into),
        pattern: text("pattern").map(Pattern::new),
        words: words
            .filter_map(|word| Some(wire::text_of(word).ok()??.into()))
            .collect(),
        minimum: number("minimum"),
        maximum: number("maximum"),
        min_length: length("minLength"),
        max_length: length("maxLength"),
        default: None,
        items: value.get("items").map(part).map(Arc::new),
        properties: value
            .get("properties")
            .map(|members| properties(dialect, members, value))
            .unwrap_or_default(),
        one_of: list(value, "oneOf").map(part).map(Arc::new).collect(),
        keys: keys
            .and_then(Value::as_object)
            .map(|keys| Arc::new(property_string(keys))),
        ..Schema::default()
    };
    schema.default = value
        .get("default")
        .and_then(|default| usable_default(&schema, default));
    schema
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The kind as told, or as the other members show it.
fn kind(value: &Value) -> Kind {
    let shown = [
        ("properties", Kind::Object),
        ("items", Kind::List),
        ("enum", Kind::Text),
    ];
    let told = value.get("type").and_then(Value::as_str).map(Kind::of_word);
    told.or_else(|| {
        shown
            .iter()
            .find(|(key, _)| value.get(key).is_some())
            .map(|(_, kind)| *kind)
    })
    .unwrap_or_default()
}

fn properties(dialect: Dialect, members: &Value, parent: &Value) -> Vec<Property> {
    let is_required = |name: &str, member: &Value| match dialect {
        Dialect::OpenApi => list(parent, "required").any(|required| required == name),
        Dialect::Perl => !flag(member.get("optional")),
    };
    let members = members.as_object().into_iter().flatten();
    let properties = members.map(|(name, member)| property(dialect, name, Some(member), is_required(name, member)));
    object(properties.collect()).properties
}

/// The keys of a property string.
fn property_string(keys: &Map<String, Value>) -> Schema {
    let mut aliases = BTreeMap::new();
    let mut bare_key = None;
    let mut properties = Vec::new();
    for (name, key) in keys {
        if let Some(target) = key.get("alias").and_then(Value::as_str) {
            aliases.insert(name.as_str().into(), target.into());
            continue;
        }
        if flag(key.get("default_key")) {
            bare_key = Some(name.as_str().into());
        }
        properties.push(property(Dialect::Perl, name, Some(key), !flag(key.get("optional"))));
    }
    Schema {
        bare_key,
        aliases,
        ..object(properties)
    }
}

/// A default that is a value; many are prose.
fn usable_default(schema: &Schema, default: &Value) -> Option<Value> {
    match schema.kind {
        Kind::Boolean => wire::flag_of(default).ok().flatten().map(|flag| u8::from(flag).into()),
        Kind::Integer => wire::number_of::<i64>(default).ok().flatten().map(Value::from),
        Kind::Number => wire::number_of::<f64>(default).ok().flatten().map(Value::from),
        Kind::Text => {
            let text = wire::text_of(default).ok().flatten()?;
            let is_word = schema.words.is_empty() || schema.words.iter().any(|word| **word == *text);
            (is_word && text.len() <= LONGEST_DEFAULT && !text.contains(' ')).then(|| text.into())
        }
        Kind::Any | Kind::Null | Kind::List | Kind::Object => None,
    }
}

fn flag(value: Option<&Value>) -> bool {
    value
        .and_then(|value| wire::flag_of(value).ok().flatten())
        .unwrap_or(false)
}
