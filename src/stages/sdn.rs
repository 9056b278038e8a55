//! The objects of software-defined networks as the plugin's rows. An object that is gone keeps its row, marked as stale.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde_json::Value;

use super::replications::{of_endpoint, stale};
use super::sdn_networks::{l2vpn_of, prefix_of};
use super::{Desired, Facts, Pass, Selection};
use crate::inventory::{SdnController, SdnFabric, SdnList, SdnNetworks, SdnRouteMapEntry, SdnSubnet, Verbatim};
use crate::mapping::sdn::{self, NoRow, raw_config};
use crate::netbox::objects::{
    STALE, SdnControllerBody, SdnFabricBody, SdnKind, SdnPrefixBody, SdnRouteMapBody, SdnRow, SdnSubnetBody,
    SdnVnetBody, SdnZoneBody,
};
use crate::reconcile::{Policy, Retire, Stored};

/// The plugin's rows of kind `K` that the endpoint's cluster has.
#[derive(Debug)]
pub struct SdnRows<K>(PhantomData<K>);

/// Something that is left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What kind of object it is.
    pub kind: &'static str,
    /// Its name; may be empty.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The rows that Proxmox's list of a kind makes.
#[derive(Debug)]
pub struct Listed<K> {
    rows: Vec<(K, Value)>,
    skipped: Vec<Skipped>,
    is_complete: bool,
}

/// A kind of row, and what makes it.
pub trait SdnSource: SdnKind {
    /// What the cluster's list makes.
    fn listed(facts: &Facts, networks: &SdnNetworks) -> Listed<Self>;
}

/// The rows of `list`, each name once; `name` is what an object without a row is called.
fn listed<K: SdnKind, T>(
    list: &SdnList<Verbatim<T>>,
    name: impl Fn(&T) -> Option<&str>,
    map: impl Fn(&T) -> Result<K, NoRow>,
) -> Listed<K> {
    let mut listed = Listed {
        rows: Vec::with_capacity(list.rows.len()),
        skipped: Vec::new(),
        is_complete: list.is_complete && list.is_offered,
    };
    let mut given = BTreeSet::new();
    for found in &list.rows {
        let skipped = |reason: String| Skipped {
            kind: K::KIND,
            name: name(&found.row).unwrap_or_default().to_owned(),
            reason,
        };
        match map(&found.row) {
            Ok(body) if given.insert(body.name()) => listed.rows.push((body, raw_config(&found.raw))),
            Ok(_) => listed.skipped.push(skipped("another one has the same name".to_owned())),
            Err(reason) => listed.skipped.push(skipped(reason.to_string())),
        }
    }
    listed
}

fn is_ours<K>(facts: &Facts, row: &SdnRow<K>) -> bool {
    row.endpoint == facts.target.plugin_endpoint && row.cluster == facts.cluster.name
}

impl<K: SdnSource> Pass for SdnRows<K> {
    type Object = SdnRow<K>;

    fn scope(facts: &Facts) -> Vec<Selection> {
        of_endpoint(facts)
    }

    fn desired(facts: &Facts) -> Desired<SdnRow<K>> {
        let (Some(endpoint), Some(networks)) = (facts.target.plugin_endpoint, facts.inventory.networks()) else {
            return Desired::default();
        };
        let rows = K::listed(facts, networks).rows.into_iter();
        Desired::by_key(rows.map(|(body, raw_config)| SdnRow {
            endpoint: Some(endpoint),
            cluster: facts.cluster.name.clone(),
            body,
            status: "active".to_owned(),
            raw_config,
        }))
    }

    fn count_ours(facts: &Facts, actual: &[Stored<SdnRow<K>>]) -> usize {
        actual.iter().filter(|stored| is_ours(facts, &stored.object)).count()
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.sdn)
    }

    fn retire(facts: &Facts, stored: &Stored<SdnRow<K>>) -> Retire {
        let networks = facts.inventory.networks();
        let Some(networks) = networks.filter(|_| is_ours(facts, &stored.object) && stored.object.status != STALE)
        else {
            return Retire::Keep;
        };
        let listed = K::listed(facts, networks);
        let name = stored.object.body.name();
        let is_there = listed.rows.iter().any(|(body, _)| body.name() == name)
            || listed.skipped.iter().any(|skipped| skipped.name == name);
        if listed.is_complete && !is_there {
            stale()
        } else {
            Retire::Keep
        }
    }
}

impl SdnSource for SdnControllerBody {
    fn listed(_: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        listed(&networks.controllers, SdnController::name, sdn::controller)
    }
}

impl SdnSource for SdnFabricBody {
    fn listed(_: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        listed(&networks.fabrics, SdnFabric::name, sdn::fabric)
    }
}

impl SdnSource for SdnRouteMapBody {
    fn listed(_: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        listed(&networks.route_maps, SdnRouteMapEntry::name, sdn::route_map)
    }
}

impl SdnSource for SdnPrefixBody {
    fn listed(_: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        listed(&networks.prefix_lists, |row| row.name.as_deref(), sdn::prefix_list)
    }
}

impl SdnSource for SdnZoneBody {
    fn listed(_: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        listed(&networks.zones, |row| Some(&row.zone), sdn::zone)
    }
}

impl SdnSource for SdnVnetBody {
    fn listed(facts: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        let map = |row: &_| sdn::vnet(row, l2vpn_of(facts, row));
        listed(&networks.vnets, |row| Some(&row.vnet), map)
    }
}

impl SdnSource for SdnSubnetBody {
    fn listed(facts: &Facts, networks: &SdnNetworks) -> Listed<Self> {
        let map = |row: &_| sdn::subnet(row, prefix_of(facts, row).map(|standing| standing.id));
        listed(&networks.subnets, SdnSubnet::name, map)
    }
}

/// What has no row, and subnets for which no prefix can stand.
pub fn skipped(facts: &Facts) -> Vec<Skipped> {
    let Some(networks) = facts.inventory.networks() else {
        return Vec::new();
    };
    let subnets = networks.subnets.rows.iter().filter_map(|subnet| {
        let reason = prefix_of(facts, &subnet.row).err()?;
        Some(Skipped {
            kind: "prefix",
            name: subnet.row.name().unwrap_or_default().to_owned(),
            reason,
        })
    });
    let mut skipped = Vec::new();
    skipped.extend(SdnControllerBody::listed(facts, networks).skipped);
    skipped.extend(SdnFabricBody::listed(facts, networks).skipped);
    skipped.extend(SdnRouteMapBody::listed(facts, networks).skipped);
    skipped.extend(SdnPrefixBody::listed(facts, networks).skipped);
    skipped.extend(SdnZoneBody::listed(facts, networks).skipped);
    skipped.extend(SdnVnetBody::listed(facts, networks).skipped);
    skipped.extend(SdnSubnetBody::listed(facts, networks).skipped);
    skipped.extend(subnets);
    skipped
}
