//! Parameters: where they come from and the strict check of their names and values.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::super::wire::Refusal;
use super::Route;

pub(super) const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
pub(super) const MISSING: &str = "property is missing and it is not optional";

/// What a parameter may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    /// One of these words, parted by blanks.
    Word(&'static str),
}

/// One parameter of a route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    /// Its name; a closing `*` stands for any number, as in `net*`.
    name: &'static str,
    kind: Kind,
    required: bool,
}

pub(super) const fn text(name: &'static str) -> Param {
    Param {
        name,
        kind: Kind::Text,
        required: false,
    }
}

pub(super) const fn number(name: &'static str) -> Param {
    Param {
        name,
        kind: Kind::Number,
        required: false,
    }
}

pub(super) const fn flag(name: &'static str) -> Param {
    Param {
        name,
        kind: Kind::Flag,
        required: false,
    }
}

pub(super) const fn word(name: &'static str, words: &'static str) -> Param {
    Param {
        name,
        kind: Kind::Word(words),
        required: false,
    }
}

pub(super) const fn required(name: &'static str) -> Param {
    Param {
        name,
        kind: Kind::Text,
        required: true,
    }
}

/// The parameters that came with a request.
#[derive(Debug, Default)]
pub(in crate::proxmox::mock) struct Given(Vec<(String, String)>);

impl Given {
    /// The first value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// All names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Reads query and body; a query parameter goes before the same one of the body, `_dc` is ignored.
pub(in crate::proxmox::mock) fn read(head: &http::request::Parts, body: &[u8]) -> Result<Given, Refusal> {
    let mut given = pairs(head.uri.query().unwrap_or_default().as_bytes());
    let kind = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if let Some(boundary) = kind
        .split_once("boundary=")
        .map(|(_, boundary)| boundary.trim_matches('"'))
    {
        given.extend(parts(body, boundary));
    } else if kind.starts_with("application/json") && !body.is_empty() {
        let members: serde_json::Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Refusal::new(400, format!("unable to parse JSON: {error}")))?;
        given.extend(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name, plain(&value)?))),
        );
    } else {
        given.extend(pairs(body));
    }
    given.retain(|(name, _)| name != "_dc");
    Ok(Given(given))
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The parts of a multipart body; of a file its name.
fn parts(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let separator = format!("--{boundary}");
    let parts = text.split(&separator).filter_map(|part| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let quoted = |key: &str| head.split_once(&format!("; {key}=\""))?.1.split('"').next();
        let value = quoted("filename").unwrap_or_else(|| value.trim_end_matches("\r\n"));
        Some((quoted("name")?.to_owned(), value.to_owned()))
    });
    parts.collect()
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(plain).collect::<Vec<_>>().join(",")),
        Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    }
}

/// Refuses names that neither the route nor the description of the release knows, and values that do not fit.
pub(in crate::proxmox::mock) fn check(
    route: &Route,
    given: &Given,
    variables: &[(Cow<'static, str>, String)],
    described: impl Fn(&str, &str) -> Option<String>,
) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    for (name, value) in variables {
        if name == "vmid" && !value.parse::<u32>().is_ok_and(|vmid| vmid >= 100) {
            errors.push((
                name.to_string(),
                "invalid format - value does not look like a valid VM ID\n".to_owned(),
            ));
        }
    }
    for (name, value) in given.iter() {
        if variables.iter().any(|(own, fixed)| *own == name && fixed == value) {
            continue;
        }
        let known = route.params.iter().find(|param| fits(param.name, name));
        let own = known.and_then(|param| fault(param.kind, value));
        // What a route takes beyond its description is judged by the route alone.
        let described = || described(name, value).filter(|text| known.is_none() || text != UNKNOWN);
        let fault = own.or_else(described);
        errors.extend(fault.map(|text| (name.to_owned(), text)));
    }
    for param in route
        .params
        .iter()
        .filter(|param| param.required && given.get(param.name).is_none())
    {
        errors.push((param.name.to_owned(), MISSING.to_owned()));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Refusal::parameters(errors))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => name.strip_prefix(stem).is_some_and(|rest| rest.parse::<u16>().is_ok()),
        None => pattern == name,
    }
}

fn fault(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Text => None,
        Kind::Number if value.parse::<i64>().is_ok() => None,
        Kind::Number => Some(format!("type check ('integer') failed - got '{value}'")),
        Kind::Flag if matches!(value, "0" | "1") => None,
        Kind::Flag => Some(format!("type check ('boolean') failed - got '{value}'")),
        Kind::Word(words) if words.split(' ').any(|word| word == value) => None,
        Kind::Word(words) => Some(format!(
            "value '{value}' does not have a value in the enumeration '{}'",
            words.replace(' ', ", ")
        )),
    }
}
