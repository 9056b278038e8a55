//! How running containers see their interfaces.

use super::fan_out::{Limits, fan_out};
use super::{Area, Collected, Gap, GuestInterface, GuestKind, Guests, Inventory, Reader, Slot};
use crate::proxmox::{Error, Vmid};

/// How running containers see their interfaces.
#[derive(Debug)]
pub struct Containers;

/// A running container from inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its number.
    pub vmid: Vmid,
    /// Its interfaces, the loopback left out.
    pub interfaces: Vec<GuestInterface>,
}

impl Area for Containers {
    type Item = Container;

    fn slot(inventory: &Inventory) -> &Slot<Container> {
        &inventory.containers
    }

    fn slot_mut(inventory: &mut Inventory) -> &mut Slot<Container> {
        &mut inventory.containers
    }

    /// Asks the node of each running container of [`Guests`]: one request each. One that has stopped meanwhile has no
    /// interfaces and makes no item.
    async fn collect(reader: &Reader<'_>) -> Result<Collected<Container>, Error> {
        let guests = reader.inventory.items::<Guests>().iter();
        let asked = guests.filter(|guest| {
            guest.kind == GuestKind::Lxc
                && guest.is_running()
                && reader.wants(guest.vmid)
                && !reader.is_offline(&guest.node)
        });
        let answers = fan_out(
            asked.collect(),
            Limits::of(reader),
            |guest| &guest.node,
            |guest| reader.session.container_interfaces(&guest.node, guest.vmid),
        );
        let mut collected = Collected::default();
        for (guest, answer) in answers.await {
            match answer {
                Ok(mut interfaces) => {
                    interfaces.retain(|interface| interface.name != "lo");
                    if !interfaces.is_empty() {
                        let vmid = guest.vmid;
                        collected.items.push(Container { vmid, interfaces });
                    }
                }
                Err(error) => {
                    let source = format!("interfaces of {}/{}", guest.kind, guest.vmid);
                    collected.gaps.push(Gap::new(source, &error));
                }
            }
        }
        Ok(collected)
    }
}
