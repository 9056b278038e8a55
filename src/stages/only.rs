//! The few things that a request is about, where it is not about all there are.

use std::collections::BTreeMap;

use crate::inventory::Vmid;

/// Kinds of things of which a request may name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A node, by its name.
    Node,
    /// A storage, by its name.
    Storage,
    /// Network interfaces of a node, by the word for their type.
    Ports,
    /// A network interface of a guest, by its key in the configuration.
    Interface,
    /// An IP address, without its mask.
    Address,
    /// A disk of a guest, by its key in the configuration.
    Disk,
    /// A backup, by its volume.
    Backup,
    /// A snapshot, by its name.
    Snapshot,
    /// A task, by its id.
    Task,
    /// A replication job, by its id.
    Replication,
    /// A backup job, by its id.
    BackupJob,
}

/// What a request is about. Where that is not everything, nothing is retired: what is not looked at is not gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// The one guest, by its number.
    pub guest: Option<Vmid>,
    names: BTreeMap<Part, String>,
}

impl Only {
    /// One guest.
    pub fn of_guest(vmid: Vmid) -> Self {
        Self {
            guest: Some(vmid),
            ..Self::default()
        }
    }

    /// Leaves out every `part` but the one called `name`.
    pub fn name(&mut self, part: Part, name: impl Into<String>) {
        self.names.insert(part, name.into());
    }

    /// The same without every `part` but the one called `name`.
    #[must_use]
    pub fn and(mut self, part: Part, name: impl Into<String>) -> Self {
        self.name(part, name);
        self
    }

    /// The one `part` that is not left out, where it is one.
    pub fn named(&self, part: Part) -> Option<&str> {
        self.names.get(&part).map(String::as_str)
    }

    /// Whether the `part` called `name` is not left out.
    pub fn takes(&self, part: Part, name: &str) -> bool {
        self.named(part).is_none_or(|only| only == name)
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.guest.is_none() && self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_that_is_named_leaves_out_its_like_and_nothing_else() {
        let only = Only::default().and(Part::Node, "pve1");
        assert!(only.takes(Part::Node, "pve1") && !only.takes(Part::Node, "pve2"));
        assert!(only.takes(Part::Storage, "local") && !only.is_everything());
        assert!(Only::default().is_everything() && !Only::of_guest(Vmid(101)).is_everything());
    }
}
