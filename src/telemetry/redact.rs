//! What looks like a secret is taken out of texts.

use std::borrow::Cow;

/// What stands where a secret was.
const REDACTED: &str = "[REDACTED]";
/// What the names of secrets hold.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "authorization",
    "cookie",
];
/// Names that end with this are secrets too; many harmless ones hold it somewhere.
const KEY: &str = "key";
/// Words after which a secret stands.
const SCHEMES: [&str; 3] = ["Bearer ", "Basic ", "Token "];

/// `text` without what looks like a secret: user information in URLs, values of names such as `token=` or `"password":`,
/// and what follows the name of an authentication scheme.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    let mut output = String::new();
    let mut kept = 0;
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        if let Some((start, end)) = secret_at(text, place) {
            output.push_str(text.get(kept..start).unwrap_or_default());
            output.push_str(REDACTED);
            kept = end;
            place = end;
        } else {
            place += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    output.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(output)
}

/// The bytes of the secret that is introduced at `place`.
fn secret_at(text: &str, place: usize) -> Option<(usize, usize)> {
    let rest = text.get(place..)?;
    match rest.bytes().next()? {
        b':' => after_name(text, place, rest).or_else(|| user_information(place, rest)),
        b'=' => after_name(text, place, rest),
        b'B' | b'T' => after_scheme(text, place, rest),
        _ => None,
    }
}

/// `://user:password@`
fn user_information(place: usize, rest: &str) -> Option<(usize, usize)> {
    let authority = rest.strip_prefix("://")?;
    let end = authority.find(|letter: char| matches!(letter, '/' | '?' | '#' | '"') || letter.is_whitespace());
    let authority = authority.get(..end.unwrap_or(authority.len()))?;
    let at = authority.rfind('@').filter(|at| *at > 0)?;
    Some((place + 3, place + 3 + at))
}

/// `name=value`, `name: value`, `"name":"value"`; `place` is that of the sign.
fn after_name(text: &str, place: usize, rest: &str) -> Option<(usize, usize)> {
    let before = text.get(..place)?.trim_end_matches(['"', '\'', '\\']);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let name = before.rsplit(|letter| !is_part(letter)).next()?.to_ascii_lowercase();
    if !is_secret(&name) {
        return None;
    }
    let value = rest.get(1..)?.trim_start_matches([' ', '"', '\'', '\\']);
    let start = place + rest.len() - value.len();
    let scheme = SCHEMES.iter().find(|scheme| value.starts_with(**scheme));
    let skipped = scheme.map_or(0, |scheme| scheme.len());
    let length = length(value.get(skipped..)?);
    (length > 0).then_some((start, start + skipped + length))
}

fn is_secret(name: &str) -> bool {
    name.ends_with(KEY) || NAMES.iter().any(|known| name.contains(known))
}

/// `Bearer value`, at the beginning of a word.
fn after_scheme(text: &str, place: usize, rest: &str) -> Option<(usize, usize)> {
    let scheme = SCHEMES.iter().find(|scheme| rest.starts_with(**scheme))?;
    let is_word = text
        .get(..place)?
        .chars()
        .next_back()
        .is_none_or(|letter| !letter.is_ascii_alphanumeric());
    let start = place + scheme.len();
    let length = length(text.get(start..)?);
    // Shorter ones are words of a sentence.
    (is_word && length >= 16).then_some((start, start + length))
}

/// How long a value is.
fn length(value: &str) -> usize {
    let ends = |letter: char| {
        letter.is_whitespace()
            || letter.is_control()
            || matches!(letter, '"' | '\'' | '\\' | ',' | '&' | ';' | '}' | ')')
    };
    value.find(ends).unwrap_or(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_in_every_form() {
        let cases = [
            ("token=abc123", "token=[REDACTED]"),
            ("a=1&token=abc&b=2", "a=1&token=[REDACTED]&b=2"),
            (
                r#"{"password":"s3cret","user":"u"}"#,
                r#"{"password":"[REDACTED]","user":"u"}"#,
            ),
            (r#"{"token_value": "s3cret-x"}"#, r#"{"token_value": "[REDACTED]"}"#),
            ("X-Proxbox-API-Key: abc", "X-Proxbox-API-Key: [REDACTED]"),
            ("Authorization: Bearer nbt_abc.def", "Authorization: [REDACTED]"),
            ("sent Bearer nbt_0123456789abcdef.x ok", "sent Bearer [REDACTED] ok"),
            ("https://user:pa:ss@host/path", "https://[REDACTED]@host/path"),
            ("encryption_key=xyz, next", "encryption_key=[REDACTED], next"),
            ("CSRFPreventionToken: 4E:abc", "CSRFPreventionToken: [REDACTED]"),
            ("Ticket-Secret='a b'", "Ticket-Secret='[REDACTED] b'"),
            (
                r#"text \"password\": \"x\" end"#,
                r#"text \"password\": \"[REDACTED]\" end"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn harmless_texts_stay_as_they_are() {
        for text in [
            "",
            "https://host:8006/api2/json?a=b@c",
            "keyboard=de monkey business",
            "The token is unknown. Token expired; Bearer of news",
            "token=",
            "größe: 5 € – ok",
            "endpoint.id=database:1 elapsed_ms=5",
        ] {
            assert_eq!(redact(text), text);
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
