//! The bridges that guests' interfaces are attached to: interfaces of their node's device. NetBox knows bridges only
//! inside one machine, so the plugin's sync state of an interface says which bridge it is.

use std::collections::BTreeSet;

use super::ports::{guest_ports, interface_of};
use super::vm_interfaces::all_ports;
use super::{Desired, Facts, Flag, Pass, Selection};
use crate::netbox::objects::{DeviceInterface, PROXBOX_TAG, Said, VmInterface, VmInterfaceState};
use crate::reconcile::{ObjectId, Policy, Stored};

/// The bridges.
#[derive(Debug)]
pub struct Bridges;
/// The sync states of the interfaces.
#[derive(Debug)]
pub struct VmInterfaceStates;

/// Sync states of the interfaces that were read, and of those that were made since.
pub fn interface_state_selection(facts: &Facts) -> Vec<Selection> {
    let made = attached(facts).into_iter().filter_map(|(interface, ..)| interface);
    let interfaces: BTreeSet<ObjectId> = facts.known.network.interface_ids().chain(made).collect();
    let selection = if facts.options.guests.only.is_some() {
        Selection::any_of("vm_interface_id", &interfaces)
    } else {
        Selection::related_to("vm_interface_id", "vm_interface", &interfaces)
    };
    vec![selection.below::<VmInterface>(interfaces)]
}

const BRIDGE: &str = "bridge";
/// Types that this service gives; an operator's hardware type is kept.
const OURS: [&str; 4] = [BRIDGE, "lag", "virtual", "other"];

/// Each interface with a bridge, and where the bridge is: device and name.
fn attached(facts: &Facts) -> Vec<(Option<ObjectId>, ObjectId, String)> {
    let devices = &facts.known.node_devices;
    let ports = guest_ports(facts);
    let attached = all_ports(&ports).filter_map(|(guest, port)| {
        let device = devices.get(guest.bound.guest?.node.as_str())?;
        Some((interface_of(facts, guest, port), *device, port.nic.bridge.clone()?))
    });
    attached.collect()
}

impl Pass for Bridges {
    type Object = DeviceInterface;

    /// Of all nodes, as the stage of their interfaces has read them, unless the request names virtual machines.
    fn scope(facts: &Facts) -> Vec<Selection> {
        let mut devices: BTreeSet<ObjectId> = attached(facts).into_iter().map(|(_, device, _)| device).collect();
        if facts.options.guests.only.is_none() && !devices.is_empty() {
            devices.extend(facts.known.node_devices.values());
        }
        vec![Selection::any_of("device_id", devices)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<DeviceInterface>>> {
        Some(facts.known.node_network.interfaces.clone())
    }

    fn desired(facts: &Facts) -> Desired<DeviceInterface> {
        let places = attached(facts).into_iter().map(|(_, device, name)| (device, name));
        let places: BTreeSet<_> = places.collect();
        Desired::by_key(places.into_iter().map(|(device, name)| DeviceInterface {
            kind: Some(BRIDGE.to_owned()),
            tags: [PROXBOX_TAG.to_owned()].into(),
            ..DeviceInterface::of(device, &name)
        }))
    }

    fn settle(
        _: &Facts,
        mut desired: Desired<DeviceInterface>,
        actual: &[Stored<DeviceInterface>],
    ) -> Desired<DeviceInterface> {
        let operators = actual.iter().map(|stored| &stored.object).filter(|stored| {
            let kind = stored.kind.as_deref();
            stored.is_connected || kind.is_some_and(|kind| !OURS.contains(&kind))
        });
        let operators: BTreeSet<(ObjectId, &str)> =
            operators.map(|stored| (stored.device, stored.name.as_str())).collect();
        for wanted in &mut desired.wanted {
            if operators.contains(&(wanted.object.device, wanted.object.name.as_str())) {
                wanted.object.kind = None;
            }
        }
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_interface())
            .update_if("tags", facts.options.overwrite.allows(Flag::NodeInterfaceTags))
    }
}

impl Pass for VmInterfaceStates {
    type Object = VmInterfaceState;

    fn scope(facts: &Facts) -> Vec<Selection> {
        interface_state_selection(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VmInterfaceState>>> {
        Some(facts.known.network.interface_states.clone())
    }

    fn desired(facts: &Facts) -> Desired<VmInterfaceState> {
        let states = attached(facts).into_iter().filter_map(|(interface, device, name)| {
            let bridge = facts
                .ids
                .find::<DeviceInterface>(&DeviceInterface::key_of(device, &name))?;
            Some(VmInterfaceState {
                vm_interface: interface?,
                bridge: Some(bridge),
                bridge_raw_id: Said::Empty,
                bridge_raw_value: Some(String::new()),
            })
        });
        Desired::by_key(states)
    }

    fn policy(facts: &Facts) -> Policy {
        let may_update = facts.options.overwrite.allows(Flag::VmInterfaceCustomFields);
        Policy::with_mode(facts.options.modes.effective_interface())
            .update_if("proxbox_bridge", may_update)
            .update_if("proxbox_bridge_raw_id", may_update)
            .update_if("proxbox_bridge_raw_value", may_update)
    }
}
