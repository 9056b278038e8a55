//! A virtual machine and a container of a small cluster: from what Proxmox answers to every row that NetBox gets.

use proxbox_api::netbox::standin::StandinOptions;
use proxbox_api::proxmox::mock::world::{Agent, AgentInterface, GuestKind, GuestStatus, Settings, Storage};
use proxbox_api::proxmox::mock::{Guest, Node, World};
use proxbox_api::stages::Stage;
use proxbox_api::sync::SyncRequest;
use serde_json::{Map, Value, json};

use crate::harness::{Bench, INTERFACES, MACHINE_STATES, MACHINES, key};

const ADDRESSES: &str = "ipam/ip-addresses";
const BRIDGES: &str = "dcim/interfaces";
const CLOUD_INITS: &str = "plugins/proxbox/vm-cloudinit";
const CLUSTERS: &str = "virtualization/clusters";
const DISKS: &str = "virtualization/virtual-disks";
const DISK_STATES: &str = "plugins/proxbox/sync-state/virtual-disks";
const ENDPOINTS: &str = "plugins/proxbox/endpoints/proxmox";
const GUEST_INTERFACES: &str = "plugins/proxbox/guest-vm-interfaces";
const INTERFACE_STATES: &str = "plugins/proxbox/sync-state/vm-interfaces";
const LINKS: &str = "plugins/proxbox/guest-vm-interface-addresses";
const MACS: &str = "dcim/mac-addresses";
const PLATFORMS: &str = "dcim/platforms";
const SITES: &str = "dcim/sites";
const TAGS: &str = "extras/tags";
const VLANS: &str = "ipam/vlans";

/// The stages that write what guests have, in their order.
const STAGES: [Stage; 6] = [
    Stage::Devices,
    Stage::Storage,
    Stage::VirtualMachines,
    Stage::VirtualDisks,
    Stage::VmInterfaces,
    Stage::VmIpAddresses,
];

fn settings(pairs: &[(&'static str, &str)]) -> Settings {
    let mut settings = Settings::new();
    for (key, value) in pairs {
        settings.set(*key, *value);
    }
    settings
}

/// The virtual machine 101.
fn shop() -> Guest {
    let mut guest = Guest::new(GuestKind::Qemu, 101, "shop-db-1", "pve2");
    guest.status = GuestStatus::Running;
    guest.cores = 4;
    guest.memory_mib = 8192;
    guest.tags = vec!["prod".to_owned(), "Shop DB".to_owned()];
    guest.description = Some("Primary shop database\nOwner: data team".to_owned());
    guest.config = settings(&[
        ("agent", "enabled=1,fstrim_cloned_disks=1"),
        ("ostype", "l26"),
        ("net0", "virtio=BC:24:11:AA:00:01,bridge=vmbr0,firewall=1,tag=120"),
        ("net1", "e1000=BC:24:11:AA:00:02,bridge=vmbr1"),
        ("scsi0", "local-lvm:vm-101-disk-0,discard=on,size=32G"),
        ("scsi1", "ceph-rbd:vm-101-disk-1,backup=0,size=500G"),
        ("efidisk0", "local-lvm:vm-101-disk-2,efitype=4m,size=4M"),
        ("scsi3", "/dev/sdb"),
        ("unused0", "local-lvm:vm-101-disk-9"),
        ("ide2", "local:iso/debian-12.iso,media=cdrom,size=629M"),
        ("ide0", "local-lvm:vm-101-cloudinit,media=cdrom,size=4M"),
        ("ciuser", "deb"),
        ("sshkeys", "ssh-ed25519%20AAAA%20me%0A"),
        ("ipconfig0", "ip=10.20.0.11/24,gw=10.20.0.1"),
    ]);
    guest.config.set("onboot", 1);
    let (first, second) = ("bc:24:11:aa:00:01", "bc:24:11:aa:00:02");
    guest.agent = Agent::Interfaces(vec![
        AgentInterface::new("lo", "00:00:00:00:00:00", &["127.0.0.1/8"]),
        AgentInterface::new("ens18", first, &["10.20.0.11/24", "fd00:20::11/64", "fe80::1/64"]),
        AgentInterface::new("ens18:1", first, &["10.20.0.12/24"]),
        AgentInterface::new("ens19", second, &["10.30.0.11/24"]),
        AgentInterface::new("docker0", "02:42:5f:1e:2a:3b", &["172.17.0.1/16"]),
    ]);
    guest
}

/// The container 202.
fn proxy() -> Guest {
    let mut guest = Guest::new(GuestKind::Lxc, 202, "proxy1", "pve1");
    guest.cores = 2;
    guest.memory_mib = 1024;
    guest.tags = vec!["web".to_owned()];
    guest.config = settings(&[
        ("hostname", "proxy1.example.net"),
        ("ostype", "debian"),
        ("rootfs", "local-zfs:subvol-202-disk-0,size=8G"),
        ("mp0", "tank:subvol-202-disk-1,mp=/srv/data,size=100G"),
        ("mp1", "/mnt/host,mp=/mnt/x"),
        (
            "net0",
            "name=eth0,bridge=vmbr0,gw=10.20.0.1,hwaddr=BC:24:11:BB:00:01,ip=10.20.0.30/24,ip6=fd00:20::30/64,tag=120,\
             type=veth",
        ),
        (
            "net1",
            "name=eth1,bridge=vmbr9,hwaddr=BC:24:11:BB:00:02,ip=dhcp,type=veth",
        ),
    ]);
    guest.config.set("unprivileged", 1);
    guest.config.set("onboot", 0);
    guest
}

/// The cluster `lab-east` behind `pve.lab.example:8006`, which the service knows under the number 2.
async fn lab(guests: Vec<Guest>) -> Bench {
    let mut world = World::bare(vec![Node::new("pve1", 1, "10.0.0.1"), Node::new("pve2", 2, "10.0.0.2")]);
    world.cluster = Some("lab-east".to_owned());
    world.storages = ["local-lvm", "ceph-rbd", "local-zfs", "tank", "local"]
        .map(|id| Storage::new(id, "dir", &["images"]))
        .into();
    for guest in guests {
        world.add_guest(guest);
    }
    let mut bench = Bench::with(world, StandinOptions::default()).await;
    let row = bench.netbox.rows(ENDPOINTS)[0]["id"].as_u64().unwrap();
    let place = json!({"domain": "pve.lab.example", "port": 8006});
    bench.netbox.change(ENDPOINTS, row, &place).unwrap();
    bench.endpoint.key = key(2);
    bench.endpoint.domain = Some("pve.lab.example".to_owned());
    bench.endpoint.port = 8006;
    bench
}

/// The request of the run `R` for a stage alone.
fn alone() -> SyncRequest {
    let mut request = SyncRequest::default();
    "R".clone_into(&mut request.options.run_id);
    request.options.guests.sync_network = false;
    request.options.guests.sync_task_history = false;
    request
}

/// The two guests after every stage.
async fn synced() -> Bench {
    let bench = lab(vec![shop(), proxy()]).await;
    for stage in STAGES {
        let report = bench.stage_with(stage, alone()).await;
        let warnings = &report.endpoints[0].warnings;
        assert_eq!(
            (report.counts().failed, warnings.len()),
            (0, 0),
            "{stage:?}: {warnings:?}"
        );
    }
    bench
}

/// A value of a row for a person: the word of a choice, the slug, name or address of another row.
fn plain(value: &Value) -> Value {
    const NAMES: [&str; 5] = ["value", "slug", "name", "address", "mac_address"];
    match value {
        Value::Object(other) => NAMES.iter().find_map(|name| other.get(*name)).unwrap_or(value).clone(),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The members of `row` that `expected` speaks of.
fn members(row: &Value, expected: &Value) -> Value {
    let names = expected.as_object().unwrap().keys();
    names
        .map(|name| (name.clone(), plain(&row[name])))
        .collect::<Map<_, _>>()
        .into()
}

/// That the rows at `path` of which `is_meant` holds are `expected`, as far as those say, in the order of their names.
fn assert_rows(bench: &Bench, path: &str, is_meant: impl Fn(&Value) -> bool, expected: &[Value]) {
    let mut rows = bench.netbox.rows(path);
    rows.retain(|row| is_meant(row));
    let told = expected.iter().zip(&rows).map(|(expected, row)| members(row, expected));
    assert_eq!(json!(told.collect::<Vec<_>>()), json!(expected), "{path}");
    assert_eq!(rows.len(), expected.len(), "{path}: {rows:#?}");
}

/// Whether a row is about the virtual machine called `name`.
fn of(name: &'static str) -> impl Fn(&Value) -> bool {
    move |row| row["virtual_machine"]["name"] == name
}

/// The row at `path` with this value under `field`.
fn find(bench: &Bench, path: &str, field: &str, value: &str) -> Value {
    let rows = bench.netbox.rows(path);
    let found = rows.iter().find(|row| plain(&row[field]) == value);
    found.unwrap_or_else(|| panic!("no {value} at {path}")).clone()
}

#[tokio::test]
async fn virtual_machine_reaches_netbox_value_for_value() {
    let bench = synced().await;
    let site = find(&bench, CLUSTERS, "name", "lab-east")["scope"].clone();
    assert_eq!(
        site["id"],
        find(&bench, SITES, "name", site["name"].as_str().unwrap())["id"]
    );
    let ours = json!({"name": "Proxbox", "slug": "proxbox", "color": "ff5722"});
    assert_rows(&bench, TAGS, |row| row["slug"] == "proxbox", &[ours]);
    let own_tag = |name: &str, color: &str| json!({"name": name, "slug": name, "color": color, "description": "Synced by Proxbox"});
    assert_rows(
        &bench,
        TAGS,
        |row| row["description"] == "Synced by Proxbox",
        &[
            own_tag("db", "d77d5e"),
            own_tag("prod", "d6e4a9"),
            own_tag("shop", "fb54f3"),
            own_tag("web", "2567a5"),
        ],
    );
    let platform = |name: &str, slug: &str| json!({"name": name, "slug": slug, "tags": ["proxbox"]});
    let platforms = [
        platform("Debian", "debian"),
        platform("Linux (kernel 2.6 or newer)", "linux-kernel-2-6-or-newer"),
    ];
    assert_rows(&bench, PLATFORMS, |_| true, &platforms);
    let machine = json!({
        "name": "shop-db-1", "status": "active", "cluster": "lab-east", "device": "pve2", "site": plain(&site),
        "virtual_machine_type": "qemu-virtual-machine", "role": null, "platform": "linux-kernel-2-6-or-newer",
        "vcpus": 4.0, "memory": 8192, "disk": 544_772, "description": "Primary shop database",
        "comments": "Primary shop database\nOwner: data team", "tenant": null, "serial": "",
        "tags": ["db", "prod", "proxbox", "proxbox-discovered-qemu", "shop"],
        "primary_ip4": "10.20.0.11/24", "primary_ip6": "fd00:20::11/64",
    });
    assert_rows(&bench, MACHINES, |row| row["name"] == "shop-db-1", &[machine]);
    let state = json!({
        "virtual_machine": "shop-db-1", "proxmox_vm_id": 101, "proxmox_vm_type": "qemu", "proxmox_start_at_boot": true,
        "proxmox_unprivileged_container": false, "proxmox_qemu_agent": true, "proxmox_search_domain": "",
        "proxmox_status": "running", "proxmox_link": "https://pve.lab.example:8006/#v1:0:=qemu/101",
        "proxmox_endpoint_raw_id": 2, "proxmox_node_name": "pve2", "proxmox_cluster_name": "lab-east",
        "proxmox_vm_name": "shop-db-1", "last_run_id": "R", "endpoint": "lab", "proxmox_node": "pve2",
        "proxmox_cluster": "lab-east", "proxmox_last_synced_role_id": null,
    });
    assert_rows(&bench, MACHINE_STATES, of("shop-db-1"), &[state]);
    assert!(bench.machine_state(101)["proxmox_last_updated"].is_string());
    let row = json!({
        "virtual_machine": "shop-db-1", "ciuser": "deb", "sshkeys": "ssh-ed25519 AAAA me",
        "ipconfig0": "ip=10.20.0.11/24,gw=10.20.0.1", "sshkeys_truncated": false,
    });
    assert_rows(&bench, CLOUD_INITS, |_| true, &[row]);
}

#[tokio::test]
async fn disks_of_a_virtual_machine_reach_netbox_value_for_value() {
    let bench = synced().await;
    let disk = |name: &str, size: u64, description: &str| json!({"name": name, "size": size, "description": description, "tags": ["proxbox"]});
    let disks = [
        disk("efidisk0", 4, "Storage: local-lvm"),
        disk("ide0", 0, "CD-ROM drive | ISO: local-lvm:vm-101-cloudinit"),
        disk("ide2", 0, "CD-ROM drive | ISO: local:iso/debian-12.iso"),
        disk("scsi0", 32_768, "Storage: local-lvm"),
        disk("scsi1", 512_000, "Storage: ceph-rbd"),
    ];
    assert_rows(&bench, DISKS, of("shop-db-1"), &disks);
    let storages = [
        ("efidisk0", "local-lvm"),
        ("ide0", "local-lvm"),
        ("ide2", "local"),
        ("scsi0", "local-lvm"),
        ("scsi1", "ceph-rbd"),
    ];
    assert_eq!(storages_of(&bench, "shop-db-1"), storages.map(owned));
}

/// The storage of each disk of a virtual machine.
fn storages_of(bench: &Bench, machine: &'static str) -> Vec<(String, String)> {
    let mut disks = bench.netbox.rows(DISKS);
    disks.retain(of(machine));
    let states = bench.netbox.rows(DISK_STATES);
    let pair = |disk: &Value| {
        let state = states.iter().find(|state| state["virtual_disk"]["id"] == disk["id"])?;
        assert_eq!(state["proxbox_storage_raw_id"], Value::Null);
        assert_eq!(state["proxbox_storage_raw_value"], "");
        Some(owned((
            disk["name"].as_str()?,
            state["proxbox_storage"]["name"].as_str()?,
        )))
    };
    disks.iter().filter_map(pair).collect()
}

fn owned((left, right): (&str, &str)) -> (String, String) {
    (left.to_owned(), right.to_owned())
}

/// Device and name of the bridge of each interface of a virtual machine.
fn bridges_of(bench: &Bench, machine: &'static str) -> Vec<Value> {
    let mut interfaces = bench.netbox.rows(INTERFACES);
    interfaces.retain(of(machine));
    let (states, bridges) = (bench.netbox.rows(INTERFACE_STATES), bench.netbox.rows(BRIDGES));
    let bridge = |interface: &Value| {
        let state = states
            .iter()
            .find(|state| state["vm_interface"]["id"] == interface["id"])?;
        assert_eq!(state["proxbox_bridge_raw_id"], Value::Null);
        assert_eq!(state["proxbox_bridge_raw_value"], "");
        let bridge = bridges.iter().find(|row| row["id"] == state["proxbox_bridge"]["id"])?;
        assert_eq!(
            members(bridge, &json!({"type": "", "tags": ""})),
            json!({"type": "bridge", "tags": ["proxbox"]})
        );
        Some(json!([interface["name"], bridge["device"]["name"], bridge["name"]]))
    };
    interfaces.iter().filter_map(bridge).collect()
}

/// What the interfaces called `names` of a virtual machine should be, with the numbers of their VLANs.
fn assert_interfaces(bench: &Bench, machine: &'static str, expected: &[(&str, Option<u16>, &str)]) {
    let mut rows = bench.netbox.rows(INTERFACES);
    rows.retain(of(machine));
    let told: Vec<Value> = rows
        .iter()
        .map(|row| {
            let fields =
                json!({"name": "", "enabled": "", "mode": "", "mtu": "", "primary_mac_address": "", "tags": ""});
            json!([members(row, &fields), row["untagged_vlan"]["vid"]])
        })
        .collect();
    let expected: Vec<Value> = expected
        .iter()
        .map(|(name, vid, mac)| {
            json!([{
                "name": name, "enabled": true, "mode": vid.map(|_| "access"), "mtu": null, "primary_mac_address": mac,
                "tags": ["proxbox"]
            }, vid])
        })
        .collect();
    assert_eq!(told, expected, "{machine}");
    for row in &rows {
        let macs = bench.netbox.rows(MACS);
        let own: Vec<&Value> = macs
            .iter()
            .filter(|mac| mac["assigned_object_id"] == row["id"])
            .collect();
        assert_eq!(own.len(), 1, "{row:#}");
        assert_eq!(
            members(
                own[0],
                &json!({"mac_address": "", "assigned_object_type": "", "tags": ""})
            ),
            json!({
                "mac_address": row["primary_mac_address"]["mac_address"],
                "assigned_object_type": "virtualization.vminterface", "tags": ["proxbox"]
            })
        );
    }
}

/// What the addresses on an interface should be: those given, in the order in which they were made.
fn assert_addresses(bench: &Bench, vmid: u32, interface: &str, dns_name: &str, expected: &[&str]) {
    let id = bench.interface_of(vmid, interface)["id"].clone();
    let address = |address: &&str| {
        json!({
            "address": address, "assigned_object_type": "virtualization.vminterface", "status": "active",
            "dns_name": dns_name, "tags": ["proxbox"], "vrf": null, "tenant": null, "role": null, "description": ""
        })
    };
    let expected: Vec<Value> = expected.iter().map(address).collect();
    assert_rows(bench, ADDRESSES, |row| row["assigned_object_id"] == id, &expected);
}

#[tokio::test]
async fn network_of_a_virtual_machine_reaches_netbox_value_for_value() {
    let bench = synced().await;
    let site = plain(&find(&bench, CLUSTERS, "name", "lab-east")["scope"]);
    let vlan = json!({
        "vid": 120, "name": "VLAN 120", "status": "active", "site": site, "tenant": null, "group": null,
        "tags": ["proxbox"]
    });
    assert_rows(&bench, VLANS, |_| true, &[vlan]);
    assert_interfaces(
        &bench,
        "shop-db-1",
        &[
            ("net0", Some(120), "BC:24:11:AA:00:01"),
            ("net1", None, "BC:24:11:AA:00:02"),
        ],
    );
    let bridges = [json!(["net0", "pve2", "vmbr0"]), json!(["net1", "pve2", "vmbr1"])];
    assert_eq!(bridges_of(&bench, "shop-db-1"), bridges);
    let first = ["10.20.0.11/24", "10.20.0.12/24", "fd00:20::11/64"];
    assert_addresses(&bench, 101, "net0", "shop-db-1", &first);
    assert_addresses(&bench, 101, "net1", "shop-db-1", &["10.30.0.11/24"]);
    let row = |name: &str, interface: Value, mac: &str| {
        json!({
            "virtual_machine": "shop-db-1", "name": name, "vm_interface": interface, "mac_address": mac,
            "enabled": true, "mtu": null, "tags": ["proxbox"]
        })
    };
    let expected = [
        row("docker0", Value::Null, "02:42:5f:1e:2a:3b"),
        row("ens18", json!("net0"), "bc:24:11:aa:00:01"),
        row("ens19", json!("net1"), "bc:24:11:aa:00:02"),
        row("lo", Value::Null, "00:00:00:00:00:00"),
    ];
    assert_rows(&bench, GUEST_INTERFACES, |_| true, &expected);
    let mut links: Vec<String> = bench
        .netbox
        .rows(LINKS)
        .iter()
        .map(|link| format!("{} {}", plain(&link["guest_interface"]), plain(&link["ip_address"])).replace('"', ""))
        .collect();
    links.sort_unstable();
    let expected = [
        "ens18 10.20.0.11/24",
        "ens18 10.20.0.12/24",
        "ens18 fd00:20::11/64",
        "ens19 10.30.0.11/24",
    ];
    assert_eq!(links, expected);
    let events = bench.events(Stage::VmIpAddresses, alone()).await;
    let summary = events.iter().find(|event| event.name == "phase_summary").unwrap();
    let result = &summary.data["result"];
    let standing = bench.netbox.count(ADDRESSES) - 1;
    assert_eq!(result["skipped"], standing + 1, "the link-local one: {result}");
}

#[tokio::test]
async fn first_run_tells_the_one_address_that_was_left_out() {
    let bench = lab(vec![shop(), proxy()]).await;
    for stage in STAGES.into_iter().filter(|stage| *stage != Stage::VmIpAddresses) {
        bench.stage_with(stage, alone()).await;
    }
    let events = bench.events(Stage::VmIpAddresses, alone()).await;
    let summary = events.iter().find(|event| event.name == "phase_summary").unwrap();
    let expected = json!({"created": 6, "updated": 0, "deleted": 0, "failed": 0, "skipped": 1, "total": 7});
    assert_eq!(summary.data["result"], expected);
}

#[tokio::test]
async fn container_reaches_netbox_value_for_value() {
    let bench = synced().await;
    let site = plain(&find(&bench, CLUSTERS, "name", "lab-east")["scope"]);
    let machine = json!({
        "name": "proxy1", "status": "offline", "cluster": "lab-east", "device": "pve1", "site": site,
        "virtual_machine_type": "lxc-container", "role": null, "platform": "debian", "vcpus": 2.0, "memory": 1024,
        "disk": 110_592, "description": "Synced from Proxmox node pve1", "comments": "",
        "tags": ["proxbox", "proxbox-discovered-lxc", "web"],
        "primary_ip4": "10.20.0.30/24", "primary_ip6": "fd00:20::30/64",
    });
    assert_rows(&bench, MACHINES, |row| row["name"] == "proxy1", &[machine]);
    let state = json!({
        "proxmox_vm_id": 202, "proxmox_vm_type": "lxc", "proxmox_start_at_boot": false,
        "proxmox_unprivileged_container": true, "proxmox_qemu_agent": false, "proxmox_status": "stopped",
        "proxmox_link": "https://pve.lab.example:8006/#v1:0:=lxc/202", "proxmox_endpoint_raw_id": 2,
        "proxmox_node_name": "pve1", "proxmox_cluster_name": "lab-east", "proxmox_vm_name": "proxy1",
        "last_run_id": "R",
    });
    assert_rows(&bench, MACHINE_STATES, of("proxy1"), &[state]);
    let disk = |name: &str, size: u64, description: &str| json!({"name": name, "size": size, "description": description, "tags": ["proxbox"]});
    let disks = [
        disk("mp0", 102_400, "Storage: tank"),
        disk("rootfs", 8192, "Storage: local-zfs"),
    ];
    assert_rows(&bench, DISKS, of("proxy1"), &disks);
    assert_eq!(
        storages_of(&bench, "proxy1"),
        [("mp0", "tank"), ("rootfs", "local-zfs")].map(owned)
    );
    assert_interfaces(
        &bench,
        "proxy1",
        &[
            ("eth0", Some(120), "BC:24:11:BB:00:01"),
            ("eth1", None, "BC:24:11:BB:00:02"),
        ],
    );
    let bridges = [json!(["eth0", "pve1", "vmbr0"]), json!(["eth1", "pve1", "vmbr9"])];
    assert_eq!(bridges_of(&bench, "proxy1"), bridges);
    let first = ["10.20.0.30/24", "fd00:20::30/64"];
    assert_addresses(&bench, 202, "eth0", "proxy1.example.net", &first);
    assert_addresses(&bench, 202, "eth1", "proxy1.example.net", &[]);
    assert_rows(&bench, GUEST_INTERFACES, of("proxy1"), &[]);
    assert_rows(&bench, CLOUD_INITS, of("proxy1"), &[]);
}

#[tokio::test]
async fn lease_of_a_running_container_is_read_from_its_interfaces() {
    let bench = synced().await;
    bench
        .proxmox
        .world()
        .change(|world| world.guest(202).unwrap().status = GuestStatus::Running);
    bench.forget();
    bench.stage_with(Stage::VmIpAddresses, alone()).await;
    assert_addresses(&bench, 202, "eth1", "proxy1.example.net", &["10.61.0.203/16"]);
}

#[tokio::test]
async fn folder_of_the_host_in_a_container_keeps_the_row_it_has() {
    let bench = synced().await;
    let machine = bench.machine_of(202)["id"].clone();
    let tags = json!([{"slug": "proxbox"}]);
    let row = json!({"virtual_machine": machine, "name": "mp1", "size": 7, "tags": tags});
    bench.netbox.seed(DISKS, &row).unwrap();
    bench.take_writes();
    bench.stage_with(Stage::VirtualDisks, alone()).await;
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn renamed_guest_with_a_grown_disk_is_followed_without_a_refusal() {
    let bench = synced().await;
    bench.proxmox.world().change(|world| {
        let guest = world.guest(101).unwrap();
        assert!(guest.resize_disk("scsi0", "64G"));
        guest.name = "shop-db".to_owned();
    });
    bench.forget();
    bench.take_writes();
    bench.stage_with(Stage::VirtualMachines, alone()).await;
    let expected = [
        "PATCH /api/virtualization/virtual-machines/ (1): 200",
        "PATCH /api/plugins/proxbox/sync-state/virtual-machines/ (1): 200",
    ];
    assert_eq!(bench.take_writes(), expected);
    let machine = bench.machine_of(101);
    assert_eq!(
        (&machine["name"], &machine["disk"]),
        (&json!("shop-db"), &json!(544_772))
    );
    assert_eq!(bench.machine_state(101)["proxmox_vm_name"], "shop-db");
    bench.stage_with(Stage::VirtualDisks, alone()).await;
    assert_eq!(
        bench.take_writes(),
        ["PATCH /api/virtualization/virtual-disks/ (1): 200"]
    );
    assert_eq!(find(&bench, DISKS, "name", "scsi0")["size"], 65_536);
    assert_eq!(bench.machine_of(101)["disk"], 577_540);
}

#[tokio::test]
async fn names_that_collide_are_given_out_by_number_without_a_refusal() {
    let live = |vmid: u32| Guest::new(GuestKind::Qemu, vmid, "web", "pve1");
    let bench = lab(vec![live(105), live(110)]).await;
    for stage in [Stage::Devices, Stage::VirtualMachines] {
        bench.stage_with(stage, alone()).await;
    }
    let of_guest = |vmid| bench.machine_of(vmid);
    let id = |row: &Value| row["id"].as_u64().unwrap();
    let (fifty, fifty_one) = (id(&of_guest(110)), id(&of_guest(105)));
    // As it was before 105 was called `web`: 110 has the bare name.
    for (machine, name) in [(fifty, "meanwhile"), (fifty_one, "web (2)"), (fifty, "web")] {
        bench.netbox.change(MACHINES, machine, &json!({"name": name})).unwrap();
    }
    let cluster = of_guest(105)["cluster"]["id"].clone();
    let by_hand = json!({"name": "WEB (3)", "cluster": cluster});
    bench.netbox.seed(MACHINES, &by_hand).unwrap();
    bench.proxmox.world().change(|world| world.add_guest(live(120)));
    bench.forget();
    bench.take_writes();
    let events = bench.events(Stage::VirtualMachines, alone()).await;
    let resolved: Vec<Value> = events
        .iter()
        .filter(|event| event.name == "duplicate_name_resolved")
        .map(|event| event.data.clone())
        .collect();
    let frame = |vmid: u32, name: &str, suffix: u32| {
        json!({
            "event": "duplicate_name_resolved", "cluster": "lab-east", "original_name": "web", "resolved_name": name,
            "vmid": vmid, "suffix_index": suffix, "operator_renamed": false
        })
    };
    assert_eq!(resolved, [frame(110, "web (2)", 2), frame(120, "web (4)", 4)]);
    let writes = bench.take_writes();
    assert!(
        writes
            .iter()
            .all(|write| write.ends_with("200") || write.ends_with("201")),
        "{writes:#?}"
    );
    let names = [105, 110, 120].map(|vmid| of_guest(vmid)["name"].clone());
    assert_eq!(names, ["web", "web (2)", "web (4)"]);
    assert_eq!((id(&of_guest(105)), id(&of_guest(110))), (fifty_one, fifty));
    assert_eq!(bench.netbox.count(MACHINES), 4);
}
