//! What NetBox must hold of a virtual machine and a container after all stages, written by hand.

use serde_json::{Value, json};

use crate::infrastructure::tags;
use crate::netbox::NetBox;

pub(crate) async fn machine(netbox: &NetBox, name: &str) -> Value {
    netbox
        .row(&format!("/api/virtualization/virtual-machines/?name={name}"))
        .await
}

/// The rows of `path` that belong to `machine`, each as the fields of `fields`, sorted.
async fn children(netbox: &NetBox, path: &str, machine: &Value, fields: &[&str]) -> Vec<Value> {
    let rows = netbox
        .rows(&format!("{path}?virtual_machine_id={}", machine["id"]))
        .await;
    let plain = |value: &Value| match value.as_object() {
        Some(members) => members
            .get("value")
            .or_else(|| members.get("vid"))
            .or_else(|| members.get("name"))
            .cloned()
            .unwrap_or_default(),
        None => value.clone(),
    };
    let mut rows: Vec<Value> = rows
        .iter()
        .map(|row| fields.iter().map(|field| plain(&row[*field])).collect())
        .collect();
    rows.sort_by_key(Value::to_string);
    rows
}

/// `web-100`: a virtual machine with an agent, cloud-init, EFI and TPM disks and a VLAN.
pub(crate) async fn assert_machine(netbox: &NetBox) {
    let row = machine(netbox, "web-100").await;
    let expected = json!({
        "vcpus": 8.0, "memory": 4096, "disk": 131_080, "description": "Primary shop server",
        "comments": "Primary shop server\nOwner: data team", "role": null, "tenant": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&row[field], value, "web-100.{field}");
    }
    assert_eq!(row["status"]["value"], "active");
    assert_eq!(row["cluster"]["name"], "lab");
    assert_eq!(row["device"]["name"], "pve1");
    assert_eq!(row["site"]["name"], "Proxmox Default Site - lab");
    assert_eq!(row["platform"]["name"], "Linux (kernel 2.6 or newer)");
    assert_eq!(row["virtual_machine_type"]["slug"], "qemu-virtual-machine");
    assert_eq!(tags(&row), ["prod", "proxbox", "proxbox-discovered-qemu"]);
    assert_eq!(row["primary_ip4"]["address"], "10.50.0.101/16");
    assert_eq!(row["primary_ip6"]["address"], "fd00:50::64/64");

    let id = &row["id"];
    let state = netbox
        .row(&format!(
            "/api/plugins/proxbox/sync-state/virtual-machines/?virtual_machine_id={id}"
        ))
        .await;
    let expected = json!({
        "proxmox_vm_id": 100, "proxmox_vm_type": "qemu", "proxmox_vm_name": "web-100", "proxmox_endpoint_raw_id": 1,
        "proxmox_node_name": "pve1", "proxmox_cluster_name": "lab", "proxmox_qemu_agent": true,
        "proxmox_search_domain": "lab.example", "proxmox_status": "running",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&state[field], value, "state of web-100, {field}");
    }
    assert_ne!(state["endpoint"], Value::Null, "the plugin's buttons need the endpoint");

    let disks = children(
        netbox,
        "/api/virtualization/virtual-disks/",
        &row,
        &["name", "size", "description"],
    )
    .await;
    assert_eq!(
        json!(disks),
        json!([
            ["efidisk0", 4, "Storage: local-lvm"],
            ["ide2", 0, "CD-ROM drive"],
            ["ide3", 0, "CD-ROM drive | ISO: local-lvm:vm-100-cloudinit"],
            ["scsi0", 131_072, "Storage: local-lvm"],
            ["tpmstate0", 4, "Storage: local-lvm"],
        ])
    );
    let fields = ["name", "enabled", "mode", "untagged_vlan", "mac_address"];
    let interfaces = children(netbox, "/api/virtualization/interfaces/", &row, &fields).await;
    assert_eq!(
        json!(interfaces),
        json!([["net0", true, "access", 120, "BC:24:11:00:00:64"]])
    );
    let addresses = children(netbox, "/api/ipam/ip-addresses/", &row, &["address", "status"]).await;
    assert_eq!(
        json!(addresses),
        json!([["10.50.0.101/16", "active"], ["fd00:50::64/64", "active"]])
    );
    let seen = children(
        netbox,
        "/api/plugins/proxbox/guest-vm-interfaces/",
        &row,
        &["name", "vm_interface"],
    )
    .await;
    assert!(seen.contains(&json!(["ens18", "net0"])), "{seen:#?}");
    assert!(seen.contains(&json!(["docker0", null])), "{seen:#?}");
}

/// `files-103`: a container with a mount point and static addresses.
pub(crate) async fn assert_container(netbox: &NetBox) {
    let row = machine(netbox, "files-103").await;
    assert_eq!(
        (&row["vcpus"], &row["memory"], &row["disk"]),
        (&json!(2.0), &json!(1024), &json!(106_496))
    );
    assert_eq!(row["virtual_machine_type"]["slug"], "lxc-container");
    assert_eq!(row["platform"]["name"], "Ubuntu");
    let interfaces = children(
        netbox,
        "/api/virtualization/interfaces/",
        &row,
        &["name", "mac_address"],
    )
    .await;
    assert_eq!(json!(interfaces), json!([["eth0", "BC:24:11:00:00:67"]]));
    let addresses = children(netbox, "/api/ipam/ip-addresses/", &row, &["address", "dns_name"]).await;
    assert_eq!(
        json!(addresses),
        json!([["10.60.0.104/16", "files-103"], ["fd00:60::67/64", "files-103"]])
    );
}

/// Names that are taken, too long, or numbers.
pub(crate) async fn assert_names(netbox: &NetBox) {
    let rows = netbox.rows("/api/virtualization/virtual-machines/").await;
    assert_eq!(rows.len(), 55);
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    for name in [
        "web",
        "web (2)",
        "WEB (3)",
        "4711",
        "a-very-long-guest-name-that-somebody-generated-from-a-ticket-num",
    ] {
        assert!(
            names.contains(&name),
            "no virtual machine is called {name:?}: {names:#?}"
        );
    }
}
