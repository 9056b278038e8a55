//! What changes in Proxmox changes in NetBox, and nothing else does.

use proxbox_api::proxmox::mock::world::{Agent, AgentInterface};
use proxbox_api::proxmox::mock::{MockProxmox, World};

use crate::assert_completed;
use crate::netbox::NetBox;
use crate::state::State;

fn change(world: &mut World) {
    let guest = |world: &mut World, vmid| world.guest(vmid).unwrap().clone();
    "db-renamed".clone_into(&mut world.guest(124).unwrap().name);
    assert!(world.migrate(110, "pve1"));
    assert!(world.guest(100).unwrap().resize_disk("scsi0", "160G"));
    world.guest(100).unwrap().agent = Agent::Interfaces(vec![AgentInterface::new(
        "ens18",
        "bc:24:11:00:00:64",
        &["10.50.9.9/16", "fd00:50::64/64"],
    )]);
    world.remove_guest(154).unwrap();
    let snapshots = &mut world.guest(107).unwrap().snapshots;
    assert!(!snapshots.is_empty(), "guest 107 has no snapshot to delete");
    snapshots.pop();
    assert_eq!(guest(world, 110).node, "pve1");
}

/// The estate changes in six ways; exactly the rows behind them change.
pub(crate) async fn assert_changes(netbox: &NetBox, proxmox: &MockProxmox) {
    let before = State::read(netbox).await;
    proxmox.world().change(change);
    assert_completed(&netbox.sync(&["all"]).await);
    let changes = State::read(netbox).await.changes_since(&before);
    for expected in [
        "virtualization/virtual-machines db-renamed display,name",
        "plugins/proxbox/sync-state/virtual-machines db-renamed display,proxmox_vm_name",
        "virtualization/virtual-disks scsi0 size",
        "virtualization/virtual-machines web-100 primary_ip4,disk",
        "ipam/ip-addresses + 10.50.9.9/16",
        "ipam/ip-addresses - 10.50.0.101/16",
    ] {
        assert!(changes.contains(expected), "{expected:?} is missing: {changes:#?}");
    }
    let touches = |text: &str| changes.iter().filter(|change| change.contains(text)).count();
    assert_eq!(touches("plugins/proxbox/snapshots - "), 1, "{changes:#?}");
    let of_the_gone: Vec<_> = changes.iter().filter(|change| change.contains("cache-154")).collect();
    assert_eq!(
        of_the_gone,
        ["plugins/proxbox/replications cache-154 - 154-0 status"],
        "only its job is stale"
    );
    let moved = |change: &&String| change.contains("search-110") && change.contains("device");
    assert_eq!(changes.iter().filter(moved).count(), 1, "{changes:#?}");
}

/// A node that is down: the job completes, and nothing is deleted or changed because of it.
pub(crate) async fn assert_dead_node(netbox: &NetBox, proxmox: &MockProxmox) {
    let before = State::read(netbox).await;
    proxmox
        .world()
        .change(|world| world.node("pve3").unwrap().online = false);
    assert_completed(&netbox.sync(&["all"]).await);
    let changes = State::read(netbox).await.changes_since(&before);
    assert!(changes.is_empty(), "{changes:#?}");
}
