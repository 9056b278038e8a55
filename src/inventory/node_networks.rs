//! Network interfaces of nodes.

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Inventory, NodeInterface, Reader, Slot};
use crate::proxmox::Error;

/// The network interfaces of nodes.
#[derive(Debug)]
pub struct NodeNetworks;

/// The network interfaces of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNetwork {
    /// The node's name.
    pub node: String,
    /// Its interfaces, in the order sent.
    pub interfaces: Vec<NodeInterface>,
    /// Whether every row that was sent could be read.
    pub is_complete: bool,
}

impl Area for NodeNetworks {
    type Item = NodeNetwork;

    fn slot(inventory: &Inventory) -> &Slot<NodeNetwork> {
        &inventory.node_networks
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<NodeNetwork> {
        &mut inventory.node_networks
    }

    /// Asks every node that is online; one that is not, or does not answer, is a gap. That none answers is an error.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<NodeNetwork>, Error> {
        let mut collected = Collected {
            items: Vec::new(),
            gaps: reader.offline_gaps(),
        };
        let mut failure = None;
        let nodes: Vec<&str> = reader.online_nodes().collect();
        let answers = fan_out(
            nodes,
            Limits::of(reader),
            |node| node,
            |node| reader.session.list_node_interfaces(node, None),
        );
        for (node, answer) in answers.await {
            match answer {
                Ok(rows) => {
                    collected
                        .gaps
                        .extend(rows.rejected.iter().map(|row| Gap::row("network interface", row)));
                    collected.items.push(NodeNetwork {
                        node: node.to_owned(),
                        is_complete: rows.rejected.is_empty(),
                        interfaces: rows.items,
                    });
                }
                Err(error) => {
                    collected.gaps.push(Gap::new(format!("node {node}"), &error));
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) if collected.items.is_empty() => Err(error),
            Some(_) | None => Ok(collected),
        }
    }
}
