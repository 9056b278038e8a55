//! Answers passed on as they came, for whoever knows what they mean: taken out of the envelope, never decoded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::Method;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;
use tokio_stream::StreamExt as _;

use super::client::{Call, Success};
use super::error::{Cause, Error};
use super::navigate::{Param, form};
use super::resource::Resource;

/// How long an upload may take in all.
const UPLOAD_LIMIT: Duration = Duration::from_hours(1);
/// How long a download may pause.
const PAUSE_LIMIT: Duration = Duration::from_mins(1);

/// The payload of an answer, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// JSON.
    pub data: Bytes,
    /// On paged lists: how many rows there are in all.
    pub total: Option<u64>,
}

/// A file on its way to Proxmox, in the multipart form that clients make.
#[derive(Debug)]
pub struct Upload<S> {
    /// `multipart/form-data` with its boundary.
    pub content_type: HeaderValue,
    /// How long the body is; Proxmox takes none without.
    pub length: u64,
    /// The body.
    pub body: S,
}

/// A file on its way from Proxmox.
#[derive(Debug)]
pub struct Download<S> {
    /// What it is.
    pub content_type: Option<HeaderValue>,
    /// How long it is, where Proxmox tells.
    pub length: Option<HeaderValue>,
    /// The name to keep it under, where Proxmox gives one.
    pub disposition: Option<HeaderValue>,
    /// Its bytes.
    pub body: S,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default, deserialize_with = "super::wire::number")]
    total: Option<u64>,
}

impl Resource {
    /// Sends `method` with `parameters` and answers the payload as it came.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer has no envelope.
    pub async fn relay(&self, method: Method, parameters: &[(&str, Param)]) -> Result<Payload, Error> {
        let call = self.call(method, form(parameters))?;
        let success = self.session().fetch(&call).await?;
        payload(&call, success)
    }

    /// Sends a file. It is sent once: whatever fails, the outcome is not known.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where the answer has no envelope.
    pub async fn upload<S, E>(&self, upload: Upload<S>) -> Result<Payload, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let mut call = self.call(Method::POST, SecretString::default())?;
        call.within = Some(UPLOAD_LIMIT);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, upload.content_type);
        headers.insert(CONTENT_LENGTH, upload.length.into());
        let body = reqwest::Body::wrap_stream(upload.body);
        let success = self.session().send_file(&call, headers, body).await?;
        payload(&call, success)
    }

    /// Reads a file with `parameters` in the query. Its bytes are passed on as they come; a pause of a minute ends them.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange up to the answer's head.
    pub async fn download(
        &self,
        parameters: &[(&str, Param)],
    ) -> Result<Download<impl Stream<Item = Result<Bytes, Cause>> + Send + 'static>, Error> {
        let call = self.call(Method::GET, form(parameters))?;
        let response = self.session().open_file(&call).await?;
        let header = |name| response.headers().get(name).cloned();
        Ok(Download {
            content_type: header(CONTENT_TYPE),
            length: header(CONTENT_LENGTH),
            disposition: header(CONTENT_DISPOSITION),
            body: unbroken(response.bytes_stream()),
        })
    }
}

/// `bytes` until one of them is a minute late.
fn unbroken<E>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Cause>> + Send
where
    E: std::error::Error + Send + Sync + 'static,
{
    let timed = Box::pin(bytes).timeout(PAUSE_LIMIT);
    timed.map(|item| match item {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(Arc::new(error) as Cause),
        Err(pause) => Err(Arc::new(pause) as Cause),
    })
}

fn payload(call: &Call, success: Success) -> Result<Payload, Error> {
    const NOTHING: Bytes = Bytes::from_static(b"null");
    if success.body.is_empty() && !call.is_read() {
        return Ok(Payload {
            data: NOTHING,
            total: None,
        });
    }
    let undecodable = |source: serde_json::Error| Error::Decode {
        call: call.label(),
        source: Arc::new(source),
    };
    let body = text(success.body.freeze());
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(undecodable(serde_json::Error::custom("the answer is no object")));
    }
    let envelope: Envelope<'_> = serde_json::from_slice(&body).map_err(undecodable)?;
    Ok(Payload {
        data: body.slice_ref(envelope.data.get().as_bytes()),
        total: envelope.total,
    })
}

/// `body` as text: task logs hold arbitrary bytes, and one of them must not cost the whole answer.
fn text(body: Bytes) -> Bytes {
    match std::str::from_utf8(&body) {
        Ok(_) => body,
        Err(_) => Bytes::from(String::from_utf8_lossy(&body).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::navigate::Path;
    use super::*;
    use bytes::BytesMut;

    fn open(body: &[u8]) -> Result<Payload, Error> {
        let call = Call {
            method: Method::GET,
            path: Path::parse("version").unwrap(),
            parameters: SecretString::default(),
            within: None,
        };
        let success = Success {
            body: BytesMut::from(body),
            address: String::new(),
        };
        payload(&call, success)
    }

    #[test]
    fn payload_is_passed_on_byte_for_byte() {
        let table: &[(&[u8], &[u8], Option<u64>)] = &[
            (
                br#"{"data":{"a": 1.0, "big":18446744073709551616}}"#,
                br#"{"a": 1.0, "big":18446744073709551616}"#,
                None,
            ),
            (br#"{"total":"7","data":[]}"#, b"[]", Some(7)),
            (br#"{"data":null}"#, b"null", None),
            (b"{\"data\":\"a\xFFb\"}", "\"a\u{FFFD}b\"".as_bytes(), None),
        ];
        for (body, data, total) in table {
            let payload = open(body).unwrap();
            assert_eq!(
                (&*payload.data, payload.total),
                (*data, *total),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn answer_without_envelope_is_an_error() {
        for body in [&b"<html>"[..], b"[1]", b"", b"{}", b"{\"data\":"] {
            assert!(matches!(open(body), Err(Error::Decode { .. })), "{body:?}");
        }
    }
}
