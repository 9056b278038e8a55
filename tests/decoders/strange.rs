//! The strange forms in which real servers of releases 6 to 9 answer, and the one thing that each means.

#![expect(clippy::too_many_lines, reason = "a table is as long as there are forms")]

use serde_json::{Value, json};

use super::decoder;

const AGENT: &str = "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces";
const CONTAINER: &str = "/nodes/{node}/lxc/{vmid}/config";
const CONTAINER_STATUS: &str = "/nodes/{node}/lxc/{vmid}/status/current";
const CONTENT: &str = "/nodes/{node}/storage/{storage}/content";
const DISKS: &str = "/nodes/{node}/disks/list";
const INSIDE_CONTAINER: &str = "/nodes/{node}/lxc/{vmid}/interfaces";
const JOBS: &str = "/cluster/backup";
const MACHINE: &str = "/nodes/{node}/qemu/{vmid}/config";
const MACHINE_STATUS: &str = "/nodes/{node}/qemu/{vmid}/status/current";
const MACHINES: &str = "/nodes/{node}/qemu";
const NETWORK: &str = "/nodes/{node}/network";
const REPLICATION: &str = "/cluster/replication";
const RESOURCES: &str = "/cluster/resources";
const SNAPSHOTS: &str = "/nodes/{node}/qemu/{vmid}/snapshot";
const TASKS: &str = "/nodes/{node}/tasks";

/// Holds that each answer at each path is understood as told: the fragments stand in what is decoded.
fn check(forms: &[(&str, Value, &[&str])]) {
    for (path, answer, meanings) in forms {
        let understood = decoder(path)(answer.clone()).unwrap_or_else(|error| panic!("{path} {answer}: {error}"));
        for meaning in *meanings {
            assert!(
                understood.contains(meaning),
                "{path} {answer}: no `{meaning}` in {understood}"
            );
        }
    }
}

#[test]
fn numbers_as_text_and_texts_as_numbers_mean_the_same() {
    check(&[
        (MACHINE, json!({"memory": 4096}), &["memory: Some(4096)"]),
        (MACHINE, json!({"memory": "4096"}), &["memory: Some(4096)"]),
        (CONTAINER, json!({"memory": 512}), &["memory: Some(512)"]),
        (
            MACHINE,
            json!({"tags": 7, "name": 4712, "description": 12}),
            &[r#"tags: ["7"]"#, r#"name: Some("4712")"#, r#"description: Some("12")"#],
        ),
        (
            MACHINES,
            json!([{"vmid": "100", "status": "stopped"}, {"vmid": 101, "status": "stopped"}]),
            &["Some(Vmid(100))", "Some(Vmid(101))"],
        ),
        (
            RESOURCES,
            json!([{"id": "qemu/100", "type": "qemu", "vmid": 100}]),
            &["Some(Vmid(100))"],
        ),
        (
            CONTAINER_STATUS,
            json!({"vmid": 103, "status": "stopped"}),
            &["Some(Vmid(103))"],
        ),
        (
            CONTAINER_STATUS,
            json!({"status": "running", "maxdisk": "8589934592", "cpus": "1", "ha": {"managed": 1, "group": "null"}}),
            &["maxdisk: Some(8589934592)", "cpus: Some(1.0)"],
        ),
        (
            CONTAINER_STATUS,
            json!({"status": "stopped", "maxdisk": 8_589_934_592_u64}),
            &["maxdisk: Some(8589934592)"],
        ),
        (
            MACHINE_STATUS,
            json!({"status": "running", "pid": "4711", "nics": {"tap100i0": {"netin": "5", "netout": "7"}}, "netin": 5}),
            &[r#"status: "running""#],
        ),
        (
            MACHINE_STATUS,
            json!({"status": "stopped", "pid": null, "qmpstatus": "stopped"}),
            &[r#"qmpstatus: Some("stopped")"#],
        ),
        (
            MACHINE,
            json!({"cpulimit": "0", "cores": 4, "sockets": "2"}),
            &["cores: Some(4)", "sockets: Some(2)"],
        ),
        (CONTAINER, json!({"cpulimit": "1.5", "cores": "2"}), &["cores: Some(2)"]),
        (
            CONTENT,
            json!([{"volid": "a:vm-1-disk-0", "ctime": "1700000000", "size": "4194304", "vmid": "1"}]),
            &["ctime: Some(1700000000)", "size: Some(4194304)", "Some(Vmid(1))"],
        ),
        (
            CONTENT,
            json!([{"volid": "a:backup/x", "ctime": 1_700_000_000, "size": 1}]),
            &["ctime: Some(1700000000)"],
        ),
        ("/cluster/nextid", json!("105"), &["Vmid(105)"]),
    ]);
}

#[test]
fn settings_as_text_number_or_object_mean_the_same() {
    let disk = |more: Value| {
        let mut disk = json!({"devpath": "/dev/sda", "osdid": -1});
        disk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([disk])
    };
    check(&[
        (
            DISKS,
            disk(json!({"rpm": 7200, "wearout": 98, "osdid-list": null})),
            &["rpm: Some(7200)", r#"wearout: Some("98")"#],
        ),
        (
            DISKS,
            disk(json!({"rpm": "-1", "wearout": "N/A", "osdid": "3", "osdid-list": ["3"]})),
            &["rpm: Some(-1)", r#"wearout: Some("N/A")"#],
        ),
        (
            JOBS,
            json!([{"id": "a", "prune-backups": {"keep-last": "3"}, "fleecing": {"enabled": "0"}}]),
            &[
                r#"prune_backups: Some("keep-last=3")"#,
                r#"fleecing: Some("enabled=0")"#,
            ],
        ),
        (
            JOBS,
            json!([{"id": "a", "prune-backups": "keep-last=3", "fleecing": "enabled=0"}]),
            &[
                r#"prune_backups: Some("keep-last=3")"#,
                r#"fleecing: Some("enabled=0")"#,
            ],
        ),
        (
            "/storage",
            json!([{"storage": "a", "prune-backups": "keep-all=1", "nodes": "pve1"}]),
            &[r#"prune_backups: Some("keep-all=1")"#, r#"nodes: Some("pve1")"#],
        ),
        (
            NETWORK,
            json!([{
                "iface": "vmbr0.20", "netmask": "24", "mtu": "1500", "vlan-id": "20", "bridge_fd": "0", "priority": 4,
                "active": 1, "autostart": 1,
            }]),
            &["vlan_id: Some(20)", "active: true"],
        ),
        (
            "/access/users/{userid}/token",
            json!([{"tokenid": "a", "expire": "0", "privsep": "1"}, {"tokenid": "b", "expire": 0, "privsep": 0}]),
            &["privsep: true, expire: Some(0)", "privsep: false, expire: Some(0)"],
        ),
        (
            "/cluster/config/join",
            json!({"nodelist": [{"name": "a", "nodeid": "1", "quorum_votes": "1"}]}),
            &["nodeid: Some(1)", "quorum_votes: Some(1)"],
        ),
        (
            "/cluster/status",
            json!([{"type": "node", "id": "node/a", "name": "a", "nodeid": 1}]),
            &["nodeid: Some(1)"],
        ),
        (
            TASKS,
            json!([{"upid": "UPID:a:1:1:1:qmstart:100:root@pam:", "saved": "1"}]),
            &["pid: None, pstart: None"],
        ),
    ]);
}

#[test]
fn flags_of_every_form_are_read() {
    check(&[
        (
            MACHINES,
            json!([{"vmid": "100", "status": "stopped", "template": "", "lock": ""}]),
            &["template: false", "lock: None"],
        ),
        (
            RESOURCES,
            json!([{"id": "qemu/1", "type": "qemu", "template": 1, "lock": "migrate"}]),
            &["template: true", r#"lock: Some("migrate")"#],
        ),
        (
            "/cluster/ha/status/manager_status",
            json!({"manager_status": {"node_status": {"a": "online"}}, "quorum": {"quorate": "1", "node": "a"}}),
            &["quorate: Some(true)", "master_node: None"],
        ),
        (
            "/cluster/ha/status/current",
            json!([{"id": "quorum", "type": "quorum", "quorate": 1}, {"id": "lrm:a", "type": "lrm", "node": "a"}]),
            &["quorate: Some(true)", "quorate: None"],
        ),
        (
            NETWORK,
            json!([{"iface": "a.2", "exists": null, "active": "1"}, {"iface": "a", "exists": 1}]),
            &["active: true", "active: false"],
        ),
    ]);
}

#[test]
fn missing_keys_are_unknown_and_never_zero() {
    check(&[
        (
            RESOURCES,
            json!([{
                "id": "qemu/100", "type": "qemu", "vmid": 100, "node": "a", "status": "unknown", "diskread": 0,
            }]),
            &[
                "name: None",
                "maxmem: None",
                r#"status: Some("unknown")"#,
                "template: false",
            ],
        ),
        (
            RESOURCES,
            json!([{"id": "node/a", "type": "node", "node": "a", "status": "offline"}]),
            &["maxcpu: None, maxmem: None, maxdisk: None"],
        ),
        (
            RESOURCES,
            json!([{"id": "node/a", "type": "node", "node": "a", "status": "offline", "maxcpu": 8, "maxmem": 1024}]),
            &["maxcpu: Some(8.0), maxmem: Some(1024)"],
        ),
        (
            RESOURCES,
            json!([
                {"id": "qemu/1", "type": "qemu", "vmid": 1, "mem": 2, "memhost": 3},
                {"id": "qemu/2", "type": "qemu", "vmid": 2, "mem": 2},
            ]),
            &["Some(Vmid(1))", "Some(Vmid(2))"],
        ),
        (
            RESOURCES,
            json!([{"id": "/pool/lab", "type": "pool", "pool": "lab"}]),
            &[r#"id: "/pool/lab", kind: Pool"#, "node: None, status: None"],
        ),
        (
            RESOURCES,
            json!([{"id": "storage/a/local", "type": "storage", "storage": "local", "node": "a"}]),
            &["content: None", "plugintype: None"],
        ),
        (
            RESOURCES,
            json!([{"id": "storage/a/x", "type": "storage", "storage": "x", "status": "unknown", "plugintype": "fancy"}]),
            &["maxdisk: None", "disk: None", r#"plugintype: Some("fancy")"#],
        ),
        (
            RESOURCES,
            json!([{"id": "network/a/zone/z", "type": "network", "network": "z", "node": "a"}]),
            &[r#"kind: Unknown("network")"#],
        ),
        (
            "/cluster/status",
            json!([{"type": "node", "id": "node/a", "name": "a", "nodeid": 0, "local": 1, "online": 1, "level": ""}]),
            &["quorate: None", "nodeid: Some(0)", "level: None"],
        ),
        (MACHINE, json!({"digest": "77", "ostype": "solaris"}), &["cores: None"]),
        (MACHINE, json!({}), &["digest: None", "memory: None", "agent false"]),
        (CONTAINER, json!({"digest": "77"}), &["hostname: None", "rootfs: None"]),
        (NETWORK, json!([{"type": "bridge"}]), &["iface: None"]),
        (
            SNAPSHOTS,
            json!([{"name": "current", "running": 1, "digest": "77", "description": "You are here!", "parent": "a"}]),
            &["snaptime: None", r#"parent: Some("a")"#],
        ),
        (
            SNAPSHOTS,
            json!([{"name": "a", "description": "", "snaptime": 1}]),
            &["description: None"],
        ),
        (
            REPLICATION,
            json!([{"id": "100-0", "guest": 100, "jobnum": 0, "next_sync": 1, "fail_count": 0}]),
            &[r#"id: "100-0", guest: Some(Vmid(100)), jobnum: Some(0)"#],
        ),
    ]);
}

#[test]
fn blank_and_odd_texts_cost_nothing_else() {
    check(&[
        (
            MACHINE,
            json!({"cicustom": " ", "boot": " ", "memory": 512, "name": "a"}),
            &["memory: Some(512)", r#"name: Some("a")"#],
        ),
        (INSIDE_CONTAINER, Value::Null, &["[]"]),
        (MACHINE, json!({"tags": "a;b"}), &[r#"tags: ["a", "b"]"#]),
        (MACHINE, json!({"tags": "a b"}), &[r#"tags: ["a", "b"]"#]),
        (CONTAINER, json!({"tags": "a, b"}), &[r#"tags: ["a", "b"]"#]),
        (
            CONTAINER,
            json!({"description": "shop\n"}),
            &[r#"description: Some("shop\n")"#],
        ),
        (
            MACHINE,
            json!({"description": " shop"}),
            &[r#"description: Some(" shop")"#],
        ),
        (
            NETWORK,
            json!([{"iface": "vmbr0", "comments": "up\nlink\n"}]),
            &[r#"iface: Some("vmbr0")"#],
        ),
        (
            CONTAINER,
            json!({"hostname": "a", "lxc": [["lxc.idmap", "u 0 100000 1"], ["lxc.idmap", "g 0 100000 1"]]}),
            &[r#"hostname: Some("a")"#],
        ),
    ]);
}

#[test]
fn interfaces_inside_guests_are_read_in_every_form() {
    let many: Vec<Value> = (0..116)
        .map(|number| json!({"name": format!("veth{number}"), "hardware-address": "bc:24:11:00:00:01"}))
        .collect();
    check(&[
        (
            AGENT,
            json!({"result": {"error": {"class": "CommandDisabled", "desc": "it is disabled"}}}),
            &["refused: it is disabled"],
        ),
        (
            AGENT,
            json!({"result": [
                {"name": "Ethernet", "hardware-address": "bc:24:11:00:00:01", "ip-addresses": [
                    {"ip-address": "fe80::1%5", "ip-address-type": "ipv6", "prefix": -1},
                ]},
                {"name": "Loopback Pseudo-Interface 1", "ip-addresses": [{"ip-address": "::1", "prefix": 128}]},
            ]}),
            &[r#"address: "fe80::1%5", prefix: Some(-1)"#, "mac: None"],
        ),
        (
            AGENT,
            json!({"result": [{"name": "datapath", "hardware-address": "bc:24:11:00:00:01"}]}),
            &[r#"name: "datapath", mac: Some("bc:24:11:00:00:01"), mtu: None, addresses: []"#],
        ),
        (
            AGENT,
            json!({"result": [
                {"name": "enp2s20", "hardware-address": "bc:24:11:00:00:01"},
                {"name": "enp2s20:1", "hardware-address": "bc:24:11:00:00:01", "ip-addresses": [
                    {"ip-address": "10.0.0.1", "prefix": 24},
                ]},
            ]}),
            &[
                r#"name: "enp2s20:1", mac: Some("bc:24:11:00:00:01"), mtu: None, addresses: [GuestAddress { address: "10.0.0.1""#,
            ],
        ),
        (AGENT, json!({ "result": many }), &[r#"name: "veth115""#]),
        (
            AGENT,
            json!({"result": [{"name": "a", "hardware-address": "**:**", "ip-addresses": [
                {"ip-address": "2001:db8::**", "prefix": 99}, {"ip-address": "10.0.0.1", "prefix": 24},
            ]}]}),
            &[r#"address: "10.0.0.1", prefix: Some(24)"#],
        ),
        (
            INSIDE_CONTAINER,
            json!([{
                "name": "eth0", "hwaddr": "bc:24:11:00:00:02", "hardware-address": "bc:24:11:00:00:02",
                "inet": "10.0.0.3/24", "ip-addresses": [
                    {"ip-address": "10.0.0.2", "ip-address-type": "inet", "prefix": "24"},
                    {"ip-address": "10.0.0.3", "ip-address-type": "inet", "prefix": "24"},
                ],
            }]),
            &[
                r#"address: "10.0.0.2", prefix: Some(24)"#,
                r#"address: "10.0.0.3", prefix: Some(24)"#,
            ],
        ),
        (
            INSIDE_CONTAINER,
            json!([{"name": "lo", "hwaddr": "00:00:00:00:00:00", "inet": "127.0.0.1/8", "inet6": "::1/128"},
                {"name": "gre0", "hardware-address": null, "hwaddr": "0.0.0.0"}]),
            &[r#"address: "127.0.0.1", prefix: Some(8)"#, r#"name: "gre0""#],
        ),
    ]);
}

#[test]
fn drives_and_devices_of_every_form_are_told_for_what_they_are() {
    check(&[
        (
            MACHINE,
            json!({"scsi0": "/dev/disk/by-id/ata-1,size=2G", "ide0": "/srv/a.raw", "ide2": "cdrom", "name": "a"}),
            &[r#"key: "scsi0", size_mib: 2048, storage: None"#, r#"name: Some("a")"#],
        ),
        (
            MACHINE,
            json!({"ide0": "local:1/a.raw,size=104858K", "sata0": "local:iso/a.iso,media=cdrom"}),
            &["size_mib: 103", r#"key: "sata0", size_mib: 0"#],
        ),
        (
            CONTAINER,
            json!({"rootfs": "local:1/a.raw,size=1029M"}),
            &["size_mib: 1029"],
        ),
        (
            MACHINE,
            json!({"scsi0": "local-lvm:base-1-disk-0/vm-2-disk-0,size=8G", "unused7": "local-lvm:vm-2-disk-7"}),
            &[r#"size_mib: 8192, storage: Some("local-lvm")"#],
        ),
        (
            CONTENT,
            json!([{"volid": "local-lvm:base-1-disk-0", "parent": null, "format": "raw", "size": 1}]),
            &[r#"volid: "local-lvm:base-1-disk-0""#, "parent: None"],
        ),
        (
            MACHINE,
            json!({
                "hostpci0": "00:00.0", "hostpci1": "0000:12:00,pcie=1", "hostpci2": "mapping=gpu", "name": "a",
                "machine": "type=q35,viommu=intel", "hugepages": "1024",
            }),
            &[r#"name: Some("a")"#],
        ),
        (
            MACHINE,
            json!({"machine": "pc-q35-9.2+pve1", "name": "a"}),
            &[r#"name: Some("a")"#],
        ),
        (MACHINE, json!({"agent": "1"}), &["agent true"]),
        (
            MACHINE,
            json!({"agent": "enabled=1,fstrim_cloned_disks=1"}),
            &["agent true"],
        ),
        (MACHINE, json!({"agent": "1,freeze-fs-on-backup=0"}), &["agent true"]),
        (MACHINE, json!({"agent": 0}), &["agent false"]),
        (
            CONTAINER,
            json!({"net0": "name=eth0,ip=10.0.0.9/32,gw=10.9.9.9,ip6=auto", "net1": "name=eth1,ip=manual"}),
            &[
                r#"addresses: ["10.0.0.9/32", "auto"]"#,
                r#"addresses: ["manual"]"#,
                "mac: None",
            ],
        ),
        (
            NETWORK,
            json!([
                {"iface": "x", "type": "unknown"}, {"iface": "o", "type": "OVSBond", "ovs_bonds": "a b", "ovs_bridge": "v"},
                {"iface": "a.1.2", "type": "vlan", "vlan-id": 2, "vlan-raw-device": "a.1"},
                {"iface": "v", "type": "bridge", "bridge_ports": "a b"},
            ]),
            &[
                r#"kind: Some("unknown")"#,
                r#"members: ["a", "b"]"#,
                r#"vlan_raw_device: Some("a.1")"#,
                r#"ports: ["a", "b"]"#,
            ],
        ),
    ]);
}

#[test]
fn tasks_and_versions_of_every_form_are_read() {
    check(&[
        (
            TASKS,
            json!([{"upid": "UPID:a:1:1:1:vzdump::root@pam!b:", "id": "", "status": "command 'x' failed: exit code 5"}]),
            &["id: None", r#"status: Some("command 'x' failed: exit code 5")"#],
        ),
        (
            "/nodes/{node}/tasks/{upid}/status",
            json!({"status": "stopped", "exitstatus": "command 'x' failed: exit code 5", "id": "100@local"}),
            &[r#"exitstatus: Some("command 'x' failed: exit code 5")"#],
        ),
        (
            "/version",
            json!({"version": "6.2-4", "release": "6.2"}),
            &[r#"version: "6.2-4""#],
        ),
        ("/version", json!({"version": "8.4.1"}), &["release: None"]),
    ]);
}
