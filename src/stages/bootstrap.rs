//! The supporting objects: tags, types, roles, the manufacturer.
//!
//! They are found by slug; where NetBox refuses a new row, by name too, and such a row keeps its slug, but for tags. A row that exists is
//! left as an operator has it: it gets the Proxbox tag, and a description where it has none. A row that bears our name but
//! was never adopted and never described, as the plugin's migrations leave the guest roles, is taken over whole.

use std::collections::HashSet;

use crate::inventory::GuestKind;
use crate::mapping::bootstrap::{self as mapping, DISCOVERED_CLUSTER_TAG, DISCOVERED_NODE_TAG};
use crate::mapping::virtual_machine::discovered_tag;
use crate::netbox::objects::{
    Cluster, ClusterType, Device, DeviceRole, DeviceType, Manufacturer, Named, NamedKind, Object as _, PROXBOX_TAG,
    Tag, VirtualMachine, VirtualMachineType,
};
use crate::reconcile::{ObjectId, Policy, Resource, Row, Stored, Wanted};

use super::{Desired, Facts, Pass, Selection};

/// The tags.
#[derive(Debug)]
pub struct Tags;
/// The cluster types.
#[derive(Debug)]
pub struct ClusterTypes;
/// The manufacturer of nodes.
#[derive(Debug)]
pub struct Manufacturers;
/// The device type of nodes.
#[derive(Debug)]
pub struct DeviceTypes;
/// The roles of nodes and guests.
#[derive(Debug)]
pub struct Roles;
/// The types of guests.
#[derive(Debug)]
pub struct VirtualMachineTypes;

fn by_slug<K: NamedKind>(objects: &[Named<K>]) -> Vec<Selection> {
    vec![Selection::any_of("slug", objects.iter().map(|object| &object.slug))]
}

fn by_name<K: NamedKind>(objects: &[Named<K>]) -> Selection {
    Selection::any_of(K::NAME_FILTER, objects.iter().filter_map(|object| object.name.as_ref()))
}

/// The row that has the name of `wanted` and a slug that is none of ours.
fn namesake<'a, K: NamedKind>(
    wanted: &Named<K>,
    actual: &'a [Stored<Named<K>>],
    slugs: &HashSet<String>,
) -> Option<&'a Stored<Named<K>>> {
    let name = wanted.name.as_deref()?.to_lowercase();
    let is_namesake = |stored: &&Stored<Named<K>>| {
        let has = stored.object.name.as_deref().unwrap_or_default();
        has.to_lowercase() == name && !slugs.contains(&stored.object.slug)
    };
    let found: Vec<_> = actual.iter().filter(is_namesake).collect();
    let is_exact = |stored: &&&Stored<Named<K>>| stored.object.name == wanted.name;
    match found.as_slice() {
        [one] => Some(*one),
        several => match several.iter().filter(is_exact).collect::<Vec<_>>()[..] {
            [one] => Some(*one),
            _ => None,
        },
    }
}

/// `desired` without what an operator owns of the rows that exist.
fn adopt<K: NamedKind>(mut desired: Desired<Named<K>>, actual: &[Stored<Named<K>>]) -> Desired<Named<K>> {
    let slugs: HashSet<String> = desired.wanted.iter().map(|wanted| wanted.object.key()).collect();
    for wanted in &mut desired.wanted {
        let same = actual.iter().find(|stored| stored.object.key() == wanted.object.key());
        let Some(stored) = same.or_else(|| namesake(&wanted.object, actual, &slugs)) else {
            continue;
        };
        if same.is_none() {
            wanted.row = Row::Is(stored.id);
        }
        let has = &stored.object;
        let is_described = has.description.as_ref().is_some_and(|text| !text.is_empty());
        let is_bare = !is_described && !has.tags.contains(PROXBOX_TAG);
        let is_untouched = is_bare && same.is_some() && has.name == wanted.object.name;
        if is_untouched {
            continue;
        }
        let description = wanted.object.description.take().filter(|_| !is_described);
        let tags = std::mem::take(&mut wanted.object.tags);
        let mut kept = Named::new(&wanted.object.slug);
        kept.description = description;
        kept.tags = tags;
        wanted.object = kept;
    }
    desired
}

macro_rules! named_pass {
    ($pass:ident, $object:ty, $desired:expr) => {
        impl Pass for $pass {
            type Object = $object;

            fn scope(facts: &Facts) -> Vec<Selection> {
                let desired: fn(&Facts) -> Vec<$object> = $desired;
                by_slug(&desired(facts))
            }

            fn scope_again(facts: &Facts) -> Vec<Selection> {
                let desired: fn(&Facts) -> Vec<$object> = $desired;
                let mut scope = Self::scope(facts);
                scope.push(by_name(&desired(facts)));
                scope
            }

            fn are_new(facts: &Facts) -> bool {
                // The plugin's migrations make roles.
                facts.known.is_first_run && <$object>::PATH != DeviceRole::PATH
            }

            fn desired(facts: &Facts) -> Desired<$object> {
                let desired: fn(&Facts) -> Vec<$object> = $desired;
                Desired::by_key(desired(facts))
            }

            fn settle(_: &Facts, desired: Desired<$object>, actual: &[Stored<$object>]) -> Desired<$object> {
                adopt(desired, actual)
            }

            fn policy(_: &Facts) -> Policy {
                keep_slugs()
            }
        }
    };
}

named_pass!(ClusterTypes, ClusterType, |facts| mapping::cluster_types(Some(
    facts.cluster.mode
)));
named_pass!(Manufacturers, Manufacturer, |_| vec![mapping::manufacturer()]);
named_pass!(Roles, DeviceRole, |_| mapping::roles());
named_pass!(VirtualMachineTypes, VirtualMachineType, |_| {
    mapping::virtual_machine_types()
});

impl Pass for Tags {
    type Object = Tag;

    fn scope(_: &Facts) -> Vec<Selection> {
        by_slug(&mapping::tags())
    }

    fn scope_again(facts: &Facts) -> Vec<Selection> {
        let mut scope = Self::scope(facts);
        scope.push(by_name(&mapping::tags()));
        scope
    }

    fn policy(_: &Facts) -> Policy {
        keep_slugs()
    }

    fn are_new(facts: &Facts) -> bool {
        facts.known.is_first_run
    }

    fn desired(_: &Facts) -> Desired<Tag> {
        Desired::by_key(mapping::tags())
    }

    fn settle(_: &Facts, desired: Desired<Tag>, actual: &[Stored<Tag>]) -> Desired<Tag> {
        let mut desired = adopt(desired, actual);
        refuse_namesakes(&mut desired, actual);
        for Stored { object: tag, .. } in actual.iter().filter(|stored| !stored.object.object_types.is_empty()) {
            // An object does without the mark of its discovery; nothing is ours without the Proxbox tag.
            let marked = marked_by(&tag.slug);
            if marked.is_some_and(|model| tag.is_for(model)) {
                continue;
            }
            desired
                .wanted
                .retain(|wanted| marked.is_none() || wanted.object.slug != tag.slug);
            desired.warnings.push(format!(
                "tag {:?} is limited to {} in NetBox, which refuses it on all other objects",
                tag.slug,
                tag.object_types.join(", ")
            ));
        }
        desired
    }
}

impl Pass for DeviceTypes {
    type Object = DeviceType;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let types = by_slug(&device_types(facts)).into_iter();
        types
            .map(|types| types.below::<Manufacturer>(manufacturer(facts)))
            .collect()
    }

    fn scope_again(facts: &Facts) -> Vec<Selection> {
        let mut scope = Self::scope(facts);
        let named = manufacturer(facts).map(|manufacturer| Selection {
            filters: vec![("manufacturer_id", manufacturer.to_string())],
            ..by_name(&device_types(facts))
        });
        scope.extend(named);
        scope
    }

    fn desired(facts: &Facts) -> Desired<DeviceType> {
        Desired::by_key(device_types(facts))
    }

    fn settle(_: &Facts, desired: Desired<DeviceType>, actual: &[Stored<DeviceType>]) -> Desired<DeviceType> {
        adopt(desired, actual)
    }

    fn policy(_: &Facts) -> Policy {
        keep_slugs()
    }
}

/// The kind of object that a tag marks as discovered.
fn marked_by(slug: &str) -> Option<&'static str> {
    match slug {
        DISCOVERED_CLUSTER_TAG => Some(Cluster::MODEL),
        DISCOVERED_NODE_TAG => Some(Device::MODEL),
        slug if [GuestKind::Qemu, GuestKind::Lxc].map(discovered_tag).contains(&slug) => Some(VirtualMachine::MODEL),
        _ => None,
    }
}

/// Objects bear tags by their slugs, so that a tag of the right name and another slug is of no use.
fn refuse_namesakes(desired: &mut Desired<Tag>, actual: &[Stored<Tag>]) {
    for Wanted { object, row } in std::mem::take(&mut desired.wanted) {
        match actual.iter().find(|stored| row == Row::Is(stored.id)) {
            Some(Stored { object: namesake, .. }) => {
                let (has, wants) = (&namesake.slug, &object.slug);
                let reason =
                    format!("in NetBox the tag of this name has the slug {has:?}: give it {wants:?}, or another name");
                desired.refuse(object.label(), reason);
            }
            None => desired.wanted.push(Wanted { object, row }),
        }
    }
}

fn keep_slugs() -> Policy {
    Policy::default().update_if("slug", false)
}

fn manufacturer(facts: &Facts) -> Option<ObjectId> {
    facts.ids.find::<Manufacturer>(mapping::MANUFACTURER)
}

fn device_types(facts: &Facts) -> Vec<DeviceType> {
    manufacturer(facts).map(mapping::device_type).into_iter().collect()
}

/// The label of a supporting object in reports: `tag:Proxbox`, `vm_role:container-lxc`.
pub fn label(kind: &str, slug: &str) -> String {
    match (kind, slug) {
        ("tag", PROXBOX_TAG) => "tag:Proxbox".to_owned(),
        ("tag", slug) => format!("tag:{slug}"),
        ("cluster type", "cluster") => "cluster_type:proxmox".to_owned(),
        ("device role", slug) if slug != mapping::NODE_ROLE => format!("vm_role:{slug}"),
        ("virtual machine type", slug) => format!("vm_type:{slug}"),
        (kind, slug) => format!("{}:{slug}", kind.replace(' ', "_")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Retire, diff};

    fn plan_for(role: DeviceRole) -> Vec<String> {
        let wanted = mapping::roles().into_iter().filter(|wanted| wanted.slug == role.slug);
        let wanted: Vec<_> = wanted.collect();
        let actual = [Stored {
            id: ObjectId(1),
            object: role,
        }];
        let desired = adopt(Desired::by_key(wanted), &actual);
        let plan = diff(desired.wanted, &actual, &Policy::default(), |_| Retire::Keep);
        assert!(plan.create.is_empty(), "{plan:?}");
        plan.update
            .into_iter()
            .flat_map(|update| update.changes.into_keys())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn role_from_the_plugins_migrations_is_taken_over_whole() {
        let mut role = DeviceRole::new("virtual-machine-qemu")
            .name("Virtual Machine (QEMU)")
            .color("9c27b0");
        role.vm_role = Some(true);
        role.description = Some(String::new());
        assert_eq!(plan_for(role), ["color", "description", "tags"]);
    }

    #[test]
    fn role_that_an_operator_recoloured_keeps_its_colour() {
        let role = DeviceRole::new("container-lxc")
            .name("Container (LXC)")
            .color("123456")
            .description("ours")
            .tagged();
        assert_eq!(plan_for(role), Vec::<String>::new());
    }

    #[test]
    fn operators_own_role_of_the_same_slug_is_only_tagged_and_described() {
        let mut role = DeviceRole::new("unknown").name("To be found out").color("ff0000");
        role.description = Some(String::new());
        assert_eq!(plan_for(role), ["description", "tags"]);
    }

    #[test]
    fn labels_are_those_of_the_bootstrap_report() {
        for (kind, slug, expected) in [
            ("tag", "proxbox", "tag:Proxbox"),
            ("tag", "proxbox-soft-deleted", "tag:proxbox-soft-deleted"),
            ("cluster type", "cluster", "cluster_type:proxmox"),
            ("manufacturer", "proxmox", "manufacturer:proxmox"),
            (
                "device type",
                "proxmox-generic-device",
                "device_type:proxmox-generic-device",
            ),
            ("device role", "proxmox-node", "device_role:proxmox-node"),
            ("device role", "unknown", "vm_role:unknown"),
            ("virtual machine type", "lxc-container", "vm_type:lxc-container"),
        ] {
            assert_eq!(label(kind, slug), expected);
        }
    }
}
