//! From rows to answers.

use serde_json::{Map, Value, json};

use super::computed::{self, Computed};
use super::datum::Datum;
use super::field::Kind;
use super::schema::{Member, Shape};
use super::text;
use super::world::Found;

/// Which keys of a row are asked for.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) fields: Option<Vec<String>>,
    pub(super) omit: Vec<String>,
    pub(super) is_brief: bool,
}

impl Selection {
    pub(super) fn takes(&self, name: &str) -> bool {
        match &self.fields {
            Some(fields) => fields.iter().any(|field| field == name),
            None => !self.omit.iter().any(|field| field == name),
        }
    }
}

/// A row in full, as far as it is asked for; links begin with `base`.
pub(super) fn row(found: Found<'_>, base: &str, selection: &Selection) -> Value {
    let shapes = &found.world.schema.shapes;
    let collection = found.collection;
    let shape = collection
        .brief
        .filter(|_| selection.is_brief)
        .unwrap_or(collection.shape);
    let mut object = Map::new();
    for member in shapes
        .get(shape)
        .map(|shape| shape.members.as_slice())
        .unwrap_or_default()
    {
        if selection.takes(&member.name) {
            object.insert(member.name.clone(), value(found, member, base, true));
        }
    }
    Value::Object(object)
}

/// A row nested in another one.
fn nested(found: Found<'_>, shape: &Shape, base: &str) -> Value {
    let members = shape.members.iter();
    let members = members.map(|member| (member.name.clone(), value(found, member, base, false)));
    Value::Object(members.collect())
}

fn value(found: Found<'_>, member: &Member, base: &str, is_full: bool) -> Value {
    let (path, id) = (found.collection.rules.path, found.id);
    match member.name.as_str() {
        "id" => id.into(),
        "url" => format!("{base}/api/{path}/{id}/").into(),
        "display_url" => format!("{base}/{path}/{id}/").into(),
        "display" if is_full => found.display().into(),
        "display" => found.short().into(),
        name => match computed::of(found, name) {
            Some(Computed::Value(value)) => labelled(member, &value).unwrap_or(value),
            Some(Computed::Object(object)) => object.map_or(Value::Null, |object| in_own_shape(object, base)),
            Some(Computed::Objects(objects)) => objects.into_iter().map(|object| in_own_shape(object, base)).collect(),
            None => stored(found, member, base),
        },
    }
}

/// An object whose kind the schema leaves open.
fn in_own_shape(found: Found<'_>, base: &str) -> Value {
    let shapes = &found.world.schema.shapes;
    let shape = found.collection.brief.unwrap_or(found.collection.shape);
    shapes
        .get(shape)
        .map_or(Value::Null, |shape| nested(found, shape, base))
}

fn stored(found: Found<'_>, member: &Member, base: &str) -> Value {
    let datum = found.row.get(member.field);
    let shape = member.shape.and_then(|shape| found.world.schema.shapes.get(shape));
    let kind = member
        .field
        .and_then(|field| found.collection.fields.get(field))
        .map(|field| &field.kind);
    match (kind, shape) {
        (Some(Kind::One(target)), Some(shape)) => {
            let other = target
                .zip(datum.as_id())
                .and_then(|(target, id)| found.world.found(target, id));
            other.map_or(Value::Null, |other| nested(other, shape, base))
        }
        (Some(Kind::Many(target)), Some(shape)) => {
            let ids = datum.ids().iter();
            let mut others: Vec<Found<'_>> = ids.filter_map(|id| found.world.found((*target)?, *id)).collect();
            others.sort_by(|left, right| text::natural(&left.display(), &right.display()));
            others.into_iter().map(|other| nested(other, shape, base)).collect()
        }
        _ => {
            let value = datum.to_value();
            labelled(member, &value).unwrap_or(value)
        }
    }
}

/// `{value, label}` for columns that are answered so.
fn labelled(member: &Member, value: &Value) -> Option<Value> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if member.labels.is_empty() {
        return None;
    }
    let label = member
        .labels
        .iter()
        .find(|(known, _)| *known == text)
        .map(|(_, label)| label);
    label.map(|label| json!({"value": value, "label": label}))
}

/// Whether a column is empty in an answer.
pub(super) fn is_blank(datum: &Datum) -> bool {
    datum.is_null() || datum.as_text() == Some("")
}
