//! The objects of software-defined networks as the plugin's rows.

use serde_json::{Map, Value};

use super::names::clean;
use super::storage::without_nul;
use crate::inventory::{
    SdnController, SdnFabric, SdnNodeRow, SdnPrefix, SdnRouteMapEntry, SdnSubnet, SdnVnet, SdnZone,
};
use crate::netbox::ObjectId;
use crate::netbox::objects::{
    SdnControllerBody, SdnFabricBody, SdnPrefixBody, SdnRouteMapBody, SdnSubnetBody, SdnVnetBody, SdnZoneBody,
};

/// The fabrics that the plugin knows.
const FABRICS: [&str; 4] = ["wireguard", "bgp", "vxlan", "ospf"];
/// The longest name of a source that a binding may have.
const SOURCE_MAX: usize = 512;

/// Why an object has no row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRow {
    /// It has no name.
    #[error("it has no name")]
    Nameless,
    /// The plugin does not know its kind.
    #[error("the plugin knows no fabrics of type {0:?}")]
    Fabric(String),
}

/// `text` as it is stored; empty where there is none.
fn stored(text: Option<&str>) -> String {
    text.map(clean).unwrap_or_default()
}

fn name(text: Option<&str>) -> Result<String, NoRow> {
    Some(stored(text))
        .filter(|name| !name.is_empty())
        .ok_or(NoRow::Nameless)
}

/// A number that the plugin's columns hold; larger ones stand in the raw configuration alone.
fn number(number: Option<i64>) -> Option<i32> {
    number.and_then(|number| number.try_into().ok())
}

fn list(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| clean(text)).collect()
}

/// A row as it is kept: what is null says nothing.
pub fn raw_config(raw: &Map<String, Value>) -> Value {
    let mut raw = without_nul(raw);
    raw.retain(|_, value| !value.is_null());
    Value::Object(raw)
}

/// The row of a controller.
///
/// # Errors
///
/// [`NoRow`] where it has no name.
pub fn controller(controller: &SdnController) -> Result<SdnControllerBody, NoRow> {
    Ok(SdnControllerBody {
        controller_name: name(controller.name())?,
        controller_type: stored(controller.kind.as_deref()),
        asn: number(controller.asn),
        peers: list(&controller.peers),
        nodes: list(&controller.node),
        loopback: stored(controller.loopback.as_deref()),
        state: stored(controller.state.as_deref()),
    })
}

/// The row of a fabric.
///
/// # Errors
///
/// [`NoRow`] where it has no name, or is of a type that the plugin does not know.
pub fn fabric(fabric: &SdnFabric) -> Result<SdnFabricBody, NoRow> {
    let kind = fabric.protocol.as_deref().map_or_else(|| "unknown".to_owned(), clean);
    let fabric_name = name(fabric.name())?;
    if !FABRICS.contains(&kind.as_str()) {
        return Err(NoRow::Fabric(kind));
    }
    Ok(SdnFabricBody {
        fabric_name,
        fabric_type: kind,
        asn: number(fabric.asn),
        advertise_subnets: fabric.advertise_subnets,
        disable_arp_nd_suppression: fabric.disable_arp_nd_suppression,
        vrf_vxlan: number(fabric.vrf_vxlan),
        peers: list(&fabric.peers),
    })
}

/// The row of an entry of a route map.
///
/// # Errors
///
/// [`NoRow`] where its route map has no name.
pub fn route_map(entry: &SdnRouteMapEntry) -> Result<SdnRouteMapBody, NoRow> {
    Ok(SdnRouteMapBody {
        name: name(entry.name())?,
        order: number(entry.order).unwrap_or_default(),
        action: stored(entry.action.as_deref()),
        match_peer: stored(entry.match_peer().as_deref()),
        match_ip: stored(entry.match_ip().as_deref()),
        set_community: stored(entry.set_community.as_deref()),
    })
}

/// The row of an entry of a prefix list.
///
/// # Errors
///
/// [`NoRow`] where its list has no name.
pub fn prefix_list(entry: &SdnPrefix) -> Result<SdnPrefixBody, NoRow> {
    Ok(SdnPrefixBody {
        name: name(entry.name.as_deref())?,
        cidr: stored(entry.prefix.as_deref()),
        action: stored(entry.action.as_deref()),
        le: number(entry.le),
        ge: number(entry.ge),
    })
}

/// The row of a zone.
///
/// # Errors
///
/// [`NoRow`] where it has no name.
pub fn zone(zone: &SdnZone) -> Result<SdnZoneBody, NoRow> {
    Ok(SdnZoneBody {
        zone_name: name(Some(&zone.zone))?,
        zone_type: stored(zone.kind.as_deref()),
        controller: stored(zone.controller.as_deref()),
        vrf_vxlan: number(zone.vrf_vxlan),
        tag: number(zone.tag),
        mtu: zone.mtu.and_then(|mtu| mtu.try_into().ok()),
        dns: stored(zone.dns.as_deref()),
        ipam: stored(zone.ipam.as_deref()),
        rt_import: list(&zone.rt_import),
        state: stored(zone.state.as_deref()),
    })
}

/// The row of a virtual network that `l2vpn` stands for.
///
/// # Errors
///
/// [`NoRow`] where it has no name.
pub fn vnet(vnet: &SdnVnet, l2vpn: Option<ObjectId>) -> Result<SdnVnetBody, NoRow> {
    Ok(SdnVnetBody {
        vnet_name: name(Some(&vnet.vnet))?,
        zone_name: stored(vnet.zone.as_deref()),
        vnet_type: stored(vnet.kind.as_deref()),
        tag: number(vnet.tag),
        alias: stored(vnet.alias.as_deref()),
        vlanaware: vnet.vlanaware,
        state: stored(vnet.state.as_deref()),
        l2vpn,
    })
}

/// The row of a subnet: a prefix stands for it, or there is a reason why none does.
///
/// # Errors
///
/// [`NoRow`] where it or its virtual network has no name.
pub fn subnet(subnet: &SdnSubnet, prefix: Result<Option<ObjectId>, String>) -> Result<SdnSubnetBody, NoRow> {
    let (prefix, skip_reason) = match prefix {
        Ok(prefix) => (prefix, String::new()),
        Err(reason) => (None, reason),
    };
    Ok(SdnSubnetBody {
        vnet_name: name(subnet.vnet.as_deref())?,
        zone_name: stored(subnet.zone.as_deref()),
        subnet: name(subnet.name())?,
        subnet_type: stored(subnet.kind.as_deref()),
        gateway: stored(subnet.gateway.as_deref()),
        snat: subnet.snat,
        prefix,
        skip_reason,
    })
}

/// What tells a row about a network on a node from all others: node, zone, virtual network, kind and name.
pub fn node_source(row: &SdnNodeRow) -> String {
    let state = &row.state;
    let parts = [
        Some(row.node.as_str()),
        state.zone.as_deref(),
        state.vnet.as_deref(),
        Some(row.kind.as_str()),
        state.name(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().map(clean).collect();
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("/").chars().take(SOURCE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inventory::{SdnNodeKind, Verbatim};
    use crate::netbox::objects::SdnKind;
    use crate::reconcile::Fields;

    fn fields(body: &impl SdnKind) -> Value {
        let mut fields = Fields::new();
        body.put(&mut fields);
        json!(fields)
    }

    fn row<T: serde::de::DeserializeOwned>(row: Value) -> T {
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn empty_texts_are_sent_and_numbers_that_are_not_there_are_left_out() {
        let bare = fields(&zone(&row(json!({"zone": "local1", "type": "simple"}))).unwrap());
        let expected = json!({
            "zone_name": "local1", "zone_type": "simple", "controller": "", "dns": "", "ipam": "", "rt_import": [],
            "state": ""
        });
        assert_eq!(bare, expected);
        let full = json!({
            "zone": "wide1", "type": "evpn", "controller": "evpn1", "vrf-vxlan": "10000", "mtu": 1450,
            "rt-import": "65000:1,65000:2", "tag": 5
        });
        let full = fields(&zone(&row(full)).unwrap());
        assert_eq!(
            (&full["vrf_vxlan"], &full["rt_import"], &full["mtu"], &full["tag"]),
            (&json!(10_000), &json!(["65000:1", "65000:2"]), &json!(1450), &json!(5))
        );
    }

    #[test]
    fn number_that_the_plugin_cannot_hold_is_left_out() {
        let with = |asn: i64| {
            let sent = json!({"controller": "evpn1", "type": "evpn", "asn": asn, "peers": "10.0.0.1,10.0.0.2"});
            fields(&controller(&row(sent)).unwrap())
        };
        assert_eq!(with(65_000)["asn"], 65_000);
        assert_eq!(with(4_200_000_000).get("asn"), None);
        assert_eq!(with(1)["peers"], json!(["10.0.0.1", "10.0.0.2"]));
    }

    #[test]
    fn fabric_of_a_type_that_the_plugin_does_not_know_has_no_row() {
        for (sent, expected) in [
            (json!({"id": "spine", "protocol": "ospf"}), Ok("ospf")),
            (json!({"fabric": "spine", "type": "wireguard"}), Ok("wireguard")),
            (
                json!({"id": "spine", "protocol": "openfabric"}),
                Err(NoRow::Fabric("openfabric".to_owned())),
            ),
            (json!({"id": "spine"}), Err(NoRow::Fabric("unknown".to_owned()))),
            (json!({"protocol": "ospf"}), Err(NoRow::Nameless)),
        ] {
            let found = fabric(&row(sent.clone())).map(|body| body.fabric_type);
            assert_eq!(found, expected.map(str::to_owned), "{sent}");
        }
    }

    #[test]
    fn subnet_keeps_its_own_name_beside_the_network() {
        let sent = json!({
            "subnet": "wide1-10.99.0.0-24", "id": "wide1-10.99.0.0-24", "cidr": "10.99.0.0/24", "vnet": "vnet2",
            "zone": "wide1", "snat": 1
        });
        let sent: SdnSubnet = row(sent);
        assert_eq!(sent.network(), Some("10.99.0.0/24"));
        let with = fields(&subnet(&sent, Ok(Some(ObjectId(7)))).unwrap());
        assert_eq!(
            (&with["subnet"], &with["prefix"], &with["snat"], &with["skip_reason"]),
            (&json!("wide1-10.99.0.0-24"), &json!(7), &json!(true), &json!(""))
        );
        let without = fields(&subnet(&sent, Err("no network".to_owned())).unwrap());
        assert_eq!(
            (without.get("prefix"), &without["skip_reason"]),
            (None, &json!("no network"))
        );
    }

    #[test]
    fn raw_row_is_kept_without_what_says_nothing() {
        let zone: Verbatim<SdnZone> = row(json!({"zone": "a1", "dns": null, "mtu": 1450}));
        assert_eq!(raw_config(&zone.raw), json!({"zone": "a1", "mtu": 1450}));
    }

    #[test]
    fn source_on_a_node_names_what_there_is_of_its_parts() {
        for (kind, state, expected) in [
            (SdnNodeKind::Zone, json!({"zone": "wide1"}), "pve1/wide1/node-zone"),
            (
                SdnNodeKind::Bridge,
                json!({"zone": "wide1", "name": "vnet2"}),
                "pve1/wide1/node-zone-bridge/vnet2",
            ),
            (
                SdnNodeKind::Content,
                json!({"zone": "wide1", "vnet": "vnet2"}),
                "pve1/wide1/vnet2/node-zone-content",
            ),
            (
                SdnNodeKind::MacVrf,
                json!({"zone": "wide1", "vnet": "vnet2", "ip": "10.0.0.5", "mac": "BC:24:11:00:00:01"}),
                "pve1/wide1/vnet2/node-mac-vrf/10.0.0.5",
            ),
        ] {
            let row = SdnNodeRow {
                node: "pve1".to_owned(),
                kind,
                state: row(state),
                raw: Map::new(),
            };
            assert_eq!(node_source(&row), expected);
        }
    }
}
