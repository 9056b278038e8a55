//! What a pass may know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Options;
use super::machines::GuestFacts;
use crate::endpoint::EndpointKey;
use crate::inventory::{Cluster as ProxmoxCluster, Inventory, Vmid};
use crate::netbox::ids::Ids;
use crate::netbox::objects::{
    Asn, Cluster, Device, DeviceInterface, DeviceState, GuestVmInterface, GuestVmInterfaceAddress, IpAddress,
    L2vpnTermination, MacAddress, PluginEndpoint, Prefix, SdnBinding, Storage, Tag, TaskHistory, TrackingCluster,
    VirtualMachine, VirtualMachineState, Vlan, VlanGroup, VmInterface, VmInterfaceState,
};
use crate::reconcile::{ObjectId, Resource, Stored};

/// An existing object that an operator named in the endpoint's settings: by id, else slug, else name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lookup {
    /// Its id.
    pub id: Option<ObjectId>,
    /// Its slug.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

impl Lookup {
    /// Whether the settings name nothing.
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.slug.is_none() && self.name.is_none()
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            self.id.map(|id| format!("id {id}")),
            self.slug.as_ref().map(|slug| format!("slug {slug:?}")),
            self.name.as_ref().map(|name| format!("name {name:?}")),
        ];
        out.write_str(&named.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// The endpoint that a run works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFacts {
    /// Who it is.
    pub key: EndpointKey,
    /// Its name as configured, with the plugin's suffix.
    pub name: String,
    /// Its DNS name.
    pub domain: Option<String>,
    /// Its IP address.
    pub ip_address: Option<String>,
    /// Its port.
    pub port: u16,
    /// The template of its nodes' device names.
    pub node_device_name_template: String,
    /// The site that its objects are placed in, where one is configured.
    pub site: Lookup,
    /// The tenant of its clusters, where one is configured.
    pub tenant: Lookup,
}

/// Rows of NetBox that several passes consult.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Whether NetBox had not even our own tag when the run began.
    pub is_first_run: bool,
    /// Whether this release of NetBox has types of virtual machines.
    pub has_machine_types: bool,
    /// The plugin's Proxmox endpoints.
    pub plugin_endpoints: Vec<PluginEndpoint>,
    /// The plugin's tracked clusters, of all endpoints.
    pub tracking: Vec<Stored<TrackingCluster>>,
    /// Clusters that have the cluster's name or are linked to it.
    pub clusters: Vec<Stored<Cluster>>,
    /// Whether the plugin has made the cluster for this run, which completes it.
    pub is_new_cluster: bool,
    /// Whether NetBox has refused the scope that the cluster should have, so that it keeps its own.
    pub keeps_scope: bool,
    /// Sync states of devices that may be ours.
    pub device_states: Vec<Stored<DeviceState>>,
    /// Devices that may stand for a node.
    pub devices: Vec<Stored<Device>>,
    /// Of those, the ones that this run or one just before it has made, which are completed.
    pub made_devices: BTreeSet<ObjectId>,
    /// The devices that stand for the nodes, by the node's name.
    pub node_devices: BTreeMap<String, ObjectId>,
    /// The sites of those devices, by device.
    pub device_sites: BTreeMap<ObjectId, ObjectId>,
    /// The plugin's rows of the nodes, by the node's name.
    pub node_links: BTreeMap<String, ObjectId>,
    /// Tags that guests' tags may be.
    pub tags: Vec<Stored<Tag>>,
    /// The ids of all configured Proxmox endpoints; `None`: unknown, so that none is taken for gone.
    pub endpoint_ids: Option<BTreeSet<i64>>,
    /// The ids of the other endpoints that take part in the run: what is theirs, their part of the run tells.
    pub others: BTreeSet<i64>,
    /// The cluster's virtual machines.
    pub machines: Vec<Stored<VirtualMachine>>,
    /// Sync states of virtual machines that this endpoint owns.
    pub machine_states: Vec<Stored<VirtualMachineState>>,
    /// Virtual machines of the cluster that another endpoint says stand for a guest, by the guest's number, where a stage
    /// has looked for them.
    pub neighbours: BTreeMap<Vmid, ObjectId>,
    /// Virtual machines that are known to stand for a guest and of whose children a stage has read all that it can prove
    /// anything by: a row of theirs that is not desired may be taken for gone.
    pub proven: BTreeSet<ObjectId>,
    /// Rows of tasks that may be among those which were read.
    pub tasks: Vec<Stored<TaskHistory>>,
    /// Sync states of virtual machines that hold the row of a task which is another one's.
    pub task_holders: Vec<Stored<VirtualMachineState>>,
    /// Which guest each virtual machine stands for that a stage may touch.
    pub guests: BTreeMap<ObjectId, Vmid>,
    /// The cluster's storages.
    pub storages: Vec<Stored<Storage>>,
    /// Rows about the network interfaces of the cluster's virtual machines.
    pub network: KnownNetwork,
    /// Rows about the network interfaces of the nodes' devices.
    pub node_network: KnownNodeNetwork,
    /// Groups of the VLANs that a stage has read and that no site has.
    pub vlan_groups: Vec<Stored<VlanGroup>>,
    /// Rows about software-defined networks.
    pub sdn: KnownSdn,
    /// Paths of collections that the stage could not read and goes on without: what is there is not known, so nothing of it
    /// is written or deleted.
    pub unread: BTreeSet<&'static str>,
    /// The configured site.
    pub site: Option<ObjectId>,
    /// The configured tenant.
    pub tenant: Option<ObjectId>,
}

impl Known {
    /// The ids of the cluster's virtual machines.
    pub fn machine_ids(&self) -> impl Iterator<Item = ObjectId> {
        self.machines.iter().map(|stored| stored.id)
    }

    /// Whether a Proxmox endpoint is configured no more: its id may be one of this service's own or one of the plugin's.
    pub fn is_gone(&self, endpoint: i64) -> bool {
        let is_configured = self.endpoint_ids.as_ref().is_none_or(|ids| ids.contains(&endpoint));
        let mut in_plugin = self.plugin_endpoints.iter();
        !is_configured && !in_plugin.any(|row| u64::try_from(endpoint) == Ok(row.id.0))
    }

    /// Whether the stage goes on without rows of kind `R`.
    pub fn is_unread<R: Resource>(&self) -> bool {
        self.unread.contains(R::PATH)
    }

    /// The cluster's storages, by name.
    pub fn storage_ids(&self) -> BTreeMap<&str, ObjectId> {
        let rows = self.storages.iter();
        rows.map(|stored| (stored.object.name.as_str(), stored.id)).collect()
    }
}

/// Rows of NetBox about the network interfaces of the cluster's virtual machines, where a stage has read them.
#[derive(Debug, Clone, Default)]
pub struct KnownNetwork {
    /// The interfaces.
    pub interfaces: Vec<Stored<VmInterface>>,
    /// VLANs that those interfaces have or should have.
    pub vlans: Vec<Stored<Vlan>>,
    /// MAC addresses of those interfaces that do not bear our tag.
    pub untagged_macs: Vec<Stored<MacAddress>>,
    /// MAC addresses of those interfaces that do not have theirs yet.
    pub macs: Vec<Stored<MacAddress>>,
    /// The plugin's sync states of those interfaces.
    pub interface_states: Vec<Stored<VmInterfaceState>>,
    /// The plugin's rows of what guests see of their interfaces.
    pub guest_interfaces: Vec<Stored<GuestVmInterface>>,
    /// The plugin's rows of which of those has which address.
    pub guest_addresses: Vec<Stored<GuestVmInterfaceAddress>>,
    /// Addresses of those interfaces, and others that are the same hosts.
    pub addresses: Vec<Stored<IpAddress>>,
    /// Of those, the ones that have to go.
    pub stale_addresses: BTreeSet<ObjectId>,
    /// Of those, the ones that NetBox does not delete because others of its rows need them.
    pub protected_addresses: BTreeSet<ObjectId>,
    /// Addresses that this run has made.
    pub made_addresses: BTreeSet<ObjectId>,
    /// Rows of which guest's interface has which address that have to go.
    pub stale_links: BTreeSet<ObjectId>,
    /// Whether there may be rows of which guest's interface has which address that could not be read: NetBox does not let
    /// those addresses go.
    pub has_hidden_links: bool,
}

impl KnownNetwork {
    /// The ids of the interfaces.
    pub fn interface_ids(&self) -> impl Iterator<Item = ObjectId> {
        self.interfaces.iter().map(|stored| stored.id)
    }

    /// The ids of the plugin's rows of what guests see of them.
    pub fn guest_interface_ids(&self) -> impl Iterator<Item = ObjectId> {
        self.guest_interfaces.iter().map(|stored| stored.id)
    }
}

/// Rows of NetBox about the network interfaces of the nodes' devices, where a stage has read them.
#[derive(Debug, Clone, Default)]
pub struct KnownNodeNetwork {
    /// The interfaces.
    pub interfaces: Vec<Stored<DeviceInterface>>,
    /// Of those, the ones that this run has made, which completes them.
    pub made: BTreeSet<ObjectId>,
    /// VLANs with the numbers that those interfaces should have.
    pub vlans: Vec<Stored<Vlan>>,
    /// Addresses that are hosts which those interfaces should be.
    pub addresses: Vec<Stored<IpAddress>>,
    /// MAC addresses of those interfaces.
    pub macs: Vec<Stored<MacAddress>>,
}

/// Rows of NetBox about software-defined networks, where a stage has read them.
#[derive(Debug, Clone, Default)]
pub struct KnownSdn {
    /// What the endpoint's networks became; `None` where the plugin does not keep that.
    pub bindings: Option<Vec<Stored<SdnBinding>>>,
    /// Prefixes that are one of the subnets' networks.
    pub prefixes: Vec<Stored<Prefix>>,
    /// VLANs that networks end at.
    pub vlans: Vec<Stored<Vlan>>,
    /// What is at the ends of L2VPNs and an end of the networks too.
    pub terminations: Vec<Stored<L2vpnTermination>>,
    /// Whether NetBox has the plugin netbox-bgp, and rows of it are wanted.
    pub has_bgp: bool,
    /// Prefixes that are networks of entries of prefix lists.
    pub rule_prefixes: Vec<Stored<Prefix>>,
    /// Addresses of those who speak BGP.
    pub addresses: Vec<Stored<IpAddress>>,
    /// Their autonomous systems.
    pub asns: Vec<Stored<Asn>>,
}

/// Which rows of NetBox stand for the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Target {
    /// The plugin's endpoint.
    pub plugin_endpoint: Option<ObjectId>,
    /// The plugin's tracked cluster.
    pub tracking: Option<ObjectId>,
    /// The cluster.
    pub cluster: Option<ObjectId>,
}

/// What a pass may know.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The endpoint that the run works for.
    pub endpoint: EndpointFacts,
    /// What the request says.
    pub options: Options,
    /// The cluster behind the endpoint.
    pub cluster: ProxmoxCluster,
    /// What was read of it so far.
    pub inventory: Inventory,
    /// Ids that earlier passes learned.
    pub ids: Ids,
    /// Rows that several passes consult.
    pub known: Known,
    /// Which rows stand for the cluster.
    pub target: Target,
    /// Nodes whose device may not be touched, and why.
    pub refused_nodes: BTreeMap<String, String>,
    /// What the stage `virtual-machines` found out about guests.
    pub guests: GuestFacts,
    /// The run's time, ISO 8601 in UTC.
    pub now: String,
}

impl Facts {
    /// Whether rows that are no longer desired may go: not where the request is about one thing alone, since the others
    /// only look as if nobody wanted them, and not where it is not known which cluster it is.
    pub fn may_retire(&self) -> bool {
        self.options.only.is_everything() && self.cluster.hidden.is_none()
    }
}
