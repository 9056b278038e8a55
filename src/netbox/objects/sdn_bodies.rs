//! What the plugin's rows say of each kind of object of software-defined networks.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::sdn::SdnKind;
use super::shape::{Choice, Relation, put, put_id};
use crate::reconcile::{Fields, ObjectId};

/// Reads a list of texts; anything else is none.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let items = value.as_array().into_iter().flatten();
    Ok(items.filter_map(|item| item.as_str().map(str::to_owned)).collect())
}

/// Reads a relation that may be empty.
fn relation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ObjectId>, D::Error> {
    Ok(Option::<Relation>::deserialize(deserializer)?.map(Into::into))
}

/// Reads a choice.
fn choice<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Choice::deserialize(deserializer)?.value)
}

/// A controller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnControllerBody {
    /// Its name.
    pub controller_name: String,
    /// Its kind.
    pub controller_type: String,
    /// The number of its autonomous system.
    pub asn: Option<i32>,
    /// Whom it speaks to.
    #[serde(deserialize_with = "texts")]
    pub peers: Vec<String>,
    /// The nodes that it is on.
    #[serde(deserialize_with = "texts")]
    pub nodes: Vec<String>,
    /// The interface that it speaks from.
    pub loopback: String,
    /// What is to become of it.
    pub state: String,
}

impl SdnKind for SdnControllerBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-controllers/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdncontroller";
    const KIND: &'static str = "SDN controller";

    fn name(&self) -> String {
        self.controller_name.clone()
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("controller_name", self.controller_name.clone().into()),
            ("controller_type", self.controller_type.clone().into()),
            ("peers", self.peers.clone().into()),
            ("nodes", self.nodes.clone().into()),
            ("loopback", self.loopback.clone().into()),
            ("state", self.state.clone().into()),
        ]);
        put(fields, "asn", self.asn);
    }
}

/// A fabric.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnFabricBody {
    /// Its name.
    pub fabric_name: String,
    /// Its kind: one of the plugin's choices.
    #[serde(deserialize_with = "choice")]
    pub fabric_type: String,
    /// The number of its autonomous system.
    pub asn: Option<i32>,
    /// Whether it makes subnets known.
    pub advertise_subnets: bool,
    /// Whether neighbours are asked for addresses.
    pub disable_arp_nd_suppression: bool,
    /// The VXLAN number of its routing.
    pub vrf_vxlan: Option<i32>,
    /// Whom it speaks to.
    #[serde(deserialize_with = "texts")]
    pub peers: Vec<String>,
}

impl SdnKind for SdnFabricBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-fabrics/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnfabric";
    const KIND: &'static str = "SDN fabric";

    fn name(&self) -> String {
        self.fabric_name.clone()
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("fabric_name", self.fabric_name.clone().into()),
            ("fabric_type", self.fabric_type.clone().into()),
            ("advertise_subnets", self.advertise_subnets.into()),
            ("disable_arp_nd_suppression", self.disable_arp_nd_suppression.into()),
            ("peers", self.peers.clone().into()),
        ]);
        put(fields, "asn", self.asn);
        put(fields, "vrf_vxlan", self.vrf_vxlan);
    }
}

/// An entry of a route map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnRouteMapBody {
    /// The name of its route map.
    pub name: String,
    /// Its place in the route map.
    pub order: i32,
    /// What becomes of routes that fit.
    pub action: String,
    /// The peer whose routes fit.
    pub match_peer: String,
    /// The prefix list whose routes fit.
    pub match_ip: String,
    /// The community that they are given.
    pub set_community: String,
}

impl SdnKind for SdnRouteMapBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-route-maps/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnroutemap";
    const KIND: &'static str = "SDN route map";

    fn name(&self) -> String {
        format!("{} {}", self.name, self.order)
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("name", self.name.clone().into()),
            ("order", self.order.into()),
            ("action", self.action.clone().into()),
            ("match_peer", self.match_peer.clone().into()),
            ("match_ip", self.match_ip.clone().into()),
            ("set_community", self.set_community.clone().into()),
        ]);
    }
}

/// An entry of a prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnPrefixBody {
    /// The name of its list.
    pub name: String,
    /// The network.
    pub cidr: String,
    /// What becomes of routes that fit.
    pub action: String,
    /// The longest mask that fits.
    pub le: Option<i32>,
    /// The shortest mask that fits.
    pub ge: Option<i32>,
}

impl SdnKind for SdnPrefixBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-prefix-lists/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnprefixlist";
    const KIND: &'static str = "SDN prefix list";

    fn name(&self) -> String {
        format!("{} {}", self.name, self.cidr)
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("name", self.name.clone().into()),
            ("cidr", self.cidr.clone().into()),
            ("action", self.action.clone().into()),
        ]);
        put(fields, "le", self.le);
        put(fields, "ge", self.ge);
    }
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnZoneBody {
    /// Its name.
    pub zone_name: String,
    /// Its kind.
    pub zone_type: String,
    /// The controller that routes in it.
    pub controller: String,
    /// The VXLAN number of its routing.
    pub vrf_vxlan: Option<i32>,
    /// Its outer VLAN.
    pub tag: Option<i32>,
    /// Its largest packets.
    pub mtu: Option<i32>,
    /// Who is told its names.
    pub dns: String,
    /// Who gives out its addresses.
    pub ipam: String,
    /// The route targets whose routes it takes in.
    #[serde(deserialize_with = "texts")]
    pub rt_import: Vec<String>,
    /// What is to become of it.
    pub state: String,
}

impl SdnKind for SdnZoneBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-zones/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnzone";
    const KIND: &'static str = "SDN zone";

    fn name(&self) -> String {
        self.zone_name.clone()
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("zone_name", self.zone_name.clone().into()),
            ("zone_type", self.zone_type.clone().into()),
            ("controller", self.controller.clone().into()),
            ("dns", self.dns.clone().into()),
            ("ipam", self.ipam.clone().into()),
            ("rt_import", self.rt_import.clone().into()),
            ("state", self.state.clone().into()),
        ]);
        put(fields, "vrf_vxlan", self.vrf_vxlan);
        put(fields, "tag", self.tag);
        put(fields, "mtu", self.mtu);
    }
}

/// A virtual network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnVnetBody {
    /// Its name.
    pub vnet_name: String,
    /// Its zone.
    pub zone_name: String,
    /// Its kind.
    pub vnet_type: String,
    /// Its VLAN or VXLAN number.
    pub tag: Option<i32>,
    /// What it is called.
    pub alias: String,
    /// Whether guests choose VLANs on it.
    pub vlanaware: bool,
    /// What is to become of it.
    pub state: String,
    /// The L2VPN that stands for it.
    #[serde(deserialize_with = "relation")]
    pub l2vpn: Option<ObjectId>,
}

impl SdnKind for SdnVnetBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-vnets/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnvnet";
    const KIND: &'static str = "SDN virtual network";

    fn name(&self) -> String {
        self.vnet_name.clone()
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("vnet_name", self.vnet_name.clone().into()),
            ("zone_name", self.zone_name.clone().into()),
            ("vnet_type", self.vnet_type.clone().into()),
            ("alias", self.alias.clone().into()),
            ("vlanaware", self.vlanaware.into()),
            ("state", self.state.clone().into()),
        ]);
        put(fields, "tag", self.tag);
        put_id(fields, "l2vpn", self.l2vpn);
    }
}

/// A subnet of a virtual network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SdnSubnetBody {
    /// Its virtual network.
    pub vnet_name: String,
    /// Its zone.
    pub zone_name: String,
    /// Its name in Proxmox.
    pub subnet: String,
    /// Its kind.
    pub subnet_type: String,
    /// Its gateway.
    pub gateway: String,
    /// Whether its guests go out under the address of the host.
    pub snat: bool,
    /// The prefix that stands for it.
    #[serde(deserialize_with = "relation")]
    pub prefix: Option<ObjectId>,
    /// Why no prefix does.
    pub skip_reason: String,
}

impl SdnKind for SdnSubnetBody {
    const PATH: &'static str = "/api/plugins/proxbox/sdn-subnets/";
    const MODEL: &'static str = "netbox_proxbox.proxmoxsdnsubnet";
    const KIND: &'static str = "SDN subnet";

    fn name(&self) -> String {
        format!("{}/{}", self.vnet_name, self.subnet)
    }

    fn put(&self, fields: &mut Fields) {
        fields.extend([
            ("vnet_name", self.vnet_name.clone().into()),
            ("zone_name", self.zone_name.clone().into()),
            ("subnet", self.subnet.clone().into()),
            ("subnet_type", self.subnet_type.clone().into()),
            ("gateway", self.gateway.clone().into()),
            ("snat", self.snat.into()),
            ("skip_reason", self.skip_reason.clone().into()),
        ]);
        put_id(fields, "prefix", self.prefix);
    }
}
