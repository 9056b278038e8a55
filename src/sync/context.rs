//! What a run works with: a NetBox, endpoints, limits.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::netbox::Client;
use crate::proxmox::{self, Session};
use crate::reconcile::Limits;
use crate::stages::EndpointFacts;

/// An endpoint that takes part in a run.
#[derive(Debug)]
pub struct SyncEndpoint {
    /// Who it is, and its settings.
    pub facts: EndpointFacts,
    /// The session with it, or why there cannot be one.
    pub session: Result<Session, proxmox::Error>,
}

/// What a run works with.
#[derive(Debug)]
pub struct RunContext {
    /// The NetBox to write to, on its branch.
    pub netbox: Client,
    /// The endpoints, in order.
    pub endpoints: Vec<SyncEndpoint>,
    /// The ids of all configured endpoints, whether they take part or not; `None`: unknown. A virtual machine of an
    /// endpoint that is configured no more may be taken over by the one that now shows its guest.
    pub endpoint_ids: Option<BTreeSet<i64>>,
    /// Ids of endpoints that were asked for and that do not exist. Where there are any, nothing is swept.
    pub missing: Vec<i64>,
    /// Whether virtual machines whose guest is gone are marked at the end of a full update.
    pub delete_orphans: bool,
    /// The shrink guard.
    pub limits: Limits,
    /// How old a sync-state time stamp may grow before it is refreshed without another change; zero: always.
    pub stamp_interval: Duration,
    /// How long what one run has read of Proxmox serves the next; zero: not at all. A run itself uses it to its end.
    pub inventory_ttl: Duration,
    /// How long a guest agent may take to answer.
    pub agent_timeout: Duration,
    /// Whether the plugin's settings ask for the hardware of nodes, which this service does not read.
    pub wants_hardware: bool,
    /// Keep the state of guests' links, their largest packets and the VLANs of their trunks too.
    pub sync_links: bool,
}
