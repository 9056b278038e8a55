//! Stage `node-interfaces`: VLANs, network interfaces and addresses of the devices that stand for nodes.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Summary, require_some};
use crate::inventory::NodeNetworks;
use crate::netbox::objects::{DeviceInterface, IpAddress, Vlan};
use crate::reconcile::Mode;
use crate::stages::Part;
use crate::stages::node_addresses::{NodeAddresses, NodeMacs, NodePrimaryAddresses, address_selection};
use crate::stages::node_interfaces::{
    NodeInterfaces, NodeLinks, NodeVlans, interface_selection, node_ports, vlan_selection,
};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome};
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
    if run.facts.options.modes.effective_node() == Mode::Disabled {
        run.progress.summary(PHASE, &Counts::default());
        return Ok(Summary::default());
    }
    run.read::<NodeNetworks>().await?;
    run.bootstrap().await?;
    run.get_cluster().await?;
    run.find_node_devices().await?;
    run.read_node_network().await?;
    let vlans = run.pass::<NodeVlans>().await?;
    run.warn(PHASE, &vlans);
    let outcome = run.pass::<NodeInterfaces>().await?;
    run.facts.known.node_network.made = outcome.created.iter().map(|row| row.id).collect();
    require_some("network interfaces of nodes", &outcome)?;
    let addresses = run.pass::<NodeAddresses>().await?;
    run.warn(PHASE, &addresses);
    if run.facts.options.sync_node_topology {
        let macs = run.pass::<NodeMacs>().await?;
        run.warn(PHASE, &macs);
        run.refresh_node_interfaces(&outcome).await?;
        let links = run.pass::<NodeLinks>().await?;
        run.warn(PHASE, &links);
    }
    // Of all nodes, an operator chooses it.
    if run.facts.options.only.named(Part::Node).is_some() {
        let primary = run.pass::<NodePrimaryAddresses>().await?;
        run.warn(PHASE, &primary);
    }
    run.tell_nodes(&outcome);
    let summary = run.tell(&INTERFACES, &outcome);
    run.progress.rows_end(NODES);
    Ok(summary)
}

impl EndpointRun<'_> {
    /// Reads, side by side, everything that is compared.
    async fn read_node_network(&mut self) -> Result<(), Error> {
        let facts = &self.facts;
        let (interfaces, vlans, addresses) = tokio::try_join!(
            self.list::<DeviceInterface>(vec![interface_selection(facts)]),
            self.list::<Vlan>(vec![vlan_selection(facts)]),
            self.list::<IpAddress>(vec![address_selection(facts)]),
        )?;
        let known = &mut self.facts.known.node_network;
        known.interfaces = interfaces;
        known.vlans = vlans;
        known.addresses = addresses;
        Ok(())
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

    /// Tells each interface and each node, as rows of the plugin's tables.
    fn tell_nodes(&self, outcome: &Outcome) {
        let failures: BTreeMap<&str, &str> = outcome
            .failed
            .iter()
            .map(|failure| (failure.key.as_str(), failure.message.as_str()))
            .collect();
        for node in node_ports(&self.facts) {
            let mut count = 0;
            for (name, port) in &node.ports {
                let key = DeviceInterface::key_of(node.device, name);
                let id = node.find(&self.facts, name);
                let error = failures.get(key.as_str());
                count += usize::from(error.is_none());
                let columns = json!({
                    "completed": true,
                    "rowid": name,
                    "name": name,
                    "netbox_id": id,
                    "device": node.node,
                    "ip_address": port.cidr.as_ref().or(port.address.as_ref()),
                    "error": error,
                });
                self.progress.columns(PORTS, "sync", name, &columns);
            }
            let columns = json!({"completed": true, "rowid": node.node, "name": node.node, "count": count});
            self.progress.columns(NODES, "sync", node.node, &columns);
        }
    }
}
