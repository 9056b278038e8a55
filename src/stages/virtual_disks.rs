//! The disks of virtual machines, and the storage each is on.
//!
//! A disk that is gone from the guest's configuration is deleted, if it is ours and the configuration shows any disk at
//! all. A drive that cannot be sized keeps the row it has. Disks have no mode of their own: that of their guest holds.

use std::collections::BTreeSet;

use super::guests::{bindings, kept_machines, own_machines};
use super::machines::mode_of;
use super::{Desired, Facts, Part, Pass, Selection};
use crate::inventory::Vmid;
use crate::mapping::notes::overrides;
use crate::mapping::virtual_disk::{ParsedDisk, disks, virtual_disk};
use crate::netbox::objects::{PROXBOX_TAG, VirtualDisk, VirtualDiskState, VirtualMachine};
use crate::reconcile::{Mode, ObjectId, Policy, Retire, Row, Stored, Wanted};

/// The disks.
#[derive(Debug)]
pub struct VirtualDisks;
/// The disks' sync states.
#[derive(Debug)]
pub struct VirtualDiskStates;
/// The sizes of virtual machines without any disk. Of those that have disks NetBox itself keeps the sum.
#[derive(Debug)]
pub struct DisklessMachines;

/// The virtual machines that the modes do not leave out and whose guest's configuration was read, each with its name and its
/// drives.
fn machines(facts: &Facts) -> Vec<(ObjectId, &str, Vec<ParsedDisk>)> {
    let handled: Vec<_> = bindings(facts).handled().copied().collect();
    handled
        .into_iter()
        .filter_map(|bound| {
            let config = facts.inventory.config(bound.vmid)?;
            let mut disks = disks(config);
            disks.retain(|disk| facts.options.only.takes(Part::Disk, &disk.key));
            Some((bound.id, bound.machine.name.as_deref().unwrap_or_default(), disks))
        })
        .collect()
}

impl Pass for VirtualDisks {
    type Object = VirtualDisk;

    fn scope(facts: &Facts) -> Vec<Selection> {
        let machines = facts.known.guests.keys();
        let selection = Selection::related_to("virtual_machine_id", "virtual_machine", machines.clone());
        vec![selection.below::<VirtualMachine>(machines.copied())]
    }

    fn desired(facts: &Facts) -> Desired<VirtualDisk> {
        Desired::by_key(
            machines(facts).into_iter().flat_map(|(machine, name, disks)| {
                disks.into_iter().map(move |disk| virtual_disk(disk, machine, name))
            }),
        )
    }

    fn settle(
        facts: &Facts,
        mut desired: Desired<VirtualDisk>,
        actual: &[Stored<VirtualDisk>],
    ) -> Desired<VirtualDisk> {
        let kept = kept_machines(facts);
        desired.keep(actual, |disk| kept.contains(&disk.virtual_machine));
        desired
    }

    fn count_ours(facts: &Facts, actual: &[Stored<VirtualDisk>]) -> usize {
        let disks = actual.iter().map(|stored| &stored.object);
        let is_ours = |disk: &&VirtualDisk| {
            disk.tags.contains(PROXBOX_TAG) && facts.known.guests.contains_key(&disk.virtual_machine)
        };
        disks.filter(is_ours).count()
    }

    fn all_ours(all: &Facts) -> Option<Selection> {
        let machines = own_machines(all);
        Some(Selection::related_to("virtual_machine_id", "virtual_machine", machines))
    }

    fn count_all(_all: &Facts, rows: &[Stored<VirtualDisk>]) -> usize {
        let tags = rows.iter().map(|stored| &stored.object.tags);
        tags.filter(|tags| tags.contains(PROXBOX_TAG)).count()
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_guest())
    }

    fn retire(facts: &Facts, stored: &Stored<VirtualDisk>) -> Retire {
        let disk = &stored.object;
        let vmid = facts.known.guests.get(&disk.virtual_machine);
        let guest = vmid.and_then(|vmid| facts.inventory.guest(*vmid));
        let guest = guest.filter(|guest| mode_of(facts, guest) == Mode::Always);
        let Some(config) = guest.and_then(|guest| facts.inventory.config(guest.vmid)) else {
            return Retire::Keep;
        };
        let is_gone = !config.raw().contains_key(&disk.name) && !disks(config).is_empty();
        if is_gone && disk.tags.contains(PROXBOX_TAG) {
            Retire::Delete
        } else {
            Retire::Keep
        }
    }
}

impl Pass for VirtualDiskStates {
    type Object = VirtualDiskState;

    /// Sync states of disks can be selected by their disk alone.
    fn scope(facts: &Facts) -> Vec<Selection> {
        let wanted = Self::desired(facts).wanted;
        let disks = wanted.iter().map(|wanted| wanted.object.virtual_disk);
        if facts.options.guests.only.is_some() {
            return vec![Selection::any_of("virtual_disk_id", disks)];
        }
        let selection = Selection::related_to("virtual_disk_id", "virtual_disk", disks.clone());
        vec![selection.below::<VirtualDisk>(disks)]
    }

    /// A disk whose storage is not known says nothing of it.
    fn desired(facts: &Facts) -> Desired<VirtualDiskState> {
        let storages = facts.known.storage_ids();
        let state = |machine: ObjectId, disk: &ParsedDisk| {
            let storage = storages.get(disk.storage.as_deref()?)?;
            let id = facts
                .ids
                .find::<VirtualDisk>(&VirtualDisk::key_of(machine, &disk.key))?;
            Some(VirtualDiskState::on(*storage, id, disk.key.clone()))
        };
        let mut states = Vec::new();
        for (machine, _, disks) in machines(facts) {
            states.extend(disks.iter().filter_map(|disk| state(machine, disk)));
        }
        Desired::by_key(states)
    }

    fn settle(
        facts: &Facts,
        mut desired: Desired<VirtualDiskState>,
        actual: &[Stored<VirtualDiskState>],
    ) -> Desired<VirtualDiskState> {
        let kept = kept_machines(facts);
        let machines = machines(facts).into_iter();
        let disks = machines.filter(|(machine, ..)| kept.contains(machine));
        let disks = disks.flat_map(|(machine, _, disks)| {
            let keys = disks
                .into_iter()
                .map(move |disk| VirtualDisk::key_of(machine, &disk.key));
            keys.filter_map(|key| facts.ids.find::<VirtualDisk>(&key))
        });
        let disks: BTreeSet<ObjectId> = disks.collect();
        desired.keep(actual, |state| disks.contains(&state.virtual_disk));
        desired
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_guest())
    }
}

impl Pass for DisklessMachines {
    type Object = VirtualMachine;

    fn scope(facts: &Facts) -> Vec<Selection> {
        vec![Selection::any_of(
            "id",
            diskless(facts).into_iter().map(|(_, id, _)| id),
        )]
    }

    fn at_hand(facts: &Facts) -> Option<Vec<Stored<VirtualMachine>>> {
        Some(facts.known.machines.clone())
    }

    fn desired(facts: &Facts) -> Desired<VirtualMachine> {
        let wanted = diskless(facts).into_iter().map(|(vmid, id, name)| Wanted {
            object: VirtualMachine {
                vmid: Some(vmid.0),
                name,
                disk: Some(0),
                ..VirtualMachine::default()
            },
            row: Row::Is(id),
        });
        Desired {
            wanted: wanted.collect(),
            ..Desired::default()
        }
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.effective_guest())
    }
}

/// The virtual machines that have no disk in NetBox and whose guest's configuration shows none that has a size, each with
/// its guest's number and its name. A size in the guest's notes is no business of this stage.
fn diskless(facts: &Facts) -> Vec<(Vmid, ObjectId, Option<String>)> {
    let bindings = bindings(facts);
    let is_diskless = |vmid| {
        let config = facts.inventory.config(vmid);
        config.is_some_and(|config| disks(config).is_empty() && overrides(config.description()).get("disk").is_none())
    };
    let followed = bindings.handled().filter(|bound| bound.mode == Mode::Always);
    followed
        .filter(|bound| bound.machine.disk_count == 0 && is_diskless(bound.vmid))
        .map(|bound| (bound.vmid, bound.id, bound.machine.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{changes, converged, plan, plan_against, stand_for, storage};
    use super::*;
    use crate::inventory::{Collected, ConfiguredGuest, Guest, GuestConfig, GuestKind};
    use crate::netbox::objects::DECOMMISSIONING;
    use crate::reconcile::{Plan, Resource};

    const MACHINE: ObjectId = ObjectId(310);

    /// Facts of one virtual machine, and the rows of its disks as they should be.
    fn world() -> (Facts, Vec<Stored<VirtualDisk>>) {
        let config = json!({
            "scsi0": "local-lvm:vm-101-disk-0,size=32G",
            "ide2": "local:iso/debian-12.iso,media=cdrom,size=629M",
            "scsi3": "/dev/sdb",
        });
        let mut facts = configured(config);
        let rows = [
            (1, "ide2", 0, "CD-ROM drive | ISO: local:iso/debian-12.iso"),
            (2, "scsi0", 32_768, "Storage: local-lvm"),
        ];
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(id, name, size, description)| disk(id, name, size, description))
            .collect();
        for row in &rows {
            facts.ids.learn(VirtualDisk::PATH, row.object.key(), row.id);
        }
        (facts, rows)
    }

    fn configured(config: Value) -> Facts {
        let mut facts = converged();
        let guest = Guest {
            vmid: Vmid(101),
            kind: GuestKind::Qemu,
            node: "pve1".to_owned(),
            name: Some("db".to_owned()),
            status: Some("running".to_owned()),
            is_template: false,
            disk: None,
            processors: None,
            memory: None,
        };
        facts.inventory.guests.fill(Collected {
            items: vec![guest],
            gaps: Vec::new(),
        });
        facts.inventory.guest_configs.fill(Collected {
            items: vec![ConfiguredGuest {
                vmid: Vmid(101),
                config: GuestConfig::decode(GuestKind::Qemu, config).unwrap(),
            }],
            gaps: Vec::new(),
        });
        stand_for(&mut facts, MACHINE, Vmid(101));
        facts.known.storages = vec![storage(21, "local-lvm"), storage(20, "local")];
        facts
    }

    fn disk(id: u64, name: &str, size: u64, description: &str) -> Stored<VirtualDisk> {
        Stored {
            id: ObjectId(id),
            object: VirtualDisk {
                virtual_machine: MACHINE,
                machine_name: Some("db".to_owned()),
                name: name.to_owned(),
                size: Some(size),
                description: Some(description.to_owned()),
                tags: [PROXBOX_TAG.to_owned()].into(),
            },
        }
    }

    fn deleted(plan: &Plan) -> Vec<&str> {
        plan.delete.iter().map(|row| row.label.as_str()).collect()
    }

    #[test]
    fn converged_disks_plan_nothing() {
        let (facts, rows) = world();
        let plan = plan_against::<VirtualDisks>(&facts, &rows);
        assert!(plan.is_empty() && plan.unchanged.len() == 2, "{plan:#?}");
    }

    #[test]
    fn resized_disk_updates_only_its_size() {
        let (facts, mut rows) = world();
        rows[1].object.size = Some(16_384);
        rows[1].object.tags = ["gold".to_owned(), PROXBOX_TAG.to_owned()].into();
        assert_eq!(
            changes(&plan_against::<VirtualDisks>(&facts, &rows)),
            json!({"2": {"size": 32_768}})
        );
    }

    #[test]
    fn disks_of_a_marked_machine_are_left_alone() {
        let (mut facts, mut rows) = world();
        rows[1].object.size = Some(16_384);
        rows.push(disk(3, "scsi1", 5, ""));
        facts.known.machines[0].object.status = Some(DECOMMISSIONING.to_owned());
        facts.known.guests.clear();
        assert!(plan_against::<VirtualDisks>(&facts, &rows).is_empty());
    }

    #[test]
    fn disk_that_is_gone_is_deleted_only_if_it_is_ours() {
        let (facts, mut rows) = world();
        rows.push(disk(3, "scsi1", 5, ""));
        rows.push(disk(4, "by-hand", 5, ""));
        rows[3].object.tags.clear();
        assert_eq!(deleted(&plan_against::<VirtualDisks>(&facts, &rows)), ["db/scsi1"]);
    }

    #[test]
    fn disks_of_operators_and_of_other_machines_are_none_of_the_endpoints() {
        let (facts, mut rows) = world();
        rows.push(disk(3, "by-hand", 5, ""));
        rows[2].object.tags.clear();
        rows.push(disk(4, "scsi0", 5, ""));
        rows[3].object.virtual_machine = ObjectId(999);
        assert_eq!((rows.len(), VirtualDisks::count_ours(&facts, &rows)), (4, 2));
    }

    #[test]
    fn disk_that_cannot_be_sized_keeps_its_row() {
        let (facts, mut rows) = world();
        rows.push(disk(3, "scsi3", 5, ""));
        assert!(plan_against::<VirtualDisks>(&facts, &rows).is_empty());
    }

    #[test]
    fn nothing_is_deleted_where_no_disk_or_no_configuration_was_read() {
        let (_, rows) = world();
        let diskless = configured(json!({"scsi3": "/dev/sdb"}));
        assert!(plan_against::<VirtualDisks>(&diskless, &rows).is_empty());
        let mut unread = configured(json!({"virtio0": "local-lvm:x,size=1G"}));
        assert_eq!(
            deleted(&plan_against::<VirtualDisks>(&unread, &rows)),
            ["db/ide2", "db/scsi0"]
        );
        unread.inventory.guest_configs.fill(Collected::default());
        assert!(plan_against::<VirtualDisks>(&unread, &rows).is_empty());
        let mut foreign = configured(json!({"virtio0": "local-lvm:x,size=1G"}));
        foreign.known.guests.clear();
        assert!(plan_against::<VirtualDisks>(&foreign, &rows).delete.is_empty());
    }

    /// Facts of a guest that is a template or none, whose disk has grown, lost a neighbour and got another; the other kind is
    /// kept in step.
    fn changed(is_template: bool, mode: Mode) -> (Facts, Vec<Stored<VirtualDisk>>) {
        let (_, mut rows) = world();
        let mut facts = configured(json!({"scsi0": "local-lvm:x,size=64G", "scsi1": "local-lvm:y,size=1G"}));
        let mut guests = facts.inventory.guests.get().cloned().unwrap();
        guests.items[0].is_template = is_template;
        facts.inventory.guests.fill(guests);
        if is_template {
            facts.options.modes.template = mode;
        } else {
            facts.options.modes.machine = mode;
        }
        rows[1].object.tags.clear();
        (facts, rows)
    }

    #[test]
    fn disks_follow_the_mode_of_their_guest_and_not_that_of_others() {
        for is_template in [false, true] {
            for (mode, expected) in [
                (Mode::Always, (1, 1, 1)),
                (Mode::BootstrapOnly, (1, 0, 0)),
                (Mode::Disabled, (0, 0, 0)),
            ] {
                let (facts, rows) = changed(is_template, mode);
                let plan = plan_against::<VirtualDisks>(&facts, &rows);
                let planned = (plan.create.len(), plan.update.len(), plan.delete.len());
                assert_eq!(planned, expected, "{is_template} {mode:?}: {plan:#?}");
            }
        }
    }

    #[test]
    fn sync_states_and_sizes_follow_the_mode_of_their_guest() {
        for (mode, expected) in [
            (Mode::Always, (1, 1, 1)),
            (Mode::BootstrapOnly, (1, 0, 0)),
            (Mode::Disabled, (0, 0, 0)),
        ] {
            let (mut facts, _) = world();
            facts.options.modes.machine = mode;
            let state = VirtualDiskState::on(ObjectId(77), ObjectId(1), "ide2".to_owned());
            let state = Stored {
                id: ObjectId(900),
                object: state,
            };
            let states = plan_against::<VirtualDiskStates>(&facts, &[state]);
            let mut facts = configured(json!({"scsi3": "/dev/sdb"}));
            facts.options.modes.machine = mode;
            facts.known.machines[0].object.disk = Some(7);
            let sizes = plan::<DisklessMachines>(&facts).update.len();
            assert_eq!((states.create.len(), states.update.len(), sizes), expected, "{mode:?}");
        }
    }

    #[test]
    fn machine_without_any_disk_has_no_size_and_that_of_others_is_left_to_netbox() {
        let told = |config: Value, size: Option<u64>, disks: u64| {
            let mut facts = configured(config);
            facts.known.machines[0].object.disk = size;
            facts.known.machines[0].object.disk_count = disks;
            changes(&plan::<DisklessMachines>(&facts))
        };
        let passed_through = || json!({"scsi3": "/dev/sdb"});
        let sized = json!({"scsi3": "/dev/sdb", "description": "```netbox-metadata\n{\"disk\": 7}\n```"});
        assert_eq!(told(passed_through(), Some(7), 0), json!({"310": {"disk": 0}}));
        for (config, size, disks) in [
            (passed_through(), Some(7), 1),
            (passed_through(), Some(0), 0),
            (passed_through(), None, 0),
            (sized, Some(7), 0),
            // Every guest has something in its configuration.
            (json!({}), Some(7), 0),
            (json!({"scsi0": "local-lvm:x,size=1G"}), Some(7), 0),
        ] {
            assert_eq!(
                told(config.clone(), size, disks),
                json!({}),
                "{config} {size:?} {disks}"
            );
        }
    }

    #[test]
    fn sync_states_name_the_storage_of_each_disk_where_it_is_known() {
        let (mut facts, _) = world();
        let wanted = |facts: &Facts| -> Vec<Value> {
            let plan = plan::<VirtualDiskStates>(facts);
            plan.create.iter().map(|row| json!(row.fields)).collect()
        };
        let row = |disk: u64, storage: u64| {
            json!({
                "virtual_disk": disk, "proxbox_storage": storage, "proxbox_storage_raw_id": null,
                "proxbox_storage_raw_value": ""
            })
        };
        assert_eq!(wanted(&facts), [row(1, 20), row(2, 21)]);
        facts.known.storages.pop();
        assert_eq!(wanted(&facts), [row(2, 21)]);
    }
}
