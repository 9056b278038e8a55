//! What NetBox must hold after the stage `sdn`, written by hand.

use serde_json::{Value, json};

use crate::netbox::NetBox;

pub(crate) async fn assert_networks(netbox: &NetBox) {
    let l2vpn = netbox.row("/api/vpn/l2vpns/").await;
    assert_eq!(
        (&l2vpn["slug"], &l2vpn["type"]["value"], &l2vpn["identifier"]),
        (
            &json!("proxbox-1-lab-wide1-vnet2"),
            &json!("vxlan-evpn"),
            &json!(10_001)
        )
    );
    assert_eq!(l2vpn["import_targets"][0]["name"], "65000:1");
    let prefix = netbox.row("/api/ipam/prefixes/?prefix=10.99.0.0/24").await;
    let subnet = netbox.row("/api/plugins/proxbox/sdn-subnets/").await;
    assert_eq!(id(&subnet["prefix"]), prefix["id"], "{subnet:#}");
    let vnets = netbox.rows("/api/plugins/proxbox/sdn-vnets/").await;
    let vnet = vnets.iter().find(|row| row["vnet_name"] == "vnet2").unwrap();
    assert_eq!(id(&vnet["l2vpn"]), l2vpn["id"], "{vnet:#}");
    let zones = netbox.rows("/api/plugins/proxbox/sdn-zones/").await;
    assert_eq!((vnets.len(), zones.len()), (2, 2));
    let bindings = netbox.rows("/api/plugins/proxbox/sdn-bindings/").await;
    // Two networks, and per node two zones, two bridges, two networks, a route and a neighbour.
    assert_eq!(bindings.len(), 2 + 3 * 8);
}

/// The id of a row that another one names, in whole or by its id.
fn id(row: &Value) -> Value {
    row.get("id").unwrap_or(row).clone()
}
