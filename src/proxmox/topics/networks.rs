//! Firewalls.

use super::rows_if_offered;
use crate::proxmox::types::{FirewallName, FirewallRule};
use crate::proxmox::{Error, GuestKind, Resource, Rows, Session, Vmid};

/// Whose firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirewallOf<'a> {
    /// The cluster's.
    Cluster,
    /// A node's.
    Node(&'a str),
    /// A guest's.
    Guest(&'a str, GuestKind, Vmid),
}

impl FirewallOf<'_> {
    fn place(self, session: &Session) -> Resource {
        match self {
            Self::Cluster => session.cluster().firewall(),
            Self::Node(node) => session.nodes(node).firewall(),
            Self::Guest(node, kind, vmid) => session.nodes(node).guest(kind, vmid).firewall(),
        }
    }
}

impl Session {
    /// `…/firewall/rules`, in the order in which they hold.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_rules(&self, whose: FirewallOf<'_>) -> Result<Rows<FirewallRule>, Error> {
        whose.place(self).child("rules").get_rows().await
    }

    /// `…/firewall/aliases`, of the cluster or a guest; nodes have none.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_aliases(&self, whose: FirewallOf<'_>) -> Result<Rows<FirewallName>, Error> {
        rows_if_offered(whose.place(self).child("aliases")).await
    }

    /// `…/firewall/ipset`: the sets of addresses, of the cluster or a guest; nodes have none.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_ipsets(&self, whose: FirewallOf<'_>) -> Result<Rows<FirewallName>, Error> {
        rows_if_offered(whose.place(self).child("ipset")).await
    }

    /// `cluster/firewall/groups`: the groups of rules.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_groups(&self) -> Result<Rows<FirewallName>, Error> {
        self.cluster().firewall().child("groups").get_rows().await
    }
}
