//! Software-defined networks.

use serde::de::DeserializeOwned;

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Inventory, Reader, Slot};
use crate::proxmox::types::{
    SdnController, SdnFabric, SdnNodeRow, SdnPrefix, SdnPrefixList, SdnRouteMapEntry, SdnSubnet, SdnVnet, SdnZone,
    Verbatim, evpn_zones,
};
use crate::proxmox::{Error, Resource};

/// The software-defined networks of a cluster: one item.
#[derive(Debug)]
pub struct Sdn;

/// All that defines the networks, and how they stand on the nodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SdnNetworks {
    /// Controllers.
    pub controllers: SdnList<Verbatim<SdnController>>,
    /// Zones.
    pub zones: SdnList<Verbatim<SdnZone>>,
    /// Virtual networks.
    pub vnets: SdnList<Verbatim<SdnVnet>>,
    /// Subnets, each with the name of its virtual network.
    pub subnets: SdnList<Verbatim<SdnSubnet>>,
    /// Fabrics.
    pub fabrics: SdnList<Verbatim<SdnFabric>>,
    /// Entries of route maps.
    pub route_maps: SdnList<Verbatim<SdnRouteMapEntry>>,
    /// Entries of prefix lists, each with the name of its list.
    pub prefix_lists: SdnList<Verbatim<SdnPrefix>>,
    /// How networks stand on the nodes.
    pub on_nodes: SdnList<SdnNodeRow>,
}

impl SdnNetworks {
    /// How many objects there are, how they stand on the nodes aside.
    pub fn count(&self) -> usize {
        self.controllers.rows.len()
            + self.zones.rows.len()
            + self.vnets.rows.len()
            + self.subnets.rows.len()
            + self.fabrics.rows.len()
            + self.route_maps.rows.len()
            + self.prefix_lists.rows.len()
    }

    /// How many kinds of objects the release does not offer.
    pub fn count_unsupported(&self) -> usize {
        let offered = [
            self.controllers.is_offered,
            self.zones.is_offered,
            self.vnets.is_offered,
            self.fabrics.is_offered,
            self.route_maps.is_offered,
            self.prefix_lists.is_offered,
        ];
        offered.iter().filter(|is_offered| !**is_offered).count()
    }
}

/// A list of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdnList<T> {
    /// What could be read.
    pub rows: Vec<T>,
    /// Whether these are all: what is not among them is gone.
    pub is_complete: bool,
    /// Whether the release has such objects.
    pub is_offered: bool,
}

impl<T> Default for SdnList<T> {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            is_complete: false,
            is_offered: true,
        }
    }
}

/// A list and what was missing from it.
type Part<T> = (SdnList<T>, Vec<Gap>);

impl Area for Sdn {
    type Item = SdnNetworks;

    fn slot(inventory: &Inventory) -> &Slot<SdnNetworks> {
        &inventory.sdn
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<SdnNetworks> {
        &mut inventory.sdn
    }

    /// Reads the lists of the cluster side by side, then those below them, then the nodes that are online. A list that
    /// cannot be read is a gap; one that the release does not offer is empty. Networks that the credentials may not see are
    /// left out by Proxmox without a word, so such credentials make a gap.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<SdnNetworks>, Error> {
        let place = reader.session.cluster().sdn();
        let prefix_lists = place.child("prefix-lists");
        let (controllers, zones, vnets, fabrics, route_maps, lists) = tokio::join!(
            Box::pin(list(place.child("controllers"), "controller")),
            Box::pin(list(place.child("zones"), "zone")),
            Box::pin(list(place.child("vnets"), "virtual network")),
            Box::pin(list(place.child("fabrics").child("fabric"), "fabric")),
            Box::pin(list(place.child("route-maps").child("entries"), "route map")),
            Box::pin(list::<SdnPrefixList>(prefix_lists.clone(), "prefix list")),
        );
        let subnets = subnets(reader, &place.child("vnets"), &vnets.0).await;
        let prefixes = prefixes(reader, &prefix_lists, lists.0).await;
        let on_nodes = on_nodes(reader, &zones.0, &vnets.0).await;
        let mut gaps = Vec::new();
        let mut networks = SdnNetworks {
            controllers: taken(controllers, &mut gaps),
            zones: taken(zones, &mut gaps),
            vnets: taken(vnets, &mut gaps),
            subnets: taken(subnets, &mut gaps),
            fabrics: taken(fabrics, &mut gaps),
            route_maps: taken(route_maps, &mut gaps),
            prefix_lists: taken(prefixes, &mut gaps),
            on_nodes: taken(on_nodes, &mut gaps),
        };
        gaps.extend(lists.1);
        let capabilities = &reader.session.metadata().await?.capabilities;
        if !capabilities.sees_all_networks() {
            networks.doubt();
            gaps.push(Gap::hidden(
                "cluster/sdn",
                capabilities,
                "networks without SDN.Audit are not visible to these credentials",
            ));
        }
        let items = vec![networks];
        Ok(Collected { items, gaps })
    }
}

impl SdnNetworks {
    /// There may be more than was read.
    fn doubt(&mut self) {
        self.controllers.is_complete = false;
        self.zones.is_complete = false;
        self.vnets.is_complete = false;
        self.subnets.is_complete = false;
        self.fabrics.is_complete = false;
        self.route_maps.is_complete = false;
        self.prefix_lists.is_complete = false;
        self.on_nodes.is_complete = false;
    }
}

fn taken<T>((list, more): Part<T>, gaps: &mut Vec<Gap>) -> SdnList<T> {
    gaps.extend(more);
    list
}

/// The list at `place`; `noun` is what one row is called.
async fn list<T: DeserializeOwned>(place: Resource, noun: &str) -> Part<Verbatim<T>> {
    let mut list = SdnList::default();
    let rows = match place.get_rows().await {
        Ok(rows) => rows,
        Err(Error::NotImplemented { .. } | Error::NotFound { .. }) => {
            list.is_offered = false;
            return (list, Vec::new());
        }
        Err(error) => {
            let path = place.plain_path().unwrap_or_default();
            return (list, vec![Gap::new(path, &error)]);
        }
    };
    list.is_complete = rows.rejected.is_empty();
    list.rows = rows.items;
    (list, rows.rejected.iter().map(|row| Gap::row(noun, row)).collect())
}

async fn subnets(
    reader: &Reader<'_>,
    place: &Resource,
    vnets: &SdnList<Verbatim<SdnVnet>>,
) -> Part<Verbatim<SdnSubnet>> {
    let heads = vnets.rows.iter().map(|vnet| vnet.row.vnet.clone()).collect();
    let (mut list, gaps) = below(reader, heads, |vnet| {
        list::<SdnSubnet>(place.child(&vnet).child("subnets"), "subnet")
    })
    .await;
    list.is_complete &= vnets.is_complete;
    list.is_offered = vnets.is_offered;
    list.rows.iter_mut().for_each(|(vnet, subnet)| {
        subnet.row.vnet.get_or_insert_with(|| vnet.clone());
    });
    (list.rows_only(), gaps)
}

async fn prefixes(
    reader: &Reader<'_>,
    place: &Resource,
    lists: SdnList<Verbatim<SdnPrefixList>>,
) -> Part<Verbatim<SdnPrefix>> {
    let heads = lists.rows.iter().filter_map(|list| list.row.name().map(str::to_owned));
    let (mut list, gaps) = below(reader, heads.collect(), |id| {
        list::<SdnPrefix>(place.child(&id).child("entries"), "entry of a prefix list")
    })
    .await;
    list.is_complete &= lists.is_complete;
    list.is_offered = lists.is_offered;
    list.rows.iter_mut().for_each(|(name, prefix)| {
        prefix.row.name.get_or_insert_with(|| name.clone());
    });
    (list.rows_only(), gaps)
}

impl<T> SdnList<(String, T)> {
    fn rows_only(self) -> SdnList<T> {
        SdnList {
            rows: self.rows.into_iter().map(|(_, row)| row).collect(),
            is_complete: self.is_complete,
            is_offered: self.is_offered,
        }
    }
}

/// The rows below each of `heads`, with its name.
async fn below<T, F>(reader: &Reader<'_>, heads: Vec<String>, read: impl Fn(String) -> F) -> Part<(String, T)>
where
    F: Future<Output = Part<T>>,
{
    let mut all = SdnList {
        is_complete: true,
        ..SdnList::default()
    };
    let mut gaps = Vec::new();
    // No node is named: the host answers.
    for (head, (list, more)) in fan_out(heads, Limits::of(reader), |_| "", read).await {
        all.is_complete &= list.is_complete;
        all.rows.extend(list.rows.into_iter().map(|row| (head.clone(), row)));
        gaps.extend(more);
    }
    (all, gaps)
}

async fn on_nodes(
    reader: &Reader<'_>,
    zones: &SdnList<Verbatim<SdnZone>>,
    vnets: &SdnList<Verbatim<SdnVnet>>,
) -> Part<SdnNodeRow> {
    let mut list = SdnList::default();
    if zones.rows.is_empty() {
        return (list, Vec::new());
    }
    let mut gaps = reader.offline_gaps();
    let routed = evpn_zones(
        zones.rows.iter().map(|zone| &zone.row),
        vnets.rows.iter().map(|vnet| &vnet.row),
    );
    let nodes: Vec<&str> = reader.online_nodes().collect();
    let answers = fan_out(
        nodes,
        Limits::of(reader),
        |node| node,
        |node| reader.session.sdn_on_node(node, &routed),
    );
    for (node, answer) in answers.await {
        list.rows.extend(answer.rows);
        let failures = answer.failures.iter();
        gaps.extend(failures.map(|(path, error)| Gap::new(path.as_str(), error)));
        let rejected = answer.rejected.iter();
        gaps.extend(rejected.map(|row| Gap::row(&format!("state of a network on {node}"), row)));
    }
    list.is_complete = gaps.is_empty();
    (list, gaps)
}
