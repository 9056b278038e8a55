//! The state of a mock Proxmox: plain data that the routes read and the writes change.
//!
//! [`World::estate`] builds the same rich estate from the same two numbers every time. Its clock stands at
//! [`EPOCH`]; [`World::rebase`] moves all its times, for a demo that should look like today.

mod access;
mod guest;
mod node;
mod schedule;
mod settings;
mod storage;
mod task;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

pub use self::access::{
    AUDITOR_TOKEN, Access, AclEntry, EMPTY_TOKEN, PASSWORD, ROOT_TOKEN, Subject, TFA_USER, TOKEN_SECRET, TOTP_CODE,
    Token, User,
};
pub use self::guest::{Agent, AgentInterface, Guest, GuestKind, GuestStatus, Snapshot};
pub use self::node::{Node, NodeInterface};
pub use self::schedule::Replication;
pub use self::settings::{Setting, Settings, property, size_bytes};
pub use self::storage::{Backup, ServerBackup, Storage};
pub use self::task::Task;

/// A row whose keys are free: backup jobs, rules.
pub type Row = Map<String, Value>;

/// The moment at which the built estates stand: 2026-07-01 00:00:00 UTC.
pub const EPOCH: i64 = 1_782_864_000;

/// One pool. Its guests name it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its id.
    pub id: String,
    /// The operator's words.
    pub comment: Option<String>,
    /// The storages in it.
    pub storages: Vec<String>,
}

/// Firewall of the cluster, its nodes and its guests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Firewall {
    /// Options of the cluster.
    pub options: Row,
    /// Rules of the cluster in order.
    pub rules: Vec<Row>,
    /// Security groups: name, comment and rules.
    pub groups: Vec<(String, String, Vec<Row>)>,
    /// IP sets: name, comment and entries.
    pub ipsets: Vec<(String, String, Vec<Row>)>,
    /// Aliases.
    pub aliases: Vec<Row>,
    /// Rules by node.
    pub node_rules: BTreeMap<String, Vec<Row>>,
    /// Rules by guest.
    pub guest_rules: BTreeMap<u32, Vec<Row>>,
}

/// High availability.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HighAvailability {
    /// Resources: `sid`, `state`, `max_restart`…
    pub resources: Vec<Row>,
    /// Rules (from release 9).
    pub rules: Vec<Row>,
    /// Groups (up to release 8).
    pub groups: Vec<Row>,
}

/// Software-defined networking.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sdn {
    /// Controllers.
    pub controllers: Vec<Row>,
    /// Zones.
    pub zones: Vec<Row>,
    /// Virtual networks.
    pub vnets: Vec<Row>,
    /// Subnets by virtual network.
    pub subnets: BTreeMap<String, Vec<Row>>,
    /// Fabrics (from release 9).
    pub fabrics: Vec<Row>,
    /// Entries of route maps (from release 9.2).
    pub route_maps: Vec<Row>,
    /// Entries of prefix lists by list (from release 9.2).
    pub prefix_lists: BTreeMap<String, Vec<Row>>,
}

/// A whole estate: one cluster or one standalone node.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The moment at which its times were made, seconds since 1970.
    pub now: i64,
    /// The cluster's name; `None` for a standalone node.
    pub cluster: Option<String>,
    /// `/cluster/options`.
    pub options: Row,
    /// The nodes; the first one is the one that answers, unless the options name another.
    pub nodes: Vec<Node>,
    /// The storage configuration.
    pub storages: Vec<Storage>,
    /// The guests by number.
    pub guests: BTreeMap<u32, Guest>,
    /// All backups.
    pub backups: Vec<Backup>,
    /// All tasks, oldest first.
    pub tasks: Vec<Task>,
    /// All replication jobs.
    pub replications: Vec<Replication>,
    /// All backup jobs, as `/cluster/backup` tells them.
    pub backup_jobs: Vec<Row>,
    /// All pools.
    pub pools: Vec<Pool>,
    /// High availability.
    pub ha: HighAvailability,
    /// Firewall.
    pub firewall: Firewall,
    /// Software-defined networking.
    pub sdn: Sdn,
    /// ZFS pools by node.
    pub zfs_pools: BTreeMap<String, Vec<Row>>,
    /// Custom processor models (from release 9.2).
    pub cpu_models: Vec<Row>,
    /// Files inside of backups, by the `filepath` that asks for them; what is not here holds a few bytes.
    pub files: BTreeMap<String, Bytes>,
    /// Users, tokens and rights.
    pub access: Access,
}

impl World {
    /// A cluster or node without guests: only `nodes` (clustered as `lab` when more than one) and the usual access.
    pub fn bare(nodes: Vec<Node>) -> Self {
        Self {
            now: EPOCH,
            cluster: (nodes.len() > 1).then(|| "lab".to_owned()),
            options: Row::new(),
            nodes,
            storages: Vec::new(),
            guests: BTreeMap::new(),
            backups: Vec::new(),
            tasks: Vec::new(),
            replications: Vec::new(),
            backup_jobs: Vec::new(),
            pools: Vec::new(),
            ha: HighAvailability::default(),
            firewall: Firewall::default(),
            sdn: Sdn::default(),
            zfs_pools: BTreeMap::new(),
            cpu_models: Vec::new(),
            files: BTreeMap::new(),
            access: Access::usual(),
        }
    }

    /// The guest numbered `vmid`, to change it.
    pub fn guest(&mut self, vmid: u32) -> Option<&mut Guest> {
        self.guests.get_mut(&vmid)
    }

    /// The node called `name`, to change it.
    pub fn node(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// The node called `name`.
    pub fn find_node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The storage called `id`, to change it.
    pub fn storage(&mut self, id: &str) -> Option<&mut Storage> {
        self.storages.iter_mut().find(|storage| storage.id == id)
    }

    /// The storage called `id`.
    pub fn find_storage(&self, id: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.id == id)
    }

    /// Puts `guest` into the estate, in place of one with the same number.
    pub fn add_guest(&mut self, guest: Guest) {
        self.guests.insert(guest.vmid, guest);
    }

    /// Takes a guest away with its replication jobs; its backups and tasks stay, as on a server.
    pub fn remove_guest(&mut self, vmid: u32) -> Option<Guest> {
        self.replications.retain(|job| job.guest != vmid);
        self.firewall.guest_rules.remove(&vmid);
        for prefix in ["vm", "ct"] {
            let sid = format!("{prefix}:{vmid}");
            self.ha
                .resources
                .retain(|row| row.get("sid").and_then(Value::as_str) != Some(sid.as_str()));
        }
        self.guests.remove(&vmid)
    }

    /// Moves a guest to another node; tells whether both exist.
    pub fn migrate(&mut self, vmid: u32, node: &str) -> bool {
        let target = self.find_node(node).is_some();
        match self.guests.get_mut(&vmid) {
            Some(guest) if target => {
                node.clone_into(&mut guest.node);
                true
            }
            _ => false,
        }
    }

    /// The lowest number from 100 on that no guest has.
    pub fn next_vmid(&self) -> u32 {
        let mut free = 100;
        for vmid in self.guests.range(100..).map(|(vmid, _)| *vmid) {
            if vmid != free {
                break;
            }
            free += 1;
        }
        free
    }

    /// Whether the nodes that are up hold a majority.
    pub fn is_quorate(&self) -> bool {
        self.nodes.iter().filter(|node| node.online).count() * 2 > self.nodes.len()
    }

    /// Moves every time of the estate so that it stands at `now`.
    pub fn rebase(&mut self, now: i64) {
        let shift = now - self.now;
        self.now = now;
        for node in &mut self.nodes {
            node.booted_at += shift;
        }
        for guest in self.guests.values_mut() {
            guest.started_at += shift;
            for snapshot in &mut guest.snapshots {
                snapshot.snaptime += shift;
            }
        }
        for backup in &mut self.backups {
            backup.ctime += shift;
        }
        for task in &mut self.tasks {
            task.starts += shift;
            task.ends = task.ends.map(|end| end + shift);
        }
        for job in &mut self.replications {
            for time in [&mut job.last_sync, &mut job.last_try, &mut job.next_sync] {
                *time += if *time > 1 { shift } else { 0 };
            }
        }
        for job in &mut self.backup_jobs {
            if let Some(next) = job.get("next-run").and_then(Value::as_i64) {
                job.insert("next-run".to_owned(), Value::from(next + shift));
            }
        }
    }
}
