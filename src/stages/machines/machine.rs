//! The virtual machines themselves.

use super::platforms::platform_of;
use super::tags::slugs_of;
use super::{Prepared, handled, machines, names, overrides_of, prepared, refusal};
use crate::inventory::Vmid;
use crate::mapping::virtual_machine::{MachineParents, discovered_tag, machine_type, virtual_machine};
use crate::netbox::objects::{Tag, VirtualMachine, VirtualMachineType};
use crate::reconcile::{Policy, Row, Stored, Wanted};
use crate::stages::guests::machine_selection;
use crate::stages::{Desired, Facts, Flag, Pass, Selection, clusters};

/// Takes names from virtual machines that others are about to be given.
#[derive(Debug)]
pub struct FreedNames;
/// The virtual machines.
#[derive(Debug)]
pub struct Machines;

fn scope(facts: &Facts) -> Vec<Selection> {
    let here = facts.target.cluster;
    let elsewhere = super::clusters(facts).into_iter().filter(|id| Some(*id) != here);
    let mut selections = machine_selection(facts);
    selections.push(Selection::any_of("cluster_id", elsewhere));
    selections
}

impl Pass for FreedNames {
    type Object = VirtualMachine;

    fn scope(facts: &Facts) -> Vec<Selection> {
        scope(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachine>>> {
        Some(facts.known.machines.clone())
    }

    fn desired(facts: &Facts) -> Desired<VirtualMachine> {
        let freed = names::freed(facts).into_iter().map(|(id, name)| Wanted {
            object: VirtualMachine {
                name: Some(name),
                ..VirtualMachine::default()
            },
            row: Row::Is(id),
        });
        Desired {
            wanted: freed.collect(),
            ..Desired::default()
        }
    }
}

impl Pass for Machines {
    type Object = VirtualMachine;

    fn scope(facts: &Facts) -> Vec<Selection> {
        scope(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachine>>> {
        Some(facts.known.machines.clone())
    }

    fn desired(facts: &Facts) -> Desired<VirtualMachine> {
        let mut desired = Desired::default();
        for guest in handled(facts) {
            if let Some(reason) = refusal(facts, guest) {
                desired.refuse(guest.label(), reason);
            }
        }
        let wanted = prepared(facts).map(|prepared| Wanted {
            object: object(facts, prepared),
            row: prepared.matched.row,
        });
        desired.wanted.extend(wanted);
        desired
    }

    /// What an operator filled in stays where its flag is off, and so does what the cluster does not tell of a guest; NetBox
    /// itself keeps the size of virtual machines that have disks. After a lost answer the virtual machine that is there
    /// now is the one.
    fn settle(
        facts: &Facts,
        mut desired: Desired<VirtualMachine>,
        actual: &[Stored<VirtualMachine>],
    ) -> Desired<VirtualMachine> {
        let known = machines(facts);
        let arrived: Vec<_> = actual.iter().filter(|stored| !known.contains_key(&stored.id)).collect();
        for wanted in &mut desired.wanted {
            if wanted.row == Row::New {
                let is_it = |stored: &&&Stored<VirtualMachine>| {
                    (&stored.object.name, stored.object.cluster) == (&wanted.object.name, wanted.object.cluster)
                };
                if let Some(stored) = arrived.iter().find(is_it) {
                    wanted.row = Row::Is(stored.id);
                }
            } else if let Row::Is(id) = wanted.row
                && let Some(stored) = known.get(&id)
            {
                follow_device(facts, &mut wanted.object, &stored.object);
                keep_operators(facts, &mut wanted.object, &stored.object);
                keep_untold(facts, &mut wanted.object);
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::default().update_if("platform", facts.options.overwrite.allows(Flag::VmPlatform))
    }
}

fn object(facts: &Facts, prepared: Prepared<'_>) -> VirtualMachine {
    let Prepared { guest, config, matched } = prepared;
    let name = facts.guests.names.get(&guest.vmid).map(|name| name.name.clone());
    if matched.is_kept {
        return VirtualMachine {
            vmid: Some(guest.vmid.0),
            name,
            ..VirtualMachine::default()
        };
    }
    let mut overrides = overrides_of(facts, config);
    overrides.drop("role");
    if !facts.options.overwrite.allows(Flag::VmPlatform) {
        overrides.drop("platform");
    }
    let machine_type = facts.ids.find::<VirtualMachineType>(machine_type(guest.kind));
    if !facts.known.has_machine_types {
        overrides.drop("virtual_machine_type");
    }
    let is_here = facts.target.cluster == Some(matched.cluster);
    let platform = platform_of(facts, prepared);
    let parents = MachineParents {
        cluster: Some(matched.cluster),
        device: facts.known.node_devices.get(&guest.node).copied().filter(|_| is_here),
        site: clusters::scope_site(facts).filter(|_| is_here),
        machine_type,
        role: matched.role.write,
        platform,
    };
    let mut object = virtual_machine(guest, config, parents, &overrides);
    object.name = name.or(object.name);
    object.tags.extend(slugs_of(facts, config));
    let discovered = discovered_tag(guest.kind);
    if matched.row == Row::New && facts.ids.find::<Tag>(discovered).is_some() {
        object.tags.insert(discovered.to_owned());
    }
    object
}

/// NetBox refuses a virtual machine that is in another site than its device, from the release on that has types of virtual
/// machines: where nothing else says its site, it goes where the device is.
fn follow_device(facts: &Facts, wanted: &mut VirtualMachine, stored: &VirtualMachine) {
    let site = wanted.device.and_then(|device| facts.known.device_sites.get(&device));
    let is_elsewhere = stored.site.is_some() && site.is_some() && stored.site != site.copied();
    if is_elsewhere && wanted.site.is_none() && facts.known.has_machine_types {
        wanted.site = site.copied();
    }
}

fn keep_operators(facts: &Facts, wanted: &mut VirtualMachine, stored: &VirtualMachine) {
    let may_overwrite = |flag| facts.options.overwrite.allows(flag);
    let has = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    if !may_overwrite(Flag::VmDescription) && has(&stored.description) {
        wanted.description = None;
    }
    if !may_overwrite(Flag::VmDescription) && has(&stored.comments) {
        wanted.comments = None;
    }
    if !may_overwrite(Flag::VmType) && stored.machine_type.is_some() {
        wanted.machine_type = None;
    }
    if !may_overwrite(Flag::VmTags) && !stored.tags.is_empty() {
        wanted.tags.clear();
    }
    if stored.disk_count > 0 {
        wanted.disk = None;
    }
}

/// A guest that the cluster's statistics do not know is listed without its sizes, and how it fares is not known.
fn keep_untold(facts: &Facts, wanted: &mut VirtualMachine) {
    let Some(guest) = wanted.vmid.and_then(|vmid| facts.inventory.guest(Vmid(vmid))) else {
        return;
    };
    if guest.memory.is_none() {
        wanted.memory = None;
    }
    if guest.status.as_deref().is_none_or(|status| status == "unknown") {
        wanted.status = None;
    }
}
