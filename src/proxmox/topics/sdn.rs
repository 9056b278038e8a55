//! Software-defined networks.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::rows_if_offered;
use crate::proxmox::types::{SdnNodeKind, SdnNodeRow, SdnState, SdnSubnet, SdnVnet, SdnZone, Verbatim};
use crate::proxmox::{Error, RejectedRow, Resource, Rows, Session};

/// How many lists of one node are read at once.
const LISTS_AT_ONCE: usize = 4;

/// What a node says of the software-defined networks on it.
#[derive(Debug, Default)]
pub struct SdnOnNode {
    /// What could be read.
    pub rows: Vec<SdnNodeRow>,
    /// Rows that could not be understood.
    pub rejected: Vec<RejectedRow>,
    /// The paths that could not be read, and why.
    pub failures: Vec<(String, Error)>,
}

/// A list about a network on a node.
struct List {
    kind: SdnNodeKind,
    place: Resource,
    zone: Option<String>,
    vnet: Option<String>,
}

impl SdnOnNode {
    fn take(&mut self, node: &str, list: &List, answer: Result<Rows<Verbatim<SdnState>>, Error>) {
        let rows = match answer {
            Ok(rows) => rows,
            Err(error) => {
                let path = list.place.plain_path().unwrap_or_default().to_owned();
                self.failures.push((path, error));
                return;
            }
        };
        self.rejected.extend(rows.rejected);
        self.rows.extend(rows.items.into_iter().map(|found| {
            let mut state = found.row;
            state.zone = state.zone.or_else(|| list.zone.clone());
            state.vnet = state.vnet.or_else(|| list.vnet.clone());
            SdnNodeRow {
                node: node.to_owned(),
                kind: list.kind,
                state,
                raw: found.raw,
            }
        }));
    }
}

impl Session {
    /// What `node` says of its zones: that they are there, their bridges and virtual networks, and of those that route,
    /// their routes and neighbours. `routed` are the zones that do, with their virtual networks. What the release does not
    /// offer has no rows.
    pub async fn sdn_on_node(&self, node: &str, routed: &BTreeMap<String, Vec<String>>) -> SdnOnNode {
        let mut found = SdnOnNode::default();
        let place = self.nodes(node).child("sdn");
        let zones = List {
            kind: SdnNodeKind::Zone,
            place: place.child("zones"),
            zone: None,
            vnet: None,
        };
        let answer = rows_if_offered(zones.place.clone()).await;
        found.take(node, &zones, answer);
        let names = found.rows.iter().filter_map(|row| row.state.zone.clone());
        let lists: Vec<List> = names.flat_map(|zone| lists_of(&place, &zone, routed)).collect();
        let answers = stream::iter(lists).map(|list| async move {
            let answer = rows_if_offered(list.place.clone()).await;
            (list, answer)
        });
        for (list, answer) in answers.buffered(LISTS_AT_ONCE).collect::<Vec<_>>().await {
            found.take(node, &list, answer);
        }
        found
    }

    /// `cluster/sdn/zones`. Rows the identity may not see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_sdn_zones(&self) -> Result<Rows<SdnZone>, Error> {
        rows_if_offered(self.cluster().sdn().child("zones")).await
    }

    /// `cluster/sdn/vnets`. Rows the identity may not see are left out without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_sdn_vnets(&self) -> Result<Rows<SdnVnet>, Error> {
        rows_if_offered(self.cluster().sdn().child("vnets")).await
    }

    /// `cluster/sdn/vnets/{vnet}/subnets`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_sdn_subnets(&self, vnet: &str) -> Result<Rows<SdnSubnet>, Error> {
        rows_if_offered(self.cluster().sdn().child("vnets").child(vnet).child("subnets")).await
    }
}

/// The lists about `zone` on the node at `place`.
fn lists_of(place: &Resource, zone: &str, routed: &BTreeMap<String, Vec<String>>) -> Vec<List> {
    let below = place.child("zones").child(zone);
    let list = |kind, place, vnet| List {
        kind,
        place,
        zone: Some(zone.to_owned()),
        vnet,
    };
    let mut lists = vec![
        list(SdnNodeKind::Bridge, below.child("bridges"), None),
        list(SdnNodeKind::Content, below.child("content"), None),
    ];
    if let Some(vnets) = routed.get(zone) {
        lists.push(list(SdnNodeKind::IpVrf, below.child("ip-vrf"), None));
        lists.extend(vnets.iter().map(|vnet| {
            let place = place.child("vnets").child(vnet).child("mac-vrf");
            list(SdnNodeKind::MacVrf, place, Some(vnet.clone()))
        }));
    }
    lists
}
