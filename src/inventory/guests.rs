//! Guests, as the cluster lists them.

use super::{Area, Collected, Gap, Inventory, Reader, Slot};
use crate::error::ErrorKind;
use crate::proxmox::{ClusterResource, Error, GuestKind, ResourceKind, Vmid};

/// The guests of a cluster.
#[derive(Debug)]
pub struct Guests;

/// A guest, as the cluster lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Guest {
    /// Its number.
    pub vmid: Vmid,
    /// Its kind.
    pub kind: GuestKind,
    /// The node it is on.
    pub node: String,
    /// Its name; `None` where the cluster does not know it yet.
    pub name: Option<String>,
    /// `running`, `stopped`, `unknown` and so on.
    pub status: Option<String>,
    /// Whether it is a template.
    pub is_template: bool,
    /// Processors given; a container's limit may be a fraction.
    pub processors: Option<f64>,
    /// Memory given, in bytes.
    pub memory: Option<u64>,
    /// The size of its first disk, in bytes.
    pub disk: Option<u64>,
}

impl Guest {
    /// What it is called: its name, else `vm-` and its number.
    pub fn label(&self) -> String {
        let name = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        name.map_or_else(|| self.stand_in_name(), str::to_owned)
    }

    /// What it is called while its name is not known: `vm-` and its number.
    pub fn stand_in_name(&self) -> String {
        format!("vm-{}", self.vmid)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.status.as_deref() == Some("running")
    }

    fn of(row: ClusterResource) -> Result<Option<Self>, Gap> {
        let kind = match row.kind {
            ResourceKind::Qemu => GuestKind::Qemu,
            ResourceKind::Lxc => GuestKind::Lxc,
            ResourceKind::Node
            | ResourceKind::Storage
            | ResourceKind::Pool
            | ResourceKind::Sdn
            | ResourceKind::Unknown(_) => return Ok(None),
        };
        let (Some(vmid), Some(node)) = (row.vmid, row.node) else {
            return Err(Gap {
                source: format!("guest {}", row.id),
                kind: ErrorKind::Validation,
                message: "the row has no number or no node".to_owned(),
            });
        };
        Ok(Some(Self {
            vmid,
            kind,
            node,
            name: row.name,
            status: row.status,
            is_template: row.template,
            processors: row.maxcpu,
            memory: row.maxmem,
            disk: row.maxdisk,
        }))
    }
}

impl Area for Guests {
    type Item = Guest;

    fn slot(inventory: &Inventory) -> &Slot<Guest> {
        &inventory.guests
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<Guest> {
        &mut inventory.guests
    }

    /// Reads `cluster/resources` of type `vm`: one request. Guests that the credentials may not see are left out by
    /// Proxmox without a word, so such credentials make a gap.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<Guest>, Error> {
        let rows = reader.session.cluster_resources(Some("vm")).await?;
        let mut collected = Collected {
            items: Vec::with_capacity(rows.items.len()),
            gaps: rows.rejected.iter().map(|row| Gap::row("guest", row)).collect(),
        };
        for row in rows.items {
            match Guest::of(row) {
                Ok(guest) => collected.items.extend(guest),
                Err(gap) => collected.gaps.push(gap),
            }
        }
        collected.items.sort_by_key(|guest| guest.vmid);
        collected.items.dedup_by_key(|guest| guest.vmid);
        let capabilities = &reader.session.metadata().await?.capabilities;
        if !capabilities.sees_all_guests() {
            collected.gaps.push(Gap::hidden(
                "guests",
                capabilities,
                "guests without VM.Audit are not visible to these credentials",
            ));
        }
        Ok(collected)
    }
}
