//! What changes in Proxmox changes in NetBox, and nothing else does.

use proxbox_api::proxmox::mock::world::{Agent, AgentInterface};
use proxbox_api::proxmox::mock::{MockProxmox, World};
use reqwest::Method;
use serde_json::json;

use crate::assert_completed;
use crate::netbox::NetBox;
use crate::service::Service;
use crate::state::State;

/// A guest is renamed, one and a template migrate, one grows, one loses a snapshot, an address moves from one to another,
/// and two are deleted: one with backups, a snapshot and addresses, and one with a replication.
fn change(world: &mut World) {
    "db-renamed".clone_into(&mut world.guest(124).unwrap().name);
    assert!(world.migrate(110, "pve1"));
    // A template, which is to survive that this node is down.
    assert!(world.migrate(119, "pve3"));
    assert!(world.guest(100).unwrap().resize_disk("scsi0", "160G"));
    tell(world, 100, &["10.50.9.9/16", "fd00:50::64/64"]);
    tell(world, 127, &["10.50.0.101/16", "10.50.0.128/16", "fd00:50::7f/64"]);
    let snapshots = &mut world.guest(107).unwrap().snapshots;
    assert!(!snapshots.is_empty(), "guest 107 has no snapshot to delete");
    snapshots.pop();
    world.remove_guest(151).unwrap();
    world.remove_guest(154).unwrap();
}

/// Lets the agent of a guest tell of its first interface alone, with these addresses.
fn tell(world: &mut World, vmid: u32, addresses: &[&str]) {
    let guest = world.guest(vmid).unwrap();
    let mac = guest.mac(0).unwrap().to_lowercase();
    guest.agent = Agent::Interfaces(vec![AgentInterface::new("ens18", &mac, addresses)]);
}

/// Exactly the rows behind the changes change.
pub(crate) async fn assert_changes(netbox: &NetBox, proxmox: &MockProxmox) {
    // The address that moves, and that is a primary one: an operator has written into its row.
    let moving = "/api/ipam/ip-addresses/?address=10.50.0.101";
    let row = netbox.row(moving).await;
    let path = format!("/api/ipam/ip-addresses/{}/", row["id"]);
    let words = json!({"description": "of the shop"});
    netbox.call(Method::PATCH, &path, Some(words)).await;
    let before = State::read(netbox).await;
    proxmox.world().change(change);
    assert_completed(&netbox.sync(&["all"]).await);
    let changes = State::read(netbox).await.changes_since(&before);
    assert_eq!(changes, CHANGES, "{changes:#?}");
    let moved = netbox.row(moving).await;
    assert_eq!(
        (&moved["id"], &moved["description"]),
        (&row["id"], &json!("of the shop"))
    );
}

/// Nothing is lost with the two guests that are gone: only the job of one is stale.
const CHANGES: &[&str] = &[
    "ipam/ip-addresses + web-100/net0/10.50.9.9/16",
    r#"ipam/ip-addresses db-127/net0/10.50.0.101/16 assigned_object: "web-100/net0" -> "db-127/net0""#,
    r#"ipam/ip-addresses db-127/net0/10.50.0.101/16 dns_name: "web-100" -> "db-127""#,
    r#"ipam/ip-addresses db-renamed/net0/10.50.0.125/16 dns_name: "db-124" -> "db-renamed""#,
    r#"ipam/ip-addresses db-renamed/net0/fd00:50::7c/64 dns_name: "db-124" -> "db-renamed""#,
    "plugins/proxbox/guest-vm-interface-addresses + db-127/ens18/ens18 - 10.50.0.101/16",
    "plugins/proxbox/guest-vm-interface-addresses + web-100/ens18/ens18 - 10.50.9.9/16",
    "plugins/proxbox/guest-vm-interface-addresses - web-100/ens18/ens18 - 10.50.0.101/16",
    r#"plugins/proxbox/replications cache-154/154-0 status: "active" -> "stale""#,
    "plugins/proxbox/snapshots - 4711/autodaily2",
    r#"plugins/proxbox/snapshots template-debian-11/after_upgrade node: "pve2" -> "pve3""#,
    r#"plugins/proxbox/snapshots template-debian-11/autodaily2 node: "pve2" -> "pve3""#,
    r#"plugins/proxbox/snapshots template-debian-11/before-upgrade node: "pve2" -> "pve3""#,
    r#"plugins/proxbox/sync-state/virtual-machines db-renamed proxmox_vm_name: "db-124" -> "db-renamed""#,
    r#"plugins/proxbox/sync-state/virtual-machines search-110 proxmox_node: "pve2" -> "pve1""#,
    r#"plugins/proxbox/sync-state/virtual-machines search-110 proxmox_node_name: "pve2" -> "pve1""#,
    r#"plugins/proxbox/sync-state/virtual-machines template-debian-11 proxmox_node: "pve2" -> "pve3""#,
    r#"plugins/proxbox/sync-state/virtual-machines template-debian-11 proxmox_node_name: "pve2" -> "pve3""#,
    // The bridges of the other nodes.
    r#"plugins/proxbox/sync-state/vm-interfaces net0 proxbox_bridge: "vmbr0" -> "vmbr0""#,
    r#"plugins/proxbox/sync-state/vm-interfaces net0 proxbox_bridge: "vmbr0" -> "vmbr0""#,
    r#"plugins/proxbox/sync-state/vm-interfaces net1 proxbox_bridge: "vmbr1" -> "vmbr1""#,
    r#"plugins/proxbox/sync-state/vm-interfaces net1 proxbox_bridge: "vmbr1" -> "vmbr1""#,
    r#"plugins/proxbox/vm-templates lab/template-debian-11 node: "pve2" -> "pve3""#,
    r#"plugins/proxbox/vm-templates lab/template-debian-11 node_name: "pve2" -> "pve3""#,
    "virtualization/clusters lab allocated_disk: 28724032 -> 28756800",
    "virtualization/virtual-disks web-100/scsi0 size: 131072 -> 163840",
    r#"virtualization/virtual-machines lab/db-renamed name: "db-124" -> "db-renamed""#,
    r#"virtualization/virtual-machines lab/search-110 device: "pve2" -> "pve1""#,
    r#"virtualization/virtual-machines lab/template-debian-11 description: "Synced from Proxmox node pve2" -> "Synced from Proxmox node pve3""#,
    r#"virtualization/virtual-machines lab/template-debian-11 device: "pve2" -> "pve3""#,
    "virtualization/virtual-machines lab/web-100 disk: 131080 -> 163848",
    r#"virtualization/virtual-machines lab/web-100 primary_ip4: "10.50.0.101/16" -> "10.50.9.9/16""#,
];

/// A node that is down: the job completes and says so, and nothing is deleted or changed because of it but the plugin's own
/// row of the node, which loses what only a node that is up can tell.
pub(crate) async fn assert_dead_node(netbox: &NetBox, proxmox: &MockProxmox, service: &Service) {
    let before = State::read(netbox).await;
    proxmox
        .world()
        .change(|world| world.node("pve3").unwrap().online = false);
    let job = netbox.sync(&["all"]).await;
    assert_completed(&job);
    let changes = State::read(netbox).await.changes_since(&before);
    let expected = [
        "plugins/proxbox/proxmox-nodes pve3 max_cpu: 16 -> null",
        "plugins/proxbox/proxmox-nodes pve3 max_memory: 68719476736 -> null",
        "plugins/proxbox/proxmox-nodes pve3 online: true -> false",
    ];
    assert_eq!(changes, expected, "{changes:#?}");
    // The plugin's log has room for one event in a while only.
    let log = service.log();
    let mut told = log
        .lines()
        .filter(|line| line.contains("node pve3: the node is offline"));
    assert!(told.any(|line| line.contains("virtual-disks")), "{log}");
}
