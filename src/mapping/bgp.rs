//! Route maps, prefix lists and controllers as rows of the plugin netbox-bgp.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::names::clean;
use super::sdn::raw_config;
use crate::inventory::{SdnPrefix, SdnRouteMapEntry};
use crate::netbox::ObjectId;
use crate::netbox::objects::{
    BgpCommunity, BgpPeerGroup, BgpPrefixList, BgpPrefixListRule, BgpRoutingPolicy, BgpRoutingPolicyRule,
};
use crate::proxmox::wire;

const DESCRIPTION: &str = "Synchronized from Proxmox SDN by Proxbox.";
/// The longest name in netbox-bgp.
const NAME_MAX: usize = 100;
/// How far apart the rules of a prefix list are, and those of a routing policy that have no place of their own.
const STEP: usize = 10;

/// What makes names of one cluster differ from those of others.
#[derive(Debug, Clone, Copy)]
pub struct BgpPlace<'a> {
    /// The plugin's endpoint.
    pub endpoint: ObjectId,
    /// The name of the cluster.
    pub cluster: &'a str,
}

/// What the object `name` of the cluster is called.
pub fn bgp_name(place: BgpPlace<'_>, name: &str) -> String {
    let text = format!("Proxbox SDN {} {} {name}", place.endpoint, place.cluster);
    clean(&text).chars().take(NAME_MAX).collect()
}

/// Rows as a comment. Their digest is that of all rows together, and says nothing of them; nor does the order of their
/// keys, in which Proxmox differs from call to call.
fn comments(raws: &[&Map<String, Value>]) -> String {
    let texts = raws.iter().map(|raw| {
        let mut raw = raw_config(raw);
        if let Some(members) = raw.as_object_mut() {
            members.remove("digest");
        }
        raw.sort_all_objects();
        raw.to_string()
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// `deny` for what turns routes away, else `permit`.
fn action(action: Option<&str>) -> String {
    let is_denied = action.is_some_and(|action| {
        let action = action.to_ascii_lowercase();
        ["deny", "reject", "drop"].contains(&action.as_str())
    });
    if is_denied { "deny" } else { "permit" }.to_owned()
}

/// The family of the network `cidr`; IPv4 where it is none.
pub fn family(cidr: Option<&str>) -> &'static str {
    let network: Option<IpNet> = cidr.and_then(|text| clean(text).parse().ok());
    match network {
        Some(IpNet::V6(_)) => "ipv6",
        Some(IpNet::V4(_)) | None => "ipv4",
    }
}

/// The prefix list `name` of these entries; its family is that of the first.
pub fn prefix_list(place: BgpPlace<'_>, name: &str, entries: &[(&SdnPrefix, &Map<String, Value>)]) -> BgpPrefixList {
    let raws: Vec<_> = entries.iter().map(|(_, raw)| *raw).collect();
    let first = entries.first().and_then(|(entry, _)| entry.prefix.as_deref());
    BgpPrefixList {
        name: bgp_name(place, name),
        description: DESCRIPTION.to_owned(),
        family: family(first).to_owned(),
        comments: comments(&raws),
    }
}

/// The place of the entry at `position`, from 0.
pub fn index(position: usize) -> u32 {
    u32::try_from((position + 1) * STEP).unwrap_or(u32::MAX)
}

/// The rule that `entry` is at `index` of a prefix list; `prefix` is its network where NetBox knows it.
pub fn prefix_list_rule(
    (entry, raw): (&SdnPrefix, &Map<String, Value>),
    prefix_list: ObjectId,
    index: u32,
    prefix: Option<ObjectId>,
) -> BgpPrefixListRule {
    let text = entry.prefix.as_deref().map(clean);
    BgpPrefixListRule {
        prefix_list,
        index,
        action: action(entry.action.as_deref()),
        prefix,
        prefix_custom: text.filter(|_| prefix.is_none()),
        ge: entry.ge.and_then(|ge| ge.try_into().ok()),
        le: entry.le.and_then(|le| le.try_into().ok()),
        description: DESCRIPTION.to_owned(),
        comments: comments(&[raw]),
    }
}

/// The routing policy that the route map `name` is, of its first entry.
pub fn routing_policy(
    place: BgpPlace<'_>,
    name: &str,
    (entry, raw): (&SdnRouteMapEntry, &Map<String, Value>),
) -> BgpRoutingPolicy {
    BgpRoutingPolicy {
        name: bgp_name(place, name),
        description: DESCRIPTION.to_owned(),
        weight: entry.order.and_then(|order| order.try_into().ok()),
        comments: comments(&[raw]),
    }
}

/// The community that `text` is: two numbers of 32 bits, parted by a colon.
pub fn community(text: &str) -> Option<BgpCommunity> {
    let text = clean(text);
    let (left, right) = text.split_once(':')?;
    let (left, right): (u32, u32) = (left.trim().parse().ok()?, right.trim().parse().ok()?);
    Some(BgpCommunity {
        value: format!("{left}:{right}"),
        status: "active".to_owned(),
        description: DESCRIPTION.to_owned(),
    })
}

/// The rule that `entry`, the one at `position` from 0, is of a routing policy. `list` is the prefix list that it names, by
/// family.
pub fn routing_policy_rule(
    entry: &SdnRouteMapEntry,
    routing_policy: ObjectId,
    position: usize,
    list: Option<(&str, ObjectId)>,
) -> BgpRoutingPolicyRule {
    let of = |family: &str| {
        list.filter(|(own, _)| *own == family)
            .map(|(_, id)| id)
            .into_iter()
            .collect()
    };
    let stated = |key: &str, text: Option<String>| text.map_or(Value::Null, |text| json!({ key: clean(&text) }));
    let listed = entry.match_ip().filter(|_| list.is_none());
    let custom = match (entry.match_peer(), listed) {
        (Some(peer), Some(list)) => json!({"match-peer": clean(&peer), "match-ip": clean(&list)}),
        (peer, None) => stated("match-peer", peer),
        (None, list) => stated("match-ip", list),
    };
    BgpRoutingPolicyRule {
        routing_policy,
        index: entry
            .order
            .and_then(|order| order.try_into().ok())
            .unwrap_or_else(|| index(position)),
        action: action(entry.action.as_deref()),
        match_ip_address: of("ipv4"),
        match_ipv6_address: of("ipv6"),
        match_custom: custom,
        set_actions: stated("set-community", entry.set_community.clone()),
    }
}

/// The group of the peers of the speaker `name`.
pub fn peer_group(place: BgpPlace<'_>, name: &str, raw: &Map<String, Value>) -> BgpPeerGroup {
    BgpPeerGroup {
        name: bgp_name(place, name),
        description: DESCRIPTION.to_owned(),
        comments: comments(&[raw]),
    }
}

/// Whom a speaker speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Its autonomous system.
    pub asn: Option<u32>,
}

/// The peer that `text` is, such as `10.0.0.1=65000`; where it names no autonomous system, `raw` may.
pub fn peer(text: &str, raw: &Map<String, Value>) -> Option<Peer> {
    let text = clean(text);
    let (address, asn) = match text.split_once(['=', '@', '|']) {
        Some((address, asn)) => (address, asn.trim().parse().ok()),
        None => (text.as_str(), None),
    };
    let stated = || {
        let keys = ["remote-as", "remote_as", "peer-as", "peer_as"];
        let mut stated = keys.iter().filter_map(|key| raw.get(*key));
        stated.find_map(|value| wire::number_of(value).ok().flatten())
    };
    Some(Peer {
        address: address.trim().parse().ok()?,
        asn: asn.or_else(stated),
    })
}

/// The address that a speaker speaks from, where its row names one.
pub fn local_address(raw: &Map<String, Value>) -> Option<IpAddr> {
    let keys = ["local-address", "local_address", "loopback"];
    let mut stated = keys.iter().filter_map(|key| raw.get(*key)?.as_str());
    stated.find_map(|text| clean(text).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn peer_is_read_in_every_spelling() {
        let nothing = Map::new();
        let stated = raw(&json!({"peer-as": "65009"}));
        let address = "10.0.0.1".parse().unwrap();
        for (text, raw, expected) in [
            ("10.0.0.1=65001", &stated, Some(Some(65_001))),
            ("10.0.0.1@65001", &nothing, Some(Some(65_001))),
            ("10.0.0.1|65001", &nothing, Some(Some(65_001))),
            (" 10.0.0.1 ", &stated, Some(Some(65_009))),
            ("10.0.0.1", &nothing, Some(None)),
            ("pve1", &nothing, None),
        ] {
            let expected = expected.map(|asn| Peer { address, asn });
            assert_eq!(peer(text, raw), expected, "{text}");
        }
    }

    #[test]
    fn community_is_two_numbers_of_32_bits() {
        for (text, expected) in [
            ("65000:1", Some("65000:1")),
            ("4294967295:4294967295", Some("4294967295:4294967295")),
            ("4294967296:1", None),
            ("no-export", None),
            ("1:2:3", None),
        ] {
            let found = community(text).map(|community| community.value);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn rule_matches_by_the_list_of_its_family_else_by_the_name() {
        let entry: SdnRouteMapEntry = serde_json::from_value(json!({
            "route-map-id": "out", "action": "REJECT", "match-ip": "own", "match-peer": "10.0.0.1",
            "set-community": "65000:1"
        }))
        .unwrap();
        let known = routing_policy_rule(&entry, ObjectId(5), 1, Some(("ipv6", ObjectId(9))));
        assert_eq!((known.index, known.action.as_str()), (20, "deny"));
        assert_eq!(known.match_ipv6_address, [ObjectId(9)].into());
        assert!(known.match_ip_address.is_empty());
        assert_eq!(known.match_custom, json!({"match-peer": "10.0.0.1"}));
        assert_eq!(known.set_actions, json!({"set-community": "65000:1"}));
        let unknown = routing_policy_rule(&entry, ObjectId(5), 0, None);
        assert_eq!(
            unknown.match_custom,
            json!({"match-peer": "10.0.0.1", "match-ip": "own"})
        );
    }

    #[test]
    fn network_that_netbox_knows_is_referred_to_and_any_other_is_text() {
        let entry: SdnPrefix =
            serde_json::from_value(json!({"prefix": "10.99.0.0/16", "action": "permit", "le": 24})).unwrap();
        let raw = raw(&json!({"prefix": "10.99.0.0/16", "digest": "p"}));
        let custom = prefix_list_rule((&entry, &raw), ObjectId(4), index(0), None);
        assert_eq!(
            (custom.index, custom.prefix_custom.as_deref()),
            (10, Some("10.99.0.0/16"))
        );
        assert_eq!(custom.comments, r#"{"prefix":"10.99.0.0/16"}"#);
        let known = prefix_list_rule((&entry, &raw), ObjectId(4), index(1), Some(ObjectId(7)));
        assert_eq!(
            (known.prefix, known.prefix_custom, known.index),
            (Some(ObjectId(7)), None, 20)
        );
    }

    #[test]
    fn comment_is_the_same_in_whatever_order_proxmox_tells_the_keys() {
        let told = |text: &str| comments(&[&serde_json::from_str::<Map<String, Value>>(text).unwrap()]);
        let first =
            told(r#"{"prefix": "10.0.0.0/8", "le": 24, "digest": "a", "options": {"b": [{"d": 1, "c": 2}], "a": 3}}"#);
        let second =
            told(r#"{"options": {"a": 3, "b": [{"c": 2, "d": 1}]}, "digest": "b", "le": 24, "prefix": "10.0.0.0/8"}"#);
        assert_eq!(first, second);
        assert_eq!(
            first,
            r#"{"le":24,"options":{"a":3,"b":[{"c":2,"d":1}]},"prefix":"10.0.0.0/8"}"#
        );
    }

    #[test]
    fn names_tell_endpoint_and_cluster_and_fit() {
        let place = BgpPlace {
            endpoint: ObjectId(3),
            cluster: "lab",
        };
        assert_eq!(bgp_name(place, "own"), "Proxbox SDN 3 lab own");
        assert_eq!(bgp_name(place, &"x".repeat(200)).len(), 100);
        assert_eq!(
            (family(Some("2001:db8::/32")), family(Some("10.0.0.0/8"))),
            ("ipv6", "ipv4")
        );
    }
}
