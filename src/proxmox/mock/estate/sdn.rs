//! Software-defined networking: a simple zone, one with a controller, and two route maps and prefix lists.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::world::{Row, Sdn, World};

/// Adds zones, virtual networks and all that routes between them.
pub(super) fn add(world: &mut World) {
    world.sdn = Sdn {
        controllers: rows(&json!([
            {"controller": "evpn1", "type": "evpn", "asn": 65000, "peers": "10.10.0.1,10.10.0.2", "digest": "c"},
        ])),
        zones: rows(&json!([
            {"zone": "local1", "type": "simple", "ipam": "pve", "mtu": 1450, "digest": "z"},
            {"zone": "wide1", "type": "evpn", "controller": "evpn1", "vrf-vxlan": 10_000, "rt-import": "65000:1", "digest": "z"},
        ])),
        vnets: rows(&json!([
            {"vnet": "vnet1", "type": "vnet", "zone": "local1", "alias": "laboratory", "vlanaware": 1, "digest": "v"},
            {"vnet": "vnet2", "type": "vnet", "zone": "wide1", "tag": 10_001, "digest": "v"},
        ])),
        subnets: BTreeMap::from([(
            "vnet2".to_owned(),
            rows(&json!([{
                "subnet": "wide1-10.99.0.0-24", "cidr": "10.99.0.0/24", "type": "subnet", "vnet": "vnet2", "zone": "wide1",
                "gateway": "10.99.0.1", "snat": 1, "digest": "s",
            }])),
        )]),
        fabrics: rows(&json!([{"id": "spine", "protocol": "openfabric", "ip_prefix": "10.98.0.0/24", "digest": "f"}])),
        route_maps: rows(&json!([
            {
                "route-map-id": "outward", "order": 10, "action": "permit",
                "match": ["key=peer,value=10.10.0.1", "key=ip-address-prefix-list,value=own"], "digest": "r",
            },
            {"route-map-id": "inward", "order": 10, "action": "deny", "match": ["key=peer,value=10.10.0.2"], "digest": "r"},
        ])),
        prefix_lists: BTreeMap::from([
            (
                "own".to_owned(),
                rows(&json!([{"seq": 5, "action": "permit", "prefix": "10.99.0.0/16", "le": 24}])),
            ),
            (
                "private".to_owned(),
                rows(&json!([{"seq": 5, "action": "deny", "prefix": "172.16.0.0/12"}])),
            ),
        ]),
    };
}

fn rows(value: &Value) -> Vec<Row> {
    let rows = value.as_array().cloned().unwrap_or_default().into_iter();
    rows.filter_map(|row| row.as_object().cloned()).collect()
}
