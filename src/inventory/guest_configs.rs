//! The configurations of guests.

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, Inventory, Reader, Slot};
use crate::proxmox::{Error, GuestConfig, Vmid};

/// The configurations of guests.
#[derive(Debug)]
pub struct GuestConfigs;

/// A guest's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfiguredGuest {
    /// The guest's number.
    pub vmid: Vmid,
    /// Its configuration.
    pub config: GuestConfig,
}

impl Area for GuestConfigs {
    type Item = ConfiguredGuest;

    fn slot(inventory: &Inventory) -> &Slot<ConfiguredGuest> {
        &inventory.guest_configs
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<ConfiguredGuest> {
        &mut inventory.guest_configs
    }

    /// Reads one configuration per guest of [`Guests`](super::Guests); a node that is offline is one gap and is not asked.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<ConfiguredGuest>, Error> {
        let (reachable, gaps) = reader.reachable_guests();
        let mut collected = Collected {
            items: Vec::with_capacity(reachable.len()),
            gaps,
        };
        let answers = fan_out(
            reachable,
            Limits::of(reader),
            |guest| &guest.node,
            |guest| reader.session.guest_config(&guest.node, guest.kind, guest.vmid),
        );
        for (guest, answer) in answers.await {
            match answer {
                Ok(config) => collected.items.push(ConfiguredGuest {
                    vmid: guest.vmid,
                    config,
                }),
                Err(error) => collected
                    .gaps
                    .push(Gap::new(format!("{}/{}", guest.kind, guest.vmid), &error)),
            }
        }
        Ok(collected)
    }
}
