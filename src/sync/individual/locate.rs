//! Whether Proxmox has the object that a request is about, and what it tells of it.

use serde_json::{Value, json};

use super::{Individual, IndividualKind, WantedGuest};
use crate::inventory::{Area, BackupJobs, Guest, GuestConfig, GuestConfigs, Guests, Replications, Storages, Vmid};
use crate::stages::Part;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;

/// Keys of a guest's configuration that nobody needs to see.
const SECRETS: [&str; 2] = ["cipassword", "sshkeys"];

/// An object that was looked for in Proxmox.
#[derive(Debug, Default)]
pub(super) struct Located {
    /// What Proxmox tells of it.
    pub(super) resource: Value,
    /// The guest that it belongs to.
    pub(super) guest: Option<WantedGuest>,
    /// The node of that guest.
    pub(super) node: Option<String>,
    /// The storage that it is on.
    pub(super) storage: Option<String>,
    /// Whether there is one; that there is none is an error but for tasks.
    pub(super) is_found: bool,
}

impl Located {
    pub(super) fn found(resource: Value) -> Self {
        Self {
            resource,
            is_found: true,
            ..Self::default()
        }
    }

    pub(super) fn of(mut self, guest: WantedGuest, node: Option<String>) -> Self {
        (self.guest, self.node) = (Some(guest), node);
        self
    }
}

impl EndpointRun<'_> {
    /// Finds the object in Proxmox and limits the run to it.
    pub(super) async fn locate(&mut self, wanted: &Individual) -> Result<Located, Error> {
        let name = wanted.name.as_deref().unwrap_or_default();
        match (wanted.kind, wanted.guest) {
            (IndividualKind::Cluster, _) => {
                let (name, mode) = (&self.facts.cluster.name, self.facts.cluster.mode.as_str());
                Ok(Located::found(json!({
                    "name": name, "mode": mode, "proxmox_last_updated": self.facts.now,
                })))
            }
            (IndividualKind::Node, _) => self.locate_node(name).await,
            (IndividualKind::Storage, _) => self.locate_storage(name).await,
            (IndividualKind::BackupRoutine, _) => self.locate_backup_job(name).await,
            (IndividualKind::Replication, _) => self.locate_replication(name).await,
            (IndividualKind::Backup, Some(guest)) => self.locate_backup(wanted, guest).await,
            (IndividualKind::Task, Some(guest)) => self.locate_task(wanted, guest).await,
            (IndividualKind::Machine, Some(guest)) => self.locate_machine(wanted, guest).await,
            (IndividualKind::Disk, Some(guest)) => self.locate_disk(guest, name).await,
            (IndividualKind::Snapshot, Some(guest)) => self.locate_snapshot(guest, name).await,
            (IndividualKind::Interface, Some(guest)) => self.locate_interface(guest, name).await,
            (IndividualKind::Address, Some(guest)) => self.locate_address(guest, name).await,
            (kind, None) => Err(Error::Absent {
                what: format!("the guest of the {}", kind.as_str()),
            }),
        }
    }

    async fn locate_node(&mut self, name: &str) -> Result<Located, Error> {
        let metadata = self.session.metadata().await?;
        let mut rows = metadata.status.iter();
        let row = rows.find(|row| row.is_node() && row.name.as_deref() == Some(name));
        let row = row.ok_or_else(|| Error::Absent {
            what: format!("node {name}"),
        })?;
        self.facts.options.only.name(Part::Node, name);
        Ok(Located::found(json!({
            "name": name,
            "cluster": self.facts.cluster.name,
            "node_data": row,
            "proxmox_last_updated": self.facts.now,
        })))
    }

    async fn locate_storage(&mut self, name: &str) -> Result<Located, Error> {
        self.facts.options.only.name(Part::Storage, name);
        self.read::<Storages>().await?;
        let mut definitions = self.facts.inventory.items::<Storages>().iter();
        let definition = definitions.find(|definition| definition.storage == name);
        let definition = definition.ok_or_else(|| self.absent::<Storages>(format!("storage {name}")))?;
        Ok(Located::found(json!({
            "storage": name,
            "cluster": self.facts.cluster.name,
            "config": definition.raw,
            "proxmox_last_updated": self.facts.now,
        })))
    }

    async fn locate_backup_job(&mut self, id: &str) -> Result<Located, Error> {
        self.facts.options.only.name(Part::BackupJob, id);
        self.read::<BackupJobs>().await?;
        let mut jobs = self.facts.inventory.items::<BackupJobs>().iter();
        let job = jobs.find(|job| job.id == id);
        let job = job.ok_or_else(|| self.absent::<BackupJobs>(format!("backup job {id}")))?;
        Ok(Located::found(json!({
            "job_id": id, "backup_data": job.raw, "proxmox_last_updated": self.facts.now,
        })))
    }

    async fn locate_replication(&mut self, id: &str) -> Result<Located, Error> {
        self.facts.options.only.name(Part::Replication, id);
        self.read::<Replications>().await?;
        let mut jobs = self.facts.inventory.items::<Replications>().iter();
        let job = jobs.find(|job| job.id == id);
        let job = job.ok_or_else(|| self.absent::<Replications>(format!("replication job {id}")))?;
        let vmid = job.guest.ok_or_else(|| Error::Absent {
            what: format!("the guest of replication job {id}"),
        })?;
        let resource = json!({
            "vmid": vmid, "replication_data": job.raw, "proxmox_last_updated": self.facts.now,
        });
        self.limit_to(vmid);
        self.read::<Guests>().await?;
        let listed = self.facts.inventory.guest(vmid);
        let listed = listed.ok_or_else(|| self.absent::<Guests>(format!("guest {vmid}")))?;
        let guest = WantedGuest {
            vmid,
            kind: listed.kind,
        };
        Ok(Located::found(resource).of(guest, Some(listed.node.clone())))
    }

    /// Finds the guest itself. One that is elsewhere now is not where it is looked for.
    async fn locate_machine(&mut self, wanted: &Individual, guest: WantedGuest) -> Result<Located, Error> {
        let listed = self.locate_guest(guest).await?;
        let node = wanted.node.as_deref().unwrap_or_default();
        if listed.node != node {
            return Err(Error::Absent {
                what: format!(
                    "guest {}/{} on node {node} (it is on {})",
                    guest.kind, guest.vmid, listed.node
                ),
            });
        }
        self.facts.options.only.name(Part::Node, node);
        self.read::<GuestConfigs>().await?;
        let resource = json!({
            "vmid": guest.vmid,
            "name": listed.label(),
            "node": node,
            "type": guest.kind.as_str(),
            "status": listed.status,
            "maxcpu": count_json(listed.processors),
            "maxmem": listed.memory,
            "maxdisk": listed.disk,
            "config": config_json(self.config(guest)?),
            "proxmox_last_updated": self.facts.now,
        });
        Ok(Located::found(resource).of(guest, Some(listed.node)))
    }

    /// The guest as the cluster lists it; the run is limited to it.
    pub(super) async fn locate_guest(&mut self, guest: WantedGuest) -> Result<Guest, Error> {
        self.limit_to(guest.vmid);
        self.read::<Guests>().await?;
        let what = format!("guest {}/{}", guest.kind, guest.vmid);
        match self.facts.inventory.guest(guest.vmid) {
            Some(listed) if listed.kind == guest.kind => Ok(listed.clone()),
            Some(_) => Err(Error::Absent { what }),
            None => Err(self.absent::<Guests>(what)),
        }
    }

    /// Something that belongs to a guest which the cluster lists.
    pub(super) fn belonging(&self, mut resource: Value, guest: &Guest) -> Located {
        if let Some(members) = resource.as_object_mut() {
            members.insert("vmid".to_owned(), json!(guest.vmid));
            members.insert("node".to_owned(), json!(guest.node));
            members.insert("type".to_owned(), json!(guest.kind.as_str()));
            members.insert("proxmox_last_updated".to_owned(), json!(self.facts.now));
        }
        let owner = WantedGuest {
            vmid: guest.vmid,
            kind: guest.kind,
        };
        Located::found(resource).of(owner, Some(guest.node.clone()))
    }

    pub(super) fn limit_to(&mut self, vmid: Vmid) {
        self.facts.options.only.guest = Some(vmid);
        self.only = Some([vmid].into());
    }

    /// The guest's configuration, once it was asked for.
    pub(super) fn config(&self, guest: WantedGuest) -> Result<&GuestConfig, Error> {
        let config = self.facts.inventory.config(guest.vmid);
        let what = || format!("the configuration of guest {}/{}", guest.kind, guest.vmid);
        config.ok_or_else(|| self.absent::<GuestConfigs>(what()))
    }

    /// That something is not there; where the area could not be read completely, only that.
    pub(super) fn absent<A: Area>(&self, what: String) -> Error {
        match self.facts.inventory.gaps::<A>().first() {
            Some(gap) => Error::Unread {
                what,
                kind: gap.kind,
                message: gap.to_string(),
            },
            None => Error::Absent { what },
        }
    }
}

/// As Proxmox writes it: whole, unless a container may use a part of a processor.
fn count_json(count: Option<f64>) -> Value {
    let number = count.and_then(|count| count.to_string().parse().ok());
    number.map_or(Value::Null, Value::Number)
}

fn config_json(config: &GuestConfig) -> Value {
    let shown = config.raw().iter().filter(|(key, _)| !SECRETS.contains(&key.as_str()));
    shown.map(|(key, value)| (key.clone(), value.clone())).collect()
}
