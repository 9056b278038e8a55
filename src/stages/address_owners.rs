//! Whose an address is. NetBox takes a host once in its global table; what somebody else has there is never taken away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::Facts;
use super::vm_addresses::{Claim, claims, leftovers};
use crate::netbox::objects::{IpAddress, PROXBOX_TAG};
use crate::reconcile::{Mode, ObjectId, Stored};

/// Which row a claim gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Title {
    /// The one that it has.
    Own(ObjectId),
    /// One that nobody has, or that another interface of the same virtual machine has no more.
    Taken(ObjectId),
    /// A new one.
    New,
}

/// An address that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// What should have it.
    pub label: String,
    /// The address.
    pub host: IpAddr,
    /// The row that somebody else has; `None`: another guest claims it in this very run.
    pub row: Option<ObjectId>,
    /// The other guest.
    pub rival: Option<String>,
}

/// Who has what.
#[derive(Debug, Clone, Default)]
pub struct Estate {
    /// Claims that can be met.
    pub met: Vec<(Claim, Title)>,
    /// Claims that cannot.
    pub foreign: Vec<Foreign>,
    /// Rows that have to go.
    pub stale: BTreeSet<ObjectId>,
}

/// Hosts that interfaces should have and do not: others may have them.
pub fn unknown_hosts(facts: &Facts) -> BTreeSet<IpAddr> {
    let own: BTreeSet<(Option<ObjectId>, IpAddr)> = facts
        .known
        .network
        .addresses
        .iter()
        .map(|stored| (stored.object.vm_interface(), stored.object.host))
        .collect();
    let claims = claims(facts).claims.into_iter();
    claims
        .map(|claim| (Some(claim.interface), claim.address.host))
        .filter(|key| !own.contains(key))
        .map(|(_, host)| host)
        .collect()
}

/// Who has what of `rows`.
pub fn estate(facts: &Facts, rows: &[Stored<IpAddress>]) -> Estate {
    let claims = claims(facts);
    let may_change = facts.options.modes.effective_ip_address() == Mode::Always;
    let mut leftover = if may_change && facts.may_retire() && !facts.known.network.has_hidden_links {
        leftovers(facts, &claims, rows)
    } else {
        BTreeSet::new()
    };
    let claims = claims.claims;
    let mut court = Court::new(facts, &claims, rows, may_change);
    let titles: Vec<Option<Title>> = claims.iter().map(|claim| court.own(claim)).collect();
    let mut estate = Estate::default();
    for (claim, own) in claims.iter().zip(titles) {
        match own.map_or_else(|| court.judge(claim, &leftover), Verdict::Met) {
            Verdict::Met(title) => {
                if let Title::Taken(row) = title {
                    leftover.remove(&row);
                }
                estate.met.push((claim.clone(), title));
            }
            Verdict::Foreign(foreign) => estate.foreign.push(foreign),
            Verdict::Skip => {}
        }
    }
    estate.stale = leftover;
    estate
}

enum Verdict {
    Met(Title),
    Foreign(Foreign),
    /// The interface has got it already, or what stands may not be changed.
    Skip,
}

struct Court<'a> {
    rows: HashMap<IpAddr, Vec<&'a Stored<IpAddress>>>,
    /// What each interface should have.
    wanted: BTreeSet<(ObjectId, IpAddr)>,
    machines: BTreeMap<ObjectId, ObjectId>,
    may_take: bool,
    /// Hosts of the global table that a claim has got in this run, and which.
    given: HashMap<IpAddr, (ObjectId, String)>,
    /// Rows that a claim has got in this run.
    taken: BTreeSet<ObjectId>,
}

impl<'a> Court<'a> {
    fn new(facts: &Facts, claims: &[Claim], rows: &'a [Stored<IpAddress>], may_take: bool) -> Self {
        let mut by_host: HashMap<IpAddr, Vec<&Stored<IpAddress>>> = HashMap::new();
        for stored in rows {
            by_host.entry(stored.object.host).or_default().push(stored);
        }
        for rows in by_host.values_mut() {
            rows.sort_by_key(|row| row.id);
        }
        let interfaces = facts.known.network.interfaces.iter();
        Self {
            rows: by_host,
            wanted: claims
                .iter()
                .map(|claim| (claim.interface, claim.address.host))
                .collect(),
            machines: interfaces
                .map(|stored| (stored.id, stored.object.virtual_machine))
                .collect(),
            may_take,
            given: HashMap::new(),
            taken: BTreeSet::new(),
        }
    }

    fn rows_of(&self, claim: &Claim) -> Vec<&'a Stored<IpAddress>> {
        self.rows.get(&claim.address.host).cloned().unwrap_or_default()
    }

    fn give(&mut self, claim: &Claim) {
        let holder = (claim.interface, claim.label());
        self.given.entry(claim.address.host).or_insert(holder);
    }

    /// The row that the claim's interface has; of several the one with the same mask.
    fn own(&mut self, claim: &Claim) -> Option<Title> {
        let rows = self.rows_of(claim).into_iter();
        let own = rows.filter(|stored| stored.object.vm_interface() == Some(claim.interface));
        let best = own.min_by_key(|stored| (stored.object.prefix != Some(claim.address.prefix), stored.id))?;
        if best.object.vrf.is_none() {
            self.give(claim);
        }
        Some(Title::Own(best.id))
    }

    fn judge(&mut self, claim: &Claim, leftover: &BTreeSet<ObjectId>) -> Verdict {
        let host = claim.address.host;
        if let Some((interface, rival)) = self.given.get(&host) {
            if *interface == claim.interface {
                return Verdict::Skip;
            }
            return Verdict::Foreign(Foreign {
                label: claim.label(),
                host,
                row: None,
                rival: Some(rival.clone()),
            });
        }
        let rows = self.rows_of(claim);
        let free = rows.iter().find(|stored| self.is_free(stored, claim));
        if let Some(free) = free {
            if !self.may_take {
                return Verdict::Skip;
            }
            self.taken.insert(free.id);
            if free.object.vrf.is_none() {
                self.give(claim);
            }
            return Verdict::Met(Title::Taken(free.id));
        }
        let blocks = |stored: &&&Stored<IpAddress>| stored.object.vrf.is_none() && !leftover.contains(&stored.id);
        if let Some(holder) = rows.iter().find(blocks) {
            return Verdict::Foreign(Foreign {
                label: claim.label(),
                host,
                row: Some(holder.id),
                rival: None,
            });
        }
        self.give(claim);
        Verdict::Met(Title::New)
    }

    /// Whether nobody has the row, or an interface of the same virtual machine which should not have it. One in a VRF that
    /// nobody has is an operator's, unless it is ours, has the guest's name and there is no other of its host: then it was
    /// that guest's before. The host alone does not tell: tenants may have the same networks.
    fn is_free(&self, stored: &Stored<IpAddress>, claim: &Claim) -> bool {
        if self.taken.contains(&stored.id) {
            return false;
        }
        match (&stored.object.assigned, stored.object.vm_interface()) {
            (None, _) => {
                let rows = self.rows.get(&claim.address.host).map_or(0, Vec::len);
                let row = &stored.object;
                let name = row.dns_name.as_ref().filter(|name| !name.is_empty());
                let was_its = name.is_some() && name == claim.dns_name.as_ref();
                row.vrf.is_none() || rows == 1 && was_its && row.tags.contains(PROXBOX_TAG)
            }
            (Some(_), Some(interface)) => {
                self.machines.get(&interface) == Some(&claim.machine)
                    && !self.wanted.contains(&(interface, stored.object.host))
            }
            (Some(_), None) => false,
        }
    }
}
