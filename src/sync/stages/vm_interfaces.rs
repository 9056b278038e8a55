//! Stage `vm-interfaces`: VLANs, interfaces, their MAC addresses and bridges, and what guests see of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::port_frames::PORTS;
use super::{Summary, require_some};
use crate::inventory::GuestAgents;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{DeviceInterface, GuestVmInterface, MacAddress, Vlan, VmInterface, VmInterfaceState};
use crate::reconcile::{Mode, ObjectId, Resource};
use crate::stages::bridges::{Bridges, VmInterfaceStates, interface_state_selection};
use crate::stages::guest_interfaces::{GuestInterfaces, guest_interface_selection};
use crate::stages::ports::guest_ports;
use crate::stages::vm_interfaces::{Vlans, VmInterfaces, interface_selection, vlan_selections};
use crate::stages::vm_macs::{MacAddresses, PrimaryMacs, mac_selection, untagged_selection};
use crate::stages::{Pass as _, Stage};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;
use crate::sync::tell::Subject;
use crate::sync::warning::Warning;

const PHASE: &str = "vm-interfaces";
const INTERFACES: Subject = Subject {
    phase: PHASE,
    kind: "vm_interface",
    page: Some("/virtualization/interfaces/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_interface() == Mode::Disabled || run.is_cluster_planned().await? {
        return Ok(run.nothing(PHASE));
    }
    run.bootstrap().await?;
    run.read_guests().await?;
    run.read::<GuestAgents>().await?;
    run.warn_of_agents();
    // Before any is named: one that stands keeps the name that an agent gave it which is silent now.
    let interfaces = run.list::<VmInterface>(interface_selection(&run.facts)).await?;
    run.learn_interfaces(interfaces);
    run.discover_interfaces();
    run.log_unfit_names();
    run.tell_ports_begun(PORTS);
    run.warn_of_doubles();
    run.write_vlans().await?;
    let outcome = run.pass::<VmInterfaces>().await?;
    // Below the stage of the virtual machines those stand all the same, and each tells of its own interfaces.
    if run.stage == Stage::VmInterfaces {
        require_some("interfaces of virtual machines", &outcome)?;
    }
    run.read_interface_parts().await?;
    run.write_interface_parts().await?;
    run.warnings.extend(Warning::shortfall(PHASE, "interfaces", &outcome));
    let summary = run.tell_items(&INTERFACES, &outcome);
    run.tell_ports(&outcome);
    run.sum_up(&INTERFACES, &summary.counts);
    run.progress.rows_end(PORTS);
    Ok(Summary {
        records: run.interface_records(&outcome),
        ..summary
    })
}

impl EndpointRun<'_> {
    /// Leaves a line in the log of each interface that NetBox cannot call as it is called.
    fn log_unfit_names(&self) {
        let guests = guest_ports(&self.facts);
        let ports = guests
            .iter()
            .flat_map(|guest| guest.ports.iter().map(move |port| (guest, port)));
        for (guest, port) in ports {
            if let Some(before) = &port.unfit_name {
                let (machine, key, after) = (guest.bound.label(), &port.nic.key, &port.name);
                tracing::info!(machine, key, ?before, after, "interface name was normalised");
            }
        }
    }

    fn discover_interfaces(&self) {
        let items: Vec<Value> = guest_ports(&self.facts)
            .iter()
            .flat_map(|guest| guest.ports.iter().map(|port| (guest.bound.label(), &port.name)))
            .map(|(machine, name)| json!({"name": format!("{machine} {name}"), "item_type": "vm_interface"}))
            .collect();
        self.progress.discovered(PHASE, "interface", &items);
    }

    /// Reads the VLANs that interfaces are or should be in, and makes those that are missing; without them interfaces keep
    /// those that they are in.
    async fn write_vlans(&mut self) -> Result<(), Error> {
        let vlans = self.list(vlan_selections(&self.facts)).await;
        let vlans = self.or_without::<Vlan, _>(vlans)?;
        let groups = self.read_vlan_groups(&vlans).await;
        self.facts.known.network.vlans = self.or_without::<Vlan, _>(groups.map(|()| vlans))?;
        let outcome = self.pass::<Vlans>().await?;
        self.warn(PHASE, &outcome);
        Ok(())
    }

    /// Reads, side by side, what hangs on the interfaces. They stand without any of it.
    async fn read_interface_parts(&mut self) -> Result<(), Error> {
        let devices = self.find_node_devices().await;
        self.or_without::<DeviceInterface, ()>(devices)?;
        let facts = &self.facts;
        let (untagged, states, guests) = tokio::join!(
            self.list(untagged_selection(facts)),
            self.list(interface_state_selection(facts)),
            self.list(guest_interface_selection(facts)),
        );
        self.facts.known.network.untagged_macs = self.or_without::<MacAddress, _>(untagged)?;
        self.facts.known.network.interface_states = self.or_without::<VmInterfaceState, _>(states)?;
        self.facts.known.network.guest_interfaces = self.or_without::<GuestVmInterface, _>(guests)?;
        let macs = self.list(mac_selection(&self.facts)).await;
        self.facts.known.network.macs = self.or_without::<MacAddress, _>(macs)?;
        let bridges = self.recall(Bridges::scope(&self.facts)).await;
        self.facts.known.node_network.interfaces = self.or_without::<DeviceInterface, _>(bridges)?;
        Ok(())
    }

    /// Writes what hangs on the interfaces, as well as it can be done: they stand without any of it.
    async fn write_interface_parts(&mut self) -> Result<(), Error> {
        let bridges = self.pass::<Bridges>().await;
        let bridges = self.or_without::<DeviceInterface, _>(bridges)?;
        self.release_guest_interfaces(PHASE).await?;
        let [macs, states, guests] = self
            .try_three_passes::<MacAddresses, VmInterfaceStates, GuestInterfaces>()
            .await;
        let macs = self.or_without::<MacAddress, _>(macs)?;
        let states = self.or_without::<VmInterfaceState, _>(states)?;
        let guests = self.or_without::<GuestVmInterface, _>(guests)?;
        // Alone: it changes the interfaces, which all of these hang on.
        let primaries = self.pass::<PrimaryMacs>().await;
        let primaries = self.or_without::<VmInterface, _>(primaries)?;
        for passed in [bridges, macs, states, primaries, guests] {
            self.warn(PHASE, &passed);
        }
        Ok(())
    }

    /// The interfaces that stand, as NetBox has answered them last, each with its MAC address.
    fn interface_records(&self, outcome: &Outcome) -> Vec<Value> {
        let selections = interface_selection(&self.facts);
        let kept = self.place().shelf(|shelf| shelf.find::<VmInterface>(&selections));
        // None are kept where it is not known what came of a write, and in a dry run nothing is.
        let rows = kept.unwrap_or_else(|| self.facts.known.network.interfaces.clone());
        let rows: BTreeMap<ObjectId, &VmInterface> = rows.iter().map(|stored| (stored.id, &stored.object)).collect();
        let standing: BTreeSet<&str> = outcome.standing().map(|row| row.key.as_str()).collect();
        let guests = guest_ports(&self.facts);
        let ports = guests
            .iter()
            .flat_map(|guest| guest.ports.iter().map(move |port| (guest, port)));
        let records = ports.filter_map(|(guest, port)| {
            let key = guest.key(port);
            let id = self
                .facts
                .ids
                .find::<VmInterface>(&key)
                .filter(|_| standing.contains(key.as_str()))?;
            let new = VmInterface::of(guest.bound.id, &port.name);
            let fields = rows.get(&id).copied().unwrap_or(&new).fields();
            let mut interface: Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            let id = Ids::told(id);
            interface.insert("id".to_owned(), json!(id));
            Some(json!({"id": id, "mac_address": port.nic.mac, "interface": interface}))
        });
        records.collect()
    }
}
