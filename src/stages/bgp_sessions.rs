//! Controllers and fabrics that speak BGP: their groups of peers, and their sessions.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::bgp::{BgpSource, Projected, id_of, place};
use super::sdn::Skipped;
use super::{Facts, Selection};
use crate::inventory::SdnNetworks;
use crate::mapping::bgp::{self, BgpPlace, bgp_name};
use crate::netbox::objects::{Asn, BgpKind, BgpPeerGroup, BgpRow, BgpSession, IpAddress};
use crate::reconcile::ObjectId;

/// A controller or fabric that speaks BGP.
struct Speaker<'a> {
    name: &'a str,
    asn: Option<i64>,
    peers: &'a [String],
    raw: &'a Map<String, Value>,
}

fn speakers(networks: &SdnNetworks) -> Vec<Speaker<'_>> {
    let speaks = |kind: &Option<String>| matches!(kind.as_deref(), Some("bgp" | "evpn"));
    let controllers = networks.controllers.rows.iter().filter(|found| speaks(&found.row.kind));
    let controllers = controllers.filter_map(|found| {
        Some(Speaker {
            name: found.row.name()?,
            asn: found.row.asn,
            peers: &found.row.peers,
            raw: &found.raw,
        })
    });
    let fabrics = networks.fabrics.rows.iter().filter(|found| speaks(&found.row.protocol));
    let fabrics = fabrics.filter_map(|found| {
        Some(Speaker {
            name: found.row.name()?,
            asn: found.row.asn,
            peers: &found.row.peers,
            raw: &found.raw,
        })
    });
    controllers.chain(fabrics).collect()
}

impl BgpSource for BgpPeerGroup {
    const SOURCE: &'static str = "bgp-peer-group";
    const TARGET: &'static str = "netbox_bgp.bgppeergroup";
    const FILTER: Option<&'static str> = Some("name");

    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let speakers = place(facts).map(|place| (place, speakers(networks))).into_iter();
        let rows = speakers.flat_map(|(place, speakers)| {
            speakers.into_iter().map(move |speaker| Projected {
                body: bgp::peer_group(place, speaker.name, speaker.raw),
                source: speaker.name.to_owned(),
                raw: speaker.raw.clone(),
            })
        });
        (rows.collect(), Vec::new())
    }
}

impl BgpSource for BgpSession {
    const SOURCE: &'static str = "bgp-session";
    const TARGET: &'static str = "netbox_bgp.bgpsession";
    const FILTER: Option<&'static str> = Some("name");

    fn projected(facts: &Facts, networks: &SdnNetworks) -> (Vec<Projected<Self>>, Vec<Skipped>) {
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        let known = &facts.known;
        let has_parts = !(known.is_unread::<IpAddress>() || known.is_unread::<Asn>());
        let Some(place) = place(facts).filter(|_| has_parts && !known.is_unread::<BgpRow<BgpPeerGroup>>()) else {
            return (rows, skipped);
        };
        for speaker in speakers(networks) {
            for text in speaker.peers {
                let source = format!("{}/{text}", speaker.name);
                match session(facts, place, &speaker, text) {
                    Ok(body) => rows.push(Projected {
                        body,
                        source,
                        raw: speaker.raw.clone(),
                    }),
                    Err(reason) => skipped.push(Skipped {
                        kind: Self::KIND,
                        name: source,
                        reason,
                    }),
                }
            }
        }
        (rows, skipped)
    }
}

/// The session of `speaker` with the peer `text`. Both addresses and both autonomous systems have to stand in NetBox.
fn session(facts: &Facts, place: BgpPlace<'_>, speaker: &Speaker<'_>, text: &str) -> Result<BgpSession, String> {
    let peer = bgp::peer(text, speaker.raw).ok_or("it is no address")?;
    let local = bgp::local_address(speaker.raw).ok_or("the address it speaks from is not known")?;
    let group = bgp::peer_group(place, speaker.name, speaker.raw);
    Ok(BgpSession {
        name: bgp_name(place, &format!("{} {}", speaker.name, peer.address)),
        status: "active".to_owned(),
        local_address: address(facts, local)?,
        remote_address: address(facts, peer.address)?,
        local_as: asn(facts, speaker.asn.and_then(|asn| asn.try_into().ok()))?,
        remote_as: asn(facts, peer.asn)?,
        peer_group: id_of::<BgpPeerGroup>(facts, &group.name),
        description: group.description,
        comments: group.comments,
    })
}

fn address(facts: &Facts, host: IpAddr) -> Result<ObjectId, String> {
    let whole = if host.is_ipv4() { 32 } else { 128 };
    let known = facts.known.sdn.addresses.iter();
    let mut fits = known.filter(|stored| stored.object.host == host && stored.object.prefix == Some(whole));
    let found = fits.next().map(|stored| stored.id);
    found.ok_or_else(|| format!("NetBox has no address {host}/{whole}"))
}

fn asn(facts: &Facts, number: Option<u32>) -> Result<ObjectId, String> {
    let number = number.ok_or("an autonomous system is not known")?;
    let mut known = facts.known.sdn.asns.iter();
    let found = known.find(|stored| stored.object.asn == number).map(|stored| stored.id);
    found.ok_or_else(|| format!("NetBox has no ASN {number}"))
}

/// The addresses of all speakers and their peers.
pub fn address_selection(facts: &Facts) -> Selection {
    let speakers = facts.inventory.networks().map(speakers).unwrap_or_default();
    let hosts: BTreeSet<IpAddr> = speakers
        .iter()
        .flat_map(|speaker| {
            let peers = speaker.peers.iter().filter_map(|text| bgp::peer(text, speaker.raw));
            bgp::local_address(speaker.raw)
                .into_iter()
                .chain(peers.map(|peer| peer.address))
        })
        .collect();
    Selection::any_of("address", hosts)
}

/// The autonomous systems of all speakers and their peers.
pub fn asn_selection(facts: &Facts) -> Selection {
    let speakers = facts.inventory.networks().map(speakers).unwrap_or_default();
    let numbers: BTreeSet<u32> = speakers
        .iter()
        .flat_map(|speaker| {
            let peers = speaker
                .peers
                .iter()
                .filter_map(|text| bgp::peer(text, speaker.raw)?.asn);
            speaker.asn.and_then(|asn| asn.try_into().ok()).into_iter().chain(peers)
        })
        .collect();
    Selection::any_of("asn", numbers)
}
