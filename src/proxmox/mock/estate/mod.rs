//! Builds a rich estate from two numbers, the same one every time.
//!
//! About seven guests in ten are virtual machines, one in twenty is a template, every disk bus and network model occurs,
//! and the odd things of real estates are there on purpose: names that are numbers, too long or taken twice, guests
//! without name, wedged agents, addresses on aliases, tasks that ended with warnings, jobs that never ran.

mod containers;
mod guest_agents;
mod guests;
mod history;
mod infrastructure;
mod schedules;
mod sdn;
mod security;
mod virtual_machines;

pub(super) use self::guest_agents::plain as plain_interfaces;
use super::world::World;

impl World {
    /// An estate of `nodes` nodes and `guests` guests: the cluster `lab`, or one standalone node when `nodes` is 1.
    ///
    /// Nodes are called `pve1`, `pve2`…; guests are numbered from 100 on.
    pub fn estate(nodes: usize, guests: usize) -> Self {
        let mut world = Self::bare(infrastructure::nodes(nodes.max(1)));
        world.options = infrastructure::options();
        world.storages = infrastructure::storages(world.nodes.len());
        guests::add(&mut world, guests);
        schedules::add(&mut world);
        history::add(&mut world);
        security::add(&mut world);
        sdn::add(&mut world);
        world.zfs_pools = infrastructure::zfs_pools();
        world
    }

    /// One node outside any cluster, with `guests` guests.
    pub fn standalone(node: &str, guests: usize) -> Self {
        let mut world = Self::estate(1, guests);
        let renamed = |name: &mut String| node.clone_into(name);
        world.nodes.iter_mut().for_each(|found| renamed(&mut found.name));
        world.guests.values_mut().for_each(|guest| renamed(&mut guest.node));
        world.tasks.iter_mut().for_each(|task| task.node = node.into());
        world
            .backups
            .iter_mut()
            .filter_map(|backup| backup.node.as_mut())
            .for_each(renamed);
        let pools = std::mem::take(&mut world.zfs_pools);
        world.zfs_pools = pools.into_values().map(|pools| (node.to_owned(), pools)).collect();
        let rules = std::mem::take(&mut world.firewall.node_rules);
        world.firewall.node_rules = rules.into_values().map(|rules| (node.to_owned(), rules)).collect();
        world
    }
}

/// A number that looks random and depends on `seed` and `salt` alone (the finaliser of `SplitMix64`).
pub(super) const fn mix(seed: u64, salt: u64) -> u64 {
    let mut mixed = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(salt.wrapping_mul(0xD1B5_4A32_D192_ED03));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// One of `choices`, depending on `seed` and `salt` alone.
fn pick<T: Copy>(choices: &[T], seed: u64, salt: u64, otherwise: T) -> T {
    let count = u64::try_from(choices.len()).unwrap_or(1).max(1);
    let index = usize::try_from(mix(seed, salt) % count).unwrap_or(0);
    choices.get(index).copied().unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::world::{Agent, GuestKind, GuestStatus, World};

    #[test]
    fn estate_built_twice_is_the_same() {
        assert_eq!(World::estate(3, 55), World::estate(3, 55));
    }

    #[test]
    fn estate_is_mixed_as_documented() {
        let world = World::estate(3, 200);
        assert_eq!((world.nodes.len(), world.guests.len()), (3, 200));
        assert_eq!(world.cluster.as_deref(), Some("lab"));
        let count =
            |test: &dyn Fn(&super::super::world::Guest) -> bool| world.guests.values().filter(|g| test(g)).count();
        let machines = count(&|guest| guest.kind == GuestKind::Qemu);
        assert!((130..=150).contains(&machines), "{machines} virtual machines");
        assert_eq!(count(&|guest| guest.template), 10);
        assert!(count(&|guest| guest.status == GuestStatus::Running) > 100);
        assert!(count(&|guest| guest.name.len() > 64) >= 1, "no long name");
        assert!(
            count(&|guest| guest.name.parse::<u64>().is_ok()) >= 1,
            "no numeric name"
        );
        assert!(
            count(&|guest| guest.agent == Agent::NotRunning) >= 1,
            "no agent that is off"
        );
        let names: BTreeSet<_> = world.guests.values().map(|guest| &guest.name).collect();
        assert!(names.len() < world.guests.len(), "no name is taken twice");
        for key in [
            "scsi0",
            "virtio0",
            "sata0",
            "ide0",
            "ide2",
            "efidisk0",
            "tpmstate0",
            "unused0",
            "scsi3",
            "rootfs",
            "mp0",
            "mp1",
            "net1",
            "net2",
            "ipconfig0",
            "ipconfig1",
            "ciuser",
            "sshkeys",
        ] {
            assert!(
                count(&|guest| guest.config.get(key).is_some()) >= 1,
                "no guest has {key}"
            );
        }
    }

    #[test]
    fn estate_of_one_node_is_standalone() {
        let world = World::standalone("solo", 5);
        assert_eq!(world.cluster, None);
        assert!(world.guests.values().all(|guest| guest.node == "solo"));
        assert!(world.replications.is_empty());
    }

    #[test]
    fn rebased_estate_keeps_its_distances() {
        let mut world = World::estate(2, 20);
        let before = world.clone();
        world.rebase(before.now + 86_400);
        world.rebase(before.now);
        assert_eq!(world, before);
    }
}
