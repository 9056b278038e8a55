//! A Proxmox guest as the plugin's sync state of its virtual machine.

use std::net::IpAddr;

use crate::inventory::{Guest, GuestConfig, GuestKind, Vmid};
use crate::netbox::ObjectId;
use crate::netbox::objects::VirtualMachineState;

/// The longest name of a host, and the longest of its labels, in characters.
const HOST_MAX: usize = 253;
const LABEL_MAX: usize = 63;

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
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse() {
        Ok(IpAddr::V6(_)) => format!("[{bare}]"),
        Ok(IpAddr::V4(_)) => bare.to_owned(),
        Err(_) => is_domain(host).then(|| host.to_owned())?,
    };
    Some(format!("https://{host}:{port}/#v1:0:={kind}/{vmid}"))
}

/// Whether NetBox takes `host` for a name in a link: `localhost`, or labels of which the last is no number and has more
/// than one character.
fn is_domain(host: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || ('\u{a1}'..='\u{ffff}').contains(&c);
    let is_label = |label: &str| {
        !label.starts_with('-')
            && !label.ends_with('-')
            && (1..=LABEL_MAX).contains(&label.chars().count())
            && label.chars().all(|c| is_letter(c) || c.is_ascii_digit() || c == '-')
    };
    let is_last = |label: &str| {
        let is_word = label.chars().count() > 1 && label.chars().all(|c| is_letter(c) || c == '-');
        let label = label.to_lowercase();
        let code = label.strip_prefix("xn--");
        is_word || code.is_some_and(|code| code.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    let has_end = host.rsplit_once('.').is_some_and(|(_, last)| is_last(last));
    let fits = host.chars().count() <= HOST_MAX && host.split('.').all(is_label);
    host.eq_ignore_ascii_case("localhost") || has_end && fits
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
            ("LocalHost", Some("https://LocalHost:8006/#v1:0:=lxc/202")),
            ("pve.lab.example.", Some("https://pve.lab.example:8006/#v1:0:=lxc/202")),
            ("pve.zürich", Some("https://pve.zürich:8006/#v1:0:=lxc/202")),
            ("pve.xn--p1ai", Some("https://pve.xn--p1ai:8006/#v1:0:=lxc/202")),
            ("1.pve.lab", Some("https://1.pve.lab:8006/#v1:0:=lxc/202")),
            ("pve1", None),
            ("pve_1.lab.example", None),
            ("pve1.dc1", None),
            ("node.k8s", None),
            ("pve.x", None),
            ("pve..example", None),
            ("-pve.example", None),
            ("pve-.example", None),
            ("pve.xn--", None),
            ("10.0.0.999", None),
            ("10.0.0.01", None),
            ("fe80::1%eth0", None),
            ("pve lab.example", None),
            (&format!("{}.example", "x".repeat(64)), None),
            (&format!("{}example", "x.".repeat(130)), None),
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
