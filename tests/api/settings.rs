//! The settings in force, and where they come from.

use proxbox_api::proxmox::mock::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::Trio;

#[tokio::test]
async fn settings_in_force_are_told_with_their_origin() {
    let variables = [("PROXBOX_NETBOX_TIMEOUT", "44"), ("PROXBOX_SHRINK_LIMIT_ROWS", "20")];
    let trio = Trio::with(&variables, World::estate(1, 2)).await;
    let page = json!({"netbox_timeout": 33, "delete_orphans": true, "node_device_name_template": "pve"});
    trio.netbox
        .change("plugins/proxbox/settings", 1, &page)
        .expect("a page");
    let (status, row) = trio.app.put("/netbox/endpoint/1", &json!({"name": "main"})).await;
    assert_eq!(status, StatusCode::OK, "{row}");
    // A run does not begin before the page is read.
    trio.stream("/dcim/devices/create/stream?dry_run=true").await;
    let (status, body) = trio.app.get("/admin/settings").await;
    assert_eq!(
        (status, &body["page_is_read"]),
        (StatusCode::OK, &json!(true)),
        "{body}"
    );
    let settings = body["settings"].as_array().expect("settings");
    let of = |name: &str| {
        let found = settings.iter().find(|setting| setting["name"] == name);
        found.map(|setting| (setting["value"].clone(), setting["origin"].clone()))
    };
    assert_eq!(of("netbox_timeout"), Some((json!(44.0), json!("environment"))));
    assert_eq!(of("delete_orphans"), Some((json!(true), json!("plugin"))));
    assert_eq!(
        of("node_device_name_template"),
        Some((json!("{node}"), json!("default")))
    );
    assert_eq!(of("proxmox_timeout"), Some((json!(5.0), json!("plugin"))));
    assert_eq!(of("proxmox_fetch_concurrency"), Some((json!(8), json!("default"))));
    assert_eq!(of("shrink_limit_rows"), Some((json!(20), json!("environment"))));
    assert_eq!(of("guest_agent_timeout"), Some((json!(15.0), json!("default"))));
    assert_eq!(of("sync_vm_links"), Some((json!(false), json!("default"))));
    assert_eq!(of("netbox_max_concurrent"), Some((Value::Null, json!("default"))));
    assert_eq!(body["ignored"][0]["name"], "node_device_name_template", "{body}");
    let not_read = body["not_read"].as_array().expect("names");
    assert!(!not_read.contains(&json!("netbox_timeout")), "{body}");
}
