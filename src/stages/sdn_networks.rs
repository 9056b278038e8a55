//! Virtual networks as L2VPNs with their route targets and ends, and their subnets as prefixes. What an operator made is
//! left as it is.

use std::collections::BTreeSet;

use super::sdn::Skipped;
use super::{Desired, Facts, Pass, Selection};
use crate::inventory::{SdnSubnet, SdnVnet, SdnZone, Verbatim};
use crate::mapping::l2vpn::{End, VnetPlace, end, l2vpn, l2vpn_slug, l2vpn_type, network, prefix, route_target};
use crate::mapping::names::clean;
use crate::mapping::sdn::node_source;
use crate::netbox::objects::{Assignment, L2vpn, L2vpnTermination, Prefix, RouteTarget, SdnBinding, Vlan};
use crate::reconcile::{ObjectId, Policy, Resource, Row, Stored};
use crate::stages::sdn_bindings::{PREFIX, SUBNET};

/// The route targets whose routes zones take in.
#[derive(Debug)]
pub struct RouteTargets;
/// The L2VPNs that stand for virtual networks.
#[derive(Debug)]
pub struct L2vpns;
/// The prefixes that stand for subnets.
#[derive(Debug)]
pub struct Prefixes;
/// What is at the ends of the L2VPNs.
#[derive(Debug)]
pub struct Terminations;

/// A virtual network that an L2VPN stands for.
pub(super) struct Routed<'a> {
    pub(super) vnet: &'a Verbatim<SdnVnet>,
    pub(super) zone: &'a SdnZone,
}

/// The virtual networks that L2VPNs stand for.
pub(super) fn routed(facts: &Facts) -> Vec<Routed<'_>> {
    let vnets = facts
        .inventory
        .networks()
        .map_or(&[][..], |networks| &networks.vnets.rows);
    let routed = vnets.iter().filter_map(|vnet| {
        let zone = zone_of(facts, &vnet.row)?;
        Some(Routed { vnet, zone })
    });
    routed.collect()
}

/// The zone of `vnet`, where the networks of that zone are L2VPNs.
fn zone_of<'a>(facts: &'a Facts, vnet: &SdnVnet) -> Option<&'a SdnZone> {
    let mut zones = facts.inventory.networks()?.zones.rows.iter().map(|zone| &zone.row);
    zones.find(|zone| vnet.zone.as_ref() == Some(&zone.zone) && l2vpn_type(zone).is_some())
}

fn place<'a>(facts: &'a Facts, zone: &'a SdnZone) -> Option<VnetPlace<'a>> {
    Some(VnetPlace {
        endpoint: facts.target.plugin_endpoint?,
        cluster: &facts.cluster.name,
        zone,
    })
}

/// The L2VPN that stands for `vnet`, where there is one.
pub(super) fn l2vpn_of(facts: &Facts, vnet: &SdnVnet) -> Option<ObjectId> {
    let place = place(facts, zone_of(facts, vnet)?)?;
    facts.ids.find::<L2vpn>(&l2vpn_slug(vnet, place))
}

/// The names of the route targets of the zones with L2VPNs.
fn targets(facts: &Facts) -> BTreeSet<String> {
    let routed = routed(facts);
    let names = routed.iter().flat_map(|routed| &routed.zone.rt_import);
    names.map(|name| clean(name)).collect()
}

fn policy(facts: &Facts) -> Policy {
    Policy::with_mode(facts.options.modes.sdn)
}

impl Pass for RouteTargets {
    type Object = RouteTarget;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of("name", targets(facts))]
    }

    fn desired(facts: &Facts) -> Desired<RouteTarget> {
        let mut desired = Desired::default();
        let mut made = Vec::new();
        for name in targets(facts) {
            match route_target(&name) {
                Ok(target) => made.push(target),
                Err(reason) => desired.refuse(name, reason),
            }
        }
        desired.wanted = Desired::by_key(made).wanted;
        desired
    }

    /// A route target may well be an operator's: one that is there stays as it is.
    fn policy(facts: &Facts) -> Policy {
        policy(facts).update_if("description", false)
    }
}

impl Pass for L2vpns {
    type Object = L2vpn;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let slugs = Self::desired(facts).wanted.into_iter();
        vec![Selection::any_of("slug", slugs.map(|wanted| wanted.object.slug))]
    }

    fn desired(facts: &Facts) -> Desired<L2vpn> {
        Desired::by_key(routed(facts).into_iter().filter_map(|Routed { vnet, zone }| {
            let targets = zone
                .rt_import
                .iter()
                .map(|name| facts.ids.find::<RouteTarget>(&clean(name)));
            l2vpn(&vnet.row, place(facts, zone)?, targets.collect())
        }))
    }

    fn policy(facts: &Facts) -> Policy {
        policy(facts)
    }
}

/// What stands for a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// The prefix, where there is one.
    pub(super) id: Option<ObjectId>,
    /// Whether it is somebody else's.
    pub(super) is_foreign: bool,
}

/// Prefixes that our bindings point to without reservation: those are ours.
fn bound(facts: &Facts) -> BTreeSet<ObjectId> {
    let is_ours = |binding: &SdnBinding| {
        binding.endpoint == facts.target.plugin_endpoint
            && binding.cluster == facts.cluster.name
            && binding.source_type == SUBNET
            && binding.conflict_reason.is_empty()
    };
    let bindings = facts.known.sdn.bindings.iter().flatten();
    let ours = bindings.map(|stored| &stored.object).filter(|binding| is_ours(binding));
    let targets = ours.filter_map(|binding| binding.target.as_ref());
    targets.filter(|(kind, _)| kind == PREFIX).map(|(_, id)| *id).collect()
}

/// Which of `rows` stands for the network of `wanted`: the one that is ours, else the only one outside of VRFs, else the
/// only one.
fn standing(facts: &Facts, wanted: &Prefix, rows: &[Stored<Prefix>]) -> Result<Standing, String> {
    let bound = bound(facts);
    let rows = rows.iter().filter(|stored| stored.object.prefix == wanted.prefix);
    let rows: Vec<&Stored<Prefix>> = rows.collect();
    // One whose binding was not written any more is known by its description.
    let own = rows.iter().find(|stored| bound.contains(&stored.id)).or_else(|| {
        let mut rows = rows.iter();
        rows.find(|stored| stored.object.vrf.is_none() && stored.object.description == wanted.description)
    });
    if let Some(own) = own {
        return Ok(Standing {
            id: Some(own.id),
            is_foreign: false,
        });
    }
    let global: Vec<_> = rows.iter().filter(|stored| stored.object.vrf.is_none()).collect();
    match (global.as_slice(), rows.as_slice()) {
        ([], []) => Ok(Standing {
            id: None,
            is_foreign: false,
        }),
        ([only], _) => Ok(Standing {
            id: Some(only.id),
            is_foreign: true,
        }),
        ([], [only]) => Ok(Standing {
            id: Some(only.id),
            is_foreign: true,
        }),
        (_, several) => Err(format!("NetBox has {} prefixes {}", several.len(), wanted.prefix)),
    }
}

/// The prefix that should stand for `subnet`.
fn wanted_prefix(facts: &Facts, subnet: &SdnSubnet) -> Result<Prefix, String> {
    let network = network(subnet.network())?;
    let vnet = subnet.vnet.as_deref().unwrap_or_default();
    Ok(prefix(&network, vnet, &facts.cluster.name))
}

/// What stands for `subnet`, or why nothing does.
pub(super) fn prefix_of(facts: &Facts, subnet: &SdnSubnet) -> Result<Standing, String> {
    let wanted = wanted_prefix(facts, subnet)?;
    let mut standing = standing(facts, &wanted, &facts.known.sdn.prefixes)?;
    standing.id = standing.id.or_else(|| facts.ids.find::<Prefix>(&wanted.key()));
    Ok(standing)
}

impl Pass for Prefixes {
    type Object = Prefix;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let wanted = Self::desired(facts).wanted.into_iter();
        vec![Selection::any_of("prefix", wanted.map(|wanted| wanted.object.prefix))]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<Prefix>>> {
        Some(facts.known.sdn.prefixes.clone())
    }

    /// Subnets of the same network share a prefix: the first one's.
    fn desired(facts: &Facts) -> Desired<Prefix> {
        let subnets = facts
            .inventory
            .networks()
            .map_or(&[][..], |networks| &networks.subnets.rows);
        let mut given = BTreeSet::new();
        let wanted = subnets
            .iter()
            .filter_map(|subnet| wanted_prefix(facts, &subnet.row).ok());
        Desired::by_key(wanted.filter(|wanted| given.insert(wanted.prefix.clone())))
    }

    fn settle(facts: &Facts, mut desired: Desired<Prefix>, actual: &[Stored<Prefix>]) -> Desired<Prefix> {
        desired.wanted.retain_mut(|wanted| {
            let Ok(standing) = standing(facts, &wanted.object, actual) else {
                return false;
            };
            wanted.row = standing.id.map_or(Row::New, Row::Is);
            !standing.is_foreign
        });
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        policy(facts)
    }
}

/// An end of an L2VPN, as a node says.
pub(super) struct Ending<'a> {
    /// Which row says so.
    pub(super) source: String,
    pub(super) raw: &'a serde_json::Map<String, serde_json::Value>,
    pub(super) l2vpn: ObjectId,
    pub(super) assigned: Assignment,
    /// Why it cannot be one.
    pub(super) conflict: Option<String>,
}

/// The numbers of the VLANs that networks end at.
pub fn vlan_selection(facts: &Facts) -> Selection {
    let rows = facts
        .inventory
        .networks()
        .map_or(&[][..], |networks| &networks.on_nodes.rows);
    let vids: BTreeSet<u16> = rows
        .iter()
        .filter_map(|row| match end(row)? {
            End::Vlan(vid) => Some(vid),
            End::Object(_) => None,
        })
        .collect();
    Selection::any_of("vid", vids)
}

/// Rows of what the networks end at.
pub fn termination_selection(facts: &Facts) -> Selection {
    let endings = endings(facts).0;
    let ids: BTreeSet<u64> = endings.iter().map(|ending| ending.assigned.parts().1.0).collect();
    Selection::any_of("assigned_object_id", ids)
}

/// The ends of the L2VPNs that stand, and those that cannot be told.
pub(super) fn endings(facts: &Facts) -> (Vec<Ending<'_>>, Vec<Skipped>) {
    let (mut endings, mut skipped): (Vec<Ending<'_>>, _) = (Vec::new(), Vec::new());
    let rows = facts
        .inventory
        .networks()
        .map_or(&[][..], |networks| &networks.on_nodes.rows);
    let routed = routed(facts);
    for row in rows {
        let Some(end) = end(row) else {
            continue;
        };
        let mut routed = routed.iter().map(|routed| &routed.vnet.row);
        let vnet = routed.find(|vnet| row.state.vnet.as_ref() == Some(&vnet.vnet));
        let Some(l2vpn) = vnet.and_then(|vnet| l2vpn_of(facts, vnet)) else {
            continue;
        };
        let source = node_source(row);
        match assigned(facts, end) {
            Ok(assigned) => endings.push(Ending {
                conflict: conflict(facts, &endings, l2vpn, &assigned),
                source,
                raw: &row.raw,
                l2vpn,
                assigned,
            }),
            Err(reason) => skipped.push(Skipped {
                kind: L2vpnTermination::KIND,
                name: source,
                reason,
            }),
        }
    }
    (endings, skipped)
}

/// Ends of L2VPNs that cannot be told.
pub fn skipped_endings(facts: &Facts) -> Vec<Skipped> {
    endings(facts).1
}

/// The object at the end; a number alone tells a VLAN only where there is no other of that number.
fn assigned(facts: &Facts, end: End) -> Result<Assignment, String> {
    let vid = match end {
        End::Object(assigned) => return Ok(assigned),
        End::Vlan(vid) => vid,
    };
    let vlans = facts.known.sdn.vlans.iter().filter(|stored| stored.object.vid == vid);
    match vlans.collect::<Vec<_>>().as_slice() {
        [only] => Ok(Assignment::to("ipam.vlan".to_owned(), only.id)),
        [] if facts.known.is_unread::<Vlan>() => Err(format!("which VLAN {vid} is could not be read")),
        several => Err(format!("NetBox has {} VLANs {vid}", several.len())),
    }
}

/// Why `assigned` cannot be at the end of `l2vpn`: it is at that of another one.
fn conflict(facts: &Facts, before: &[Ending<'_>], l2vpn: ObjectId, assigned: &Assignment) -> Option<String> {
    let known = facts.known.sdn.terminations.iter().map(|stored| &stored.object);
    let stored = known
        .filter(|known| known.assigned == *assigned)
        .map(|known| known.l2vpn);
    let earlier = before
        .iter()
        .filter(|ending| ending.assigned == *assigned)
        .map(|ending| ending.l2vpn);
    let holder = stored.chain(earlier).next().filter(|holder| *holder != l2vpn)?;
    Some(format!("{assigned} is already at an end of L2VPN {holder}"))
}

impl Pass for Terminations {
    type Object = L2vpnTermination;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![termination_selection(facts)]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<L2vpnTermination>>> {
        Some(facts.known.sdn.terminations.clone())
    }

    fn desired(facts: &Facts) -> Desired<L2vpnTermination> {
        let mut given = BTreeSet::new();
        let endings = endings(facts).0.into_iter().filter(|ending| ending.conflict.is_none());
        let made = endings.map(|ending| L2vpnTermination {
            l2vpn: ending.l2vpn,
            assigned: ending.assigned,
        });
        Desired::by_key(made.filter(|made| given.insert(made.assigned.clone())))
    }

    fn policy(facts: &Facts) -> Policy {
        policy(facts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sdn_bindings::SdnBindings;
    use super::super::tests::{converged, plan};
    use super::*;
    use crate::inventory::{Collected, SdnList, SdnNetworks, SdnNodeKind, SdnNodeRow};
    use crate::netbox::objects::{SdnVnetBody, Vlan};
    use crate::reconcile::Mode;
    use crate::stages::sdn::SdnRows;

    const L2VPN: ObjectId = ObjectId(70);

    fn list<T: serde::de::DeserializeOwned>(rows: Value) -> SdnList<T> {
        SdnList {
            rows: serde_json::from_value(rows).unwrap(),
            is_complete: true,
            is_offered: true,
        }
    }

    fn content(node: &str, state: Value) -> SdnNodeRow {
        SdnNodeRow {
            node: node.to_owned(),
            kind: SdnNodeKind::Content,
            raw: state.as_object().unwrap().clone(),
            state: serde_json::from_value(state).unwrap(),
        }
    }

    /// A routed zone with one network whose L2VPN stands, and these rows of nodes.
    fn world(on_nodes: Vec<SdnNodeRow>) -> Facts {
        let mut facts = converged();
        facts.options.modes.sdn = Mode::Always;
        let networks = SdnNetworks {
            zones: list(json!([{"zone": "wide1", "type": "evpn", "rt-import": "65000:1"}])),
            vnets: list(json!([{"vnet": "vnet2", "zone": "wide1", "tag": 10_001}])),
            on_nodes: SdnList {
                rows: on_nodes,
                is_complete: true,
                is_offered: true,
            },
            ..SdnNetworks::default()
        };
        let gaps = Vec::new();
        facts.inventory.sdn.fill(Collected {
            items: vec![networks],
            gaps,
        });
        facts
            .ids
            .learn(L2vpn::PATH, "proxbox-3-lab-wide1-vnet2".to_owned(), L2VPN);
        facts
    }

    fn vlan(id: u64, vid: u16) -> Stored<Vlan> {
        Stored {
            id: ObjectId(id),
            object: Vlan {
                vid,
                site: None,
                group: None,
                tenant: None,
                name: None,
                status: None,
                tags: BTreeSet::new(),
            },
        }
    }

    fn on_vlan(vid: u16) -> Vec<SdnNodeRow> {
        let state = json!({"zone": "wide1", "vnet": "vnet2", "vlan": vid});
        vec![content("pve1", state.clone()), content("pve2", state)]
    }

    #[test]
    fn import_targets_are_asserted_only_where_all_of_them_are_known() {
        let mut facts = world(Vec::new());
        let fields = |facts: &Facts| plan::<L2vpns>(facts).create[0].fields.get("import_targets").cloned();
        assert_eq!(fields(&facts), None);
        facts.ids.learn(RouteTarget::PATH, "65000:1".to_owned(), ObjectId(8));
        assert_eq!(fields(&facts), Some(json!([8])));
    }

    #[test]
    fn network_refers_to_the_l2vpn_that_stands_for_it() {
        let facts = world(Vec::new());
        let plan = plan::<SdnRows<SdnVnetBody>>(&facts);
        assert_eq!(plan.create[0].fields["l2vpn"], json!(70));
    }

    #[test]
    fn vlan_that_several_nodes_name_ends_the_network_once() {
        let mut facts = world(on_vlan(7));
        facts.known.sdn.vlans = vec![vlan(12, 7), vlan(13, 8)];
        let plan_of_it = plan::<Terminations>(&facts);
        let expected = json!({"l2vpn": 70, "assigned_object_type": "ipam.vlan", "assigned_object_id": 12});
        assert_eq!(
            plan_of_it
                .create
                .iter()
                .map(|row| json!(row.fields))
                .collect::<Vec<_>>(),
            [expected]
        );
        facts
            .ids
            .learn(L2vpnTermination::PATH, "ipam.vlan 12".to_owned(), ObjectId(90));
        let bindings = plan::<SdnBindings>(&facts).create;
        let bound: Vec<_> = bindings
            .iter()
            .filter(|row| row.fields["source_type"] == "l2vpn-termination")
            .map(|row| (row.fields["source_name"].clone(), row.fields["target_id"].clone()))
            .collect();
        assert_eq!(
            bound[0],
            (json!("pve1/wide1/vnet2/node-zone-content/ipam.vlan/12"), json!(12))
        );
        assert_eq!(bound.len(), 2, "each node says so");
    }

    #[test]
    fn number_of_several_vlans_or_of_none_ends_nothing() {
        let mut facts = world(on_vlan(7));
        for vlans in [Vec::new(), vec![vlan(12, 7), vlan(13, 7)]] {
            facts.known.sdn.vlans = vlans;
            assert!(plan::<Terminations>(&facts).is_empty());
            assert_eq!(skipped_endings(&facts).len(), 2);
        }
        facts.known.sdn.vlans.clear();
        facts.known.unread.insert(Vlan::PATH);
        let reasons: Vec<String> = skipped_endings(&facts).into_iter().map(|row| row.reason).collect();
        assert_eq!(reasons, ["which VLAN 7 is could not be read"; 2]);
    }

    #[test]
    fn object_at_the_end_of_another_l2vpn_stays_there_and_the_binding_says_so() {
        let mut facts = world(on_vlan(7));
        facts.known.sdn.vlans = vec![vlan(12, 7)];
        facts.known.sdn.terminations = vec![Stored {
            id: ObjectId(90),
            object: L2vpnTermination {
                l2vpn: ObjectId(71),
                assigned: Assignment::to("ipam.vlan".to_owned(), ObjectId(12)),
            },
        }];
        assert!(plan::<Terminations>(&facts).is_empty());
        let bindings = plan::<SdnBindings>(&facts).create;
        let bound = bindings
            .iter()
            .find(|row| row.fields["source_type"] == "l2vpn-termination")
            .unwrap();
        assert_eq!(bound.fields["status"], "conflict");
        assert_eq!(
            bound.fields["conflict_reason"],
            "ipam.vlan 12 is already at an end of L2VPN 71"
        );
    }
}
