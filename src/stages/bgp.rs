//! Route maps, prefix lists and speakers of BGP as rows of the optional plugin netbox-bgp.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde_json::{Map, Value};

use super::sdn::Skipped;
use super::{Desired, Facts, Pass, Selection};
use crate::inventory::{SdnNetworks, SdnPrefix, SdnRouteMapEntry, Verbatim};
use crate::mapping::bgp::{self, BgpPlace, bgp_name};
use crate::mapping::l2vpn::network;
use crate::netbox::objects::{
    BgpCommunity, BgpKind, BgpPrefixList, BgpPrefixListRule, BgpRoutingPolicy, BgpRoutingPolicyRule, BgpRow, BgpSession,
};
use crate::reconcile::{ObjectId, Policy, Resource};

/// The rows of kind `K`.
#[derive(Debug)]
pub struct BgpRows<K>(PhantomData<K>);

/// A row, and what it is made of.
#[derive(Debug)]
pub struct Projected<K> {
    pub(super) body: K,
    /// What it is called as a source of a binding.
    pub(super) source: String,
    /// The object as Proxmox gives it.
    pub(super) raw: Map<String, Value>,
}

/// A kind of row, and what makes it.
pub trait BgpSource: BgpKind {
    /// What the source of its bindings is called.
    const SOURCE: &'static str;
    /// Its content type.
    const TARGET: &'static str;
    /// The filter by which rows are found by their names; `None` where the plugin's filters take one value only, so that
    /// all rows of the kind are read.
    const FILTER: Option<&'static str>;
    /// Fields of rows that may be an operator's: they are left as they are.
    const CREATE_ONLY: &'static [&'static str] = &[];

    /// What the cluster has; what is needed for it stands.
    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>);
}

pub(super) fn place(facts: &Facts) -> Option<BgpPlace<'_>> {
    Some(BgpPlace {
        endpoint: facts.target.plugin_endpoint?,
        cluster: &facts.cluster.name,
    })
}

pub(super) fn id_of<K: BgpKind>(facts: &Facts, name: &str) -> Option<ObjectId> {
    facts.ids.find::<BgpRow<K>>(name)
}

/// What the cluster has of a kind; nothing where there is no such plugin.
pub(super) fn projected<K: BgpSource>(facts: &Facts) -> (Vec<Projected<K>>, Vec<Skipped>) {
    let networks = facts.inventory.networks().filter(|_| facts.known.sdn.has_bgp);
    networks.map_or_else(Default::default, |networks| K::projected(facts, networks))
}

impl<K: BgpSource> Pass for BgpRows<K> {
    type Object = BgpRow<K>;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let rows = projected::<K>(facts).0;
        match K::FILTER {
            Some(filter) => {
                let names: BTreeSet<String> = rows.iter().map(|row| row.body.name()).collect();
                vec![Selection::any_of(filter, names)]
            }
            None if rows.is_empty() => Vec::new(),
            None => vec![Selection::all()],
        }
    }

    fn desired(facts: &Facts) -> Desired<BgpRow<K>> {
        let mut given = BTreeSet::new();
        let rows = projected::<K>(facts).0.into_iter().map(|row| BgpRow(row.body));
        Desired::by_key(rows.filter(|row| given.insert(row.key())))
    }

    fn policy(facts: &Facts) -> Policy {
        let policy = Policy::with_mode(facts.options.modes.effective_bgp());
        K::CREATE_ONLY
            .iter()
            .fold(policy, |policy, field| policy.update_if(field, false))
    }
}

/// The entries of `rows` by the name of their list, in order.
fn by_name<'a, T>(
    rows: &'a [Verbatim<T>],
    name: impl Fn(&'a T) -> Option<&'a str>,
) -> BTreeMap<&'a str, Vec<&'a Verbatim<T>>> {
    let mut lists: BTreeMap<&str, Vec<&Verbatim<T>>> = BTreeMap::new();
    for row in rows {
        if let Some(name) = name(&row.row) {
            lists.entry(name).or_default().push(row);
        }
    }
    lists
}

fn prefix_lists(networks: &SdnNetworks) -> BTreeMap<&str, Vec<&Verbatim<SdnPrefix>>> {
    by_name(&networks.prefix_lists.rows, |row| row.name.as_deref())
}

fn route_maps(networks: &SdnNetworks) -> BTreeMap<&str, Vec<&Verbatim<SdnRouteMapEntry>>> {
    by_name(&networks.route_maps.rows, SdnRouteMapEntry::name)
}

impl BgpSource for BgpPrefixList {
    const SOURCE: &'static str = "bgp-prefix-list";
    const TARGET: &'static str = "netbox_bgp.prefixlist";
    const FILTER: Option<&'static str> = Some("name");

    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let lists = place(facts).map(|place| (place, prefix_lists(networks))).into_iter();
        let rows = lists.flat_map(|(place, lists)| {
            lists.into_iter().map(move |(name, entries)| {
                let entries: Vec<_> = entries.iter().map(|entry| (&entry.row, &entry.raw)).collect();
                Projected {
                    body: bgp::prefix_list(place, name, &entries),
                    source: name.to_owned(),
                    raw: Map::new(),
                }
            })
        });
        (rows.collect(), Vec::new())
    }
}

impl BgpSource for BgpPrefixListRule {
    const SOURCE: &'static str = "bgp-prefix-list-rule";
    const TARGET: &'static str = "netbox_bgp.prefixlistrule";
    const FILTER: Option<&'static str> = None;

    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let mut rows = Vec::new();
        let Some(place) = place(facts) else {
            return (rows, Vec::new());
        };
        for (name, entries) in prefix_lists(networks) {
            let Some(list) = id_of::<BgpPrefixList>(facts, &bgp_name(place, name)) else {
                continue;
            };
            rows.extend(entries.iter().enumerate().map(|(position, entry)| {
                let index = bgp::index(position);
                let prefix = known_prefix(facts, entry.row.prefix.as_deref());
                Projected {
                    body: bgp::prefix_list_rule((&entry.row, &entry.raw), list, index, prefix),
                    source: format!("{name}/{index}"),
                    raw: entry.raw.clone(),
                }
            }));
        }
        (rows, Vec::new())
    }
}

/// The only prefix outside of VRFs that is the network `cidr`.
fn known_prefix(facts: &Facts, cidr: Option<&str>) -> Option<ObjectId> {
    let text = network(cidr).ok()?.to_string();
    let known = facts.known.sdn.rule_prefixes.iter();
    let mut fits = known.filter(|stored| stored.object.prefix == text && stored.object.vrf.is_none());
    let first = fits.next()?;
    fits.next().is_none().then_some(first.id)
}

impl BgpSource for BgpRoutingPolicy {
    const SOURCE: &'static str = "bgp-routing-policy";
    const TARGET: &'static str = "netbox_bgp.routingpolicy";
    const FILTER: Option<&'static str> = Some("name");

    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let maps = place(facts).map(|place| (place, route_maps(networks))).into_iter();
        let rows = maps.flat_map(|(place, maps)| {
            maps.into_iter().filter_map(move |(name, entries)| {
                let first = entries.first()?;
                Some(Projected {
                    body: bgp::routing_policy(place, name, (&first.row, &first.raw)),
                    source: name.to_owned(),
                    raw: first.raw.clone(),
                })
            })
        });
        (rows.collect(), Vec::new())
    }
}

impl BgpSource for BgpCommunity {
    const SOURCE: &'static str = "bgp-community";
    const TARGET: &'static str = "netbox_bgp.community";
    const FILTER: Option<&'static str> = Some("value");
    const CREATE_ONLY: &'static [&'static str] = &["status", "description"];

    fn projected(_: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        for entry in &networks.route_maps.rows {
            let Some(text) = entry.row.set_community.as_deref() else {
                continue;
            };
            match bgp::community(text) {
                Some(body) => rows.push(Projected {
                    source: body.value.clone(),
                    body,
                    raw: entry.raw.clone(),
                }),
                None => skipped.push(Skipped {
                    kind: Self::KIND,
                    name: text.to_owned(),
                    reason: "it is not two numbers parted by a colon".to_owned(),
                }),
            }
        }
        (rows, skipped)
    }
}

impl BgpSource for BgpRoutingPolicyRule {
    const SOURCE: &'static str = "bgp-routing-policy-rule";
    const TARGET: &'static str = "netbox_bgp.routingpolicyrule";
    const FILTER: Option<&'static str> = None;

    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let mut rows = Vec::new();
        let Some(place) = place(facts) else {
            return (rows, Vec::new());
        };
        let lists = prefix_lists(networks);
        let list_of = |entry: &SdnRouteMapEntry| {
            let name = entry.match_ip()?;
            let first = lists.get(name.as_str())?.first()?;
            let id = id_of::<BgpPrefixList>(facts, &bgp_name(place, &name))?;
            Some((bgp::family(first.row.prefix.as_deref()), id))
        };
        for (name, entries) in route_maps(networks) {
            let Some(policy) = id_of::<BgpRoutingPolicy>(facts, &bgp_name(place, name)) else {
                continue;
            };
            rows.extend(entries.iter().enumerate().map(|(position, entry)| {
                let body = bgp::routing_policy_rule(&entry.row, policy, position, list_of(&entry.row));
                Projected {
                    source: format!("{name}/{}", body.index),
                    body,
                    raw: entry.raw.clone(),
                }
            }));
        }
        (rows, Vec::new())
    }
}

/// Prefixes that are networks of the entries of prefix lists.
pub fn prefix_selection(facts: &Facts) -> Selection {
    let entries = facts
        .inventory
        .networks()
        .map_or(&[][..], |networks| &networks.prefix_lists.rows);
    let texts = entries
        .iter()
        .filter_map(|entry| network(entry.row.prefix.as_deref()).ok());
    let texts: BTreeSet<String> = texts.map(|network| network.to_string()).collect();
    Selection::any_of("prefix", texts)
}

/// What of the cluster's objects has no row.
pub fn skipped(facts: &Facts) -> Vec<Skipped> {
    let mut skipped = projected::<BgpCommunity>(facts).1;
    skipped.extend(projected::<BgpSession>(facts).1);
    skipped
}
