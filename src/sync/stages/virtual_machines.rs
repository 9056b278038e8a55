//! Stage `virtual-machines`: the virtual machines that stand for guests, and what stands beside each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tokio::time::Instant;

use super::Summary;
use crate::inventory::{GuestConfigs, GuestSystems, Vmid};
use crate::netbox::objects::{Platform, Tag, VirtualMachine, VirtualMachineState};
use crate::reconcile::{Mode, ObjectId};
use crate::stages::guests::owned_states;
use crate::stages::machines::identity::{claimed_elsewhere, identify};
use crate::stages::machines::{
    CloudInits, FreedNames, GuestTags, MachineStates, Machines, Match, Platforms, Revivals, RoleSnapshots, StateClaims,
    clusters, handled, ignored_overrides, names, tag_slugs, with_platform,
};
use crate::stages::{Selection, Stage};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;
use crate::sync::report::{Counts, Outcome};
use crate::sync::tally::TaskTally;
use crate::sync::tell::Subject;
use crate::sync::warning::Warning;

const PHASE: &str = "virtual-machines";
const MACHINES: Subject = Subject {
    phase: PHASE,
    kind: "virtual_machine",
    page: Some("/virtualization/virtual-machines/"),
    row: Some("virtual_machine"),
};

pub(super) async fn run(run: &mut EndpointRun<'_>) -> Result<Summary, Error> {
    if run.facts.options.modes.effective_guest() == Mode::Disabled {
        run.progress.summary(PHASE, &Counts::default());
        return Ok(Summary::default());
    }
    let are_named = run.facts.options.guests.only.is_some();
    if !run.find_guests().await? {
        run.discover_guests();
        return Ok(run.nothing(PHASE));
    }
    run.ensure_nodes().await?;
    if !are_named {
        run.read_machines_afresh().await?;
    }
    run.discover_guests();
    let began = Instant::now();
    let with_network = run.facts.options.guests.sync_network;
    if with_network {
        run.tell_begun();
    }
    run.read::<GuestConfigs>().await?;
    run.read_claimed_machines().await?;
    if with_network {
        run.tell_ready(began.elapsed());
    }
    let outcome = run.reconcile_machines().await?;
    if !with_network {
        let mut summary = run.tell(&MACHINES, &outcome);
        summary.tasks = run.follow_up(&outcome).await?.tasks;
        return Ok(summary);
    }
    run.tell_reconciled(&outcome, began.elapsed());
    let followed = run.follow_up(&outcome).await?;
    let mut summary = run.tell_items(&MACHINES, &outcome);
    summary.tasks = followed.tasks;
    let crippled = run.tell_done(&outcome, &followed.failed_interfaces);
    run.sum_up(&MACHINES, &summary.counts);
    summary.counts.failed += crippled;
    Ok(summary)
}

/// What came of the stages that were done for the same guests.
#[derive(Debug, Default)]
struct Followed {
    /// The keys of interfaces that failed.
    failed_interfaces: BTreeSet<String>,
    /// What the pass over their tasks counted, where there was one.
    tasks: Option<TaskTally>,
}

impl EndpointRun<'_> {
    /// Compares and writes, now that everything was read: what virtual machines refer to, they themselves, and what
    /// stands beside each.
    async fn reconcile_machines(&mut self) -> Result<Outcome, Error> {
        let unverified = self.identify_guests();
        self.read_guest_tags().await?;
        self.read_systems().await?;
        let [tags, platforms] = self.try_passes::<GuestTags, Platforms>().await;
        let tags = self.or_without::<Tag, _>(tags)?;
        self.warn(PHASE, &tags);
        self.facts.guests.tags = tag_slugs(&self.facts);
        let platforms = self.or_without::<Platform, _>(platforms)?;
        self.warn(PHASE, &platforms);
        self.claim_states().await?;
        self.free_names().await?;
        let mut outcome = self.write_machines().await?;
        outcome.left_out += unverified;
        let [states, cloud_inits] = self.pass_and_aside::<MachineStates, CloudInits>().await;
        take_states(&states?, &mut outcome);
        let revived = self.pass::<Revivals>().await?;
        self.warn(PHASE, &revived);
        self.take_cloud_inits(cloud_inits)?;
        self.hand_over_states();
        Ok(outcome)
    }

    /// Reads virtual machines that are not in the cluster and may stand for one of its guests all the same.
    async fn read_claimed_machines(&mut self) -> Result<(), Error> {
        let here = self.facts.target.cluster;
        let elsewhere = clusters(&self.facts).into_iter().filter(|id| Some(*id) != here);
        let in_named = Selection::any_of("cluster_id", elsewhere);
        let claimed = Selection::any_of("id", claimed_elsewhere(&self.facts));
        let more = self.list::<VirtualMachine>(vec![in_named, claimed]).await?;
        let known: BTreeSet<ObjectId> = self.facts.known.machine_ids().collect();
        let new = more.into_iter().filter(|stored| !known.contains(&stored.id));
        self.facts.known.machines.extend(new);
        Ok(())
    }

    fn discover_guests(&self) {
        let guests = handled(&self.facts);
        let items: Vec<_> = guests
            .map(|guest| json!({"name": guest.label(), "item_type": guest.kind.as_str()}))
            .collect();
        let with_network = json!({"sync_vm_network": self.facts.options.guests.sync_network});
        self.progress
            .discovered_with(PHASE, "virtual machine", &items, Some(with_network));
    }

    /// Tells which virtual machine each guest is and what it is called; returns how many guests are left alone because
    /// that cannot be proven.
    fn identify_guests(&mut self) -> usize {
        let ignored = ignored_overrides(&self.facts).into_iter();
        self.warnings.extend(ignored.map(Warning::from));
        let identities = identify(&self.facts);
        for unverified in &identities.unverified {
            let (machine, vmid) = (unverified.machine, unverified.vmid);
            let reason = format!(
                "it claims to be guest {vmid}, which is left alone: {}",
                unverified.reason
            );
            let warning = Warning::machine(machine, &reason);
            self.warnings.push(warning.of_guest(vmid, &self.facts.cluster.name));
        }
        self.facts.guests.matches = identities.matches;
        self.facts.guests.refused = identities.refused;
        self.facts.guests.names = names::resolve(&self.facts);
        let nameless = names::stand_ins(&self.facts).into_iter();
        self.warnings.extend(nameless.map(Warning::from));
        let resolved = self.facts.guests.names.iter().filter(|(_, name)| name.is_resolved());
        for (vmid, name) in resolved {
            self.progress.name_resolved(&self.facts.cluster.name, *vmid, name);
        }
        identities.unverified.len()
    }

    /// Asks the agents of guests for their system, where it names a platform that is going to be written.
    async fn read_systems(&mut self) -> Result<(), Error> {
        if !self.facts.options.guests.platform_from_agent {
            return Ok(());
        }
        let asked = with_platform(&self.facts);
        let before = self.only.replace(asked);
        let read = self.read::<GuestSystems>().await;
        self.only = before;
        read
    }

    /// Takes over virtual machines of an endpoint that is configured no more; one that cannot be is left alone.
    async fn claim_states(&mut self) -> Result<(), Error> {
        let claims = self.pass::<StateClaims>().await?;
        self.refuse_guests(&claims, "its sync state could not be taken over");
        let claimed: BTreeSet<ObjectId> = claims.updated.iter().filter_map(|row| id_of(&row.key)).collect();
        let owner = Some(self.facts.endpoint.key.id.0);
        for stored in &mut self.facts.known.machine_states {
            if claimed.contains(&stored.object.virtual_machine) {
                stored.object.endpoint_raw_id = owner;
            }
        }
        Ok(())
    }

    /// Leaves alone the guests of virtual machines whose sync state could not be written.
    fn refuse_guests(&mut self, states: &Outcome, what: &str) {
        let reasons: BTreeMap<ObjectId, &str> = states
            .failed
            .iter()
            .filter_map(|failure| Some((id_of(&failure.key)?, failure.message.as_str())))
            .collect();
        for (vmid, matched) in &self.facts.guests.matches {
            if let Some(reason) = matched.machine().and_then(|machine| reasons.get(&machine)) {
                self.facts.guests.refused.insert(*vmid, format!("{what}: {reason}"));
            }
        }
    }

    /// Takes names away from virtual machines that others are about to be given.
    async fn free_names(&mut self) -> Result<(), Error> {
        let freed = self.pass::<FreedNames>().await?;
        self.warn(PHASE, &freed);
        let names: BTreeMap<ObjectId, String> = freed.updated.into_iter().map(|row| (row.id, row.key)).collect();
        for stored in &mut self.facts.known.machines {
            if let Some(name) = names.get(&stored.id) {
                stored.object.name = Some(name.clone());
            }
        }
        Ok(())
    }

    /// Writes the virtual machines. Roles are remembered before they are written; those that then could not be written
    /// are not remembered either.
    async fn write_machines(&mut self) -> Result<Outcome, Error> {
        let remembered = self.remember_roles().await?;
        self.refuse_guests(&remembered, "its role could not be remembered");
        let passed = self.pass::<Machines>().await;
        for failure in passed.iter().flat_map(|outcome| &outcome.failed) {
            if let Ok(vmid) = failure.key.parse::<Vmid>() {
                self.facts.guests.refused.insert(vmid, failure.message.clone());
            }
        }
        let asked = std::mem::take(&mut self.cancel);
        let restored = self.restore_roles(&passed).await;
        self.cancel = asked;
        let outcome = passed?;
        self.warn(PHASE, &restored?);
        Ok(outcome)
    }

    /// Remembers the former roles of virtual machines that were not written. This is done, and read for, even where the
    /// run is asked to stop: the next one would take them for an operator's.
    async fn restore_roles(&mut self, passed: &Result<Outcome, Error>) -> Result<Outcome, Error> {
        let matches = self.facts.guests.matches.iter();
        let mut changing: Vec<(Vmid, ObjectId, ObjectId)> = matches
            .filter(|(_, matched)| matched.role.remembered.is_some())
            .filter_map(|(vmid, matched)| Some((*vmid, matched.machine()?, matched.role.write?)))
            .collect();
        if changing.is_empty() {
            return Ok(Outcome::default());
        }
        let written: BTreeSet<ObjectId> = match passed {
            Ok(outcome) => outcome.standing().map(|row| row.id).collect(),
            Err(_) => self.with_new_role(&changing).await?,
        };
        changing.retain(|(_, machine, _)| !written.contains(machine));
        if changing.is_empty() {
            return Ok(Outcome::default());
        }
        for (vmid, ..) in changing {
            let refused = self.facts.guests.refused.entry(vmid);
            refused.or_insert_with(|| "it was not written".to_owned());
        }
        self.remember_roles().await
    }

    /// Those of virtual machines that have the role by now that they should be given.
    async fn with_new_role(&self, changing: &[(Vmid, ObjectId, ObjectId)]) -> Result<BTreeSet<ObjectId>, Error> {
        let ids = changing.iter().map(|(_, machine, _)| *machine);
        let rows = self.list::<VirtualMachine>(vec![Selection::any_of("id", ids)]).await?;
        let roles: BTreeMap<ObjectId, Option<ObjectId>> =
            rows.into_iter().map(|stored| (stored.id, stored.object.role)).collect();
        let has_role = |(_, machine, role): &&(Vmid, ObjectId, ObjectId)| roles.get(machine) == Some(&Some(*role));
        Ok(changing
            .iter()
            .filter(has_role)
            .map(|(_, machine, _)| *machine)
            .collect())
    }

    async fn remember_roles(&mut self) -> Result<Outcome, Error> {
        let outcome = self.pass::<RoleSnapshots>().await?;
        let decided = self.facts.guests.matches.values();
        let roles: BTreeMap<ObjectId, ObjectId> = decided
            .filter_map(|matched| Some((matched.machine()?, matched.role.write?)))
            .collect();
        let written: BTreeSet<ObjectId> = outcome.updated.iter().map(|row| row.id).collect();
        for stored in &mut self.facts.known.machine_states {
            if written.contains(&stored.id) {
                stored.object.last_synced_role = roles.get(&stored.object.virtual_machine).copied();
            }
        }
        Ok(outcome)
    }

    /// What came of showing the guests' cloud-init settings, which is done as well as it can be.
    fn take_cloud_inits(&mut self, cloud_inits: Result<Outcome, Error>) -> Result<(), Error> {
        match cloud_inits {
            Ok(outcome) => self.warn(PHASE, &outcome),
            Err(error) if error.is_of_one_question() => {
                self.warnings.push(format!("cloud-init rows: {error}").into());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Puts the sync states away as the next stages look for them.
    fn hand_over_states(&self) {
        let owner = Some(self.facts.endpoint.key.id.0);
        self.place().shelf(|shelf| {
            let states = shelf
                .find::<VirtualMachineState>(&[Selection::all()])
                .into_iter()
                .flatten();
            let ours: Vec<_> = states.filter(|stored| stored.object.endpoint_raw_id == owner).collect();
            if !ours.is_empty() {
                shelf.put(&[owned_states(&self.facts)], &ours);
            }
        });
    }

    /// The stages that the request wants done for the same guests.
    async fn follow_up(&mut self, machines: &Outcome) -> Result<Followed, Error> {
        let mut followed = Followed::default();
        let wanted = &self.facts.options.guests;
        let (with_network, with_tasks) = (wanted.sync_network, wanted.sync_task_history);
        if with_network {
            followed.failed_interfaces = self.see_to_networks(machines).await?;
        }
        if with_tasks {
            let lost = TaskTally {
                errors: 1,
                ..TaskTally::default()
            };
            let told = self.follow(Stage::TaskHistory).await?;
            followed.tasks = told.map_or(Some(lost), |summary| summary.tasks);
        }
        Ok(followed)
    }

    /// Runs a stage for the same guests; `None` where it failed. The virtual machines stand all the same, and what is missing is
    /// done another time.
    async fn follow(&mut self, stage: Stage) -> Result<Option<Summary>, Error> {
        // Boxed: a stage may run others.
        match Box::pin(super::run(stage, self)).await {
            Err(error @ (Error::Proxmox(_) | Error::NetBox(_) | Error::Shrink(_))) => {
                let text = format!("{}: {error}", stage.as_str().replace('-', " "));
                self.warnings.push(text.into());
                Ok(None)
            }
            done => done.map(Some),
        }
    }

    /// The disks, interfaces and addresses of the guests that the modes do not leave out; returns the keys of interfaces
    /// that failed.
    async fn see_to_networks(&mut self, machines: &Outcome) -> Result<BTreeSet<String>, Error> {
        let before = (self.facts.options.guests.only.clone(), self.only.clone());
        let modes = self.facts.options.modes;
        if modes.machine == Mode::Disabled || modes.template == Mode::Disabled {
            let known = self.facts.guests.matches.values().filter_map(Match::machine);
            let made = machines.standing().filter(|_| !self.is_dry_run);
            let served = known.chain(made.map(|row| row.id));
            self.facts.options.guests.only = Some(served.collect());
        }
        self.follow(Stage::VirtualDisks).await?;
        let interfaces = self.follow(Stage::VmInterfaces).await?;
        if self.facts.options.guests.assign_addresses {
            self.follow(Stage::VmIpAddresses).await?;
        }
        (self.facts.options.guests.only, self.only) = before;
        let failed = interfaces.into_iter().flat_map(|summary| summary.failed);
        Ok(failed.collect())
    }
}

/// A guest without a sync state has failed: no later stage would find its virtual machine.
fn take_states(states: &Outcome, machines: &mut Outcome) {
    let reasons: BTreeMap<&str, &str> = states
        .failed
        .iter()
        .map(|failure| (failure.key.as_str(), failure.message.as_str()))
        .collect();
    let failed = machines.standing().filter_map(|row| {
        let reason = reasons.get(row.id.to_string().as_str())?;
        Some((row.key.clone(), (*reason).to_owned()))
    });
    let failed: BTreeMap<String, String> = failed.collect();
    machines.fail("virtual machine sync state", &failed);
}

/// The virtual machine in the key of a sync state.
fn id_of(key: &str) -> Option<ObjectId> {
    key.parse().ok().map(ObjectId)
}
