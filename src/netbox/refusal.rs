//! NetBox's refusals, read into fields and rows.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use crate::error::ErrorKind;

/// How much of a foreign text an error repeats.
const LONGEST_DETAIL: usize = 500;
/// The names under which NetBox puts what concerns no single field.
const WHOLE_ROW: [&str; 2] = ["__all__", "non_field_errors"];
/// How NetBox says that a right does not hold for a row.
const DENIED: &str = "You do not have permission";
/// How NetBox and what it is built upon say that a row is there already, in lower case.
const DUPLICATE: [&str; 5] = [
    "already exists",
    "must be unique",
    "make a unique set",
    "duplicate key value",
    "unique constraint",
];

/// What NetBox says about one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// NetBox's name of the field, dotted where nested; `__all__` for a rule over several fields.
    pub field: String,
    /// NetBox's own words.
    pub messages: Vec<String>,
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !WHOLE_ROW.contains(&self.field.as_str()) {
            write!(formatter, "{}: ", self.field)?;
        }
        formatter.write_str(&self.messages.join(" "))
    }
}

/// What NetBox says about one row of a bulk request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRefusal {
    /// The row's position in the request, from 0.
    pub row: usize,
    /// Its faults, at least one.
    pub errors: Vec<FieldError>,
}

impl RowRefusal {
    /// [`ErrorKind::NotFound`] where the row is no longer there, [`ErrorKind::Permission`] where a right does not hold for
    /// it, else [`ErrorKind::Validation`].
    pub fn kind(&self) -> ErrorKind {
        let is_gone = |error: &FieldError| error.field == "id" && error.to_string().contains("does not exist");
        let is_denied = |error: &FieldError| {
            let is_whole = WHOLE_ROW.contains(&error.field.as_str());
            is_whole && error.messages.iter().all(|message| message.starts_with(DENIED))
        };
        if self.errors.iter().all(is_gone) {
            ErrorKind::NotFound
        } else if self.errors.iter().all(is_denied) {
            ErrorKind::Permission
        } else {
            ErrorKind::Validation
        }
    }

    /// Whether the row is refused for nothing but being there already.
    pub fn is_duplicate(&self) -> bool {
        let mut messages = self.errors.iter().flat_map(|error| &error.messages);
        messages.all(|message| {
            let message = message.to_lowercase();
            DUPLICATE.iter().any(|words| message.contains(words))
        })
    }
}

impl fmt::Display for RowRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&joined(&self.errors))
    }
}

/// The errors in NetBox's own words, one after the other.
pub(super) fn joined(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The fields named by an object such as `{"name": ["…"], "tags": [{"slug": ["…"]}]}`; empty for any other shape.
pub(super) fn field_errors(value: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    if let Value::Object(fields) = value {
        for (field, inner) in fields {
            gather(field, inner, &mut found);
        }
    }
    found
}

fn gather(field: &str, value: &Value, found: &mut Vec<FieldError>) {
    let message = match value {
        Value::Null => return,
        Value::String(text) => shortened(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => return items.iter().for_each(|item| gather(field, item, found)),
        Value::Object(fields) => {
            return fields
                .iter()
                .for_each(|(name, inner)| gather(&format!("{field}.{name}"), inner, found));
        }
    };
    if let Some(known) = found.iter_mut().find(|known| known.field == field) {
        known.messages.push(message);
    } else {
        found.push(FieldError {
            field: field.to_owned(),
            messages: vec![message],
        });
    }
}

/// What a refused bulk request says about its rows, whatever the release; empty when no row is named, or when a name
/// fits no row of the request.
///
/// `ids` are the ids of the rows in request order, empty for a POST.
pub(super) fn refused_rows(body: &Value, rows: usize, ids: &[u64]) -> Vec<RowRefusal> {
    match body {
        Value::Array(items) if items.len() == rows => listed_rows(items),
        Value::Object(object) => match object.get("errors") {
            Some(Value::Array(named)) => named_rows(named, rows, ids).unwrap_or_default(),
            _ if rows == 1 && !object.contains_key("detail") && !object.contains_key("error") => {
                let errors = field_errors(body);
                if errors.is_empty() {
                    Vec::new()
                } else {
                    vec![RowRefusal { row: 0, errors }]
                }
            }
            _ => Vec::new(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Vec::new(),
    }
}

/// Before 4.7: one object per row, empty where the row was fine.
fn listed_rows(items: &[Value]) -> Vec<RowRefusal> {
    let rows = items.iter().enumerate().map(|(row, item)| RowRefusal {
        row,
        errors: field_errors(item),
    });
    rows.filter(|refusal| !refusal.errors.is_empty()).collect()
}

/// Since 4.7: `[{"index": 1, "errors": {…}}]` or `[{"id": 7, "errors": {…}}]`.
fn named_rows(named: &[Value], rows: usize, ids: &[u64]) -> Option<Vec<RowRefusal>> {
    let positions: HashMap<u64, usize> = ids.iter().enumerate().map(|(row, id)| (*id, row)).collect();
    let mut found = Vec::with_capacity(named.len());
    for entry in named {
        let by_index = entry
            .get("index")
            .and_then(Value::as_u64)
            .and_then(|index| usize::try_from(index).ok());
        let by_id = || {
            entry
                .get("id")
                .and_then(Value::as_u64)
                .and_then(|id| positions.get(&id).copied())
        };
        let row = by_index.or_else(by_id).filter(|row| *row < rows)?;
        let mut errors = entry.get("errors").map(field_errors).unwrap_or_default();
        if errors.is_empty() {
            errors.push(FieldError {
                field: "__all__".to_owned(),
                messages: vec!["refused without a reason".to_owned()],
            });
        }
        found.push(RowRefusal { row, errors });
    }
    Some(found)
}

/// What an error answer says, in one line: `detail`, `message` or `error`, the fields, or the text itself.
pub(super) fn detail(body: &[u8]) -> (String, Vec<FieldError>) {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return (plain_text(&String::from_utf8_lossy(body)), Vec::new());
    };
    let said = ["detail", "message", "error"]
        .into_iter()
        .find_map(|name| value.get(name)?.as_str());
    if let Some(said) = said {
        return (shortened(said), Vec::new());
    }
    let fields = match &value {
        Value::Array(items) => {
            let mut found = Vec::new();
            for item in items {
                if item.is_object() {
                    found.extend(field_errors(item));
                } else {
                    gather("__all__", item, &mut found);
                }
            }
            found
        }
        Value::Object(_) => field_errors(&value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let text = if fields.is_empty() {
        value.to_string()
    } else {
        joined(&fields)
    };
    (shortened(&text), fields)
}

/// The visible text of a small HTML page, the title of a large one, or the text as it is.
fn plain_text(text: &str) -> String {
    let is_page = text.trim_start().starts_with('<');
    if !is_page {
        return shortened(text);
    }
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"))
        .map(|(title, _)| title);
    let body = text.split_once("</head>").map_or(text, |(_, body)| body);
    let source = if text.len() > 4096 {
        title.unwrap_or("an HTML page")
    } else {
        body
    };
    let mut visible = String::new();
    let mut inside = false;
    for c in source.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                visible.push(' ');
            }
            _ if !inside => visible.push(c),
            _ => {}
        }
    }
    shortened(&visible)
}

/// White space collapsed, cut after 500 characters.
fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(body: &Value, rows: usize, ids: &[u64]) -> Vec<(usize, String)> {
        refused_rows(body, rows, ids)
            .into_iter()
            .map(|refusal| (refusal.row, refusal.to_string()))
            .collect()
    }

    #[test]
    fn refused_rows_are_found_in_every_shape() {
        let cases = [
            (
                json!({"detail": "1 of 2 objects could not be created.", "errors": [{"index": 1, "errors": {"name": ["taken"]}}]}),
                vec![],
                vec![(1, "name: taken")],
            ),
            (
                json!({"detail": "…", "errors": [{"id": 7, "errors": {"__all__": ["a", "b"]}}]}),
                vec![9, 7],
                vec![(1, "a b")],
            ),
            (
                json!([{}, {"name": ["taken"], "tags": [{"slug": ["bad"]}]}]),
                vec![],
                vec![(1, "name: taken; tags.slug: bad")],
            ),
            (
                json!({"virtual_machine": "This object already has a Proxbox sync-state row."}),
                vec![],
                vec![],
            ),
            (
                json!({"detail": "…", "errors": [{"id": 8, "errors": {}}]}),
                vec![9, 7],
                vec![],
            ),
            (
                json!({"detail": "…", "errors": [{"index": 2, "errors": {}}]}),
                vec![],
                vec![],
            ),
            (json!({"detail": "Expected a list"}), vec![], vec![]),
            (json!("no"), vec![], vec![]),
        ];
        for (body, ids, expected) in cases {
            let expected: Vec<_> = expected.into_iter().map(|(row, text)| (row, text.to_owned())).collect();
            assert_eq!(told(&body, 2, &ids), expected, "{body}");
        }
    }

    #[test]
    fn only_row_of_a_request_takes_the_fields_named_without_a_row() {
        assert_eq!(
            told(&json!({"name": ["taken"]}), 1, &[]),
            [(0, "name: taken".to_owned())]
        );
        assert!(told(&json!({"detail": "no"}), 1, &[]).is_empty());
    }

    #[test]
    fn duplicate_is_a_row_that_is_refused_for_nothing_else() {
        let cases = [
            (
                json!({"name": ["manufacturer with this name already exists."], "slug": ["manufacturer with this slug already exists."]}),
                true,
            ),
            (
                json!({"__all__": ["Device name must be unique per site and tenant."]}),
                true,
            ),
            (
                json!({"non_field_errors": ["The fields group, name must make a unique set."]}),
                true,
            ),
            (json!({"__all__": ["Constraint \u{201c}x\u{201d} is violated."]}), false),
            (
                json!({"name": ["tag with this name already exists."], "color": ["Enter a valid value."]}),
                false,
            ),
            (
                json!({"name": ["tag with this name already exists.", "Too long."]}),
                false,
            ),
        ];
        for (body, expected) in cases {
            let [refusal] = &refused_rows(&body, 1, &[])[..] else {
                panic!("{body}")
            };
            assert_eq!(refusal.is_duplicate(), expected, "{body}");
        }
    }

    #[test]
    fn detail_is_taken_from_every_form_of_error_answer() {
        let long = "x".repeat(2000);
        let cases = [
            (
                json!({"detail": "Token expired"}).to_string(),
                "Token expired".to_owned(),
            ),
            (
                json!({"error": "duplicate key", "exception": "IntegrityError"}).to_string(),
                "duplicate key".to_owned(),
            ),
            (
                json!({"name": ["must be set"], "__all__": ["no"]}).to_string(),
                "name: must be set; no".to_owned(),
            ),
            (
                json!(["Ordering cannot be specified."]).to_string(),
                "Ordering cannot be specified.".to_owned(),
            ),
            (
                "<html><head><title>Bad Request</title></head><body><h1>Bad\nRequest</h1>Line &gt; 4094</body></html>"
                    .to_owned(),
                "Bad Request Line &gt; 4094".to_owned(),
            ),
            ("plain\n text".to_owned(), "plain text".to_owned()),
            (long, format!("{}…", "x".repeat(LONGEST_DETAIL))),
        ];
        for (body, expected) in cases {
            assert_eq!(detail(body.as_bytes()).0, expected, "{body}");
        }
    }

    #[test]
    fn row_that_a_right_does_not_hold_for_is_told_from_others() {
        let denied = "You do not have permission to perform this action on this object.";
        for (errors, expected) in [
            (json!({"__all__": [denied]}), ErrorKind::Permission),
            (json!({"name": [denied]}), ErrorKind::Validation),
            (json!({"__all__": [denied, "Too large."]}), ErrorKind::Validation),
            (
                json!({"__all__": [denied], "name": ["Too long."]}),
                ErrorKind::Validation,
            ),
        ] {
            let body =
                json!({"detail": "1 of 2 objects could not be created.", "errors": [{"index": 1, "errors": errors}]});
            let refused = refused_rows(&body, 2, &[]);
            assert_eq!((refused[0].row, refused[0].kind()), (1, expected), "{errors}");
        }
    }
}
