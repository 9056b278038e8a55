//! The collections that the stand-in holds, and what the schema does not say of them.

/// What is peculiar to one collection.
#[derive(Debug)]
pub(super) struct Rules {
    /// Below `/api/`, without slashes at the ends.
    pub(super) path: &'static str,
    /// The content type, `dcim.site`.
    pub(super) model: &'static str,
    /// The name in "No Site matches the given query."
    pub(super) class: &'static str,
    /// The default order; `a.b` follows a relation, `-` turns it round.
    pub(super) order: &'static [&'static str],
    pub(super) unique: &'static [Unique],
    /// Further columns by which rows are found fast; relations always are.
    pub(super) indexed: &'static [&'static str],
    /// Relations that keep the other row from being deleted, where the schema would let it clear or take this one along.
    pub(super) protects: &'static [&'static str],
    /// Relations that do so unless this row goes for another reason in the same breath.
    pub(super) restricts: &'static [&'static str],
    /// Relations that may be empty and yet take this row along.
    pub(super) cascades: &'static [&'static str],
    /// What names a row, `{column}` for its values; a relation stands for the name of the other row.
    pub(super) display: &'static str,
}

/// Columns whose values no two rows may share.
#[derive(Debug)]
pub(super) struct Unique {
    /// A row where one of them is empty is free.
    pub(super) columns: &'static [&'static str],
    /// Compared too, and here two empty values are the same.
    pub(super) or_empty: &'static [&'static str],
    /// Whether upper and lower case are the same.
    pub(super) is_folded: bool,
    /// The column blamed.
    pub(super) blames: &'static str,
    pub(super) says: &'static str,
}

const NAME: &[&str] = &["name"];
const NONE: &[&str] = &[];

const BASE: Rules = Rules {
    path: "",
    model: "",
    class: "",
    order: NAME,
    unique: &[],
    indexed: NONE,
    protects: NONE,
    restricts: NONE,
    cascades: NONE,
    display: "{name}",
};

const fn one(columns: &'static [&'static str], blames: &'static str, says: &'static str) -> Unique {
    Unique {
        columns,
        or_empty: NONE,
        is_folded: false,
        blames,
        says,
    }
}

const fn all(columns: &'static [&'static str], says: &'static str) -> Unique {
    one(columns, "__all__", says)
}

const fn within(columns: &'static [&'static str], or_empty: &'static [&'static str], says: &'static str) -> Unique {
    Unique {
        or_empty,
        ..all(columns, says)
    }
}

macro_rules! collections {
    ($($path:literal, $model:literal, $class:literal $(, $column:ident: $value:expr)*;)*) => {
        /// Every collection.
        pub(super) const COLLECTIONS: &[Rules] = &[$(Rules {
            path: $path,
            model: $model,
            class: $class,
            $($column: $value,)*
            ..BASE
        }),*];
    };
}

collections! {
    "dcim/sites", "dcim.site", "Site", indexed: &["name", "slug"], protects: &["tenant"],
        unique: &[one(NAME, "name", "site with this name already exists."), one(&["slug"], "slug", "site with this slug already exists.")];
    "dcim/locations", "dcim.location", "Location", order: &["site.name", "name"], protects: &["tenant"];
    "dcim/manufacturers", "dcim.manufacturer", "Manufacturer", indexed: &["name", "slug"],
        unique: &[one(NAME, "name", "manufacturer with this name already exists."), one(&["slug"], "slug", "manufacturer with this slug already exists.")];
    "dcim/device-types", "dcim.devicetype", "DeviceType", order: &["manufacturer.name", "model"], indexed: &["model", "slug"],
        protects: &["manufacturer"], display: "{model}",
        unique: &[all(&["manufacturer", "model"], "Device type with this Manufacturer and Model already exists."), all(&["manufacturer", "slug"], "Device type with this Manufacturer and Slug already exists.")];
    "dcim/device-roles", "dcim.devicerole", "DeviceRole", indexed: &["name", "slug"], cascades: &["parent"],
        unique: &[within(NAME, &["parent"], "A device role with this name already exists."), within(&["slug"], &["parent"], "A device role with this slug already exists.")];
    "dcim/platforms", "dcim.platform", "Platform", indexed: &["name", "slug"], protects: &["manufacturer"], cascades: &["parent"],
        unique: &[within(NAME, &["manufacturer"], "Platform name must be unique."), within(&["slug"], &["manufacturer"], "Platform slug must be unique.")];
    "dcim/devices", "dcim.device", "Device", indexed: &["name", "serial"],
        protects: &["device_type", "role", "site", "tenant", "location"],
        unique: &[Unique { is_folded: true, ..within(&["name", "site"], &["tenant"], "Device name must be unique per site and tenant.") }];
    "dcim/interfaces", "dcim.interface", "Interface", order: &["device.name", "name"], indexed: NAME, restricts: &["parent"],
        unique: &[all(&["device", "name"], "Interface with this Device and Name already exists.")];
    "dcim/mac-addresses", "dcim.macaddress", "MACAddress", order: &["mac_address"],
        indexed: &["mac_address", "assigned_object_id"], display: "{mac_address}";
    "virtualization/cluster-types", "virtualization.clustertype", "ClusterType", indexed: &["name", "slug"],
        unique: &[one(NAME, "name", "cluster type with this name already exists."), one(&["slug"], "slug", "cluster type with this slug already exists.")];
    "virtualization/cluster-groups", "virtualization.clustergroup", "ClusterGroup", indexed: &["name", "slug"],
        unique: &[one(NAME, "name", "cluster group with this name already exists."), one(&["slug"], "slug", "cluster group with this slug already exists.")];
    "virtualization/clusters", "virtualization.cluster", "Cluster", indexed: NAME, protects: &["type", "group", "tenant"],
        unique: &[all(&["group", "name"], "Cluster with this Group and Name already exists.")];
    "virtualization/virtual-machine-types", "virtualization.virtualmachinetype", "VirtualMachineType", indexed: &["name", "slug"],
        unique: &[one(&["slug"], "slug", "virtual machine type with this slug already exists.")];
    "virtualization/virtual-machines", "virtualization.virtualmachine", "VirtualMachine", indexed: NAME,
        protects: &["site", "cluster", "device", "tenant", "role", "virtual_machine_type"],
        unique: &[Unique { is_folded: true, ..within(&["name", "cluster"], &["tenant"], "Virtual machine name must be unique per cluster and tenant.") }];
    "virtualization/interfaces", "virtualization.vminterface", "VMInterface", order: &["virtual_machine.name", "name"],
        indexed: NAME, restricts: &["parent"],
        unique: &[all(&["virtual_machine", "name"], "Interface with this Virtual machine and Name already exists.")];
    "virtualization/virtual-disks", "virtualization.virtualdisk", "VirtualDisk", order: &["virtual_machine.name", "name"], indexed: NAME,
        unique: &[all(&["virtual_machine", "name"], "Virtual disk with this Virtual machine and Name already exists.")];
    "ipam/vrfs", "ipam.vrf", "VRF", protects: &["tenant"];
    "ipam/route-targets", "ipam.routetarget", "RouteTarget", protects: &["tenant"],
        unique: &[one(NAME, "name", "route target with this name already exists.")];
    "ipam/vlan-groups", "ipam.vlangroup", "VLANGroup";
    "ipam/vlans", "ipam.vlan", "VLAN", order: &["site.name", "group.name", "vid", "id"], indexed: &["vid", "name"],
        protects: &["site", "group", "tenant"], display: "{name} ({vid})",
        unique: &[all(&["group", "vid"], "VLAN with this Group and VLAN ID already exists."), all(&["group", "name"], "VLAN with this Group and Name already exists.")];
    "ipam/prefixes", "ipam.prefix", "Prefix", order: &["vrf.name", "prefix"], protects: &["vrf", "tenant", "vlan"], display: "{prefix}";
    "ipam/ip-addresses", "ipam.ipaddress", "IPAddress", order: &["address"], indexed: &["address", "assigned_object_id"],
        protects: &["vrf", "tenant"], display: "{address}";
    "vpn/l2vpns", "vpn.l2vpn", "L2VPN", protects: &["tenant"];
    "vpn/l2vpn-terminations", "vpn.l2vpntermination", "L2VPNTermination", order: &["id"], indexed: &["assigned_object_id"], display: "{l2vpn}";
    "ipam/asns", "ipam.asn", "ASN", order: &["asn"], display: "AS{asn}",
        unique: &[one(&["asn"], "asn", "ASN with this ASN already exists.")];
    "extras/tags", "extras.tag", "Tag", order: &["weight", "name"], indexed: &["name", "slug"],
        unique: &[one(NAME, "name", "tag with this name already exists."), one(&["slug"], "slug", "tag with this slug already exists.")];
    "extras/custom-fields", "extras.customfield", "CustomField", order: &["group_name", "weight", "name"],
        unique: &[one(NAME, "name", "custom field with this name already exists.")];
    "extras/custom-field-choice-sets", "extras.customfieldchoiceset", "CustomFieldChoiceSet",
        unique: &[one(NAME, "name", "custom field choice set with this name already exists.")];
    "extras/journal-entries", "extras.journalentry", "JournalEntry", order: &["-created"], indexed: &["assigned_object_id"], display: "{created} ({kind})";
    "tenancy/tenants", "tenancy.tenant", "Tenant", indexed: &["name", "slug"],
        unique: &[within(NAME, &["group"], "Tenant name must be unique per group."), within(&["slug"], &["group"], "Tenant slug must be unique per group.")];
    "users/users", "users.user", "User", order: &["username"], indexed: &["username"], display: "{username}";
    "users/tokens", "users.token", "Token", order: &["-created"], display: "{key}";
    "core/jobs", "core.job", "Job", order: &["-created"];

    "plugins/proxbox/endpoints/proxmox", "netbox_proxbox.proxmoxendpoint", "ProxmoxEndpoint", protects: &["ip_address"], display: "{name} ({ip_address})";
    "plugins/proxbox/endpoints/netbox", "netbox_proxbox.netboxendpoint", "NetBoxEndpoint", protects: &["ip_address"];
    "plugins/proxbox/endpoints/fastapi", "netbox_proxbox.fastapiendpoint", "FastAPIEndpoint", protects: &["ip_address"];
    "plugins/proxbox/settings", "netbox_proxbox.proxboxpluginsettings", "ProxboxPluginSettings", order: &["id"], display: "Proxbox plugin settings";
    "plugins/proxbox/ssh-credentials", "netbox_proxbox.nodesshcredential", "NodeSSHCredential", order: &["id"], display: "{node}";
    "plugins/proxbox/proxmox-clusters", "netbox_proxbox.proxmoxcluster", "ProxmoxCluster", order: &["endpoint.name", "endpoint", "name"],
        indexed: NAME, display: "{name} ({endpoint})",
        unique: &[all(&["endpoint", "name"], "Proxmox cluster with this Proxmox endpoint and Cluster name already exists.")];
    "plugins/proxbox/proxmox-nodes", "netbox_proxbox.proxmoxnode", "ProxmoxNode", order: &["endpoint.name", "endpoint", "name"],
        indexed: NAME, display: "{name} ({endpoint})",
        unique: &[all(&["endpoint", "name"], "Proxmox node with this Proxmox endpoint and Node name already exists.")];
    "plugins/proxbox/storage", "netbox_proxbox.proxmoxstorage", "ProxmoxStorage", order: &["cluster.name", "name"], indexed: NAME,
        cascades: &["cluster"], display: "{cluster}/{name}",
        unique: &[all(&["cluster", "name"], "Proxmox Storage with this Cluster and Name already exists.")];
    "plugins/proxbox/backups", "netbox_proxbox.vmbackup", "VMBackup", order: &["storage", "virtual_machine.name", "id"],
        indexed: &["vmid", "volume_id"], display: "{virtual_machine} - {volume_id}",
        unique: &[all(&["volume_id", "vmid", "storage", "virtual_machine", "subtype", "format"], "VM Backup with this Storage, Virtual machine, Subtype, Format, Volume id and Vmid already exists.")];
    "plugins/proxbox/snapshots", "netbox_proxbox.vmsnapshot", "VMSnapshot", order: &["virtual_machine.name", "name", "id"],
        indexed: &["vmid", "name"], display: "{virtual_machine} - {name}",
        unique: &[all(&["vmid", "name", "node"], "VM Snapshot with this Vmid, Name and Node already exists.")];
    "plugins/proxbox/task-history", "netbox_proxbox.vmtaskhistory", "VMTaskHistory", order: &["-start_time", "id"],
        indexed: &["upid", "task_id"], display: "{virtual_machine} - {description}",
        unique: &[one(&["upid"], "upid", "VM Task History with this upid already exists.")];
    "plugins/proxbox/replications", "netbox_proxbox.replication", "Replication", order: &["endpoint.name", "replication_id"],
        indexed: &["replication_id"], cascades: &["endpoint"], display: "{virtual_machine} - {replication_id}",
        unique: &[all(&["endpoint", "replication_id"], "Replication with this Proxmox endpoint and Replication id already exists.")];
    "plugins/proxbox/backup-routines", "netbox_proxbox.backuproutine", "BackupRoutine", order: &["endpoint.name", "job_id"],
        indexed: &["job_id"], display: "{job_id} ({endpoint})",
        unique: &[all(&["endpoint", "job_id"], "Backup Routine with this Proxmox endpoint and Job ID already exists.")];
    "plugins/proxbox/guest-vm-interfaces", "netbox_proxbox.guestvminterface", "GuestVMInterface", order: &["virtual_machine.name", "name"], indexed: NAME,
        unique: &[all(&["virtual_machine", "name"], "Guest VM interface with this Virtual machine and Name already exists."), one(&["vm_interface"], "vm_interface", "This core VM interface is already mapped to another guest interface (one-to-one). A guest interface that shares a MAC with the Proxmox NIC (e.g. a VLAN sub-interface) must not claim the same core interface.")];
    "plugins/proxbox/guest-vm-interface-addresses", "netbox_proxbox.guestvminterfaceaddress", "GuestVMInterfaceAddress",
        order: &["guest_interface.virtual_machine.name", "guest_interface.name", "ip_address.address"], protects: &["ip_address"],
        display: "{guest_interface} - {ip_address}",
        unique: &[all(&["guest_interface", "ip_address"], "Guest VM interface address with this Guest interface and Ip address already exists.")];
    "plugins/proxbox/vm-cloudinit", "netbox_proxbox.proxmoxvmcloudinit", "ProxmoxVMCloudInit", order: &["virtual_machine.name"], display: "{virtual_machine} cloud-init";
    "plugins/proxbox/vm-templates", "netbox_proxbox.proxmoxvmtemplate", "ProxmoxVMTemplate", cascades: &["proxmox_endpoint"], display: "{name} (vmid={vmid})";
    "plugins/proxbox/datacenter-cpu-models", "netbox_proxbox.proxmoxdatacentercpumodel", "ProxmoxDatacenterCpuModel", order: &["cluster_name", "cputype"], display: "{cluster_name} / {cputype}";
    "plugins/proxbox/sdn-zones", "netbox_proxbox.proxmoxsdnzone", "ProxmoxSdnZone", order: &["cluster_name", "zone_name"], display: "{cluster_name} / {zone_name}";
    "plugins/proxbox/sdn-vnets", "netbox_proxbox.proxmoxsdnvnet", "ProxmoxSdnVNet", order: &["cluster_name", "zone_name", "vnet_name"], display: "{cluster_name} / {zone_name} / {vnet_name}";
    "plugins/proxbox/sdn-subnets", "netbox_proxbox.proxmoxsdnsubnet", "ProxmoxSdnSubnet", order: &["cluster_name", "vnet_name", "subnet"], display: "{cluster_name} / {vnet_name} / {subnet}";
    "plugins/proxbox/sdn-controllers", "netbox_proxbox.proxmoxsdncontroller", "ProxmoxSdnController", order: &["cluster_name", "controller_name"], display: "{cluster_name} / {controller_name}";
    "plugins/proxbox/sdn-bindings", "netbox_proxbox.proxmoxsdnbinding", "ProxmoxSdnBinding", order: &["cluster_name", "source_type", "source_name"], display: "{cluster_name} / {source_type} / {source_name}";
    "plugins/proxbox/sdn-fabrics", "netbox_proxbox.proxmoxsdnfabric", "ProxmoxSdnFabric", order: &["cluster_name", "fabric_name"], display: "{cluster_name} / {fabric_name}";
    "plugins/proxbox/sdn-route-maps", "netbox_proxbox.proxmoxsdnroutemap", "ProxmoxSdnRouteMap", order: &["cluster_name", "name", "order"], display: "{cluster_name} / {name}";
    "plugins/proxbox/sdn-prefix-lists", "netbox_proxbox.proxmoxsdnprefixlist", "ProxmoxSdnPrefixList", order: &["cluster_name", "name"], display: "{cluster_name} / {name}";

    "plugins/bgp/prefix-list", "netbox_bgp.prefixlist", "PrefixList", unique: &[all(&["name", "description", "family"], "Prefix list with this Name, Description and Family already exists.")];
    "plugins/bgp/prefix-list-rule", "netbox_bgp.prefixlistrule", "PrefixListRule", order: &["prefix_list.name", "index"], display: "{prefix_list}: Rule {index}",
        unique: &[all(&["prefix_list", "index"], "Prefix list rule with this Prefix list and Index already exists.")];
    "plugins/bgp/routing-policy", "netbox_bgp.routingpolicy", "RoutingPolicy", unique: &[all(&["name", "description"], "Routing policy with this Name and Description already exists.")];
    "plugins/bgp/community", "netbox_bgp.community", "Community", order: &["value"], display: "{value}";
    "plugins/bgp/routing-policy-rule", "netbox_bgp.routingpolicyrule", "RoutingPolicyRule", order: &["routing_policy.name", "index"], display: "{routing_policy}: Rule {index}",
        unique: &[all(&["routing_policy", "index"], "Routing policy rule with this Routing policy and Index already exists.")];
    "plugins/bgp/peer-group", "netbox_bgp.bgppeergroup", "BGPPeerGroup", unique: &[all(&["name", "description"], "Peer group with this Name and Description already exists.")];
    "plugins/bgp/session", "netbox_bgp.bgpsession", "BGPSession", protects: &["local_address", "remote_address", "local_as", "remote_as"];

    "plugins/proxbox/sync-state/virtual-machines", "netbox_proxbox.proxboxvirtualmachinesyncstate", "ProxboxVirtualMachineSyncState",
        order: &["virtual_machine.name"], indexed: &["proxmox_vm_id", "proxmox_endpoint_raw_id"], display: "{virtual_machine} Proxbox sync state";
    "plugins/proxbox/sync-state/devices", "netbox_proxbox.proxboxdevicesyncstate", "ProxboxDeviceSyncState", order: &["device.name"], display: "{device} Proxbox sync state";
    "plugins/proxbox/sync-state/clusters", "netbox_proxbox.proxboxclustersyncstate", "ProxboxClusterSyncState", order: &["cluster.name"], display: "{cluster} Proxbox sync state";
    "plugins/proxbox/sync-state/virtual-disks", "netbox_proxbox.proxboxvirtualdisksyncstate", "ProxboxVirtualDiskSyncState",
        order: &["virtual_disk.virtual_machine.name", "virtual_disk.name"], display: "{virtual_disk} Proxbox sync state";
    "plugins/proxbox/sync-state/vm-interfaces", "netbox_proxbox.proxboxvminterfacesyncstate", "ProxboxVMInterfaceSyncState",
        order: &["vm_interface.virtual_machine.name", "vm_interface.name"], display: "{vm_interface} Proxbox sync state";
    "plugins/proxbox/sync-state/interfaces", "netbox_proxbox.proxboxinterfacesyncstate", "ProxboxInterfaceSyncState",
        order: &["interface.device.name", "interface.name"], display: "{interface} Proxbox sync state";
    "plugins/proxbox/sync-state/ip-addresses", "netbox_proxbox.proxboxipaddresssyncstate", "ProxboxIPAddressSyncState", order: &["ip_address.address"], display: "{ip_address} Proxbox sync state";
    "plugins/proxbox/sync-state/vlans", "netbox_proxbox.proxboxvlansyncstate", "ProxboxVLANSyncState", order: &["vlan.vid"], display: "{vlan} Proxbox sync state";
    "plugins/proxbox/sync-state/device-roles", "netbox_proxbox.proxboxdevicerolesyncstate", "ProxboxDeviceRoleSyncState", order: &["device_role.name"], display: "{device_role} Proxbox sync state";
    "plugins/proxbox/sync-state/device-types", "netbox_proxbox.proxboxdevicetypesyncstate", "ProxboxDeviceTypeSyncState", order: &["device_type.model"], display: "{device_type} Proxbox sync state";
    "plugins/proxbox/sync-state/manufacturers", "netbox_proxbox.proxboxmanufacturersyncstate", "ProxboxManufacturerSyncState", order: &["manufacturer.name"], display: "{manufacturer} Proxbox sync state";
    "plugins/proxbox/sync-state/sites", "netbox_proxbox.proxboxsitesyncstate", "ProxboxSiteSyncState", order: &["site.name"], display: "{site} Proxbox sync state";
    "plugins/proxbox/sync-state/cluster-types", "netbox_proxbox.proxboxclustertypesyncstate", "ProxboxClusterTypeSyncState", order: &["cluster_type.name"], display: "{cluster_type} Proxbox sync state";
    "plugins/proxbox/sync-state/cluster-groups", "netbox_proxbox.proxboxclustergroupsyncstate", "ProxboxClusterGroupSyncState", order: &["cluster_group.name"], display: "{cluster_group} Proxbox sync state";
}

impl Rules {
    /// Whether it holds the plugin's sync-state rows, one beside each row of their parent.
    pub(super) fn is_sidecar(&self) -> bool {
        self.path.starts_with("plugins/proxbox/sync-state/")
    }

    /// Whether it belongs to the plugin netbox-bgp.
    pub(super) fn is_bgp(&self) -> bool {
        self.path.starts_with("plugins/bgp/")
    }

    /// Whether it belongs to a plugin.
    pub(super) fn is_plugin(&self) -> bool {
        self.path.starts_with("plugins/")
    }
}
