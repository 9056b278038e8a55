//! A Proxmox guest as the plugin's sync state of its virtual machine.

use crate::inventory::{Guest, GuestConfig, GuestKind, Vmid};
use crate::netbox::ObjectId;
use crate::netbox::objects::VirtualMachineState;

/// Where a guest's Proxmox is to be found.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    /// The endpoint's id in this service's own table.
    pub endpoint: i64,
    /// The endpoint's DNS name or address.
    pub host: Option<&'a str>,
    /// The endpoint's port.
    pub port: u16,
    /// The cluster's name.
    pub cluster: &'a str,
}

/// The sync state of the virtual machine `machine`, which stands for `guest`.
pub fn state(guest: &Guest, config: &GuestConfig, machine: ObjectId, home: Home<'_>) -> VirtualMachineState {
    let is_unprivileged = match config {
        GuestConfig::Lxc(config) => config.unprivileged,
        GuestConfig::Qemu(_) => false,
    };
    let name = guest.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    VirtualMachineState {
        node_name: Some(guest.node.clone()),
        cluster_name: Some(home.cluster.to_owned()),
        endpoint_raw_id: Some(home.endpoint),
        vmid: Some(guest.vmid.0),
        kind: Some(guest.kind.as_str().to_owned()),
        name: name.map(str::to_owned),
        starts_at_boot: Some(config.starts_at_boot()),
        is_unprivileged: Some(is_unprivileged),
        has_agent: Some(config.has_agent()),
        search_domain: config.search_domain().map(|domain| domain.trim().to_owned()),
        link: home.host.and_then(|host| link(host, home.port, guest.kind, guest.vmid)),
        status: guest.status.clone(),
        ..VirtualMachineState::of(machine)
    }
}

/// The guest's page in Proxmox; `None` where NetBox would refuse the address and the whole row with it.
fn link(host: &str, port: u16, kind: GuestKind, vmid: Vmid) -> Option<String> {
    let host = host.trim().trim_end_matches('.');
    let is_ipv6 = host.contains(':');
    let is_accepted = host == "localhost" || is_ipv6 || (host.contains('.') && !host.contains('_'));
    if !is_accepted {
        return None;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let host = if is_ipv6 { format!("[{bare}]") } else { bare.to_owned() };
    Some(format!("https://{host}:{port}/#v1:0:={kind}/{vmid}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reconcile::Resource;

    const HOME: Home<'_> = Home {
        endpoint: 2,
        host: Some("pve.lab.example"),
        port: 8006,
        cluster: "lab-east",
    };

    #[test]
    fn state_of_a_guest_says_who_it_is_and_how_it_runs() {
        let guest = Guest {
            vmid: Vmid(101),
            kind: GuestKind::Qemu,
            node: "pve2".to_owned(),
            name: Some("shop-db-1".to_owned()),
            status: Some("running".to_owned()),
            is_template: false,
            disk: None,
            processors: None,
            memory: None,
        };
        let config = json!({"agent": "enabled=1,fstrim_cloned_disks=1", "onboot": 1});
        let config = GuestConfig::decode(GuestKind::Qemu, config).unwrap();
        let expected = json!({
            "virtual_machine": 310, "proxmox_vm_id": 101, "proxmox_vm_type": "qemu", "proxmox_start_at_boot": true,
            "proxmox_unprivileged_container": false, "proxmox_qemu_agent": true, "proxmox_status": "running",
            "proxmox_link": "https://pve.lab.example:8006/#v1:0:=qemu/101", "proxmox_endpoint_raw_id": 2,
            "proxmox_node_name": "pve2", "proxmox_cluster_name": "lab-east", "proxmox_vm_name": "shop-db-1"
        });
        assert_eq!(json!(state(&guest, &config, ObjectId(310), HOME).fields()), expected);
    }

    #[test]
    fn link_that_netbox_would_refuse_is_left_out() {
        for (host, expected) in [
            ("pve.lab.example", Some("https://pve.lab.example:8006/#v1:0:=lxc/202")),
            ("10.0.0.1", Some("https://10.0.0.1:8006/#v1:0:=lxc/202")),
            ("fd00::1", Some("https://[fd00::1]:8006/#v1:0:=lxc/202")),
            ("[fd00::1]", Some("https://[fd00::1]:8006/#v1:0:=lxc/202")),
            ("localhost", Some("https://localhost:8006/#v1:0:=lxc/202")),
            ("pve1", None),
            ("pve_1.lab.example", None),
            ("", None),
        ] {
            assert_eq!(
                link(host, 8006, GuestKind::Lxc, Vmid(202)).as_deref(),
                expected,
                "{host:?}"
            );
        }
    }
}
