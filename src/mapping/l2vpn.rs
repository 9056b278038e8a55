//! Virtual networks as L2VPNs, and their subnets as prefixes.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::names::{clean, slug};
use crate::inventory::{SdnNodeRow, SdnVnet, SdnZone};
use crate::netbox::ObjectId;
use crate::netbox::objects::{Assignment, L2vpn, Prefix, RouteTarget};

/// The longest name and slug of an L2VPN in NetBox.
const NAME_MAX: usize = 100;
/// The longest name of a route target in NetBox.
const ROUTE_TARGET_MAX: usize = 21;
/// The longest description in NetBox.
const DESCRIPTION_MAX: usize = 200;
const DESCRIPTION: &str = "Synchronized from Proxmox SDN by Proxbox.";
/// What an L2VPN can end at.
const TARGETS: [&str; 3] = ["virtualization.vminterface", "dcim.interface", "ipam.vlan"];
/// The VLAN numbers that frames can carry.
const VLANS: std::ops::RangeInclusive<u64> = 1..=4094;

/// Where a virtual network is.
#[derive(Debug, Clone, Copy)]
pub struct VnetPlace<'a> {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The name of the cluster.
    pub cluster: &'a str,
    /// Its zone.
    pub zone: &'a SdnZone,
}

/// The route target of this name.
///
/// # Errors
///
/// Why NetBox cannot have it.
pub fn route_target(name: &str) -> Result<RouteTarget, String> {
    let name = clean(name);
    if name.chars().count() > ROUTE_TARGET_MAX {
        return Err(format!("a route target has at most {ROUTE_TARGET_MAX} characters"));
    }
    Ok(RouteTarget {
        name,
        description: Some(DESCRIPTION.to_owned()),
    })
}

/// NetBox's type of the L2VPNs of a zone; `None` where its networks are no L2VPNs.
pub fn l2vpn_type(zone: &SdnZone) -> Option<&'static str> {
    match zone.kind.as_deref() {
        Some("evpn") => Some("vxlan-evpn"),
        Some("vxlan") => Some("vxlan"),
        _ => None,
    }
}

/// The slug of the L2VPN that stands for `vnet`.
pub fn l2vpn_slug(vnet: &SdnVnet, place: VnetPlace<'_>) -> String {
    let VnetPlace {
        endpoint,
        cluster,
        zone,
    } = place;
    let text = format!("proxbox-{endpoint}-{cluster}-{}-{}", zone.zone, vnet.vnet);
    slug(&text, "proxbox").chars().take(NAME_MAX).collect()
}

/// The L2VPN that stands for `vnet`; `None` where the networks of its zone are no L2VPNs.
pub fn l2vpn(vnet: &SdnVnet, place: VnetPlace<'_>, import_targets: Option<BTreeSet<ObjectId>>) -> Option<L2vpn> {
    let VnetPlace { cluster, zone, .. } = place;
    // A connection is called as its cluster is.
    let name = format!("Proxbox {cluster} / {cluster} / {} / {}", zone.zone, vnet.vnet);
    Some(L2vpn {
        name: clean(&name).chars().take(NAME_MAX).collect(),
        slug: l2vpn_slug(vnet, place),
        kind: l2vpn_type(zone)?.to_owned(),
        status: status(vnet, zone).to_owned(),
        identifier: vnet.tag,
        import_targets,
        description: DESCRIPTION.to_owned(),
    })
}

/// The status of the L2VPN: the network's own state, else its zone's.
fn status(vnet: &SdnVnet, zone: &SdnZone) -> &'static str {
    let is_pending = [&vnet.pending, &zone.pending]
        .iter()
        .any(|pending| pending.as_ref().is_some_and(|changes| !changes.is_empty()));
    match vnet.state.as_deref().or(zone.state.as_deref()) {
        Some("deleted") => "decommissioning",
        Some("new" | "pending") => "planned",
        _ if is_pending => "planned",
        _ => "active",
    }
}

/// The network of `text` in its canonical form.
///
/// # Errors
///
/// What is wrong with it.
pub fn network(text: Option<&str>) -> Result<IpNet, String> {
    let text = clean(text.unwrap_or_default());
    let network: Result<IpNet, _> = text.parse();
    network
        .map(|network| network.trunc())
        .map_err(|_| format!("{text:?} is no network"))
}

/// The prefix of a subnet of the virtual network `vnet`.
pub fn prefix(network: &IpNet, vnet: &str, cluster: &str) -> Prefix {
    let description = format!("Proxmox SDN subnet of VNet {vnet} in cluster {cluster}");
    Prefix {
        prefix: network.to_string(),
        vrf: None,
        status: "active".to_owned(),
        description: clean(&description).chars().take(DESCRIPTION_MAX).collect(),
    }
}

/// What a network on a node ends at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// This object.
    Object(Assignment),
    /// The VLAN of this number.
    Vlan(u16),
}

/// What the row says its network ends at.
pub fn end(row: &SdnNodeRow) -> Option<End> {
    let state = &row.state;
    let object = state.target_type.as_deref().zip(state.target_id);
    if let Some((content_type, id)) = object.filter(|(content_type, _)| TARGETS.contains(content_type)) {
        return Some(End::Object(Assignment::to(content_type.to_owned(), ObjectId(id))));
    }
    let vid = state.vid.filter(|vid| VLANS.contains(vid))?;
    vid.try_into().ok().map(End::Vlan)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::inventory::SdnNodeKind;
    use crate::reconcile::Resource;

    fn zone(row: Value) -> SdnZone {
        serde_json::from_value(row).unwrap()
    }

    fn vnet(row: Value) -> SdnVnet {
        serde_json::from_value(row).unwrap()
    }

    fn place(zone: &SdnZone) -> VnetPlace<'_> {
        VnetPlace {
            endpoint: ObjectId(3),
            cluster: "Lab_1",
            zone,
        }
    }

    #[test]
    fn network_of_a_routed_zone_is_an_l2vpn() {
        let wide = zone(json!({"zone": "wide1", "type": "evpn"}));
        let network = vnet(json!({"vnet": "vnet2", "zone": "wide1", "tag": 10_001}));
        let made = l2vpn(&network, place(&wide), Some([ObjectId(8)].into())).unwrap();
        let expected = json!({
            "name": "Proxbox Lab_1 / Lab_1 / wide1 / vnet2", "slug": "proxbox-3-lab-1-wide1-vnet2",
            "type": "vxlan-evpn", "status": "active", "identifier": 10_001, "import_targets": [8],
            "description": DESCRIPTION
        });
        assert_eq!(json!(made.fields()), expected);
        for (kind, expected) in [
            ("vxlan", Some("vxlan")),
            ("simple", None),
            ("vlan", None),
            ("qinq", None),
        ] {
            let zone = zone(json!({"zone": "z1", "type": kind}));
            assert_eq!(l2vpn_type(&zone), expected, "{kind}");
        }
    }

    #[test]
    fn state_of_the_network_comes_before_that_of_its_zone() {
        for (own, zones, expected) in [
            (json!({}), json!({}), "active"),
            (json!({"state": "new"}), json!({}), "planned"),
            (json!({"state": "deleted"}), json!({"state": "new"}), "decommissioning"),
            (json!({}), json!({"state": "deleted"}), "decommissioning"),
            (json!({}), json!({"state": "pending"}), "planned"),
            (json!({"state": "changed"}), json!({"state": "deleted"}), "active"),
            (json!({"state": "changed", "pending": {"tag": 5}}), json!({}), "planned"),
            (json!({"pending": {}}), json!({}), "active"),
        ] {
            let case = format!("{own} in {zones}");
            let with = |base: Value, more: &Value| {
                let mut all: Map<String, Value> = base.as_object().unwrap().clone();
                all.extend(more.as_object().unwrap().clone());
                Value::Object(all)
            };
            let wide = zone(with(json!({"zone": "wide1", "type": "vxlan"}), &zones));
            let network = vnet(with(json!({"vnet": "vnet2"}), &own));
            assert_eq!(status(&network, &wide), expected, "{case}");
        }
    }

    #[test]
    fn long_names_are_cut_to_what_netbox_holds() {
        let wide = zone(json!({"zone": "wide1", "type": "evpn"}));
        let network = vnet(json!({"vnet": "vnet2"}));
        let long = "c".repeat(120);
        let place = VnetPlace {
            cluster: &long,
            ..place(&wide)
        };
        let made = l2vpn(&network, place, None).unwrap();
        assert_eq!((made.name.len(), made.slug.len()), (100, 100));
        assert!(route_target("65000:1").is_ok());
        assert!(route_target("65000:1234567890123456").is_err());
    }

    #[test]
    fn network_is_brought_into_its_canonical_form() {
        for (text, expected) in [
            (Some("10.99.0.0/24"), Ok("10.99.0.0/24")),
            (Some(" 10.99.0.7/24 "), Ok("10.99.0.0/24")),
            (Some("2001:DB8:0::/64"), Ok("2001:db8::/64")),
            (Some("wide1-10.99.0.0-24"), Err("\"wide1-10.99.0.0-24\" is no network")),
            (None, Err("\"\" is no network")),
        ] {
            let found = network(text).map(|network| network.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn network_ends_at_what_its_row_names_else_at_a_vlan() {
        let row = |state: Value| SdnNodeRow {
            node: "pve1".to_owned(),
            kind: SdnNodeKind::Content,
            state: serde_json::from_value(state).unwrap(),
            raw: Map::new(),
        };
        let vlan = || Assignment::to("ipam.vlan".to_owned(), ObjectId(12));
        for (state, expected) in [
            (
                json!({"target_type": "ipam.vlan", "target_id": 12, "vid": 7}),
                Some(End::Object(vlan())),
            ),
            (
                json!({"assigned_object_type": "ipam.vlan", "assigned_object_id": "12"}),
                Some(End::Object(vlan())),
            ),
            (json!({"target_type": "dcim.device", "target_id": 12}), None),
            (json!({"vid": "7"}), Some(End::Vlan(7))),
            (json!({"vlan": 4095}), None),
            (json!({"vlan": 0}), None),
            (json!({"vnet": "vnet2"}), None),
        ] {
            assert_eq!(end(&row(state.clone())), expected, "{state}");
        }
    }
}
