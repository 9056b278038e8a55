//! Extractors that answer in our own error shape.

use std::ops::Deref;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};

use super::error::ApiError;

const FAILED: &str = "Request validation failed.";

/// A JSON body. 413 where it is too large, 422 where it is of another content type or, with the field, does not fit.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The query. Of a repeated key the last value counts; unknown keys are ignored. 422 where it does not fit.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The parameters in the path. 422 where they do not fit.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::invalid(&["body"], "Must be sent as `application/json`."));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unread(&rejection))?;
        let mut input = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut input).map_err(|error| misfit("body", &error))?;
        input.end().map_err(|_| ApiError::invalid(&["body"], FAILED))?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn unread(rejection: &BytesRejection) -> ApiError {
    let status = rejection.status();
    let detail = status.canonical_reason().unwrap_or(FAILED);
    ApiError::plain(status, detail).because(rejection)
}

/// 422 that names the field. What serde says may repeat the value, so only what it expected is passed on.
fn misfit<E: std::fmt::Display>(place: &str, error: &serde_path_to_error::Error<E>) -> ApiError {
    let path = error.path().to_string();
    let fields = path.split('.').filter(|part| !matches!(*part, "" | "." | "?"));
    let location: Vec<&str> = std::iter::once(place).chain(fields).collect();
    let text = error.inner().to_string();
    let expected = text
        .split_once(", expected ")
        .map(|(_, expected)| expected.split(" at line ").next());
    let problem = match expected.flatten() {
        Some(expected) => format!("{FAILED} Expected {expected}."),
        None => match text
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next())
        {
            Some(field) => format!("{FAILED} Field `{field}` is required."),
            None => FAILED.to_owned(),
        },
    };
    ApiError::invalid(&location, &problem)
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let invalid = || ApiError::invalid(&["query"], FAILED);
        let uri = last_values(&parts.uri).ok_or_else(invalid)?;
        let query = axum::extract::Query::try_from_uri(&uri).map_err(|rejection| invalid().because(&rejection))?;
        Ok(Self(query.0))
    }
}

/// `uri` with each key of its query once.
fn last_values(uri: &Uri) -> Option<Uri> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let values: std::collections::BTreeMap<_, _> = pairs.into_owned().collect();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(values)
        .finish();
    Uri::builder().path_and_query(format!("/?{query}")).build().ok()
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let path = path.map_err(|rejection| ApiError::invalid(&["path"], FAILED).because(&rejection))?;
        Ok(Self(path.0))
    }
}

/// The name of a node in a path, of letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeName(String);

impl Deref for NodeName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric();
        let is_valid = name.bytes().next().is_some_and(is_letter)
            && name.bytes().all(|byte| is_letter(byte) || b"._-".contains(&byte));
        is_valid.then_some(Self(name)).ok_or("not the name of a node")
    }
}

/// For `deserialize_with` in queries: every word that clients use for a boolean.
///
/// # Errors
///
/// What `deserializer` answers for any other word.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let word = String::deserialize(deserializer)?;
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "t" | "y" => Ok(true),
        "0" | "false" | "no" | "off" | "f" | "n" => Ok(false),
        _ => Err(de::Error::custom("a boolean")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode};

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Wanted {
        limit: u32,
        #[serde(default, deserialize_with = "flag")]
        errors_only: bool,
    }

    async fn query(text: &str) -> Result<Wanted, ApiError> {
        let request = Request::builder().method(Method::GET).uri(format!("/?{text}"));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Query::from_request_parts(&mut parts, &())
            .await
            .map(|Query(wanted)| wanted)
    }

    #[test]
    fn node_name_is_made_of_letters_digits_and_three_signs() {
        for (name, is_valid) in [
            ("pve1", true),
            ("1.a_b-C", true),
            ("", false),
            ("-pve", false),
            (".", false),
            ("pve 1", false),
            ("pve/1", false),
            ("pv\u{e9}", false),
        ] {
            assert_eq!(NodeName::try_from(name.to_owned()).is_ok(), is_valid, "{name:?}");
        }
    }

    #[tokio::test]
    async fn last_value_of_a_repeated_key_counts_and_strangers_are_ignored() {
        let wanted = query("limit=1&unheard=x&errors_only=no&limit=2&errors_only=YES")
            .await
            .unwrap();
        assert_eq!(
            wanted,
            Wanted {
                limit: 2,
                errors_only: true
            }
        );
    }

    #[tokio::test]
    async fn query_that_does_not_fit_is_unprocessable() {
        for text in ["", "limit=", "limit=x", "limit=-1", "limit=1&errors_only=maybe"] {
            assert_eq!(
                query(text).await.unwrap_err().status(),
                StatusCode::UNPROCESSABLE_ENTITY,
                "{text}"
            );
        }
    }
}
