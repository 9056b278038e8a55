//! The permissions behind an account's rights, one for each, all of them its user's own.

use serde_json::{Value, json};

use super::Shared;
use super::access::{self, Account, Action};
use super::collections::COLLECTIONS;
use super::datum::Key;
use super::list;
use super::refusal::forbidden;
use super::render::Selection;
use super::write::Answer;

/// Below `/api/`.
pub(super) const PATH: &str = "users/permissions";
const MODEL: &str = "users.objectpermission";
/// What of a permission stands inside of a user.
const BRIEF: &[&str] = &[
    "id",
    "url",
    "display",
    "name",
    "description",
    "enabled",
    "object_types",
    "actions",
];

/// The account's permissions as its user shows them: without their constraints.
pub(super) fn brief(shared: &Shared, account: &Account) -> Value {
    let selection = Selection {
        fields: Some(BRIEF.iter().map(|&field| field.to_owned()).collect()),
        ..Selection::default()
    };
    rows(shared, account, &selection).into()
}

/// The one page of permissions. Those of other accounts are left out.
pub(super) fn page(shared: &Shared, account: &Account, query: &str) -> Answer {
    if !account.may(Action::View, PATH) {
        return forbidden();
    }
    let rows = rows(shared, account, &list::selection(&list::parameters(query)));
    (
        200,
        json!({"count": rows.len(), "next": null, "previous": null, "results": rows}),
    )
}

fn rows(shared: &Shared, account: &Account, selection: &Selection) -> Vec<Value> {
    let base = &shared.base_url;
    let name = access::user_name(account);
    let users = shared.read(|world| world.rows_with("users/users", "username", &Key::text(name)));
    let user = users.first().map(|id| {
        json!({
            "id": id,
            "url": format!("{base}/api/users/users/{id}/"),
            "display_url": format!("{base}/users/users/{id}/"),
            "display": name,
            "username": name,
        })
    });
    let rights = account.rights.iter().flatten();
    let rows = rights.enumerate().map(|(position, right)| {
        let id = position + 1;
        let mut row = json!({
            "id": id,
            "url": format!("{base}/api/{PATH}/{id}/"),
            "display_url": format!("{base}/{PATH}/{id}/"),
            "display": right.path,
            "name": right.path,
            "description": "",
            "enabled": true,
            "object_types": [model(&right.path)],
            "actions": right.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
            "constraints": right.constraints,
            "groups": [],
            "users": [user],
        });
        if let Some(row) = row.as_object_mut() {
            row.retain(|field, _| selection.takes(field));
        }
        row
    });
    rows.collect()
}

fn model(path: &str) -> &str {
    let rules = COLLECTIONS.iter().find(|rules| rules.path == path);
    rules.map_or(MODEL, |rules| rules.model)
}
