//! Stage `vm-ip-addresses`: addresses of virtual machines' interfaces, who in the guest has them, and the primary ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Summary, port_frames};
use crate::error::ErrorKind;
use crate::inventory::{Containers, GuestAgents};
use crate::netbox;
use crate::netbox::ids::Ids;
use crate::netbox::objects::{
    GuestVmInterface, GuestVmInterfaceAddress, IpAddress, IpAddressHolder, Object, VmInterface,
};
use crate::reconcile::{Mode, ObjectId, Resource, Stored};
use crate::stages::Selection;
use crate::stages::address_owners::{estate, unknown_hosts};
use crate::stages::guest_interfaces::{GuestInterfaces, guest_interface_selection};
use crate::stages::stale_addresses::{ReleasedPrimaries, StaleAddresses, StaleLinks, find_stale, released};
use crate::stages::vm_addresses::claims;
use crate::stages::vm_interfaces::interface_selection;
use crate::stages::vm_ip_addresses::{
    Addresses, Links, PrimaryIps, address_selection, host_selection, link_selection, stale_link_selection, texts,
};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::Outcome;
use crate::sync::tell::Subject;

const PHASE: &str = "vm-ip-addresses";
const ADDRESSES: Subject = Subject {
    phase: PHASE,
    kind: "ip_address",
    page: Some("/ipam/ip-addresses/"),
    row: None,
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_ip_address() == Mode::Disabled || run.is_cluster_planned().await? {
        return Ok(run.nothing(PHASE));
    }
    run.bootstrap().await?;
    run.read_guests().await?;
    run.read_both::<GuestAgents, Containers>().await?;
    run.warn_of_agents();
    run.read_addresses().await?;
    let left_out = run.discover_addresses();
    run.tell_ports_begun(port_frames::ADDRESSES);
    run.warn_of_holders().await?;
    let mut outcome = run.clear_stale().await?;
    let written = run.pass::<Addresses>().await;
    let written = run.as_far_as_written("addresses", written)?;
    run.facts.known.network.made_addresses = written.created.iter().map(|row| row.id).collect();
    outcome.absorb(written);
    run.write_address_parts().await?;
    outcome.left_out += left_out;
    let summary = run.tell_items(&ADDRESSES, &outcome);
    let texts = texts(&run.facts);
    run.tell_addresses(&outcome, &texts);
    run.sum_up(&ADDRESSES, &summary.counts);
    run.progress.rows_end(port_frames::ADDRESSES);
    let records = outcome
        .standing()
        .map(|row| json!({"ip_id": Ids::told(row.id), "address": texts.get(&row.key)}));
    Ok(Summary {
        records: records.collect(),
        ..summary
    })
}

impl EndpointRun<'_> {
    /// Reads the interfaces, their addresses, and addresses of others that interfaces should have. What the plugin knows of
    /// guests can be done without.
    async fn read_addresses(&mut self) -> Result<(), Error> {
        let interfaces = self.recall::<VmInterface>(interface_selection(&self.facts)).await?;
        self.learn_interfaces(interfaces);
        let (addresses, guests) = tokio::join!(
            self.list::<IpAddress>(address_selection(&self.facts)),
            self.recall::<GuestVmInterface>(guest_interface_selection(&self.facts)),
        );
        self.facts.known.network.addresses = addresses?;
        self.facts.known.network.guest_interfaces = self.take_links::<GuestVmInterface>(guests)?;
        let hosts = host_selection(&unknown_hosts(&self.facts));
        let (others, links) = tokio::join!(
            self.list::<IpAddress>(vec![hosts]),
            self.list::<GuestVmInterfaceAddress>(link_selection(&self.facts)),
        );
        let others = others?;
        let links = self.take_links::<GuestVmInterfaceAddress>(links)?;
        let known = &mut self.facts.known;
        let listed: BTreeSet<ObjectId> = known.network.addresses.iter().map(|stored| stored.id).collect();
        let others = others.into_iter().filter(|stored| !listed.contains(&stored.id));
        known.network.addresses.extend(others);
        known.network.guest_addresses = links;
        self.read_stale_links().await
    }

    /// Reads links of addresses that have to go which are none of the guests' own.
    async fn read_stale_links(&mut self) -> Result<(), Error> {
        if self.facts.known.is_unread::<GuestVmInterfaceAddress>() {
            return Ok(());
        }
        let links = self.list::<GuestVmInterfaceAddress>(vec![stale_link_selection(&self.facts)]);
        let links = links.await;
        let links = self.take_links::<GuestVmInterfaceAddress>(links)?;
        let known = &mut self.facts.known.network.guest_addresses;
        let listed: BTreeSet<ObjectId> = known.iter().map(|stored| stored.id).collect();
        known.extend(links.into_iter().filter(|stored| !listed.contains(&stored.id)));
        Ok(())
    }

    /// What came of reading who in a guest has which address. A plugin that does not know the path has no such rows.
    fn take_links<R: Object>(&mut self, read: Result<Vec<Stored<R>>, Error>) -> Result<Vec<Stored<R>>, Error> {
        let is_hidden = !matches!(read, Ok(_) | Err(Error::NetBox(netbox::Error::NoRoute { .. })));
        self.facts.known.network.has_hidden_links |= is_hidden;
        self.or_without::<R, _>(read)
    }

    /// Tells what was found; returns how many addresses are nothing for NetBox, and interfaces are not there.
    fn discover_addresses(&mut self) -> usize {
        let claims = claims(&self.facts);
        let items: Vec<Value> = claims
            .claims
            .iter()
            .map(|claim| json!({"name": claim.address.host, "item_type": "ip_address"}))
            .collect();
        self.progress.discovered(PHASE, "address", &items);
        let (interfaces, machines) = (claims.missing.values().sum::<usize>(), claims.missing.len());
        if interfaces > 0 {
            let text = format!(
                "{interfaces} interfaces of {machines} virtual machines are not in NetBox yet: run the stage \
                 vm-interfaces first"
            );
            self.warnings.push(text.into());
        }
        claims.left_out + interfaces
    }

    /// Writes who in the guests has the addresses, and the primary ones.
    async fn write_address_parts(&mut self) -> Result<(), Error> {
        self.release_guest_interfaces(PHASE).await?;
        let guests = self.pass::<GuestInterfaces>().await;
        let guests = self.as_far_as_written("interfaces that guests see", guests)?;
        // Which address comes first is not to be told from one of them.
        let [links, primaries] = if self.facts.options.only.is_everything() {
            self.try_passes::<Links, PrimaryIps>().await
        } else {
            [self.pass::<Links>().await, Ok(Outcome::default())]
        };
        let links = self.as_far_as_written("links of addresses", links)?;
        let primaries = self.as_far_as_written("primary addresses", primaries)?;
        for passed in [guests, links, primaries] {
            self.warn(PHASE, &passed);
        }
        Ok(())
    }

    /// What came of a pass. That NetBox fails or refuses it as a whole is a warning: the stage has done what it could.
    fn as_far_as_written(&mut self, what: &str, passed: Result<Outcome, Error>) -> Result<Outcome, Error> {
        match passed {
            Err(error) if error.is_of_one_question() => {
                self.warnings
                    .push(format!("{what} could not be written: {error}").into());
                Ok(Outcome::default())
            }
            passed => passed,
        }
    }

    /// Says who has addresses that guests should have. Where NetBox does not tell who it is that goes unsaid.
    async fn warn_of_holders(&mut self) -> Result<(), Error> {
        let foreign = estate(&self.facts, &self.facts.known.network.addresses).foreign;
        let rows = foreign.iter().filter_map(|foreign| foreign.row);
        let rows = vec![Selection::any_of("id", rows)];
        let holders = match self.list::<IpAddressHolder>(rows).await {
            Err(error) if error.is_of_one_question() => {
                let text = format!("who has addresses that guests should have could not be read: {error}");
                self.warnings.push(text.into());
                Vec::new()
            }
            holders => holders?,
        };
        let holders: BTreeMap<ObjectId, Option<String>> = holders
            .into_iter()
            .map(|stored| (stored.id, stored.object.holder))
            .collect();
        for foreign in foreign {
            let named = foreign.row.and_then(|row| holders.get(&row).cloned().flatten());
            let holder = foreign.rival.or(named).unwrap_or_else(|| "another object".to_owned());
            let text = format!(
                "address {} of {} was left alone: it belongs to {holder}",
                foreign.host, foreign.label
            );
            self.warnings.push(text.into());
        }
        Ok(())
    }

    /// Takes primary addresses that become nobody's from their virtual machines. Where NetBox fails as a whole they stay.
    async fn free_primaries(&mut self) -> Result<(), Error> {
        let freed = match self.pass::<ReleasedPrimaries>().await {
            Err(error) if error.is_of_one_question() => {
                let released = released(&self.facts);
                let text = format!("primary addresses that guests have no more were left as they are: {error}");
                self.warnings.push(text.into());
                let stale = &mut self.facts.known.network.stale_addresses;
                stale.retain(|row| !released.contains(row));
                Outcome::default()
            }
            freed => freed?,
        };
        self.warn(PHASE, &freed);
        Ok(())
    }

    /// Lets addresses go that interfaces have no more, after what protects them.
    async fn clear_stale(&mut self) -> Result<Outcome, Error> {
        if !self.facts.may_retire() {
            return Ok(Outcome::default());
        }
        let (addresses, links) = find_stale(&self.facts);
        self.facts.known.network.stale_addresses = addresses;
        self.facts.known.network.stale_links = links;
        // The links go first: once they are gone it is too late to refuse the rest.
        self.check::<StaleAddresses>().await?;
        let cleared = self.pass::<StaleLinks>().await?;
        self.warn(PHASE, &cleared);
        let deleted: BTreeSet<ObjectId> = cleared.deleted.iter().map(|row| row.id).collect();
        let links = &mut self.facts.known.network.guest_addresses;
        links.retain(|stored| !deleted.contains(&stored.id));
        self.free_primaries().await?;
        let mut cleared = self.pass::<StaleAddresses>().await?;
        // Boxed: it is rare, and large.
        Box::pin(self.release_protected(&mut cleared)).await?;
        let released: BTreeSet<ObjectId> = cleared.marked.iter().map(|row| row.id).collect();
        let network = &mut self.facts.known.network;
        let rows = network.addresses.iter_mut();
        rows.filter(|stored| released.contains(&stored.id))
            .for_each(|stored| stored.object.assigned = None);
        // One that NetBox has kept is a primary address as before.
        network.stale_addresses = cleared.deleted.iter().map(|row| row.id).chain(released).collect();
        Ok(cleared)
    }

    /// Lets addresses that NetBox has not deleted, since other rows of it need them, become nobody's. Of those that it keeps
    /// where they are, why they were not deleted is told.
    async fn release_protected(&mut self, cleared: &mut Outcome) -> Result<(), Error> {
        let refused = cleared
            .failed
            .iter()
            .filter(|failure| failure.kind == ErrorKind::Validation);
        let refused: BTreeSet<String> = refused.map(|failure| failure.key.clone()).collect();
        let done: BTreeSet<ObjectId> = cleared
            .deleted
            .iter()
            .chain(&cleared.marked)
            .map(|row| row.id)
            .collect();
        let network = &mut self.facts.known.network;
        let rows = network.addresses.iter().filter(|stored| {
            let is_left = network.stale_addresses.contains(&stored.id) && !done.contains(&stored.id);
            is_left && !stored.object.is_annotated && refused.contains(&stored.object.key())
        });
        let protected: BTreeSet<ObjectId> = rows.map(|stored| stored.id).collect();
        if protected.is_empty() {
            return Ok(());
        }
        network.stale_addresses.clone_from(&protected);
        network.protected_addresses = protected;
        self.free_primaries().await?;
        let released = self.pass::<StaleAddresses>().await?.marked;
        let keys: BTreeSet<&String> = released.iter().map(|row| &row.key).collect();
        cleared.failed.retain(|failure| !keys.contains(&failure.key));
        cleared.marked.extend(released);
        Ok(())
    }
}
