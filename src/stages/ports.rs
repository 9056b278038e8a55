//! Guests' network interfaces: as configured, as NetBox calls them, and as the guest itself sees them.

use std::collections::{BTreeMap, BTreeSet};

use super::guests::{Bound, bindings};
use super::{Facts, InterfaceNaming, Part};
use crate::inventory::{AgentAnswer, GuestConfig, GuestInterface, GuestKind, Nic};
use crate::mapping::guest_interface::{has_mac, row_name, seen, without_aliases};
use crate::mapping::ip_address::dns_name;
use crate::mapping::vm_interface::{core_name, interface_name};
use crate::netbox::objects::{PROXBOX_TAG, VmInterface};
use crate::reconcile::ObjectId;

/// A guest, and what it has to be reached by.
#[derive(Debug, Clone)]
pub struct GuestPorts<'a> {
    /// The guest, and the virtual machine that stands for it.
    pub bound: Bound<'a>,
    /// Its interfaces, by their number; those whose name another one has are left out.
    pub ports: Vec<Port>,
    /// Keys of interfaces that were left out.
    pub doubles: Vec<String>,
    /// The interfaces that its agent told, aliases folded in; `None` where it told none.
    pub agent: Option<Vec<GuestInterface>>,
    /// Whether the guest itself told of its addresses, by its agent or its kernel. Where it did not they are those of its
    /// configuration, and may not be all.
    pub is_live: bool,
    /// Its DNS name, where it could be learned.
    pub dns_name: Option<String>,
}

/// A network interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// How it is configured.
    pub nic: Nic,
    /// What NetBox calls it.
    pub name: String,
    /// The name that this is made of, where NetBox cannot take it as it is.
    pub unfit_name: Option<String>,
    /// How the guest sees it.
    pub seen: Option<GuestInterface>,
}

impl GuestPorts<'_> {
    /// The key of a port's interface.
    pub fn key(&self, port: &Port) -> String {
        VmInterface::key_of(self.bound.id, &port.name)
    }

    /// The interfaces that the agent told, each with the one of the guest's ports that it is. Of several with one
    /// hardware address the first one is it.
    pub fn mapped(&self) -> Vec<(&GuestInterface, Option<&Port>)> {
        let (mut names, mut taken) = (BTreeSet::new(), BTreeSet::new());
        let told = self.agent.iter().flatten();
        let told = told.filter(|interface| row_name(interface).is_some_and(|name| names.insert(name)));
        told.map(|interface| {
            let port = self.ports.iter().find(|port| has_mac(interface, &port.nic));
            (interface, port.filter(|port| taken.insert(&port.name)))
        })
        .collect()
    }
}

/// The guests that the modes do not leave out, that have a virtual machine and whose configuration was read, by their number.
pub fn guest_ports(facts: &Facts) -> Vec<GuestPorts<'_>> {
    let bindings = bindings(facts);
    let handled = bindings.handled().filter(|bound| bound.guest.is_some());
    let stored = stored_names(facts);
    handled
        .filter_map(|bound| Some(ports_of(facts, *bound, facts.inventory.config(bound.vmid)?, &stored)))
        .collect()
}

fn ports_of<'a>(facts: &'a Facts, bound: Bound<'a>, config: &GuestConfig, stored: &StoredNames<'_>) -> GuestPorts<'a> {
    let told = facts.inventory.agent(bound.vmid);
    let agent = match told.map(|told| &told.answer) {
        Some(AgentAnswer::Interfaces(interfaces)) => Some(without_aliases(interfaces)),
        Some(AgentAnswer::Silence(_) | AgentAnswer::Failure(_)) | None => None,
    };
    let container = facts.inventory.container(bound.vmid);
    let live = agent
        .clone()
        .or_else(|| container.map(|container| container.interfaces.clone()));
    let host_name = match config {
        GuestConfig::Qemu(_) => told.and_then(|told| told.host_name.as_deref()),
        GuestConfig::Lxc(config) => config.hostname.as_deref(),
    };
    let mut guest = GuestPorts {
        bound,
        ports: Vec::new(),
        doubles: Vec::new(),
        is_live: live.is_some(),
        dns_name: host_name.and_then(dns_name),
        agent,
    };
    let nics = Nic::list(config).into_iter();
    let nics: Vec<_> = nics
        .map(|nic| {
            let seen = live.as_ref().and_then(|live| seen(live, &nic, core_name(&nic)));
            (nic, seen)
        })
        .collect();
    let earlier = Earlier::of(&guest, &nics, stored);
    let mut names = BTreeSet::new();
    for (nic, seen) in nics {
        let told = seen.as_ref().map(|told| told.name.as_str());
        let told = told.filter(|_| guest.agent.is_some() && takes_agent_names(facts));
        let called = told.or_else(|| earlier.name(&nic));
        let called = called.unwrap_or_else(|| core_name(&nic)).to_owned();
        let name = interface_name(&called, core_name(&nic));
        if names.insert(name.clone()) {
            guest.ports.push(Port {
                nic,
                unfit_name: Some(called).filter(|called| *called != name),
                name,
                seen,
            });
        } else {
            guest.doubles.push(nic.key);
        }
    }
    if facts.options.only.named(Part::Interface).is_some() {
        keep_named(facts, &mut guest);
    }
    guest
}

/// Leaves a guest only the interface that the request names, and what its agent told of that one.
fn keep_named(facts: &Facts, guest: &mut GuestPorts<'_>) {
    let only = &facts.options.only;
    guest.ports.retain(|port| only.takes(Part::Interface, &port.nic.key));
    if let Some(told) = &mut guest.agent {
        told.retain(|interface| guest.ports.iter().any(|port| has_mac(interface, &port.nic)));
    }
}

/// Our stored interfaces, by their virtual machine.
type StoredNames<'a> = BTreeMap<ObjectId, Vec<&'a VmInterface>>;

fn takes_agent_names(facts: &Facts) -> bool {
    let options = &facts.options.guests;
    options.naming == InterfaceNaming::LegacyRename && options.use_agent_names
}

/// The interfaces that agents may have named; none where no name is an agent's. Those without our tag are an operator's.
fn stored_names(facts: &Facts) -> StoredNames<'_> {
    let mut names = StoredNames::new();
    let stored = facts.known.network.interfaces.iter().map(|stored| &stored.object);
    let ours = stored.filter(|interface| takes_agent_names(facts) && interface.tags.contains(PROXBOX_TAG));
    for interface in ours {
        names.entry(interface.virtual_machine).or_default().push(interface);
    }
    names
}

/// What an agent has called a guest's interfaces in earlier runs.
struct Earlier<'a> {
    rows: Vec<&'a VmInterface>,
    is_only_nic: bool,
}

impl<'a> Earlier<'a> {
    /// Names that the agent gives others now are none of them.
    fn of(guest: &GuestPorts<'_>, nics: &[(Nic, Option<GuestInterface>)], stored: &StoredNames<'a>) -> Self {
        let told = nics
            .iter()
            .filter_map(|(nic, seen)| Some(interface_name(&seen.as_ref()?.name, core_name(nic))));
        let told: BTreeSet<String> = told.collect();
        let rows = stored
            .get(&guest.bound.id)
            .filter(|_| guest.bound.kind == GuestKind::Qemu);
        let rows = rows.into_iter().flatten().copied();
        Self {
            rows: rows.filter(|row| !told.contains(&row.name)).collect(),
            is_only_nic: nics.len() == 1,
        }
    }

    /// The name of an interface of which the agent tells nothing now: another one would make a second interface. Without
    /// MAC addresses in NetBox only that of a guest's only interface can be told.
    fn name(&self, nic: &Nic) -> Option<&'a str> {
        let of_mac = || {
            self.rows
                .iter()
                .filter(|row| nic.mac.is_some() && row.primary_mac == nic.mac)
        };
        let agents = of_mac()
            .find(|row| row.name != core_name(nic))
            .or_else(|| of_mac().next());
        agents.copied().or_else(|| self.only()).map(|row| row.name.as_str())
    }

    /// The only row that is not called by the key of a configuration, where it has no MAC address.
    fn only(&self) -> Option<&'a VmInterface> {
        let mut agents = self.rows.iter().filter(|row| !is_nic_key(&row.name));
        let first = agents
            .next()
            .filter(|row| self.is_only_nic && row.primary_mac.is_none())?;
        agents.next().is_none().then_some(*first)
    }
}

/// Whether a name is a key of a virtual machine's configuration.
fn is_nic_key(name: &str) -> bool {
    let number = name.strip_prefix("net");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The id of a port's interface, where one stands.
pub fn interface_of(facts: &Facts, guest: &GuestPorts<'_>, port: &Port) -> Option<ObjectId> {
    facts.ids.find::<VmInterface>(&guest.key(port))
}
