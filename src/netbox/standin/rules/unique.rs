//! Columns whose values no two rows share.

use super::Draft;
use crate::netbox::standin::collections::Unique;
use crate::netbox::standin::datum::Datum;

pub(super) fn check(draft: &mut Draft<'_>) {
    for rule in draft.collection.rules.unique {
        if is_taken(draft, rule) {
            draft.errors.add(rule.blames, rule.says);
        }
    }
}

fn is_taken(draft: &Draft<'_>, rule: &Unique) -> bool {
    let values = |columns: &[&str]| columns.iter().any(|column| draft.get(column).is_null());
    if values(rule.columns)
        || rule
            .columns
            .iter()
            .all(|column| draft.get(column).as_text() == Some(""))
    {
        return false;
    }
    let Some(table) = draft.world.table(draft.collection.id) else {
        return false;
    };
    let is_same = |id: u64| {
        let other = draft.world.row(draft.collection.id, id);
        draft.id != Some(id)
            && other.is_some_and(|other| {
                rule.columns.iter().chain(rule.or_empty).all(|column| {
                    let theirs = other.get(draft.collection.field_id(column));
                    is_equal(draft.get(column), theirs, rule.is_folded)
                })
            })
    };
    // The index with the fewest rows under the draft's value; without any, every row is looked at.
    let candidates = rule
        .columns
        .iter()
        .filter_map(|column| {
            let key = draft.get(column).keys().pop()?;
            table.find(draft.collection.field_id(column)?, &key)
        })
        .min_by_key(|ids| ids.len());
    match candidates {
        Some(ids) => ids.iter().any(|id| is_same(*id)),
        None => table.from(0).any(|(id, _)| is_same(id)),
    }
}

fn is_equal(ours: &Datum, theirs: &Datum, is_folded: bool) -> bool {
    match (ours.as_text(), theirs.as_text()) {
        (Some(ours), Some(theirs)) if is_folded => ours.to_lowercase() == theirs.to_lowercase(),
        _ => ours == theirs,
    }
}
