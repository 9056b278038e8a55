//! Storage definitions. A storage that is no longer defined keeps its row: backups refer to it.

use std::collections::BTreeMap;

use super::{Desired, Facts, Flag, Part, Pass, Selection};
use crate::inventory;
use crate::mapping::storage::storage;
use crate::netbox::objects::{Cluster, Storage};
use crate::reconcile::Policy;

/// The storages of the cluster.
#[derive(Debug)]
pub struct Storages;

impl Pass for Storages {
    type Object = Storage;

    fn scope(facts: &Facts) -> Vec<Selection> {
        facts
            .target
            .cluster
            .map(|cluster| Selection::with("cluster", &cluster).below::<Cluster>([cluster]))
            .into_iter()
            .collect()
    }

    fn desired(facts: &Facts) -> Desired<Storage> {
        let Some(cluster) = facts.target.cluster else {
            return Desired::default();
        };
        let only = &facts.options.only;
        let definitions = facts.inventory.items::<inventory::Storages>().iter();
        let definitions = definitions.filter(|definition| only.takes(Part::Storage, &definition.storage));
        let objects = definitions.filter_map(|definition| storage(definition, cluster));
        let last_wins: BTreeMap<String, Storage> = objects.map(|object| (object.name.clone(), object)).collect();
        Desired::by_key(last_wins.into_values())
    }

    fn policy(facts: &Facts) -> Policy {
        Policy::with_mode(facts.options.modes.storage)
            .update_if("tags", facts.options.overwrite.allows(Flag::StorageTags))
    }
}
