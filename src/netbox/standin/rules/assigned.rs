//! Objects of any kind that a row is assigned to.

use super::Draft;
use crate::netbox::standin::refusal::WHOLE_ROW;
use crate::netbox::standin::schema::Collection;

const SCOPES: &[&str] = &["dcim.region", "dcim.sitegroup", "dcim.site", "dcim.location"];

/// Checks the two columns `…_type` and `…_id`: a kind among `models`, an object that exists, both or neither.
pub(super) fn object(draft: &mut Draft<'_>, prefix: &str, models: &[&str]) {
    let (kind, id) = (format!("{prefix}_type"), format!("{prefix}_id"));
    let model = draft.get(&kind).as_text().map(ToOwned::to_owned);
    let number = draft.get(&id).as_id();
    match (model, number) {
        (Some(model), _) if !models.contains(&model.as_str()) => {
            draft.refuse(&kind, format!("Invalid content type: {model}"));
        }
        (Some(_), None) if prefix == "scope" => draft.refuse(WHOLE_ROW, "Please select a site."),
        (Some(_), None) => draft.refuse(&id, "This field cannot be null."),
        (None, Some(_)) => draft.refuse(&kind, "This field cannot be null."),
        (Some(_), Some(number)) if draft.world.assigned(draft.collection, &draft.row, prefix).is_none() => {
            draft.refuse(
                &id,
                format!("Related object not found using the provided value: {number}."),
            );
        }
        _ => {}
    }
}

pub(super) fn scope(draft: &mut Draft<'_>) {
    object(draft, "scope", SCOPES);
}

/// A journal entry belongs to an object of any kind.
pub(super) fn journal(draft: &mut Draft<'_>) {
    let kind = draft.get("assigned_object_type").to_text();
    let Some(collection) = draft.world.schema.of_model(&kind) else {
        draft.refuse("assigned_object_type", format!("Invalid content type: {kind}"));
        return;
    };
    if draft
        .world
        .assigned(draft.collection, &draft.row, "assigned_object")
        .is_none()
    {
        let id = draft.get("assigned_object_id").to_text();
        let title = title(collection);
        draft.refuse(WHOLE_ROW, format!("Invalid assigned_object: {title} ID {id}"));
    }
}

/// `Virtualization > Virtual Machine`.
fn title(collection: &Collection) -> String {
    let app = collection.rules.model.split('.').next().unwrap_or_default();
    let app: String = app
        .chars()
        .enumerate()
        .map(|(position, c)| if position == 0 { c.to_ascii_uppercase() } else { c })
        .collect();
    let mut words = String::new();
    let mut is_after_lower = false;
    for c in collection.rules.class.chars() {
        if c.is_uppercase() && is_after_lower {
            words.push(' ');
        }
        is_after_lower = c.is_lowercase();
        words.push(c);
    }
    format!("{app} > {words}")
}
