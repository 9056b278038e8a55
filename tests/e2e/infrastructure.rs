//! What NetBox must hold after the stages `devices` and `storage`, written by hand.

use serde_json::{Value, json};

use crate::netbox::NetBox;

/// Slugs of a row's tags.
pub(crate) fn tags(row: &Value) -> Vec<&str> {
    let mut slugs: Vec<&str> = row["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["slug"].as_str().unwrap())
        .collect();
    slugs.sort_unstable();
    slugs
}

/// The members of a comma list, which Proxmox puts in any order.
fn set(list: &Value) -> Vec<&str> {
    let mut members: Vec<&str> = list.as_str().unwrap().split(',').collect();
    members.sort_unstable();
    members
}

pub(crate) async fn assert_devices(netbox: &NetBox) {
    let site = netbox.row("/api/dcim/sites/").await;
    assert_eq!(
        (&site["name"], &site["slug"], &site["status"]["value"]),
        (
            &json!("Proxmox Default Site - lab"),
            &json!("proxmox-default-site-lab"),
            &json!("active")
        )
    );
    let cluster = netbox.row("/api/virtualization/clusters/").await;
    assert_eq!(cluster["name"], "lab");
    assert_eq!(cluster["type"]["slug"], "cluster");
    assert_eq!(cluster["description"], "Proxmox cluster cluster.");
    assert_eq!(
        (&cluster["scope_type"], &cluster["scope_id"]),
        (&json!("dcim.site"), &site["id"])
    );
    assert_eq!(tags(&cluster), ["proxbox", "proxbox-discovered-cluster"]);

    let tracked = netbox.row("/api/plugins/proxbox/proxmox-clusters/").await;
    assert_eq!(tracked["netbox_cluster"]["id"], cluster["id"]);
    let nodes = netbox.rows("/api/plugins/proxbox/proxmox-nodes/").await;
    assert_eq!(nodes.len(), 3);
    for (number, node) in nodes.iter().enumerate() {
        let name = format!("pve{}", number + 1);
        let device = netbox.row(&format!("/api/dcim/devices/?name={name}")).await;
        assert_eq!(device["status"]["value"], "active");
        assert_eq!(device["role"]["slug"], "proxmox-node");
        assert_eq!(device["device_type"]["slug"], "proxmox-generic-device");
        assert_eq!(device["device_type"]["manufacturer"]["slug"], "proxmox");
        assert_eq!(device["description"], format!("Proxmox Node {name}"));
        assert_eq!(device["cluster"]["id"], cluster["id"]);
        assert_eq!(device["site"]["id"], site["id"]);
        assert_eq!(tags(&device), ["proxbox", "proxbox-discovered-node"]);
        assert_eq!(
            (&node["name"], &node["netbox_device"]["id"]),
            (&json!(name), &device["id"])
        );
        let state = netbox
            .row(&format!(
                "/api/plugins/proxbox/sync-state/devices/?device_id={}",
                device["id"]
            ))
            .await;
        assert_eq!(state["proxmox_node_name"], name);
        assert_eq!(state["proxmox_cluster_name"], "lab");
        assert_eq!(state["proxmox_endpoint_raw_id"], 1);
        assert_eq!(state["proxmox_node"]["id"], node["id"]);
        assert_eq!(state["proxmox_cluster"]["id"], tracked["id"]);
        assert_ne!(
            state["endpoint"],
            Value::Null,
            "the plugin binds the row to its endpoint"
        );
    }
}

pub(crate) async fn assert_storages(netbox: &NetBox) {
    let rows = netbox.rows("/api/plugins/proxbox/storage/").await;
    assert_eq!(rows.len(), 7);
    let storage = |name: &str| {
        rows.iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let expected = json!({
        "cluster": "lab", "storage_type": "nfs", "path": "/mnt/pve/nas-backups", "server": "10.20.255.10",
        "export": "/volume1/pve", "shared": true, "enabled": true,
    });
    for (field, value) in expected.as_object().unwrap() {
        let found = &storage("nas-backups")[field];
        let found = found.get("name").unwrap_or(found);
        assert_eq!(found, value, "nas-backups.{field}");
    }
    assert_eq!(storage("usb-disk")["is_mountpoint"], "yes");
    assert_eq!(set(&storage("usb-disk")["nodes"]), ["pve1", "pve2"]);
    assert_eq!(
        set(&storage("nas-backups")["prune_backups"]),
        ["keep-daily=7", "keep-last=3", "keep-weekly=4"]
    );
    assert_eq!(storage("pbs-main")["namespace"], "site-a/rack1");
    assert_eq!(storage("pbs-main")["port"], 8007);
    assert_eq!(storage("old-iscsi")["enabled"], false);
    assert_eq!(storage("local")["shared"], false);
    assert!(rows.iter().all(|row| tags(row) == ["proxbox"]));
}
