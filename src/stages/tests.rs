//! Plans of the first two stages: a world in step plans nothing, a world with one difference plans just that.

mod backup_modes;
mod backups;
mod guests;
mod snapshots;
mod task_history;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::claim::{self, Ambiguity, Claim};
use super::nodes::{devices_of, misnamed_devices, resolve, sites_of};
use super::*;
use crate::endpoint::{EndpointId, EndpointKey, Source};
use crate::inventory::{Cluster as ProxmoxCluster, ClusterMode, Collected, Inventory, Node, NodeNetwork, Vmid};
use crate::mapping::device::managed_description;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{
    Cluster, ClusterType, Device, DeviceInterface, DeviceRole, DeviceState, DeviceType, PROXBOX_TAG, PluginEndpoint,
    Said, Storage, Tag, TrackingCluster, TrackingNode, VirtualMachine, VirtualMachineState, Vlan,
};
use crate::reconcile::{Mode, ObjectId, Plan, diff};

const NOW: &str = "2026-11-24T12:00:00Z";
pub(super) const CLUSTER: ObjectId = ObjectId(10);
pub(super) const SITE: ObjectId = ObjectId(20);
const TYPE: ObjectId = ObjectId(30);
const ROLE: ObjectId = ObjectId(40);
pub(super) const ENDPOINT: ObjectId = ObjectId(3);
pub(super) const OURS: i64 = 1;

/// Facts of a cluster `lab` with two nodes whose devices 101 and 102 are as they should be.
pub(super) fn converged() -> Facts {
    let mut ids = Ids::default();
    ids.learn(<ClusterType as Resource>::PATH, "cluster".to_owned(), ObjectId(50));
    let generic = "proxmox-generic-device".to_owned();
    ids.learn(<DeviceType as Resource>::PATH, generic, TYPE);
    ids.learn(<DeviceRole as Resource>::PATH, "proxmox-node".to_owned(), ROLE);
    for (mark, id) in [("proxbox-discovered-cluster", 11), ("proxbox-discovered-node", 12)] {
        ids.learn(<Tag as Resource>::PATH, mark.to_owned(), ObjectId(id));
    }
    ids.learn(<TrackingNode as Resource>::PATH, "3/pve1".to_owned(), ObjectId(61));
    ids.learn(<TrackingNode as Resource>::PATH, "3/pve2".to_owned(), ObjectId(62));
    let nodes = ["pve1", "pve2"].map(|name| Node {
        name: name.to_owned(),
        is_online: true,
    });
    Facts {
        endpoint: EndpointFacts {
            key: EndpointKey {
                source: Source::Database,
                id: EndpointId(OURS),
            },
            name: "lab (nb:3)".to_owned(),
            domain: None,
            ip_address: Some("10.0.0.1".to_owned()),
            port: 8006,
            node_device_name_template: String::new(),
            site: Lookup::default(),
            tenant: Lookup::default(),
        },
        options: Options {
            stamps_overdue_before: Some("2026-11-23T12:00:00Z".to_owned()),
            ..Options::default()
        },
        cluster: ProxmoxCluster {
            name: "lab".to_owned(),
            mode: ClusterMode::Cluster,
            id: Some("cluster".to_owned()),
            nodes: nodes.into(),
            hidden: None,
        },
        inventory: Inventory::default(),
        ids,
        known: Known {
            plugin_endpoints: Vec::new(),
            tracking: vec![tracking(7, 3, Some(CLUSTER))],
            clusters: vec![cluster(CLUSTER)],
            device_states: vec![state(101, "pve1"), state(102, "pve2")],
            devices: vec![device(101, "pve1"), device(102, "pve2")],
            ..Known::default()
        },
        target: Target {
            plugin_endpoint: Some(ENDPOINT),
            tracking: Some(ObjectId(7)),
            cluster: Some(CLUSTER),
        },
        refused_nodes: BTreeMap::new(),
        guests: machines::GuestFacts::default(),
        now: NOW.to_owned(),
    }
}

fn tracking(id: u64, endpoint: u64, cluster: Option<ObjectId>) -> Stored<TrackingCluster> {
    let object = TrackingCluster {
        endpoint: ObjectId(endpoint),
        name: "lab".to_owned(),
        netbox_cluster: cluster,
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

fn cluster(id: ObjectId) -> Stored<Cluster> {
    let object = Cluster {
        name: Some("lab".to_owned()),
        cluster_type: Some(ObjectId(50)),
        scope_type: Some("dcim.site".to_owned()),
        scope_id: Some(SITE),
        tenant: None,
        description: Some("Proxmox cluster cluster.".to_owned()),
        tags: [PROXBOX_TAG.to_owned()].into(),
    };
    Stored { id, object }
}

fn device(id: u64, name: &str) -> Stored<Device> {
    let object = Device {
        node: None,
        name: Some(name.to_owned()),
        cluster: Some(CLUSTER),
        status: Some("active".to_owned()),
        device_type: Some(TYPE),
        role: Some(ROLE),
        site: Some(SITE),
        location: None,
        tenant: None,
        primary_ip4: None,
        description: Some(managed_description(name)),
        tags: [PROXBOX_TAG.to_owned()].into(),
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

fn state(device: u64, node: &str) -> Stored<DeviceState> {
    let object = DeviceState {
        device: ObjectId(device),
        proxmox_node: Some(ObjectId(device - 40)),
        proxmox_cluster: Some(ObjectId(7)),
        node_name: Some(node.to_owned()),
        cluster_name: Some("lab".to_owned()),
        endpoint_raw_id: Some(OURS),
        last_updated: Some("2026-11-24T11:00:00.123456Z".to_owned()),
    };
    Stored {
        id: ObjectId(device + 1000),
        object,
    }
}

pub(super) fn storage(id: u64, name: &str) -> Stored<Storage> {
    let object = Storage {
        cluster: CLUSTER,
        name: name.to_owned(),
        texts: BTreeMap::new(),
        port: None,
        max_protected_backups: None,
        shared: None,
        enabled: None,
        raw_config: None,
        tags: BTreeSet::new(),
    };
    Stored {
        id: ObjectId(id),
        object,
    }
}

/// Lets the virtual machine `id` stand for the guest `vmid`, a virtual machine too.
pub(super) fn stand_for(facts: &mut Facts, id: ObjectId, vmid: Vmid) {
    facts.known.machines.push(Stored {
        id,
        object: VirtualMachine {
            name: Some("db".to_owned()),
            cluster: Some(CLUSTER),
            ..VirtualMachine::default()
        },
    });
    facts.known.machine_states.push(Stored {
        id,
        object: VirtualMachineState {
            endpoint_raw_id: Some(OURS),
            cluster_name: Some("lab".to_owned()),
            vmid: Some(vmid.0),
            kind: Some("qemu".to_owned()),
            ..VirtualMachineState::of(id)
        },
    });
    facts.known.guests.insert(id, vmid);
}

/// Lets the nodes have `rows` as their network interfaces.
pub(super) fn network(facts: &mut Facts, nodes: &[(&str, Value)]) {
    let items = nodes
        .iter()
        .map(|(node, rows)| NodeNetwork {
            node: (*node).to_owned(),
            interfaces: serde_json::from_value(rows.clone()).unwrap(),
            is_complete: true,
        })
        .collect();
    let gaps = Vec::new();
    facts.inventory.node_networks.fill(Collected { items, gaps });
    facts.known.node_devices = devices_of(facts).into_iter().collect();
    facts.known.device_sites = sites_of(facts);
}

/// Takes what the plan of the interfaces would make as made, with ids from 1 on in the plan's order.
pub(super) fn make_interfaces(facts: &mut Facts) {
    let vlans = plan::<node_interfaces::NodeVlans>(facts);
    for (row, id) in vlans.create.iter().zip(501..) {
        facts.ids.learn(Vlan::PATH, row.key.clone(), ObjectId(id));
    }
    let wanted = node_interfaces::NodeInterfaces::desired(facts).wanted;
    for (wanted, id) in wanted.into_iter().zip(1..) {
        let mut object = wanted.object;
        object.mode = Said::Empty;
        object.untagged_vlan = Said::Empty;
        object.tagged_vlans = Some(BTreeSet::new());
        (object.bridge, object.lag, object.parent) = (Said::Empty, Said::Empty, Said::Empty);
        facts.ids.learn(DeviceInterface::PATH, object.key(), ObjectId(id));
        let id = ObjectId(id);
        facts.known.node_network.interfaces.push(Stored { id, object });
    }
}

pub(super) fn plan<P: Pass>(facts: &Facts) -> Plan {
    plan_against::<P>(facts, &P::at_hand(facts).unwrap_or_default())
}

pub(super) fn plan_against<P: Pass>(facts: &Facts, actual: &[Stored<P::Object>]) -> Plan {
    let desired = P::settle(facts, P::desired(facts), actual);
    let mut plan = diff(desired.wanted, actual, &P::policy(facts), |stored| {
        P::retire(facts, stored)
    });
    plan.refused.extend(desired.refused);
    plan
}

/// The fields that a plan changes, by row.
pub(super) fn changes(plan: &Plan) -> Value {
    let rows = plan.update.iter().map(|update| {
        let changes = update
            .changes
            .iter()
            .map(|(field, change)| ((*field).to_owned(), change.after.clone()));
        (update.id.to_string(), Value::Object(changes.collect()))
    });
    Value::Object(rows.collect())
}

fn first_device(facts: &mut Facts) -> &mut Device {
    &mut facts.known.devices[0].object
}

#[test]
fn converged_world_plans_nothing() {
    let facts = converged();
    for plan in [
        plan::<devices::DeviceClaims>(&facts),
        plan::<devices::Devices>(&facts),
        plan::<devices::DeviceStates>(&facts),
        plan::<clusters::Clusters>(&facts),
        plan::<clusters::ClusterLinks>(&facts),
        plan::<clusters::DefaultSite>(&facts),
    ] {
        assert!(plan.is_empty() && plan.refused.is_empty(), "{plan:#?}");
    }
}

#[test]
fn one_difference_plans_just_that() {
    type Edit = fn(&mut Device);
    let cases: [(Edit, Value); 5] = [
        (
            |device| device.status = Some("offline".to_owned()),
            json!({"status": "active"}),
        ),
        (|device| device.role = Some(ObjectId(41)), json!({"role": 40})),
        (
            |device| device.device_type = Some(ObjectId(31)),
            json!({"device_type": 30}),
        ),
        (
            |device| device.description = Some("mine".to_owned()),
            json!({"description": "Proxmox Node pve1"}),
        ),
        (
            |device| device.tags = ["gold".to_owned()].into(),
            json!({"tags": ["gold", "proxbox"]}),
        ),
    ];
    for (edit, expected) in cases {
        let mut facts = converged();
        edit(first_device(&mut facts));
        assert_eq!(changes(&plan::<devices::Devices>(&facts)), json!({"101": expected}));
    }
}

#[test]
fn only_nodes_whose_device_the_run_has_made_are_linked_where_rows_are_not_kept_in_step() {
    let mut facts = converged();
    facts.options.modes.node = Mode::BootstrapOnly;
    let rows = ["pve1", "pve2"].map(|name| Stored {
        id: ObjectId(if name == "pve1" { 61 } else { 62 }),
        object: TrackingNode {
            endpoint: ENDPOINT,
            name: name.to_owned(),
            netbox_device: None,
        },
    });
    let links = plan_against::<devices::NodeLinks>(&facts, &rows);
    assert_eq!((changes(&links), links.unchanged.len()), (json!({}), 2));
    facts.known.made_devices = [ObjectId(101)].into();
    let links = plan_against::<devices::NodeLinks>(&facts, &rows);
    assert_eq!(changes(&links), json!({"61": {"netbox_device": 101}}));
    assert_eq!(links.unchanged.len(), 1);
}

#[test]
fn flags_that_are_off_leave_an_operators_values() {
    let mut facts = converged();
    *first_device(&mut facts) = Device {
        status: Some("planned".to_owned()),
        role: Some(ObjectId(41)),
        device_type: Some(ObjectId(31)),
        description: Some("mine".to_owned()),
        tags: ["gold".to_owned()].into(),
        ..facts.known.devices[0].object.clone()
    };
    for flag in [
        Flag::DeviceRole,
        Flag::DeviceType,
        Flag::DeviceTags,
        Flag::DeviceStatus,
        Flag::DeviceDescription,
    ] {
        assert!(!plan::<devices::Devices>(&facts).is_empty(), "before {flag:?}");
        facts.options.overwrite.set(flag, false);
    }
    assert!(plan::<devices::Devices>(&facts).is_empty());
}

#[test]
fn device_renamed_by_an_operator_keeps_its_name_and_description() {
    let mut facts = converged();
    first_device(&mut facts).name = Some("rack-7-top".to_owned());
    first_device(&mut facts).status = Some("offline".to_owned());
    assert_eq!(
        changes(&plan::<devices::Devices>(&facts)),
        json!({"101": {"status": "active"}})
    );
    first_device(&mut facts).description = Some(String::new());
    let described = "Proxmox node pve1 (operator-managed name)";
    let expected = json!({"101": {"status": "active", "description": described}});
    assert_eq!(changes(&plan::<devices::Devices>(&facts)), expected);
}

#[test]
fn managed_device_follows_a_new_name_template() {
    let mut facts = converged();
    facts.endpoint.node_device_name_template = "{cluster}-{node}".to_owned();
    let expected = json!({
        "101": {"name": "lab-pve1", "description": "Proxmox Node lab-pve1"},
        "102": {"name": "lab-pve2", "description": "Proxmox Node lab-pve2"},
    });
    assert_eq!(changes(&plan::<devices::Devices>(&facts)), expected);
}

#[test]
fn node_without_a_device_gets_one_in_the_clusters_site() {
    let mut facts = converged();
    facts.known.devices.remove(0);
    facts.known.device_states.remove(0);
    let plan = plan::<devices::Devices>(&facts);
    let expected = json!({
        "name": "pve1", "cluster": 10, "status": "active", "device_type": 30, "role": 40, "site": 20,
        "description": "Proxmox Node pve1", "tags": ["proxbox", "proxbox-discovered-node"]
    });
    assert_eq!((json!(plan.create[0].fields), plan.update.len()), (expected, 0));
}

#[test]
fn device_of_the_same_name_is_adopted_only_where_it_fits() {
    let elsewhere = ObjectId(21);
    for (site, cluster, tags, is_adopted) in [
        (SITE, None, vec![], true),
        (elsewhere, Some(CLUSTER), vec![], true),
        (elsewhere, None, vec![PROXBOX_TAG], true),
        (elsewhere, None, vec![], false),
        (elsewhere, Some(ObjectId(99)), vec!["gold"], false),
    ] {
        let mut facts = converged();
        facts.known.device_states.remove(0);
        let device = first_device(&mut facts);
        (device.site, device.cluster) = (Some(site), cluster);
        device.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let choice = resolve(&facts)[0].verdict.clone().unwrap();
        let case = format!("site {site}, cluster {cluster:?}, tags {tags:?}");
        assert_eq!(choice.device.is_some(), is_adopted, "{case}");
        assert!(choice.needs_claim, "{case}");
    }
}

#[test]
fn device_that_joins_the_cluster_moves_to_its_site_in_the_same_change() {
    let mut facts = converged();
    (first_device(&mut facts).site, first_device(&mut facts).cluster) = (Some(ObjectId(21)), None);
    assert_eq!(
        changes(&plan::<devices::Devices>(&facts)),
        json!({"101": {"cluster": 10, "site": 20}})
    );
}

#[test]
fn device_that_joins_a_cluster_without_a_site_stays_in_its_own() {
    let mut facts = converged();
    let cluster = &mut facts.known.clusters[0].object;
    (cluster.scope_type, cluster.scope_id) = (None, None);
    facts.known.site = Some(SITE);
    (first_device(&mut facts).site, first_device(&mut facts).cluster) = (Some(ObjectId(21)), None);
    assert_eq!(
        changes(&plan::<devices::Devices>(&facts)),
        json!({"101": {"cluster": 10}})
    );
    assert_eq!(sites_of(&facts)[&ObjectId(101)], ObjectId(21));
}

#[test]
fn device_of_another_endpoint_is_never_touched() {
    let mut facts = converged();
    facts.known.device_states[0].object.endpoint_raw_id = Some(OURS + 1);
    for plan in [
        plan::<devices::Devices>(&facts),
        plan::<devices::DeviceStates>(&facts),
        plan::<devices::DeviceClaims>(&facts),
    ] {
        assert!(plan.is_empty(), "{plan:#?}");
    }
    assert!(
        resolve(&facts)[0]
            .verdict
            .clone()
            .unwrap_err()
            .contains("another Proxmox endpoint")
    );
    assert!(resolve(&facts)[1].verdict.is_ok());
}

#[test]
fn unclaimed_device_is_claimed_before_anything_else_of_it_changes() {
    let mut facts = converged();
    facts.known.device_states[0].object.endpoint_raw_id = None;
    for mode in [Mode::BootstrapOnly, Mode::Always] {
        facts.options.modes.node = mode;
        let claims = plan::<devices::DeviceClaims>(&facts);
        let expected = json!({"1101": {"proxmox_endpoint_raw_id": 1}});
        assert_eq!(changes(&claims), expected, "{mode:?}");
    }
    facts
        .refused_nodes
        .insert("pve1".to_owned(), "its device could not be claimed".to_owned());
    first_device(&mut facts).status = Some("offline".to_owned());
    let devices = plan::<devices::Devices>(&facts);
    assert_eq!(
        (devices.update.len(), devices.refused.len()),
        (0, 1),
        "a node that could not be claimed is left alone"
    );
}

#[test]
fn two_devices_that_claim_to_be_one_node_are_told_apart_by_placement_or_refused() {
    let mut facts = converged();
    facts.known.devices.push(device(103, "pve1-old"));
    facts.known.device_states.push(state(103, "pve1"));
    assert!(resolve(&facts)[0].verdict.is_err(), "both are in the cluster");
    facts.known.devices[2].object.cluster = None;
    assert_eq!(resolve(&facts)[0].verdict.clone().unwrap().device, Some(ObjectId(101)));
}

#[test]
fn name_taken_in_the_site_fails_that_node_alone() {
    let mut facts = converged();
    facts.endpoint.node_device_name_template = "{node}.example".to_owned();
    let mut other = device(103, "PVE1.example");
    other.object.cluster = None;
    facts.known.devices.push(other);
    let resolved = resolve(&facts);
    assert!(
        resolved[0]
            .verdict
            .clone()
            .unwrap_err()
            .contains("already has the name"),
        "{resolved:?}"
    );
    assert!(resolved[1].verdict.is_ok());
}

/// What is on such a node is there all the same.
#[test]
fn device_that_cannot_have_its_name_stays_its_nodes_where_it_is_ours_and_in_the_cluster() {
    type Edit = fn(&mut Facts);
    let cases: [(&str, Edit, bool); 5] = [
        ("as it is", |_| {}, true),
        (
            "no name",
            |facts| facts.endpoint.node_device_name_template = "{node} !".to_owned(),
            true,
        ),
        (
            "nobody's",
            |facts| facts.known.device_states[0].object.endpoint_raw_id = None,
            false,
        ),
        ("elsewhere", |facts| first_device(facts).cluster = None, false),
        (
            "not claimed",
            |facts| {
                facts.refused_nodes.insert("pve1".to_owned(), "no".to_owned());
            },
            false,
        ),
    ];
    for (case, edit, expected) in cases {
        let mut facts = converged();
        facts.endpoint.node_device_name_template = "{node}.example".to_owned();
        let mut other = device(103, "PVE1.example");
        other.object.cluster = None;
        facts.known.devices.push(other);
        edit(&mut facts);
        let device = ("pve1".to_owned(), ObjectId(101));
        assert_eq!(misnamed_devices(&facts).contains(&device), expected, "{case}");
        assert_eq!(
            sites_of(&facts).get(&ObjectId(101)),
            expected.then_some(&SITE),
            "{case}"
        );
    }
    assert!(misnamed_devices(&converged()).is_empty());
}

#[test]
fn two_nodes_that_would_bear_one_name_both_fail() {
    let mut facts = converged();
    facts.known.devices.clear();
    facts.known.device_states.clear();
    "PVE1".clone_into(&mut facts.cluster.nodes[1].name);
    for resolved in resolve(&facts) {
        let reason = resolved.verdict.unwrap_err();
        assert!(reason.contains("several nodes"), "{}: {reason}", resolved.node);
    }
    let plan = plan::<devices::Devices>(&facts);
    assert_eq!((plan.create.len(), plan.refused.len()), (0, 2), "{plan:#?}");
}

#[test]
fn node_of_another_cluster_with_the_same_name_is_in_the_way_only_in_the_same_site() {
    let elsewhere = ObjectId(21);
    for (site, is_in_the_way) in [(SITE, true), (elsewhere, false)] {
        let mut facts = converged();
        let mut theirs = device(103, "pve1");
        (theirs.object.cluster, theirs.object.site) = (Some(ObjectId(99)), Some(site));
        let mut state = state(103, "pve1");
        state.object.endpoint_raw_id = Some(OURS + 1);
        state.object.cluster_name = Some("other".to_owned());
        facts.known.devices[0] = theirs;
        facts.known.device_states[0] = state;
        let resolved = resolve(&facts);
        assert_eq!(resolved[0].verdict.is_err(), is_in_the_way, "{resolved:?}");
        let plan = plan::<devices::Devices>(&facts);
        assert_eq!(
            (plan.create.len(), plan.update.len()),
            (usize::from(!is_in_the_way), 0),
            "{plan:#?}"
        );
    }
}

#[test]
fn node_whose_name_is_no_host_name_fails_alone() {
    let mut facts = converged();
    facts.cluster.nodes[0].name = "pve_1".to_owned();
    let resolved = resolve(&facts);
    assert!(
        resolved[0].verdict.is_err() && resolved[1].verdict.is_ok(),
        "{resolved:?}"
    );
}

#[test]
fn sync_state_is_stamped_only_along_with_a_change_or_when_overdue() {
    let mut facts = converged();
    facts.options.stamps_overdue_before = Some("2026-11-24T11:30:00Z".to_owned());
    let stamped = json!({"1101": {"proxmox_last_updated": NOW}, "1102": {"proxmox_last_updated": NOW}});
    assert_eq!(changes(&plan::<devices::DeviceStates>(&facts)), stamped);
    let mut facts = converged();
    facts.known.device_states[0].object.proxmox_node = None;
    let linked = json!({"1101": {"proxmox_node": 61, "proxmox_last_updated": NOW}});
    assert_eq!(changes(&plan::<devices::DeviceStates>(&facts)), linked);
    facts.options.overwrite.set(Flag::DeviceCustomFields, false);
    let without_names = json!({"1101": {"proxmox_node": 61}});
    assert_eq!(changes(&plan::<devices::DeviceStates>(&facts)), without_names);
}

#[test]
fn disabled_modes_plan_nothing() {
    let mut facts = converged();
    first_device(&mut facts).status = Some("offline".to_owned());
    facts.options.modes.cluster = Mode::Disabled;
    assert!(plan::<devices::Devices>(&facts).is_empty());
    facts.options.modes = Modes {
        node: Mode::BootstrapOnly,
        ..Modes::default()
    };
    assert!(plan::<devices::Devices>(&facts).is_empty());
}

#[test]
fn clusters_own_scope_stays_where_no_site_is_configured() {
    let mut facts = converged();
    facts.known.clusters[0].object.scope_id = Some(ObjectId(77));
    assert!(plan::<clusters::Clusters>(&facts).is_empty());
    facts.known.site = Some(SITE);
    let expected = json!({"10": {"scope_id": 20}});
    assert_eq!(changes(&plan::<clusters::Clusters>(&facts)), expected);
}

#[test]
fn operators_cluster_name_and_tags_survive() {
    let mut facts = converged();
    facts.known.clusters[0].object.name = Some("Lab in Hamburg".to_owned());
    facts.known.clusters[0].object.tags.insert("gold".to_owned());
    assert!(plan::<clusters::Clusters>(&facts).is_empty());
}

#[test]
fn new_cluster_is_created_in_the_default_site_with_its_discovery_tag() {
    let mut facts = converged();
    facts.target.cluster = None;
    facts.known.clusters.clear();
    let site = plan::<clusters::DefaultSite>(&facts);
    assert_eq!(json!(site.create[0].fields)["slug"], json!("proxmox-default-site-lab"));
    facts.ids.learn(
        <crate::netbox::objects::Site as Resource>::PATH,
        "proxmox-default-site-lab".to_owned(),
        SITE,
    );
    let expected = json!({
        "name": "lab", "type": 50, "scope_type": "dcim.site", "scope_id": 20, "description": "Proxmox cluster cluster.",
        "tags": ["proxbox", "proxbox-discovered-cluster"]
    });
    assert_eq!(json!(plan::<clusters::Clusters>(&facts).create[0].fields), expected);
}

#[test]
fn cluster_is_made_without_the_mark_of_its_discovery_where_there_is_none() {
    let mut facts = converged();
    facts.ids = Ids::default();
    facts
        .ids
        .learn(<ClusterType as Resource>::PATH, "cluster".to_owned(), ObjectId(50));
    facts.target.cluster = None;
    facts.known.clusters.clear();
    let made = &plan::<clusters::Clusters>(&facts).create[0].fields;
    assert_eq!(json!(made)["tags"], json!(["proxbox"]));
}

#[test]
fn new_devices_go_where_the_cluster_is_and_not_where_it_should_be() {
    let mut facts = converged();
    facts.known.devices.clear();
    facts.known.device_states.clear();
    facts.known.site = Some(ObjectId(21));
    let sites = |facts: &Facts| {
        let made = plan::<devices::Devices>(facts).create.into_iter();
        made.map(|row| row.fields["site"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(sites(&facts), [json!(SITE), json!(SITE)]);
    facts.known.clusters = clusters::planned(&facts);
    assert_eq!(sites(&facts), [json!(21), json!(21)]);
}

#[test]
fn cluster_in_a_location_gets_no_default_site_and_new_devices_are_refused_with_that_reason() {
    let mut facts = converged();
    facts.known.devices.clear();
    facts.known.device_states.clear();
    facts.known.clusters[0].object.scope_type = Some("dcim.location".to_owned());
    assert!(plan::<clusters::DefaultSite>(&facts).is_empty());
    let refused = plan::<devices::Devices>(&facts).refused;
    assert_eq!(refused.len(), 2);
    assert!(refused[0].reason.contains("scoped to a location"), "{refused:#?}");
}

/// The endpoint's own site is where the cluster would be, and is not.
#[test]
fn device_outside_the_location_of_the_cluster_is_not_taken_for_a_node() {
    let mut facts = converged();
    facts.known.clusters[0].object.scope_type = Some("dcim.location".to_owned());
    facts.known.site = Some(ObjectId(21));
    facts.known.device_states.pop();
    let theirs = &mut facts.known.devices[1].object;
    (theirs.site, theirs.cluster) = (Some(ObjectId(21)), None);
    theirs.tags.clear();
    assert!(plan::<devices::DeviceClaims>(&facts).is_empty());
    let plan = plan::<devices::Devices>(&facts);
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(plan.refused[0].reason.contains("scoped to a location"), "{plan:#?}");
}

#[test]
fn cluster_and_nodes_that_may_not_be_written_get_no_site_and_no_link() {
    let mut facts = converged();
    facts.known.clusters[0].object.scope_id = None;
    facts.known.tracking = vec![tracking(7, 3, None)];
    assert!(!plan::<clusters::DefaultSite>(&facts).is_empty());
    assert!(!plan::<clusters::ClusterLinks>(&facts).is_empty());
    facts.options.modes.cluster = Mode::Disabled;
    assert_eq!(clusters::DefaultSite::policy(&facts).mode, Mode::Disabled);
    assert_eq!(clusters::ClusterLinks::policy(&facts).mode, Mode::Disabled);
}

#[test]
fn default_site_of_the_name_is_taken_whatever_its_slug() {
    let mut facts = converged();
    facts.known.clusters[0].object.scope_id = None;
    let mut site = crate::netbox::objects::Site::new("basement").name("Proxmox Default Site - lab");
    site.status = Some("planned".to_owned());
    let stored = [Stored {
        id: ObjectId(77),
        object: site,
    }];
    let desired = clusters::DefaultSite::settle(&facts, clusters::DefaultSite::desired(&facts), &stored);
    let plan = diff(desired.wanted, &stored, &clusters::DefaultSite::policy(&facts), |_| {
        Retire::Keep
    });
    assert_eq!(plan.create.len(), 0);
    assert_eq!(
        json!(plan.update[0].changes),
        json!({"tags": {"before": null, "after": ["proxbox"]}})
    );
}

#[test]
fn settings_of_a_place_are_told_as_they_were_given() {
    let lookup = Lookup {
        id: Some(ObjectId(12)),
        slug: None,
        name: Some("DC 1".to_owned()),
    };
    assert_eq!(lookup.to_string(), r#"id 12, name "DC 1""#);
}

fn plugin_endpoint(id: u64, host: &str, port: u16, enabled: bool) -> PluginEndpoint {
    let host = json!({"address": format!("{host}/32")});
    let row = json!({"id": id, "name": "x", "domain": "", "ip_address": host, "port": port, "enabled": enabled});
    serde_json::from_value(row).unwrap()
}

#[test]
fn plugins_endpoint_is_found_by_address_and_told_apart_by_the_suffix() {
    let facts = converged();
    let found = |rows: &[PluginEndpoint]| claim::plugin_endpoint(&facts.endpoint, rows);
    let (here, twin) = (
        plugin_endpoint(3, "10.0.0.1", 8006, true),
        plugin_endpoint(4, "10.0.0.1", 8006, true),
    );
    assert_eq!(found(std::slice::from_ref(&here)), Ok(ObjectId(3)));
    assert_eq!(found(&[twin.clone(), here]), Ok(ObjectId(3)));
    assert_eq!(found(&[twin]), Ok(ObjectId(4)));
    assert!(matches!(found(&[]), Err(Ambiguity::NoEndpoint { .. })));
    assert!(matches!(
        found(&[plugin_endpoint(3, "10.0.0.1", 443, true)]),
        Err(Ambiguity::NoEndpoint { .. })
    ));
    assert!(matches!(
        found(&[plugin_endpoint(3, "10.0.0.1", 8006, false)]),
        Err(Ambiguity::Disabled { .. })
    ));
}

#[test]
fn cluster_without_a_row_is_not_taken_where_its_nodes_are_another_endpoints() {
    let mut facts = converged();
    let owned = |owner: Option<i64>| {
        let mut row = state(101, "pve1");
        row.object.endpoint_raw_id = owner;
        row
    };
    let is_free = |facts: &Facts, states: &[Stored<DeviceState>]| {
        claim::refuse_foreign(facts, CLUSTER, states, &[device(101, "pve1")]).is_ok()
    };
    let cases = [
        (vec![], true),
        (vec![owned(None)], true),
        (vec![owned(Some(OURS)), owned(Some(2))], true),
        (vec![owned(None), owned(Some(2))], false),
        // Of an endpoint that is configured no more.
        (vec![owned(Some(9))], true),
    ];
    facts.known.endpoint_ids = Some([OURS, 2].into());
    for (states, expected) in cases {
        assert_eq!(is_free(&facts, &states), expected, "{states:?}");
    }
    // Of one that the plugin knows under this id.
    facts.known.plugin_endpoints = vec![plugin_endpoint(9, "10.0.0.9", 8006, true)];
    assert!(!is_free(&facts, &[owned(Some(9))]));
    facts.known.plugin_endpoints.clear();
    facts.known.endpoint_ids = None;
    assert!(!is_free(&facts, &[owned(Some(9))]));
}

#[test]
fn nodes_that_are_in_another_cluster_do_not_tell_whose_this_one_is() {
    let facts = converged();
    let state = |id: u64, owner: i64| {
        let mut row = state(id, "pve1");
        row.object.endpoint_raw_id = Some(owner);
        row
    };
    let in_cluster = |id: u64, cluster: Option<ObjectId>| {
        let mut row = device(id, "pve1");
        row.object.cluster = cluster;
        row
    };
    let other = Some(ObjectId(99));
    let is_free = |states: &[Stored<DeviceState>], devices: &[Stored<Device>]| {
        claim::refuse_foreign(&facts, CLUSTER, states, devices).is_ok()
    };
    let theirs = [state(101, OURS + 1)];
    assert!(is_free(&theirs, &[in_cluster(101, other)]));
    assert!(is_free(&theirs, &[in_cluster(101, None)]));
    assert!(!is_free(&theirs, &[in_cluster(101, Some(CLUSTER))]));
    assert!(!is_free(&theirs, &[]), "a device that cannot be read may be in it");
    let both = [state(101, OURS + 1), state(102, OURS)];
    assert!(!is_free(
        &both,
        &[in_cluster(101, Some(CLUSTER)), in_cluster(102, other)]
    ));
    let asked = |states: &[Stored<DeviceState>]| claim::disputed_selection(&facts, states).any_of.unwrap().1;
    assert_eq!(asked(&both), ["101", "102"]);
    assert_eq!(
        asked(&both[1..]),
        [""; 0],
        "nothing is asked where nobody else has nodes"
    );
}

/// A case: its name, tracking rows, clusters of the name or link, and what is to be decided.
type ClaimCase = (
    &'static str,
    Vec<Stored<TrackingCluster>>,
    Vec<ObjectId>,
    Result<Claim, Ambiguity>,
);

fn assert_claims(cases: impl IntoIterator<Item = ClaimCase>) {
    for (case, rows, clusters, expected) in cases {
        let mut facts = converged();
        facts.known.tracking = rows;
        facts.known.clusters = clusters.into_iter().map(cluster).collect();
        assert_eq!(claim::decide(&facts, ENDPOINT), expected, "{case}");
    }
}

#[test]
fn cluster_is_adopted_or_created() {
    let other = ObjectId(11);
    assert_claims([
        (
            "linked",
            vec![tracking(7, 3, Some(CLUSTER))],
            vec![CLUSTER],
            Ok(Claim::Adopt(CLUSTER)),
        ),
        (
            "unlinked, one of that name",
            vec![tracking(7, 3, None)],
            vec![CLUSTER],
            Ok(Claim::Adopt(CLUSTER)),
        ),
        (
            "unlinked, none of that name",
            vec![tracking(7, 3, None)],
            vec![],
            Ok(Claim::Create),
        ),
        ("not tracked, none of that name", vec![], vec![], Ok(Claim::Create)),
        (
            "unlinked, two of that name, one linked elsewhere",
            vec![tracking(7, 3, None), tracking(8, 4, Some(other))],
            vec![CLUSTER, other],
            Ok(Claim::Adopt(CLUSTER)),
        ),
    ]);
}

#[test]
fn cluster_that_is_ambiguous_is_refused() {
    let other = ObjectId(11);
    assert_claims([
        (
            "unlinked, two of that name",
            vec![tracking(7, 3, None)],
            vec![CLUSTER, other],
            Err(Ambiguity::SeveralClusters {
                name: "lab".to_owned(),
                count: 2,
            }),
        ),
        (
            "the only one of that name is another endpoint's",
            vec![tracking(7, 3, None), tracking(8, 4, Some(CLUSTER))],
            vec![CLUSTER],
            Err(Ambiguity::Taken { name: "lab".to_owned() }),
        ),
        (
            "linked by two endpoints",
            vec![tracking(7, 3, Some(CLUSTER)), tracking(8, 4, Some(CLUSTER))],
            vec![CLUSTER],
            Err(Ambiguity::Shared { cluster: CLUSTER }),
        ),
        (
            "tracked twice",
            vec![tracking(7, 3, None), tracking(8, 3, None)],
            vec![],
            Err(Ambiguity::SeveralTracked {
                name: "lab".to_owned(),
                count: 2,
            }),
        ),
        (
            "linked to a cluster that is not visible",
            vec![tracking(7, 3, Some(CLUSTER))],
            vec![],
            Err(Ambiguity::Missing { cluster: CLUSTER }),
        ),
    ]);
}
