//! What a request may say about how a stage works: overwrite flags and modes.

use std::collections::{BTreeMap, BTreeSet};

use super::Only;
use crate::reconcile::{Mode, ObjectId};

macro_rules! flags {
    ($($flag:ident = $word:literal, $default:literal, $what:literal;)*) => {
        /// Whether an existing value may be overwritten. A flag that is off never prevents setting it at creation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Flag {
            $(#[doc = $what] $flag,)*
        }

        impl Flag {
            /// Every flag, in the order of the plugin's contract.
            pub const ALL: &'static [Self] = &[$(Self::$flag),*];

            /// The flag's name in queries.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$flag => $word,)*
                }
            }

            /// What holds when the query does not mention it.
            pub const fn default(self) -> bool {
                match self {
                    $(Self::$flag => $default,)*
                }
            }
        }
    };
}

flags! {
    DeviceRole = "overwrite_device_role", true, "A device's role.";
    DeviceType = "overwrite_device_type", true, "A device's type.";
    DeviceTags = "overwrite_device_tags", true, "A device's tags.";
    DeviceStatus = "overwrite_device_status", true, "A device's status.";
    DeviceDescription = "overwrite_device_description", true, "A device's description.";
    DeviceCustomFields = "overwrite_device_custom_fields", true, "A device's sync state, its owner excepted.";
    VmRole = "overwrite_vm_role", true, "A virtual machine's role.";
    VmType = "overwrite_vm_type", true, "A virtual machine's type.";
    VmPlatform = "overwrite_vm_platform", false, "A virtual machine's platform.";
    VmTags = "overwrite_vm_tags", true, "A virtual machine's tags.";
    VmProxmoxTags = "overwrite_vm_proxmox_tags", true, "Whether Proxmox's tags are mirrored.";
    VmDescription = "overwrite_vm_description", true, "A virtual machine's description and comments.";
    VmCustomFields = "overwrite_vm_custom_fields", true, "A virtual machine's sync state.";
    VmCloudinit = "overwrite_vm_cloudinit", true, "A virtual machine's cloud-init row.";
    ClusterTags = "overwrite_cluster_tags", true, "A cluster's tags.";
    ClusterDescription = "overwrite_cluster_description", true, "A cluster's description.";
    ClusterCustomFields = "overwrite_cluster_custom_fields", true, "A cluster's sync state.";
    NodeInterfaceTags = "overwrite_node_interface_tags", true, "A node interface's tags.";
    NodeInterfaceCustomFields = "overwrite_node_interface_custom_fields", true, "A node interface's sync state.";
    StorageTags = "overwrite_storage_tags", true, "A storage's tags.";
    VmInterfaceTags = "overwrite_vm_interface_tags", true, "A guest interface's tags.";
    VmInterfaceCustomFields = "overwrite_vm_interface_custom_fields", true, "A guest interface's sync state.";
    IpStatus = "overwrite_ip_status", true, "An address's status.";
    IpTags = "overwrite_ip_tags", true, "An address's tags.";
    IpCustomFields = "overwrite_ip_custom_fields", true, "An address's sync state.";
    IpDnsName = "overwrite_ip_address_dns_name", true, "An address's DNS name.";
}

/// The flags of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overwrite {
    given: BTreeMap<Flag, bool>,
}

impl Overwrite {
    /// Sets a flag.
    pub fn set(&mut self, flag: Flag, may_overwrite: bool) {
        self.given.insert(flag, may_overwrite);
    }

    /// Whether `flag` lets an existing value be overwritten.
    pub fn allows(&self, flag: Flag) -> bool {
        self.given.get(&flag).copied().unwrap_or(flag.default())
    }
}

/// How far each kind of resource is kept in step. A child is disabled with its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// Guests that are no templates.
    pub machine: Mode,
    /// Templates.
    pub template: Mode,
    /// Interfaces of guests; follow the guests.
    pub interface: Mode,
    /// MAC addresses; follow the interfaces.
    pub mac: Mode,
    /// IP addresses; follow the interfaces.
    pub ip_address: Mode,
    /// Clusters.
    pub cluster: Mode,
    /// Nodes; follow the cluster.
    pub node: Mode,
    /// Storages.
    pub storage: Mode,
    /// Software-defined networks.
    pub sdn: Mode,
    /// BGP sessions of software-defined networks; follow those.
    pub bgp: Mode,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            machine: Mode::Always,
            template: Mode::Always,
            interface: Mode::Always,
            mac: Mode::Always,
            ip_address: Mode::Always,
            cluster: Mode::Always,
            node: Mode::Always,
            storage: Mode::Always,
            sdn: Mode::Disabled,
            bgp: Mode::Disabled,
        }
    }
}

/// `mode` unless its parent is disabled.
fn below(parent: Mode, mode: Mode) -> Mode {
    if parent == Mode::Disabled { Mode::Disabled } else { mode }
}

impl Modes {
    /// The mode of guests as a whole: as far as virtual machines or templates are kept in step, whichever goes further.
    pub fn effective_guest(self) -> Mode {
        self.machine.min(self.template)
    }

    /// The mode of guest interfaces.
    pub fn effective_interface(self) -> Mode {
        below(self.effective_guest(), self.interface)
    }

    /// The mode of MAC addresses.
    pub fn effective_mac(self) -> Mode {
        below(self.effective_interface(), self.mac)
    }

    /// The mode of IP addresses.
    pub fn effective_ip_address(self) -> Mode {
        below(self.effective_interface(), self.ip_address)
    }

    /// The mode of nodes.
    pub fn effective_node(self) -> Mode {
        below(self.cluster, self.node)
    }

    /// The mode of BGP sessions.
    pub fn effective_bgp(self) -> Mode {
        below(self.sdn, self.bgp)
    }
}

/// How interfaces of guests are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InterfaceNaming {
    /// By their key in the configuration; what the guest itself sees goes to the plugin's rows.
    #[default]
    GuestOsModel,
    /// By the name that the guest agent reports.
    LegacyRename,
}

/// A family of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// What a request says about guests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the request"
)]
pub struct GuestOptions {
    /// Only the guests of these virtual machines; `None`: all.
    pub only: Option<BTreeSet<ObjectId>>,
    /// A selected virtual machine whose guest cannot be told fails the request instead of being left out.
    pub is_strict: bool,
    /// Stage `virtual-machines`: see to interfaces, disks and addresses too.
    pub sync_network: bool,
    /// Then: see to addresses.
    pub assign_addresses: bool,
    /// Keep MAC addresses.
    pub sync_macs: bool,
    /// Stage `virtual-machines`: see to the task history too.
    pub sync_task_history: bool,
    /// How interfaces are named.
    pub naming: InterfaceNaming,
    /// With [`InterfaceNaming::LegacyRename`]: take the names that the guest agent reports.
    pub use_agent_names: bool,
    /// Leave out link-local addresses.
    pub ignore_link_local: bool,
    /// Keep the state of an interface's link, its largest packet and the VLANs of its trunk too.
    pub sync_links: bool,
    /// Which family's primary address is looked for first.
    pub primary_family: Family,
    /// Read overrides from a guest's description.
    pub parse_metadata: bool,
    /// Ask the guest agent for the operating system.
    pub platform_from_agent: bool,
    /// Stage `task-history`: read all tasks that Proxmox still has, not only those that are not on record yet.
    pub all_tasks: bool,
    /// Delete backups that are gone.
    pub delete_missing_backups: bool,
    /// Delete snapshots that are gone.
    pub delete_missing_snapshots: bool,
}

impl Default for GuestOptions {
    fn default() -> Self {
        Self {
            only: None,
            is_strict: false,
            sync_network: true,
            assign_addresses: true,
            sync_macs: true,
            sync_task_history: true,
            naming: InterfaceNaming::GuestOsModel,
            use_agent_names: true,
            ignore_link_local: true,
            sync_links: false,
            primary_family: Family::V4,
            parse_metadata: false,
            platform_from_agent: false,
            all_tasks: false,
            delete_missing_backups: false,
            delete_missing_snapshots: false,
        }
    }
}

/// What a request says about how its stages work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Which existing values may be overwritten.
    pub overwrite: Overwrite,
    /// How far each kind is kept in step.
    pub modes: Modes,
    /// What holds for guests.
    pub guests: GuestOptions,
    /// What the request is about.
    pub only: Only,
    /// Stage `node-interfaces`: bridges, bonds and VLANs with their relations, not only the interfaces themselves.
    pub sync_node_topology: bool,
    /// The run's name, kept in the sync states of virtual machines.
    pub run_id: String,
    /// Sync-state time stamps before this one are refreshed on their own; `None`: only along with other changes.
    pub stamps_overdue_before: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_default_to_on_but_for_the_platform() {
        let flags = Overwrite::default();
        let off: Vec<_> = Flag::ALL.iter().filter(|flag| !flags.allows(**flag)).collect();
        assert_eq!((Flag::ALL.len(), off), (26, vec![&Flag::VmPlatform]));
    }

    #[test]
    fn guests_are_kept_as_far_as_any_kind_of_them_is() {
        for (machine, template, expected) in [
            (Mode::Disabled, Mode::Always, Mode::Always),
            (Mode::BootstrapOnly, Mode::Always, Mode::Always),
            (Mode::BootstrapOnly, Mode::Disabled, Mode::BootstrapOnly),
            (Mode::Disabled, Mode::Disabled, Mode::Disabled),
        ] {
            for (machine, template) in [(machine, template), (template, machine)] {
                let modes = Modes {
                    machine,
                    template,
                    ..Modes::default()
                };
                assert_eq!(modes.effective_guest(), expected, "{machine:?} {template:?}");
            }
        }
    }

    #[test]
    fn nodes_are_disabled_with_their_cluster() {
        let modes = Modes {
            cluster: Mode::Disabled,
            ..Modes::default()
        };
        assert_eq!(modes.effective_node(), Mode::Disabled);
        let modes = Modes {
            node: Mode::BootstrapOnly,
            ..Modes::default()
        };
        assert_eq!(modes.effective_node(), Mode::BootstrapOnly);
    }
}
