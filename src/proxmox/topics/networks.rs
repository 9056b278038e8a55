//! Firewalls.

use super::rows_if_offered;
use crate::proxmox::types::{FirewallName, FirewallOptions, FirewallRule};
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

    /// `cluster/firewall/groups/{group}`: the rules of a group, in the order in which they hold.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_group_rules(&self, group: &str) -> Result<Rows<FirewallRule>, Error> {
        let groups = self.cluster().firewall().child("groups");
        groups.child(group).get_rows().await
    }

    /// `…/firewall/ipset/{set}`: the addresses in a set of the cluster or a guest.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_ipset(&self, whose: FirewallOf<'_>, set: &str) -> Result<Rows<FirewallName>, Error> {
        whose.place(self).child("ipset").child(set).get_rows().await
    }

    /// `…/firewall/options`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn firewall_options(&self, whose: FirewallOf<'_>) -> Result<FirewallOptions, Error> {
        whose.place(self).child("options").get_as().await
    }

    /// `…/firewall`: the names of what there is below it.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_firewall_parts(&self, whose: FirewallOf<'_>) -> Result<Rows<FirewallName>, Error> {
        whose.place(self).get_rows().await
    }
}
