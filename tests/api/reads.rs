//! The read routes of the plugin's pages and of operators, asked exactly as the plugin asks.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where an answer has another shape"
)]

use std::collections::{BTreeMap, BTreeSet};

use proxbox_api::proxmox::mock::{AUDITOR_TOKEN, EMPTY_TOKEN, MockOptions, MockProxmox, Release, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{mock, pushed, store, with};
use crate::support::TestApp;
use crate::world::Trio;

/// A service with one endpoint, as the plugin has pushed it.
struct Page {
    app: TestApp,
    mock: MockProxmox,
    id: i64,
}

impl Page {
    async fn on(mock: MockProxmox) -> Self {
        let app = TestApp::start().await;
        let id = store(&app, &pushed("alpha (nb:1)", &mock)).await;
        Self { app, mock, id }
    }

    async fn open() -> Self {
        Self::on(mock().await).await
    }

    /// The answer to `path` with the plugin's scope; `path` may have parameters of its own.
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let joint = if path.contains('?') { '&' } else { '?' };
        let scope = format!("source=database&proxmox_endpoint_ids={}", self.id);
        self.app.get(&format!("{path}{joint}{scope}")).await
    }

    async fn read(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn rows(&self, path: &str) -> Vec<Value> {
        let body = self.read(path).await;
        body.as_array().unwrap_or_else(|| panic!("{path}: {body}")).clone()
    }

    /// How often Proxmox was asked for `path` since the last time.
    fn asked(&self, path: &str) -> usize {
        let path = format!("/{path}");
        self.mock.requests().iter().filter(|seen| seen.path == path).count()
    }
}

fn keys(row: &Value) -> Vec<&str> {
    row.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

#[tokio::test]
async fn dashboard_that_polls_is_served_from_one_reading() {
    let page = Page::open().await;
    for path in [
        "/proxmox/cluster/status",
        "/proxmox/cluster/resources",
        "/proxmox/nodes/",
    ] {
        page.read(path).await;
    }
    page.mock.clear_requests();
    let looks = (0..8).map(|_| async {
        let resources = page.read("/proxmox/cluster/resources").await;
        let nodes = page.read("/proxmox/nodes/").await;
        let status = page.read("/proxmox/cluster/status").await;
        assert!(
            resources[0]["lab"]
                .as_array()
                .unwrap()
                .iter()
                .any(|row| row["type"] == "storage")
        );
        assert!(
            nodes[0]["lab"]["uptime"].is_u64() && status[0]["quorate"] == true,
            "{nodes} {status}"
        );
    });
    futures_util::future::join_all(looks).await;
    for path in ["cluster/status", "cluster/resources", "nodes"] {
        assert!(page.asked(path) <= 1, "{path} was asked {} times", page.asked(path));
    }
    page.mock.clear_requests();
    let other = page.read("/proxmox/cluster/resources?type=vm").await;
    assert!(
        other[0]["lab"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["type"] != "storage"),
        "another question has another answer: {other}"
    );
    assert_eq!(page.asked("cluster/resources"), 1);
}

#[tokio::test]
async fn storage_page_reads_scalar_rows_with_figures() {
    let page = Page::open().await;
    let body = page.read("/proxmox/storage").await;
    let rows = body[0]["lab"].as_array().unwrap();
    let count = page.mock.world().read(|world| world.storages.len());
    assert_eq!(rows.len(), count);
    for row in rows {
        assert!(row.as_object().unwrap().values().all(is_scalar), "{row}");
        assert_eq!(
            keys(row)[..17],
            [
                "type",
                "storage",
                "path",
                "content",
                "digest",
                "nodes",
                "prune-backups",
                "shared",
                "export",
                "server",
                "disable",
                "pool",
                "sparse",
                "username",
                "datastore",
                "fingerprint",
                "mountpoint",
            ]
        );
        assert_eq!(row["cluster"], "lab");
        assert!(row["shared"].is_boolean() && row["enabled"].is_boolean(), "{row}");
    }
    let local = rows.iter().find(|row| row["storage"] == "local").unwrap();
    let one = page
        .mock
        .world()
        .read(|world| world.find_storage("local").map(|storage| storage.total));
    assert_eq!(
        local["total"].as_u64(),
        one.map(|total| 2 * total),
        "of both nodes: {local}"
    );
    assert_eq!(
        local["avail"].as_u64().unwrap(),
        local["total"].as_u64().unwrap() - local["used"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn content_of_every_storage_is_scalar_rows_with_a_volid() {
    let page = Page::open().await;
    let storages = page.mock.world().read(|world| {
        let usable = world
            .storages
            .iter()
            .filter(|storage| !storage.disabled && storage.reachable && storage.is_on("pve1"));
        usable.map(|storage| storage.id.clone()).collect::<Vec<_>>()
    });
    let mut verified = 0;
    for storage in &storages {
        for row in page
            .rows(&format!("/proxmox/nodes/pve1/storage/{storage}/content"))
            .await
        {
            assert!(row["volid"].is_string() && row["size"].is_u64(), "{row}");
            assert!(row.as_object().unwrap().values().all(is_scalar), "{row}");
            assert!(row["ctime"].is_null() || row["ctime"].is_i64(), "{row}");
            verified += usize::from(row["verification_state"].is_string());
        }
    }
    assert!(storages.len() > 1 && verified > 0, "{storages:?}, {verified} verified");
    let backups = page
        .rows("/proxmox/nodes/pve1/storage/local/content?content=backup")
        .await;
    assert!(backups.iter().all(|row| row["content"] == "backup"), "{backups:?}");
    let (status, _) = page.get("/proxmox/nodes/absent/storage/local/content").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, body) = page.get("/proxmox/nodes/pve1/storage/absent/content").await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::NOT_FOUND, &json!("proxmox_not_found")),
        "{body}"
    );
    page.mock.faults().node_down("pve2");
    let (status, body) = page.get("/proxmox/nodes/pve2/storage/local/content").await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::BAD_GATEWAY, &json!("proxmox_node_unreachable")),
        "{body}"
    );
}

#[tokio::test]
async fn ha_page_and_tab_read_summary_and_guest() {
    let page = Page::open().await;
    let body = page.read("/proxmox/cluster/ha/summary").await;
    assert_eq!(keys(&body), ["status", "groups", "resources", "rules"]);
    let quorum = body["status"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["type"] == "quorum");
    assert_eq!(quorum.unwrap()["quorate"], true, "a real boolean");
    assert_eq!(body["groups"], json!([]), "migrated to rules");
    let rule = &body["rules"][0];
    assert_eq!((&rule["cluster_name"], &rule["strict"]), (&json!("lab"), &json!(false)));
    let resource = &body["resources"][0];
    assert_eq!(
        keys(resource),
        [
            "cluster_name",
            "sid",
            "type",
            "state",
            "group",
            "max_relocate",
            "max_restart",
            "failback",
            "comment",
            "digest",
            "node",
            "crm_state",
            "request_state",
            "status",
        ]
    );
    assert!(
        resource["node"].is_string() && resource["crm_state"] == "started",
        "{resource}"
    );
    let (_, vmid) = resource["sid"].as_str().unwrap().split_once(':').unwrap();
    let found = page.read(&format!("/proxmox/cluster/ha/resources/by-vm/{vmid}")).await;
    assert_eq!(&found, resource);
    let path = "/proxmox/cluster/ha/resources/by-vm/99999";
    assert_eq!(page.read(path).await, Value::Null, "not managed");
    page.mock.faults().fail("/cluster/ha/resources", 500, "out of order");
    let (status, body) = page.get(path).await;
    assert_eq!(
        status,
        StatusCode::BAD_GATEWAY,
        "what cannot be read is not unmanaged: {body}"
    );
}

#[tokio::test]
async fn ha_of_an_older_release_has_groups_and_no_rules() {
    let options = MockOptions {
        release: Release::V8_3,
        ..MockOptions::default()
    };
    let page = Page::on(MockProxmox::start(options, World::estate(2, 30)).await.unwrap()).await;
    let body = page.read("/proxmox/cluster/ha/summary").await;
    let group = &body["groups"][0];
    assert_eq!(
        (&group["group"], &group["nofailback"], &group["restricted"]),
        (&json!("prefer_pve1"), &json!(true), &json!(false))
    );
    assert_eq!(body["rules"], json!([]));
    assert_eq!(page.read("/proxmox/cluster/ha/rules").await, json!([]));
    assert_eq!(page.read("/proxmox/cluster/ha/groups").await[0], *group);
    assert_eq!(page.read("/proxmox/cluster/ha/groups/prefer_pve1").await, *group);
    assert_eq!(page.read("/proxmox/cluster/ha/groups/absent").await, Value::Null);
    let manager = page.rows("/proxmox/cluster/ha/manager-status").await;
    assert_eq!(
        (&manager[0]["cluster_name"], &manager[0]["quorum_ok"]),
        (&json!("lab"), &json!(true))
    );
    assert_eq!(page.rows("/proxmox/cluster/ha/crs").await[0]["status"], "ok");
}

#[tokio::test]
async fn endpoint_that_does_not_answer_is_named_in_header_and_body() {
    let page = Page::open().await;
    let dead = mock().await;
    let dead_id = store(&page.app, &pushed("beta (nb:2)", &dead)).await;
    dead.faults().endpoint_down(true);
    for (path, place) in [
        ("/proxmox/cluster/ha/status", ""),
        ("/proxmox/cluster/ha/summary", "/status"),
        ("/proxmox/replication", ""),
        ("/proxmox/cluster/backup", ""),
        ("/proxmox/datacenter/options", ""),
        ("/proxmox/cluster/ha/manager-status", ""),
        ("/proxmox/cluster/ha/crs", ""),
        ("/proxmox/sdn/zones", ""),
        ("/proxmox/sdn/node-status", ""),
    ] {
        let response = page.app.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let header = response.headers()["x-proxbox-endpoint-errors"]
            .to_str()
            .unwrap()
            .to_owned();
        let header: Value = serde_json::from_str(&header).unwrap();
        assert_eq!(header["ids"], json!([dead_id]), "{path}");
        let body: Value = response.json().await.unwrap();
        let rows = body.pointer(place).unwrap().as_array().unwrap();
        let last = rows.last().unwrap();
        assert_eq!(last["cluster_name"], "beta", "{path}: {last}");
        assert!(last.to_string().contains("error"), "{path}: {last}");
        assert!(rows.len() > 1 && rows[0]["cluster_name"] == "lab", "{path}: {body}");
    }
}

#[tokio::test]
async fn schedules_and_tasks_are_listed() {
    let page = Page::open().await;
    let jobs = page.rows("/proxmox/replication").await;
    assert_eq!(
        keys(&jobs[0]),
        [
            "cluster_name",
            "comment",
            "disable",
            "guest",
            "id",
            "jobnum",
            "rate",
            "remove_job",
            "schedule",
            "source",
            "target",
            "type",
            "status",
            "error",
        ]
    );
    assert_eq!((&jobs[0]["status"], &jobs[0]["error"]), (&json!("ok"), &Value::Null));
    let backups = page.rows("/proxmox/cluster/backup").await;
    let count = page.mock.world().read(|world| world.backup_jobs.len());
    assert_eq!(backups.len(), count);
    assert!(
        backups
            .iter()
            .all(|job| job["cluster_name"] == "lab" && job["id"].is_string()),
        "{backups:?}"
    );
    let tasks = page.rows("/proxmox/cluster/tasks").await;
    assert!(!tasks.is_empty());
    assert!(
        tasks
            .iter()
            .all(|task| task["upid"].is_string() && task["starttime"].is_i64()),
        "{tasks:?}"
    );
}

#[tokio::test]
async fn firewall_previews_find_live_objects_at_every_level() {
    let page = Page::open().await;
    let (guest, node) = page.mock.world().read(|world| {
        let vmid = *world.firewall.guest_rules.keys().next().unwrap();
        (world.guests[&vmid].clone(), world.guests[&vmid].node.clone())
    });
    let own = |part: &str| {
        let (vmid, kind) = (guest.vmid, guest.kind.as_str());
        format!("/proxmox/firewall/vms/{vmid}/{part}?node={node}&vm_type={kind}")
    };
    let rules = page.rows("/proxmox/firewall/datacenter/rules").await;
    let off = rules.iter().find(|rule| rule["pos"] == 2).unwrap();
    assert_eq!(
        (&off["enable"], &off["icmp_type"]),
        (&json!(false), &json!("echo-request"))
    );
    let groups = page.rows("/proxmox/firewall/datacenter/groups").await;
    assert_eq!(
        (&groups[0]["name"], &groups[0]["rules"][0]["dport"]),
        (&json!("web"), &json!("80,443"))
    );
    let sets = page.rows("/proxmox/firewall/datacenter/ipsets").await;
    assert_eq!(
        sets[0]["entries"][1],
        json!({"cidr": "10.10.9.9", "comment": "not this", "nomatch": true})
    );
    let aliases = page.rows("/proxmox/firewall/datacenter/aliases").await;
    assert_eq!(aliases[0]["cidr"], "10.10.255.254");
    let node_rules = page.rows("/proxmox/firewall/nodes/pve1/rules").await;
    let guest_rules = page.rows(&own("rules")).await;
    assert_eq!(
        (&guest_rules[0]["zone"], &guest_rules[0]["vmid"]),
        (&json!("vm"), &json!(guest.vmid))
    );
    for row in [rules, groups, sets, aliases, node_rules, guest_rules].iter().flatten() {
        // The plugin compares these with its own endpoint, and ignores rows of others.
        assert_eq!(
            (&row["cluster_name"], &row["endpoint_id"]),
            (&Value::Null, &json!(page.id)),
            "{row}"
        );
    }
    let options = page.read("/proxmox/firewall/datacenter/options").await;
    assert_eq!(
        (&options["enable"], &options["policy_in"], &options["policy_out"]),
        (&json!(true), &json!("DROP"), &json!("ACCEPT")),
        "{options}"
    );
    let options = page.read("/proxmox/firewall/nodes/pve1/options").await;
    assert_eq!(options["options"], json!({"log_level_in": "nolog"}));
    assert_eq!(page.read(&own("options")).await["policy_in"], "DROP");
    assert_eq!(page.read(&own("ipsets")).await, json!([]));
    assert_eq!(page.read(&own("aliases")).await, json!([]));
}

#[tokio::test]
async fn firewall_preview_that_cannot_be_read_is_not_empty() {
    let page = Page::open().await;
    page.mock
        .faults()
        .fail("/cluster/firewall/aliases", 500, "out of order");
    let (status, _) = page.get("/proxmox/firewall/datacenter/aliases").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "what cannot be read is not empty");
    for path in [
        "/proxmox/firewall/vms/100/rules",
        "/proxmox/firewall/vms/100/rules?node=pve1&vm_type=oci",
    ] {
        assert_eq!(page.get(path).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    let (status, body) = page.get("/proxmox/firewall/vms/99999/rules?node=pve1").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
}

#[tokio::test]
async fn vm_config_tab_reads_by_the_endpoints_name() {
    let page = Page::open().await;
    let (vmid, node) = page.mock.world().read(|world| {
        let guest = world
            .guests
            .values()
            .find(|guest| guest.kind.as_str() == "qemu")
            .unwrap();
        (guest.vmid, guest.node.clone())
    });
    let scope = "source=database&name=alpha%20%28nb%3A1%29";
    for path in [
        format!("/proxmox/{node}/qemu/{vmid}/config?{scope}"),
        format!("/proxmox/nodes/{node}/qemu/{vmid}/firewall?{scope}"),
    ] {
        let (status, body) = page.app.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
}

/// A page on an estate whose templates are called `debian` and `gold` by tags; the first of them has no drive for
/// cloud-init.
async fn page_with_templates() -> (Page, Vec<u32>) {
    let page = Page::on(
        MockProxmox::start(MockOptions::default(), World::estate(2, 45))
            .await
            .unwrap(),
    )
    .await;
    let templates = page.mock.world().change(|world| {
        let templates: Vec<_> = world.guests.values_mut().filter(|guest| guest.template).collect();
        let numbers: Vec<_> = templates.iter().map(|guest| guest.vmid).collect();
        for (place, guest) in templates.into_iter().enumerate() {
            guest.tags = vec!["debian".to_owned(), "gold".to_owned()];
            guest.tag_separator = ';';
            guest.config.remove("ide3");
            if place > 0 {
                guest.config.set("sata5", "local-lvm:vm-1-cloudinit,media=cdrom");
            }
        }
        numbers
    });
    assert!(templates.len() > 1, "{templates:?}");
    (page, templates)
}

#[tokio::test]
async fn templates_tab_finds_what_machines_can_be_made_from() {
    let (page, templates) = page_with_templates().await;
    let path = format!("/cloud/vm/templates?endpoint_id={}", page.id);
    let (status, body) = page.app.get(&format!("{path}&cloud_init_only=false")).await;
    assert_eq!(
        (status, &body["count"]),
        (StatusCode::OK, &json!(templates.len())),
        "{body}"
    );
    let rows = body["results"].as_array().unwrap();
    let plain = rows.iter().find(|row| row["vmid"] == templates[0]).unwrap();
    assert_eq!(
        keys(plain).join(","),
        "id,endpoint_id,endpoint_name,cluster_name,source_vmid,vmid,name,node,target_node,status,template,cloud_init,\
         cloud_init_drives,cicustom,tags,memory_mb,maxdisk_bytes,description,live_source"
    );
    assert_eq!(
        (&plain["cloud_init"], &plain["cloud_init_drives"], &plain["tags"]),
        (&json!(false), &json!([]), &json!("debian;gold")),
    );
    assert!(plain["memory_mb"].as_u64().unwrap() < 1 << 20, "mebibytes: {plain}");
    let ready = rows.iter().find(|row| row["cloud_init"] == true).unwrap();
    assert_eq!(ready["cloud_init_drives"], json!(["sata5"]), "{ready}");
    let (_, body) = page.app.get(&path).await;
    assert_eq!(
        body["count"],
        templates.len() - 1,
        "only those that cloud-init can set up: {body}"
    );
    page.mock.faults().fail(
        "/nodes/*/qemu/*/config",
        403,
        "Permission check failed (/vms/1, VM.Audit)",
    );
    let (status, body) = page.app.get(&path).await;
    assert_eq!(
        status,
        StatusCode::BAD_GATEWAY,
        "what cannot be read is not absent: {body}"
    );
}

#[tokio::test]
async fn templates_tab_finds_what_containers_can_be_made_from() {
    let page = Page::open().await;
    let path = format!("/cloud/lxc/templates?endpoint_id={}", page.id);
    let (status, body) = page.app.get(&path).await;
    let rows = body.as_array().unwrap();
    assert_eq!(
        (status, rows.len()),
        (StatusCode::OK, 2),
        "`local` of each node: {body}"
    );
    for row in rows {
        let volume = row["volid"].as_str().unwrap();
        assert!(volume.starts_with("local:vztmpl/") && row["size"].is_u64(), "{row}");
        assert_eq!(row["storage"], "local");
    }
}

#[tokio::test]
async fn templates_are_those_of_one_endpoint_that_answers() {
    let page = Page::open().await;
    page.mock.faults().endpoint_down(true);
    for path in ["/cloud/vm/templates", "/cloud/lxc/templates"] {
        assert_eq!(page.app.get(path).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let (status, _) = page.app.get(&format!("{path}?endpoint_id=77")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        let (status, body) = page.app.get(&format!("{path}?endpoint_id={}", page.id)).await;
        assert_eq!(
            (status, &body["detail"]["endpoint_id"]),
            (StatusCode::BAD_GATEWAY, &json!(page.id)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn node_is_described_in_the_declared_keys() {
    let page = Page::open().await;
    let interfaces = page.rows("/proxmox/nodes/pve1/network").await;
    assert!(
        interfaces
            .iter()
            .all(|row| row["iface"].is_string() && row["families"].is_array()),
        "{interfaces:?}"
    );
    let bridges = page.rows("/proxmox/nodes/pve1/network?type=bridge").await;
    assert!(
        !bridges.is_empty() && bridges.iter().all(|row| row["type"] == "bridge"),
        "{bridges:?}"
    );
    let machines = page.read("/proxmox/nodes/pve1/qemu").await;
    assert!(machines[0]["lab"][0]["vmid"].is_number(), "{machines}");
    let config = page.read("/proxmox/nodes/pve1/config").await;
    assert_eq!(
        keys(&config),
        [
            "cluster_name",
            "node",
            "description",
            "wakeonlan",
            "startall_onboot_delay",
            "location",
            "status",
            "error"
        ]
    );
    let services = page.rows("/proxmox/nodes/pve1/services").await;
    let proxy = services
        .iter()
        .find(|service| service["service"] == "pveproxy")
        .unwrap();
    assert_eq!(
        (&proxy["state"], &proxy["active_state"]),
        (&json!("running"), &json!("active"))
    );
    let identity = page.read("/proxmox/nodes/pve1/storage/local/identity").await;
    assert!(
        identity["instance_id"].is_string() && identity["status"] == "ok",
        "{identity}"
    );
    for (path, expected) in [
        ("/proxmox/nodes/pve1/network?type=tap", StatusCode::UNPROCESSABLE_ENTITY),
        ("/proxmox/nodes/-pve/config", StatusCode::UNPROCESSABLE_ENTITY),
        ("/proxmox/nodes/absent/config", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(page.get(path).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn single_place_needs_a_single_cluster() {
    let page = Page::open().await;
    let other = MockProxmox::start(MockOptions::default(), World::standalone("solo", 3))
        .await
        .unwrap();
    store(&page.app, &pushed("beta (nb:2)", &other)).await;
    let ask = async |query: &str| page.app.get(&format!("/proxmox/nodes/solo/config?{query}")).await;
    let (status, body) = ask("").await;
    assert_eq!(
        (status, body["message"].as_str().unwrap()),
        (
            StatusCode::BAD_REQUEST,
            "Multiple Proxmox sessions configured; provide cluster_name for node config."
        )
    );
    let (status, body) = ask("cluster_name=nobody").await;
    assert_eq!(
        (status, body["message"].as_str().unwrap()),
        (StatusCode::BAD_REQUEST, "No Proxmox session found for cluster: nobody")
    );
    let (status, body) = ask("cluster_name=SOLO").await;
    assert_eq!(
        (status, &body["cluster_name"]),
        (StatusCode::OK, &json!("solo")),
        "{body}"
    );
    let (status, _) = ask("proxmox_endpoint_ids=77").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn cluster_settings_are_read_and_no_secret_with_them() {
    let page = Page::open().await;
    let options = page.rows("/proxmox/datacenter/options").await;
    assert_eq!(
        keys(&options[0]),
        [
            "cluster_name",
            "keyboard",
            "language",
            "email_from",
            "max_workers",
            "migration_unsecure",
            "next_id",
            "notify",
            "crs",
            "location",
            "status",
            "error",
        ]
    );
    assert!(
        options[0]["next_id"].is_object() && options[0]["keyboard"].is_string(),
        "{options:?}"
    );
    let model = page.read("/proxmox/datacenter/cpu-models/custom-lab-cpu").await;
    assert_eq!(
        (&model["cputype"], &model["vendor_id"]),
        (&json!("custom-lab-cpu"), &json!(""))
    );
    assert_eq!(page.read("/proxmox/datacenter/cpu-models/absent").await, Value::Null);
    let token = page.read("/proxmox/access/tokens/root@pam/netbox").await;
    assert_eq!((&token["tokenid"], &token["value"]), (&json!("netbox"), &Value::Null));
    assert!(token["privsep"].is_boolean(), "{token}");
    assert_eq!(page.read("/proxmox/access/tokens/root@pam/absent").await, Value::Null);
}

#[tokio::test]
async fn overview_names_what_each_cluster_offers() {
    let page = Page::open().await;
    let body = page.read("/proxmox/").await;
    assert_eq!(keys(&body), ["message", "proxmox_api_viewer", "github", "clusters"]);
    let lab = &body["clusters"][0]["lab"];
    assert_eq!(keys(lab), ["access", "cluster", "nodes", "pools", "storage", "version"]);
    assert!(lab["cluster"].as_array().unwrap().contains(&json!("ha")), "{lab}");
    for root in ["access", "cluster", "nodes"] {
        let body = page.read(&format!("/proxmox/{root}")).await;
        assert!(!body[0]["lab"].as_array().unwrap().is_empty(), "{root}: {body}");
    }
}

#[tokio::test]
async fn ceph_is_told_of_each_endpoint_or_why_it_cannot_be() {
    let page = Page::open().await;
    let body = page.read("/ceph/status").await;
    let item = &body["items"][0];
    assert_eq!(
        keys(item),
        ["name", "host", "port", "reachable", "health", "fsid", "reason"]
    );
    assert_eq!(
        (&item["name"], &item["reachable"], &item["health"], &item["reason"]),
        (&json!("alpha"), &json!(true), &json!("HEALTH_OK"), &Value::Null)
    );
    assert_eq!(item["port"], page.mock.address().port());
    page.mock
        .world()
        .change(|world| world.storages.retain(|storage| storage.kind != "rbd"));
    let item = page.read("/ceph/status").await["items"][0].take();
    assert_eq!((&item["reachable"], &item["health"]), (&json!(false), &Value::Null));
    assert!(item["reason"].as_str().unwrap().contains("ceph-mon"), "{item}");
    page.mock.faults().endpoint_down(true);
    let item = page.read("/ceph/status").await["items"][0].take();
    assert_eq!((&item["name"], &item["reachable"]), (&json!("alpha"), &json!(false)));
    assert!(item["reason"].is_string(), "{item}");
}

#[tokio::test]
async fn parts_of_ceph_are_counted_through_a_node_that_has_it() {
    let page = Page::open().await;
    page.mock.world().change(|world| world.nodes[0].online = false);
    let body = page.read("/ceph/sync/full?netbox_branch_schema_id=ab12").await;
    let items = body["items"].as_array().unwrap();
    let fetched: BTreeMap<_, _> = items
        .iter()
        .map(|item| (item["resource"].as_str().unwrap(), item))
        .collect();
    let expected = json!({
        "name": "alpha", "host": "127.0.0.1", "resource": "osds", "fetched": 4, "written": 0, "errors": [],
        "nodes": ["pve2"], "netbox_branch_schema_id": "ab12",
    });
    assert_eq!(*fetched["osds"], expected);
    for (part, least) in [
        ("status", 1),
        ("daemons", 4),
        ("pools", 1),
        ("crush", 1),
        ("flags", 1),
        ("rbd", 1),
    ] {
        let item = fetched[part];
        assert!(
            item["fetched"].as_u64().unwrap() >= least && item["errors"] == json!([]),
            "{item}"
        );
        let raw = &body["raw"]["alpha"][part];
        assert_eq!(json!(raw.as_array().unwrap().len()), item["fetched"], "{part}");
    }
    assert_eq!(fetched["rgw"]["errors"].as_array().unwrap().len(), 1);
    let one = page.read("/ceph/sync/flags").await;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(page.get("/ceph/sync/tapes").await.0, StatusCode::NOT_FOUND);
    page.mock.faults().endpoint_down(true);
    let body = page.read("/ceph/sync/osds").await;
    let item = &body["items"][0];
    assert!(
        item["fetched"] == 0 && item["errors"][0].is_string() && item["nodes"] == json!([]),
        "{item}"
    );
}

#[tokio::test]
async fn figures_of_ceph_and_what_can_be_asked_of_it() {
    let page = Page::open().await;
    let body = page.read("/ceph/v2/metrics").await;
    assert_eq!(keys(&body), ["provider", "scope", "metrics", "snapshot", "warnings"]);
    let metrics = &body["metrics"];
    assert_eq!(
        (
            &metrics["health"],
            &metrics["num_up_osds"],
            &metrics["num_pgs"],
            &metrics["read_bytes_sec"]
        ),
        (&json!("HEALTH_OK"), &json!(4), &json!(129), &Value::Null)
    );
    assert_eq!(
        (&body["scope"]["endpoint_id"], &body["warnings"]),
        (&json!(page.id), &json!([]))
    );
    let body = page.read("/ceph/v2/metrics?object_ref=osd.1").await;
    assert_eq!(body["warnings"].as_array().unwrap().len(), 1, "{body}");
    let (status, body) = page.get("/ceph/v2/metrics?provider=prometheus").await;
    assert_eq!(
        (status, &body["detail"][0]["loc"][1]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("provider"))
    );
    let (status, body) = page.get("/ceph/v2/metrics?endpoint_id=999").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");

    let body = page.read("/ceph/v2/capabilities").await;
    let provider = &body["providers"][0];
    assert_eq!(
        (
            &provider["provider"],
            &provider["endpoint_id"],
            &provider["metrics"],
            &provider["apply"]
        ),
        (&json!("proxmox"), &json!(page.id), &json!(true), &json!(false))
    );
    assert_eq!(
        page.read("/ceph/v2/capabilities?provider=external").await,
        json!({"providers": []})
    );
}

#[tokio::test]
async fn zfs_pools_say_where_they_come_from_and_what_failed() {
    let page = Page::open().await;
    let body = page.read("/proxmox/storage/zfs/pools").await;
    assert_eq!(
        (&body["source"], &body["attempted_sources"][0]["status"]),
        (&json!("proxmox_api"), &json!("success"))
    );
    let pool = &body["pools"][0];
    assert_eq!(
        keys(pool),
        [
            "cluster_name",
            "node",
            "name",
            "size",
            "alloc",
            "free",
            "frag",
            "dedup",
            "health",
            "source"
        ]
    );
    assert_eq!(
        (&pool["node"], &pool["name"], &pool["dedup"]),
        (&json!("pve1"), &json!("rpool"), &json!(1.0))
    );
    let body = page.read("/proxmox/storage/zfs/pools/rpool?node=pve1").await;
    let pool = &body["pools"][0];
    assert_eq!(pool["children"][0]["children"][0]["state"], "ONLINE", "{pool}");
    page.mock.faults().endpoint_down(true);
    let body = page.read("/proxmox/storage/zfs/pools?node=pve1").await;
    assert_eq!((&body["source"], &body["pools"]), (&Value::Null, &json!([])));
    assert!(
        body["attempted_sources"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("alpha"),
        "{body}"
    );
}

#[tokio::test]
async fn auditor_reads_every_page_and_a_stranger_is_told_what_is_missing() {
    let page = Page::open().await;
    for (name, account, expected) in [
        ("auditor", AUDITOR_TOKEN, StatusCode::OK),
        ("stranger", EMPTY_TOKEN, StatusCode::BAD_GATEWAY),
    ] {
        let (user, token) = account.split_once('!').unwrap();
        let body = with(
            pushed(name, &page.mock),
            &json!({"username": user, "token_name": token}),
        );
        let id = store(&page.app, &body).await;
        for path in [
            "/proxmox/cluster/ha/summary",
            "/proxmox/cluster/backup",
            "/proxmox/firewall/datacenter/rules",
            "/proxmox/firewall/nodes/pve1/options",
            "/proxmox/nodes/pve1/services",
        ] {
            let (status, body) = page.app.get(&format!("{path}?proxmox_endpoint_ids={id}")).await;
            assert_eq!(status, expected, "{name} {path}: {body}");
            if expected != StatusCode::OK {
                assert_eq!(body["detail"]["reason"], "proxmox_permission_denied", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn sdn_is_listed_under_its_endpoint_and_cluster() {
    let page = Page::open().await;
    for (path, key, name) in [
        ("controllers", "controller", "evpn1"),
        ("zones", "zone", "local1"),
        ("vnets", "vnet", "vnet1"),
        ("subnets", "gateway", "10.99.0.1"),
        ("fabrics", "fabric", "spine"),
        ("fabrics/all", "fabric", "spine"),
        ("route-maps", "match_peer", "10.10.0.1"),
        ("prefix-lists", "cidr", "10.99.0.0/16"),
    ] {
        let rows = page.rows(&format!("/proxmox/sdn/{path}")).await;
        let row = &rows[0];
        assert_eq!(row[key], name, "{path}: {row}");
        assert_eq!(
            (&row["endpoint_id"], &row["cluster_name"], &row["status"]),
            (&json!(page.id), &json!("lab"), &json!("ok")),
            "{path}"
        );
        assert!(row["raw_config"].is_object(), "{path}: {row}");
    }
    let subnet = &page.rows("/proxmox/sdn/subnets").await[0];
    assert_eq!((&subnet["vnet"], &subnet["snat"]), (&json!("vnet2"), &json!(true)));
    assert_eq!(page.rows("/proxmox/sdn/prefix-lists").await[0]["name"], "own");
    page.mock.faults().node_down("pve2");
    let status = page.rows("/proxmox/sdn/node-status").await;
    let of = |node: &str, kind: &str| {
        let own = status.iter().filter(|row| row["node"] == node && row["kind"] == kind);
        own.cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (of("pve1", "node-zone").len(), of("pve1", "node-zone-content").len()),
        (2, 2),
        "{status:?}"
    );
    assert_eq!(of("pve1", "node-zone-content")[0]["name"], "vnet1");
    assert_eq!(of("pve1", "node-zone-bridge")[1]["name"], "vnet2");
    assert_eq!(of("pve1", "node-ip-vrf")[0]["name"], "10.99.0.0/24");
    let neighbours = of("pve1", "node-mac-vrf");
    assert_eq!(neighbours.len(), 1, "only of the zone that routes: {status:?}");
    assert_eq!(
        (&neighbours[0]["vnet"], &neighbours[0]["raw_config"]["nexthop"]),
        (&json!("vnet2"), &json!("10.10.0.1"))
    );
    assert_eq!(of("pve2", "node")[0]["status"], "error", "{status:?}");
}

#[tokio::test]
async fn sdn_of_a_release_without_a_kind_of_object_has_none() {
    let options = MockOptions {
        release: Release::V8_3,
        ..MockOptions::default()
    };
    let page = Page::on(MockProxmox::start(options, World::estate(2, 12)).await.unwrap()).await;
    for path in ["fabrics", "fabrics/all", "route-maps", "prefix-lists"] {
        assert_eq!(page.read(&format!("/proxmox/sdn/{path}")).await, json!([]), "{path}");
    }
    let status = page.rows("/proxmox/sdn/node-status").await;
    let kinds: BTreeSet<_> = status.iter().filter_map(|row| row["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["node-zone", "node-zone-content"]));
    assert!(!page.rows("/proxmox/sdn/zones").await.is_empty());
}

/// What the plugin's metrics tab sends.
fn figures(members: &Value) -> Value {
    let body = json!({
        "source": "database", "endpoint_id": 1, "start_time": 0, "history": true, "local_only": false,
        "object_ids": [], "metric_names": ["cpu_current"], "max_rows": 1000, "max_response_bytes": 1_048_576,
    });
    with(body, members)
}

#[tokio::test]
async fn metrics_are_pulled_in_the_rows_that_the_plugin_accepts() {
    let page = Page::open().await;
    let pull = async |members: Value| page.app.post("/proxmox/metrics/pull/query", &figures(&members)).await;
    let (status, body) = pull(json!({"endpoint_id": page.id, "object_ids": ["node/pve1"]})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        keys(&body),
        [
            "columns",
            "row_count",
            "rows",
            "truncated",
            "query_window",
            "captured_at",
            "response_format",
            "deduplicated_count",
        ]
    );
    let rows = body["rows"].as_array().unwrap();
    assert_eq!((&body["row_count"], rows.len()), (&json!(4), 4), "{body}");
    for row in rows {
        assert_eq!(
            (&row["object_id"], &row["metric"]),
            (&json!("node/pve1"), &json!("cpu_current"))
        );
        assert!(
            row["timestamp"].is_i64() && row["value"].is_f64() && row["metric_type"] == "gauge",
            "{row}"
        );
    }
    assert!(rows.is_sorted_by_key(|row| row["timestamp"].as_i64()), "{body}");
    assert_eq!(body["query_window"]["start"], "1970-01-01T00:00:00Z");
    assert!(body["captured_at"].as_str().unwrap().ends_with('Z'), "{body}");
    let (_, body) = pull(json!({"endpoint_id": page.id, "max_rows": 2})).await;
    assert_eq!((&body["row_count"], &body["truncated"]), (&json!(2), &json!(true)));
    let (status, body) = pull(json!({"endpoint_id": page.id, "max_response_bytes": 1024})).await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::BAD_GATEWAY, &json!("pull_response_too_large"))
    );
}

#[tokio::test]
async fn metrics_are_those_of_one_endpoint_and_of_the_objects_asked_for() {
    let page = Page::open().await;
    let other = MockProxmox::start(MockOptions::default(), World::standalone("solo", 3));
    let other = other.await.unwrap();
    let named = json!({"domain": "solo.example"});
    store(&page.app, &with(pushed("beta (nb:2)", &other), &named)).await;
    let pull = async |members: Value| {
        let mut query = figures(&members);
        if members.get("endpoint_id").is_none() {
            query.as_object_mut().unwrap().remove("endpoint_id");
        }
        page.app.post("/proxmox/metrics/pull/query", &query).await
    };
    let (status, body) = pull(json!({})).await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_query")),
        "either of two: {body}"
    );
    let objects = |body: &Value| {
        let rows = body["rows"].as_array().unwrap().iter();
        rows.map(|row| row["object_id"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let nodes = json!({"target_name": "alpha (nb:1)", "object_prefixes": ["node/"]});
    let (status, body) = pull(nodes).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let expected = ["node/pve1", "node/pve2"].map(str::to_owned);
    assert_eq!(objects(&body), BTreeSet::from(expected));
    let both = json!({"endpoint_id": page.id, "object_ids": ["node/pve1"], "object_prefixes": ["qemu/"]});
    let (_, body) = pull(both).await;
    assert!(
        objects(&body).contains("node/pve1") && objects(&body).len() > 1,
        "{body}"
    );
    assert!(!objects(&body).contains("node/pve2"), "{body}");
    let (_, body) = pull(json!({"endpoint_id": page.id, "metric_names": ["no_such_figure"]})).await;
    assert_eq!((&body["row_count"], &body["rows"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn metrics_that_cannot_be_pulled_say_why_in_the_plugins_words() {
    let page = Page::open().await;
    let pull = async |members: Value| {
        let (status, body) = page.app.post("/proxmox/metrics/pull/query", &figures(&members)).await;
        (status, body["detail"]["reason"].clone())
    };
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, json!("pull_unavailable"));
    for members in [
        json!({"endpoint_id": 77}),
        json!({"target_name": "nobody"}),
        // No NetBox is stored that could tell of the plugin's endpoints.
        json!({"source": "netbox"}),
    ] {
        assert_eq!(pull(members.clone()).await, unavailable, "{members}");
    }
    let invalid = (StatusCode::BAD_REQUEST, json!("invalid_query"));
    assert_eq!(pull(json!({"source": "elsewhere"})).await, invalid);
    for members in [
        json!({"max_rows": 0}),
        json!({"start_time": -1}),
        json!({"unheard": 1}),
        json!({"endpoint_id": 0}),
    ] {
        assert_eq!(
            pull(members.clone()).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{members}"
        );
    }
    page.mock.faults().endpoint_down(true);
    assert_eq!(pull(json!({"endpoint_id": page.id})).await, unavailable);
}

#[tokio::test]
async fn metrics_are_pulled_by_the_key_of_the_plugins_own_row() {
    let trio = Trio::start().await;
    let rows = trio.netbox.rows("/api/plugins/proxbox/endpoints/proxmox/");
    let body = figures(&json!({"source": "netbox", "endpoint_id": rows[0]["id"]}));
    let (status, body) = trio.app.post("/proxmox/metrics/pull/query", &body).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["row_count"].as_u64() > Some(0), "{body}");
}

#[tokio::test]
async fn services_of_a_host_are_told_in_systemds_words() {
    let page = Page::open().await;
    let path = "/proxmox/services/systemd?endpoint_id=1";
    let all = page.read(path).await;
    assert_eq!((&all["endpoint_id"], &all["reachable"]), (&json!(1), &json!(true)));
    assert!(
        all["services"].as_array().unwrap().len() > 5 && all["error"].is_null(),
        "{all}"
    );
    let asked = page
        .read(&format!("{path}&units=pveproxy.service,sshd&units=nobody"))
        .await;
    let services = asked["services"].as_array().unwrap();
    let told: Vec<_> = services
        .iter()
        .map(|row| (row["unit"].as_str().unwrap(), row["active_state"].as_str()))
        .collect();
    let wanted = [
        ("pveproxy.service", Some("active")),
        ("sshd", Some("active")),
        ("nobody", None),
    ];
    assert_eq!(told, wanted);
    assert_eq!(services[0]["load_state"], "loaded");
    page.mock.faults().node_down("pve2");
    let down = page.read(&format!("{path}&node=pve2")).await;
    assert_eq!(
        (&down["services"], &down["error"]["reason"]),
        (&json!([]), &json!("proxmox_node_unreachable"))
    );
    for (query, status) in [
        ("endpoint_id=77", StatusCode::NOT_FOUND),
        ("endpoint_id=0", StatusCode::UNPROCESSABLE_ENTITY),
        ("units=sshd", StatusCode::UNPROCESSABLE_ENTITY),
        ("endpoint_id=1&units=a%20b", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let (answered, body) = page.app.get(&format!("/proxmox/services/systemd?{query}")).await;
        assert_eq!(answered, status, "{query}: {body}");
    }
    let disabled = json!({"enabled": false});
    page.app
        .put(&format!("/proxmox/endpoints/{}", page.id), &disabled)
        .await;
    let (status, body) = page.app.get(path).await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::FORBIDDEN, &json!("service_monitoring_endpoint_disabled"))
    );
}

/// A query of figures as the plugin sends it, with other members.
fn influx(members: &Value) -> Value {
    let query = json!({
        "url": "https://localhost:8086", "org": "lab", "bucket": "proxmox", "token": "s3cret", "verify_ssl": true,
        "start": "-1h", "stop": null, "measurement": "system", "field": null, "fields": ["cpu"],
        "filters": [{"scope": "tag", "key": "object", "value": "qemu", "operator": "=="}],
        "aggregation": {"every": "5m", "function": "mean"}, "max_rows": 100, "timeout_seconds": 10.0,
        "max_response_bytes": 1_048_576,
    });
    with(query, members)
}

#[tokio::test]
async fn figures_of_influxdb_are_asked_for_only_where_and_as_it_is_allowed() {
    let page = Page::open().await;
    let ask = async |members: Value| page.app.post("/proxmox/metrics/influx/query", &influx(&members)).await;
    for url in ["https://localhost:8086", "https://169.254.169.254/", "https://[::1]/"] {
        let (status, body) = ask(json!({"url": url})).await;
        assert_eq!(
            (status, &body["detail"]["reason"]),
            (StatusCode::BAD_REQUEST, &json!("influx_target_not_allowed")),
            "{url}: {body}"
        );
    }
    let (status, body) = ask(json!({"url": "https://10.0.0.1/", "verify_ssl": false})).await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::BAD_REQUEST, &json!("influx_target_not_allowed"))
    );
    for (field, value) in [
        ("url", json!("http://influx.example/")),
        ("url", json!("https://user:secret@influx.example/")),
        ("org", json!("")),
        ("token", json!("a\nb")),
        ("start", json!("yesterday")),
        ("stop", json!("now() |> drop()")),
        ("fields", json!(vec!["cpu"; 17])),
        ("aggregation", json!({"every": "often", "function": "mean"})),
        ("max_rows", json!(0)),
        ("timeout_seconds", json!(31)),
        ("max_response_bytes", json!(1)),
    ] {
        let (status, body) = ask(json!({field: value})).await;
        assert_eq!(
            (status, &body["detail"][0]["loc"][1]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{value}: {body}"
        );
    }
    for unusable in [
        json!({"unheard": 1}),
        json!({"aggregation": {"every": "5m", "function": "spread"}}),
    ] {
        assert_eq!(ask(unusable).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
