//! A NetBox that the Python service of the same name has filled: every row is taken over, none is made twice.

use proxbox_api::netbox::standin::{Standin, StandinOptions};
use proxbox_api::proxmox::mock::World;
use serde_json::{Value, json};

use crate::harness::{Bench, INTERFACES, MACHINE_STATES, MACHINES, tags};
use crate::kill::{differences, full_update, holdings};

const ADDRESSES: &str = "ipam/ip-addresses";
const MACS: &str = "dcim/mac-addresses";
const DEVICE_STATES: &str = "plugins/proxbox/sync-state/devices";
const ROUTINES: &str = "plugins/proxbox/backup-routines";

fn id(row: &Value) -> u64 {
    row["id"].as_u64().unwrap()
}

fn change_all(netbox: &Standin, path: &str, change: &Value) {
    for row in netbox.rows(path) {
        netbox.change(path, id(&row), change).unwrap();
    }
}

fn remove_where(netbox: &Standin, path: &str, is_meant: impl Fn(&Value) -> bool) {
    for row in netbox.rows(path).iter().filter(|row| is_meant(row)) {
        netbox.remove(path, id(row)).unwrap();
    }
}

/// Takes the marks of discovery off; a row that is found has none.
fn forget_discovery(netbox: &Standin) {
    for path in [MACHINES, "virtualization/clusters"] {
        for row in netbox.rows(path) {
            let kept = tags(&row)
                .into_iter()
                .filter(|slug| !slug.starts_with("proxbox-discovered"));
            let kept: Vec<Value> = kept.map(|slug| json!({"slug": slug})).collect();
            netbox.change(path, id(&row), &json!({"tags": kept})).unwrap();
        }
    }
}

/// Leaves what the Python service would have left: no relations of sync states, no MAC addresses and addresses of
/// second NICs, no cloud-init, no schedules of guests that are not listed by number.
fn age(netbox: &Standin) {
    let unbound = json!({"endpoint": null, "proxmox_cluster": null, "proxmox_node": null});
    change_all(netbox, MACHINE_STATES, &unbound);
    change_all(netbox, DEVICE_STATES, &unbound);
    change_all(netbox, "plugins/proxbox/proxmox-nodes", &json!({"netbox_device": null}));
    change_all(netbox, "plugins/proxbox/replications", &json!({"proxmox_node": null}));
    change_all(netbox, "plugins/proxbox/storage", &json!({"prune_backups": null}));
    change_all(netbox, ROUTINES, &json!({"node": null, "storage": null}));
    remove_where(netbox, ROUTINES, |row| row["selection"][0].is_string());
    remove_where(netbox, "plugins/proxbox/vm-cloudinit", |_| true);
    let second: Vec<Value> = netbox
        .rows(INTERFACES)
        .into_iter()
        .filter(|row| row["name"] == "net1")
        .collect();
    assert!(!second.is_empty());
    let is_of_second = |row: &Value| {
        row["assigned_object_type"] == "virtualization.vminterface"
            && second
                .iter()
                .any(|interface| interface["id"] == row["assigned_object_id"])
    };
    remove_where(netbox, "plugins/proxbox/guest-vm-interface-addresses", |link| {
        let rows = netbox.rows(ADDRESSES);
        rows.iter()
            .any(|row| row["id"] == link["ip_address"]["id"] && is_of_second(row))
    });
    remove_where(netbox, ADDRESSES, is_of_second);
    for interface in &second {
        netbox
            .change(INTERFACES, id(interface), &json!({"primary_mac_address": null}))
            .unwrap();
    }
    remove_where(netbox, MACS, is_of_second);
}

#[tokio::test]
async fn rows_of_the_python_service_are_taken_over_and_a_second_run_writes_nothing() {
    let bench = Bench::with(World::estate(2, 12), StandinOptions::default()).await;
    full_update(&bench).await;
    forget_discovery(&bench.netbox);
    let expected = holdings(&bench.netbox);
    age(&bench.netbox);
    assert!(!differences(&holdings(&bench.netbox), &expected).is_empty());
    for run in 1..=2 {
        bench.forget();
        bench.netbox.clear_requests();
        let report = full_update(&bench).await;
        assert_eq!(report.errors(), Vec::<String>::new(), "run {run}");
        let differences = differences(&holdings(&bench.netbox), &expected);
        assert!(differences.is_empty(), "run {run}: {differences:#?}");
    }
    assert_eq!(bench.take_writes(), Vec::<String>::new());
}
