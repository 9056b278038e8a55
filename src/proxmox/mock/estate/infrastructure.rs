//! Nodes, their networks, the storages and the options of the datacentre.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::world::{EPOCH, Node, NodeInterface, Row, Storage};
use super::mix;

/// `count` nodes `pve1`…, standalone when there is one. Every fourth one runs Open vSwitch.
pub(super) fn nodes(count: usize) -> Vec<Node> {
    (1..=u32::try_from(count).unwrap_or(u32::MAX))
        .map(|number| node(number, count > 1))
        .collect()
}

fn node(number: u32, clustered: bool) -> Node {
    let seed = u64::from(number);
    let name = format!("pve{number}");
    let mut node = Node::new(&name, if clustered { number } else { 0 }, &address(number));
    node.booted_at = EPOCH - 1_000_000 - i64::from(number) * 4_321;
    node.memory_used = (20 << 30) + mix(seed, 1) % (30 << 30);
    node.disk_used = (5 << 30) + mix(seed, 2) % (20 << 30);
    node.ssl_fingerprint = fingerprint(seed);
    node.description = (number == 1).then(|| "Rack A1\n".to_owned());
    node.interfaces = if number.is_multiple_of(4) {
        open_vswitch(number)
    } else {
        linux_bridges(number)
    };
    if number == 2 {
        node.pending_network = Some("--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n".to_owned());
    }
    node
}

/// The node's address: 10.10.0.1, … 10.10.1.0 and so on.
fn address(number: u32) -> String {
    format!("10.10.{}.{}", number / 250, number % 250)
}

fn fingerprint(seed: u64) -> String {
    let bytes = (0..4).flat_map(|word| mix(seed, 100 + word).to_be_bytes());
    bytes.map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Two ports in a bond, a VLAN-aware bridge on it, VLANs on both, and a bridge of its own for storage.
fn linux_bridges(number: u32) -> Vec<NodeInterface> {
    let manual = |iface: &str, kind: &str| {
        NodeInterface::new(iface, kind)
            .with("method", "manual")
            .with("method6", "manual")
    };
    let port = |iface: &str| manual(iface, "eth").with("exists", 1).with("active", 1);
    let management = format!("{}/16", address(number));
    vec![
        port("eno1"),
        port("eno2"),
        port("enp65s0f0").with("comments", "storage uplink\n"),
        manual("enp65s0f1", "eth").with("exists", 1),
        manual("bond0", "bond")
            .with("slaves", "eno1 eno2")
            .with("bond_mode", "802.3ad")
            .with("bond_miimon", "100")
            .with("bond_xmit_hash_policy", "layer3+4")
            .with("mtu", "9000")
            .with("autostart", 1)
            .with("active", 1),
        bridge("vmbr0", "bond0", &management)
            .with("gateway", "10.10.255.254")
            .with("address6", format!("fd00:10::{number:x}"))
            .with("netmask6", "64")
            .with("cidr6", format!("fd00:10::{number:x}/64"))
            .with("method6", "static")
            .with("bridge_vlan_aware", 1)
            .with("bridge_vids", "2-4094")
            .with("comments", "guests and management\n"),
        bridge(
            "vmbr1",
            "enp65s0f0",
            &format!("10.20.{}.{}/16", number / 250, number % 250),
        )
        .with("mtu", "9000"),
        manual("vmbr2", "bridge")
            .with("bridge_ports", "")
            .with("bridge_fd", "0")
            .with("autostart", 1)
            .with("active", 1),
        vlan("vmbr0.100", "vmbr0", "100", &format!("10.100.0.{}/24", number % 250)),
        vlan("bond0.200", "bond0", "200", &format!("10.200.0.{}/24", number % 250)),
        manual("bond0.200.10", "vlan")
            .with("vlan-id", "10")
            .with("vlan-raw-device", "bond0.200")
            .with("autostart", 1)
            .with("mtu", "1400"),
        vlan("zmgmt", "vmbr0", "30", &format!("10.30.0.{}/24", number % 250)),
    ]
}

fn bridge(iface: &str, ports: &str, cidr: &str) -> NodeInterface {
    with_address(NodeInterface::new(iface, "bridge"), cidr)
        .with("bridge_ports", ports)
        .with("bridge_fd", "0")
        .with("bridge_stp", "off")
        .with("autostart", 1)
        .with("active", 1)
}

fn vlan(iface: &str, raw: &str, id: &str, cidr: &str) -> NodeInterface {
    with_address(NodeInterface::new(iface, "vlan"), cidr)
        .with("vlan-id", id)
        .with("vlan-raw-device", raw)
        .with("autostart", 1)
        .with("active", 1)
}

fn with_address(interface: NodeInterface, cidr: &str) -> NodeInterface {
    let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, "32"));
    interface
        .with("method", "static")
        .with("method6", "manual")
        .with("address", address)
        .with("netmask", prefix)
        .with("cidr", cidr)
}

/// An Open vSwitch bridge over a bond, with internal ports and a plain one.
fn open_vswitch(number: u32) -> Vec<NodeInterface> {
    let ovs = |iface: &str, kind: &str| {
        NodeInterface::new(iface, kind)
            .with("method", "manual")
            .with("method6", "manual")
            .with("autostart", 1)
            .with("active", 1)
    };
    let port = |iface: &str| ovs(iface, "eth").with("exists", 1);
    vec![
        port("eno1"),
        port("eno2"),
        port("eno3"),
        ovs("bond0", "OVSBond")
            .with("ovs_bonds", "eno1 eno2")
            .with("bond_mode", "balance-slb")
            .with("ovs_bridge", "vmbr0")
            .with("ovs_type", "OVSBond"),
        ovs("vmbr0", "OVSBridge")
            .with("ovs_ports", "bond0 mgmt storage eno3")
            .with("ovs_type", "OVSBridge"),
        ovs("eno3", "OVSPort")
            .with("ovs_bridge", "vmbr0")
            .with("ovs_type", "OVSPort")
            .with("ovs_tag", 77),
        with_address(ovs("mgmt", "OVSIntPort"), &format!("{}/16", address(number)))
            .with("gateway", "10.10.255.254")
            .with("ovs_bridge", "vmbr0")
            .with("ovs_type", "OVSIntPort"),
        with_address(ovs("storage", "OVSIntPort"), &format!("10.20.0.{}/16", number % 250))
            .with("ovs_bridge", "vmbr0")
            .with("ovs_type", "OVSIntPort")
            .with("ovs_tag", 20),
        ovs("gre1", "unknown"),
    ]
}

/// Local storages on every node; shared ones of every kind the product reads, where there is a cluster.
pub(super) fn storages(nodes: usize) -> Vec<Storage> {
    let mut local = Storage::new("local", "dir", &["iso", "vztmpl", "backup", "import"]);
    local.settings.set("path", "/var/lib/vz");
    local.settings.set("prune-backups", "keep-all=1");
    (local.total, local.used) = (100_861_726_720, 7_954_288_640);
    let mut thin = Storage::new("local-lvm", "lvmthin", &["images", "rootdir"]);
    thin.settings.set("vgname", "pve");
    thin.settings.set("thinpool", "data");
    (thin.total, thin.used) = (852_878_163_968, 138_507_413_828);
    let mut nas = shared("nas-backups", "nfs", &["backup", "iso", "snippets"]);
    nas.settings.set("server", "10.20.255.10");
    nas.settings.set("export", "/volume1/pve");
    nas.settings.set("path", "/mnt/pve/nas-backups");
    nas.settings.set("options", "vers=4.2,soft");
    nas.settings
        .set("prune-backups", "keep-daily=7,keep-last=3,keep-weekly=4");
    let mut server = shared("pbs-main", "pbs", &["backup"]);
    server.settings.set("server", "10.20.255.20");
    server.settings.set("datastore", "main");
    server.settings.set("namespace", "site-a/rack1");
    server.settings.set("username", "backup@pbs!pve");
    server.settings.set("port", 8007);
    server.settings.set("fingerprint", fingerprint(9_001));
    server.settings.set("prune-backups", "keep-all=1");
    (server.total, server.used) = (17_592_186_044_416, 9_345_848_836_096);
    let mut ceph = shared("ceph-rbd", "rbd", &["images", "rootdir"]);
    ceph.settings.set("pool", "vm-pool");
    ceph.settings.set("krbd", 0);
    ceph.settings.set("monhost", "10.20.0.1 10.20.0.2");
    (ceph.total, ceph.used) = (61_572_651_155_456, 21_990_232_555_520);
    let mut all = vec![local, thin, nas, server, ceph];
    if nodes > 1 {
        all.extend(cluster_storages());
    }
    all
}

fn cluster_storages() -> Vec<Storage> {
    let mut usb = Storage::new("usb-disk", "dir", &["backup"]);
    usb.settings.set("path", "/mnt/usb");
    usb.settings.set("is_mountpoint", "yes");
    usb.settings.set("mkdir", 0);
    usb.settings.set("preallocation", "off");
    usb.nodes = vec!["pve1".to_owned(), "pve2".to_owned()];
    let mut old = shared("old-iscsi", "iscsi", &["none"]);
    old.settings.set("portal", "10.20.255.30");
    old.settings.set("target", "iqn.2005-10.org.freenas.ctl:pve");
    old.disabled = true;
    vec![usb, old]
}

fn shared(id: &str, kind: &str, content: &[&str]) -> Storage {
    let mut storage = Storage::new(id, kind, content);
    storage.shared = true;
    (storage.total, storage.used) = (2_037_808_889_856, 180_708_442_112);
    storage
}

/// The options of the datacentre, with a colour for some tags.
pub(super) fn options() -> Row {
    let options = json!({
        "keyboard": "en-us",
        "mac_prefix": "BC:24:11",
        "console": "html5",
        "email_from": "pve@lab.example",
        "migration": {"type": "secure", "network": "10.20.0.0/16"},
        "tag-style": {
            "color-map": "prod:cc0000:ffffff;web:0066cc;database:3c7;backup-daily:666666:ffffff",
            "shape": "full",
            "ordering": "config",
        },
        "registered-tags": "prod;web",
        "next-id": {"lower": "100"},
    });
    options.as_object().cloned().unwrap_or_default()
}

/// The first node boots from a mirror.
pub(super) fn zfs_pools() -> BTreeMap<String, Vec<Row>> {
    let pool = json!({
        "name": "rpool", "size": 478_518_706_176_u64, "alloc": 21_474_836_480_u64, "free": 457_043_869_696_u64, "frag": 3,
        "dedup": 1, "health": "ONLINE",
    });
    let pools = pool.as_object().cloned().into_iter().collect();
    BTreeMap::from([("pve1".to_owned(), pools)])
}
