//! From a body to values: what the schema accepts, in the words in which NetBox refuses the rest.

use serde_json::{Map, Value};

use super::datum::Datum;
use super::field::{Field, Format, Kind, TextRule};
use super::refusal::{Errors, Refusal};
use super::related::{python, resolve};
use super::schema::{Collection, FieldId};
use super::text;
use super::world::World;

/// What a body asks for.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) values: Vec<(FieldId, Datum)>,
    pub(super) add_tags: Vec<u64>,
    pub(super) remove_tags: Vec<u64>,
}

/// Reads a body; `is_partial` where absent columns stay as they are.
///
/// # Errors
///
/// What is wrong with each column.
pub(super) fn read(
    world: &World,
    collection: &Collection,
    body: &Map<String, Value>,
    is_partial: bool,
) -> Result<Changes, Refusal> {
    let mut errors = Errors::default();
    let mut changes = Changes::default();
    for (id, field) in collection.fields.iter().enumerate() {
        let is_known = !field.is_computed && is_known(world, collection, &field.name);
        match body.get(&field.name) {
            Some(value) if is_known => match taken(world, collection, field, value) {
                Ok(value) => changes.values.push((id, value)),
                Err(messages) => errors.set(&field.name, messages),
            },
            None if field.is_required && !is_partial => errors.add(&field.name, "This field is required."),
            _ => {}
        }
    }
    if world.release.merges_tags() && collection.field_id("tags").is_some() {
        tag_changes(world, collection, body, &mut changes, &mut errors)?;
    }
    if errors.is_empty() {
        Ok(changes)
    } else {
        Err(Refusal::Row(errors))
    }
}

/// The inline MAC address of an interface is read-only before 4.7.
fn is_known(world: &World, collection: &Collection, column: &str) -> bool {
    column != "mac_address" || !collection.rules.path.ends_with("/interfaces") || world.release.writes_inline_macs()
}

fn tag_changes(
    world: &World,
    collection: &Collection,
    body: &Map<String, Value>,
    changes: &mut Changes,
    errors: &mut Errors,
) -> Result<(), Refusal> {
    let target = collection.field("tags").and_then(|field| field.kind.target());
    for (name, list) in [
        ("add_tags", &mut changes.add_tags),
        ("remove_tags", &mut changes.remove_tags),
    ] {
        let Some(value) = body.get(name) else { continue };
        let Value::Array(items) = value else {
            let message = format!("Expected a list of items but got type \"{}\".", type_name(value));
            return Err(Refusal::row("__all__", message));
        };
        for item in items {
            // NetBox 4.7.3 lets this one escape as an exception of its own.
            let failure =
                |message: String| Refusal::exception("ValidationError", &format!("['{message}']"), world.release);
            list.push(resolve(world, target, item).map_err(failure)?);
        }
    }
    if body.contains_key("tags") && (body.contains_key("add_tags") || body.contains_key("remove_tags")) {
        errors.add(
            "tags",
            "Cannot specify \"tags\" together with \"add_tags\" or \"remove_tags\".",
        );
    }
    let names: Vec<String> = changes
        .add_tags
        .iter()
        .filter(|tag| changes.remove_tags.contains(tag))
        .filter_map(|tag| Some(world.found(target?, *tag)?.display()))
        .collect();
    if !names.is_empty() {
        let names = names.join(", ");
        errors.add(
            "remove_tags",
            format!("Tags may not be present in both \"add_tags\" and \"remove_tags\": {names}"),
        );
    }
    Ok(())
}

/// The value of one column, or what stands under its name in the refusal.
fn taken(world: &World, collection: &Collection, field: &Field, value: &Value) -> Result<Datum, Value> {
    if value.is_null() {
        return match &field.kind {
            _ if field.is_nullable => Ok(Datum::Null),
            Kind::Choice(_) => Err(message("This field may not be blank.")),
            Kind::Text(_)
            | Kind::Int { .. }
            | Kind::Real { .. }
            | Kind::Flag
            | Kind::Time
            | Kind::One(_)
            | Kind::Many(_)
            | Kind::Json => Err(message("This field may not be null.")),
        };
    }
    match &field.kind {
        Kind::Text(rule) => text_value(collection, field, *rule, value),
        Kind::Int { least, most } => int_value(value).and_then(|number| within(number, *least, *most, Datum::Int)),
        Kind::Real {
            least,
            most,
            has_two_decimals,
        } => real_value(value, *has_two_decimals).and_then(|number| within(number, *least, *most, Datum::Real)),
        Kind::Flag => flag_value(value),
        Kind::Time => value
            .as_str()
            .and_then(text::time)
            .map(|time| Datum::text(&time))
            .ok_or_else(|| {
                message(
                    "Datetime has wrong format. Use one of these formats instead: \
                 YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
                )
            }),
        Kind::Choice(values) => choice_value(field, values, value),
        Kind::One(target) => resolve(world, *target, value).map(Datum::id).map_err(message),
        Kind::Many(target) => {
            let Value::Array(items) = value else {
                let text = format!("Expected a list of items but got type \"{}\".", type_name(value));
                return Err(serde_json::json!({ "__all__": [text] }));
            };
            let ids: Result<Vec<u64>, String> = items.iter().map(|item| resolve(world, *target, item)).collect();
            let mut ids = ids.map_err(message)?;
            ids.sort_unstable();
            ids.dedup();
            Ok(Datum::Ids(ids.into()))
        }
        Kind::Json => Ok(Datum::Json(Box::new(value.clone()))),
    }
}

fn message(text: impl Into<String>) -> Value {
    Value::Array(vec![Value::String(text.into())])
}

/// Python's name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

fn text_value(collection: &Collection, field: &Field, rule: TextRule, value: &Value) -> Result<Datum, Value> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(message("Not a valid string."));
        }
    };
    if text.is_empty() && !rule.may_be_blank {
        return Err(message("This field may not be blank."));
    }
    let mut problems = Vec::new();
    if text.contains('\0') {
        problems.push("Null characters are not allowed.".to_owned());
    }
    problems.extend(format_problem(rule.format, &text).map(ToOwned::to_owned));
    let longest = rule.longest.and_then(|longest| usize::try_from(longest).ok());
    if let Some(longest) = longest
        && text.chars().count() > longest
    {
        problems.push(format!("Ensure this field has no more than {longest} characters."));
    }
    if problems.is_empty() {
        return canonical(collection, field, text).map_err(message);
    }
    Err(problems.into_iter().map(Value::String).collect())
}

fn format_problem(format: Format, text: &str) -> Option<&'static str> {
    let is_fine = match format {
        _ if text.is_empty() => true,
        Format::Free => true,
        Format::Slug => text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'),
        Format::Color => text.len() == 6 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')),
        Format::Link => text::is_link(text),
    };
    (!is_fine).then_some(match format {
        Format::Slug => "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.",
        Format::Color => "Enter a valid hexadecimal RGB color code.",
        Format::Link | Format::Free => "Enter a valid URL.",
    })
}

/// Addresses and names in the one form in which NetBox keeps them.
fn canonical(collection: &Collection, field: &Field, text: String) -> Result<Datum, String> {
    let text = match (collection.rules.path, field.name.as_str()) {
        ("ipam/ip-addresses", "address") => text::address(&text)
            .map(|address| address.to_string())
            .ok_or_else(|| format!("Invalid IP address format: {text}"))?,
        ("ipam/prefixes", "prefix") => text::address(&text)
            .map(|prefix| prefix.trunc().to_string())
            .ok_or_else(|| format!("Invalid IP prefix format: {text}"))?,
        ("ipam/ip-addresses", "dns_name") => dns_name(&text)?,
        ("dcim/mac-addresses", "mac_address") => {
            text::mac(&text).ok_or_else(|| format!("Invalid MAC address format: {text}"))?
        }
        ("dcim/interfaces" | "virtualization/interfaces", "mac_address") => {
            text::mac(&text).ok_or_else(|| "Enter a valid MAC address (e.g. 00:11:22:33:44:55).".to_owned())?
        }
        _ => text,
    };
    Ok(Datum::Text(text.into()))
}

fn dns_name(text: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '.' | '_' | '-');
    if text.chars().all(is_fine) {
        Ok(text.to_lowercase())
    } else {
        Err(
            "Only alphanumeric characters, asterisks, hyphens, periods, and underscores are allowed in DNS names"
                .to_owned(),
        )
    }
}

fn int_value(value: &Value) -> Result<i64, Value> {
    if let Value::Number(number) = value
        && let Some(number) = number.as_i64().or_else(|| whole(number.as_f64()?))
    {
        return Ok(number);
    }
    if value.is_u64() {
        return Err(message(
            "Ensure this value is less than or equal to 9223372036854775807.",
        ));
    }
    let number = value.as_str().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| message("A valid integer is required."))
}

fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0)
        .then(|| format!("{number:.0}").parse().ok())
        .flatten()
}

fn real_value(value: &Value, has_two_decimals: bool) -> Result<f64, Value> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let number = number.ok_or_else(|| message("A valid number is required."))?;
    let decimals = number
        .to_string()
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    if has_two_decimals && decimals > 2 {
        return Err(message("Ensure that there are no more than 2 decimal places."));
    }
    Ok(number)
}

fn within<N: PartialOrd + std::fmt::Display + Copy>(
    number: N,
    least: Option<N>,
    most: Option<N>,
    stored: fn(N) -> Datum,
) -> Result<Datum, Value> {
    match (least, most) {
        (_, Some(most)) if number > most => Err(message(format!("Ensure this value is less than or equal to {most}."))),
        (Some(least), _) if number < least => Err(message(format!(
            "Ensure this value is greater than or equal to {least}."
        ))),
        _ => Ok(stored(number)),
    }
}

fn flag_value(value: &Value) -> Result<Datum, Value> {
    let word = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
    match word.as_str() {
        "true" | "1" | "t" | "yes" | "y" | "on" => Ok(Datum::Flag(true)),
        "false" | "0" | "f" | "no" | "n" | "off" => Ok(Datum::Flag(false)),
        _ => Err(message("Must be a valid boolean.")),
    }
}

fn choice_value(field: &Field, values: &[Value], value: &Value) -> Result<Datum, Value> {
    let is_blank = value.as_str() == Some("");
    if is_blank && (field.is_nullable || values.contains(value)) {
        return Ok(if field.is_nullable {
            Datum::Null
        } else {
            Datum::text("")
        });
    }
    if is_blank {
        return Err(message("This field may not be blank."));
    }
    if values.contains(value) {
        return Ok(field.kind.stored(value));
    }
    let shown = value.as_str().map_or_else(|| python(value), ToOwned::to_owned);
    Err(message(format!("{shown} is not a valid choice.")))
}
