//! Which virtual machine stands for which guest, for every stage after `virtual-machines`.
//!
//! A virtual machine's sync state is its identity: endpoint, cluster, number and kind. Names are never looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::machines::mode_of;
use super::{Facts, Selection};
use crate::inventory::{Guest, GuestKind, Guests, Vmid};
use crate::mapping::notes::overrides;
use crate::netbox::objects::{Cluster, PROXBOX_TAG, VirtualMachine, VirtualMachineState};
use crate::reconcile::{Mode, ObjectId, Stored};

/// A virtual machine, and the guest that it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The guest's number.
    pub vmid: Vmid,
    /// The guest's kind.
    pub kind: GuestKind,
    /// The guest; `None` where the cluster lists it no more, or the guests were not read.
    pub guest: Option<&'a Guest>,
    /// How far what the virtual machine has is kept in step.
    pub mode: Mode,
    /// The virtual machine's id.
    pub id: ObjectId,
    /// The virtual machine.
    pub machine: &'a VirtualMachine,
}

impl Bound<'_> {
    /// What the virtual machine is called.
    pub fn label(&self) -> &str {
        self.machine.name.as_deref().unwrap_or_default()
    }

    /// Whether what it has may be made, and is never touched once it is there.
    pub fn is_kept(&self) -> bool {
        self.mode == Mode::BootstrapOnly
    }

    /// Whether the modes do not leave it out.
    pub fn is_followed(&self) -> bool {
        self.mode != Mode::Disabled
    }
}

/// A virtual machine whose guest cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbound {
    /// The virtual machine.
    pub id: ObjectId,
    /// The number of the guest that it claims to be, where it names one of this cluster.
    pub vmid: Option<Vmid>,
    /// Why not.
    pub reason: String,
}

/// The virtual machines of the endpoint's cluster.
#[derive(Debug, Default)]
pub struct Bindings<'a> {
    /// Those that stand for a guest, by the guest's number.
    pub bound: Vec<Bound<'a>>,
    /// Those that claim to and of which it cannot be told. Nothing of theirs is touched.
    pub unbound: Vec<Unbound>,
    /// The numbers of guests that several virtual machines of one kind claim to be.
    pub disputed: BTreeSet<Vmid>,
    /// All that claim to be a guest, by its number, whichever of them the request names.
    claimants: BTreeMap<Vmid, BTreeSet<ObjectId>>,
}

impl<'a> Bindings<'a> {
    /// Those that were not marked because their guest is gone.
    pub fn active(&self) -> impl Iterator<Item = &Bound<'a>> {
        self.bound.iter().filter(|bound| !bound.machine.is_soft_deleted())
    }

    /// Those of the active ones that the modes do not leave out.
    pub fn handled(&self) -> impl Iterator<Item = &Bound<'a>> {
        self.active().filter(|bound| bound.is_followed())
    }

    /// All that the modes do not leave out.
    pub fn followed(&self) -> impl Iterator<Item = &Bound<'a>> {
        self.bound.iter().filter(|bound| bound.is_followed())
    }

    /// The one that stands for the guest with this number.
    pub fn of(&self, vmid: Vmid) -> Option<&Bound<'a>> {
        let place = self.bound.binary_search_by_key(&vmid, |bound| bound.vmid).ok()?;
        self.bound.get(place)
    }

    /// Whether a virtual machine claims to be the guest with this number and another one stands for it: its own guest had the
    /// number before, or it was moved out of the guest's cluster. What hangs on it stays there.
    pub fn is_former(&self, machine: ObjectId, vmid: Vmid) -> bool {
        let is_claimant = self.claimants.get(&vmid).is_some_and(|ids| ids.contains(&machine));
        is_claimant && self.of(vmid).is_some_and(|bound| bound.id != machine)
    }

    /// Whether there is such a virtual machine.
    pub fn has_former(&self, vmid: Vmid) -> bool {
        let mut claimants = self.claimants.get(&vmid).into_iter().flatten();
        claimants.any(|machine| self.is_former(*machine, vmid))
    }
}

/// The bindings that the virtual machines and sync states which were read show. Where the request names virtual
/// machines, only those count, and a named one without a sync state is unbound.
pub fn bindings(facts: &Facts) -> Bindings<'_> {
    let machines: BTreeMap<ObjectId, &VirtualMachine> = facts
        .known
        .machines
        .iter()
        .map(|stored| (stored.id, &stored.object))
        .collect();
    let mut claims: BTreeMap<Vmid, Vec<(ObjectId, &VirtualMachineState)>> = BTreeMap::new();
    let mut bindings = Bindings::default();
    for Stored { object: state, .. } in &facts.known.machine_states {
        let id = state.virtual_machine;
        match vmid(facts, state) {
            Ok(vmid) => claims.entry(vmid).or_default().push((id, state)),
            Err(reason) if is_selected(facts, id) && !is_elsewhere(facts, state) => bindings.refuse(id, None, reason),
            Err(_) => {}
        }
    }
    for (vmid, claimants) in claims {
        bindings
            .claimants
            .insert(vmid, claimants.iter().map(|(id, _)| *id).collect());
        // A number is one guest's: the virtual machine of another kind stands for one that had it before.
        let live = facts.inventory.guest(vmid).map(|guest| guest.kind);
        let is_rival = |state: &VirtualMachineState| live.is_none() || kind_of(state) == live;
        // One that was moved out of the guest's cluster has an heir there, if any virtual machine there claims to be the guest.
        let home = home(facts, vmid);
        let is_home = |id: &ObjectId| home.is_some() && machines.get(id).is_some_and(|machine| machine.cluster == home);
        let has_heir = claimants.iter().any(|(id, state)| is_rival(state) && is_home(id));
        let is_left = |id: &ObjectId| has_heir && !is_home(id);
        let rivals = claimants.iter().filter(|(id, state)| is_rival(state) && !is_left(id));
        let rivals = rivals.count();
        for (id, state) in claimants.into_iter().filter(|(id, _)| is_selected(facts, *id)) {
            let bound = if is_rival(state) && is_left(&id) {
                Err(format!(
                    "it is not in the cluster of guest {vmid}, where another one stands for it"
                ))
            } else if rivals > 1 && is_rival(state) {
                bindings.disputed.insert(vmid);
                Err(format!("{rivals} virtual machines claim to be guest {vmid}"))
            } else {
                bind(facts, (vmid, home), state, machines.get(&id).copied())
            };
            match bound {
                Ok(bound) => bindings.bound.push(bound),
                Err(reason) => bindings.refuse(id, Some(vmid), &reason),
            }
        }
    }
    let stateless = facts.options.guests.only.iter().flatten().filter(|id| {
        let mut states = facts.known.machine_states.iter();
        !states.any(|stored| stored.object.virtual_machine == **id)
    });
    for id in stateless {
        bindings.refuse(*id, None, "no sync state of this endpoint says which guest it is");
    }
    bindings
}

/// The virtual machines that stand for guests of the endpoint.
pub(super) fn own_machines(facts: &Facts) -> BTreeSet<ObjectId> {
    bindings(facts).bound.iter().map(|bound| bound.id).collect()
}

/// The virtual machines whose guests' mode lets what they have be made, and never touched once it is there.
pub(super) fn kept_machines(facts: &Facts) -> BTreeSet<ObjectId> {
    let modes = facts.options.modes;
    if ![modes.machine, modes.template].contains(&Mode::BootstrapOnly) {
        return BTreeSet::new();
    }
    let bound = bindings(facts).bound.into_iter();
    let kept = bound.filter(Bound::is_kept);
    kept.map(|bound| bound.id).collect()
}

/// The same facts, as if the request named no virtual machines.
pub fn of_all_machines(facts: &Facts) -> Facts {
    let mut all = facts.clone();
    all.options.guests.only = None;
    all
}

/// The virtual machines of the cluster.
pub fn machine_selection(facts: &Facts) -> Vec<Selection> {
    let of_cluster = |cluster| Selection::with("cluster_id", &cluster).below::<Cluster>([cluster]);
    facts.target.cluster.map(of_cluster).into_iter().collect()
}

/// The sync states that tell which virtual machine is which guest: those of the endpoint's own. Where the request names
/// virtual machines and other endpoints take part, those of all: some may be theirs.
pub fn state_selection(facts: &Facts) -> Selection {
    if facts.options.guests.only.is_some() && !facts.known.others.is_empty() {
        return Selection::all();
    }
    owned_states(facts)
}

/// The sync states of the endpoint's virtual machines.
pub fn owned_states(facts: &Facts) -> Selection {
    Selection::with("proxmox_endpoint_raw_id", &facts.endpoint.key.id)
}

/// The virtual machines of the cluster that no sync state speaks of; none where the request names virtual machines.
pub fn stateless(facts: &Facts) -> impl Iterator<Item = &Stored<VirtualMachine>> {
    let states = facts.known.machine_states.iter();
    let known: BTreeSet<ObjectId> = states.map(|stored| stored.object.virtual_machine).collect();
    let machines = facts
        .known
        .machines
        .iter()
        .filter(move |stored| !known.contains(&stored.id));
    machines.filter(|_| facts.options.guests.only.is_none())
}

/// Sync states of virtual machines that this service has made and that none of the endpoint's speaks of: they may have lost
/// what says whose they are.
pub fn lost_states(facts: &Facts) -> Selection {
    let ours = stateless(facts).filter(|stored| stored.object.tags.contains(PROXBOX_TAG));
    Selection::any_of("virtual_machine_id", ours.map(|stored| stored.id))
}

/// Rows of a collection that the plugin tells apart by the guest's number, whatever virtual machine they hang on: those of
/// the guests that virtual machines stand for, where the request names some, of these.
pub fn of_guests(facts: &Facts) -> Selection {
    let selection = Selection::any_of("vmid", bindings(facts).bound.iter().map(|bound| bound.vmid));
    match &facts.options.guests.only {
        None => selection.or_whole().below::<VirtualMachine>(facts.known.machine_ids()),
        Some(_) => selection,
    }
}

impl Bindings<'_> {
    fn refuse(&mut self, id: ObjectId, vmid: Option<Vmid>, reason: &str) {
        self.unbound.push(Unbound {
            id,
            vmid,
            reason: reason.to_owned(),
        });
    }
}

/// The guests that a virtual machine outside the endpoint's cluster claims to be. Whether it is the guest's own cluster the
/// guest's notes may tell.
pub fn claimed_outside(facts: &Facts) -> BTreeSet<Vmid> {
    let outside = facts.known.machines.iter();
    let outside = outside.filter(|stored| stored.object.cluster != facts.target.cluster);
    let outside: BTreeSet<ObjectId> = outside.map(|stored| stored.id).collect();
    claims_of(facts, |machine| outside.contains(&machine))
}

/// The guests that the virtual machines which the request names claim to be; `None`: it names none.
pub fn claimed_by_selected(facts: &Facts) -> Option<BTreeSet<Vmid>> {
    let only = facts.options.guests.only.as_ref()?;
    Some(claims_of(facts, |machine| only.contains(&machine)))
}

fn claims_of(facts: &Facts, is_it: impl Fn(ObjectId) -> bool) -> BTreeSet<Vmid> {
    let states = facts.known.machine_states.iter().map(|stored| &stored.object);
    let of_these = states.filter(|state| is_it(state.virtual_machine));
    of_these.filter_map(|state| vmid(facts, state).ok()).collect()
}

/// The cluster that the virtual machine of a guest belongs in; `None` where the notes that may tell it were not read.
fn home(facts: &Facts, vmid: Vmid) -> Option<ObjectId> {
    if !facts.options.guests.parse_metadata {
        return facts.target.cluster;
    }
    let config = facts.inventory.config(vmid)?;
    let named = overrides(config.description()).get("cluster");
    named.map(ObjectId).or(facts.target.cluster)
}

fn is_selected(facts: &Facts, id: ObjectId) -> bool {
    facts.options.guests.only.as_ref().is_none_or(|only| only.contains(&id))
}

/// Whether a sync state plainly names another cluster, or another endpoint of the run. The former is no fault, unless the
/// request names its virtual machine.
fn is_elsewhere(facts: &Facts, state: &VirtualMachineState) -> bool {
    if state.endpoint_raw_id.is_some_and(|id| facts.known.others.contains(&id)) {
        return true;
    }
    let cluster = state.cluster_name.as_deref().unwrap_or_default().trim();
    facts.options.guests.only.is_none()
        && !cluster.is_empty()
        && cluster.to_lowercase() != facts.cluster.name.to_lowercase()
}

/// The number of the guest of this cluster that a sync state names.
fn vmid(facts: &Facts, state: &VirtualMachineState) -> Result<Vmid, &'static str> {
    match state.endpoint_raw_id {
        Some(id) if id == facts.endpoint.key.id.0 => {}
        Some(_) => return Err("its sync state belongs to another Proxmox endpoint"),
        None => return Err("its sync state names no Proxmox endpoint"),
    }
    let cluster = state.cluster_name.as_deref().unwrap_or_default().trim();
    // A state without a name may still hang on the plugin's row of the cluster.
    let is_tracked = cluster.is_empty()
        && state
            .proxmox_cluster
            .is_some_and(|id| facts.target.tracking == Some(id));
    if !is_tracked && cluster.to_lowercase() != facts.cluster.name.to_lowercase() {
        return Err("its sync state names another cluster");
    }
    state
        .vmid
        .filter(|vmid| *vmid > 0)
        .map(Vmid)
        .ok_or("its sync state has no guest number")
}

/// The kind of guest that a sync state names, in whatever letters.
pub(super) fn kind_of(state: &VirtualMachineState) -> Option<GuestKind> {
    match state.kind.as_deref()?.trim().to_lowercase().as_str() {
        "qemu" => Some(GuestKind::Qemu),
        "lxc" => Some(GuestKind::Lxc),
        _ => None,
    }
}

fn bind<'a>(
    facts: &'a Facts,
    (vmid, home): (Vmid, Option<ObjectId>),
    state: &VirtualMachineState,
    machine: Option<&'a VirtualMachine>,
) -> Result<Bound<'a>, String> {
    let kind = kind_of(state).ok_or("its sync state has no kind of guest")?;
    let machine = machine.ok_or("it is not in the cluster of its sync state")?;
    let guest = facts.inventory.guest(vmid);
    if let Some(guest) = guest.filter(|guest| guest.kind != kind) {
        return Err(format!("guest {vmid} is a {}, not a {kind}", guest.kind));
    }
    // Where the notes were not read the endpoint's cluster is as good as told, and no other one is.
    let home = home.or(facts.target.cluster);
    if home.is_some() && machine.cluster != home {
        return Err(format!("it is not in the cluster of guest {vmid}"));
    }
    Ok(Bound {
        vmid,
        kind,
        guest,
        mode: guest.map_or_else(|| mode_without(facts, state), |guest| mode_of(facts, guest)),
        id: state.virtual_machine,
        machine,
    })
}

/// The mode of a guest that is not listed. Where the cluster has it no more nothing tells whether it was a template, unless
/// it ran: the mode that does less holds.
fn mode_without(facts: &Facts, state: &VirtualMachineState) -> Mode {
    let modes = facts.options.modes;
    if !facts.inventory.is_complete::<Guests>() {
        modes.effective_guest()
    } else if has_run(state) {
        modes.machine
    } else {
        modes.machine.max(modes.template)
    }
}

/// Whether the guest ran when it was seen last, which a template does not.
pub(super) fn has_run(state: &VirtualMachineState) -> bool {
    state.status.as_deref() == Some("running")
}
