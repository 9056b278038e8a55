//! What the objects of software-defined networks became in NetBox, and how they stand on the nodes. A binding outlives
//! its source: it says what once was.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::bgp::{BgpSource, projected};
use super::replications::of_endpoint;
use super::sdn_networks::{endings, l2vpn_of, prefix_of, routed};
use super::{Desired, Facts, Pass, Selection};
use crate::inventory::SdnNetworks;
use crate::mapping::names::clean;
use crate::mapping::sdn::{node_source, raw_config};
use crate::netbox::objects::{
    BgpCommunity, BgpPeerGroup, BgpPrefixList, BgpPrefixListRule, BgpRoutingPolicy, BgpRoutingPolicyRule, BgpRow,
    BgpSession, L2vpnTermination, SdnBinding,
};
use crate::reconcile::{Policy, Resource, Stored};

/// What a subnet is called as a source.
pub(super) const SUBNET: &str = "subnet";
/// The content type of a prefix.
pub(super) const PREFIX: &str = "ipam.prefix";
const ACTIVE: &str = "active";

/// The bindings of the endpoint.
#[derive(Debug)]
pub struct SdnBindings;

/// The binding of the source `name` of `kind`, to nothing.
fn binding(facts: &Facts, kind: &str, name: String, raw: &Map<String, Value>) -> SdnBinding {
    SdnBinding {
        endpoint: facts.target.plugin_endpoint,
        cluster: facts.cluster.name.clone(),
        source_type: kind.to_owned(),
        source_name: name,
        node: String::new(),
        zone: String::new(),
        vnet: String::new(),
        target: None,
        status: ACTIVE.to_owned(),
        conflict_reason: String::new(),
        raw_config: raw_config(raw),
    }
}

/// How networks stand on the nodes.
fn on_nodes(facts: &Facts, networks: &SdnNetworks) -> Vec<SdnBinding> {
    let rows = networks.on_nodes.rows.iter();
    let text = |text: &Option<String>| text.as_deref().map(clean).unwrap_or_default();
    rows.map(|row| SdnBinding {
        node: row.node.clone(),
        zone: text(&row.state.zone),
        vnet: text(&row.state.vnet),
        status: Some(text(&row.state.status))
            .filter(|status| !status.is_empty())
            .unwrap_or_else(|| ACTIVE.to_owned()),
        ..binding(facts, row.kind.as_str(), node_source(row), &row.raw)
    })
    .collect()
}

/// The L2VPNs that stand for virtual networks.
fn vnets(facts: &Facts) -> Vec<SdnBinding> {
    let bound = routed(facts).into_iter().filter_map(|routed| {
        let vnet = &routed.vnet.row;
        let name = format!("{}/{}", routed.zone.zone, vnet.vnet);
        Some(SdnBinding {
            target: Some(("vpn.l2vpn".to_owned(), l2vpn_of(facts, vnet)?)),
            ..binding(facts, "vnet", name, &routed.vnet.raw)
        })
    });
    bound.collect()
}

/// The prefixes that stand for subnets; that one is somebody else's is remembered, so that it is never taken for ours.
fn subnets(facts: &Facts, networks: &SdnNetworks) -> Vec<SdnBinding> {
    let bound = networks.subnets.rows.iter().filter_map(|subnet| {
        let standing = prefix_of(facts, &subnet.row).ok()?;
        let vnet = subnet.row.vnet.as_deref().unwrap_or_default();
        let name = format!("{vnet}/{}", subnet.row.name()?);
        let reason = standing
            .is_foreign
            .then_some("the prefix was there before and is left as it is");
        Some(SdnBinding {
            target: Some((PREFIX.to_owned(), standing.id?)),
            conflict_reason: reason.unwrap_or_default().to_owned(),
            ..binding(facts, SUBNET, name, &subnet.raw)
        })
    });
    bound.collect()
}

/// What route maps, prefix lists and speakers of BGP became.
fn bgp<K: BgpSource>(facts: &Facts) -> Vec<SdnBinding> {
    let bound = projected::<K>(facts).0.into_iter().filter_map(|row| {
        let id = facts.ids.find::<BgpRow<K>>(&row.body.name())?;
        Some(SdnBinding {
            target: Some((K::TARGET.to_owned(), id)),
            ..binding(facts, K::SOURCE, row.source, &row.raw)
        })
    });
    bound.collect()
}

/// What the L2VPNs end at.
fn terminations(facts: &Facts) -> Vec<SdnBinding> {
    let bound = endings(facts).0.into_iter().filter_map(|ending| {
        let (kind, id) = ending.assigned.parts();
        let stands = facts
            .ids
            .find::<L2vpnTermination>(&ending.assigned.to_string())
            .is_some();
        if ending.conflict.is_none() && !stands {
            return None;
        }
        let name = format!("{}/{kind}/{id}", ending.source);
        let status = if ending.conflict.is_some() { "conflict" } else { ACTIVE };
        Some(SdnBinding {
            target: Some((kind.to_owned(), id)),
            status: status.to_owned(),
            conflict_reason: ending.conflict.unwrap_or_default(),
            ..binding(facts, "l2vpn-termination", name, ending.raw)
        })
    });
    bound.collect()
}

impl Pass for SdnBindings {
    type Object = SdnBinding;

    fn scope(facts: &Facts) -> Vec<Selection> {
        of_endpoint(facts)
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<SdnBinding>>> {
        facts.known.sdn.bindings.clone()
    }

    fn desired(facts: &Facts) -> Desired<SdnBinding> {
        let (Some(_), Some(networks)) = (facts.target.plugin_endpoint, facts.inventory.networks()) else {
            return Desired::default();
        };
        let mut given = BTreeSet::new();
        let all = on_nodes(facts, networks)
            .into_iter()
            .chain(vnets(facts))
            .chain(subnets(facts, networks))
            .chain(terminations(facts))
            .chain(bgp::<BgpPrefixList>(facts))
            .chain(bgp::<BgpPrefixListRule>(facts))
            .chain(bgp::<BgpRoutingPolicy>(facts))
            .chain(bgp::<BgpCommunity>(facts))
            .chain(bgp::<BgpRoutingPolicyRule>(facts))
            .chain(bgp::<BgpPeerGroup>(facts))
            .chain(bgp::<BgpSession>(facts));
        Desired::by_key(all.filter(|binding| given.insert(binding.key())))
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.sdn)
    }
}
