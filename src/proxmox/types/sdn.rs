//! Software-defined networks: rows of `cluster/sdn/…`.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::proxmox::property::Property;
use crate::proxmox::wire;

/// What a zone with routing of its own between nodes is called.
const EVPN: &str = "evpn";

/// A row, and the same as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Verbatim<T> {
    /// What is understood of it.
    pub row: T,
    /// The whole row.
    pub raw: Map<String, Value>,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Verbatim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Map::deserialize(deserializer)?;
        let row = T::deserialize(&raw).map_err(D::Error::custom)?;
        Ok(Self { row, raw })
    }
}

/// A row of `cluster/sdn/controllers`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SdnController {
    #[serde(deserialize_with = "wire::text")]
    controller: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    id: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    name: Option<String>,
    /// `evpn`, `bgp` or `isis`.
    #[serde(rename = "type", deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// The number of its autonomous system.
    #[serde(deserialize_with = "wire::number")]
    pub asn: Option<i64>,
    /// Whom it speaks to.
    #[serde(deserialize_with = "wire::text_list")]
    pub peers: Vec<String>,
    /// The node that it is on.
    #[serde(deserialize_with = "wire::text_list")]
    pub node: Vec<String>,
    /// The interface that it speaks from.
    #[serde(deserialize_with = "wire::text")]
    pub loopback: Option<String>,
    /// What is to become of it.
    #[serde(deserialize_with = "wire::text")]
    pub state: Option<String>,
}

impl SdnController {
    /// Its name.
    pub fn name(&self) -> Option<&str> {
        first([&self.controller, &self.id, &self.name])
    }
}

/// A row of `cluster/sdn/zones`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SdnZone {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub zone: String,
    /// `simple`, `vlan`, `vxlan` and so on.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// The bridge below it.
    #[serde(default, deserialize_with = "wire::text")]
    pub bridge: Option<String>,
    /// The controller that routes in it.
    #[serde(default, deserialize_with = "wire::text")]
    pub controller: Option<String>,
    /// The VXLAN number of its routing.
    #[serde(alias = "vrf_vxlan", default, deserialize_with = "wire::number")]
    pub vrf_vxlan: Option<i64>,
    /// Its outer VLAN.
    #[serde(default, deserialize_with = "wire::number")]
    pub tag: Option<i64>,
    /// Its largest packets.
    #[serde(default, deserialize_with = "wire::number")]
    pub mtu: Option<u64>,
    /// The nodes that have it; all where none is named.
    #[serde(default, deserialize_with = "wire::text_list")]
    pub nodes: Vec<String>,
    /// Who is told its names.
    #[serde(default, deserialize_with = "wire::text")]
    pub dns: Option<String>,
    /// Who gives out its addresses.
    #[serde(default, deserialize_with = "wire::text")]
    pub ipam: Option<String>,
    /// The route targets whose routes it takes in.
    #[serde(alias = "rt_import", default, deserialize_with = "wire::text_list")]
    pub rt_import: Vec<String>,
    /// What is to become of it.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// What of it is to change.
    #[serde(default, deserialize_with = "wire::maybe_map")]
    pub pending: Option<Map<String, Value>>,
}

/// A row of `cluster/sdn/vnets`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SdnVnet {
    /// Its name.
    #[serde(deserialize_with = "wire::required_text")]
    pub vnet: String,
    /// Its zone.
    #[serde(default, deserialize_with = "wire::text")]
    pub zone: Option<String>,
    /// Its kind; `vnet` is the only one there is.
    #[serde(rename = "type", default, deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// Its VLAN or VXLAN number.
    #[serde(default, deserialize_with = "wire::number")]
    pub tag: Option<i64>,
    /// What it is called.
    #[serde(default, deserialize_with = "wire::text")]
    pub alias: Option<String>,
    /// Whether guests choose VLANs on it.
    #[serde(default, deserialize_with = "wire::flag")]
    pub vlanaware: bool,
    /// What is to become of it.
    #[serde(default, deserialize_with = "wire::text")]
    pub state: Option<String>,
    /// What of it is to change.
    #[serde(default, deserialize_with = "wire::maybe_map")]
    pub pending: Option<Map<String, Value>>,
}

/// A row of `cluster/sdn/vnets/{vnet}/subnets`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SdnSubnet {
    #[serde(deserialize_with = "wire::text")]
    subnet: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    id: Option<String>,
    /// Its network.
    #[serde(deserialize_with = "wire::text")]
    pub cidr: Option<String>,
    /// Its kind; `subnet` is the only one there is.
    #[serde(rename = "type", deserialize_with = "wire::text")]
    pub kind: Option<String>,
    /// What it belongs to.
    #[serde(deserialize_with = "wire::text")]
    pub vnet: Option<String>,
    /// Its zone.
    #[serde(deserialize_with = "wire::text")]
    pub zone: Option<String>,
    /// Its gateway.
    #[serde(deserialize_with = "wire::text")]
    pub gateway: Option<String>,
    /// Whether its guests go out under the address of the host.
    #[serde(deserialize_with = "wire::flag")]
    pub snat: bool,
}

impl SdnSubnet {
    /// Its name: the zone's, the network's address and the length of its mask, parted by hyphens.
    pub fn name(&self) -> Option<&str> {
        first([&self.subnet, &self.cidr, &self.id])
    }

    /// Its network; some lists have it in place of the name.
    pub fn network(&self) -> Option<&str> {
        first([&self.cidr, &self.subnet])
    }
}

/// A row of `cluster/sdn/fabrics/fabric`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SdnFabric {
    #[serde(deserialize_with = "wire::text")]
    fabric: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    id: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    name: Option<String>,
    /// `openfabric`, `ospf` and so on.
    #[serde(alias = "type", deserialize_with = "wire::text")]
    pub protocol: Option<String>,
    /// The number of its autonomous system.
    #[serde(deserialize_with = "wire::number")]
    pub asn: Option<i64>,
    /// Whether it makes subnets known.
    #[serde(alias = "advertise_subnets", deserialize_with = "wire::flag")]
    pub advertise_subnets: bool,
    /// Whether neighbours are asked for addresses instead of being answered for.
    #[serde(alias = "disable_arp_nd_suppression", deserialize_with = "wire::flag")]
    pub disable_arp_nd_suppression: bool,
    /// The VXLAN number of its routing.
    #[serde(alias = "vrf_vxlan", deserialize_with = "wire::number")]
    pub vrf_vxlan: Option<i64>,
    /// Whom it speaks to.
    #[serde(deserialize_with = "wire::text_list")]
    pub peers: Vec<String>,
}

impl SdnFabric {
    /// Its name.
    pub fn name(&self) -> Option<&str> {
        first([&self.fabric, &self.id, &self.name])
    }
}

/// A row of `cluster/sdn/route-maps/entries`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SdnRouteMapEntry {
    #[serde(rename = "route-map-id", deserialize_with = "wire::text")]
    route_map: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    name: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    id: Option<String>,
    /// Its place in the route map.
    #[serde(deserialize_with = "wire::number")]
    pub order: Option<i64>,
    /// `permit` or `deny`.
    #[serde(deserialize_with = "wire::text")]
    pub action: Option<String>,
    #[serde(alias = "match_peer", deserialize_with = "wire::text")]
    match_peer: Option<String>,
    #[serde(alias = "match_ip", deserialize_with = "wire::text")]
    match_ip: Option<String>,
    /// The community that routes are given.
    #[serde(alias = "set_community", deserialize_with = "wire::text")]
    pub set_community: Option<String>,
    /// What routes are taken by, `key=peer,value=10.0.0.1`.
    #[serde(rename = "match")]
    matches: Vec<String>,
}

impl SdnRouteMapEntry {
    /// The name of its route map.
    pub fn name(&self) -> Option<&str> {
        first([&self.route_map, &self.name, &self.id])
    }

    /// The peer whose routes it takes.
    pub fn match_peer(&self) -> Option<String> {
        self.match_peer.clone().or_else(|| self.matched(&["peer"]))
    }

    /// The prefix list whose routes it takes.
    pub fn match_ip(&self) -> Option<String> {
        let keys = ["ip-address-prefix-list", "ip6-address-prefix-list"];
        self.match_ip.clone().or_else(|| self.matched(&keys))
    }

    fn matched(&self, keys: &[&str]) -> Option<String> {
        let parts = self.matches.iter().map(|part| Property::parse(part));
        let mut wanted = parts.filter(|part| part.get_default("key").is_some_and(|key| keys.contains(&key)));
        wanted.find_map(|part| part.get("value").map(str::to_owned))
    }
}

/// A row of `cluster/sdn/prefix-lists`: a list by its name alone.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SdnPrefixList {
    #[serde(deserialize_with = "wire::text")]
    id: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    name: Option<String>,
}

impl SdnPrefixList {
    /// Its name.
    pub fn name(&self) -> Option<&str> {
        first([&self.id, &self.name])
    }
}

/// A row of `cluster/sdn/prefix-lists/{id}/entries`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SdnPrefix {
    /// The name of its list.
    #[serde(deserialize_with = "wire::text")]
    pub name: Option<String>,
    /// The network.
    #[serde(alias = "cidr", deserialize_with = "wire::text")]
    pub prefix: Option<String>,
    /// `permit` or `deny`.
    #[serde(deserialize_with = "wire::text")]
    pub action: Option<String>,
    /// The longest mask that fits.
    #[serde(deserialize_with = "wire::number")]
    pub le: Option<i64>,
    /// The shortest mask that fits.
    #[serde(deserialize_with = "wire::number")]
    pub ge: Option<i64>,
}

/// The zones that route between nodes, each with its virtual networks.
pub fn evpn_zones<'a>(
    zones: impl IntoIterator<Item = &'a SdnZone>,
    vnets: impl IntoIterator<Item = &'a SdnVnet>,
) -> BTreeMap<String, Vec<String>> {
    let zones = zones.into_iter().filter(|zone| zone.kind.as_deref() == Some(EVPN));
    let mut found: BTreeMap<String, Vec<String>> = zones.map(|zone| (zone.zone.clone(), Vec::new())).collect();
    for vnet in vnets {
        if let Some(own) = vnet.zone.as_ref().and_then(|zone| found.get_mut(zone)) {
            own.push(vnet.vnet.clone());
        }
    }
    found
}

/// The first of `texts` that there is.
pub(super) fn first<const N: usize>(texts: [&Option<String>; N]) -> Option<&str> {
    texts.into_iter().find_map(|text| text.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(row: Value) -> SdnRouteMapEntry {
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn route_map_says_what_it_takes_in_either_form() {
        let flat = entry(json!({"name": "out", "match-peer": "10.0.0.1", "match_ip": "own"}));
        let listed = entry(json!({
            "route-map-id": "out",
            "match": ["key=metric,value=5", "key=peer,value=10.0.0.1", "key=ip6-address-prefix-list,value=own"],
        }));
        for entry in [flat, listed] {
            assert_eq!(
                (entry.match_peer().as_deref(), entry.match_ip().as_deref()),
                (Some("10.0.0.1"), Some("own")),
                "{entry:?}"
            );
        }
        assert_eq!(entry(json!({"id": "out", "order": "10"})).match_peer(), None);
    }

    #[test]
    fn row_is_kept_as_sent_beside_what_is_understood() {
        let sent = json!({"zone": "wide1", "vrf_vxlan": "10000", "rt-import": "65000:1, 65000:2", "exotic": [1]});
        let zone: Verbatim<SdnZone> = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(Value::Object(zone.raw), sent);
        assert_eq!(zone.row.vrf_vxlan, Some(10_000));
        assert_eq!(zone.row.rt_import, ["65000:1", "65000:2"]);
    }

    #[test]
    fn pending_changes_are_a_map_or_a_flag_that_there_are_some() {
        for (pending, expected) in [
            (json!({"mtu": 1400}), json!({"mtu": 1400}).as_object().cloned()),
            (json!(1), None),
            (json!(false), None),
            (json!(null), None),
        ] {
            let zone: SdnZone = serde_json::from_value(json!({"zone": "a", "pending": pending})).unwrap();
            assert_eq!(zone.pending, expected, "{pending}");
        }
        assert!(serde_json::from_value::<SdnZone>(json!({"zone": "a", "pending": "soon"})).is_err());
    }

    #[test]
    fn only_zones_that_route_are_asked_for_routes() {
        let zone = |name: &str, kind: &str| -> SdnZone {
            serde_json::from_value(json!({"zone": name, "type": kind})).unwrap()
        };
        let vnet = |name: &str, zone: &str| -> SdnVnet {
            serde_json::from_value(json!({"vnet": name, "zone": zone})).unwrap()
        };
        let found = evpn_zones(
            &[zone("local1", "simple"), zone("wide1", "evpn")],
            &[vnet("vnet1", "local1"), vnet("vnet2", "wide1")],
        );
        assert_eq!(found, BTreeMap::from([("wide1".to_owned(), vec!["vnet2".to_owned()])]));
    }
}
