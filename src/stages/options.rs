//! What a request may say about how a stage works: overwrite flags and modes.

use std::collections::BTreeMap;

use crate::reconcile::Mode;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// Clusters.
    pub cluster: Mode,
    /// Nodes; follows the cluster.
    pub node: Mode,
    /// Storages.
    pub storage: Mode,
}

impl Modes {
    /// The mode of nodes, with their parent's taken into account.
    pub fn effective_node(self) -> Mode {
        if self.cluster == Mode::Disabled {
            Mode::Disabled
        } else {
            self.node
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
