//! A file in multipart form: the fields before it are read, the file itself is passed on as it comes.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use futures_util::stream::{self, Stream, StreamExt as _};

use crate::http::ApiError;

/// How long everything before the file may be. What Proxmox takes there is a few short values.
const LONGEST_HEAD: usize = 64 * 1024;
const MOST_HEADERS: usize = 16;

/// A form with a file, on its way.
#[derive(Debug)]
pub(super) struct File {
    /// `multipart/form-data` with its boundary.
    pub(super) content_type: header::HeaderValue,
    /// The length of the whole form, in bytes.
    pub(super) length: u64,
    /// The whole form, byte for byte.
    pub(super) body: Body,
}

/// Reads the form of an upload up to its file: the fields, of the file its name, and the form to be sent on. Proxmox
/// ignores what follows the file.
///
/// # Errors
///
/// 411 without a length, 422 for a form that cannot be read, 413 where its fields are longer than any that Proxmox takes.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<(Vec<(String, String)>, File), ApiError> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let (Some(content_type), Some(length)) = (headers.get(header::CONTENT_TYPE), length) else {
        return Err(ApiError::plain(StatusCode::LENGTH_REQUIRED, "Length Required"));
    };
    let boundary = content_type.to_str().ok().and_then(|kind| parameter(kind, "boundary"));
    let boundary = boundary.ok_or_else(|| malformed("has no boundary"))?;
    let mut rest = body.into_data_stream();
    let mut head = BytesMut::new();
    let fields = loop {
        match fields(&head, &boundary).map_err(malformed)? {
            Some(fields) => break fields,
            None if head.len() > LONGEST_HEAD => {
                return Err(ApiError::plain(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large"));
            }
            None => {}
        }
        match rest.next().await {
            Some(Ok(chunk)) => head.extend_from_slice(&chunk),
            Some(Err(error)) => return Err(malformed("broke off").because(&error)),
            None => return Err(malformed("ends before its file")),
        }
    };
    let file = File {
        content_type: content_type.clone(),
        length,
        body: whole(head.freeze(), rest),
    };
    Ok((fields, file))
}

fn whole(head: Bytes, rest: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static) -> Body {
    Body::from_stream(stream::iter([Ok(head)]).chain(rest))
}

fn malformed(problem: &str) -> ApiError {
    ApiError::invalid(&["body"], &format!("The multipart form {problem}."))
}

/// The fields of a form that begins with `head`, up to its file or its end; `None` where they go on after `head`.
fn fields(head: &[u8], boundary: &str) -> Result<Option<Vec<(String, String)>>, &'static str> {
    let delimiter = format!("--{boundary}");
    let separator = format!("\r\n{delimiter}");
    let mut fields = Vec::new();
    let Some(mut rest) = after(head, delimiter.as_bytes())? else {
        return Ok(None);
    };
    while !rest.starts_with(b"--") {
        let Some(part) = after(rest, b"\r\n")? else {
            return Ok(None);
        };
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let (length, headers) = match httparse::parse_headers(part, &mut headers) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("has a part whose head cannot be read"),
        };
        let told = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-disposition"))
            .and_then(|header| std::str::from_utf8(header.value).ok())
            .ok_or("has a part without Content-Disposition")?;
        let name = parameter(told, "name").ok_or("has a part without a name")?;
        if let Some(file) = parameter(told, "filename") {
            fields.push((name, file));
            return Ok(Some(fields));
        }
        let content = part.get(length..).unwrap_or_default();
        let end = content
            .windows(separator.len())
            .position(|window| window == separator.as_bytes());
        let Some((value, next)) = end.and_then(|end| content.split_at_checked(end)) else {
            return Ok(None);
        };
        let value = std::str::from_utf8(value).map_err(|_| "has a field that is no text")?;
        fields.push((name, value.to_owned()));
        rest = next.get(separator.len()..).unwrap_or_default();
    }
    Ok(Some(fields))
}

/// What follows `prefix` in `text`; `None` where `text` ends within it.
fn after<'a>(text: &'a [u8], prefix: &[u8]) -> Result<Option<&'a [u8]>, &'static str> {
    match text.strip_prefix(prefix) {
        Some(rest) if rest.len() >= 2 => Ok(Some(rest)),
        Some(_) => Ok(None),
        None if prefix.starts_with(text) => Ok(None),
        None => Err("does not keep to its boundary"),
    }
}

/// A parameter of a header's value: `form-data; name="content"`. Within quotes a backslash makes the next character plain.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, text) = rest.split_once('=')?;
        let mut value = String::new();
        let (mut is_quoted, mut is_escaped, mut end) = (false, false, text.len());
        for (index, character) in text.char_indices() {
            match character {
                _ if is_escaped => {
                    value.push(character);
                    is_escaped = false;
                }
                '\\' if is_quoted => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                ';' if !is_quoted => {
                    end = index;
                    break;
                }
                _ => value.push(character),
            }
        }
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(if text.trim_start().starts_with('"') {
                value
            } else {
                value.trim().to_owned()
            });
        }
        rest = text.get(end..)?.strip_prefix(';')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--b\r\n\
                        content-type: text/plain\r\ncontent-disposition: form-data; name=checksum\r\n\r\n\r\n--b\r\n\
                        Content-Disposition: form-data; name=\"filename\"; filename=\"a \\\"b\\\"; c.iso\"\r\n\r\nbytes";

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn fields_are_read_up_to_the_file_wherever_the_form_is_cut() {
        let wanted = [
            pair("content", "iso"),
            pair("checksum", ""),
            pair("filename", "a \"b\"; c.iso"),
        ];
        let end = FORM.find("bytes").unwrap();
        for cut in 0..end {
            assert_eq!(fields(&FORM.as_bytes()[..cut], "b"), Ok(None), "{cut}");
        }
        for cut in end..=FORM.len() {
            assert_eq!(fields(&FORM.as_bytes()[..cut], "b"), Ok(Some(wanted.to_vec())), "{cut}");
        }
    }

    #[test]
    fn form_may_end_without_a_file() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--b--\r\n";
        assert_eq!(fields(form.as_bytes(), "b"), Ok(Some(vec![pair("content", "iso")])));
        assert_eq!(fields(b"--b--", "b"), Ok(Some(Vec::new())));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for form in [
            "content=iso",
            "--c\r\n",
            "--b!\r\n",
            "--b\r\nContent-Type: text/plain\r\n\r\niso\r\n--b--\r\n",
            "--b\r\nContent-Disposition: form-data\r\n\r\niso\r\n--b--\r\n",
            "--b\r\n: x\r\n\r\niso\r\n--b--\r\n",
        ] {
            assert!(fields(form.as_bytes(), "b").is_err(), "{form:?}");
        }
        let latin = b"--b\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\n\xE9\r\n--b--\r\n";
        assert_eq!(fields(latin, "b"), Err("has a field that is no text"));
    }

    #[test]
    fn parameters_are_found_whatever_stands_before_them() {
        for (header, wanted) in [
            ("multipart/form-data; boundary=b", Some("b")),
            (
                "multipart/form-data; charset=\"x; boundary=no\"; Boundary=\"a b\"",
                Some("a b"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; charset=x", None),
        ] {
            assert_eq!(parameter(header, "boundary").as_deref(), wanted, "{header}");
        }
    }
}
