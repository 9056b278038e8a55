//! The sync states of virtual machines: which guest each one is.

use super::{Prepared, prepared, touched};
use crate::mapping::virtual_machine_state::{Home, state};
use crate::netbox::objects::{Said, TrackingNode, VirtualMachine, VirtualMachineState};
use crate::reconcile::{ObjectId, Policy, Stored};
use crate::stages::{Desired, Facts, Flag, Pass, Selection};

/// Takes over, before anything else of them is touched, virtual machines of an endpoint that is configured no more.
#[derive(Debug)]
pub struct StateClaims;
/// The sync states.
#[derive(Debug)]
pub struct MachineStates;

/// The fields that say more than who the guest is and which run has seen it.
const REFLECTION: [&str; 7] = [
    "proxmox_start_at_boot",
    "proxmox_unprivileged_container",
    "proxmox_qemu_agent",
    "proxmox_search_domain",
    "proxmox_link",
    "proxmox_status",
    "proxmox_last_updated",
];

fn at_hand(facts: &Facts) -> Vec<Stored<VirtualMachineState>> {
    facts.known.machine_states.clone()
}

impl Pass for StateClaims {
    type Object = VirtualMachineState;

    fn scope(_: &Facts) -> Vec<Selection> {
        vec![Selection::all()]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachineState>>> {
        Some(at_hand(facts))
    }

    fn desired(facts: &Facts) -> Desired<VirtualMachineState> {
        let stale = prepared(facts).filter(|prepared| prepared.matched.needs_claim);
        Desired::by_key(stale.filter_map(|prepared| {
            Some(VirtualMachineState {
                endpoint_raw_id: Some(facts.endpoint.key.id.0),
                ..VirtualMachineState::of(prepared.matched.machine()?)
            })
        }))
    }
}

impl Pass for MachineStates {
    type Object = VirtualMachineState;

    fn scope(_: &Facts) -> Vec<Selection> {
        vec![Selection::all()]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachineState>>> {
        Some(at_hand(facts))
    }

    fn desired(facts: &Facts) -> Desired<VirtualMachineState> {
        Desired::by_key(touched(facts).filter_map(|prepared| object(facts, prepared)))
    }

    /// The last run rides along with other changes; a time stamp that is overdue is one.
    fn policy(facts: &Facts) -> Policy {
        let may_update = facts.options.overwrite.allows(Flag::VmCustomFields);
        let policy = REFLECTION
            .into_iter()
            .fold(Policy::default(), |policy, field| policy.update_if(field, may_update));
        policy
            .rider("proxmox_last_updated", facts.options.stamps_overdue_before.clone())
            .rider("last_run_id", None)
    }
}

/// The virtual machine of a guest: the existing one, or the one that was made in this run.
pub(super) fn machine_of(facts: &Facts, prepared: Prepared<'_>) -> Option<ObjectId> {
    let made = || facts.ids.find::<VirtualMachine>(&prepared.guest.vmid.to_string());
    prepared.matched.machine().or_else(made)
}

fn object(facts: &Facts, prepared: Prepared<'_>) -> Option<VirtualMachineState> {
    let machine = machine_of(facts, prepared)?;
    let endpoint = &facts.endpoint;
    let domain = endpoint.domain.as_deref().filter(|domain| !domain.is_empty());
    let home = Home {
        endpoint: endpoint.key.id.0,
        host: domain.or(endpoint.ip_address.as_deref()),
        port: endpoint.port,
        cluster: &facts.cluster.name,
    };
    let run = &facts.options.run_id;
    Some(VirtualMachineState {
        proxmox_node: node_row(facts, &prepared.guest.node),
        proxmox_cluster: facts.target.tracking,
        last_synced_role: prepared.matched.role.remember,
        last_updated: Some(facts.now.clone()),
        last_run: (!run.is_empty()).then(|| run.clone()),
        ..state(prepared.guest, prepared.config, machine, home)
    })
}

/// The plugin's row of a node, or that it has none, where its rows are known at all.
fn node_row(facts: &Facts, node: &str) -> Said<ObjectId> {
    match facts.target.plugin_endpoint {
        Some(_) if !facts.known.is_unread::<TrackingNode>() => facts.known.node_links.get(node).copied().into(),
        Some(_) | None => Said::Nothing,
    }
}
