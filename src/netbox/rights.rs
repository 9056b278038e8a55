//! Of which models the token's user may see or write some rows only.
//!
//! A permission can carry constraints, and NetBox leaves the rows that do not fit them out of its answers without a word.
//! Who knows of them knows that a row which is not found may be there all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::client::Client;
use super::error::Error;
use super::preflight::WHO_AM_I;
use super::query::Query;
use super::transport::{Call, Class};
use crate::reconcile::ObjectId;

const PERMISSIONS: &str = "/api/users/permissions/";
const USERS: &str = "/api/users/users/";
/// The model of the permissions themselves.
const PERMISSION: &str = "users.objectpermission";

/// What is done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// They are read.
    View,
    /// They are made.
    Add,
    /// They are changed.
    Change,
    /// They are deleted.
    Delete,
    /// Anything that a plugin may have added.
    #[serde(other)]
    Unknown,
}

/// What the token's user may do to some rows of a model, and not to all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    constrained: BTreeMap<Action, BTreeSet<String>>,
    /// Models of which rows may be made that may not be seen then.
    made_unseen: BTreeSet<String>,
}

impl Rights {
    /// Whether `action` is allowed for some rows of `model` (`dcim.device`) only. It is not where it is forbidden
    /// altogether, which NetBox says itself.
    pub fn is_constrained(&self, model: &str, action: Action) -> bool {
        let models = self.constrained.get(&action);
        models.is_some_and(|models| models.contains(model))
    }

    /// Whether rows of `model` may be made that may not be seen then.
    pub fn makes_unseen(&self, model: &str) -> bool {
        self.made_unseen.contains(model)
    }

    /// What `permissions` leave to `user`. Nothing is told where the user may not see all of them: one that is hidden may
    /// lift the constraints of another.
    fn of(user: &User, permissions: &[Permission]) -> Self {
        let mut granted: BTreeMap<(Action, &str), Vec<&Value>> = BTreeMap::new();
        for permission in permissions.iter().filter(|permission| permission.holds_for(user)) {
            for model in &permission.object_types {
                for action in &permission.actions {
                    let constraints = granted.entry((*action, model)).or_default();
                    constraints.extend(permission.constraints());
                }
            }
        }
        let sees_all = granted.get(&(Action::View, PERMISSION));
        if sees_all.is_none_or(|constraints| is_limited(constraints)) {
            return Self::default();
        }
        let mut rights = Self::default();
        for ((action, model), seen) in &granted {
            let made = granted.get(&(Action::Add, *model));
            if *action == Action::View && made.is_some_and(|made| !are_within(made, seen)) {
                rights.made_unseen.insert((*model).to_owned());
            }
        }
        for ((action, model), constraints) in granted {
            if is_limited(&constraints) {
                rights.constrained.entry(action).or_default().insert(model.to_owned());
            }
        }
        rights
    }
}

/// Whether a row has to fit one of `constraints`: NetBox takes any of them, and an empty one fits every row.
fn is_limited(constraints: &[&Value]) -> bool {
    !constraints.is_empty() && !constraints.iter().any(|constraint| fits_all(constraint))
}

fn fits_all(constraint: &Value) -> bool {
    constraint.is_null() || constraint.as_object().is_some_and(Map::is_empty)
}

/// Whether each row that fits one of `made` fits one of `seen` too: because it has all of its conditions, be it with more.
fn are_within(made: &[&Value], seen: &[&Value]) -> bool {
    let is_within = |made: &Value, seen: &Value| {
        let conditions = seen.as_object();
        fits_all(seen) || conditions.is_some_and(|seen| seen.iter().all(|(name, value)| made.get(name) == Some(value)))
    };
    let is_seen = |made: &&Value| seen.iter().any(|seen| is_within(made, seen));
    !is_limited(seen) || (is_limited(made) && made.iter().all(is_seen))
}

/// The user of a token as NetBox tells it. Whether that is a superuser it does not tell.
#[derive(Debug, Deserialize)]
struct User {
    id: ObjectId,
    #[serde(default)]
    groups: Vec<Linked>,
    #[serde(default)]
    permissions: Vec<Linked>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Linked {
    id: ObjectId,
}

/// A permission as NetBox answers it.
#[derive(Debug, Deserialize)]
struct Permission {
    enabled: bool,
    object_types: Vec<String>,
    actions: Vec<Action>,
    /// An object, a list of which any has to fit, or null.
    constraints: Value,
    users: Vec<Linked>,
    groups: Vec<Linked>,
}

impl Permission {
    const READ_FIELDS: &[&str] = &[
        "id",
        "enabled",
        "object_types",
        "actions",
        "constraints",
        "users",
        "groups",
    ];

    fn holds_for(&self, user: &User) -> bool {
        let is_direct = self.users.iter().any(|holder| holder.id == user.id);
        self.enabled && (is_direct || self.groups.iter().any(|group| user.groups.contains(group)))
    }

    fn constraints(&self) -> &[Value] {
        let one = slice::from_ref(&self.constraints);
        self.constraints.as_array().map_or(one, Vec::as_slice)
    }
}

/// Asks for the rights of the token's user: one request where it has no permissions, as most superusers, else two, and
/// a third where there is something to tell.
///
/// # Errors
///
/// Any failure of a request; [`Error::PermissionDenied`] where the user may not see permissions, [`Error::NoRoute`]
/// where the release does not tell whose token it is.
pub(super) async fn read(client: &Client) -> Result<Rights, Error> {
    let call = Call::get(WHO_AM_I, String::new(), Class::Probe);
    let user: User = client.call(call.clone()).await?.decode(&call)?;
    if user.groups.is_empty() && user.permissions.is_empty() {
        return Ok(Rights::default());
    }
    let query = Query::new().fields(Permission::READ_FIELDS).quick();
    let permissions: Vec<Permission> = client.list(PERMISSIONS, &query).await?;
    let rights = Rights::of(&user, &permissions);
    if rights == Rights::default() || is_superuser(client, user.id).await? {
        return Ok(Rights::default());
    }
    Ok(rights)
}

/// Whether `user`, whose token it is, may do everything whatever its permissions say. Then it may see users, too.
async fn is_superuser(client: &Client, user: ObjectId) -> Result<bool, Error> {
    let query = Query::new().with("id", user).with("is_superuser", true);
    let query = query.fields(&["id"]).quick();
    match client.find_one::<IgnoredAny>(USERS, &query).await {
        Err(Error::PermissionDenied { .. }) => Ok(false),
        found => Ok(found?.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MACHINE: &str = "virtualization.virtualmachine";

    /// As `/api/authentication-check/` of 4.7.3 answers it, shortened.
    fn user() -> User {
        let user = json!({
            "id": 2,
            "username": "sync",
            "is_active": true,
            "groups": [{"id": 1, "display": "syncers", "name": "syncers", "description": ""}],
            "permissions": [{"id": 4, "display": "off", "enabled": false, "object_types": ["dcim.device"], "actions": ["view"]}],
        });
        serde_json::from_value(user).unwrap()
    }

    /// A permission to see and change virtual machines.
    fn permission(constraints: &Value) -> Value {
        json!({
            "id": 1,
            "enabled": true,
            "object_types": ["virtualization.vminterface", MACHINE],
            "actions": ["view", "change", "render_config"],
            "constraints": constraints,
            "groups": [],
            "users": [{"id": 2, "display": "sync", "username": "sync"}],
        })
    }

    fn with(mut permission: Value, name: &str, value: Value) -> Value {
        permission[name] = value;
        permission
    }

    fn sees_permissions(constraints: &Value) -> Value {
        with(permission(constraints), "object_types", json!([PERMISSION]))
    }

    fn rights(permissions: &[Value]) -> Rights {
        let decoded: Vec<Permission> = permissions
            .iter()
            .map(|row| serde_json::from_value(row.clone()).unwrap())
            .collect();
        Rights::of(&user(), &decoded)
    }

    #[test]
    fn any_permission_without_constraints_lifts_those_of_the_others() {
        let limited = || permission(&json!({"name__startswith": "a"}));
        let of_group = |group: u64| {
            let row = with(permission(&Value::Null), "users", json!([]));
            with(row, "groups", json!([{"id": group, "name": "a group"}]))
        };
        let cases = [
            ("none", vec![], false),
            ("one", vec![limited()], true),
            ("two", vec![limited(), permission(&json!({"cluster": 1}))], true),
            ("a list", vec![permission(&json!([{"name": "a"}, {"name": "b"}]))], true),
            ("null", vec![permission(&Value::Null)], false),
            ("an empty object", vec![permission(&json!({}))], false),
            ("an empty list", vec![permission(&json!([]))], false),
            (
                "an empty list does not lift",
                vec![limited(), permission(&json!([]))],
                true,
            ),
            (
                "an empty one of a list",
                vec![permission(&json!([{"name": "a"}, {}]))],
                false,
            ),
            ("lifted", vec![limited(), permission(&Value::Null)], false),
            ("lifted by the user's group", vec![limited(), of_group(1)], false),
            ("not by another group", vec![limited(), of_group(9)], true),
            (
                "not by another user's",
                vec![limited(), with(permission(&Value::Null), "users", json!([{"id": 9}]))],
                true,
            ),
            (
                "not by one that is switched off",
                vec![limited(), with(permission(&Value::Null), "enabled", json!(false))],
                true,
            ),
            (
                "not for another model",
                vec![
                    limited(),
                    with(permission(&Value::Null), "object_types", json!(["dcim.device"])),
                ],
                true,
            ),
            (
                "not for another action",
                vec![limited(), with(permission(&Value::Null), "actions", json!(["change"]))],
                true,
            ),
            ("switched off", vec![with(limited(), "enabled", json!(false))], false),
        ];
        for (what, mut permissions, expected) in cases {
            permissions.push(sees_permissions(&Value::Null));
            let rights = rights(&permissions);
            assert_eq!(rights.is_constrained(MACHINE, Action::View), expected, "{what}");
        }
    }

    #[test]
    fn only_models_and_actions_of_a_permission_are_constrained() {
        let limited = permission(&json!({"name": "a"}));
        let rights = rights(&[limited, sees_permissions(&Value::Null)]);
        assert!(rights.is_constrained("virtualization.vminterface", Action::Change));
        assert!(!rights.is_constrained(MACHINE, Action::Delete));
        assert!(!rights.is_constrained("dcim.device", Action::View));
    }

    #[test]
    fn rows_are_made_unseen_where_what_is_seen_has_other_constraints() {
        let ops = json!({"tenant__slug": "ops"});
        let active = json!({"status": "active"});
        let both = json!({"status": "active", "tenant__slug": "ops"});
        let cases = [
            ("all are seen", json!(null), Some(active.clone()), false),
            ("the same", ops.clone(), Some(ops.clone()), false),
            ("the same among others", json!([active, ops]), Some(ops.clone()), false),
            ("narrower", ops.clone(), Some(both.clone()), false),
            ("others", ops.clone(), Some(active.clone()), true),
            ("one of two", ops.clone(), Some(json!([ops, active])), true),
            ("wider", both, Some(ops.clone()), true),
            ("another value", ops.clone(), Some(json!({"tenant__slug": "dev"})), true),
            ("all are made", ops.clone(), Some(json!(null)), true),
            ("none is made", ops, None, false),
        ];
        for (what, seen, made, expected) in cases {
            let mut permissions = vec![sees_permissions(&Value::Null)];
            permissions.push(with(permission(&seen), "actions", json!(["view"])));
            permissions.extend(made.map(|made| with(permission(&made), "actions", json!(["add"]))));
            assert_eq!(rights(&permissions).makes_unseen(MACHINE), expected, "{what}");
        }
    }

    #[test]
    fn nothing_is_told_where_permissions_may_be_hidden() {
        let limited = || permission(&json!({"name": "a"}));
        for (what, permissions) in [
            ("no right is shown", vec![limited()]),
            (
                "a constrained one",
                vec![limited(), sees_permissions(&json!({"users": "$user"}))],
            ),
        ] {
            assert_eq!(rights(&permissions), Rights::default(), "{what}");
        }
    }
}
