//! Tags that only some types of objects may bear.

use serde_json::{Value, json};

use super::Draft;
use crate::netbox::standin::datum::Datum;
use crate::netbox::standin::refusal::Refusal;
use crate::netbox::standin::world::Found;

/// A tag that a row already bears is not looked at again.
///
/// # Errors
///
/// The refusal that ends a request and names no row.
pub(super) fn check(draft: &Draft<'_>) -> Result<(), Refusal> {
    let Some(tags) = draft.collection.field("tags").and_then(|field| field.kind.target()) else {
        return Ok(());
    };
    let model = draft.collection.rules.model;
    let before = draft.stored("tags").ids();
    let new = draft.get("tags").ids().iter().filter(|tag| !before.contains(tag));
    let refused = new
        .filter_map(|tag| draft.world.found(tags, *tag))
        .find(|tag| !is_for(*tag, model));
    let Some(tag) = refused else { return Ok(()) };
    let (_, noun) = model.split_once('.').unwrap_or(("", model));
    let detail = format!("Tag {} cannot be assigned to {noun} objects.", tag.display());
    Err(Refusal::Whole(400, json!({ "detail": detail })))
}

fn is_for(tag: Found<'_>, model: &str) -> bool {
    let Datum::Json(types) = tag.get("object_types") else {
        return true;
    };
    let types: &[Value] = types.as_array().map_or(&[], Vec::as_slice);
    types.is_empty() || types.iter().any(|allowed| allowed == model)
}
