//! What a request asks: the path taken apart, the target apart from the parameters, and the parameters checked.

use std::fmt;

use axum::body::{Body, Bytes};
use axum::extract::FromRequest as _;
use axum::http::request::{Parts, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::target::Selection;
use super::upload::{self, File};
use super::{PREFIX, invalid};
use crate::http::ApiError;
use crate::proxmox::Param;
use crate::proxmox::description::{Operation, Reading};

/// Names that select the target. A parameter of Proxmox with one of them goes by `op_` before it.
pub(super) const RESERVED: &[&str] = &[
    "source",
    "target_name",
    "target_domain",
    "target_ip_address",
    "endpoint_id",
];
/// Where files go.
const UPLOADS: &[&str] = &["/nodes/{node}/storage/{storage}/upload"];
/// Where a parameter is given, its name and its value.
type Given = (&'static str, (String, String));

/// The header that names who asks.
pub(super) const ACTOR: &str = "X-Proxbox-Actor";
const LONGEST_ACTOR: usize = 255;

/// A request, taken apart.
pub(super) struct Asked {
    /// The parts of the path below [`PREFIX`].
    pub(super) segments: Vec<String>,
    /// Which endpoint is meant.
    pub(super) selection: Selection,
    query: Vec<(String, String)>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Asked")
            .field("segments", &self.segments)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

/// What is to be sent, checked.
#[derive(Debug)]
pub(super) struct Call {
    /// The parts of the path.
    pub(super) segments: Vec<String>,
    /// The parameters beside the path.
    pub(super) parameters: Vec<(String, Param)>,
    /// Those of them that can be written down, as given; of the others the names.
    pub(super) told: Map<String, Value>,
    /// Who wants it.
    pub(super) actor: Option<String>,
    /// A file that goes along.
    pub(super) file: Option<File>,
}

impl Asked {
    /// Takes a request apart.
    ///
    /// # Errors
    ///
    /// 400 for a path that could lead elsewhere, 422 for an unusable selection.
    pub(super) fn of(head: &Parts) -> Result<Self, ApiError> {
        let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let segments = path.split('/').map(segment).collect::<Result<_, _>>()?;
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let query: Vec<_> = url::form_urlencoded::parse(query).into_owned().collect();
        let (selecting, query) = query
            .into_iter()
            .partition(|(name, _)| RESERVED.contains(&name.as_str()));
        Ok(Self {
            segments,
            selection: Selection::parse(selecting)?,
            query,
        })
    }

    /// Reads the body and checks everything that `operation` is given.
    ///
    /// # Errors
    ///
    /// 422 naming each parameter that does not fit, or for a content type that is not read; 413 for a body that is too large.
    pub(super) async fn read(&self, operation: &Operation, head: &Parts, body: Body) -> Result<Call, ApiError> {
        let variables = variables(operation, &self.segments);
        let mut given: Vec<Given> = variables.into_iter().map(|pair| ("path", pair)).collect();
        let query = self
            .query
            .iter()
            .map(|(name, value)| (original(operation, name).to_owned(), value.clone()));
        given.extend(query.map(|pair| ("query", pair)));
        let (fields, file) = if is_upload(operation, &head.headers) {
            let (fields, file) = upload::read(&head.headers, body).await?;
            (fields, Some(file))
        } else {
            (pairs(&head.headers, body).await?, None)
        };
        given.extend(fields.into_iter().map(|pair| ("body", pair)));
        let place = |name: &str| given.iter().find(|(_, (own, _))| own == name).map(|(place, _)| *place);
        let pairs: Vec<_> = given.iter().map(|(_, pair)| pair.clone()).collect();
        let (parameters, misfits) = match operation.read(&pairs, Reading::Lenient) {
            Ok(parameters) => (parameters, Vec::new()),
            Err(misfits) => (Vec::new(), misfits),
        };
        let rest = if has_body(operation) { "body" } else { "query" };
        let mut problems: Vec<_> = misfits
            .into_iter()
            .map(|misfit| {
                let place = place(&misfit.parameter).unwrap_or(rest);
                (place, misfit.parameter, misfit.problem.to_string())
            })
            .collect();
        problems.extend(misplaced(&given, file.is_some()));
        if !problems.is_empty() {
            return Err(invalid(problems.into_iter()));
        }
        Ok(Call {
            segments: self.segments.clone(),
            told: told(operation, &pairs),
            parameters,
            actor: actor(&head.headers),
            file,
        })
    }
}

/// One part of the path. Parts that could lead out of their place are refused whatever Proxmox would make of them.
fn segment(text: &str) -> Result<String, ApiError> {
    let refused = || {
        let detail = "A path value must be UTF-8 without control characters, must not contain '..', nor begin with a slash or backslash.";
        ApiError::message(StatusCode::BAD_REQUEST, "Invalid Proxmox path", detail)
    };
    let segment = percent_decode_str(text).decode_utf8().map_err(|_| refused())?;
    if segment.contains("..") || segment.starts_with(['/', '\\']) || segment.contains(char::is_control) {
        return Err(refused());
    }
    Ok(segment.into_owned())
}

/// The placeholders of the path and what stands for them; the last one takes what is left.
fn variables(operation: &Operation, segments: &[String]) -> Vec<(String, String)> {
    let template: Vec<&str> = operation.path.split('/').skip(1).collect();
    let last = template.len().saturating_sub(1);
    let named = template.iter().enumerate().filter_map(|(index, part)| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let value = if index == last {
            segments.get(index..)?.join("/")
        } else {
            segments.get(index)?.clone()
        };
        Some((name.to_owned(), value))
    });
    named.collect()
}

/// Whether parameters of `operation` go in the body.
pub(super) fn has_body(operation: &Operation) -> bool {
    matches!(operation.method, Method::POST | Method::PUT)
}

/// What is given where it cannot be meant: beside the path with another value than in it, and beside an upload's form.
fn misplaced(given: &[Given], is_upload: bool) -> impl Iterator<Item = (&'static str, String, String)> {
    let in_path = |name: &str| given.iter().find(|(place, (own, _))| *place == "path" && own == name);
    let beside = given.iter().filter(|(place, _)| *place != "path");
    beside.filter_map(move |(place, (name, value))| {
        let problem = match in_path(name) {
            Some((_, (_, own))) if own == value => return None,
            Some(_) => "must be as in the path",
            None if is_upload && *place == "query" => "must be a part of the form, beside the file",
            None => return None,
        };
        Some((*place, name.clone(), problem.to_owned()))
    })
}

/// The name by which Proxmox knows a parameter of the query.
fn original<'a>(operation: &Operation, name: &'a str) -> &'a str {
    match name.strip_prefix("op_") {
        Some(plain) if RESERVED.contains(&plain) && operation.parameters.find_property(plain).is_some() => plain,
        _ => name,
    }
}

/// The parameters in a body: a form, or a JSON object.
async fn pairs(headers: &HeaderMap, body: Body) -> Result<Vec<(String, String)>, ApiError> {
    let request = Request::new(body);
    let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
        let status = rejection.status();
        ApiError::plain(status, status.canonical_reason().unwrap_or_default()).because(&rejection)
    })?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    match media_type(headers) {
        "application/x-www-form-urlencoded" => Ok(url::form_urlencoded::parse(&bytes).into_owned().collect()),
        kind if kind == "application/json" || kind.ends_with("+json") => members(&bytes),
        _ => Err(ApiError::invalid(
            &["body"],
            "Must be sent as `application/json` or `application/x-www-form-urlencoded`.",
        )),
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The members of a JSON object as Proxmox reads them: flags as 0 and 1, lists by repetition, `null` as not given.
fn members(bytes: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let members: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|_| ApiError::invalid(&["body"], "Must be a JSON object."))?;
    let mut pairs = Vec::new();
    for (name, value) in members {
        let values = match value {
            Value::Array(values) => values,
            Value::Null => Vec::new(),
            single @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![single],
        };
        for value in values {
            let text = match value {
                Value::Bool(flag) => u8::from(flag).to_string(),
                Value::Number(number) => number.to_string(),
                Value::String(text) => text,
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(ApiError::invalid(
                        &["body", &name],
                        "Must be a single value or a list of values.",
                    ));
                }
            };
            pairs.push((name.clone(), text));
        }
    }
    Ok(pairs)
}

fn is_upload(operation: &Operation, headers: &HeaderMap) -> bool {
    !operation.is_read() && UPLOADS.contains(&operation.path.as_str()) && media_type(headers) == "multipart/form-data"
}

/// What may be written down of the parameters; of the others only that they were given.
fn told(operation: &Operation, pairs: &[(String, String)]) -> Map<String, Value> {
    let beside = pairs.iter().filter(|(name, _)| !operation.is_in_path(name));
    let told = beside.map(|(name, value)| {
        let value = if operation.is_tellable(name) {
            Value::from(value.as_str())
        } else {
            Value::from("(not shown)")
        };
        (name.clone(), value)
    });
    told.collect()
}

/// Who asks, as the client says.
fn actor(headers: &HeaderMap) -> Option<String> {
    // Names need not be ASCII, and not every client knows how to send one that is not.
    let actor = String::from_utf8_lossy(headers.get(ACTOR)?.as_bytes());
    let actor: String = actor.trim().chars().take(LONGEST_ACTOR).collect();
    (!actor.is_empty()).then_some(actor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_form_shows_no_parameters() {
        let request = Request::builder().uri(format!("{PREFIX}access/users?password=hidden&endpoint_id=7"));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let shown = format!("{:?}", Asked::of(&head).unwrap());
        assert!(
            shown.contains("users") && shown.contains('7') && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
