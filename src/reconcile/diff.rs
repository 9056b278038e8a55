//! Compares desired with stored rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{
    Change, Create, Delete, Fields, Mode, ObjectId, Plan, Policy, Refused, Resource, Retire, Row, Stored, Unchanged,
    Update, Wanted,
};

/// What has to be written so that `actual` becomes `desired` under `policy`.
///
/// Fields that a desired row does not mention are left alone. Members of union fields are added, never taken away.
/// Stored rows that no desired row claims are handed to `retire`. A key that two desired rows or two stored rows share
/// is nobody's: the desired row is refused, and no stored row of that key is retired.
pub fn diff<R: Resource>(
    desired: Vec<Wanted<R>>,
    actual: &[Stored<R>],
    policy: &Policy,
    retire: impl Fn(&Stored<R>) -> Retire,
) -> Plan {
    let mut plan = Plan::of::<R>();
    if policy.mode == Mode::Disabled {
        return plan;
    }
    let index = Index::new(actual);
    let mut claimed: BTreeSet<ObjectId> = BTreeSet::new();
    let mut given: BTreeSet<R::Key> = BTreeSet::new();
    let mut desired: Vec<(R::Key, Wanted<R>)> = desired
        .into_iter()
        .map(|wanted| (wanted.object.key(), wanted))
        .collect();
    desired.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (key, wanted) in desired {
        if !given.insert(key.clone()) {
            plan.refused.push(refusal(&wanted.object, "it was asked for twice"));
            continue;
        }
        match index.find(&wanted, &key) {
            Found::One(stored) if claimed.insert(stored.id) => compare(stored, &key, &wanted.object, policy, &mut plan),
            Found::One(_) => plan
                .refused
                .push(refusal(&wanted.object, "another object already claims its row")),
            Found::None => plan.create.push(Create {
                key: key.to_string(),
                label: wanted.object.label(),
                fields: wanted.object.fields(),
            }),
            Found::Gone => plan.refused.push(refusal(&wanted.object, "its row has gone meanwhile")),
            Found::Many(rows) => {
                plan.refused
                    .push(refusal(&wanted.object, &format!("{} rows have this key", rows.len())));
                claimed.extend(rows);
            }
        }
    }
    if policy.mode == Mode::Always {
        retire_unclaimed(actual, &claimed, retire, &mut plan);
    }
    plan
}

fn refusal<R: Resource>(object: &R, reason: &str) -> Refused {
    Refused {
        key: object.key().to_string(),
        label: object.label(),
        reason: reason.to_owned(),
    }
}

enum Found<'a, R> {
    None,
    Gone,
    One(&'a Stored<R>),
    Many(Vec<ObjectId>),
}

struct Index<'a, R: Resource> {
    by_key: BTreeMap<R::Key, Vec<&'a Stored<R>>>,
    by_id: BTreeMap<ObjectId, &'a Stored<R>>,
}

impl<'a, R: Resource> Index<'a, R> {
    fn new(actual: &'a [Stored<R>]) -> Self {
        let mut by_key: BTreeMap<R::Key, Vec<&'a Stored<R>>> = BTreeMap::new();
        for stored in actual {
            by_key.entry(stored.object.key()).or_default().push(stored);
        }
        Self {
            by_key,
            by_id: actual.iter().map(|stored| (stored.id, stored)).collect(),
        }
    }

    fn find(&self, wanted: &Wanted<R>, key: &R::Key) -> Found<'a, R> {
        match wanted.row {
            Row::New => Found::None,
            Row::Is(id) => self.by_id.get(&id).map_or(Found::Gone, |stored| Found::One(stored)),
            Row::ByKey => match self.by_key.get(key).map(Vec::as_slice) {
                None | Some([]) => Found::None,
                Some([stored]) => Found::One(stored),
                Some(rows) => Found::Many(rows.iter().map(|stored| stored.id).collect()),
            },
        }
    }
}

fn compare<R: Resource>(stored: &Stored<R>, key: &R::Key, object: &R, policy: &Policy, plan: &mut Plan) {
    let (id, key, label) = (stored.id, key.to_string(), object.label());
    let changes = match policy.mode {
        Mode::Always => changes::<R>(&stored.object.fields(), object.fields(), policy),
        Mode::BootstrapOnly | Mode::Disabled => BTreeMap::new(),
    };
    if changes.is_empty() {
        plan.unchanged.push(Unchanged { id, key, label });
    } else {
        plan.update.push(Update {
            id,
            key,
            label,
            changes,
            is_retirement: false,
        });
    }
}

fn changes<R: Resource>(before: &Fields, wanted: Fields, policy: &Policy) -> BTreeMap<&'static str, Change> {
    let mut changes = BTreeMap::new();
    let mut riding = BTreeMap::new();
    for (field, after) in wanted {
        if policy.create_only.contains(field) {
            continue;
        }
        let before = before.get(field).cloned().unwrap_or(Value::Null);
        let after = if R::UNIONS.contains(&field) {
            union(&before, &after)
        } else {
            after
        };
        if R::is_same(field, &before, &after) {
            continue;
        }
        match policy.riders.iter().find(|rider| rider.field == field) {
            Some(rider) if !is_overdue(&before, rider.overdue_before.as_deref()) => {
                riding.insert(field, Change { before, after });
            }
            _ => {
                changes.insert(field, Change { before, after });
            }
        }
    }
    if !changes.is_empty() {
        changes.extend(riding);
    }
    changes
}

/// Whether a stored time stamp is missing or older than `limit`. The write side answers it in a time zone of its own.
fn is_overdue(before: &Value, limit: Option<&str>) -> bool {
    let instant = |text| OffsetDateTime::parse(text, &Rfc3339).ok();
    let Some(limit) = limit.and_then(instant) else {
        return false;
    };
    before.as_str().and_then(instant).is_none_or(|stored| stored < limit)
}

/// The members of both lists, sorted, each once.
fn union(before: &Value, after: &Value) -> Value {
    let mut members: Vec<Value> = before
        .as_array()
        .into_iter()
        .chain(after.as_array())
        .flatten()
        .cloned()
        .collect();
    members.sort_by_key(Value::to_string);
    members.dedup();
    Value::Array(members)
}

fn retire_unclaimed<R: Resource>(
    actual: &[Stored<R>],
    claimed: &BTreeSet<ObjectId>,
    retire: impl Fn(&Stored<R>) -> Retire,
    plan: &mut Plan,
) {
    let mut leftover: Vec<&Stored<R>> = actual.iter().filter(|stored| !claimed.contains(&stored.id)).collect();
    leftover.sort_by_key(|stored| stored.object.key());
    for stored in leftover {
        let (id, key, label) = (stored.id, stored.object.key().to_string(), stored.object.label());
        match retire(stored) {
            Retire::Keep => {}
            Retire::Delete => plan.delete.push(Delete { id, key, label }),
            Retire::Mark(fields) => {
                let changes = changes::<R>(&stored.object.fields(), fields, &Policy::default());
                if !changes.is_empty() {
                    plan.update.push(Update {
                        id,
                        key,
                        label,
                        changes,
                        is_retirement: true,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone)]
    struct Disk {
        name: &'static str,
        fields: Vec<(&'static str, Value)>,
    }

    impl Resource for Disk {
        const PATH: &'static str = "/api/disks/";
        const KIND: &'static str = "disk";
        type Key = String;

        fn key(&self) -> String {
            self.name.to_owned()
        }

        fn fields(&self) -> Fields {
            self.fields.iter().cloned().collect()
        }
    }

    fn disk(name: &'static str, fields: &[(&'static str, Value)]) -> Disk {
        Disk {
            name,
            fields: fields.to_vec(),
        }
    }

    fn stored(id: u64, object: Disk) -> Stored<Disk> {
        Stored {
            id: ObjectId(id),
            object,
        }
    }

    fn plan(desired: &[Disk], actual: &[Stored<Disk>], policy: &Policy) -> Plan {
        diff(
            desired.iter().cloned().map(Wanted::by_key).collect(),
            actual,
            policy,
            |_| Retire::Keep,
        )
    }

    #[test]
    fn equal_rows_plan_nothing() {
        let row = disk("scsi0", &[("size", json!(10))]);
        let plan = plan(
            std::slice::from_ref(&row),
            &[stored(1, row.clone())],
            &Policy::default(),
        );
        assert!(plan.is_empty() && plan.unchanged.len() == 1, "{plan:?}");
    }

    #[test]
    fn unmentioned_field_is_left_alone() {
        let have = stored(1, disk("scsi0", &[("size", json!(10)), ("comment", json!("mine"))]));
        assert!(plan(&[disk("scsi0", &[("size", json!(10))])], &[have], &Policy::default()).is_empty());
    }

    #[test]
    fn resized_disk_updates_only_its_size() {
        let have = stored(1, disk("scsi0", &[("size", json!(10)), ("comment", json!("mine"))]));
        let want = disk("scsi0", &[("size", json!(20)), ("comment", json!("mine"))]);
        assert_json_snapshot!(plan(&[want], &[have], &Policy::default()).update, @r#"
        [
          {
            "id": 1,
            "key": "scsi0",
            "label": "scsi0",
            "changes": {
              "size": {
                "before": 10,
                "after": 20
              }
            }
          }
        ]
        "#);
    }

    #[test]
    fn null_clears_what_is_set_and_only_that() {
        let want = disk("scsi0", &[("comment", Value::Null)]);
        let set = stored(1, disk("scsi0", &[("comment", json!("old"))]));
        let bare = stored(1, disk("scsi0", &[]));
        assert_eq!(
            plan(std::slice::from_ref(&want), &[set], &Policy::default())
                .update
                .len(),
            1
        );
        assert!(plan(&[want], &[bare], &Policy::default()).is_empty());
    }

    #[test]
    fn operators_tags_survive_a_merge() {
        let have = stored(1, disk("scsi0", &[("tags", json!(["gold"]))]));
        let want = disk("scsi0", &[("tags", json!(["proxbox"]))]);
        let plan = plan(&[want], &[have], &Policy::default());
        assert_eq!(plan.update[0].changes["tags"].after, json!(["gold", "proxbox"]));
    }

    #[test]
    fn create_only_field_is_set_once() {
        let policy = Policy::default().update_if("role", false);
        let want = disk("scsi0", &[("role", json!(2))]);
        let have = stored(1, disk("scsi0", &[("role", json!(1))]));
        assert!(plan(std::slice::from_ref(&want), &[have], &policy).is_empty());
        assert_eq!(plan(&[want], &[], &policy).create[0].fields["role"], json!(2));
    }

    #[test]
    fn bootstrap_only_creates_but_never_touches_again() {
        let policy = Policy::with_mode(Mode::BootstrapOnly);
        let have = stored(1, disk("scsi0", &[("size", json!(10))]));
        let want = [
            disk("scsi0", &[("size", json!(20))]),
            disk("scsi1", &[("size", json!(5))]),
        ];
        let plan = plan(&want, &[have], &policy);
        assert_eq!((plan.create.len(), plan.update.len(), plan.unchanged.len()), (1, 0, 1));
    }

    #[test]
    fn disabled_mode_plans_nothing() {
        let plan = plan(&[disk("scsi0", &[])], &[], &Policy::with_mode(Mode::Disabled));
        assert!(plan.is_empty());
    }

    #[test]
    fn rider_travels_with_a_change_and_alone_only_when_overdue() {
        let rider = |limit: &str| Policy::default().rider("seen", Some(limit.to_owned()));
        let have = stored(
            1,
            disk("scsi0", &[("size", json!(10)), ("seen", json!("2026-01-02T00:00:00Z"))]),
        );
        let want = |size| {
            [disk(
                "scsi0",
                &[("size", json!(size)), ("seen", json!("2026-01-03T00:00:00Z"))],
            )]
        };
        let fresh = plan(&want(10), std::slice::from_ref(&have), &rider("2026-01-01T00:00:00Z"));
        assert!(fresh.is_empty(), "{fresh:?}");
        let overdue = plan(&want(10), std::slice::from_ref(&have), &rider("2026-01-02T12:00:00Z"));
        assert_eq!(overdue.update[0].changes.len(), 1);
        let resized = plan(&want(20), &[have], &rider("2026-01-01T00:00:00Z"));
        assert_eq!(resized.update[0].changes.keys().collect::<Vec<_>>(), [&"seen", &"size"]);
    }

    #[test]
    fn shared_keys_are_refused_and_never_retired() {
        let rows = [stored(1, disk("scsi0", &[])), stored(2, disk("scsi0", &[]))];
        let plan = diff(
            vec![Wanted::by_key(disk("scsi0", &[]))],
            &rows,
            &Policy::default(),
            |_| Retire::Delete,
        );
        assert_eq!((plan.refused.len(), plan.delete.len()), (1, 0), "{plan:?}");
        let twice = vec![Wanted::by_key(disk("scsi1", &[])), Wanted::by_key(disk("scsi1", &[]))];
        let plan = diff(twice, &[], &Policy::default(), |_| Retire::Keep);
        assert_eq!((plan.create.len(), plan.refused.len()), (1, 1), "{plan:?}");
    }

    #[test]
    fn unclaimed_rows_are_marked_once() {
        let rows = [
            stored(1, disk("a", &[("status", json!("active"))])),
            stored(2, disk("b", &[("status", json!("stale"))])),
        ];
        let mark = |_: &Stored<Disk>| Retire::Mark(Fields::from([("status", json!("stale"))]));
        let plan = diff(Vec::new(), &rows, &Policy::default(), mark);
        assert_eq!(
            plan.update.iter().map(|update| update.id).collect::<Vec<_>>(),
            [ObjectId(1)]
        );
        assert_eq!(plan.retirements(), 1);
    }

    #[test]
    fn row_named_by_id_is_taken_whatever_its_key() {
        let rows = [stored(7, disk("renamed", &[("size", json!(1))]))];
        let wanted = Wanted {
            object: disk("scsi0", &[("size", json!(1))]),
            row: Row::Is(ObjectId(7)),
        };
        assert!(diff(vec![wanted.clone()], &rows, &Policy::default(), |_| Retire::Delete).is_empty());
        let plan = diff(vec![wanted], &[], &Policy::default(), |_| Retire::Delete);
        assert_eq!(
            (plan.create.len(), plan.refused.len()),
            (0, 1),
            "a row that went away is not made anew: {plan:?}"
        );
    }
}
