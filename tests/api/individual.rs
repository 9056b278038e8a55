//! `/sync/individual/*`, and runs limited to one node, storage or guest.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its surroundings fail"
)]

use proxbox_api::netbox::standin::Request;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{pushed, store, with};
use crate::support::answer;
use crate::world::Trio;

pub(crate) const CLUSTERS: &str = "/api/virtualization/clusters/";
pub(crate) const DEVICES: &str = "/api/dcim/devices/";
pub(crate) const MACHINES: &str = "/api/virtualization/virtual-machines/";
pub(crate) const MACHINE_STATES: &str = "/api/plugins/proxbox/sync-state/virtual-machines/";
pub(crate) const INTERFACES: &str = "/api/virtualization/interfaces/";
pub(crate) const ADDRESSES: &str = "/api/ipam/ip-addresses/";
pub(crate) const DISKS: &str = "/api/virtualization/virtual-disks/";
pub(crate) const STORAGES: &str = "/api/plugins/proxbox/storage/";
pub(crate) const BACKUPS: &str = "/api/plugins/proxbox/backups/";
pub(crate) const SNAPSHOTS: &str = "/api/plugins/proxbox/snapshots/";
pub(crate) const ROUTINES: &str = "/api/plugins/proxbox/backup-routines/";
pub(crate) const REPLICATIONS: &str = "/api/plugins/proxbox/replications/";
pub(crate) const TASKS: &str = "/api/plugins/proxbox/task-history/";

/// Which guest's interface has which address; while such a row stands NetBox does not let the address go.
pub(crate) const LINKS: &str = "/api/plugins/proxbox/guest-vm-interface-addresses/";

/// A guest that runs, with an agent, two interfaces, several disks, snapshots, backups and tasks.
pub(crate) const RICH: u32 = 101;

/// A route, asked for an object that is there.
pub(crate) struct Case {
    pub(crate) path: &'static str,
    object_type: &'static str,
    query: String,
    /// The parameter that names the object, with a value that names none.
    missing: (&'static str, &'static str),
    pub(crate) collection: &'static str,
    /// How the object's row is told from the others of the collection.
    is_it: Box<dyn Fn(&Value) -> bool>,
}

impl Case {
    pub(crate) fn url(&self) -> String {
        format!("/sync/individual/{}?{}", self.path, self.query)
    }

    /// Asks for an object that is not there.
    fn url_of_nothing(&self) -> String {
        let (name, value) = self.missing;
        format!("{}&{name}={value}", self.url())
    }

    pub(crate) fn row(&self, trio: &Trio) -> Option<u64> {
        let rows = trio.netbox.rows(self.collection);
        rows.iter()
            .find(|row| (self.is_it)(row))
            .map(|row| row["id"].as_u64().unwrap())
    }
}

fn field(name: &'static str, value: impl Into<Value>) -> Box<dyn Fn(&Value) -> bool> {
    let value = value.into();
    Box::new(move |row| row[name] == value)
}

/// The node of the rich guest.
pub(crate) fn node(trio: &Trio) -> String {
    trio.proxmox.world().read(|world| world.guests[&RICH].node.clone())
}

/// What names the rich guest.
pub(crate) fn guest(trio: &Trio) -> String {
    format!("cluster_name=lab&node={}&type=qemu&vmid={RICH}", node(trio))
}

fn of_machine(machine: &Value, name: &'static str) -> Box<dyn Fn(&Value) -> bool> {
    let machine = machine.clone();
    Box::new(move |row| row["virtual_machine"]["id"] == machine && row["name"] == name)
}

/// The rich guest's virtual machine; null where it has none.
pub(crate) fn machine(trio: &Trio) -> Value {
    let states = trio.netbox.rows(MACHINE_STATES);
    let state = states.iter().find(|row| row["proxmox_vm_id"] == RICH);
    state.map_or(Value::Null, |state| state["virtual_machine"]["id"].clone())
}

type Row = (&'static str, Box<dyn Fn(&Value) -> bool>);

/// The route `path`, asked for what `query` names; `row` is its collection and how it is told from others there.
fn case(
    path: &'static str,
    object_type: &'static str,
    query: String,
    missing: (&'static str, &'static str),
    row: Row,
) -> Case {
    let (collection, is_it) = row;
    Case {
        path,
        object_type,
        query,
        missing,
        collection,
        is_it,
    }
}

/// Routes whose objects belong to the rich guest, those that others hang on last.
pub(crate) fn guest_cases(trio: &Trio) -> Vec<Case> {
    let (guest, id) = (guest(trio), machine(trio));
    let mut cases = configured_cases(&guest, &id);
    cases.extend(kept_cases(trio, &guest));
    let row: Row = (MACHINES, Box::new(move |row| row["id"] == id));
    cases.push(case("vm", "vm", guest, ("vmid", "9999"), row));
    cases
}

/// What a guest's configuration tells.
fn configured_cases(guest: &str, machine: &Value) -> Vec<Case> {
    let has_host = |row: &Value| row["address"].as_str().unwrap().starts_with("10.50.0.102/");
    vec![
        case(
            "ip",
            "ip_address",
            format!("{guest}&ip_address=10.50.0.102"),
            ("ip_address", "192.0.2.77"),
            (ADDRESSES, Box::new(has_host)),
        ),
        case(
            "interface",
            "interface",
            format!("{guest}&interface_name=net0"),
            ("interface_name", "net9"),
            (INTERFACES, of_machine(machine, "net0")),
        ),
        case(
            "disk",
            "virtual_disk",
            format!("{guest}&disk_name=virtio0"),
            ("disk_name", "scsi9"),
            (DISKS, of_machine(machine, "virtio0")),
        ),
    ]
}

/// What is kept of a guest beside it.
fn kept_cases(trio: &Trio, guest: &str) -> Vec<Case> {
    let (backup, snapshot, task) = trio.proxmox.world().read(|world| {
        let backup = world.backups.iter().find(|backup| backup.vmid == RICH).unwrap().clone();
        let snapshot = world.guests[&RICH].snapshots[0].name.clone();
        let id = RICH.to_string();
        let task = world.tasks.iter().find(|task| *task.id == *id && task.ends.is_some());
        (backup, snapshot, task.unwrap().upid())
    });
    let volid = backup.volid();
    let name = snapshot.clone();
    vec![
        case(
            "backup",
            "backup",
            format!("{guest}&storage={}&volid={volid}", backup.storage),
            ("volid", "nas-backups:backup/none"),
            (BACKUPS, field("volume_id", volid)),
        ),
        case(
            "snapshot",
            "snapshot",
            format!("{guest}&snapshot_name={snapshot}"),
            ("snapshot_name", "current"),
            (
                SNAPSHOTS,
                Box::new(move |row| row["vmid"] == RICH && row["name"] == name),
            ),
        ),
        case(
            "task-history",
            "task_history",
            format!("{guest}&upid={task}"),
            ("vmid", "9999"),
            (TASKS, field("upid", task)),
        ),
    ]
}

/// Routes whose objects belong to the cluster.
pub(crate) fn cluster_cases(trio: &Trio) -> Vec<Case> {
    let job = trio.proxmox.world().read(|world| world.replications[0].id());
    let of_cluster = |more: &str| format!("cluster_name=LAB{more}");
    vec![
        case(
            "replication",
            "replication",
            of_cluster(&format!("&replication_id={job}")),
            ("replication_id", "9999-0"),
            (REPLICATIONS, field("replication_id", job)),
        ),
        case(
            "backup-routines",
            "backup_routine",
            of_cluster("&job_id=backup-list-0003"),
            ("job_id", "none"),
            (ROUTINES, field("job_id", "backup-list-0003")),
        ),
        case(
            "storage",
            "storage",
            of_cluster("&storage_name=local"),
            ("storage_name", "none"),
            (STORAGES, field("name", "local")),
        ),
        case(
            "node",
            "node",
            of_cluster("&node_name=pve1"),
            ("node_name", "pve9"),
            (DEVICES, field("name", "pve1")),
        ),
        case(
            "cluster",
            "cluster",
            of_cluster(""),
            ("cluster_name", "none"),
            (CLUSTERS, field("name", "lab")),
        ),
    ]
}

/// Everything in step.
pub(crate) async fn converged() -> Trio {
    let trio = Trio::start().await;
    let (status, body) = trio.app.get("/full-update").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    trio.netbox.clear_requests();
    trio
}

/// Removes every row of a collection.
pub(crate) fn clear(trio: &Trio, path: &str) {
    for row in trio.netbox.rows(path) {
        trio.netbox.remove(path, row["id"].as_u64().unwrap()).unwrap();
    }
}

pub(crate) async fn done(trio: &Trio, url: &str, action: &str) -> Value {
    let (status, body) = trio.app.get(url).await;
    assert_eq!(status, StatusCode::OK, "{url}: {body}");
    assert_eq!(
        (&body["action"], &body["error"]),
        (&json!(action), &Value::Null),
        "{url}: {body}"
    );
    body
}

pub(crate) fn told(writes: &[Request]) -> Vec<String> {
    let told = |write: &Request| format!("{} {} ({})", write.method, write.path, write.rows);
    writes.iter().map(told).collect()
}

#[tokio::test]
async fn object_in_step_is_told_as_such_and_nothing_is_written() {
    let trio = converged().await;
    for case in guest_cases(&trio).into_iter().chain(cluster_cases(&trio)) {
        let url = case.url();
        let body = done(&trio, &url, "unchanged").await;
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        let expected = [
            "object_type",
            "action",
            "proxmox_resource",
            "netbox_object",
            "dry_run",
            "dependencies_synced",
            "error",
        ];
        assert_eq!(keys, expected, "{url}");
        assert_eq!(body["object_type"], case.object_type, "{url}");
        assert_eq!(body["netbox_object"]["id"].as_u64(), case.row(&trio), "{url}: {body}");
        assert!(
            body["proxmox_resource"]["proxmox_last_updated"].is_string(),
            "{url}: {body}"
        );
        for dependency in body["dependencies_synced"].as_array().unwrap() {
            assert_eq!(dependency["action"], "unchanged", "{url}: {dependency}");
        }
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{url}");
        trio.netbox.clear_requests();
        trio.proxmox.clear_requests();
        let posted = trio.app.request(Method::POST, &url).send().await.unwrap();
        let (status, posted) = answer(posted).await;
        assert_eq!(
            (status, &posted["action"]),
            (StatusCode::OK, &json!("unchanged")),
            "{url}: {posted}"
        );
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{url}");
        let cost = (trio.netbox.requests().len(), trio.proxmox.requests().len());
        assert!(
            cost.0 <= 20 && cost.1 <= 6,
            "{url}: {cost:?} requests to NetBox and Proxmox"
        );
    }
}

#[tokio::test]
async fn missing_row_is_made_once_and_a_dry_run_makes_none() {
    let trio = converged().await;
    let others = cluster_cases(&trio).into_iter().take(2);
    for case in guest_cases(&trio).into_iter().chain(others) {
        let url = case.url();
        clear(&trio, LINKS);
        trio.netbox.remove(case.collection, case.row(&trio).unwrap()).unwrap();
        trio.netbox.clear_requests();
        let body = done(&trio, &format!("{url}&dry_run=true"), "dry_run").await;
        assert_eq!(
            (&body["netbox_object"], &body["dry_run"]),
            (&Value::Null, &json!(true)),
            "{url}"
        );
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{url}");
        let body = done(&trio, &url, "created").await;
        assert!(body["netbox_object"]["id"].is_u64(), "{url}: {body}");
        trio.netbox.clear_requests();
        done(&trio, &url, "unchanged").await;
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{url}");
    }
}

#[tokio::test]
async fn changed_row_is_put_in_step_again() {
    let trio = converged().await;
    let changes = [
        ("disk", json!({"description": "something else"})),
        ("snapshot", json!({"description": "something else"})),
        ("backup", json!({"size": 1})),
        ("vm", json!({"description": "something else"})),
        ("node", json!({"description": "something else"})),
        ("cluster", json!({"description": "something else"})),
        ("storage", json!({"content": "something else"})),
        ("backup-routines", json!({"schedule": "something else"})),
        ("replication", json!({"schedule": "something else"})),
        ("task-history", json!({"status": "something else"})),
        ("interface", json!({"enabled": false})),
        ("ip", json!({"status": "deprecated"})),
    ];
    let cases: Vec<Case> = guest_cases(&trio).into_iter().chain(cluster_cases(&trio)).collect();
    for (path, change) in changes {
        let case = cases.iter().find(|case| case.path == path).unwrap();
        let id = case.row(&trio).unwrap();
        trio.netbox.change(case.collection, id, &change).unwrap();
        trio.netbox.clear_requests();
        let planned = done(&trio, &format!("{}&dry_run=true", case.url()), "dry_run").await;
        assert_eq!(planned["netbox_object"]["id"].as_u64(), Some(id), "{path}");
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{path}");
        let body = done(&trio, &case.url(), "updated").await;
        let (name, wrong) = change.as_object().unwrap().iter().next().unwrap();
        assert_ne!(&body["netbox_object"][name], wrong, "{path}: {body}");
        assert_eq!(body["netbox_object"]["id"].as_u64(), Some(id), "{path}");
    }
}

#[tokio::test]
async fn object_that_proxmox_does_not_have_is_an_error_and_nothing_is_written() {
    let trio = converged().await;
    let mut cases: Vec<Case> = guest_cases(&trio).into_iter().chain(cluster_cases(&trio)).collect();
    cases.retain(|case| case.path != "task-history");
    for case in cases {
        let url = case.url_of_nothing();
        let (status, body) = trio.app.get(&url).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{url}: {body}");
        let error = body["error"].as_str().unwrap_or_default();
        assert!(!error.is_empty() && body["detail"] == error, "{url}: {body}");
        let mut keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let expected: &[&str] = match case.path {
            "cluster" => &["detail", "error"],
            _ => &[
                "action",
                "dependencies_synced",
                "detail",
                "dry_run",
                "error",
                "netbox_object",
                "object_type",
                "proxmox_resource",
            ],
        };
        assert_eq!(keys, expected, "{url}");
        assert_eq!(told(&trio.netbox.writes()), [""; 0], "{url}");
    }
}

#[tokio::test]
async fn task_that_is_not_there_is_nothing_to_do() {
    let trio = converged().await;
    let url = format!("/sync/individual/task-history?{}", guest(&trio));
    let latest = done(&trio, &url, "unchanged").await;
    assert!(latest["proxmox_resource"]["selected_upid"].is_string(), "{latest}");
    let (status, body) = trio.app.get(&format!("{url}&upid=UPID:pve1:none")).await;
    assert_eq!((status, &body["action"]), (StatusCode::OK, &json!("noop")), "{body}");
    assert_eq!(body["error"], "No task found for the specified criteria");
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

#[tokio::test]
async fn object_of_an_empty_netbox_brings_what_it_hangs_on_and_no_more() {
    let trio = Trio::start().await;
    let cases = guest_cases(&trio);
    let case = cases.iter().find(|case| case.path == "disk").unwrap();
    let url = case.url();
    let refused = trio.app.get(&format!("{url}&auto_create_vm=false")).await;
    assert_eq!(refused.0, StatusCode::NOT_FOUND, "{}", refused.1);
    assert_eq!(trio.netbox.count(MACHINES), 0);
    let body = done(&trio, &url, "created").await;
    let made = [CLUSTERS, DEVICES, MACHINES, STORAGES, DISKS].map(|path| trio.netbox.count(path));
    assert_eq!(made, [1; 5], "{body}");
    let dependencies = body["dependencies_synced"].as_array().unwrap();
    let told: Vec<_> = dependencies
        .iter()
        .map(|one| (one["object_type"].as_str().unwrap(), one["action"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("vm", "created"), ("storage", "created")]);
    let again = done(&trio, &url, "unchanged").await;
    assert_eq!(again["dependencies_synced"][0]["action"], "unchanged");
}

#[tokio::test]
async fn address_brings_its_interface() {
    let trio = converged().await;
    let cases = guest_cases(&trio);
    let [address, interface] = ["ip", "interface"].map(|path| cases.iter().find(|case| case.path == path).unwrap());
    clear(&trio, LINKS);
    trio.netbox.remove(INTERFACES, interface.row(&trio).unwrap()).unwrap();
    let body = done(&trio, &address.url(), "created").await;
    assert_eq!(body["dependencies_synced"][1]["object_type"], "interface", "{body}");
    assert_eq!(body["dependencies_synced"][1]["action"], "created", "{body}");
    assert!(interface.row(&trio).is_some());
}

#[tokio::test]
async fn what_is_not_asked_for_is_left_alone() {
    let trio = converged().await;
    let machine = machine(&trio);
    let cases = guest_cases(&trio);
    let find = |path: &str| cases.iter().find(|case| case.path == path).unwrap();
    let other = trio.netbox.rows(INTERFACES);
    let other = other.iter().find(|row| (of_machine(&machine, "net1"))(row)).unwrap()["id"].as_u64();
    trio.netbox
        .change(INTERFACES, other.unwrap(), &json!({"enabled": false}))
        .unwrap();
    let gone = json!({
        "virtual_machine": machine, "vmid": RICH, "name": "gone", "node": node(&trio), "status": "active",
        "subtype": "qemu",
    });
    trio.netbox.seed(SNAPSHOTS, &gone).unwrap();
    let before = trio.netbox.fingerprint();
    for path in ["interface", "ip", "snapshot", "disk", "backup", "vm"] {
        done(&trio, &find(path).url(), "unchanged").await;
        assert_eq!(trio.netbox.fingerprint(), before, "{path}");
    }
}

#[tokio::test]
async fn address_of_somebody_else_is_not_taken() {
    let trio = converged().await;
    // NetBox does not let go of a primary address; this one is none.
    let host = "10.51.0.102";
    let url = format!("/sync/individual/ip?{}&ip_address={host}", guest(&trio));
    let machine = machine(&trio);
    let interfaces = trio.netbox.rows(INTERFACES);
    let foreign = interfaces
        .iter()
        .find(|row| row["virtual_machine"]["id"] != machine)
        .unwrap();
    let holder = json!({"assigned_object_type": "virtualization.vminterface", "assigned_object_id": foreign["id"]});
    let rows = trio.netbox.rows(ADDRESSES);
    let row = rows.iter().find(|row| row["address"] == format!("{host}/16")).unwrap();
    trio.netbox
        .change(ADDRESSES, row["id"].as_u64().unwrap(), &holder)
        .unwrap();
    let before = trio.netbox.fingerprint();
    let (status, body) = trio.app.get(&url).await;
    assert_eq!(
        (status, &body["action"]),
        (StatusCode::BAD_REQUEST, &json!("error")),
        "{body}"
    );
    assert!(body["error"].as_str().unwrap().contains("belongs to"), "{body}");
    assert_eq!(trio.netbox.fingerprint(), before);
}

#[tokio::test]
async fn ambiguous_virtual_machine_is_an_error_and_none_is_made() {
    let trio = converged().await;
    let twin = json!({"name": "twin", "cluster": trio.netbox.rows(CLUSTERS)[0]["id"]});
    let twin = trio.netbox.seed(MACHINES, &twin).unwrap();
    let state = json!({
        "virtual_machine": twin, "proxmox_vm_id": RICH, "proxmox_vm_type": "qemu",
        "proxmox_endpoint_raw_id": trio.endpoint, "proxmox_cluster_name": "lab",
    });
    trio.netbox.seed(MACHINE_STATES, &state).unwrap();
    let before = trio.netbox.fingerprint();
    for case in guest_cases(&trio) {
        let (status, body) = trio.app.get(&case.url()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}: {body}", case.path);
        assert_eq!(body["action"], "error", "{}: {body}", case.path);
        assert_eq!(trio.netbox.fingerprint(), before, "{}", case.path);
    }
}

#[tokio::test]
async fn guest_that_moved_is_not_found_where_it_was() {
    let trio = converged().await;
    let url = format!("/sync/individual/vm?{}", guest(&trio));
    let target = if node(&trio) == "pve1" { "pve2" } else { "pve1" };
    assert!(trio.proxmox.world().change(|world| world.migrate(RICH, target)));
    let (status, body) = trio.app.get(&url).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    assert!(body["error"].as_str().unwrap().contains(target), "{body}");
    let by_path = format!("/sync/individual/vm/lab/{target}/qemu/{RICH}");
    let body = done(&trio, &by_path, "updated").await;
    assert_eq!(body["netbox_object"]["device"]["name"], target, "{body}");
}

#[tokio::test]
async fn request_that_is_not_possible_is_refused() {
    let trio = converged().await;
    for (query, expected) in [
        ("cluster?cluster_name=", StatusCode::UNPROCESSABLE_ENTITY),
        (
            "vm?cluster_name=lab&node=pve1&type=kvm&vmid=101",
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("vm/lab/pve1/qemu/many", StatusCode::UNPROCESSABLE_ENTITY),
        ("backup-routines?cluster_name=lab", StatusCode::UNPROCESSABLE_ENTITY),
        (
            "node?cluster_name=lab&node_name=pve1&dry_run=perhaps",
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            &format!("cluster?cluster_name=lab&run_id={}", "r".repeat(256)),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "cluster?cluster_name=lab&netbox_branch_schema_id=none1",
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let (status, body) = trio.app.get(&format!("/sync/individual/{query}")).await;
        assert_eq!(status, expected, "{query}: {body}");
    }
    for (query, place) in [
        ("vm/lab/pve1/qemu/many", json!(["path", "vmid"])),
        (
            "vm?cluster_name=lab&node=pve1&type=kvm&vmid=101",
            json!(["query", "type"]),
        ),
    ] {
        let (_, body) = trio.app.get(&format!("/sync/individual/{query}")).await;
        assert_eq!(body["detail"][0]["loc"], place, "{query}: {body}");
    }
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

/// The plugin sends one set of parameters for objects of many kinds.
#[tokio::test]
async fn parameters_that_a_kind_does_not_need_are_ignored() {
    let trio = converged().await;
    for query in [
        "storage?storage_name=local&cluster_name=lab&vmid=101".to_owned(),
        "node?node_name=pve1&cluster_name=lab&vmid=many&type=node".to_owned(),
        format!("vm?{}&ip_address=10.50.0.102", guest(&trio)),
        "cluster?cluster_name=lab&ip_address=10.50.0.102".to_owned(),
    ] {
        done(&trio, &format!("/sync/individual/{query}"), "unchanged").await;
    }
}

/// Whose name in NetBox an operator has changed.
#[tokio::test]
async fn cluster_may_be_called_as_in_netbox_where_one_endpoint_is_selected() {
    let trio = converged().await;
    let cluster = trio.netbox.rows(CLUSTERS)[0]["id"].as_u64().unwrap();
    trio.netbox
        .change(CLUSTERS, cluster, &json!({"name": "Hall 3"}))
        .unwrap();
    let endpoint = trio.netbox.rows("/api/plugins/proxbox/endpoints/proxmox/")[0]["id"].clone();
    let tracked = json!({"endpoint": endpoint, "name": "lab", "mode": "cluster", "netbox_cluster": cluster});
    trio.netbox
        .seed("/api/plugins/proxbox/proxmox-clusters/", &tracked)
        .unwrap();
    let url = "/sync/individual/storage?storage_name=local&cluster_name=";
    let selected = format!("&proxmox_endpoint_ids={}", trio.endpoint);
    done(&trio, &format!("{url}hall%203{selected}"), "unchanged").await;
    let (status, body) = trio.app.get(&format!("{url}Hall%204{selected}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    // Of several it is not told which is meant.
    let other = with(pushed("other", &trio.proxmox), &json!({"port": 1}));
    store(&trio.app, &other).await;
    let (status, body) = trio.app.get(&format!("{url}Hall%203")).await;
    assert_ne!(status, StatusCode::OK, "{body}");
    done(&trio, &format!("{url}Hall%203{selected}"), "unchanged").await;
}

#[tokio::test]
async fn address_is_looked_for_on_the_interface_that_is_named() {
    let trio = converged().await;
    let url = format!(
        "/sync/individual/ip?{}&ip_address=10.50.0.102&interface_name=",
        guest(&trio)
    );
    for name in ["net0", "ens18", "ENS18"] {
        let body = done(&trio, &format!("{url}{name}"), "unchanged").await;
        assert_eq!(body["proxmox_resource"]["interface_name"], "net0", "{name}: {body}");
    }
    trio.netbox.clear_requests();
    for name in ["net1", "net7"] {
        let (status, body) = trio.app.get(&format!("{url}{name}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{name}: {body}");
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains(&format!("on interface {name} of guest {RICH}")),
            "{detail}"
        );
    }
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

#[tokio::test]
async fn two_endpoints_with_one_name_are_never_guessed_between() {
    let trio = converged().await;
    let url = "/sync/individual/storage?storage_name=local&cluster_name=lab";
    let silent = with(pushed("silent", &trio.proxmox), &json!({"port": 1}));
    store(&trio.app, &silent).await;
    done(&trio, url, "unchanged").await;
    let twin = store(&trio.app, &pushed("twin", &trio.proxmox)).await;
    let (status, body) = trio.app.get(url).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body["message"].as_str().unwrap().contains("Several"), "{body}");
    assert!(twin != trio.endpoint);
    done(
        &trio,
        &format!("{url}&proxmox_endpoint_ids={}", trio.endpoint),
        "unchanged",
    )
    .await;
}

#[tokio::test]
async fn proxmox_that_does_not_answer_is_told_apart() {
    let trio = converged().await;
    let cases = guest_cases(&trio);
    let case = cases.iter().find(|case| case.path == "snapshot").unwrap();
    trio.proxmox
        .faults()
        .fail("/nodes/*/qemu/101/snapshot", 500, "got timeout");
    let (status, body) = trio.app.get(&case.url()).await;
    assert!(status.is_server_error(), "{status}: {body}");
    assert!(body["error"].as_str().unwrap().contains("could not be read"), "{body}");
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

#[tokio::test]
async fn backups_of_one_storage_are_written_and_others_left_alone() {
    let trio = converged().await;
    let rows = trio.netbox.rows(BACKUPS);
    let on = |storage: &str| rows.iter().filter(|row| row["storage"] == storage).count();
    let (here, there) = (on("nas-backups"), on("pbs-main"));
    assert!(here > 0 && there > 0);
    clear(&trio, BACKUPS);
    let path = "/virtualization/virtual-machines/backups/create";
    let (status, body) = trio.app.get(&format!("{path}?node=pve1&storage=nas-backups")).await;
    assert_eq!(
        (status, body.as_array().map(Vec::len)),
        (StatusCode::OK, Some(here)),
        "{body}"
    );
    assert_eq!(trio.netbox.count(BACKUPS), here);
    clear(&trio, BACKUPS);
    let of_guest = rows
        .iter()
        .filter(|row| row["storage"] == "nas-backups" && row["vmid"] == RICH);
    let url = format!("{path}?node=pve1&storage=nas-backups&vmid={RICH}");
    let (_, body) = trio.app.get(&url).await;
    assert_eq!(body.as_array().map(Vec::len), Some(of_guest.count()), "{body}");
    assert_eq!(body.as_array().map(Vec::len), Some(trio.netbox.count(BACKUPS)));
    for (query, message) in [
        ("node=pve9&storage=nas-backups", "Node or Storage not found."),
        ("node=pve1&storage=none", "Node or Storage not found."),
    ] {
        let (status, body) = trio.app.get(&format!("{path}?{query}")).await;
        assert_eq!(
            (status, &body["message"]),
            (StatusCode::BAD_REQUEST, &json!(message)),
            "{query}: {body}"
        );
    }
    let (status, _) = trio.app.get(&format!("{path}?node=pve1")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn backups_of_a_guest_that_netbox_does_not_have_are_told_from_those_that_are_not_there() {
    let trio = converged().await;
    for state in trio.netbox.rows(MACHINE_STATES) {
        if state["proxmox_vm_id"] == RICH {
            let id = state["id"].as_u64().unwrap();
            trio.netbox.remove(MACHINE_STATES, id).unwrap();
        }
    }
    trio.app.get("/dcim/devices/create").await;
    trio.netbox.clear_requests();
    let path = "/virtualization/virtual-machines/backups/create?node=pve1&storage=nas-backups";
    for (vmid, message) in [
        (RICH, "No valid backups to process."),
        (9_999, "Node or Storage not found."),
    ] {
        let (status, body) = trio.app.get(&format!("{path}&vmid={vmid}")).await;
        assert_eq!(
            (status, &body["message"]),
            (StatusCode::BAD_REQUEST, &json!(message)),
            "{vmid}: {body}"
        );
    }
    assert_eq!(told(&trio.netbox.writes()), [""; 0]);
}

#[tokio::test]
async fn snapshots_of_one_guest_are_written_and_others_left_alone() {
    let trio = converged().await;
    clear(&trio, SNAPSHOTS);
    let path = "/virtualization/virtual-machines/snapshots/create";
    let (status, body) = trio.app.get(&format!("{path}?vmid={RICH}")).await;
    let expected = trio.proxmox.world().read(|world| world.guests[&RICH].snapshots.len());
    assert_eq!((status, &body["created"]), (StatusCode::OK, &json!(expected)), "{body}");
    assert_eq!(trio.netbox.count(SNAPSHOTS), expected);
    let (_, body) = trio.app.get(&format!("{path}?vmid=9999")).await;
    assert_eq!(body["count"], 0, "{body}");
}

#[tokio::test]
async fn limited_route_of_snapshots_deletes_none_whatever_it_is_asked() {
    let trio = converged().await;
    let world = trio.proxmox.world();
    world.change(|world| world.guests.values_mut().for_each(|guest| guest.snapshots.clear()));
    trio.app.get("/dcim/devices/create").await;
    let before = trio.netbox.count(SNAPSHOTS);
    assert!(before > 0);
    let of = |route: &str| {
        format!("/virtualization/virtual-machines/snapshots/{route}?delete_nonexistent_snapshot=true&allow_shrink=true")
    };
    for url in [of("create"), format!("{}&vmid={RICH}", of("create"))] {
        let (status, body) = trio.app.get(&url).await;
        assert_eq!((status, &body["deleted"]), (StatusCode::OK, &json!(0)), "{url}: {body}");
    }
    assert_eq!(trio.netbox.count(SNAPSHOTS), before);
    let (_, body) = trio.app.get(&of("all/create")).await;
    assert_eq!(body["deleted"], before, "{body}");
}

#[tokio::test]
async fn interfaces_of_one_node_are_written_and_others_left_alone() {
    const NODE_INTERFACES: &str = "/api/dcim/interfaces/";
    let trio = converged().await;
    let rows = trio.netbox.rows(NODE_INTERFACES);
    let here = rows.iter().filter(|row| row["device"]["name"] == "pve1").count();
    for row in &rows {
        trio.netbox
            .remove(NODE_INTERFACES, row["id"].as_u64().unwrap())
            .unwrap();
    }
    let (status, body) = trio.app.get("/dcim/devices/pve1/interfaces/create").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let rows = trio.netbox.rows(NODE_INTERFACES);
    assert!(rows.iter().all(|row| row["device"]["name"] == "pve1"));
    assert_eq!(rows.len(), here);
    let (status, body) = trio.app.get("/dcim/devices/pve9/interfaces/create").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

#[tokio::test]
async fn routes_that_do_nothing_say_so() {
    let trio = Trio::start().await;
    let (status, body) = trio.app.get("/dcim/devices").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"message": "Devices created"})));
    let (status, sample) = trio.app.get("/virtualization/virtual-machines/summary/example").await;
    assert_eq!((status, sample["disks"].is_array()), (StatusCode::OK, true), "{sample}");
    for path in [
        "/virtualization/virtual-machines/7/summary",
        "/virtualization/cluster-types/create",
        "/virtualization/clusters/create",
    ] {
        let (status, body) = trio.app.get(path).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{path}: {body}");
    }
}
