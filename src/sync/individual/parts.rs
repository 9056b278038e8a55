//! What belongs to guests: whether Proxmox has it, and what it tells of it.

use serde_json::{Map, Value, json};

use super::locate::Located;
use super::{Individual, WantedGuest};
use crate::inventory::{
    AgentAnswer, Backups, Containers, GuestAgents, GuestConfigs, GuestInterface, Guests, Nic, Property, Snapshot,
    Snapshots, Storages, Task, Tasks, Volume,
};
use crate::mapping::guest_interface::{has_mac, seen};
use crate::mapping::virtual_disk::disks;
use crate::mapping::vm_interface::core_name;
use crate::stages::Part;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;

impl EndpointRun<'_> {
    /// Finds a disk in the guest's configuration.
    pub(super) async fn locate_disk(&mut self, guest: WantedGuest, name: &str) -> Result<Located, Error> {
        let listed = self.locate_guest(guest).await?;
        self.facts.options.only.name(Part::Disk, name);
        self.read::<GuestConfigs>().await?;
        let config = self.config(guest)?;
        let disk = disks(config).into_iter().find(|disk| disk.key == name);
        let disk = disk.ok_or_else(|| Error::Absent {
            what: format!("disk {name} with a size, of guest {}/{},", guest.kind, guest.vmid),
        })?;
        let options = config.property(name);
        let resource = json!({
            "disk_name": name,
            "size": disk.size_mib,
            "volume_id": options.as_ref().and_then(Property::bare),
            "storage": disk.storage,
            "config": options.as_ref().map(options_json),
        });
        let mut located = self.belonging(resource, &listed);
        located.storage = disk.storage;
        Ok(located)
    }

    /// Finds a snapshot of the guest; the row that stands for the guest as it is now is none.
    pub(super) async fn locate_snapshot(&mut self, guest: WantedGuest, name: &str) -> Result<Located, Error> {
        let listed = self.locate_guest(guest).await?;
        self.facts.options.only.name(Part::Snapshot, name);
        self.read::<Snapshots>().await?;
        let found = self.facts.inventory.snapshots_of(guest.vmid);
        let mut rows = found.into_iter().flat_map(|found| &found.snapshots);
        let row = rows.find(|row| row.real_name() == Some(name));
        let what = || format!("snapshot {name} of guest {}/{}", guest.kind, guest.vmid);
        let row = row.ok_or_else(|| self.absent::<Snapshots>(what()))?;
        let resource = json!({
            "snapshot_name": name,
            "snapshot_data": snapshot_json(row),
            "cluster_name": self.facts.cluster.name,
        });
        Ok(self.belonging(resource, &listed))
    }

    /// Finds an interface by its key in the configuration, else by its name in NetBox or in the guest.
    pub(super) async fn locate_interface(&mut self, guest: WantedGuest, name: &str) -> Result<Located, Error> {
        let listed = self.locate_guest(guest).await?;
        self.read_ports().await?;
        let told = self.told(guest);
        let nics = Nic::list(self.config(guest)?);
        let is_named = |nic: &&Nic| {
            let mut own = told.iter().filter(|interface| has_mac(interface, nic));
            core_name(nic) == name || own.any(|interface| interface.name.eq_ignore_ascii_case(name))
        };
        let nic = nics
            .iter()
            .find(|nic| nic.key == name)
            .or_else(|| nics.iter().find(is_named));
        let nic = nic.ok_or_else(|| Error::Absent {
            what: format!("interface {name} of guest {}/{}", guest.kind, guest.vmid),
        })?;
        let seen = seen(&told, nic, core_name(nic));
        self.facts.options.only.name(Part::Interface, nic.key.clone());
        let resource = json!({
            "interface_name": core_name(nic),
            "mac_address": nic.mac,
            "bridge": nic.bridge,
            "vlan_tag": nic.vlan,
            "guest_data": seen.as_ref().map(interface_json),
        });
        Ok(self.belonging(resource, &listed))
    }

    /// Which interface has an address can be told only once the virtual machine is known.
    pub(super) async fn locate_address(&mut self, guest: WantedGuest, host: &str) -> Result<Located, Error> {
        let listed = self.locate_guest(guest).await?;
        self.read_ports().await?;
        self.facts.options.only.name(Part::Address, host);
        Ok(self.belonging(json!({"ip_address": host, "interface_name": null}), &listed))
    }

    async fn read_ports(&mut self) -> Result<(), Error> {
        self.read::<GuestConfigs>().await?;
        self.read::<GuestAgents>().await?;
        self.read::<Containers>().await
    }

    /// The interfaces that the guest itself tells of.
    fn told(&self, guest: WantedGuest) -> Vec<GuestInterface> {
        let agent = self.facts.inventory.agent(guest.vmid).map(|agent| &agent.answer);
        let container = self.facts.inventory.container(guest.vmid);
        match agent {
            Some(AgentAnswer::Interfaces(interfaces)) => interfaces.clone(),
            Some(AgentAnswer::Silence(_) | AgentAnswer::Failure(_)) | None => {
                container.map_or_else(Vec::new, |container| container.interfaces.clone())
            }
        }
    }

    /// Finds a backup on its storage. Its guest may be gone.
    pub(super) async fn locate_backup(&mut self, wanted: &Individual, guest: WantedGuest) -> Result<Located, Error> {
        let (storage, volid) = (wanted.storage.as_deref(), wanted.name.as_deref());
        let (storage, volid) = (storage.unwrap_or_default(), volid.unwrap_or_default());
        self.limit_to(guest.vmid);
        self.facts.options.only.name(Part::Storage, storage);
        self.facts.options.only.name(Part::Backup, volid);
        self.read::<Guests>().await?;
        self.read::<Storages>().await?;
        let mut definitions = self.facts.inventory.items::<Storages>().iter();
        let definition = definitions.find(|definition| definition.storage == storage);
        let definition = definition.ok_or_else(|| self.absent::<Storages>(format!("storage {storage}")))?;
        // On a storage that is not shared each node has volumes of its own.
        if let (Some(node), false) = (&wanted.node, definition.shared == Some(true)) {
            self.facts.options.only.name(Part::Node, node);
        }
        self.read::<Backups>().await?;
        let found = self.facts.inventory.backups_on(storage);
        let mut volumes = found.into_iter().flat_map(|found| &found.volumes);
        let volume = volumes.find(|volume| volume.volid == volid && volume.vmid == Some(guest.vmid));
        let what = || format!("backup {volid} of guest {}", guest.vmid);
        let volume = volume.ok_or_else(|| self.absent::<Backups>(what()))?;
        let mut located = Located::found(json!({
            "vmid": guest.vmid,
            "node": wanted.node,
            "storage": storage,
            "volid": volid,
            "backup_data": volume_json(volume),
            "proxmox_last_updated": self.facts.now,
        }));
        located.storage = Some(storage.to_owned());
        Ok(located.of(guest, self.node_of(guest)))
    }

    /// Finds a task by its id, else the latest one of the guest on the node. The id may name the node as it was called when
    /// the task ran: then any node may tell of it.
    pub(super) async fn locate_task(&mut self, wanted: &Individual, guest: WantedGuest) -> Result<Located, Error> {
        self.limit_to(guest.vmid);
        let upid = wanted.name.as_deref();
        let its_node = upid
            .and_then(|upid| upid.split(':').nth(1))
            .filter(|node| !node.is_empty());
        let node = its_node.or(wanted.node.as_deref()).unwrap_or_default();
        let mut nodes = self.facts.cluster.nodes.iter();
        let is_former = its_node.is_some_and(|node| nodes.all(|known| known.name != node));
        if !is_former {
            self.facts.options.only.name(Part::Node, node);
        }
        self.read::<Guests>().await?;
        self.read::<Tasks>().await?;
        let tasks = self.facts.inventory.items::<Tasks>().iter();
        let tasks: Vec<&Task> = tasks.filter(|task| task.guest() == Some(guest.vmid)).collect();
        let chosen = match upid {
            Some(_) => tasks.iter().find(|task| task.upid.as_deref() == upid),
            None => tasks.iter().max_by_key(|task| task.starttime),
        };
        let chosen = chosen.and_then(|task| task.upid.clone());
        if chosen.is_none() && !self.facts.inventory.is_complete::<Tasks>() {
            return Err(self.absent::<Tasks>(format!("the tasks of node {node}")));
        }
        let mut located = Located::found(json!({
            "vmid": guest.vmid,
            "node": wanted.node,
            "type": guest.kind.as_str(),
            "tasks": tasks.into_iter().map(task_json).collect::<Vec<_>>(),
            "selected_upid": chosen.as_deref().or(upid),
            "proxmox_last_updated": self.facts.now,
        }));
        located.is_found = chosen.is_some();
        self.facts.options.only.name(Part::Task, chosen.unwrap_or_default());
        Ok(located.of(guest, self.node_of(guest)))
    }

    fn node_of(&self, guest: WantedGuest) -> Option<String> {
        self.facts.inventory.guest(guest.vmid).map(|listed| listed.node.clone())
    }
}

fn options_json(options: &Property) -> Map<String, Value> {
    let pairs = options.pairs();
    pairs.map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

fn interface_json(interface: &GuestInterface) -> Value {
    let addresses = interface.addresses.iter().map(|address| &address.address);
    json!({
        "name": interface.name,
        "mac_address": interface.mac,
        "ip_addresses": addresses.collect::<Vec<_>>(),
    })
}

fn snapshot_json(row: &Snapshot) -> Value {
    json!({
        "name": row.name, "snaptime": row.snaptime, "description": row.description, "parent": row.parent,
    })
}

fn volume_json(volume: &Volume) -> Value {
    let verification = volume.verification.as_ref();
    json!({
        "volid": volume.volid,
        "content": volume.content,
        "vmid": volume.vmid,
        "subtype": volume.subtype,
        "format": volume.format,
        "ctime": volume.ctime,
        "size": volume.size,
        "used": volume.used,
        "encrypted": volume.encrypted,
        "notes": volume.notes,
        "verification": verification.map(|told| json!({"state": told.state, "upid": told.upid})),
    })
}

fn task_json(task: &Task) -> Value {
    json!({
        "upid": task.upid,
        "node": task.node,
        "id": task.subject(),
        "type": task.kind,
        "pid": task.pid,
        "pstart": task.pstart,
        "starttime": task.starttime,
        "endtime": task.endtime,
        "user": task.user,
        "status": task.outcome(),
    })
}
