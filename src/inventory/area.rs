//! Areas: what can be read, and where it is kept once it was.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{
    BackupJob, Cluster, Collected, ConfiguredGuest, Container, Gap, Guest, GuestAgent, GuestSnapshots, GuestSystem,
    Guests, Node, NodeNetwork, RecordedTasks, ReplicationJob, Sdn, SdnNetworks, StorageBackups, StorageConfig, Task,
};
use crate::proxmox::types::ClusterOptions;
use crate::proxmox::{Error, GuestConfig, Session, Vmid};

/// One kind of thing to read from an endpoint.
pub trait Area {
    /// What one of them is.
    type Item: Send + Sync + 'static;

    /// Where it is kept.
    fn slot(inventory: &Inventory) -> &Slot<Self::Item>;

    /// Where it is kept, to be filled.
    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<Self::Item>;

    /// Reads it. Areas that it builds upon have been read into `reader.inventory` before.
    ///
    /// # Errors
    ///
    /// [`Error`] where nothing at all can be read; what can be read only in part has gaps.
    fn collect(reader: &Reader<'_>) -> impl Future<Output = Result<Collected<Self::Item>, Error>> + Send;
}

/// What an area was found to hold, and when.
#[derive(Debug)]
pub struct Slot<T>(Option<(Instant, Arc<Collected<T>>)>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Slot<T> {
    /// What was read, where it was.
    pub fn get(&self) -> Option<&Collected<T>> {
        self.0.as_ref().map(|(_, collected)| collected.as_ref())
    }

    /// Fills the slot with what was read just now.
    pub fn fill(&mut self, collected: Collected<T>) {
        self.0 = Some((Instant::now(), Arc::new(collected)));
    }

    /// Empties the slot unless it was read less than `limit` ago, and completely but for nodes that are offline: asking
    /// again would find nothing more.
    fn keep_fresh(&mut self, limit: Duration) {
        if !self.is_whole() {
            self.0 = None;
        }
        self.0 = self.0.take().filter(|(at, _)| at.elapsed() < limit);
    }

    /// Whether nothing was missed but on nodes that are offline.
    fn is_whole(&self) -> bool {
        self.get()
            .is_none_or(|collected| collected.gaps.iter().all(Gap::is_offline_node))
    }

    /// Takes what was read for so much younger.
    fn rejuvenate(&mut self, by: Duration) {
        if let Some((at, _)) = &mut self.0 {
            *at = (*at + by).min(Instant::now());
        }
    }
}

macro_rules! inventory {
    ($($(#[$doc:meta])* $field:ident: $item:ty,)*) => {
        /// Everything that was read of one endpoint. Clones share what was read.
        #[derive(Debug, Clone, Default)]
        pub struct Inventory {
            $($(#[$doc])* pub $field: Slot<$item>,)*
        }

        impl Inventory {
            /// Forgets areas that were read more than `limit` ago, or not completely but for nodes that are offline.
            pub fn keep_fresh(&mut self, limit: Duration) {
                self.distrust();
                $(self.$field.keep_fresh(limit);)*
            }

            /// Takes what was read for so much younger.
            pub fn rejuvenate(&mut self, by: Duration) {
                $(self.$field.rejuvenate(by);)*
            }

            /// Takes from `other` what is not held.
            pub fn complete_from(&mut self, other: Self) {
                $(if self.$field.0.is_none() {
                    self.$field = other.$field;
                })*
            }

            /// Whether nothing is held.
            pub fn is_empty(&self) -> bool {
                true $(&& self.$field.0.is_none())*
            }
        }
    };
}

inventory! {
    /// Storage definitions of the cluster.
    storages: StorageConfig,
    /// Guests as the cluster lists them, by number.
    guests: Guest,
    /// The guests' configurations, by number.
    guest_configs: ConfiguredGuest,
    /// Finished tasks of the nodes.
    tasks: Task,
    /// Backups, by storage.
    backups: StorageBackups,
    /// Snapshots, by the guest's number.
    snapshots: GuestSnapshots,
    /// Network interfaces, node by node.
    node_networks: NodeNetwork,
    /// Replication jobs of the cluster.
    replications: ReplicationJob,
    /// Backup jobs of the cluster.
    backup_jobs: BackupJob,
    /// What guest agents tell, by number.
    guest_agents: GuestAgent,
    /// How running containers see their interfaces, by number.
    containers: Container,
    /// The cluster's options: one item.
    cluster_options: ClusterOptions,
    /// The operating systems that guests' agents find themselves in.
    guest_systems: GuestSystem,
    /// Software-defined networks of the cluster: one item.
    sdn: SdnNetworks,
}

impl Inventory {
    /// Forgets what was read over a list that is not whole: of what that lacks it holds nothing, and has no gap either.
    fn distrust(&mut self) {
        if !self.storages.is_whole() {
            self.backups = Slot::default();
        }
        if !self.guests.is_whole() {
            self.guest_configs = Slot::default();
            self.guest_agents = Slot::default();
            self.guest_systems = Slot::default();
            self.containers = Slot::default();
            self.snapshots = Slot::default();
        }
    }

    /// The items of an area; none where it was not read.
    pub fn items<A: Area>(&self) -> &[A::Item] {
        A::slot(self).get().map_or(&[], |collected| collected.items.as_slice())
    }

    /// The gaps of an area; none where it was not read.
    pub fn gaps<A: Area>(&self) -> &[Gap] {
        A::slot(self).get().map_or(&[], |collected| collected.gaps.as_slice())
    }

    /// Whether an area was read, and completely.
    pub fn is_complete<A: Area>(&self) -> bool {
        A::slot(self).get().is_some_and(Collected::is_complete)
    }

    /// The guest with this number.
    pub fn guest(&self, vmid: Vmid) -> Option<&Guest> {
        let guests = self.guests.get()?;
        let place = guests.items.binary_search_by_key(&vmid, |guest| guest.vmid).ok()?;
        guests.items.get(place)
    }

    /// The cluster's software-defined networks; `None` where they were not read.
    pub fn networks(&self) -> Option<&SdnNetworks> {
        self.items::<Sdn>().first()
    }

    /// The configuration of the guest with this number; `None` where it was not read, and where it came empty, as that of no
    /// guest is.
    pub fn config(&self, vmid: Vmid) -> Option<&GuestConfig> {
        let configs = self.guest_configs.get()?;
        let place = configs.items.binary_search_by_key(&vmid, |guest| guest.vmid).ok()?;
        let config = configs.items.get(place).map(|guest| &guest.config);
        config.filter(|config| !config.raw().is_empty())
    }

    /// The backups on the storage of this name; `None` where it holds none or was not read.
    pub fn backups_on(&self, storage: &str) -> Option<&StorageBackups> {
        let storages = self.backups.get()?;
        let place = storages
            .items
            .binary_search_by(|backups| backups.storage.as_str().cmp(storage))
            .ok()?;
        storages.items.get(place)
    }

    /// The snapshots of the guest with this number; `None` where they could not be read.
    pub fn snapshots_of(&self, vmid: Vmid) -> Option<&GuestSnapshots> {
        let guests = self.snapshots.get()?;
        let place = guests.items.binary_search_by_key(&vmid, |guest| guest.vmid).ok()?;
        guests.items.get(place)
    }

    /// What the agent of the guest with this number tells.
    pub fn agent(&self, vmid: Vmid) -> Option<&GuestAgent> {
        let agents = self.guest_agents.get()?;
        let place = agents.items.binary_search_by_key(&vmid, |agent| agent.vmid).ok()?;
        agents.items.get(place)
    }

    /// How the running container with this number sees its interfaces.
    pub fn container(&self, vmid: Vmid) -> Option<&Container> {
        let containers = self.containers.get()?;
        let place = containers
            .items
            .binary_search_by_key(&vmid, |container| container.vmid)
            .ok()?;
        containers.items.get(place)
    }
}

/// Who reads an area, of what, and how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The session with the endpoint.
    pub session: &'a Session,
    /// The cluster behind it.
    pub cluster: &'a Cluster,
    /// What was read before.
    pub inventory: &'a Inventory,
    /// Only what belongs to these guests; `None`: everything.
    pub only: Option<&'a BTreeSet<Vmid>>,
    /// Only what this node tells; `None`: all nodes.
    pub node: Option<&'a str>,
    /// Only what is on this storage; `None`: all storages.
    pub storage: Option<&'a str>,
    /// Tasks that need not be read again.
    pub recorded: &'a RecordedTasks,
    /// How many calls may be under way at once.
    pub concurrency: usize,
    /// How long a guest agent may take to answer.
    pub agent_timeout: Duration,
    /// Who is told of guests while they are read.
    pub listener: Option<&'a dyn Listener>,
}

/// Is told of each guest as soon as it has been asked, in no order.
pub trait Listener: fmt::Debug + Sync {
    /// The snapshots of a guest were read; `None`: they could not be.
    fn snapshots_read(&self, vmid: Vmid, snapshots: Option<&GuestSnapshots>);
}

impl Reader<'_> {
    /// Whether the guest with this number is to be read.
    pub fn wants(&self, vmid: Vmid) -> bool {
        self.only.is_none_or(|only| only.contains(&vmid))
    }

    /// The guest that is to be read, where it is exactly one.
    pub fn only_guest(&self) -> Option<Vmid> {
        let only = self.only?;
        only.first().filter(|_| only.len() == 1).copied()
    }

    /// The guests to be read that are on nodes which are online, and one gap for each node that is not and has any.
    pub fn reachable_guests(&self) -> (Vec<&Guest>, Vec<Gap>) {
        let guests = self.inventory.items::<Guests>().iter();
        let (offline, reachable): (Vec<_>, Vec<_>) = guests
            .filter(|guest| self.wants(guest.vmid))
            .partition(|guest| self.is_offline(&guest.node));
        let offline: BTreeSet<&str> = offline.iter().map(|guest| guest.node.as_str()).collect();
        (reachable, offline.into_iter().map(Gap::offline).collect())
    }

    /// Whether the cluster says that `node` is offline.
    pub fn is_offline(&self, node: &str) -> bool {
        self.cluster
            .nodes
            .iter()
            .any(|known| known.name == node && !known.is_online)
    }

    /// The nodes to be asked, be they online or not.
    pub fn nodes(&self) -> impl Iterator<Item = &'_ Node> {
        let nodes = self.cluster.nodes.iter();
        nodes.filter(|node| self.node.is_none_or(|only| only == node.name))
    }

    /// The names of the nodes to be asked that are online.
    pub fn online_nodes(&self) -> impl Iterator<Item = &str> {
        let online = self.nodes().filter(|node| node.is_online);
        online.map(|node| node.name.as_str())
    }

    /// One gap per node to be asked that is offline.
    pub fn offline_gaps(&self) -> Vec<Gap> {
        let offline = self.nodes().filter(|node| !node.is_online);
        offline.map(|node| Gap::offline(&node.name)).collect()
    }
}
