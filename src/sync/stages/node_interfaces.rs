//! Stage `node-interfaces`: VLANs, network interfaces and addresses of the devices that stand for nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Summary, require_some};
use crate::inventory::{NodeInterface, NodeNetworks};
use crate::mapping::node_interface::{addresses as wanted_addresses, mac_address, vlan_id};
use crate::netbox;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{Assignment, Device, DeviceInterface, IpAddress, MacAddress, Vlan, VlanGroup};
use crate::reconcile::{Mode, ObjectId, Resource as _, Stored};
use crate::stages::Part;
use crate::stages::node_addresses::{
    NodeAddresses, NodeMacs, NodePrimaryAddresses, address_selection, claim_label, standing_addresses,
};
use crate::stages::node_interfaces::{
    NodeInterfaces, NodeLinks, NodePorts, NodeVlans, interface_selection, node_ports, vlan_selection,
};
use crate::stages::vlans::group_selection;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;
use crate::sync::tell::Subject;

const PHASE: &str = "node-interfaces";
const NODES: &str = "node_interface";
const PORTS: &str = "interface";
const INTERFACES: Subject = Subject {
    phase: PHASE,
    kind: PORTS,
    page: Some("/dcim/interfaces/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_node() == Mode::Disabled || run.is_cluster_planned().await? {
        return Ok(run.nothing(PHASE));
    }
    run.tell_nodes_begun();
    let (outcome, parts) = match run.write_node_network().await {
        Ok(written) => written,
        Err(error) => {
            let text = error.to_string();
            run.asked_nodes().for_each(|node| run.tell_lost(node, &text));
            return Err(error);
        }
    };
    run.tell_nodes(&outcome, &parts);
    let mut summary = run.tell(&INTERFACES, &outcome);
    run.describe(&mut summary.records);
    run.progress.rows_end(NODES);
    Ok(summary)
}

impl EndpointRun<'_> {
    /// Reads, side by side, everything that is compared. Interfaces stand without the rest.
    async fn read_node_network(&mut self) -> Result<(), Error> {
        let facts = &self.facts;
        let (interfaces, vlans, addresses) = tokio::join!(
            self.list(vec![interface_selection(facts)]),
            self.list(vec![vlan_selection(facts)]),
            self.list(vec![address_selection(facts)]),
        );
        self.facts.known.node_network.interfaces = interfaces?;
        self.facts.known.node_network.addresses = self.or_without::<IpAddress, _>(addresses)?;
        let vlans = self.or_without::<Vlan, _>(vlans)?;
        let groups = self.read_vlan_groups(&vlans).await;
        self.facts.known.node_network.vlans = self.or_without::<Vlan, _>(groups.map(|()| vlans))?;
        Ok(())
    }

    /// Reads the groups of `vlans`, where those matter. That they may not be read is told.
    pub(super) async fn read_vlan_groups(&mut self, vlans: &[Stored<Vlan>]) -> Result<(), Error> {
        let groups = self.list::<VlanGroup>(vec![group_selection(vlans)]).await;
        self.facts.known.vlan_groups = match groups {
            Err(error @ Error::NetBox(netbox::Error::PermissionDenied { .. })) => {
                self.warnings.push(error.to_string().into());
                Vec::new()
            }
            groups => groups?,
        };
        Ok(())
    }

    /// Writes the interfaces, and what belongs to them as well as it can be done: they stand without any of it.
    async fn write_node_network(&mut self) -> Result<(Outcome, Parts), Error> {
        self.read::<NodeNetworks>().await?;
        self.bootstrap().await?;
        self.get_cluster().await?;
        self.find_node_devices().await?;
        self.read_node_network().await?;
        let mut parts = Parts {
            vlans: self.pass::<NodeVlans>().await?,
            ..Parts::default()
        };
        self.warn(PHASE, &parts.vlans);
        let outcome = self.pass::<NodeInterfaces>().await?;
        self.facts.known.node_network.made = outcome.created.iter().map(|row| row.id).collect();
        require_some("network interfaces of nodes", &outcome)?;
        parts.addresses = self.pass::<NodeAddresses>().await?;
        self.warn(PHASE, &parts.addresses);
        if self.facts.options.sync_node_topology {
            let macs = self.pass::<NodeMacs>().await;
            parts.macs = self.or_without::<MacAddress, _>(macs)?;
            self.warn(PHASE, &parts.macs);
            let refreshed = self.refresh_node_interfaces(&outcome).await;
            self.or_without::<DeviceInterface, ()>(refreshed)?;
            let links = self.pass::<NodeLinks>().await?;
            self.warn(PHASE, &links);
        }
        // Of all nodes, an operator chooses it.
        if self.facts.options.only.named(Part::Node).is_some() {
            let primary = self.pass::<NodePrimaryAddresses>().await;
            let primary = self.or_without::<Device, _>(primary)?;
            self.warn(PHASE, &primary);
        }
        Ok((outcome, parts))
    }

    /// What was written is read again before it is linked.
    async fn refresh_node_interfaces(&mut self, outcome: &Outcome) -> Result<(), Error> {
        let is_written = outcome.created.len() + outcome.updated.len() > 0;
        if is_written && !self.is_dry_run {
            let selection = interface_selection(&self.facts);
            self.facts.known.node_network.interfaces = self.list(vec![selection]).await?;
        }
        Ok(())
    }

    /// Every node's turn has come.
    fn tell_nodes_begun(&self) {
        for node in self.asked_nodes() {
            let columns = json!({"completed": false, "sync_status": "syncing", "rowid": node, "name": node});
            self.progress.columns(NODES, "sync", node, &columns);
        }
    }

    /// Tells that nothing came of a node.
    fn tell_lost(&self, node: &str, error: &str) {
        let columns = json!({"completed": true, "rowid": node, "name": node, "error": error});
        self.progress.columns(NODES, "sync", node, &columns);
    }

    /// The names of the nodes that the request is about.
    fn asked_nodes(&self) -> impl Iterator<Item = &str> {
        let nodes = self.facts.cluster.nodes.iter().map(|node| node.name.as_str());
        nodes.filter(|node| self.facts.options.only.takes(Part::Node, node))
    }

    /// Tells each interface and each node, as rows of the plugin's tables.
    fn tell_nodes(&self, outcome: &Outcome, parts: &Parts) {
        let failures = reasons(outcome);
        let nodes = node_ports(&self.facts);
        for node in &nodes {
            let mut count = 0;
            let mut warnings = Vec::new();
            for (name, port) in &node.ports {
                let error = failures.get(DeviceInterface::key_of(node.device, name).as_str());
                count += usize::from(error.is_none());
                let columns = json!({
                    "completed": true,
                    "rowid": name,
                    "name": name,
                    "netbox_id": node.find(&self.facts, name).and_then(Ids::told),
                    "device": node.node,
                    "ip_address": port.cidr.as_ref().or(port.address.as_ref()),
                    "error": error,
                });
                self.progress.columns(PORTS, "sync", name, &columns);
                warnings.extend(self.shortfalls(node, (name, port), parts));
            }
            let columns = json!({"completed": true, "rowid": node.node, "name": node.node, "count": count});
            let columns = if node.ports.is_empty() {
                with(columns, [("warning", json!("no interfaces"))])
            } else if warnings.is_empty() {
                columns
            } else {
                with(columns, [("degraded", json!(true)), ("warnings", json!(warnings))])
            };
            self.progress.columns(NODES, "sync", node.node, &columns);
        }
        let gaps = self.facts.inventory.gaps::<NodeNetworks>();
        for node in self
            .asked_nodes()
            .filter(|name| nodes.iter().all(|node| node.node != *name))
        {
            let source = format!("node {node}");
            let gap = gaps.iter().find(|gap| gap.source == source);
            let error = failures.get(node).copied().or(gap.map(|gap| gap.message.as_str()));
            self.tell_lost(node, error.unwrap_or("not read"));
        }
    }

    /// What could not be written of an interface that stands.
    fn shortfalls(&self, node: &NodePorts<'_>, (name, port): (&str, &NodeInterface), parts: &Parts) -> Vec<Value> {
        let mut found = Vec::new();
        let mut tell = |reason: Option<&&str>, what: Value| {
            if let Some(reason) = reason {
                let whose = [
                    ("device", json!(node.node)),
                    ("interface", json!(name)),
                    ("reason", json!(reason)),
                ];
                found.push(with(what, whose));
            }
        };
        let [vlans, addresses, macs] = [&parts.vlans, &parts.addresses, &parts.macs].map(reasons);
        let vlan = vlan_id(port).and_then(|vid| vlans.get(Vlan::key_of(vid, None, None).as_str()));
        tell(vlan, json!({"kind": "vlan"}));
        let Some(interface) = node.find(&self.facts, name) else {
            return found;
        };
        let assigned = Assignment::DeviceInterface(interface);
        for address in wanted_addresses(port, self.facts.options.sync_node_topology) {
            let key = IpAddress::key_of(address.host, Some(&assigned));
            let claim = claim_label(node, name, address.host);
            let reason = addresses.get(key.as_str()).or_else(|| addresses.get(claim.as_str()));
            tell(reason, json!({"kind": "ip", "address": address.host}));
        }
        if let Some(mac) = mac_address(port, interface) {
            tell(
                macs.get(mac.key().as_str()),
                json!({"kind": "mac", "mac": mac.mac_address}),
            );
        }
        found
    }

    /// Records of interfaces as the plugin knows them: by their own name, with their addresses.
    fn describe(&self, records: &mut [Value]) {
        let is_topology = self.facts.options.sync_node_topology;
        let nodes = node_ports(&self.facts);
        let ports = nodes
            .iter()
            .flat_map(|node| node.ports.iter().map(move |port| (node, port)));
        let places: BTreeMap<u64, _> = ports
            .filter_map(|(node, (name, port))| Some((node.find(&self.facts, name)?.0, (node, *name, *port))))
            .collect();
        for record in records {
            let id = record["id"].as_u64().unwrap_or_default();
            let Some((node, name, port)) = places.get(&id) else {
                continue;
            };
            record["name"] = json!(name);
            let standing = standing_addresses(&self.facts, node, name).into_iter();
            let mut standing = standing.map(|(id, address)| (id, format!("{}/{}", address.host, address.prefix)));
            if is_topology {
                let addresses = standing.map(|(id, address)| json!({"id": id, "address": address}));
                record["ip_addresses"] = addresses.collect();
                let mac = mac_address(port, ObjectId(id));
                let mac = mac.filter(|mac| self.facts.ids.find::<MacAddress>(&mac.key()).is_some());
                record["mac_address"] = json!(mac.map(|mac| mac.mac_address));
            } else if let Some((id, address)) = standing.next() {
                (record["ip_id"], record["ip_address"]) = (json!(Ids::told(id)), json!(address));
            }
        }
    }
}

/// What became of the rows that belong to interfaces.
#[derive(Debug, Default)]
struct Parts {
    vlans: Outcome,
    addresses: Outcome,
    macs: Outcome,
}

/// An object with further members.
fn with<const N: usize>(mut object: Value, members: [(&str, Value); N]) -> Value {
    if let Value::Object(object) = &mut object {
        object.extend(members.map(|(name, value)| (name.to_owned(), value)));
    }
    object
}

/// Why rows could not be written, by their key, or by what they are called where they were refused without one.
fn reasons(outcome: &Outcome) -> BTreeMap<&str, &str> {
    let failed = outcome.failed.iter().map(|failure| {
        let key = if failure.key.is_empty() {
            &failure.label
        } else {
            &failure.key
        };
        (key.as_str(), failure.message.as_str())
    });
    failed.collect()
}
