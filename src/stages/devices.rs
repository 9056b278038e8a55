//! Devices, their owners, the plugin's links to them, and their sync states.

use std::collections::BTreeSet;

use super::nodes::{devices_of, names, resolve, states_at_hand};
use super::{Desired, Facts, Flag, Pass, Selection};
use crate::mapping::bootstrap::{DEVICE_TYPE, DISCOVERED_NODE_TAG, NODE_ROLE};
use crate::mapping::device::{DeviceParents, device};
use crate::netbox::objects::{Device, DeviceRole, DeviceState, DeviceType, Tag, TrackingNode};
use crate::reconcile::{Mode, ObjectId, Policy, Row, Stored, Wanted};

/// Says in the sync state of devices that exist and that nobody owns that they are ours, before anything else of them
/// is touched.
#[derive(Debug)]
pub struct DeviceClaims;
/// The devices.
#[derive(Debug)]
pub struct Devices;
/// The plugin's link from its tracked node to the device.
#[derive(Debug)]
pub struct NodeLinks;
/// The devices' sync states.
#[derive(Debug)]
pub struct DeviceStates;

/// Sync states that may be of this cluster's devices.
pub fn state_selection(facts: &Facts) -> Selection {
    Selection::with("proxmox_cluster_name", &facts.cluster.name)
}

/// Devices that may stand for a node by their name, whatever the case.
pub fn named_selection(facts: &Facts) -> Selection {
    Selection::any_of("name__ie", names(facts))
}

/// Devices that sync states name and that were not found by their name.
pub fn stated_selection(facts: &Facts) -> Selection {
    let found: BTreeSet<_> = facts.known.devices.iter().map(|stored| stored.id).collect();
    let stated = facts.known.device_states.iter().map(|state| state.object.device);
    Selection::any_of("id", stated.filter(|id| !found.contains(id)))
}

/// Sync states of devices that were found by their name.
pub fn named_state_selection(facts: &Facts) -> Selection {
    let is_known = |device: ObjectId| {
        facts
            .known
            .device_states
            .iter()
            .any(|state| state.object.device == device)
    };
    Selection::any_of(
        "device_id",
        facts
            .known
            .devices
            .iter()
            .map(|stored| stored.id)
            .filter(|id| !is_known(*id)),
    )
}

/// The plugin's row of a node, once the pass over the links has run.
pub fn linked(facts: &Facts, node: &str) -> Option<ObjectId> {
    let endpoint = facts.target.plugin_endpoint?;
    facts.ids.find::<TrackingNode>(&format!("{endpoint}/{node}"))
}

fn owner(facts: &Facts) -> i64 {
    facts.endpoint.key.id.0
}

fn mode(facts: &Facts) -> Mode {
    facts.options.modes.effective_node()
}

/// To claim and to link a device is part of making or adopting it, also where rows are not kept in step.
fn adoption(facts: &Facts) -> Policy {
    match mode(facts) {
        Mode::Disabled => Policy::with_mode(Mode::Disabled),
        Mode::Always | Mode::BootstrapOnly => Policy::default(),
    }
}

impl Pass for DeviceClaims {
    type Object = DeviceState;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of(
            "device_id",
            facts.known.devices.iter().map(|stored| stored.id),
        )]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<DeviceState>>> {
        Some(states_at_hand(facts))
    }

    fn desired(facts: &Facts) -> Desired<DeviceState> {
        let chosen = resolve(facts).into_iter().filter_map(|resolved| {
            let choice = resolved.verdict.ok().filter(|choice| choice.needs_claim)?;
            let state = DeviceState::of(choice.device?);
            Some(DeviceState {
                node_name: Some(resolved.node),
                endpoint_raw_id: Some(owner(facts)),
                ..state
            })
        });
        Desired::by_key(chosen)
    }

    /// The node's name is written with the rest, once the device is as it should be.
    fn policy(facts: &Facts) -> Policy {
        adoption(facts).update_if("proxmox_node_name", false)
    }
}

impl Pass for Devices {
    type Object = Device;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![named_selection(facts), stated_selection(facts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<Device>>> {
        Some(facts.known.devices.clone())
    }

    fn desired(facts: &Facts) -> Desired<Device> {
        let mut desired = Desired::default();
        let parents = (
            facts.target.cluster,
            facts.ids.find::<DeviceType>(DEVICE_TYPE),
            facts.ids.find::<DeviceRole>(NODE_ROLE),
        );
        for resolved in resolve(facts) {
            let choice = match resolved.verdict {
                Ok(choice) => choice,
                Err(reason) => {
                    desired.refuse(resolved.node, reason);
                    continue;
                }
            };
            let (Some(cluster), Some(device_type), Some(role)) = parents else {
                desired.refuse(resolved.node, "its cluster, device type or role could not be had");
                continue;
            };
            let site = choice.site.unwrap_or(ObjectId(0));
            let name = choice.name.clone().unwrap_or_default();
            let mut object = device(
                &resolved.node,
                &name,
                DeviceParents {
                    cluster,
                    device_type,
                    role,
                    site,
                },
            );
            object.name = choice.name;
            object.description = choice.description;
            object.site = choice.site;
            if choice.device.is_none() && facts.ids.find::<Tag>(DISCOVERED_NODE_TAG).is_some() {
                object.tags.insert(DISCOVERED_NODE_TAG.to_owned());
            }
            desired.wanted.push(Wanted {
                object,
                row: choice.device.map_or(Row::New, Row::Is),
            });
        }
        desired
    }

    /// After a lost answer the device that is there now is the one.
    fn settle(facts: &Facts, mut desired: Desired<Device>, actual: &[Stored<Device>]) -> Desired<Device> {
        let is_known = |id| facts.known.devices.iter().any(|stored| stored.id == id);
        for wanted in desired.wanted.iter_mut().filter(|wanted| wanted.row == Row::New) {
            let is_it = |stored: &&Stored<Device>| {
                (&stored.object.name, stored.object.site) == (&wanted.object.name, wanted.object.site)
            };
            if let Some(arrived) = actual.iter().filter(|stored| !is_known(stored.id)).find(is_it) {
                wanted.row = Row::Is(arrived.id);
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        let overwrite = &facts.options.overwrite;
        Policy::with_mode(mode(facts))
            .update_if("role", overwrite.allows(Flag::DeviceRole))
            .update_if("device_type", overwrite.allows(Flag::DeviceType))
            .update_if("tags", overwrite.allows(Flag::DeviceTags))
            .update_if("status", overwrite.allows(Flag::DeviceStatus))
            .update_if("description", overwrite.allows(Flag::DeviceDescription))
    }
}

impl Pass for NodeLinks {
    type Object = TrackingNode;

    fn scope(facts: &Facts) -> Vec<Selection> {
        facts
            .target
            .plugin_endpoint
            .map(|endpoint| Selection::with("endpoint", &endpoint))
            .into_iter()
            .collect()
    }

    fn desired(facts: &Facts) -> Desired<TrackingNode> {
        let Some(endpoint) = facts.target.plugin_endpoint else {
            return Desired::default();
        };
        Desired::by_key(devices_of(facts).into_iter().map(|(name, device)| TrackingNode {
            endpoint,
            name,
            netbox_device: Some(device),
        }))
    }

    /// The plugin makes these rows; a node that it does not track yet is linked when it does. Where rows are not kept in
    /// step, only nodes whose device this run has made are linked.
    fn settle(
        facts: &Facts,
        mut desired: Desired<TrackingNode>,
        actual: &[Stored<TrackingNode>],
    ) -> Desired<TrackingNode> {
        desired.wanted.retain(|wanted| {
            let is_it = |stored: &&Stored<TrackingNode>| {
                (stored.object.endpoint, &stored.object.name) == (wanted.object.endpoint, &wanted.object.name)
            };
            actual.iter().filter(is_it).count() == 1
        });
        if mode(facts) == Mode::BootstrapOnly {
            let made = &facts.known.made_devices;
            for wanted in &mut desired.wanted {
                wanted.object.netbox_device = wanted.object.netbox_device.filter(|device| made.contains(device));
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        adoption(facts)
    }
}

impl Pass for DeviceStates {
    type Object = DeviceState;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of(
            "device_id",
            devices_of(facts).into_iter().map(|(_, device)| device),
        )]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<DeviceState>>> {
        Some(states_at_hand(facts))
    }

    fn desired(facts: &Facts) -> Desired<DeviceState> {
        Desired::by_key(devices_of(facts).into_iter().map(|(node, device)| DeviceState {
            device,
            proxmox_node: linked(facts, &node),
            proxmox_cluster: facts.target.tracking,
            node_name: Some(node),
            cluster_name: Some(facts.cluster.name.clone()),
            endpoint_raw_id: Some(owner(facts)),
            last_updated: Some(facts.now.clone()),
        }))
    }

    /// Rows that another endpoint came to own meanwhile are left alone.
    fn settle(
        facts: &Facts,
        mut desired: Desired<DeviceState>,
        actual: &[Stored<DeviceState>],
    ) -> Desired<DeviceState> {
        let owned_elsewhere = |device: ObjectId| {
            let state = actual.iter().find(|stored| stored.object.device == device);
            state
                .and_then(|stored| stored.object.endpoint_raw_id)
                .is_some_and(|id| id != owner(facts))
        };
        let (foreign, wanted) = desired
            .wanted
            .into_iter()
            .partition::<Vec<_>, _>(|wanted| owned_elsewhere(wanted.object.device));
        desired.wanted = wanted;
        for wanted in foreign {
            let node = wanted.object.node_name.unwrap_or_default();
            desired.refuse(
                node,
                format!("device {} belongs to another Proxmox endpoint", wanted.object.device),
            );
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        let may_update = facts.options.overwrite.allows(Flag::DeviceCustomFields);
        Policy::with_mode(mode(facts))
            .update_if("proxmox_node_name", may_update)
            .update_if("proxmox_cluster_name", may_update)
            .update_if("proxmox_last_updated", may_update)
            .rider("proxmox_last_updated", facts.options.stamps_overdue_before.clone())
    }
}
