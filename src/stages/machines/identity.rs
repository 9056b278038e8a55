//! Which virtual machine is which guest.
//!
//! A virtual machine's sync state is its identity: endpoint, number and kind. Numbers repeat across clusters and endpoint
//! ids across installations, so only a virtual machine in the guest's own NetBox cluster is ever taken. Names decide
//! nothing, but for virtual machines whose endpoint is configured no more and for those that a run did not live to
//! identify.

use std::collections::{BTreeMap, BTreeSet};

use super::names::is_variant;
use super::roles::{self, RoleDecision};
use super::{Match, handled, machines, mode_of, overrides_of};
use crate::inventory::{Guest, GuestKind, Vmid};
use crate::mapping::names::clean;
use crate::mapping::virtual_machine::discovered_tag;
use crate::netbox::objects::{PROXBOX_TAG, VirtualMachine, VirtualMachineState};
use crate::reconcile::{Mode, ObjectId, Row, Stored};
use crate::stages::Facts;
use crate::stages::guests::kind_of;

/// A guest that is left alone because it cannot be proven where its virtual machine belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The guest.
    pub vmid: Vmid,
    /// The virtual machine that claims to be it.
    pub machine: ObjectId,
    /// Why it cannot be proven.
    pub reason: &'static str,
}

/// What is known of all guests.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Which virtual machine each guest is.
    pub matches: BTreeMap<Vmid, Match>,
    /// Guests of which that cannot be told, and why.
    pub refused: BTreeMap<Vmid, String>,
    /// Guests that are left alone.
    pub unverified: Vec<Unverified>,
}

/// Tells for every guest that the stage works on which virtual machine it is.
pub fn identify(facts: &Facts) -> Identities {
    let claims = Claims::new(facts);
    let machines = machines(facts);
    let mut identities = Identities::default();
    for guest in handled(facts) {
        let Some(cluster) = cluster_of(facts, guest) else {
            let reason = "no cluster in NetBox stands for its cluster".to_owned();
            identities.refused.insert(guest.vmid, reason);
            continue;
        };
        let (row, needs_claim) = match claims.verdict(guest, cluster) {
            Verdict::Found { machine, needs_claim } => (Row::Is(machine), needs_claim),
            Verdict::New => (Row::New, false),
            Verdict::Ambiguous(count) => {
                let reason = format!("{count} virtual machines claim to be guest {}", guest.vmid);
                identities.refused.insert(guest.vmid, reason);
                continue;
            }
            Verdict::Foreign { machine, endpoint } => {
                let (vmid, ours) = (guest.vmid, facts.endpoint.key.id.0);
                let reason = format!(
                    "virtual machine {machine} stands for guest {vmid} of Proxmox endpoint {endpoint}, which is not known to be \
                     gone; this is endpoint {ours}"
                );
                identities.refused.insert(vmid, reason);
                continue;
            }
            Verdict::Unverified { machine, reason } => {
                let vmid = guest.vmid;
                identities.unverified.push(Unverified { vmid, machine, reason });
                continue;
            }
        };
        let mut matched = Match {
            row,
            needs_claim,
            cluster,
            role: RoleDecision::default(),
            is_kept: false,
        };
        let stored = matched.machine().and_then(|id| machines.get(&id).copied());
        let state = stored.and_then(|stored| claims.state_of(guest.vmid, stored.id));
        matched.is_kept = state.is_some() && mode_of(facts, guest) == Mode::BootstrapOnly;
        if !matched.is_kept {
            matched.role = roles::decide(facts, guest, stored.map(|stored| &stored.object), state);
        }
        identities.matches.insert(guest.vmid, matched);
    }
    take_unfinished(facts, &mut identities);
    identities
}

/// Gives guests that would get a new virtual machine the one that an earlier run made for them and did not live to
/// identify. It bears the tag that only new virtual machines get, has no sync state, and is called like the guest; nothing
/// hangs on it yet.
fn take_unfinished(facts: &Facts, identities: &mut Identities) {
    let states = &facts.known.machine_states;
    let identified: BTreeSet<ObjectId> = states.iter().map(|stored| stored.object.virtual_machine).collect();
    let mut unfinished: Vec<&Stored<VirtualMachine>> = facts
        .known
        .machines
        .iter()
        .filter(|stored| !identified.contains(&stored.id) && stored.object.tags.contains(PROXBOX_TAG))
        .collect();
    if unfinished.is_empty() {
        return;
    }
    unfinished.sort_by_key(|stored| (stored.object.name.as_ref().map(String::len), stored.id));
    for guest in handled(facts) {
        let Some(matched) = identities.matches.get_mut(&guest.vmid) else {
            continue;
        };
        if matched.row != Row::New {
            continue;
        }
        let live = clean(&guest.label());
        let is_it = |stored: &&Stored<VirtualMachine>| {
            let machine = &stored.object;
            machine.cluster == Some(matched.cluster)
                && machine.tags.contains(discovered_tag(guest.kind))
                && machine.name.as_deref().is_some_and(|name| is_variant(name, &live))
        };
        if let Some(place) = unfinished.iter().position(is_it) {
            let stored = unfinished.remove(place);
            matched.row = Row::Is(stored.id);
            matched.role = roles::decide(facts, guest, Some(&stored.object), None);
        }
    }
}

/// Virtual machines that claim to be a guest of this endpoint and are not among those read of its clusters.
pub fn claimed_elsewhere(facts: &Facts) -> Vec<ObjectId> {
    let known = machines(facts);
    let states = facts.known.machine_states.iter().map(|stored| &stored.object);
    states
        .filter(|state| state.endpoint_raw_id == Some(facts.endpoint.key.id.0))
        .filter(|state| {
            state
                .vmid
                .is_some_and(|vmid| facts.inventory.guest(Vmid(vmid)).is_some())
        })
        .map(|state| state.virtual_machine)
        .filter(|id| !known.contains_key(id))
        .collect()
}

fn cluster_of(facts: &Facts, guest: &Guest) -> Option<ObjectId> {
    let config = facts.inventory.config(guest.vmid);
    let named = config.and_then(|config| overrides_of(facts, config).get("cluster"));
    named.map(ObjectId).or(facts.target.cluster)
}

enum Verdict {
    Found { machine: ObjectId, needs_claim: bool },
    New,
    Ambiguous(usize),
    Unverified { machine: ObjectId, reason: &'static str },
    Foreign { machine: ObjectId, endpoint: i64 },
}

/// A virtual machine that claims to be the guest with some number.
#[derive(Clone, Copy)]
struct Claim<'a> {
    state: &'a VirtualMachineState,
    machine: Option<&'a VirtualMachine>,
}

impl Claim<'_> {
    fn is_in(&self, cluster: ObjectId) -> bool {
        self.machine.is_some_and(|machine| machine.cluster == Some(cluster))
    }

    fn kind(&self) -> Option<GuestKind> {
        kind_of(self.state)
    }

    fn id(&self) -> ObjectId {
        self.state.virtual_machine
    }
}

struct Claims<'a> {
    facts: &'a Facts,
    by_vmid: BTreeMap<Vmid, Vec<Claim<'a>>>,
}

impl<'a> Claims<'a> {
    fn new(facts: &'a Facts) -> Self {
        let machines = machines(facts);
        let mut by_vmid: BTreeMap<Vmid, Vec<Claim<'a>>> = BTreeMap::new();
        for Stored { object: state, .. } in &facts.known.machine_states {
            if let Some(vmid) = state.vmid {
                let machine = machines.get(&state.virtual_machine).map(|stored| &stored.object);
                by_vmid.entry(Vmid(vmid)).or_default().push(Claim { state, machine });
            }
        }
        Self { facts, by_vmid }
    }

    fn of(&self, vmid: Vmid) -> &[Claim<'a>] {
        self.by_vmid.get(&vmid).map_or(&[], Vec::as_slice)
    }

    fn state_of(&self, vmid: Vmid, machine: ObjectId) -> Option<&'a VirtualMachineState> {
        let mut claims = self.of(vmid).iter();
        claims.find(|claim| claim.id() == machine).map(|claim| claim.state)
    }

    fn verdict(&self, guest: &Guest, cluster: ObjectId) -> Verdict {
        let endpoint = Some(self.facts.endpoint.key.id.0);
        let (ours, others): (Vec<Claim<'_>>, Vec<Claim<'_>>) = self
            .of(guest.vmid)
            .iter()
            .partition(|claim| claim.state.endpoint_raw_id == endpoint);
        let here: Vec<Claim<'_>> = ours.iter().copied().filter(|claim| claim.is_in(cluster)).collect();
        if let Some(verdict) = choose(guest.kind, &here, true) {
            return verdict;
        }
        let here: Vec<Claim<'_>> = others.into_iter().filter(|claim| claim.is_in(cluster)).collect();
        let unowned: Vec<Claim<'_>> = here
            .iter()
            .copied()
            .filter(|claim| claim.state.endpoint_raw_id.is_none())
            .collect();
        if let Some(verdict) = choose(guest.kind, &unowned, false) {
            return verdict;
        }
        if let Some(verdict) = unverified(&ours) {
            return verdict;
        }
        match here.as_slice() {
            [claim] if self.is_stale(guest, claim) => Verdict::Found {
                machine: claim.id(),
                needs_claim: true,
            },
            claims => {
                let mut claims = claims.iter();
                let foreign = claims.find_map(|claim| self.owner_of(guest, cluster, claim));
                foreign.unwrap_or(Verdict::New)
            }
        }
    }

    /// The other endpoint that the virtual machine of this very guest belongs to. The endpoint's cluster is no other's, so
    /// that only one of two endpoints for it can be right.
    fn owner_of(&self, guest: &Guest, cluster: ObjectId, claim: &Claim<'_>) -> Option<Verdict> {
        let is_it = self.facts.target.cluster == Some(cluster) && self.is_of(guest, claim);
        let is_there = |id: &i64| is_it && !self.facts.known.is_gone(*id);
        let endpoint = claim.state.endpoint_raw_id.filter(is_there)?;
        Some(Verdict::Foreign {
            machine: claim.id(),
            endpoint,
        })
    }

    /// Whether the claim is about a guest of this kind, and names no other cluster.
    fn is_of(&self, guest: &Guest, claim: &Claim<'_>) -> bool {
        let cluster = claim.state.cluster_name.as_deref().unwrap_or_default();
        claim.kind() == Some(guest.kind) && (cluster.trim().is_empty() || same(cluster, &self.facts.cluster.name))
    }

    /// Whether the claim's endpoint is configured no more, and everything else says that the guest is the one.
    fn is_stale(&self, guest: &Guest, claim: &Claim<'_>) -> bool {
        let names = [
            claim.machine.and_then(|machine| machine.name.as_deref()),
            claim.state.name.as_deref(),
        ];
        claim
            .state
            .endpoint_raw_id
            .is_some_and(|id| self.facts.known.is_gone(id))
            && self.is_of(guest, claim)
            && names.into_iter().flatten().any(|name| same(name, &guest.label()))
    }
}

fn same(left: &str, right: &str) -> bool {
    left.trim().to_lowercase() == right.trim().to_lowercase()
}

/// The only claim of the guest's kind, else the only one at all: of no kind, or, where `may_change_kind`, of the other,
/// because a number is given once in a cluster.
fn choose(kind: GuestKind, claims: &[Claim<'_>], may_change_kind: bool) -> Option<Verdict> {
    let found = |claim: &Claim<'_>| Verdict::Found {
        machine: claim.id(),
        needs_claim: false,
    };
    let of_kind: Vec<&Claim<'_>> = claims.iter().filter(|claim| claim.kind() == Some(kind)).collect();
    match (of_kind.as_slice(), claims) {
        ([claim], _) => Some(found(claim)),
        ([], [claim]) if may_change_kind || claim.kind().is_none() => Some(found(claim)),
        ([], [] | [_]) => None,
        ([], several) => Some(Verdict::Ambiguous(several.len())),
        (several, _) => Some(Verdict::Ambiguous(several.len())),
    }
}

/// A claim that can be neither believed nor refuted.
fn unverified(ours: &[Claim<'_>]) -> Option<Verdict> {
    ours.iter().find_map(|claim| {
        let reason = match claim.machine {
            None => "it cannot be read",
            Some(machine) if machine.cluster.is_none() => "it is in no cluster",
            Some(_) => return None,
        };
        Some(Verdict::Unverified {
            machine: claim.id(),
            reason,
        })
    })
}
