//! Perl scalars: every form in which a flag, a number, a text or a list arrives, and the one value it means.
//!
//! Proxmox answers are made by Perl (and lately Rust) code that does not keep `1`, `"1"` and `true` apart, and the forms
//! change between releases. All tolerance lives here; a form that means nothing is an error, never a silent zero.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};

/// A value in a form that means nothing where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OddForm(String);

fn odd<T>(complaint: impl Into<String>) -> Result<T, OddForm> {
    Err(OddForm(complaint.into()))
}

/// Reads a flag from `0`/`1` as number or text, from words, from `""`, blanks, `null` or a real boolean.
///
/// Use with `#[serde(default)]`: an absent key is `false`, as are blanks and `null`.
///
/// # Errors
///
/// Words that are no flag, arrays and objects.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(maybe_flag(deserializer)?.unwrap_or(false))
}

/// As [`flag`], but keeps absent, blank and `null` apart from a spoken "no".
///
/// # Errors
///
/// Words that are no flag, arrays and objects.
pub fn maybe_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    flag_of(&value).map_err(D::Error::custom)
}

/// The flag that `value` means; `None` for blank and `null`.
///
/// # Errors
///
/// [`OddForm`] for words that are no flag, arrays and objects.
pub fn flag_of(value: &Value) -> Result<Option<bool>, OddForm> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::Number(number) => Ok(Some(number.as_f64() != Some(0.0))),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "" | "null" => Ok(None),
            "1" | "true" | "yes" | "on" | "enabled" => Ok(Some(true)),
            "0" | "false" | "no" | "off" | "disabled" => Ok(Some(false)),
            other => odd(format!("`{other}` is no flag")),
        },
        Value::Array(_) | Value::Object(_) => odd("a list or an object is no flag"),
    }
}

/// A map: `{…}`; `None` where there is none, or only a flag says that there is one.
///
/// # Errors
///
/// Every other form.
pub fn maybe_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Null) | None => Ok(None),
        Some(Value::String(_) | Value::Array(_)) => Err(D::Error::custom("not a map")),
    }
}

/// Reads an optional number from a number or from numeric text; blank and `null` are `None`.
///
/// Use with `#[serde(default)]`. A fraction where a whole number is meant is cut off, as Perl does (`1024.0`).
///
/// # Errors
///
/// Text that is no number, and numbers that do not fit.
pub fn number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    let value = Value::deserialize(deserializer)?;
    number_of(&value).map_err(D::Error::custom)
}

/// Reads a number that must be there.
///
/// # Errors
///
/// As [`number`], and for blank and `null`.
pub fn required_number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    number(deserializer)?.ok_or_else(|| D::Error::custom("a number is missing"))
}

/// The number that `value` means; `None` for blank and `null`.
///
/// # Errors
///
/// [`OddForm`] for text that is no number and for numbers that do not fit.
pub fn number_of<T>(value: &Value) -> Result<Option<T>, OddForm>
where
    T: FromStr,
    T::Err: Display,
{
    let text = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Array(_) | Value::Object(_) => return odd("a list or an object is no number"),
    };
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(error) => {
            let whole = whole_part(&text).and_then(|whole| whole.parse().ok());
            whole
                .map(Some)
                .map_or_else(|| odd(format!("`{text}` is no such number: {error}")), Ok)
        }
    }
}

/// The digits before the point of a plain decimal number such as `1024.0`, or of `2e+09`.
fn whole_part(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number.abs() < 9.0e15).then(|| format!("{:.0}", number.trunc()))
}

/// Reads an optional text from a text, a number or a boolean; `""` and `null` are `None`.
///
/// Use with `#[serde(default)]`. Blanks inside and around are kept.
///
/// # Errors
///
/// Arrays and objects.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    text_of(&value).map_err(D::Error::custom)
}

/// Reads a text that must be there and must not be empty.
///
/// # Errors
///
/// As [`text`], and for `""` and `null`.
pub fn required_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer)?.ok_or_else(|| D::Error::custom("a text is missing"))
}

/// The text that `value` means; `None` for `""` and `null`.
///
/// # Errors
///
/// [`OddForm`] for arrays and objects.
pub fn text_of(value: &Value) -> Result<Option<String>, OddForm> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(u8::from(*flag).to_string())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Array(_) | Value::Object(_) => odd("a list or an object is no text"),
    }
}

/// Reads a list from one text parted by comma, semicolon or blanks, or from an array; absent and `null` are empty.
///
/// # Errors
///
/// Objects, and arrays of anything but scalars.
pub fn text_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if let Value::Array(items) = &value {
        let texts: Result<Vec<_>, _> = items.iter().map(text_of).collect();
        return Ok(texts.map_err(D::Error::custom)?.into_iter().flatten().collect());
    }
    Ok(text_of(&value)
        .map_err(D::Error::custom)?
        .map(|text| split_list(&text))
        .unwrap_or_default())
}

/// The items of `text`, which are parted by comma, semicolon or blanks.
pub fn split_list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads an option set that is one text on some calls and an object on others (`prune-backups`, `fleecing`).
///
/// The answer is always the text form, `key=value` parted by commas, in the order sent.
///
/// # Errors
///
/// Arrays, and objects with anything but scalars.
pub fn option_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let Value::Object(options) = &value else {
        return text_of(&value).map_err(D::Error::custom);
    };
    let mut pairs = Vec::with_capacity(options.len());
    for (key, value) in options {
        let value = text_of(value).map_err(D::Error::custom)?.unwrap_or_default();
        pairs.push(format!("{key}={value}"));
    }
    Ok((!pairs.is_empty()).then(|| pairs.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flag_of_every_spelling_means_one_value() {
        let yes = [
            json!(1),
            json!("1"),
            json!(true),
            json!("on"),
            json!("Yes"),
            json!(" 1 "),
            json!("enabled"),
            json!(1.0),
        ];
        let no = [
            json!(0),
            json!("0"),
            json!(false),
            json!("off"),
            json!("no"),
            json!("disabled"),
            json!(0.0),
        ];
        let unsaid = [json!(""), json!("  "), json!(null), json!("null")];
        for value in &yes {
            assert_eq!(flag_of(value), Ok(Some(true)), "{value}");
        }
        for value in &no {
            assert_eq!(flag_of(value), Ok(Some(false)), "{value}");
        }
        for value in &unsaid {
            assert_eq!(flag_of(value), Ok(None), "{value}");
        }
        for value in [json!("maybe"), json!([1]), json!({})] {
            assert!(flag_of(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn number_of_every_form_is_read_and_text_is_refused() {
        for (value, wanted) in [
            (json!(2_147_483_648_u64), Some(2_147_483_648_u64)),
            (json!("2147483648"), Some(2_147_483_648)),
            (json!(" 512 "), Some(512)),
            (json!(1024.0), Some(1024)),
            (json!("2e3"), Some(2000)),
            (json!(""), None),
            (json!(null), None),
            (json!(true), Some(1)),
        ] {
            assert_eq!(number_of::<u64>(&value), Ok(wanted), "{value}");
        }
        for value in [json!("many"), json!(-1), json!([]), json!("12 GiB")] {
            assert!(number_of::<u64>(&value).is_err(), "{value}");
        }
        assert_eq!(number_of::<f64>(&json!("0.25")), Ok(Some(0.25)));
        assert_eq!(number_of::<i64>(&json!("-1")), Ok(Some(-1)));
        assert!(number_of::<u8>(&json!(300)).is_err());
    }

    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "text")]
        text: Option<String>,
        #[serde(default, deserialize_with = "text_list")]
        list: Vec<String>,
        #[serde(default, rename = "prune-backups", deserialize_with = "option_text")]
        prune: Option<String>,
    }

    #[test]
    fn text_from_numbers_and_blanks_is_kept() {
        for (value, wanted) in [
            (json!({"text": 4096}), Some("4096")),
            (json!({"text": " "}), Some(" ")),
            (json!({"text": ""}), None),
            (json!({"text": null}), None),
            (json!({}), None),
        ] {
            let row: Row = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(row.text.as_deref(), wanted, "{value}");
        }
        assert!(serde_json::from_value::<Row>(json!({"text": ["a"]})).is_err());
    }

    #[test]
    fn text_list_is_split_at_every_separator() {
        for (value, wanted) in [
            (json!("a;b"), vec!["a", "b"]),
            (json!("a b"), vec!["a", "b"]),
            (json!("a, b"), vec!["a", "b"]),
            (json!(["a", 2]), vec!["a", "2"]),
            (json!(";"), vec![]),
            (json!(null), vec![]),
        ] {
            let row: Row = serde_json::from_value(json!({ "list": value })).unwrap();
            assert_eq!(row.list, wanted, "{value}");
        }
    }

    #[test]
    fn option_text_is_the_same_from_text_and_object() {
        for value in [
            json!("keep-last=3,keep-daily=7"),
            json!({"keep-last": "3", "keep-daily": 7}),
        ] {
            let row: Row = serde_json::from_value(json!({ "prune-backups": value })).unwrap();
            assert_eq!(row.prune.as_deref(), Some("keep-last=3,keep-daily=7"), "{value}");
        }
    }
}
